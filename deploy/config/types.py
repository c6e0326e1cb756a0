"""The types of settings. Each reader takes the text from a .env and returns the value, or raises ValueError that says
what is valid."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from typing import Annotated

from pydantic import BeforeValidator

from ..core.secret import Secret


def _comma(value: object) -> object:
    """Split text at commas into a tuple, without blanks and empty parts."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def matching(pattern: str, meaning: str) -> BeforeValidator:
    """Return a validator for text that matches ``pattern`` as a whole, with ASCII letters and digits only, as the
    programs on the server require. ``meaning``: what the text should be, for the error."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: object) -> object:
        if isinstance(value, str) and not compiled.fullmatch(value):
            raise ValueError(f"should be {meaning}")
        return value

    return BeforeValidator(check)


def _host(value: object) -> object:
    """Return a host name or an IPv4 address in lower case. Nothing else gets into an Nginx file as a name."""
    name = str(value).lower().rstrip(".")
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if len(name) > 253 or not re.fullmatch(rf"{label}(\.{label})*", name):
        raise ValueError(f"“{value}” isn't a host name (letters, digits, hyphens and dots; other letters as xn--…)")
    if re.fullmatch(r"[0-9.]+", name):
        ipaddress.IPv4Address(name)
    return name


def _hosts(value: object) -> object:
    """Return a host name, or a wildcard for all names with one more label: ``*.example.com``."""
    text = str(value)
    if not text.startswith("*."):
        return _host(text)
    name = str(_host(text.removeprefix("*.")))
    if "." not in name or re.fullmatch(r"[0-9.]+", name):
        raise ValueError(f"“{value}” isn't a wildcard that certificates allow, such as *.example.com")
    return f"*.{name}"


BRACKETED = re.compile(r"\[(?P<host>[^\[\]]+)\](:(?P<port>[0-9]*))?")
IPV6 = re.compile(r"(?P<host>[^\[\]:]*:[^\[\]:]*:[^\[\]]*)(?P<port>)")
NAMED = re.compile(r"(?P<host>[^\[\]:]+)(:(?P<port>[0-9]*))?")


def destination(text: str) -> tuple[str, str, int | None]:
    """Split [user@]host[:port] into user, host and port. An IPv6 address before a port is in brackets. Raises
    ValueError."""
    user, _, place = text.rpartition("@")
    found = BRACKETED.fullmatch(place) or IPV6.fullmatch(place) or NAMED.fullmatch(place)
    host, number = found.group("host", "port") if found else ("", "")
    if not host or re.search(r"\s", text) or (number and not 0 < int(number) < 65536):
        raise ValueError(f"“{text}” should be user@host, user@host:22 or, for IPv6, user@[2001:db8::1]:22")
    return user, host, int(number) if number else None


def _server(value: object) -> object:
    """Check a server as -H takes it."""
    destination(str(value))
    return value


DEFAULT_DATABASE = "postgres:17"


def postgres_major(image: str) -> int:
    """Return the major version in an image's tag: 17 for ``postgres:17.2-bookworm`` and ``pgvector:pg17``; 0 for
    none."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    found = re.search(r"pg(\d+)", tag) or re.match(r"\d+", tag)
    return int(found.group(found.lastindex or 0)) if found else 0


def postgres_libc(image: str) -> str:
    """Return the C library of an image by its tag: musl for Alpine, else glibc. Indexes follow its sort order."""
    return "musl" if "alpine" in image.partition("@")[0].rpartition(":")[2] else "glibc"


def _database(value: object) -> object:
    """Return ``external``, ``none``, or a PostgreSQL image whose tag names the major version."""
    text = str(value)
    if text in {"external", "none"}:
        return text
    if not re.fullmatch(r"[a-z0-9][a-zA-Z0-9._/:@-]{0,200}", text):
        raise ValueError("should be external, none or an image such as postgres:17")
    if re.search(r"mysql|mariadb|mongo|mssql", text):
        raise ValueError("Portside runs PostgreSQL; for another database set external and DATABASE_URL")
    if not 10 <= postgres_major(text) <= 40:
        raise ValueError("the image's tag should name PostgreSQL's major version, such as postgres:17")
    return text


def _build(value: object) -> object:
    """Return ``server``, ``local``, or an image with its tag or digest, so that it can't be mistaken for either."""
    text = str(value)
    if text not in {"server", "local"} and not _IMAGE.fullmatch(text):
        raise ValueError(
            "should be server, local or an image with its tag or digest, such as registry.example/shop:1.4"
        )
    return text


_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._/:-]{0,200}(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})")


def _password(value: object) -> object:
    """Return a secret of one line."""
    if isinstance(value, str):
        if not value.isprintable():
            raise ValueError("should be printable, on one line")
        return Secret(value)
    return value


def _key(value: object) -> object:
    """Return a secret for an INI file: characters with a special meaning there are refused."""
    if isinstance(value, str):
        if not re.fullmatch(r"[A-Za-z0-9_=+/-]+", value):
            raise ValueError("should be letters, digits, - and _, as the authority gave it")
        return Secret(value)
    return value


def _network(value: object) -> object:
    """Return an address, or a network in CIDR notation. Python takes anything after a % as an interface's name."""
    if "%" in str(value):
        raise ValueError(f"“{value}” should be an address or a network, without an interface")
    return str(ipaddress.ip_network(str(value)))


def _user(value: object) -> object:
    """Return user and hidden password of ``user:password``."""
    if not isinstance(value, str):
        return value
    user, _, password = value.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9._@+-]{1,64}", user) or not password:
        raise ValueError("should be user:password, comma-separated, users of letters, digits and . _ @ + -")
    if len(password.encode()) > LONGEST or not password.isprintable():
        raise ValueError(f"a password should be printable and at most {LONGEST} bytes long")
    return user, Secret(password)


def _switch(value: object) -> object:
    """Return ``on`` or ``off`` as a boolean."""
    if isinstance(value, str):
        if value.lower() not in {"on", "off"}:
            raise ValueError("should be on or off")
        return value.lower() == "on"
    return value


SEPARATED = BeforeValidator(_comma)

Host = Annotated[str, BeforeValidator(_hosts)]
Hosts = Annotated[tuple[Host, ...], SEPARATED]
Servers = Annotated[tuple[Annotated[str, BeforeValidator(_server)], ...], SEPARATED]
Names = Annotated[
    tuple[Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9_]*", "names of variables, comma-separated")], ...], SEPARATED
]
Network = Annotated[str, BeforeValidator(_network)]
Networks = Annotated[tuple[Network, ...], SEPARATED]
Switch = Annotated[bool, BeforeValidator(_switch)]
Build = Annotated[str, BeforeValidator(_build)]
Database = Annotated[str, BeforeValidator(_database)]
Password = Annotated[Secret, BeforeValidator(_password)]
Key = Annotated[Secret, BeforeValidator(_key)]
User = Annotated[tuple[str, Secret], BeforeValidator(_user)]
PathPair = Annotated[str, matching(r"[^:\n\0]+:[A-Za-z0-9._/-]+", "LOCAL:PATH, comma-separated")]
Volume = Annotated[
    str, matching(r"[a-z][a-z0-9-]{0,30}:/[A-Za-z0-9._/-]+", "NAME:/PATH, comma-separated (PATH in the container)")
]
# An image's name ends with it, and Docker allows no hyphen there.
SiteName = Annotated[
    str,
    matching(
        r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?", "lower-case letters, digits, hyphens, no hyphen at an end; at most 31"
    ),
]
# What certbot's configuration file accepts unquoted.
Mail = Annotated[str, matching(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+", "an address such as me@example.com")]
Directory = Annotated[str, matching(r"https://[A-Za-z0-9._~:/?@&=%+\[\]-]+", "the https address of a directory")]
# What one setting each takes.
Kind = Annotated[str, matching(r"django|static", "django or static")]
RegistryUser = Annotated[str, matching(r"[^\s:]{1,200}", "a name without a colon")]
PythonVersion = Annotated[str, matching(r"3\.\d{1,2}", "a version such as 3.13")]
DebianPackages = Annotated[
    tuple[Annotated[str, matching(r"[a-z0-9][a-z0-9.+-]*", "Debian packages, comma-separated")], ...], SEPARATED
]
PythonPackages = Annotated[
    tuple[Annotated[str, matching(r"[A-Za-z0-9][\w.\[\]<>=!~-]*", "Python packages, comma-separated")], ...], SEPARATED
]
PackageIndex = Annotated[str, matching(r"https?://[!-~]+", "the http(s) address of a package index")]
CacheSize = Annotated[str, matching(r"0|[1-9]\d?%|[1-9]\d*[mg]", "a share such as 10% or a size such as 5g")]
PathPairs = Annotated[tuple[PathPair, ...], SEPARATED]
Application = Annotated[str, matching(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "module:callable")]
WorkerClass = Annotated[str, matching(r"[A-Za-z_][\w.]*", "one of Gunicorn's worker classes")]
Memory = Annotated[str, matching(r"[1-9]\d*[kmg]", "a size such as 512m or 2g")]
PortRange = Annotated[str, matching(r"\d{4,5}-\d{4,5}", "a range such as 8100-8999")]
Upstream = Annotated[str, matching(r"socket|port", "socket or port")]
Protocol = Annotated[str, matching(r"http|uwsgi", "http or uwsgi")]
Volumes = Annotated[tuple[Volume, ...], SEPARATED]
UrlPath = Annotated[str, matching(r"/[A-Za-z0-9._~/?=&%+-]*", "a path such as /healthz")]
BodySize = Annotated[str, matching(r"\d+[kmg]?", "a size such as 75m")]
KeyId = Annotated[str, matching(r"[\w.=+/-]+", "letters, digits, - and _")]
DnsPlugin = Annotated[str, matching(r"[a-z0-9][a-z0-9-]{0,40}", "a plugin such as cloudflare or rfc2136")]
Users = Annotated[tuple[User, ...], SEPARATED]
Rate = Annotated[str, matching(r"[1-9]\d{0,5}r/[sm]", "a rate such as 20r/s or 60r/m")]
Time = Annotated[str, matching(r"[1-9]\d{0,4}[smh]", "a time such as 10s")]
Agents = Annotated[
    tuple[Annotated[str, matching(r"\w([\w ./-]*\w)?", "words such as GPTBot, comma-separated")], ...], SEPARATED
]
Page = Annotated[
    str, matching(r"(?:(?!\.)[\w.@+~-]+/)*(?!\.)[\w.@+~-]*\w\.html?", "a page in the site's folder such as index.html")
]


# Folders of the image that a mount would hide: the code, its packages, the system.
_RESERVED = {
    "/", "/app", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/portside", "/proc", "/root",
    "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/local", "/var", "/var/lib", "/venv",
}  # fmt: skip


def reserved(path: str) -> bool:
    """Return whether a container's path is unusable for data: it belongs to something else, or isn't a plain path."""
    clean = posixpath.normpath(path)
    below = clean.startswith(("/dev/", "/etc/", "/portside/", "/proc/", "/run/portside", "/sys/", "/usr/lib", "/venv/"))
    return clean != path.rstrip("/") or clean in _RESERVED or below


def is_wildcard(name: str) -> bool:
    return name.startswith("*.")


LONGEST = 72  # bytes that bcrypt uses, https://www.usenix.org/legacy/events/usenix99/provos/provos.pdf

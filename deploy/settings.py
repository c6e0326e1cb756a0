"""Settings: what a .env says, typed, validated and frozen. An error names the variable.

A field is one ``DEPLOY_`` name: its type, its default and its meaning. A setting of the interface that this version
can't do yet stands in :data:`PLANNED` and is refused by name, so that nobody believes it is in force.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import posixpath
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from . import access, environment
from .environment import Dotenv
from .errors import Refused
from .secret import Secret

PREFIX = "DEPLOY_"

# Names of the interface that later versions will do, with the one value that changes nothing.
PLANNED = {
    "REDIS": "", "NOTIFY": "", "GPUS": "", "BACKUP_SCHEDULE": "", "BACKUP_KEEP": "7",
}  # fmt: skip
PLANNED_FAMILIES = ("CRON_",)
PROCESS = "PROCESS_"
FAMILIES = {"processes": f"{PROCESS}<NAME>"}  # fields that several settings make, as their names are written


def _comma(value: object) -> object:
    """Text with commas as a tuple; blanks around and empty parts fall away."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _matching(pattern: str, meaning: str) -> BeforeValidator:
    """Text that matches ``pattern`` as a whole, by ASCII's letters and digits alone: what reads it on the server knows
    no others. Otherwise an error that says what it should be."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: object) -> object:
        if isinstance(value, str) and not compiled.fullmatch(value):
            raise ValueError(f"should be {meaning}")
        return value

    return BeforeValidator(check)


def _host(value: object) -> object:
    """A host name or an IPv4 address, in lower case. Nothing else can reach an Nginx file as a name."""
    name = str(value).lower().rstrip(".")
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if len(name) > 253 or not re.fullmatch(rf"{label}(\.{label})*", name):
        raise ValueError(f"“{value}” is no host name (letters, digits, hyphens and dots; other letters as xn--…)")
    if re.fullmatch(r"[0-9.]+", name):
        ipaddress.IPv4Address(name)
    return name


def _hosts(value: object) -> object:
    """A host name, or every name with one label more before one: ``*.example.com``."""
    text = str(value)
    if not text.startswith("*."):
        return _host(text)
    name = str(_host(text.removeprefix("*.")))
    if "." not in name or re.fullmatch(r"[0-9.]+", name):
        raise ValueError(f"“{value}” is no wildcard that a certificate can be for, such as *.example.com")
    return f"*.{name}"


def postgres_major(image: str) -> int:
    """The major version an image's tag names: 17 for ``postgres:17.2-bookworm`` and ``pgvector:pg17``; 0 for none."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    found = re.search(r"pg(\d+)", tag) or re.match(r"\d+", tag)
    return int(found.group(found.lastindex or 0)) if found else 0


def _database(value: object) -> object:
    """``external``, ``none``, or an image of PostgreSQL whose tag says which major version it is."""
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
    """``server``, ``local``, or an image that can't be mistaken for either: one with its tag or digest."""
    text = str(value)
    if text not in {"server", "local"} and not _IMAGE.fullmatch(text):
        raise ValueError(
            "should be server, local or an image with its tag or digest, such as registry.example/shop:1.4"
        )
    return text


_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._/:-]{0,200}(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})")


def _password(value: object) -> object:
    """Text that mustn't be shown, and is one line."""
    if isinstance(value, str):
        if not value.isprintable():
            raise ValueError("should be printable, on one line")
        return Secret(value)
    return value


def _secret(value: object) -> object:
    """Text that mustn't be shown. It goes into an INI file: nothing in it may mean more than itself."""
    if isinstance(value, str):
        if not re.fullmatch(r"[A-Za-z0-9_=+/-]+", value):
            raise ValueError("should be letters, digits, - and _, as the authority gave it")
        return Secret(value)
    return value


def _network(value: object) -> object:
    """An address, or a network in CIDR notation. Python takes anything behind a % for an interface's name."""
    if "%" in str(value):
        raise ValueError(f"“{value}” should be an address or a network, without an interface")
    return str(ipaddress.ip_network(str(value)))


def _user(value: object) -> object:
    """``user:password``, the password hidden."""
    if not isinstance(value, str):
        return value
    user, _, password = value.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9._@+-]{1,64}", user) or not password:
        raise ValueError("should be user:password, comma-separated, users of letters, digits and . _ @ + -")
    if len(password.encode()) > access.LONGEST or not password.isprintable():
        raise ValueError(f"a password should be printable and at most {access.LONGEST} bytes long")
    return user, Secret(password)


def _switch(value: object) -> object:
    """``on`` or ``off``."""
    if isinstance(value, str):
        if value.lower() not in {"on", "off"}:
            raise ValueError("should be on or off")
        return value.lower() == "on"
    return value


Host = Annotated[str, BeforeValidator(_hosts)]
Hosts = Annotated[tuple[Host, ...], BeforeValidator(_comma)]
Names = Annotated[
    tuple[Annotated[str, _matching(r"[A-Za-z_][A-Za-z0-9_]*", "names of variables, comma-separated")], ...],
    BeforeValidator(_comma),
]
Networks = Annotated[tuple[Annotated[str, BeforeValidator(_network)], ...], BeforeValidator(_comma)]
Switch = Annotated[bool, BeforeValidator(_switch)]
PathPair = Annotated[str, _matching(r"[^:\n\0]+:[A-Za-z0-9._/-]+", "LOCAL:PATH, comma-separated")]
Volume = Annotated[
    str, _matching(r"[a-z][a-z0-9-]{0,30}:/[A-Za-z0-9._/-]+", "NAME:/PATH, comma-separated (PATH in the container)")
]


# Folders of the image that a mount would hide: the code, its packages, the system.
_RESERVED = {
    "/", "/app", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/portside", "/proc", "/root",
    "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/local", "/var", "/var/lib", "/venv",
}  # fmt: skip


def reserved(path: str) -> bool:
    """Whether something other than the site's data lies at this path of a container, or the path isn't a plain one."""
    clean = posixpath.normpath(path)
    below = clean.startswith(("/dev/", "/etc/", "/portside/", "/proc/", "/run/portside", "/sys/", "/usr/lib", "/venv/"))
    return clean != path.rstrip("/") or clean in _RESERVED or below


# What certbot's configuration file takes as it is.
_MAIL, _DIRECTORY = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+", r"https://[A-Za-z0-9._~:/?@&=%+\[\]-]+"

# An image's name ends with it, and Docker takes none that ends with a hyphen.
_SITE = r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?"


class Settings(BaseModel):
    """All that a site's ``.env`` says. Made by :meth:`load`; never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    site: Annotated[str, _matching(_SITE, "lower-case letters, digits, hyphens, no hyphen at an end; at most 31")] = (
        Field(description="the site's name on the server, unique there")
    )
    domains: Hosts = Field(min_length=1, description="comma-separated; the first is canonical")
    redirect_domains: Hosts = Field((), description="redirect to the canonical one, permanently")
    kind: Annotated[str, _matching(r"django|static", "django or static")] = Field(
        "django", description="what the site is: a Django project, or `static`: a folder of files"
    )
    app: str = Field(
        "app",
        description="the folder of the project: where manage.py is, or below which it is found once; of a static site, "
        "of its files",
    )
    build: Annotated[str, BeforeValidator(_build)] = Field(
        "server",
        description="where the image comes from: built on the `server`, or `local`: built here and shipped; or an "
        "image to pull there",
    )
    registry_user: Annotated[str, _matching(r"[^\s:]{1,200}", "a name without a colon")] | None = Field(
        None, description="as whom the image is pulled, where its registry asks for a name"
    )
    registry_password: Annotated[Secret, BeforeValidator(_password)] | None = Field(
        None, exclude=True, description="the password or token; on the server for the time of the pull alone"
    )
    dockerfile: str | None = Field(None, description="the app's own Dockerfile if it has one, else Portside's")
    python: Annotated[str, _matching(r"3\.\d{1,2}", "a version such as 3.13")] | None = Field(
        None, description="for Portside's Dockerfile; from the project, else 3.13"
    )
    apt: Annotated[
        tuple[Annotated[str, _matching(r"[a-z0-9][a-z0-9.+-]*", "Debian packages, comma-separated")], ...],
        BeforeValidator(_comma),
    ] = Field((), description="extra Debian packages, for Portside's Dockerfile")
    pip: Annotated[
        tuple[Annotated[str, _matching(r"[A-Za-z0-9][\w.\[\]<>=!~-]*", "Python packages, comma-separated")], ...],
        BeforeValidator(_comma),
    ] = Field((), description="extra Python packages, for Portside's Dockerfile")
    build_args: Names = Field((), description="names of build arguments, taken from .env")
    build_secrets: Names = Field((), description="names of build secrets (BuildKit), taken from .env")
    build_ca: str | None = Field(None, description="a CA bundle for the build")
    pip_index: Annotated[str, _matching(r"https?://[!-~]+", "the http(s) address of a package index")] | None = Field(
        None, description="a package index for the build"
    )
    files: Annotated[tuple[PathPair, ...], BeforeValidator(_comma)] = Field(
        (), description="LOCAL:PATH, comma-separated: more files for the image"
    )
    application: Annotated[str, _matching(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "module:callable")] | None = Field(
        None, description="module:callable, WSGI or ASGI; Django's WSGI_APPLICATION if not given"
    )
    worker_class: Annotated[str, _matching(r"[A-Za-z_][\w.]*", "one of Gunicorn's worker classes")] = Field(
        "gthread", description="Gunicorn's worker class"
    )
    workers: int | None = Field(
        None, ge=1, le=256, description="Gunicorn's workers in a web container; by the server's cores if not given"
    )
    threads: int | None = Field(None, ge=1, le=256, description="Gunicorn's threads a worker")
    memory: Annotated[str, _matching(r"[1-9]\d*[kmg]", "a size such as 512m or 2g")] | None = Field(
        None, description="memory limit of a web container"
    )
    cpus: float | None = Field(None, ge=0.01, le=1024, description="limit of a web container, in cores")
    ports: Annotated[str, _matching(r"\d{4,5}-\d{4,5}", "a range such as 8100-8999")] = Field(
        "8100-8999", description="where the local ports are taken from"
    )
    replicas: int = Field(1, ge=1, le=64, description="web containers behind the upstream")
    upstream: Annotated[str, _matching(r"socket|port", "socket or port")] = Field(
        "socket", description="how Nginx reaches Gunicorn: by its unix sockets, or by its local ports"
    )
    protocol: Annotated[str, _matching(r"http|uwsgi", "http or uwsgi")] = Field(
        "http", description="spoken between Nginx and Gunicorn: http or uwsgi"
    )
    volumes: Annotated[tuple[Volume, ...], BeforeValidator(_comma)] = Field(
        (), description="NAME:PATH: folders shared by all releases, like media but not served"
    )
    collectstatic: Switch = Field(
        True, description="off for an app that has no STATIC_ROOT or ships its files collected"
    )
    database: Annotated[str, BeforeValidator(_database)] = Field(
        "postgres:17", description="the database's image; external (DATABASE_URL says where); none"
    )
    database_port: int | None = Field(
        None, ge=1024, le=65535, description="also publish the database on 127.0.0.1 here"
    )
    before: str | None = Field(None, description="command in the new release before the switch")
    after: str | None = Field(None, description="command in the new release after the switch")
    health_path: Annotated[str, _matching(r"/[A-Za-z0-9._~/?=&%+-]*", "a path such as /healthz")] = Field(
        "/", description="asked with the canonical Host; any answer below 400 is well"
    )
    health_timeout: int = Field(60, ge=1, le=3600, description="seconds until a release must be healthy")
    drain: int = Field(30, ge=0, le=3600, description="seconds that old connections are given")
    keep: int = Field(5, ge=2, le=100, description="releases kept")
    max_body: Annotated[str, _matching(r"\d+[kmg]?", "a size such as 75m")] = Field("75m", description="largest upload")
    acme_email: Annotated[str, _matching(_MAIL, "an address such as me@example.com")] | None = Field(
        None, description="whom the certificate authority may write to"
    )
    acme_server: Annotated[str, _matching(_DIRECTORY, "the https address of a directory")] | None = Field(
        None, description="another authority's ACME directory; Let's Encrypt's if not given"
    )
    acme_ca: str | None = Field(None, description="a CA bundle (PEM) to trust for that directory")
    acme_eab_kid: Annotated[str, _matching(r"[\w.=+/-]+", "letters, digits, - and _")] | None = Field(
        None, description="external account binding: the key's identifier, where the authority asks for one"
    )
    acme_eab_hmac_key: Annotated[Secret, BeforeValidator(_secret)] | None = Field(
        None, exclude=True, description="external account binding: the key"
    )
    acme_dns: Annotated[str, _matching(r"[a-z0-9][a-z0-9-]{0,40}", "a plugin such as cloudflare or rfc2136")] | None = (
        Field(None, description="prove names by their DNS, by this plugin of certbot's: wildcards need it")
    )
    acme_dns_credentials: str | None = Field(
        None, description="the plugin's credentials: a file, which goes to the server for root alone to read"
    )
    acme_dns_seconds: int | None = Field(
        None, ge=0, le=3600, description="until all name servers have the proof; the plugin's own if not given"
    )
    tls_cert: str | None = Field(
        None, description="a certificate of your own instead (PEM): the site's, then those of its issuers"
    )
    tls_key: str | None = Field(None, description="its private key (PEM)")
    hsts: int = Field(
        63072000, ge=0, description="seconds for which browsers remember to use HTTPS; 0: they aren't told"
    )
    http3: Switch = Field(
        False, description="HTTP/3 beside HTTP/2, by UDP port 443: where the server's Nginx can, once there is HTTPS"
    )
    basic_auth: Annotated[
        tuple[Annotated[tuple[str, Secret], BeforeValidator(_user)], ...], BeforeValidator(_comma)
    ] = Field((), exclude=True, description="user:password, comma-separated: who may see the site; stored hashed")
    allow: Networks = Field((), description="addresses and networks (CIDR) that alone may see the site")
    deny: Networks = Field((), description="addresses and networks (CIDR) that may not")
    rate_limit: Annotated[str, _matching(r"[1-9]\d{0,5}r/[sm]", "a rate such as 20r/s or 60r/m")] | None = Field(
        None, description="requests of one address to the application; as many at once; more are answered 429"
    )
    cache: Annotated[str, _matching(r"[1-9]\d{0,4}[smh]", "a time such as 10s")] | None = Field(
        None, description="how long Nginx keeps answers for visitors without cookies"
    )
    nginx_include: str | None = Field(None, description="a file of yours, put into the site's server block")
    real_ip: Networks = Field(
        (), description="proxies in front (CIDR) whose X-Forwarded-For tells the visitor's address"
    )
    block_agents: Annotated[
        tuple[
            Annotated[str, _matching(r"\w([\w ./-]*\w)?", "words such as GPTBot, comma-separated")],
            ...,
        ],
        BeforeValidator(_comma),
    ] = Field((), description="whole words of what a client calls itself: such crawlers get no answer")
    firewall: Switch = Field(True, description="ufw: sshd's own port, 80 and 443; off leaves it alone")

    processes: Mapping[str, str] = Field(
        {}, description="another process of the same image, e.g. a queue worker: its command, a shell line"
    )
    env: Mapping[str, Secret] = Field(exclude=True, description="the application's environment")
    dotenv: Dotenv = Field(exclude=True, description="where all this was read")

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read and check a site's settings. Raises Refused with every fault at once."""
        dotenv = environment.read(path)
        steer = {name.removeprefix(PREFIX): v for name, v in dotenv.values.items() if name.startswith(PREFIX)}
        env = {name: value for name, value in dotenv.values.items() if not name.startswith(PREFIX)}
        faults = [*dotenv.faults, *_unknown(steer), *_same_process(steer)]
        faults += _of_no_use(steer) if _is_static(steer) else _secrets_missing(steer, env)
        fields = {name.lower(): value.reveal() for name, value in steer.items() if name.lower() in cls.known()}
        given = {name: value for name, value in fields.items() if value != ""}
        given.setdefault("site", _site_name(path))
        try:
            settings = cls(**given, processes=_processes(steer), env=env, dotenv=dotenv)  # type: ignore[arg-type]
            faults += _missing_names(settings)
        except ValidationError as error:
            faults += dict.fromkeys(_sentence(detail) for detail in _first_of_each(error.errors()))
        if faults:
            there = f"Mend {path}" if path.exists() else f"There is no {path}: type fab init to make one,"
            raise Refused("\n".join(faults), hint=f"{there} and type the same command again.")
        return settings

    @classmethod
    def known(cls) -> set[str]:
        """Fields that are a ``DEPLOY_`` setting."""
        return set(cls.model_fields) - {*FAMILIES, "env", "dotenv"}

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        """What no single setting can check."""
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"DEPLOY_DOMAINS and DEPLOY_REDIRECT_DOMAINS name {', '.join(twice)} more than once")
        first, last = self.port_range
        if not 1024 <= first <= last <= 65535:
            raise ValueError("DEPLOY_PORTS should be a range within 1024-65535, the lower port first")
        if last - first + 1 < 2 * self.replicas:
            raise ValueError("DEPLOY_PORTS should be two for each of DEPLOY_REPLICAS: for a moment two releases run")
        places = [volume.split(":", 1) for volume in self.volumes]
        for what, given in (("name", [name for name, _ in places]), ("path", [path for _, path in places])):
            if len(set(given)) < len(given):
                raise ValueError(f"DEPLOY_VOLUMES has the same {what} twice")
        if bad := [path for _, path in places if reserved(path)]:
            raise ValueError(f"DEPLOY_VOLUMES: {', '.join(bad)} can't be a folder of data: choose one below /data")
        pairs = (("tls_cert", "tls_key"), ("acme_eab_kid", "acme_eab_hmac_key"), ("registry_user", "registry_password"))
        for one, other in pairs:
            if bool(getattr(self, one)) != bool(getattr(self, other)):
                raise ValueError(f"DEPLOY_{one.upper()} and DEPLOY_{other.upper()} belong together: set both or none")
        if self.protocol == "uwsgi" and self.asynchronous:
            raise ValueError("DEPLOY_PROTOCOL=uwsgi can't carry what an ASGI worker is for: leave it at http")
        _check_build(self)
        _check_wildcards(self)
        _check_dns(self)
        if self.nginx_include:
            _check_include(self.folder / self.nginx_include)
        if self.database == "external" and not self.env.get("DATABASE_URL"):
            raise ValueError("DATABASE_URL is missing: DEPLOY_DATABASE=external needs it to say where the database is")
        return self

    @property
    def canonical(self) -> str:
        return self.domains[0]

    @property
    def port_range(self) -> tuple[int, int]:
        first, last = self.ports.split("-")
        return int(first), int(last)

    @property
    def health_location(self) -> str:
        """The health check's path where it is its own, so that it can be treated unlike the rest; else empty."""
        path = self.health_path.partition("?")[0]
        return "" if path == "/" else path

    @property
    def asynchronous(self) -> bool:
        """Whether the application is served as ASGI."""
        return self.worker_class == "asgi" or "uvicorn" in self.worker_class

    @property
    def containers(self) -> bool:
        """Whether the site is an application, which runs in containers; a folder of files needs none."""
        return self.kind != "static"

    @property
    def pulls(self) -> bool:
        """Whether the application's image is pulled rather than built."""
        return self.build not in {"server", "local"}

    @property
    def own_database(self) -> bool:
        """Whether Portside runs the database."""
        return self.containers and self.database not in {"external", "none"}

    @property
    def folder(self) -> Path:
        """The folder that relative paths of the settings start from: that of the .env file."""
        return self.dotenv.path.resolve().parent

    @property
    def names(self) -> tuple[str, ...]:
        """Every host name of the site, the canonical one first."""
        return self.domains + self.redirect_domains

    def fingerprint(self) -> str:
        """A hash of everything here that makes one release differ from another. Tells nothing of the values."""
        not_its_own = {"keep", "drain", "upstream", "dotenv", "env", *_OF_THE_SERVER}
        steer = self.model_dump(mode="json", exclude=not_its_own)
        values = {name: value.reveal() for name, value in self.env.items()}
        return sha256(json.dumps([steer, values], sort_keys=True).encode()).hexdigest()


# What concerns Nginx, certificates and the firewall, and no release.
_OF_THE_SERVER = {
    "registry_user", "redirect_domains", "max_body", "firewall", "acme_email", "acme_server", "acme_ca", "acme_eab_kid",
    "acme_eab_hmac_key", "acme_dns", "acme_dns_credentials", "acme_dns_seconds", "tls_cert", "tls_key", "hsts", "http3",
    "basic_auth", "allow", "deny", "rate_limit", "cache", "nginx_include", "real_ip", "block_agents",
}  # fmt: skip


# What a folder of files has a use for. Whatever else is set for one is refused: nobody is to believe it is in force.
_OF_A_FOLDER = {
    "site", "kind", "domains", "redirect_domains", "app", "health_path", "keep", "firewall", "acme_email",
    "acme_server", "acme_ca", "acme_eab_kid", "acme_eab_hmac_key", "acme_dns", "acme_dns_credentials",
    "acme_dns_seconds", "tls_cert", "tls_key", "hsts", "http3", "basic_auth", "allow", "deny", "nginx_include",
    "real_ip", "block_agents",
}  # fmt: skip


# What says how an image is built, and means nothing to one that is there already.
_OF_A_BUILD = ("dockerfile", "python", "apt", "pip", "build_args", "build_secrets", "build_ca", "pip_index")


def _check_build(settings: Settings) -> None:
    """Raises ValueError where something is set that would have no effect on the image."""
    if settings.pulls:
        useless = [f"DEPLOY_{name.upper()}" for name in _OF_A_BUILD if getattr(settings, name)]
        if useless:
            raise ValueError(f"DEPLOY_BUILD names an image, for which {', '.join(useless)} can do nothing")
    elif settings.registry_user:
        raise ValueError("DEPLOY_REGISTRY_USER is for an image to pull: DEPLOY_BUILD names none")


# Plugins of certbot's that can find credentials on the server, or need none where the machine itself is trusted.
_DNS_BY_ITSELF = {"google", "route53"}


def _check_wildcards(settings: Settings) -> None:
    """Raises ValueError where a wildcard stands that can't: no authority issues one but by DNS."""
    if is_wildcard(settings.canonical):
        raise ValueError(f"DEPLOY_DOMAINS: {settings.canonical} can't be the first, which links and checks name")
    given = [name for name in settings.names if is_wildcard(name)]
    if given and not settings.acme_dns and not settings.tls_cert:
        raise ValueError(f"{', '.join(given)} needs DEPLOY_ACME_DNS: certificates for wildcards are proved by DNS")


def _check_dns(settings: Settings) -> None:
    """Raises ValueError where what the certificate authority's DNS proof needs doesn't belong together."""
    plugin, credentials = settings.acme_dns, settings.acme_dns_credentials
    if not plugin and (credentials or settings.acme_dns_seconds is not None):
        raise ValueError("DEPLOY_ACME_DNS is missing, without which its credentials and seconds mean nothing")
    if plugin and not credentials and plugin not in _DNS_BY_ITSELF:
        raise ValueError(f"DEPLOY_ACME_DNS_CREDENTIALS is missing, which {plugin} needs to write into your DNS")
    if plugin == "route53" and credentials:
        raise ValueError(
            "DEPLOY_ACME_DNS_CREDENTIALS: route53 takes no file; on the server it reads /root/.aws/credentials, or is "
            "trusted by the instance's role"
        )


def is_wildcard(name: str) -> bool:
    return name.startswith("*.")


def contents(settings: Settings, field: str) -> bytes:
    """The file that a setting names. Raises Refused."""
    try:
        return (settings.folder / str(getattr(settings, field))).read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Refused(
            f"{PREFIX}{field.upper()}: {getattr(settings, field)} can't be read: {why}.", state="Nothing was changed."
        ) from error


# Comments and quotes begin where a word does; anywhere else they are letters.
# https://github.com/nginx/nginx/blob/master/src/core/ngx_conf_file.c
NGINX_TOKEN = re.compile(r"""(?<![^\s;{}])(?:\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\$\{|\\.|[{}]""", re.DOTALL)


LISTEN = re.compile(r"(?:^|[;{}])\s*listen\s")


def _check_include(path: Path) -> None:
    """Raises ValueError where the file isn't there, has a brace that would end the server block it stands in, or says
    where Nginx listens: visitors who come to an address that one site names are kept from all the others."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"DEPLOY_NGINX_INCLUDE can't be read: {error}") from None
    depth = 0
    for token in NGINX_TOKEN.findall(text):
        depth += {"{": 1, "${": 1, "}": -1}.get(token, 0)
        if depth < 0:
            break
    if depth:
        raise ValueError(f"DEPLOY_NGINX_INCLUDE: in {path.name} the braces {{ }} don't match")
    if LISTEN.search(NGINX_TOKEN.sub(lambda token: token.group() if token.group() in {"{", "}"} else " ", text)):
        raise ValueError(f"DEPLOY_NGINX_INCLUDE: listen in {path.name} could take other sites' visitors: take it out")


def _site_name(path: Path) -> str:
    """The site's name, from the name of the folder that holds the .env file."""
    name = re.sub(r"[^a-z0-9]+", "-", path.resolve().parent.name.lower()).strip("-")
    return re.sub(r"^[^a-z]+", "", name)[:31].rstrip("-") or "site"


def _unknown(steer: Mapping[str, Secret]) -> list[str]:
    return [fault for name, value in steer.items() if (fault := _unknown_name(name, value.reveal()))]


def _unknown_name(name: str, value: str) -> str:
    if name.lower() in Settings.known():
        return ""
    if name.startswith(PROCESS):
        good = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]{0,30}", name.removeprefix(PROCESS))
        return "" if good else f"DEPLOY_{name}: a process is named by letters, digits and _, at most 31."
    if name in PLANNED or name.startswith(PLANNED_FAMILIES):
        ignorable = value in {"", PLANNED.get(name)}
        return "" if ignorable else f"DEPLOY_{name} isn't built yet in this version of Portside: take it out for now."
    known = [*(field.upper() for field in Settings.known()), *PLANNED]
    close = difflib.get_close_matches(name, known, n=1)
    return f"DEPLOY_{name} is no setting" + (f"; did you mean DEPLOY_{close[0]}?" if close else ".")


def _processes(steer: Mapping[str, Secret]) -> dict[str, str]:
    """What DEPLOY_PROCESS_<NAME> say: names as containers have them, and shell lines."""
    lines = {_process(name): value.reveal() for name, value in sorted(steer.items()) if name.startswith(PROCESS)}
    return {name: line for name, line in lines.items() if line.strip()}


def _process(name: str) -> str:
    return name.removeprefix(PROCESS).lower().replace("_", "-")


def _same_process(steer: Mapping[str, Secret]) -> list[str]:
    named = [_process(name) for name in steer if name.startswith(PROCESS)]
    return [f"Several of DEPLOY_{PROCESS}* name the process {name}." for name in set(named) if named.count(name) > 1]


def _is_static(steer: Mapping[str, Secret]) -> bool:
    return "KIND" in steer and steer["KIND"].reveal() == "static"


def _of_no_use(steer: Mapping[str, Secret]) -> list[str]:
    """What is set for a folder of files and only an application has a use for."""
    harmless = {"DATABASE": {"none", Settings.model_fields["database"].default}, "BUILD": {"server"}}
    return [
        f"DEPLOY_{name}: a static site has no use for it: take it out."
        for name, value in steer.items()
        if _of_an_application(name) and value.reveal().strip() not in harmless.get(name, set()) | {""}
    ]


def _of_an_application(name: str) -> bool:
    return name.lower() in Settings.known() - _OF_A_FOLDER or name.startswith(PROCESS)


def _secrets_missing(steer: Mapping[str, Secret], env: Mapping[str, Secret]) -> list[str]:
    """SECRET_KEY and, where Portside runs the database, POSTGRES_PASSWORD have no default that would be safe."""
    elsewhere = "DATABASE" in steer and steer["DATABASE"].reveal() in {"external", "none"}
    needed = ["SECRET_KEY"] if elsewhere else ["SECRET_KEY", "POSTGRES_PASSWORD"]
    missing = [name for name in needed if name not in env or not env[name].reveal()]
    return [f"{name} is missing: fab init makes a .env with one generated." for name in missing]


def _missing_names(settings: Settings) -> list[str]:
    """Build arguments and secrets that name a variable which isn't there."""
    wanted = {"DEPLOY_BUILD_ARGS": settings.build_args, "DEPLOY_BUILD_SECRETS": settings.build_secrets}
    return [
        f"{setting} names {name}, which isn't in the environment file."
        for setting, names in wanted.items()
        for name in names
        if name not in settings.env
    ]


def _first_of_each(details: list[Any]) -> list[Any]:
    """Drop "too short" where the parts themselves were at fault: it would only confuse."""
    at_fault = {detail["loc"][0] for detail in details if len(detail["loc"]) > 1}
    return [d for d in details if not (d["type"] == "too_short" and d["loc"][0] in at_fault)]


def _sentence(detail: Any) -> str:
    """One pydantic error as a sentence that begins with the variable's name."""
    message = re.sub(r"^Value error, ", "", str(detail["msg"]))
    if not detail["loc"]:
        return f"{message}."
    name = PREFIX + str(detail["loc"][0]).upper()
    if detail["type"] == "missing" or detail["type"] == "too_short":
        return f"{name} is missing: {Settings.model_fields[str(detail['loc'][0])].description}."
    return f"{name}: {message}."

"""Facts: the parsed state of the server, read by ``remote/facts.sh`` in one round trip."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

_ARCHITECTURES = {"armhf": "arm/v7", "armel": "arm/v5", "i386": "386", "ppc64el": "ppc64le"}  # others have one name
_UNITS = {"": 1e-6, "k": 1e-3, "M": 1, "G": 1e3, "T": 1e6}
RELEASE = re.compile(r"\d{8}-\d{6}-[0-9a-f]{7}")


@dataclass(frozen=True)
class Listener:
    """A listening port. ``process``: the name of the program, or empty."""

    protocol: str
    address: str
    port: int
    process: str

    @property
    def public(self) -> bool:
        """Whether other machines can reach it."""
        return not (self.address.startswith("127.") or self.address in {"::1", "::ffff:127.0.0.1"})


@dataclass(frozen=True)
class FileFact:
    """Mode and owner of a file as numbers, and the SHA-256 of its content (``-`` for a folder)."""

    mode: int
    owner: str
    sha256: str


@dataclass(frozen=True)
class Container:
    """A container of this site, running or not."""

    name: str
    state: str
    healthy: bool
    role: str
    release: str
    image: str
    ports: str
    status: str = ""
    process: str = ""
    part: str = ""  # its service in the compose file

    @property
    def service(self) -> str:
        """The name for ``fab logs``: that of its process, db, or web."""
        return self.process or self.role


@dataclass(frozen=True)
class Restarted:
    """A container that exited and was restarted. ``seconds``: since the last restart; -1 if it is about to happen.
    ``log``: its last lines; ``command``: what runs in the container."""

    name: str
    count: int
    seconds: int
    log: tuple[str, ...]
    command: str


def version(text: str) -> tuple[int, ...]:
    """Return the numbers of the first version in ``text``: (1, 26, 3) for ``nginx/1.26.3``; () if there is none."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")


def _record(text: str) -> dict[str, Any]:
    """Return a JSON object given in base64; a truncated one counts as absent."""
    try:
        return _object(_decoded(text))
    except ValueError:
        return {}


def _object(text: str) -> dict[str, Any]:
    """Return a JSON object; one that a full disk has truncated counts as absent."""
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _others(text: str) -> dict[str, set[str]]:
    """Return the domains of the other sites. ``text``: their records in base64, each below a line ``==> PATH <==``."""
    _, *parts = re.split(r"^==> .*/([^/]+)/site\.json <==$", _decoded(text), flags=re.MULTILINE)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {name: set(_object(record).get("domains", [])) for name, record in pairs}


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        first, _, second = line.partition(" ")
        yield first, second


def _sums(lines: Iterable[str]) -> dict[str, str]:
    """``SHA256 PATH``"""
    return {path: digest for digest, path in _pairs(lines)}


def _releases(lines: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return releases and their records. A folder with any other name isn't Portside's."""
    return {name: _record(record) for name, record in _pairs(lines) if RELEASE.fullmatch(name)}


def _of_releases(images: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in images if RELEASE.fullmatch(name.rpartition(":")[2]))


def _sizes(lines: Iterable[str]) -> dict[str, int]:
    """Parse ``TAG 206MB`` lines: the size of each release's image, in MB."""
    return {tag: megabytes(size) for tag, size in _pairs(lines)}


def megabytes(text: str) -> int:
    """Convert a size as Docker prints it, such as ``1.2GB``, to MB; 0 for anything else."""
    found = re.fullmatch(r"([\d.]+)([kMGT]?)B", text)
    return int(float(found[1]) * _UNITS[found[2]]) if found else 0


def _rule(line: str) -> str:
    """Convert ``allow 443/udp comment=48656c6c6f`` to the form in which ufw prints it."""
    rule, _, comment = line.partition(" comment=")
    return f"{rule} comment '{bytes.fromhex(comment).decode(errors='replace')}'" if comment else rule


def _files(lines: Iterable[str]) -> dict[str, FileFact]:
    """``644 0:0 SHA256 PATH``"""
    parts = (line.split(" ", 3) for line in lines)
    return {path: FileFact(int(mode, 8), owner, sha) for mode, owner, sha, path in parts}


def _listener(line: str) -> Listener:
    """``tcp 0.0.0.0:80 users:(("nginx",pid=1,fd=6))``"""
    protocol, address, *process = line.split(" ", 2)
    host, _, port = address.rpartition(":")
    name = re.search(r'\(\("([^"]+)"', " ".join(process))
    host = host.split("%")[0].strip("[]")
    return Listener(protocol, host, int(port), name.group(1) if name else "")


def _container(line: str) -> Container:
    """Parse a line of ``docker ps`` in JSON."""
    data: dict[str, str] = json.loads(line)
    labels = dict(part.partition("=")[::2] for part in data.get("Labels", "").split(","))
    return Container(
        name=data["Names"],
        state=data.get("State", ""),
        healthy="(healthy)" in data.get("Status", ""),
        role=labels.get("portside.role", ""),
        release=labels.get("portside.release", ""),
        image=data.get("Image", ""),
        ports=data.get("Ports", ""),
        status=data.get("Status", ""),
        process=labels.get("portside.process", ""),
        part=labels.get("com.docker.compose.service", ""),
    )


def _restarted(line: str) -> Restarted:
    """Parse ``COUNT SECONDS NAME LOG COMMAND``: the log in base64, the command as a JSON list. Its last word is
    shown."""
    count, seconds, name, log, command = line.split(" ", 4)
    words = json.loads(command) or [""]
    shown = tuple(part for part in _decoded(log).splitlines() if part.strip())
    return Restarted(name, int(count), int(seconds), shown, str(words[-1]).removeprefix("exec "))


def _one(key: str, read: Callable[[str], object] = str) -> Any:
    """A fact that ``facts.sh`` prints on one line. ``read`` converts its text, which is empty if there is no line."""
    return field(metadata={"key": key, "read": lambda lines: read(lines[0] if lines else "")})


def _all(key: str, read: Callable[[list[str]], object] = tuple) -> Any:
    """A fact that ``facts.sh`` prints on any number of lines."""
    return field(metadata={"key": key, "read": read})


def _each(read: Callable[[str], object]) -> Callable[[list[str]], object]:
    return lambda lines: tuple(read(line) for line in lines)


def _is(word: str) -> Callable[[str], bool]:
    return lambda text: text == word


def _number(without: int) -> Callable[[str], int]:
    return lambda text: int(text or without)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _without_v(text: str) -> str:
    return text.lstrip("v")


@dataclass(frozen=True)
class Facts:
    """The state of the server. A value that is absent is empty, never None.

    Host:

    - ``written``: checksums of the host's files when Portside wrote them, if recorded
    - ``ufw_ours``: Portside enabled the firewall
    - ``disabled``: Portside's units that don't start at boot
    - ``portside``: the newest version of Portside that has worked on the host

    Nginx and certificates:

    - ``nginx_written``: checksums of the live generation's files when Portside wrote them, if recorded
    - ``nginx_settings``: the settings that the site's Nginx file was made from, as it says itself (config/recorded.py)
    - ``certificate``: what Nginx reads (PEM); ``certificate_kind``: issued or own
    - ``issued``: certbot's latest certificate for the site (PEM), from the directory ``issued_by``, validated by the
      authenticator ``issued_how``
    - ``renewal_failed``: when the last renewal failed; empty if it didn't
    - ``answer``: the status of Nginx's answer at the path where the live release was found healthy; 000: timeout

    Site:

    - ``held``: who holds the lock
    - ``there``: the site has a folder
    - ``last``: who changed the release or the settings last, from the history
    - ``closed_for``: yes if a user closed the site; otherwise the task that has closed it for now
    - ``removing``: the final backup of the site while it is being removed
    - ``kept``: the folders of the site's final backups, oldest first
    - ``image_sizes``: in MB, by release, for images on the server; ``static_mb``: of the live release

    Database:

    - ``data_volume``: yes if its volume holds a database; new if that isn't the database that was ready first; empty if
      there is none
    - ``data_lacking``: missing data folders that the live release mounts
    - ``migrating``: the last migration was interrupted
    - ``last_dump``: the newest dump, with its time; ``database_mb``: the size of the live release's database
    """

    os_id: str = _one("os.id")
    os_version: str = _one("os.version")
    os_name: str = _one("os.name")
    clock: str = _one("clock")
    architecture: str = _one("arch")
    cores: int = _one("cores", _number(1))
    disk_mb: int = _one("disk", _number(0))
    memory_mb: int = _one("memory", _number(0))
    swap_mb: int = _one("swap", _number(0))
    ipv6: bool = _one("ipv6", _is("yes"))
    systemd: bool = _one("systemd", _is("yes"))
    ssh_port: int = _one("ssh.port", _number(22))
    portside: str = _one("portside.version")
    packages: frozenset[str] = _all("package", frozenset)
    listeners: tuple[Listener, ...] = _all("listener", _each(_listener))
    ufw: str = _one("ufw")
    ufw_rules: tuple[str, ...] = _all("ufw.rule", _each(_rule))
    ufw_ours: bool = _one("ufw.ours", _is("yes"))
    docker_version: str = _one("docker.version")
    compose_version: str = _one("docker.compose", _without_v)
    buildx_version: str = _one("docker.buildx", _without_v)
    disabled: tuple[str, ...] = _all("unit.disabled")
    live_restore: bool = _one("docker.live-restore", _is("true"))
    swarm: str = _one("docker.swarm")
    daemon_json: str = _one("docker.json", _decoded)
    nginx_version: str = _one("nginx.version", _decoded)
    nginx_active: bool = _one("nginx.active", _is("active"))
    nginx_broken: str = _one("nginx.broken", _decoded)
    nginx_conf: str = _one("nginx.conf")
    nginx_generation: str = _one("nginx.generation")
    nginx_files: dict[str, str] = _all("nginx.file", _sums)
    nginx_written: dict[str, str] = _all("nginx.written", _sums)
    nginx_settings: tuple[str, ...] = _one("nginx.settings", _words)
    nginx_default: str = _one("nginx.default")
    nginx_default_servers: tuple[str, ...] = _all("nginx.default_server")
    certificate: str = _one("tls.live", _decoded)
    certificate_kind: str = _one("tls.kind")
    issued: str = _one("tls.issued", _decoded)
    issued_by: str = _one("tls.authority")
    renewal_timer: bool = _one("renewal.timer", _is("active"))
    renewal_failed: str = _one("renewal.failed")
    last_dump: str = _one("site.dump")
    issued_how: str = _one("tls.authenticator")
    record: dict[str, Any] = _one("site.record", _record)
    last: dict[str, Any] = _one("site.last", _object)
    current: str = _one("site.current")
    closed: bool = _one("site.closed", bool)
    closed_for: str = _one("site.closed")
    held: str = _one("site.held")
    migrating: bool = _one("site.migrating", _is("yes"))
    there: bool = _one("site.there", _is("yes"))
    data_volume: str = _one("data.volume")
    data_lacking: tuple[str, ...] = _all("data.lacking")
    answer: str = _one("site.answer")
    removing: str = _one("site.removing")
    kept: tuple[str, ...] = _all("site.kept")
    releases: dict[str, dict[str, Any]] = _all("release", _releases)
    pending: dict[str, dict[str, Any]] = _all("release.pending", _releases)
    containers: tuple[Container, ...] = _all("container", _each(_container))
    restarted: tuple[Restarted, ...] = _all("container.restarted", _each(_restarted))
    images: tuple[str, ...] = _all("image", _of_releases)
    images_known: bool = _one("images.known", _is("yes"))
    image_sizes: dict[str, int] = _all("image.size", _sizes)
    database_mb: int = _one("database.size", _number(0))
    static_mb: int = _one("static.size", _number(0))
    files: dict[str, FileFact] = _all("file", _files)
    written: dict[str, str] = _all("file.written", _sums)
    other_sites: dict[str, set[str]] = _one("site.others", _others)

    @classmethod
    def parse(cls, text: str) -> Facts:
        """Parse the output of ``facts.sh``. Raises ValueError if a line can't be read."""
        values: dict[str, list[str]] = {}
        for line in text.splitlines():
            key, tab, value = line.partition("\t")
            if tab:
                values.setdefault(key, []).append(value)
        metadata = {fact.name: fact.metadata for fact in fields(cls)}
        return cls(**{name: fact["read"](values.get(fact["key"], [])) for name, fact in metadata.items()})

    def masked(self, mask: Callable[[str], str]) -> Facts:
        """Return these facts with secrets masked in the quoted output of containers."""
        quoted = [replace(each, log=tuple(map(mask, each.log)), command=mask(each.command)) for each in self.restarted]
        return replace(self, restarted=tuple(quoted))

    @property
    def platform(self) -> str:
        """The platform that images for this server are built for, in Docker's words: linux/amd64."""
        return f"linux/{_ARCHITECTURES.get(self.architecture, self.architecture)}"

    def role(self, role: str, release: str = "") -> list[Container]:
        """Return the site's containers with this role; only those of ``release`` if given."""
        return [c for c in self.containers if c.role == role and (not release or c.release == release)]

    def running(self, role: str, release: str) -> int:
        """Return the number of running containers with this role of a release."""
        return sum(c.state == "running" for c in self.role(role, release))

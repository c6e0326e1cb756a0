"""Facts: the parsed state of the server, read by ``remote/facts.sh`` in one round trip."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_ARCHITECTURES = {"armhf": "arm/v7", "armel": "arm/v5", "i386": "386", "ppc64el": "ppc64le"}  # others have one name
RELEASE = re.compile(r"\d{8}-\d{6}-[0-9a-f]{7}")


@dataclass(frozen=True)
class Listener:
    """Something that listens. ``process`` is its program's name, or empty."""

    protocol: str
    address: str
    port: int
    process: str

    @property
    def public(self) -> bool:
        """Whether it can be reached from beyond the machine."""
        return not (self.address.startswith("127.") or self.address in {"::1", "::ffff:127.0.0.1"})


@dataclass(frozen=True)
class FileFact:
    """Mode and owner as numbers, and the SHA-256 of a file's content (``-`` for a folder)."""

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


@dataclass(frozen=True)
class Facts:
    """What is so on the server. Absent things are empty, never None.

    ``written``: of the host's files, ``nginx_written``: of the live generation's, the sums they had when they were
    written, as far as that was noted; ``ufw_ours``: the firewall was switched on on Portside's account.
    ``certificate``: what Nginx reads (PEM); ``certificate_kind``: issued or own; ``issued``: certbot's latest for the
    site (PEM), from the directory ``issued_by``, proved by the authenticator ``issued_how``. ``renewal_failed``: when,
    if the last renewal did. ``last_dump``: the newest dump of the database, with its time. ``held``: who is at work on
    the site. ``there``: the site has a folder; ``removing``: its final backup while it is being taken away; ``kept``:
    the folders of its final backups, the oldest first.
    """

    os_id: str
    os_version: str
    os_name: str
    clock: str
    architecture: str
    cores: int
    disk_mb: int
    ipv6: bool
    systemd: bool
    ssh_port: int
    packages: frozenset[str]
    listeners: tuple[Listener, ...]
    ufw: str
    ufw_rules: tuple[str, ...]
    ufw_ours: bool
    docker_version: str
    compose_version: str
    buildx_version: str
    live_restore: bool
    daemon_json: str
    nginx_version: str
    nginx_active: bool
    nginx_broken: str
    nginx_conf: str
    nginx_generation: str
    nginx_files: dict[str, str]
    nginx_written: dict[str, str]
    nginx_default: str
    nginx_default_servers: tuple[str, ...]
    certificate: str
    certificate_kind: str
    issued: str
    issued_by: str
    renewal_timer: bool
    renewal_failed: str
    last_dump: str
    issued_how: str
    record: dict[str, Any]
    current: str
    closed: bool
    held: str
    there: bool
    removing: str
    kept: tuple[str, ...]
    releases: dict[str, dict[str, Any]]
    pending: dict[str, dict[str, Any]]
    containers: tuple[Container, ...]
    images: tuple[str, ...]
    files: dict[str, FileFact]
    written: dict[str, str]
    other_sites: dict[str, set[str]]

    @classmethod
    def parse(cls, text: str) -> Facts:
        """Facts from the lines of ``facts.sh``. Raises ValueError on what it can't read."""
        lines = [line.split("\t", 1) for line in text.splitlines() if "\t" in line]
        many: dict[str, list[str]] = {}
        for key, value in lines:
            many.setdefault(key, []).append(value)

        def one(key: str) -> str:
            return many.get(key, [""])[0]

        return cls(
            os_id=one("os.id"),
            os_version=one("os.version"),
            os_name=one("os.name"),
            clock=one("clock"),
            architecture=one("arch"),
            cores=int(one("cores") or 1),
            disk_mb=int(one("disk") or 0),
            ipv6=one("ipv6") == "yes",
            systemd=one("systemd") == "yes",
            ssh_port=int(one("ssh.port") or 22),
            packages=frozenset(many.get("package", [])),
            listeners=tuple(_listeners(many.get("listener", []))),
            ufw=one("ufw"),
            ufw_rules=tuple(map(_rule, many.get("ufw.rule", []))),
            ufw_ours=one("ufw.ours") == "yes",
            docker_version=one("docker.version"),
            compose_version=one("docker.compose").lstrip("v"),
            buildx_version=one("docker.buildx").lstrip("v"),
            live_restore=one("docker.live-restore") == "true",
            daemon_json=_decoded(one("docker.json")),
            nginx_version=_decoded(one("nginx.version")),
            nginx_active=one("nginx.active") == "active",
            nginx_broken=_decoded(one("nginx.broken")),
            nginx_conf=one("nginx.conf"),
            nginx_generation=one("nginx.generation"),
            nginx_files={path: digest for digest, path in _pairs(many.get("nginx.file", []))},
            nginx_written={path: digest for digest, path in _pairs(many.get("nginx.written", []))},
            nginx_default=one("nginx.default"),
            nginx_default_servers=tuple(many.get("nginx.default_server", [])),
            certificate=_decoded(one("tls.live")),
            certificate_kind=one("tls.kind"),
            issued=_decoded(one("tls.issued")),
            issued_by=one("tls.authority"),
            renewal_timer=one("renewal.timer") == "active",
            renewal_failed=one("renewal.failed"),
            last_dump=one("site.dump"),
            issued_how=one("tls.authenticator"),
            record=_record(one("site.record")),
            current=one("site.current"),
            closed=one("site.closed") == "yes",
            held=one("site.held"),
            there=one("site.there") == "yes",
            removing=one("site.removing"),
            kept=tuple(many.get("site.kept", [])),
            releases=dict(_releases(many.get("release", []))),
            pending=dict(_releases(many.get("release.pending", []))),
            containers=tuple(_container(json.loads(line)) for line in many.get("container", [])),
            images=tuple(name for name in many.get("image", []) if RELEASE.fullmatch(name.rpartition(":")[2])),
            files=dict(_file(line) for line in many.get("file", [])),
            written={path: digest for digest, path in _pairs(many.get("file.written", []))},
            other_sites=dict(_others(_decoded(one("site.others")))),
        )

    @property
    def platform(self) -> str:
        """What an image is built for that runs here, as Docker calls it: linux/amd64."""
        return f"linux/{_ARCHITECTURES.get(self.architecture, self.architecture)}"

    def role(self, role: str, release: str = "") -> list[Container]:
        """The site's containers with this role, of one release if given."""
        return [c for c in self.containers if c.role == role and (not release or c.release == release)]

    def running(self, role: str, release: str) -> int:
        """How many of a release's containers with this role run."""
        return sum(c.state == "running" for c in self.role(role, release))


def version(text: str) -> tuple[int, ...]:
    """The numbers of the first version in ``text``: ``nginx/1.26.3`` is (1, 26, 3); none is ()."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")


def _record(text: str) -> dict[str, Any]:
    """A JSON object in base64; one cut short counts as absent."""
    try:
        return _object(_decoded(text))
    except ValueError:
        return {}


def _object(text: str) -> dict[str, Any]:
    """A JSON object; one cut short by a full disk counts as absent."""
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _others(text: str) -> Iterable[tuple[str, set[str]]]:
    """The domains of the other sites, from their records, each below a line ``==> PATH <==``."""
    _, *parts = re.split(r"^==> .*/([^/]+)/site\.json <==$", text, flags=re.MULTILINE)
    for name, record in zip(parts[::2], parts[1::2], strict=True):
        yield name, set(_object(record).get("domains", []))


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        first, _, second = line.partition(" ")
        yield first, second


def _releases(lines: Iterable[str]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Releases and their records; a folder of another name isn't ours."""
    for name, record in _pairs(lines):
        if RELEASE.fullmatch(name):
            yield name, _record(record)


def _rule(line: str) -> str:
    """``allow 443/udp comment=48656c6c6f`` as ufw itself tells of it."""
    rule, _, comment = line.partition(" comment=")
    return f"{rule} comment '{bytes.fromhex(comment).decode(errors='replace')}'" if comment else rule


def _file(line: str) -> tuple[str, FileFact]:
    mode, owner, sha, path = line.split(" ", 3)
    return path, FileFact(int(mode, 8), owner, sha)


def _listeners(lines: Iterable[str]) -> Iterable[Listener]:
    """``tcp 0.0.0.0:80 users:(("nginx",pid=1,fd=6))``"""
    for line in lines:
        protocol, address, *process = line.split(" ", 2)
        host, _, port = address.rpartition(":")
        name = re.search(r'\(\("([^"]+)"', " ".join(process))
        host = host.split("%")[0].strip("[]")
        yield Listener(protocol, host, int(port), name.group(1) if name else "")


def _container(data: dict[str, str]) -> Container:
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
    )

"""The small internet beside the servers: a name server, an image registry, a certificate authority.

Addresses on the network are fixed, so that services stay reachable in whatever order they start.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from docker import DockerClient
from docker.models.containers import Container
from docker.models.networks import Network

from deploy.practice.access import write
from deploy.practice.engine import (
    FOLDER,
    LABEL,
    PracticeError,
    Progress,
    checked,
    containers,
    remove_container,
    run,
    watch,
)
from deploy.practice.images import IMAGES, ensure, fingerprint
from deploy.practice.network import LOOPBACK, NETWORK, endpoint, free_port, subnet_of

INTERNET = IMAGES["internet:trixie"]
NAMESERVER, REGISTRY, AUTHORITY, CHALLENGES, FIRST_SERVER = 2, 3, 4, 5, 10
"""The addresses on the network. For the authority every domain name points to the first server by default."""

REGISTRY_ADDRESS = "registry:5000"

MADE_OF = f"{LABEL}.made-of"
PORT = f"{LABEL}.port"


@dataclass(frozen=True)
class Service:
    """A service in the internet image: its host name, address and command; ``probe`` succeeds once it is ready."""

    name: str
    number: int
    command: tuple[str, ...]
    probe: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0

    @property
    def container(self) -> str:
        return f"portside-{self.name}"

    def made_of(self, network: Network) -> str:
        """Return a hash that changes whenever the container has to be recreated."""
        return hashlib.sha256(f"{self!r} {network.id} {fingerprint(INTERNET)}".encode()).hexdigest()[:16]


def services(subnet: IPv4Network) -> tuple[Service, ...]:
    """Return the services for a subnet. Names under test and example have the same address for the servers and the
    authority."""
    challenges, asked = subnet[CHALLENGES], "challenges:8053"
    resolver = ("dnsmasq", "--keep-in-foreground", "--user=root", "--no-resolv", "--no-hosts", "--no-negcache")
    forwards = ("--server=127.0.0.11", f"--server=/test/{challenges}#8053", f"--server=/example/{challenges}#8053")
    challenge = ("pebble-challtestsrv", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-defaultIPv6", "")
    return (
        Service("nameserver", NAMESERVER, (*resolver, *forwards)),
        Service(
            "registry",
            REGISTRY,
            ("docker-registry", "serve", "/etc/docker/registry/config.yml"),
            probe=("curl", "-fsS", "http://localhost:5000/v2/"),
            port=5000,
        ),
        Service("challenges", CHALLENGES, (*challenge, "-defaultIPv4", str(subnet[FIRST_SERVER]))),
        Service(
            "acme",
            AUTHORITY,
            ("pebble", "-config", "/etc/pebble/pebble.json", "-dnsserver", asked),
            probe=("curl", "-fsS", "--cacert", "/etc/pebble/ca.pem", "https://localhost:14000/dir"),
            # By default Pebble rejects one valid nonce in twenty to test clients. Certbot retries only once, so about
            # one renewal in thirty would fail.
            environment={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
        ),
    )


def start(engine: DockerClient, network: Network, progress: Progress) -> dict[str, Container]:
    """Start every service, recreate outdated ones, and return their containers by name. Raises PracticeError."""
    there = containers(engine)
    return {
        service.name: _start(engine, service, network, there.get(service.container), progress)
        for service in services(subnet_of(network))
    }


def _start(
    engine: DockerClient, service: Service, network: Network, found: Container | None, progress: Progress
) -> Container:
    if found and found.labels.get(MADE_OF) != service.made_of(network):
        remove_container(found)
        found = None
    if found and found.status == "running":
        return found
    if not found:
        ensure(engine, INTERNET, progress)
        found = _create(engine, service, network)
    progress(f"{service.name}: starting")
    found.start()
    if service.probe:
        watch(lambda: run(found, service.probe).code == 0, 20, lambda: _silent(service, found))
    return found


def _silent(service: Service, found: Container) -> PracticeError:
    lines = found.logs(tail=10).decode(errors="replace")
    return PracticeError(f"The {service.name} doesn't answer:\n{lines}", hint="Start over: fab practice --down.")


def _create(engine: DockerClient, service: Service, network: Network) -> Container:
    port = free_port(range(5000, 5100), ()) if service.port else 0
    return engine.containers.create(
        INTERNET.tag,
        command=list(service.command),
        name=service.container,
        hostname=service.name,
        environment=service.environment,
        labels={LABEL: service.name, MADE_OF: service.made_of(network), PORT: str(port)},
        ports={f"{service.port}/tcp": (LOOPBACK, port)} if port else {},
        network=NETWORK,
        networking_config={NETWORK: endpoint(engine, service.name, subnet_of(network)[service.number])},
        init=True,
    )


@dataclass(frozen=True)
class Acme:
    """The certificate authority: Pebble, which behaves like Let's Encrypt. Methods raise PracticeError."""

    ca: Path
    """The CA certificate of its HTTPS (PEM), in this checkout."""
    services: dict[str, Container] = field(repr=False, compare=False)
    directory: str = "https://acme:14000/dir"
    """Its address for servers."""

    def root(self) -> str:
        """Return the root (PEM) of its certificates. It changes whenever the authority starts."""
        argv = ("curl", "-fsS", "--cacert", "/etc/pebble/ca.pem", "https://localhost:15000/roots/0")
        return checked(self.services["acme"], argv)

    def point(self, domain: str, address: str) -> None:
        """Point a name to a server's address for the authority and, if it is under test or example, for the servers."""
        body = json.dumps({"host": f"{domain}.", "addresses": [address]})
        for what in ("clear-a", "add-a"):
            checked(self.services["challenges"], ("curl", "-fsS", "-d", body, f"http://localhost:8055/{what}"))


def authority(services: dict[str, Container]) -> Acme:
    """Return the authority. Copies its CA certificate into this checkout."""
    stream, _ = services["acme"].get_archive("/etc/pebble/ca.pem")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        member = archive.extractfile("ca.pem")
        content = member.read().decode() if member else ""
    write(FOLDER / "acme-ca.pem", content)
    return Acme(FOLDER / "acme-ca.pem", services)

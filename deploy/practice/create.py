"""Creates practice servers, and starts stopped ones."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from docker import DockerClient
from docker.errors import APIError
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import HostConfig

from deploy.practice import snapshots
from deploy.practice.engine import LABEL, PracticeError, Progress, archive, containers, remove_container
from deploy.practice.images import IMAGES, ensure
from deploy.practice.internet import FIRST_SERVER, NAMESERVER, REGISTRY_ADDRESS, Acme
from deploy.practice.network import LOOPBACK, MTU, NETWORK, endpoint, mtu, subnet_of
from deploy.practice.server import ADDRESS, NAME, PORTS, Ports, Practice, container_name, practice, servers, volume_name

FIRST_NAME = "practice"
"""The server that every domain name points to by default."""
COLLISION = re.compile(r"(?i)address already in use|external connectivity|privileged port|ports are not available")
"""Error messages of engines if an address or a port is in use."""
ATTEMPTS = 10
"""Number of further addresses and ports that a new server tries."""


@dataclass(frozen=True)
class Wanted:
    """The server to start: its name, and the Debian release or the snapshot (by tag) that it is created from."""

    name: str
    debian: str
    snapshot: str | None = None

    @property
    def image(self) -> str:
        return snapshots.image_name(self.snapshot) if self.snapshot else IMAGES[f"server:{self.debian}"].tag


def start(wanted: Wanted, engine: DockerClient, network: Network, acme: Acme, progress: Progress) -> Practice:
    """Start the server, and create it if needed. It may not accept connections yet. Raises PracticeError."""
    there = containers(engine).get(container_name(wanted.name))
    if not there and wanted.snapshot and not snapshots.exists(engine, wanted.snapshot):
        raise PracticeError(f"There is no snapshot {wanted.snapshot}.")
    if not there and not wanted.snapshot:
        ensure(engine, IMAGES[f"server:{wanted.debian}"], progress)
    if not there or there.status != "running":
        progress(f"{wanted.name}: booting")
        there = _boot(engine, wanted, network, acme, there)
    return practice(engine, there.labels, acme)


def choose_address(name: str, subnet: IPv4Network, taken: set[str]) -> str:
    """Return an address on the network that no server has."""
    if name == FIRST_NAME:
        return str(subnet[FIRST_SERVER])
    return next(str(address) for address in list(subnet)[FIRST_SERVER + 1 : -1] if str(address) not in taken)


def _boot(engine: DockerClient, wanted: Wanted, network: Network, acme: Acme, found: Container | None) -> Container:
    """Start the server. If an address or a port of a new one is in use after all (another checkout has just taken it,
    or the engine may not use 80 and 443), try others."""
    tried: list[Practice] = []
    while True:
        made = found or _create(
            engine, wanted, *_place(wanted.name, network, [*servers(engine, acme).values(), *tried])
        )
        try:
            _power_on(wanted, made)
            return made
        except APIError as error:
            if made.status != "created" or not _collides(error) or len(tried) == ATTEMPTS:
                raise
        tried.append(practice(engine, made.labels, acme))
        remove_container(made)
        found = None


def _place(name: str, network: Network, others: Sequence[Practice]) -> tuple[str, Ports]:
    """Return an address and ports that none of the others has."""
    taken = {port for server in others for port in vars(server.ports).values()}
    return choose_address(name, subnet_of(network), {server.ip for server in others}), Ports.choose(taken)


def _collides(error: APIError) -> bool:
    return bool(COLLISION.search(str(error)))


def _power_on(wanted: Wanted, found: Container) -> None:
    if found.status == "created" and not wanted.snapshot:
        found.put_archive("/etc/docker", archive({"daemon.json": daemon_json(mtu(), wanted.debian).encode()}))
    found.start()


def _create(engine: DockerClient, wanted: Wanted, address: str, ports: Ports) -> Container:
    """Create a container for the server. On some machines the engine can neither grant nor drop CAP_SYS_RESOURCE."""
    volumes = _volumes(engine, wanted)
    try:
        return _container(engine, wanted, address, ports, _host(engine, ports, volumes, cap_drop=["SYS_RESOURCE"]))
    except APIError as error:
        if "SYS_RESOURCE" not in str(error):
            raise
    return _container(engine, wanted, address, ports, _host(engine, ports, volumes, cap_drop=[]))


def _host(engine: DockerClient, ports: Ports, volumes: list[str], cap_drop: list[str]) -> HostConfig:
    """Return the options that systemd and Docker need inside the container."""
    host = engine.api.create_host_config(
        cap_add=["ALL"],
        cap_drop=cap_drop,
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        device_cgroup_rules=["a *:* rwm"],
        cgroupns="private",
        tmpfs={"/run": "exec,mode=755", "/run/lock": "mode=1777", "/tmp": "exec,mode=1777"},
        binds=volumes,
        port_bindings={
            22: (LOOPBACK, ports.ssh),
            80: (LOOPBACK, ports.http),
            443: (LOOPBACK, ports.https),
            "443/udp": (LOOPBACK, ports.https),
        },
        network_mode=NETWORK,
    )
    # The docker command's option for this is systempaths=unconfined.
    host.update(MaskedPaths=[], ReadonlyPaths=[])
    return host


def _container(engine: DockerClient, wanted: Wanted, address: str, ports: Ports, host: HostConfig) -> Container:
    made = engine.api.create_container(
        wanted.image,
        name=container_name(wanted.name),
        hostname=wanted.name,
        ports=[22, 80, 443, (443, "udp")],
        environment={"PORTSIDE_DNS": f"{address.rpartition('.')[0]}.{NAMESERVER}"},
        labels={LABEL: "server", NAME: wanted.name, ADDRESS: address, PORTS: json.dumps(list(vars(ports).values()))},
        host_config=host,
        networking_config={"EndpointsConfig": {NETWORK: endpoint(engine, wanted.name, address)}},
    )
    return engine.containers.get(made["Id"])


def _volumes(engine: DockerClient, wanted: Wanted) -> list[str]:
    """Return the mounts: /var/lib/docker, empty or with the snapshot's content. It must be a volume, because overlayfs
    doesn't work on the container's own file system."""
    made = snapshots.volume(engine, volume_name(wanted.name), "volume")
    lent = [snapshots.lend(engine, wanted.snapshot, made)] if wanted.snapshot else []
    return [f"{made.name}:/var/lib/docker", *lent]


def daemon_json(mtu: int, debian: str) -> str:
    """Return the settings of the server's engine: the registry, and the network's ``mtu`` in bytes."""
    settings: dict[str, object] = {"registry-mirrors": [f"http://{REGISTRY_ADDRESS}"]}
    settings["insecure-registries"] = [REGISTRY_ADDRESS]
    if mtu < 1500:
        settings["mtu"] = mtu
    if mtu < 1500 and debian != "bookworm":  # bookworm's Docker rejects unknown settings
        settings["default-network-opts"] = {"bridge": {MTU: str(mtu)}}
    return json.dumps(settings, indent=2) + "\n"

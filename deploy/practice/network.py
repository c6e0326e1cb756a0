"""The network of the practice servers, and this machine's ports that are forwarded to it."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from docker import DockerClient
from docker.models.networks import Network
from docker.types import EndpointConfig, IPAMConfig, IPAMPool

from deploy.practice.engine import LABEL, PracticeError

NETWORK = "portside-practice"
MTU = "com.docker.network.driver.mtu"
LOOPBACK = "127.0.0.1"


def network(engine: DockerClient) -> Network:
    """Return the servers' network; create it if needed. Raises PracticeError if no subnet is free."""
    for found in engine.networks.list(names=[f"^{NETWORK}$"]):
        return found
    subnet = free_subnet(_taken(engine))
    pool = IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))
    made = engine.networks.create(
        NETWORK,
        driver="bridge",
        ipam=IPAMConfig(pool_configs=[pool]),
        labels={LABEL: "network"},
        options={MTU: str(mtu())},
    )
    made.reload()
    return made


def subnet_of(network: Network) -> IPv4Network:
    return IPv4Network(network.attrs["IPAM"]["Config"][0]["Subnet"])


def endpoint(engine: DockerClient, name: str, address: IPv4Address | str) -> EndpointConfig:
    """Return an endpoint on the network with a host name and an address."""
    return EndpointConfig(engine.api.api_version, aliases=[name], ipv4_address=str(address))


def free_subnet(taken: Iterable[IPv4Network]) -> IPv4Network:
    """Return an unused subnet outside 172.16/12, which the engines inside the servers use. Raises PracticeError if
    there is none."""
    others = list(taken)
    for candidate in IPv4Network("10.213.0.0/16").subnets(new_prefix=24):
        if not any(candidate.overlaps(other) for other in others):
            return candidate
    raise PracticeError("All of 10.213.0.0/16 is in use on this machine.", hint="Free some: docker network prune.")


def _taken(engine: DockerClient) -> Iterator[IPv4Network]:
    for found in engine.networks.list():
        for config in found.attrs["IPAM"]["Config"] or ():
            with contextlib.suppress(ValueError):
                yield IPv4Network(config["Subnet"])
    yield from (subnet for subnet, _ in routes() if subnet.prefixlen)


def routes(table: Path = Path("/proc/net/route")) -> Iterator[tuple[IPv4Network, str]]:
    """Yield this machine's IPv4 routes as (subnet, interface); none if the kernel isn't Linux."""
    lines = table.read_text().splitlines()[1:] if table.exists() else []
    for words in map(str.split, lines):
        address, mask = (socket.inet_ntoa(bytes.fromhex(words[column])[::-1]) for column in (1, 7))
        yield IPv4Network(f"{address}/{mask}"), words[0]


def mtu() -> int:
    """Return the MTU of the default route in bytes. The practice network's must not be larger."""
    for subnet, interface in routes():
        size = Path("/sys/class/net", interface, "mtu")
        if not subnet.prefixlen and size.exists():
            return int(size.read_text())
    return 1500


def free_port(wanted: Iterable[int], taken: Iterable[int]) -> int:
    """Return the first wanted port on loopback that is neither ``taken`` by a stopped server nor in use. Raises
    PracticeError if there is none."""
    others = set(taken)
    for port in wanted:
        if port not in others and _is_free(port):
            return port
    raise PracticeError("No local port is free for the practice server.", hint="Remove servers: fab practice --down.")


def _is_free(port: int) -> bool:
    """Whether the port is free for TCP and UDP. If this user may not bind a port below 1024, connecting shows it."""
    with socket.socket() as trial, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
            datagrams.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM):
                return False
        else:
            return True
    with socket.socket() as caller:
        caller.settimeout(1)
        return caller.connect_ex((LOOPBACK, port)) != 0

"""The network of the practice servers, and the ports of this machine that lead to it."""

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
    """The servers' network, made unless it is there. Raises PracticeError where no subnet is free."""
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
    """A place on the network: the name the others reach it by, and its address."""
    return EndpointConfig(engine.api.api_version, aliases=[name], ipv4_address=str(address))


def free_subnet(taken: Iterable[IPv4Network]) -> IPv4Network:
    """A subnet nobody uses, clear of 172.16/12, where the engines inside the servers choose theirs."""
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
    """This machine's IPv4 routes as (subnet, interface); none where the kernel isn't Linux."""
    lines = table.read_text().splitlines()[1:] if table.exists() else []
    for words in map(str.split, lines):
        address, mask = (socket.inet_ntoa(bytes.fromhex(words[column])[::-1]) for column in (1, 7))
        yield IPv4Network(f"{address}/{mask}"), words[0]


def mtu() -> int:
    """The largest packet, in bytes, that the default route takes: ours must not be larger."""
    for subnet, interface in routes():
        size = Path("/sys/class/net", interface, "mtu")
        if not subnet.prefixlen and size.exists():
            return int(size.read_text())
    return 1500


def free_port(wanted: Iterable[int], taken: Iterable[int]) -> int:
    """The first wanted port of loopback that is neither taken (by a stopped server of ours) nor in use."""
    others = set(taken)
    for port in wanted:
        if port not in others and _is_free(port):
            return port
    raise PracticeError("No local port is free for the practice server.", hint="Remove a server: fab practice --down.")


def _is_free(port: int) -> bool:
    """Whether nobody listens there, by TCP or UDP. A user who may not bind a port below 1024 learns it by calling."""
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

"""The way to a server: ssh_config, the jump hosts on the way, and host keys that are never accepted unseen."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import paramiko
from fabric import Config, Connection

from .connecting import CONNECT_SECONDS, DEAD_LINK_SECONDS, Door, UnknownHostKey, no_connection

PRACTICE_SSH_CONFIG = Path(__file__).parent.parent / ".practice" / "ssh_config"
GLOBAL_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Fabric's own connection accepts any host key; ours refuses one that isn't known, and shows it."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise UnknownHostKey(hostname, key)


class _Link(Connection):  # type: ignore[misc]
    """A connection that verifies host keys, through jump hosts in the order that ssh takes them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.client.set_missing_host_key_policy(_Refuse())
        self.client.load_system_host_keys()
        for path in (*known_hosts(self), GLOBAL_KNOWN_HOSTS):
            with suppress(OSError):
                self.client.load_system_host_keys(str(Path(path).expanduser()))

    def get_gateway(self) -> Connection | str | None:
        """The last jump host. Fabric would go through them in the reverse order, and reach for one called none."""
        jumps = self.ssh_config.get("proxyjump", "none")
        gateway = None if jumps == "none" else self._jump(jumps)
        return gateway or self.ssh_config.get("proxycommand")

    def _jump(self, jumps: str) -> Connection | None:
        gateway = None
        for jump in jumps.split(","):
            hop = jump.strip().removeprefix("ssh://")
            if self.derive_shorthand(hop)["host"] in {self.original_host, self.host}:
                break  # a wildcard's jump host isn't reached through itself
            gateway = _Link(hop, config=self.config.clone(), gateway=gateway)
        return gateway

    def open_gateway(self) -> Any:
        """As Fabric does, but not for an hour where the server doesn't answer the jump host."""
        if isinstance(self.gateway, Connection):
            self.gateway.open()
            there = (self.host, int(self.port))
            return self.gateway.transport.open_channel("direct-tcpip", there, ("", 0), timeout=self.connect_timeout)
        return super().open_gateway()

    def resolve_connect_kwargs(self, connect_kwargs: dict[str, Any] | None) -> dict[str, Any]:
        """Sent at once; and no key twice, since a server counts what it is offered."""
        found = dict(super().resolve_connect_kwargs(connect_kwargs)) | {"transport_factory": _prompt}
        keys = {"key_filename": list(dict.fromkeys(found["key_filename"]))} if "key_filename" in found else {}
        return found | keys


def reconnected(given: Connection) -> Connection:
    """The same destination, looked up in the practice server's ssh_config too. The keys of -i serve every jump host."""
    kwargs = dict(given.connect_kwargs)
    seconds = kwargs.pop("timeout", CONNECT_SECONDS)
    keys = [str(path) for path in given.config.authentication.identities]
    shared = {"key_filename": keys} if keys else {}
    shared |= {"passphrase": kwargs["passphrase"]} if "passphrase" in kwargs else {}
    overrides = {"connect_kwargs": shared, "timeouts": {"connect": seconds}, "user": given.config.user}
    return _Link(
        given.original_host,
        config=Config(ssh_config=practice(given) or given.config.base_ssh_config, overrides=overrides),
        connect_kwargs=kwargs,
        connect_timeout=seconds,
        user=_given_user(given),
        port=_given_port(given),
    )


class OneOfSeveral(Connection):  # type: ignore[misc]
    """A connection of a command that goes to several servers. ``member``: which of them it is."""

    member: Any = None


def open_links(connection: Connection, target: str) -> None:
    """Open a connection, hop by hop. Raises PortsideError that says which can't be, why, and what to do."""
    way = links(connection)
    for number, link in enumerate(way):
        try:
            link.open()
        except Exception as error:
            raise no_connection(error, door(way[: number + 1], target, last=link is connection)) from error
        _watch(link.transport)


def _watch(transport: paramiko.Transport) -> None:
    """A dead link is noticed by nobody otherwise."""
    transport.set_keepalive(10)
    if isinstance(transport.sock, socket.socket) and hasattr(socket, "TCP_USER_TIMEOUT"):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_LINK_SECONDS * 1000)


def _prompt(connected: Any, **options: Any) -> paramiko.Transport:
    """A transport that sends at once: paramiko leaves Nagle's algorithm on, which costs 40 ms a command, and turns of
    the handshake."""
    if isinstance(connected, socket.socket):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return paramiko.Transport(connected, **options)


def links(connection: Connection) -> list[Connection]:
    """The connections on the way: from the first jump host to the server itself."""
    found = [connection]
    while isinstance(found[0].gateway, Connection):
        found.insert(0, found[0].gateway)
    return found


def door(way: list[Connection], target: str, *, last: bool) -> Door:
    """Where the last of these links leads to."""
    *before, link = way
    jumps = tuple(f"{hop.user}@{hop.host}:{hop.port}" for hop in before)
    return Door(link.host, link.port, link.user, target, jumps, last, known_hosts(link)[0])


def of_hosts(given: Connection, hosts: list[str]) -> list[OneOfSeveral]:
    """Connections to several hosts, configured as the given one is."""
    return [OneOfSeveral(host, config=given.config.clone()) for host in hosts]


def place(given: Connection) -> tuple[object, ...]:
    """Where a connection leads to: two names of one server lead to the same place."""
    first, *rest = links(reconnected(given))
    return ((*_addresses(first), first.port), *((link.host, link.port) for link in rest))


def _addresses(link: Connection) -> list[str]:
    """The addresses of a host; where a command connects us, its name."""
    with suppress(OSError):
        if not link.gateway:
            found = socket.getaddrinfo(link.host, link.port, type=socket.SOCK_STREAM)
            return sorted({str(answer[4][0]) for answer in found})
    return [str(link.host)]


def known_hosts(link: Connection) -> list[str]:
    """The user's files of known host keys; the first is written to."""
    return link.ssh_config.get("userknownhostsfile", "").split() or ["~/.ssh/known_hosts"]


def practice(connection: Connection) -> paramiko.SSHConfig | None:
    """The practice servers' ssh_config, where the host is one of them."""
    if not PRACTICE_SSH_CONFIG.exists():
        return None
    found = paramiko.SSHConfig.from_path(str(PRACTICE_SSH_CONFIG))
    return found if connection.original_host in found.get_hostnames() else None


def typed(connection: Connection) -> str:
    """The destination as the user typed it: Fabric keeps its parts, in which ssh_config's are mixed."""
    user, port = _given_user(connection), _given_port(connection)
    return f"{user}@" * bool(user) + str(connection.original_host) + f":{port}" * bool(port)


def _given_user(connection: Connection) -> str | None:
    return None if connection.user == connection.ssh_config.get("user", connection.config.user) else connection.user


def _given_port(connection: Connection) -> int | None:
    return None if connection.port == int(connection.ssh_config.get("port", 22)) else connection.port

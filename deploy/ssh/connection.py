"""Connects to a server by ssh_config, through jump hosts. An unknown host key is never accepted automatically."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from fabric import Config, Connection
from invoke.context import Context

from ..config import types
from ..core.errors import Refused
from ..core.files import PRACTICE_SSH_CONFIG
from . import agent as ssh_agent
from . import known_hosts
from .config import SSHConfig, asked_for, command_of, keys_of
from .errors import CONNECT_SECONDS, DEAD_LINK_SECONDS, Hop, no_connection
from .transport import Transport


class _Verify(paramiko.MissingHostKeyPolicy):
    """Verifies every host key. paramiko calls it each time, because it is given no known keys itself."""

    def __init__(self, link: _Link) -> None:
        self.link = link

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        known_hosts.of(self.link).verify(key)


class _Link(Connection):  # type: ignore[misc]
    """A connection that verifies host keys and goes through jump hosts in the same order as ssh."""

    def __init__(
        self, host: str, *, config: Config, user: str | None = None, port: int | None = None, **more: Any
    ) -> None:
        named = destination(host)
        asked = asked_for(config.base_ssh_config, user or named["user"], port or named["port"])
        config._set(base_ssh_config=asked)  # all that Fabric takes from ssh_config is for this user and this port
        super().__init__(host, user, port, config=config, **more)
        self.client.set_missing_host_key_policy(_Verify(self))

    def derive_shorthand(self, host_string: str) -> dict[str, Any]:
        return destination(host_string)

    def open(self) -> None:
        """Open the connection, only once. Fabric would silently reopen a lost connection at its next use."""
        if self.transport is None:
            self.client._agent = ssh_agent.of(self)
            super().open()

    def get_gateway(self) -> Connection | str | None:
        """Return the last jump host. Fabric would use them in reverse order, and take ``none`` for a host name."""
        jumps = self.ssh_config.get("proxyjump", "none")
        gateway = None if jumps == "none" else self._jump(jumps)
        return gateway or command_of(self) or None

    def _jump(self, jumps: str) -> Connection | None:
        gateway = None
        for jump in jumps.split(","):
            hop = jump.strip().removeprefix("ssh://")
            if self._is_this(hop):
                break  # a wildcard's jump host isn't reached through itself
            gateway = _Link(hop, config=_copied(self.config), gateway=gateway)
        return gateway

    def _is_this(self, hop: str) -> bool:
        named = destination(hop)
        found = asked_for(self.config.base_ssh_config, named["user"], named["port"]).lookup(named["host"])
        user = named["user"] or found.get("user", self.config.user)
        port = named["port"] or int(found.get("port", self.config.port))
        return bool((found["hostname"], port, user) == (self.host, self.port, self.user))

    def open_gateway(self) -> Any:
        """Open the gateway as Fabric does, but with a timeout for a server that doesn't answer the jump host."""
        if isinstance(self.gateway, Connection):
            self.gateway.open()
            there = (self.host, int(self.port))
            return self.gateway.transport.open_channel("direct-tcpip", there, ("", 0), timeout=self.connect_timeout)
        return super().open_gateway()

    def resolve_connect_kwargs(self, connect_kwargs: dict[str, Any] | None) -> dict[str, Any]:
        """Return arguments with our transport, and without missing key files. No key is offered twice, since a server
        limits the number of attempts."""
        self.ssh_config["identityfile"] = keys_of(self)
        found = dict(super().resolve_connect_kwargs(connect_kwargs)) | {"transport_factory": self._transport}
        found |= {"allow_agent": False} if self.ssh_config.get("identityagent") == "none" else {}
        absent = {file for file in self.ssh_config["identityfile"] if not Path(file).exists()}
        keys = [file for file in dict.fromkeys(found.pop("key_filename", [])) if file not in absent]
        return found | ({"key_filename": keys} if keys else {})

    def _transport(self, connected: Any, **options: Any) -> paramiko.Transport:
        """Return a transport that prefers host key types found in known_hosts, since a server has keys of several
        types."""
        transport = Transport(connected, **options)
        kinds, wanted = known_hosts.of(self).kinds, transport.get_security_options()
        wanted.key_types = sorted(
            wanted.key_types, key=lambda name: re.sub(r"^rsa-sha2-.*", "ssh-rsa", name) not in kinds
        )
        return transport


def destination(text: str) -> dict[str, Any]:
    """Parse [user@]host[:port]. An IPv6 address with a port must be in brackets. Raises Refused if it is invalid."""
    try:
        user, host, port = types.destination(text)
    except ValueError:
        hint = "Write user@host, user@host:22 or, for IPv6, user@[2001:db8::1]:22."
        raise Refused(f"“{text}” after -H, or in ssh_config, isn't a host.", hint=hint) from None
    return {"user": user or None, "host": host, "port": port}


def reconnected(given: Connection) -> Connection:
    """Return a connection to the same destination that verifies host keys. It also uses the practice servers'
    ssh_config, and the keys of -i for every jump host."""
    kwargs = _without_keys(given)
    seconds = kwargs.pop("timeout", None)
    keys = [str(path) for path in given.config.authentication.identities]
    shared = {"key_filename": keys} if keys else {}
    shared |= {"passphrase": kwargs["passphrase"]} if "passphrase" in kwargs else {}
    overrides = {"connect_kwargs": shared, "timeouts": {"connect": CONNECT_SECONDS}, "user": given.config.user}
    made = _Link(
        given.original_host,
        config=Config(ssh_config=practice(given) or given.config.base_ssh_config, overrides=overrides),
        connect_kwargs=kwargs,
        user=_given_user(given),
        port=_given_port(given),
    )
    for link in links(made) if seconds else ():
        link.connect_timeout = seconds
    return made


def _copied(config: Config) -> Config:
    """The same configuration with its ssh_config, of which Fabric would copy paramiko's part alone."""
    copied = config.clone()
    copied._set(base_ssh_config=config.base_ssh_config)
    return copied


def _without_keys(given: Connection) -> dict[str, Any]:
    """What a connection is made with, but for the keys of ssh_config, which Fabric adds as they are written there."""
    kwargs, written = dict(given.connect_kwargs), given.ssh_config.get("identityfile", [])
    keys = [file for file in kwargs.pop("key_filename", []) if file not in written]
    return kwargs | ({"key_filename": keys} if keys else {})


class FleetConnection(Connection):  # type: ignore[misc]
    """A connection of a command with several servers. ``fleet_host``: the server that it belongs to."""

    fleet_host: Any = None


def open_links(connection: Connection, target: str) -> None:
    """Open a connection, hop by hop. Raises PortsideError with the hop that failed, why, and what to do."""
    way = links(connection)
    for number, link in enumerate(way):
        try:
            link.open()
        except Exception as error:
            raise no_connection(error, hop(way[: number + 1], target, last=link is connection)) from error
        _watch(link.transport)


def _watch(transport: paramiko.Transport) -> None:
    """Send keepalives, without which a dead link isn't detected."""
    transport.set_keepalive(10)
    if isinstance(transport.sock, socket.socket) and hasattr(socket, "TCP_USER_TIMEOUT"):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_LINK_SECONDS * 1000)


def links(connection: Connection) -> list[Connection]:
    """Return the connections from the first jump host to the server itself."""
    found = [connection]
    while isinstance(found[0].gateway, Connection):
        found.insert(0, found[0].gateway)
    return found


def hop(way: list[Connection], target: str, *, last: bool) -> Hop:
    """Return the hop that the last of these links connects to."""
    *before, link = way
    jumps = tuple(f"{jump.user}@{_bracketed(jump.host)}:{jump.port}" for jump in before)
    return Hop(link.host, link.port, link.user, target, jumps, last, known_hosts.files(link)[0], link.connect_timeout)


def _bracketed(host: str) -> str:
    """Return a host in the form used before a port."""
    return f"[{host}]" if ":" in host else host


def of_hosts(given: Context, hosts: Sequence[str]) -> list[FleetConnection]:
    """Return connections to hosts with the configuration of the given context."""
    return [FleetConnection(host, config=_copied(given.config)) for host in hosts]


@dataclass(frozen=True)
class Endpoint:
    """The server at the end of a connection. ``way``: hosts and ports on the way to it; ``addresses``: those of the
    first host."""

    addresses: frozenset[str]
    way: tuple[object, ...]

    def is_same_as(self, other: Endpoint) -> bool:
        """Whether both are the same server, even under different names."""
        return self.way == other.way and bool(self.addresses & other.addresses)

    @property
    def order(self) -> tuple[list[str], str]:
        """The sort key of a server. It is the same on every machine, so that all lock servers in the same order."""
        return sorted(self.addresses), repr(self.way)


def endpoint(given: Connection) -> Endpoint:
    first, *rest = links(reconnected(given))
    return Endpoint(_addresses(first), (first.port, first.gateway, *((link.host, link.port) for link in rest)))


def _addresses(link: Connection) -> frozenset[str]:
    """Return the addresses of a host; its name if it has none or is reached by ProxyCommand."""
    with suppress(OSError, UnicodeError):
        if not link.gateway:
            found = socket.getaddrinfo(link.host, link.port, type=socket.SOCK_STREAM)
            return frozenset(str(answer[4][0]) for answer in found)
    return frozenset({str(link.host)})


def practice(connection: Connection) -> paramiko.SSHConfig | None:
    """Return the practice servers' ssh_config if the host is one of them."""
    if not PRACTICE_SSH_CONFIG.exists():
        return None
    found = SSHConfig.from_path(str(PRACTICE_SSH_CONFIG))
    return found if connection.original_host in found.get_hostnames() else None


def typed(connection: Connection) -> str:
    """Return the destination as the user typed it. Fabric only has its parts, merged with ssh_config."""
    user, port = _given_user(connection), _given_port(connection)
    return f"{user}@" * bool(user) + str(connection.original_host) + f":{port}" * bool(port)


def _given_user(connection: Connection) -> str | None:
    return None if connection.user == connection.ssh_config.get("user", connection.config.user) else connection.user


def _given_port(connection: Connection) -> int | None:
    return None if connection.port == int(connection.ssh_config.get("port", 22)) else connection.port

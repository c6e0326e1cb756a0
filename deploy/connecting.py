"""Why a server can't be reached or used, in the user's words, with what to do about it."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import paramiko

from .errors import PortsideError

CONNECT_SECONDS, DEAD_LINK_SECONDS = 15, 60


class UnknownHostKey(paramiko.SSHException):
    """A host key that known_hosts doesn't have. ``name``: the server's, as known_hosts writes it."""

    def __init__(self, name: str, key: paramiko.PKey) -> None:
        super().__init__(f"the host key of {name} isn't known")
        self.name, self.key = name, key


@dataclass(frozen=True)
class Door:
    """An SSH server on the way to the one the user named. ``jumps``: what is passed before it, as ssh -J takes it."""

    host: str
    port: int
    user: str
    target: str
    jumps: tuple[str, ...] = ()
    last: bool = True
    known_hosts: str = "~/.ssh/known_hosts"

    @property
    def name(self) -> str:
        return self.host if self.last else f"{self.host} (a jump host on the way to {self.target})"

    @property
    def ssh(self) -> str:
        """What tries this very connection by hand."""
        through = ("-J", ",".join(self.jumps)) if self.jumps else ()
        return " ".join(("ssh", *through, "-p", str(self.port), f"{self.user}@{self.host}"))


def no_connection(error: Exception, door: Door) -> PortsideError:  # noqa: PLR0911 - a list of cases
    """Why there is no connection."""
    again = "Nothing was changed. Type the same command again once it works."
    if isinstance(error, paramiko.BadHostKeyException):
        return PortsideError(
            f"The host key of {door.name} has changed: known_hosts has another one than {fingerprint(error.key)}.",
            state="Someone may be listening in between, or the server was installed anew. Nothing was sent.",
            hint=f"If it was installed anew: ssh-keygen -R {_known_name(door)}, then the same command again.",
        )
    if isinstance(error, UnknownHostKey):
        return _unknown(error, door)
    if isinstance(error, paramiko.PasswordRequiredException):
        return PortsideError(
            "Your SSH key is locked by a passphrase.", hint="Type ssh-add, then the same command again."
        )
    if isinstance(error, paramiko.AuthenticationException):
        return PortsideError(
            f"{door.name} let nobody in as {door.user}: the server refused every key we have.",
            state="Nothing was changed.",
            hint=f"Try {door.ssh}; name the key with -i KEY, the user with -H user@{door.host}.",
        )
    if isinstance(error, socket.gaierror):
        return PortsideError(f"There is no host called {door.name}.", hint="Check the name after -H.")
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError | ConnectionError | paramiko.ChannelException):
        through = f", asked from the jump host {door.jumps[-1]}" if door.jumps else ""
        return PortsideError(
            f"Nothing answers SSH at {door.name}, port {door.port}{through}.",
            state=again,
            hint=f"Try {door.ssh}",
        )
    if isinstance(error, TimeoutError) or "Timeout opening channel" in str(error):
        return PortsideError(f"{door.name} didn't answer within {CONNECT_SECONDS} s.", state=again)
    return PortsideError(f"No connection to {door.name}: {str(error) or type(error).__name__}.", state=again)


def fingerprint(key: paramiko.PKey) -> str:
    """A key's type and fingerprint, as ssh shows them."""
    return f"{key.get_name()} {key.fingerprint}"


def _unknown(error: UnknownHostKey, door: Door) -> PortsideError:
    key = error.key
    file = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(key.get_name(), "ecdsa")
    return PortsideError(
        f"The host key of {door.name} isn't known on this machine, so we don't know whose server it is. It shows:\n"
        f"    {fingerprint(key)}",
        state="Nothing was sent.",
        hint=f"Compare it with what the server's own console says (ssh-keygen -lf /etc/ssh/ssh_host_{file}_key.pub). "
        f"If they are the same, accept it, then type the same command again:\n"
        f"    echo '{error.name} {key.get_name()} {key.get_base64()}' >>{door.known_hosts}",
    )


def _known_name(door: Door) -> str:
    return door.host if door.port == 22 else f"'[{door.host}]:{door.port}'"


def no_root(text: str, target: str) -> PortsideError:
    if "tty" in text:
        hint = "Add to /etc/sudoers (with visudo): Defaults:USER !requiretty"
    else:
        hint = "Give the user sudo without a password (with visudo): USER ALL=(ALL) NOPASSWD:ALL, or use -H root@…"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = next((line for word in ("sudo:", "sudoers") for line in lines if word in line), "")
    return PortsideError(f"No root on {target}: {said}", state="Nothing was changed.", hint=hint)

"""Explains why a server can't be reached or used, with a hint for each cause."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import paramiko

from ..core.errors import PortsideError

CONNECT_SECONDS, DEAD_LINK_SECONDS = 15, 60


class HostKeyError(paramiko.SSHException):
    """A host key that wasn't accepted. ``name``: the server's name in known_hosts."""

    def __init__(self, name: str, key: paramiko.PKey) -> None:
        super().__init__(f"the host key of {name} wasn't accepted")
        self.name, self.key = name, key


class UnknownHostKey(HostKeyError):
    """A host key that isn't in known_hosts. ``known``: the types of this server's keys that are."""

    def __init__(self, name: str, key: paramiko.PKey, known: Iterable[str] = ()) -> None:
        super().__init__(name, key)
        self.known = ", ".join(sorted(known))


class RevokedHostKey(HostKeyError):
    """A host key that a line of known_hosts revokes."""

    def __init__(self, name: str, key: paramiko.PKey, file: str, number: int) -> None:
        super().__init__(name, key)
        self.file, self.number = file, number


class ChangedHostKey(HostKeyError):
    """A host key that differs from the one in a line of known_hosts."""

    def __init__(self, name: str, key: paramiko.PKey, file: str, number: int, *, by_pattern: bool) -> None:
        super().__init__(name, key)
        self.file, self.number, self.by_pattern = file, number, by_pattern

    @property
    def remedy(self) -> str:
        """The command or action that removes the other key. ssh-keygen doesn't change lines with wildcards."""
        if self.by_pattern:
            return f"remove line {self.number} from {self.file}"
        return f"ssh-keygen -R {shlex.quote(self.name)} -f {shell_path(self.file)}"


@dataclass(frozen=True)
class Hop:
    """An SSH server on the way to the one that the user named. ``jumps``: the jump hosts before it, for ssh -J."""

    host: str
    port: int
    user: str
    target: str
    jumps: tuple[str, ...] = ()
    last: bool = True
    known_hosts: str = "~/.ssh/known_hosts"
    seconds: int = CONNECT_SECONDS

    @property
    def name(self) -> str:
        return self.host if self.last else f"{self.host} (a jump host on the way to {self.target})"

    @property
    def ssh(self) -> str:
        """The command that opens the same connection by hand."""
        through = ("-J", ",".join(self.jumps)) if self.jumps else ()
        return " ".join(("ssh", *through, "-p", str(self.port), f"{self.user}@{self.host}"))


def no_connection(error: Exception, hop: Hop) -> PortsideError:  # noqa: PLR0911 - a list of cases
    """Explain why there is no connection."""
    again = "Nothing was changed. Fix this and run the command again."
    if isinstance(error, UnknownHostKey):
        return _unknown(error, hop)
    if isinstance(error, RevokedHostKey | ChangedHostKey):
        return _refused(error, hop)
    if isinstance(error, paramiko.PasswordRequiredException):
        return PortsideError("Your SSH key is locked by a passphrase.", hint="Run ssh-add, then run the command again.")
    if isinstance(error, paramiko.AuthenticationException):
        return PortsideError(
            f"Permission denied for {hop.user}@{hop.name}: the server accepted none of your SSH keys.",
            state="Nothing was changed.",
            hint=f"Try {hop.ssh}. Choose the key with -i KEY, the user with -H user@{hop.host}.",
        )
    if isinstance(error, socket.gaierror | UnicodeError):
        return PortsideError(f"Cannot resolve the host name {hop.name}.", hint="Check the name after -H.")
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError | ConnectionError | paramiko.ChannelException):
        through = f", tried from the jump host {hop.jumps[-1]}" if hop.jumps else ""
        return PortsideError(
            f"No SSH server answers at {hop.name}, port {hop.port}{through}.",
            state=again,
            hint=f"Try {hop.ssh}",
        )
    if isinstance(error, TimeoutError) or "Timeout opening channel" in str(error):
        return PortsideError(f"{hop.name} didn't answer within {hop.seconds} s.", state=again)
    return PortsideError(f"No connection to {hop.name}: {str(error) or type(error).__name__}.", state=again)


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's type and fingerprint, as ssh shows them."""
    return f"{key.get_name()} {key.fingerprint}"


def _refused(error: RevokedHostKey | ChangedHostKey, hop: Hop) -> PortsideError:
    shown = fingerprint(error.key)
    if isinstance(error, RevokedHostKey):
        return PortsideError(
            f"The host key of {hop.name} is revoked in {error.file}, line {error.number}: {shown}.",
            state="Nothing was sent.",
            hint="Give the server a new host key, or ask the person who revoked this one.",
        )
    return PortsideError(
        f"The host key of {hop.name} has changed: it is now {shown}, but {error.file} has another one.",
        state="Someone may be intercepting the connection, or the server was reinstalled. Nothing was sent.",
        hint=f"If it was reinstalled: {error.remedy}, then run the command again.",
    )


def _unknown(error: UnknownHostKey, hop: Hop) -> PortsideError:
    key = error.key
    known = (
        f"\nIts known key is of another type ({error.known}), which the server doesn't offer." if error.known else ""
    )
    file = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(key.get_name(), "ecdsa")
    return PortsideError(
        f"The host key of {hop.name} isn't known on this machine, so the server's identity is unproven. Its key:\n"
        f"    {fingerprint(key)}{known}",
        state="Nothing was sent.",
        hint="On the server's console, compare it with the output of "
        f"ssh-keygen -lf /etc/ssh/ssh_host_{file}_key.pub. "
        "If they are the same, accept the key and run the command again:\n"
        f"    echo '{error.name} {key.get_name()} {key.get_base64()}' >>{shell_path(hop.known_hosts)}",
    )


def shell_path(path: str) -> str:
    """Quote a path for a shell, which still expands a leading ~."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)


def no_root(text: str, target: str) -> PortsideError:
    if "tty" in text:
        hint = "Add to /etc/sudoers (with visudo): Defaults:USER !requiretty"
    else:
        hint = "Give the user sudo without a password (with visudo): USER ALL=(ALL) NOPASSWD:ALL, or use -H root@…"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = next((line for word in ("sudo:", "sudoers") for line in lines if word in line), "")
    return PortsideError(f"No root on {target}: {said}", state="Nothing was changed.", hint=hint)


def no_session(target: str) -> PortsideError:
    return PortsideError(
        f"sshd on {target} allows no further session on this connection.",
        hint="Portside needs up to three sessions at once. Set MaxSessions to 3 or more in sshd_config on the server "
        "(the default is 10), reload sshd, and run the command again.",
    )

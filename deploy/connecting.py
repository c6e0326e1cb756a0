"""Why a server can't be reached or used, in the user's words, with what to do about it."""

from __future__ import annotations

import socket

import paramiko

from .errors import PortsideError

CONNECT_SECONDS = 15


def no_connection(  # noqa: PLR0911 - a list of cases
    error: Exception, host: str, port: int, user: str, target: str
) -> PortsideError:
    """Why there is no connection. ``target``: what the user typed after -H."""
    again = "Nothing was changed. Type the same command again once it works."
    if isinstance(error, paramiko.BadHostKeyException):
        return PortsideError(
            f"The host key of {host} has changed: known_hosts has another one.",
            state="Someone may be listening in between, or the server was installed anew. Nothing was sent.",
            hint=f"If it was installed anew: ssh-keygen -R {_known_name(host, port)}, then ssh {target} once.",
        )
    if isinstance(error, paramiko.PasswordRequiredException):
        return PortsideError(
            "Your SSH key is locked by a passphrase.", hint="Type ssh-add, then the same command again."
        )
    if isinstance(error, paramiko.AuthenticationException):
        return PortsideError(
            f"{host} let nobody in as {user}: the server refused every key we have.",
            state="Nothing was changed.",
            hint=f"Try ssh -p {port} {user}@{host}; name the key with -i KEY, the user with -H user@{host}.",
        )
    if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in str(error):
        return PortsideError(
            f"The host key of {host} isn't known on this machine, so we don't know whose server it is.",
            state="Nothing was sent.",
            hint=f"Type ssh -p {port} {user}@{host} once, compare the fingerprint, and accept it.",
        )
    if isinstance(error, socket.gaierror):
        return PortsideError(f"There is no host called {host}.", hint="Check the name after -H.")
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError | ConnectionError):
        return PortsideError(
            f"Nothing answers SSH at {host}, port {port}.", state=again, hint=f"Try ssh -p {port} {host}."
        )
    if isinstance(error, TimeoutError):
        return PortsideError(f"{host} didn't answer within {CONNECT_SECONDS} s.", state=again)
    return PortsideError(f"No connection to {host}: {str(error) or type(error).__name__}.", state=again)


def _known_name(host: str, port: int) -> str:
    return host if port == 22 else f"'[{host}]:{port}'"


def no_root(text: str, target: str) -> PortsideError:
    if "tty" in text:
        hint = "Add to /etc/sudoers (with visudo): Defaults:USER !requiretty"
    else:
        hint = "Give the user sudo without a password (with visudo): USER ALL=(ALL) NOPASSWD:ALL, or use -H root@…"
    said = next((line for line in text.splitlines() if "sudo:" in line), "")
    return PortsideError(f"No root on {target}: {said}", state="Nothing was changed.", hint=hint)

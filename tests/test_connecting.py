"""Why a server can't be reached or used, in the user's words."""

from __future__ import annotations

import socket

import paramiko
import pytest

from deploy.connecting import no_connection, no_root

KEY = paramiko.RSAKey.generate(1024)


def told(error: Exception, port: int = 2222) -> str:
    return str(no_connection(error, "192.0.2.1", port, "ann", "web-1"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(-2, "unknown"), "There is no host called 192.0.2.1."),
        (ConnectionRefusedError(), "Nothing answers SSH at 192.0.2.1, port 2222."),
        (
            paramiko.ssh_exception.NoValidConnectionsError({("192.0.2.1", 2222): OSError("refused")}),
            "Nothing answers SSH at 192.0.2.1, port 2222.",
        ),
        (TimeoutError(), "192.0.2.1 didn't answer within 15 s."),
        (paramiko.AuthenticationException("no"), "let nobody in as ann"),
        (paramiko.AuthenticationException("no"), "ssh -p 2222 ann@192.0.2.1"),
        (paramiko.PasswordRequiredException("locked"), "ssh-add"),
        (paramiko.SSHException("Server 'x' not found in known_hosts"), "ssh -p 2222 ann@192.0.2.1 once"),
        (paramiko.BadHostKeyException("x", KEY, KEY), "ssh-keygen -R '[192.0.2.1]:2222', then ssh web-1 once"),
        (paramiko.SSHException("odd banner"), "No connection to 192.0.2.1: odd banner."),
        (EOFError(), "No connection to 192.0.2.1: EOFError."),
    ],
)
def test_a_connection_that_fails_says_why_and_what_to_do(error: Exception, said: str) -> None:
    assert said in told(error)


def test_a_known_host_at_the_usual_port_has_its_plain_name() -> None:
    assert "ssh-keygen -R 192.0.2.1, then" in told(paramiko.BadHostKeyException("x", KEY, KEY), port=22)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (paramiko.BadHostKeyException("x", KEY, KEY), "Nothing was sent."),
        (paramiko.SSHException("Server 'x' not found in known_hosts"), "Nothing was sent."),
        (paramiko.AuthenticationException("no"), "Nothing was changed."),
        (TimeoutError(), "Nothing was changed."),
    ],
)
def test_what_is_so_now_is_said(error: Exception, state: str) -> None:
    assert state in no_connection(error, "192.0.2.1", 22, "ann", "web-1").state


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("sudo: a password is required", "NOPASSWD"),
        ("sudo: sorry, you must have a tty to run sudo", "!requiretty"),
        ("sudo: ann is not in the sudoers file", "NOPASSWD"),
    ],
)
def test_sudo_that_refuses_is_told_with_the_line_to_add(said: str, hint: str) -> None:
    error = no_root(f"a banner\n{said}\nmore", "web-1")
    assert error.message == f"No root on web-1: {said}"
    assert (error.state, hint in error.hint) == ("Nothing was changed.", True)

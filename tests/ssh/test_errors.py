"""Why a server can't be reached or used, in the user's words."""

from __future__ import annotations

import socket
from dataclasses import replace

import paramiko
import pytest

from deploy.ssh.errors import ChangedHostKey, Hop, RevokedHostKey, UnknownHostKey, fingerprint, no_connection, no_root

KEY = paramiko.RSAKey.generate(1024)
DIRECT = Hop("192.0.2.1", 2222, "ann", "web-1")
BEHIND = Hop("10.0.0.5", 22, "ann", "web-1", ("bob@gate.example:22", "bob@192.0.2.7:2222"))
MIDDLE = Hop("192.0.2.7", 2222, "bob", "web-1", ("bob@gate.example:22",), last=False)
FILE = "~/.ssh/known hosts"
CHANGED = ChangedHostKey("[192.0.2.1]:2222", KEY, FILE, 3, by_pattern=False)
BY_PATTERN = ChangedHostKey("[192.0.2.1]:2222", KEY, FILE, 3, by_pattern=True)
REVOKED = RevokedHostKey("[192.0.2.1]:2222", KEY, FILE, 3)
CLOSED = paramiko.ChannelException(2, "Connect failed")


def told(error: Exception, hop: Hop = DIRECT) -> str:
    return str(no_connection(error, hop))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(-2, "unknown"), "Cannot resolve the host name 192.0.2.1."),
        (ConnectionRefusedError(), "No SSH server answers at 192.0.2.1, port 2222."),
        (
            paramiko.ssh_exception.NoValidConnectionsError({("192.0.2.1", 2222): OSError("refused")}),
            "No SSH server answers at 192.0.2.1, port 2222.",
        ),
        (TimeoutError(), "192.0.2.1 didn't answer within 15 s."),
        (paramiko.AuthenticationException("no"), "Permission denied for ann@"),
        (paramiko.AuthenticationException("no"), "ssh -p 2222 ann@192.0.2.1"),
        (paramiko.PasswordRequiredException("locked"), "ssh-add"),
        (UnicodeError("label too long"), "Cannot resolve the host name 192.0.2.1."),
        (CHANGED, "The host key of 192.0.2.1 has changed: it is now"),
        (CHANGED, "ssh-keygen -R '[192.0.2.1]:2222' -f ~/'.ssh/known hosts', then run the command again."),
        pytest.param(CHANGED, fingerprint(KEY), id="the key's fingerprint"),
        (BY_PATTERN, "If it was reinstalled: remove line 3 from ~/.ssh/known hosts, then run the command again."),
        pytest.param(
            REVOKED,
            f"The host key of 192.0.2.1 is revoked in ~/.ssh/known hosts, line 3: {fingerprint(KEY)}.",
            id="a revoked key",
        ),
        (paramiko.SSHException("odd banner"), "No connection to 192.0.2.1: odd banner."),
        (EOFError(), "No connection to 192.0.2.1: EOFError."),
    ],
)
def test_a_connection_that_fails_says_why_and_what_to_do(error: Exception, said: str) -> None:
    assert said in told(error)


def test_the_seconds_waited_are_those_asked_for() -> None:
    assert "192.0.2.1 didn't answer within 4 s." in told(TimeoutError(), replace(DIRECT, seconds=4))


def test_a_host_that_shows_a_key_of_another_type_than_is_known_is_told_as_such() -> None:
    said = told(UnknownHostKey("192.0.2.1", KEY, {"ssh-ed25519"}))
    assert (
        f"{fingerprint(KEY)}\nIts known key is of another type (ssh-ed25519), which the server doesn't offer.\n" in said
    )


@pytest.mark.parametrize(
    ("path", "written"), [("/etc/known", "/etc/known"), ("/a b/c", "'/a b/c'"), ("~/a b", "~/'a b'"), ("a;b", "'a;b'")]
)
def test_the_file_of_known_hosts_is_quoted(path: str, written: str) -> None:
    assert told(UnknownHostKey("x", KEY), replace(DIRECT, known_hosts=path)).endswith(f"' >>{written}")


def test_an_unknown_host_key_is_shown_with_what_accepts_exactly_it() -> None:
    said = told(UnknownHostKey("[192.0.2.1]:2222", KEY))
    assert f"    ssh-rsa {KEY.fingerprint}\nNothing was sent.\n" in said
    assert "ssh-keygen -lf /etc/ssh/ssh_host_rsa_key.pub" in said
    assert said.endswith(f"\n    echo '[192.0.2.1]:2222 ssh-rsa {KEY.get_base64()}' >>~/.ssh/known_hosts")


@pytest.mark.parametrize(
    ("hop", "error", "said"),
    [
        (MIDDLE, TimeoutError(), "192.0.2.7 (a jump host on the way to web-1) didn't answer"),
        (MIDDLE, UnknownHostKey("x", KEY), "The host key of 192.0.2.7 (a jump host on the way to web-1) isn't known"),
        (MIDDLE, CLOSED, "port 2222, tried from the jump host bob@gate.example:22."),
        (BEHIND, CLOSED, "No SSH server answers at 10.0.0.5, port 22, tried from the jump host bob@192.0.2.7:2222."),
        (BEHIND, paramiko.SSHException("Timeout opening channel."), "10.0.0.5 didn't answer within 15 s."),
        (BEHIND, CLOSED, "Try ssh -J bob@gate.example:22,bob@192.0.2.7:2222 -p 22 ann@10.0.0.5"),
    ],
)
def test_the_hop_that_fails_is_named(hop: Hop, error: Exception, said: str) -> None:
    assert said in told(error, hop)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (CHANGED, "Nothing was sent."),
        (REVOKED, "Nothing was sent."),
        (UnknownHostKey("192.0.2.1", KEY), "Nothing was sent."),
        (paramiko.AuthenticationException("no"), "Nothing was changed."),
        (TimeoutError(), "Nothing was changed."),
    ],
)
def test_what_is_so_now_is_said(error: Exception, state: str) -> None:
    assert state in no_connection(error, DIRECT).state


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("sudo: a password is required", "NOPASSWD"),
        ("sudo: sorry, you must have a tty to run sudo", "!requiretty"),
        ("sudo: ann is not in the sudoers file", "NOPASSWD"),
        ("ann is not in the sudoers file.", "NOPASSWD"),
    ],
)
def test_sudo_that_refuses_is_told_with_the_line_to_add(said: str, hint: str) -> None:
    error = no_root(f"a banner\n{said}\nmore", "web-1")
    assert error.message == f"No root on web-1: {said}"
    assert (error.state, hint in error.hint) == ("Nothing was changed.", True)

"""A session's input and output, over a channel that this test is the other end of."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from deploy.ssh import session
from deploy.ssh.payload import REMOTE
from deploy.ssh.session import Input, Session
from tests import sample


class Host(paramiko.ServerInterface):
    """Takes everybody, and notes what its terminal is told."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def check_auth_none(self, username: str) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        return True


@pytest.fixture
def channels() -> Iterator[tuple[paramiko.Channel, paramiko.Channel]]:
    """The laptop's end and the server's."""
    near, far = socket.socketpair()
    at = paramiko.Transport(far)
    at.add_server_key(paramiko.ECDSAKey.generate())
    at.start_server(event=threading.Event(), server=Host())  # which doesn't wait for the other end then
    transport = paramiko.Transport(near)
    transport.start_client()
    transport.auth_none("ann")
    channel = transport.open_session()
    channel.exec_command("x")
    there = at.accept(30)
    assert there is not None
    yield channel, there
    transport.close()
    at.close()
    near.close()
    far.close()


Piped = Callable[[Any], None]


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Piped]:
    """Makes these bytes, or this file, standard input; without any it has none."""
    opened: list[Any] = []

    def give(data: Any) -> None:
        if isinstance(data, bytes):
            given: Any = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the test
            given.write(data)
            given.seek(0)
        else:
            given = data
        opened.append(given)
        monkeypatch.setattr(sys, "stdin", given)

    yield give
    for each in opened:
        if each:
            each.close()


def read_all(channel: paramiko.Channel) -> bytes:
    found = b""
    while block := channel.recv(65536):
        found += block
    return found


@pytest.mark.parametrize("data", [b"", b"one\ntwo", b"\x00\xff" * 1000, None])
def test_what_is_piped_in_arrives_with_its_end(data: bytes | None, channels: Any, piped: Piped) -> None:
    piped(data)
    here, there = channels
    out: list[bytes] = []
    errors: list[bytes] = []

    def serve() -> None:
        found = read_all(there)
        there.sendall(b"out:" + found)
        there.sendall_stderr(b"err")
        there.send_exit_status(7)
        there.close()

    at = threading.Thread(target=serve)
    at.start()
    assert Session(here, Input(), out.append, errors.append).attend() == 7
    at.join()
    assert (b"".join(out), b"".join(errors)) == (b"out:" + (data or b""), b"err")


def test_a_command_that_ends_does_not_wait_for_its_input(channels: Any, piped: Piped) -> None:
    reader, writer = os.pipe()  # which nobody closes
    piped(os.fdopen(reader))
    here, there = channels
    there.send_exit_status(3)
    there.close()
    assert Session(here, Input(), print, print).attend() == 3
    os.close(writer)


def test_a_channel_that_ends_without_a_word_is_lost(channels: Any, piped: Piped) -> None:
    piped(b"")
    here, there = channels
    there.close()
    assert Session(here, Input(), print, print).attend() == -1


def test_what_was_read_already_comes_first(channels: Any, piped: Piped) -> None:
    piped(b"")
    here, there = channels
    there.sendall(b"two")
    there.send_exit_status(0)
    there.close()
    out: list[bytes] = []
    assert Session(here, Input(), out.append, print).attend(b"one ") == 0
    assert b"".join(out) == b"one two"


def test_of_several_servers_each_is_given_all_of_it(piped: Piped) -> None:
    piped(b"a" * 100_000)
    given = Input(kept=True)
    for size in (40_000, 100_000, 100_000):
        given.begin()
        found = b""
        while len(found) < size and (block := given.block()):
            found += block
        assert len(found) >= size or found == b"a" * 100_000
        assert set(found) == {ord("a")}
    assert found == b"a" * 100_000
    assert given.block() == b""
    given.close()


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A docker that notes what it is told."""
    sample.files(tmp_path, {"bin/docker": f'#!/bin/sh\necho "$*" >>{tmp_path}/docker.log\n'})
    (tmp_path / "bin/docker").chmod(0o755)
    return tmp_path


def begun(tools: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PATH": f"{tools}/bin:{os.environ['PATH']}"}
    return subprocess.Popen(
        session.guarded(words, "art-run-1"), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def ended(tools: Path) -> bool:
    """Whether the container is taken away within the time that is given."""
    limit = time.monotonic() + 180
    while time.monotonic() < limit:
        if (tools / "docker.log").exists() and "rm -f art-run-1" in (tools / "docker.log").read_text():
            return True
        time.sleep(0.1)
    return False


def is_alive(pid: int) -> bool:
    """Whether a process does more than wait for whoever asks after it."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_sessions_exit_code_and_words_are_the_commands(tools: Path) -> None:
    at = begun(tools, "sh", "-c", 'cat; echo "$1"; exit 9', "sh", "a  b")
    assert (at.communicate("in\n")[0], at.returncode) == ("in\na  b\n", 9)
    assert ended(tools)


def test_a_session_that_is_killed_leaves_nothing(tools: Path) -> None:
    """Also at its very beginning: what it must know of itself, it has asked before the command begins."""
    sample.files(tools, {"bin/cut": f'#!/bin/sh\nsleep 0.3\nexec {shutil.which("cut")} "$@"\n'})
    (tools / "bin/cut").chmod(0o755)
    at = begun(tools, "sh", "-c", "echo $$; exec sleep 1000")
    assert at.stdout
    pid = int(at.stdout.readline())
    at.kill()
    at.wait()  # or it would still be there, as one that nobody has asked after
    at.communicate(timeout=180)
    assert ended(tools)
    limit = time.monotonic() + 180
    while is_alive(pid):
        assert time.monotonic() < limit, "its command runs on"
        time.sleep(0.05)


def test_both_scripts_travel_as_words() -> None:
    words = session.guarded(("true",), "c")
    assert words[2] == (REMOTE / "session.sh").read_text(encoding="utf-8")
    assert words[4:] == ((REMOTE / "session-end.sh").read_text(encoding="utf-8"), "c", "true")


@pytest.mark.parametrize(("number", "kind"), [(32, BrokenPipeError), (28, OSError)])
def test_an_output_that_takes_no_more_is_no_fault_of_the_connection(
    number: int, kind: type[OSError], channels: Any, piped: Piped
) -> None:
    piped(b"")
    here, there = channels
    there.sendall(b"much")
    there.send_exit_status(0)
    there.close()

    def full(block: bytes) -> None:
        raise OSError(number, "it takes no more")

    with pytest.raises(session.Unwritable) as caught:
        Session(here, Input(), full, print).attend()
    assert isinstance(caught.value.error, kind)

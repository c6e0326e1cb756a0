"""The heart of a lock. tests/ssh/test_server.py has it beat for a real one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import paramiko
import pytest

from deploy.ssh import heartbeat
from deploy.ssh.heartbeat import Heartbeat


class Far:
    """A channel to a server that answers each beat, unless it takes it otherwise."""

    def __init__(self, takes: Callable[[bytes], object] | None = None, *, answers: bool = True) -> None:
        self.takes, self.answers = takes or (lambda data: None), answers
        self.beats = self.waiting = 0
        self.cut = threading.Event()
        self.eof_received = False

    def sendall(self, data: bytes) -> None:
        self.takes(data)
        self.beats += 1
        self.waiting += self.answers

    def recv_ready(self) -> bool:
        return bool(self.waiting)

    def recv(self, size: int) -> bytes:
        if not self.waiting:
            raise TimeoutError
        self.waiting = 0
        return b"\n"

    def settimeout(self, seconds: float) -> None:
        """Nobody waits here."""

    def get_transport(self) -> SimpleNamespace:
        return SimpleNamespace(close=self.cut.set, sock=None)


@contextmanager
def beating(far: Far) -> Iterator[Heartbeat]:
    made = Heartbeat(far)  # type: ignore[arg-type]
    made.start()
    yield made
    made.stopped.set()
    made.join(timeout=180)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(heartbeat, "DEAD_LINK_SECONDS", 2)


def test_a_server_that_answers_is_left_alone() -> None:
    far = Far()
    with beating(far):
        assert not far.cut.wait(3)
    assert far.beats > 1


def test_a_server_that_does_not_answer_any_more_is_cut_off() -> None:
    far = Far(answers=False)
    with beating(far):
        assert far.cut.wait(180)


def test_a_link_that_takes_no_beat_any_more_is_cut_off() -> None:
    """As where it dies in the middle of a transfer: who sends holds the connection until it is closed."""
    far = Far()
    far.takes = lambda data: far.cut.wait(180)
    with beating(far):
        assert far.cut.wait(180)


def test_behind_a_jump_host_the_first_hop_is_cut() -> None:
    far, last = Far(answers=False), threading.Event()
    through = paramiko.Channel(1)
    through.get_transport = far.get_transport  # type: ignore[method-assign,assignment]
    behind = Far(answers=False)
    behind.get_transport = lambda: SimpleNamespace(close=last.set, sock=through)  # type: ignore[method-assign]
    with beating(behind):
        assert far.cut.wait(180)
    assert not last.is_set()


def test_a_server_that_has_ended_it_is_sent_nothing_more() -> None:
    far = Far()
    far.eof_received = True
    with beating(far) as made:
        made.join(timeout=180)
        assert not made.is_alive()
    assert (far.beats, far.cut.is_set()) == (0, False)


@pytest.mark.parametrize("error", [OSError(), EOFError(), paramiko.SSHException()])
def test_a_beat_that_meets_a_lost_link_says_nothing(error: Exception) -> None:
    def broken(data: bytes) -> None:
        raise error

    made = Heartbeat(Far(broken))  # type: ignore[arg-type]
    made.beat("gate")
    assert not made.answers()


def test_whether_it_answers_now() -> None:
    assert Heartbeat(Far()).answers()  # type: ignore[arg-type]
    assert not Heartbeat(Far(answers=False)).answers()  # type: ignore[arg-type]

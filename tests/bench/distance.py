"""Distance: a relay in front of sshd that delays what goes through it, and counts it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue

from deploy.practice import Practice
from tests.e2e.kit.relay import Relay, known


@dataclass
class Traffic:
    """What went through: round trips, bytes to the server and from it.

    A round trip begins when a connection is made, and whenever the laptop speaks after something has reached it from
    the server; while one lasts, whatever else it sends travels along.
    """

    round_trips: int = 0
    up: int = 0
    down: int = 0

    @property
    def kilobytes(self) -> float:
        return (self.up + self.down) / 1000


@dataclass
class Distance(Relay):
    """A relay with a server so many seconds away, there and back."""

    seconds: float = 0
    traffic: Traffic = field(default_factory=Traffic)

    def begin(self, seconds: float) -> None:
        """Another distance and a fresh count; connections of before are cut."""
        self.reset()
        self.ends.clear()
        self.seconds, self.traffic = seconds, Traffic()

    def serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._meet, args=(near,), daemon=True).start()

    def _meet(self, near: socket.socket) -> None:
        """A connection: making it takes a round trip of its own."""
        self.traffic.round_trips += 1
        time.sleep(self.seconds)
        try:
            far = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            near.close()
            return
        self.ends += (near, far)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk = _Talk(self.seconds, self.traffic)
        for way in (_Up(near, far, talk), _Down(far, near, talk)):
            for job in (way.take, way.deliver):
                threading.Thread(target=job, daemon=True).start()


@dataclass
class _Talk:
    """One connection: whether something from the server has reached the laptop since its last round trip began."""

    seconds: float
    traffic: Traffic
    reached: bool = True
    began: float = float("-inf")

    def speak(self) -> None:
        now = time.monotonic()
        if self.reached and now - self.began >= self.seconds:
            self.traffic.round_trips += 1
            self.reached, self.began = False, now


@dataclass
class _Way:
    """What one end says, on its way to the other."""

    one: socket.socket
    other: socket.socket
    talk: _Talk
    under_way: SimpleQueue[tuple[float, bytes]] = field(default_factory=SimpleQueue)

    def take(self) -> None:
        with suppress(OSError):
            while block := self.one.recv(65536):
                self.taken(block)
                self._send(block)
        self._send(b"")

    def deliver(self) -> None:
        with suppress(OSError):
            while block := self._due():
                self.delivered()
                self.other.sendall(block)
            self.other.shutdown(socket.SHUT_WR)

    def _send(self, block: bytes) -> None:
        self.under_way.put((time.monotonic() + self.talk.seconds / 2, block))

    def _due(self) -> bytes:
        due, block = self.under_way.get()
        time.sleep(max(0.0, due - time.monotonic()))
        return block

    def taken(self, block: bytes) -> None:
        raise NotImplementedError

    def delivered(self) -> None:
        """Nothing more is to be noted of it."""


class _Up(_Way):
    def taken(self, block: bytes) -> None:
        self.talk.speak()
        self.talk.traffic.up += len(block)


class _Down(_Way):
    def taken(self, block: bytes) -> None:
        self.talk.traffic.down += len(block)

    def delivered(self) -> None:
        self.talk.reached = True


@contextmanager
def away(server: Practice) -> Iterator[Distance]:
    """A relay to the server's sshd, as yet without a distance."""
    with known(server, Distance(f"{server.name}-away", server.ssh_port)) as relay:
        yield relay

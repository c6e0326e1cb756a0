"""A small TCP relay in front of sshd, which can cut what goes through it: with a word, or without one."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from deploy.practice import Practice, access

LINGER = struct.pack("ii", 1, 0)
"""Closing a socket so set resets its connection."""


@dataclass
class Relay:
    """Passes connections on to a port of this machine. ``name``: what to type after -H to go through it; ``passed``:
    bytes, both ways together."""

    name: str
    target: int
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)), repr=False)
    port: int = 0
    ends: list[socket.socket] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    flowing: threading.Event = field(default_factory=threading.Event)
    passed: int = 0

    def __post_init__(self) -> None:
        self.flowing.set()
        self.port = int(self.listener.getsockname()[1])

    def serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            self.ends += (near, far)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while block := one.recv(65536):
                self.flowing.wait()
                if not self.silent.is_set():
                    other.sendall(block)
                    self.passed += len(block)
        if not self.silent.is_set():
            with suppress(OSError):
                other.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Cut every connection so that both ends are told."""
        for end in self.ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                end.shutdown(socket.SHUT_RD)
            end.close()

    def silence(self) -> None:
        """Let nothing through any more; neither end is told."""
        self.silent.set()

    def stall(self) -> None:
        """Take nothing more, so that what is on its way stays there; neither end is told."""
        self.flowing.clear()

    def close(self) -> None:
        self.silent.set()
        self.flowing.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.reset()


AnyRelay = TypeVar("AnyRelay", bound=Relay)


@contextmanager
def in_front_of(server: Practice) -> Iterator[Relay]:
    """A relay to the server's sshd for as long as the block runs."""
    with known(server, Relay(f"{server.name}-relay", server.ssh_port)) as relay:
        yield relay


@contextmanager
def known(server: Practice, relay: AnyRelay) -> Iterator[AnyRelay]:
    """The relay at work, with its name and the server's host keys in this checkout's ssh files."""
    threading.Thread(target=relay.serve, daemon=True).start()
    keys = server.exec(("sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub"))
    with access.exclusive(lambda _: None):
        access.add_server(relay.name, relay.port, keys)
    try:
        yield relay
    finally:
        relay.close()
        with access.exclusive(lambda _: None):
            access.forget(relay.name, relay.port)

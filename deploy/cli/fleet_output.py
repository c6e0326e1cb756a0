"""The output of several servers, line by line."""

from __future__ import annotations

import io
import sys
import termios
import threading
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rich.console import Console

from ..ssh.sudo import asking, on_terminal


class Lines(io.TextIOBase):
    """A stream that passes on whole lines, each after its server's name."""

    def __init__(self, prefix: str, emit: Callable[[str], None]) -> None:
        super().__init__()
        self._prefix, self._emit, self._rest = prefix, emit, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._emit(f"{self._prefix}{line}\n")
        return len(text)

    def end(self) -> None:
        """Pass on an unfinished last line."""
        if self._rest:
            self.write("\n")


@contextmanager
def behind(name: str, stream: Any) -> Iterator[Callable[[bytes], None]]:
    """Write bytes to a stream as whole lines, each after a server's name."""
    lines, decoder = Lines(f"{name} | ", partial(_write, stream)), getincrementaldecoder("utf-8")("replace")

    def emit(block: bytes) -> None:
        lines.write(decoder.decode(block))

    try:
        yield emit
    finally:
        lines.end()


@dataclass
class Outputs:
    """Where a server's lines go: each as a whole, after its server's name.

    ``held``: lines to print when it is this server's turn. ``answer``: the result, if a script reads JSON.
    """

    prefix: str
    holds: bool = False
    reads_json: bool = False
    held: list[tuple[Any, str]] = field(default_factory=list)
    answer: io.StringIO = field(default_factory=io.StringIO)

    def consoles(self) -> tuple[Console, Console, Console]:
        out, errors = self._console(sys.stdout), self._console(sys.stderr)
        return out, errors, Console(file=self.answer, soft_wrap=True) if self.reads_json else out

    def _console(self, stream: Any) -> Console:
        emit = (lambda line: self.held.append((stream, line))) if self.holds else (lambda line: _write(stream, line))
        like: Any = Console(file=stream)
        lines: Any = Lines(self.prefix, emit)
        return Console(
            file=lines,
            highlight=False,
            soft_wrap=True,
            force_terminal=False,
            color_system=like.color_system,
            width=max(60, like.width - len(self.prefix)),
        )

    def release(self) -> None:
        """Print the held lines."""
        for stream, line in self.held:
            _write(stream, line)
        self.held.clear()


_writing = threading.Lock()


def _write(stream: Any, line: str) -> None:
    with _writing:
        stream.write(line)
        stream.flush()


def split_hosts(hosts: Iterable[str]) -> list[str]:
    """Return the servers that -H names, each once."""
    return list(dict.fromkeys(host.strip() for host in hosts if host.strip()))


@contextmanager
def terminal_as_it_was() -> Iterator[None]:
    """Restore the terminal afterwards: an abandoned thread that asks for a password leaves it without echo."""
    before = termios.tcgetattr(sys.stdin) if on_terminal() else None
    try:
        yield
    finally:
        if before and asking():  # as a background process, setting it would stop us
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

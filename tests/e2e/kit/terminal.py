"""A user at a terminal: the real `fab` on a pseudo-terminal of its own, with keys typed and what is shown read."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from .laptop import CHECKOUT, FAB, STRIPPED
from .project import Project

SECONDS = 240
"""Nothing that a test waits for on a terminal takes longer; what hangs is ended then."""


class Terminal:
    """`fab` on a terminal. ``shown``: all that it has shown so far."""

    def __init__(self, *words: str, columns: int = 100, lines: int = 30, env: Mapping[str, str] | None = None) -> None:
        self.ours, theirs = pty.openpty()
        self.shown = ""
        self.resize(columns, lines)
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs  # kept open, so that its state can be read once fab has ended
        clean = {name: value for name, value in os.environ.items() if not STRIPPED.fullmatch(name)}
        self.process = subprocess.Popen(
            ("setsid", "--ctty", str(FAB), *words), cwd=CHECKOUT, env={**clean, "TERM": "xterm", **(env or {})},
            stdin=theirs, stdout=theirs, stderr=theirs,
        )  # fmt: skip

    def resize(self, columns: int, lines: int) -> None:
        """Give the window another size, as a user does who drags it."""
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def until(self, text: str, *, times: int = 1) -> None:
        """Returns once ``text`` has been shown so often."""
        limit = time.monotonic() + SECONDS
        while self.shown.count(text) < times:
            assert time.monotonic() < limit, f"waited for {text!r}, was shown:\n{self.shown}"
            assert self._read(0.5) or self.process.poll() is None, f"ended without {text!r}:\n{self.shown}"

    def end(self) -> int:
        """Returns its exit code, once it has ended."""
        limit = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < limit, f"doesn't end, was shown:\n{self.shown}"
            self._read(0.2)
        while self._read(0):
            pass
        print(self.shown)
        return int(self.process.returncode)

    @property
    def is_as_before(self) -> bool:
        """Whether keys are shown and lines are edited again, as before `fab` began."""
        return termios.tcgetattr(self._theirs)[:4] == self.before[:4]

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.ours)
        os.close(self._theirs)

    def _read(self, seconds: float) -> bool:
        if not select.select([self.ours], [], [], seconds)[0]:
            return False
        try:
            block = os.read(self.ours, 65536)
        except OSError:  # nobody has it open any more
            return False
        self.shown += block.decode(errors="replace")
        return bool(block)


@contextmanager
def terminal(project: Project, *words: str, on: str = "", **options: object) -> Iterator[Terminal]:
    """`fab` with these words for the project, on a terminal."""
    where = ("-H", on or project.server.name)
    made = Terminal(*words, *where, "--env", str(project.env), **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()

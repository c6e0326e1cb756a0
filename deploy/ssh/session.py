"""Session: a command on the server with the user's own input and output, as with ssh.

If the user has a terminal, the command gets one too. It has the same size, also after a change, and every key goes to
the command, including Ctrl-C. If input or output is piped, both are bytes, and standard error stays separate.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import paramiko
from invoke.exceptions import Exit

from ..core.files import REMOTE

BLOCK = 32768
FULL_SECONDS = 0.01  # until the next check whether more can be sent

Emit = Callable[[bytes], Any]


def guarded(words: Sequence[str], container: str = "") -> tuple[str, ...]:
    """Return words that run ``words`` on the server and leave no process behind, even if the connection is lost."""
    session, end = ((REMOTE / f"{name}.sh").read_text(encoding="utf-8") for name in ("session", "session-end"))
    return ("sh", "-c", session, "session", end, container, *words)


def terminal() -> bool:
    """Whether input and output are terminals, and neither is piped."""
    return all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout)) and _in_front()


def _in_front() -> bool:
    """Whether this process may read the terminal. In the background, reading would stop it."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # not our controlling terminal
        return True


def size() -> tuple[int, int]:
    """Return columns and lines of the user's terminal."""
    try:
        return tuple(os.get_terminal_size(sys.stdin.fileno()))  # type: ignore[return-value]
    except OSError:
        return 80, 24


def to_stream(stream: Any) -> Emit:
    """Return a function that writes bytes to one of this process's streams, unbuffered."""

    def emit(block: bytes) -> None:
        stream.flush()
        stream.buffer.write(block)
        stream.buffer.flush()

    return emit


class Unwritable(Exception):
    """The output can't be written on this machine. ``error`` says why; the connection isn't the cause."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def exit_on_closed_output() -> Iterator[None]:
    """Exit like other programs if the reader of our output has closed it, as ``head`` does."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would print an error at exit
        raise Exit(code=128 + signal.SIGPIPE) from None


class Input:
    """Standard input. ``kept``: for several sessions, each of which reads it from the start."""

    def __init__(self, *, kept: bool = False) -> None:
        self._read: IO[bytes] | None = SpooledTemporaryFile(max_size=2**20) if kept else None  # noqa: SIM115 - see close
        self._ended = False

    def close(self) -> None:
        if self._read:
            self._read.close()

    def begin(self) -> None:
        """Start again at the beginning, if the input is kept."""
        if self._read:
            self._read.seek(0)

    def descriptor(self) -> int | None:
        """Return the descriptor to wait for; None if there is nothing to wait for."""
        return None if self._ended or self._known() else _readable()

    def block(self) -> bytes:
        """Return the next bytes; none at the end."""
        if self._read and self._known():
            return self._read.read(BLOCK)
        number = None if self._ended else _readable()
        try:
            block = os.read(number, BLOCK) if number is not None else b""
        except OSError:  # a folder, or a closed terminal
            block = b""
        self._ended = not block
        if self._read:
            self._read.write(block)
        return block

    def _known(self) -> bool:
        """Whether kept bytes are left to read."""
        if not self._read:
            return False
        here = self._read.tell()
        end = self._read.seek(0, os.SEEK_END)
        self._read.seek(here)
        return here < end


@cache
def shared_input() -> Input:
    """Return the standard input for several servers, one after the other."""
    made = Input(kept=True)
    atexit.register(made.close)
    return made


class Session:
    """Passes input, output and the terminal's size between the user and a channel."""

    def __init__(
        self, channel: paramiko.Channel, given: Input, out: Emit, errors: Emit, *, terminal: bool = False
    ) -> None:
        self.channel, self.out, self.errors, self.terminal = channel, out, errors, terminal
        self._given = given
        self._more = True  # of input
        self._unsent = b""
        given.begin()

    def attend(self, said: bytes = b"") -> int:
        """Run until the command ends. Returns its exit code, or -1 if the connection was lost. ``said``: output that
        was already read."""
        if said:
            self._pass_on(self.out, said)
        with _raw() if self.terminal else _unchanged(), _resizes(self.terminal) as resized:
            while self._output():
                self._wait(resized)
        return self.channel.recv_exit_status()

    def _pass_on(self, emit: Emit, block: bytes) -> None:
        try:
            emit(block)
        except OSError as error:
            raise Unwritable(error) from error

    def _output(self) -> bool:
        """Pass on the available output. Returns whether there may be more."""
        ended = self.channel.eof_received or self.channel.closed
        read = False
        while self.channel.recv_ready():
            self._pass_on(self.out, self.channel.recv(BLOCK))
            read = True
        while self.channel.recv_stderr_ready():
            self._pass_on(self.errors, self.channel.recv_stderr(BLOCK))
            read = True
        return read or not ended

    def _wait(self, resized: int | None) -> None:
        """Wait for events, and send available input."""
        reads = self._more and not self._unsent
        number = self._given.descriptor() if reads else None
        at_once = reads and number is None
        wanted = [each for each in (self.channel, resized, number) if each is not None]
        ready, _, _ = select.select(wanted, [], [], 0 if at_once else FULL_SECONDS if self._unsent else 1)
        if resized is not None and resized in ready:
            os.read(resized, BLOCK)
            self._resize()
        if at_once or (number is not None and number in ready):
            self._read()
        if self._unsent:
            self._send()

    def _read(self) -> None:
        self._unsent = self._given.block()
        if not self._unsent:
            self._more = False
            if not self.channel.closed:
                self.channel.shutdown_write()

    def _send(self) -> None:
        """Send as much as the other side accepts. Waiting for more would block reading the output."""
        if self.channel.closed or self.channel.eof_sent:
            self._unsent = b""
        elif self.channel.send_ready():
            try:
                self._unsent = self._unsent[self.channel.send(self._unsent) :]
            except OSError:  # it has just ended
                self._unsent = b""

    def _resize(self) -> None:
        if not self.channel.closed:
            self.channel.resize_pty(*size())


def _readable() -> int | None:
    """Return the descriptor of standard input; None if there is none, or it is a terminal in the background."""
    try:
        number = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return None if os.isatty(number) and not _in_front() else number


@contextmanager
def _unchanged() -> Iterator[None]:
    yield


@contextmanager
def _raw() -> Iterator[None]:
    """Switch the terminal to raw mode. It is restored even if a signal ends this process."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        with _ended_by(signal.SIGTERM, signal.SIGHUP):
            tty.setraw(number, termios.TCSANOW)
            yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


@contextmanager
def _ended_by(*signals: signal.Signals) -> Iterator[None]:
    """Turn these signals into SystemExit, so that clean-up code runs."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    with _handling(end, *signals):
        yield


@contextmanager
def _resizes(wanted: bool) -> Iterator[int | None]:
    """Yield a descriptor that becomes readable when the terminal's size changes."""
    if not wanted:
        yield None
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def changed(number: int, frame: object) -> None:
        os.write(writer, b".")

    try:
        with _handling(changed, signal.SIGWINCH):
            yield reader
    finally:
        os.close(reader)
        os.close(writer)


@contextmanager
def _handling(handler: Callable[[int, Any], Any], *signals: signal.Signals) -> Iterator[None]:
    """Handle signals in the block. Only the main thread can receive them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(each, signal.signal(each, handler)) for each in signals]
    try:
        yield
    finally:
        for each, old in before:
            signal.signal(each, old)

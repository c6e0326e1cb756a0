"""Session: a command on the server with the user's own input and output, as ssh has it.

On a terminal it has one there, too: of the same size, told when that changes, and every key goes to the command, Ctrl-C
among them. Piped, input and output are bytes, and standard error stays apart.
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
FULL_SECONDS = 0.01  # until it is looked again whether more can be sent

Emit = Callable[[bytes], Any]


def guarded(words: Sequence[str], container: str = "") -> tuple[str, ...]:
    """Words that run ``words`` on the server and leave nothing behind, however they or our connection end."""
    session, end = ((REMOTE / f"{name}.sh").read_text(encoding="utf-8") for name in ("session", "session-end"))
    return ("sh", "-c", session, "session", end, container, *words)


def terminal() -> bool:
    """Whether a user sits at both ends: one that is piped has no use for a terminal."""
    return all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout)) and _in_front()


def _in_front() -> bool:
    """Whether the terminal is ours to read: in the background that would stop us."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # not the one that we are controlled from
        return True


def size() -> tuple[int, int]:
    """Columns and lines of the user's terminal."""
    try:
        return tuple(os.get_terminal_size(sys.stdin.fileno()))  # type: ignore[return-value]
    except OSError:
        return 80, 24


def to_stream(stream: Any) -> Emit:
    """Writes bytes to one of this process's streams, at once."""

    def emit(block: bytes) -> None:
        stream.flush()
        stream.buffer.write(block)
        stream.buffer.flush()

    return emit


class Unwritable(Exception):
    """This machine takes no more of the output; ``error`` says why. It is no fault of the connection."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def unread_is_no_fault() -> Iterator[None]:
    """Where nobody reads our output any more, as where it goes to head, that ends us as it ends other programs."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain of it at its end
        raise Exit(code=128 + signal.SIGPIPE) from None


class Input:
    """Standard input. ``kept``: for one session after the other, each of which is given it from its beginning."""

    def __init__(self, *, kept: bool = False) -> None:
        self._read: IO[bytes] | None = SpooledTemporaryFile(max_size=2**20) if kept else None  # noqa: SIM115 - as long as we
        self._ended = False

    def close(self) -> None:
        if self._read:
            self._read.close()

    def begin(self) -> None:
        """What was read already is read again."""
        if self._read:
            self._read.seek(0)

    def descriptor(self) -> int | None:
        """What can be read once there is more; None where nothing is to be waited for."""
        return None if self._ended or self._known() else _readable()

    def block(self) -> bytes:
        """The next bytes; none at its end."""
        if self._read and self._known():
            return self._read.read(BLOCK)
        number = None if self._ended else _readable()
        try:
            block = os.read(number, BLOCK) if number is not None else b""
        except OSError:  # a folder, or a terminal that is gone
            block = b""
        self._ended = not block
        if self._read:
            self._read.write(block)
        return block

    def _known(self) -> bool:
        """Whether there are bytes ahead that were read before."""
        if not self._read:
            return False
        here = self._read.tell()
        end = self._read.seek(0, os.SEEK_END)
        self._read.seek(here)
        return here < end


@cache
def of_all() -> Input:
    """What several servers are given, one after the other."""
    made = Input(kept=True)
    atexit.register(made.close)
    return made


class Session:
    """Passes input, output and what the terminal is told between the user and a channel."""

    def __init__(
        self, channel: paramiko.Channel, given: Input, out: Emit, errors: Emit, *, terminal: bool = False
    ) -> None:
        self.channel, self.out, self.errors, self.terminal = channel, out, errors, terminal
        self._given = given
        self._more = True  # of input
        self._unsent = b""
        given.begin()

    def attend(self, said: bytes = b"") -> int:
        """Until the command ends; its exit code, or -1 where the connection ended before. ``said``: what was read
        already."""
        if said:
            self._pass_on(self.out, said)
        with _raw() if self.terminal else _as_it_is(), _told_of_size(self.terminal) as resized:
            while self._output():
                self._wait(resized)
        return self.channel.recv_exit_status()

    def _pass_on(self, emit: Emit, block: bytes) -> None:
        try:
            emit(block)
        except OSError as error:
            raise Unwritable(error) from error

    def _output(self) -> bool:
        """Pass on what there is. Returns whether there may be more."""
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
        """Until there is something to do; what there is of input is sent."""
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
        """As much as the other side has room for: to wait for more would be to read no output meanwhile."""
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
    """Standard input's number; None where there is none, or it is a terminal that isn't ours."""
    try:
        number = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return None if os.isatty(number) and not _in_front() else number


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _raw() -> Iterator[None]:
    """The terminal passes every key on as it is. It is put back, also where somebody ends us."""
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
    """These signals end us by way of what is to be put back."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    with _handling(end, *signals):
        yield


@contextmanager
def _told_of_size(wanted: bool) -> Iterator[int | None]:
    """A descriptor that can be read once the terminal has another size."""
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
    """Only the main thread can be told of signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(each, signal.signal(each, handler)) for each in signals]
    try:
        yield
    finally:
        for each, old in before:
            signal.signal(each, old)

"""Server: the SSH connection. No other module holds one.

Steps are sent as one compressed stream over one channel: the scripts of ``remote/``, the steps and their files. That
is one round trip for any number of steps. Results come back as they happen.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from getpass import getuser
from typing import IO

import paramiko
from fabric import Connection

from ..core.errors import ConnectionLost, Locked
from ..core.facts import Facts
from ..core.paths import Site
from ..core.report import Report
from ..core.steps import Step, quote, script
from . import connection as ssh_connection
from .errors import no_session
from .heartbeat import Heartbeat
from .payload import Sender, alone, pack
from .results import LOST, CommandFailed, Result, ResultReader
from .session import Emit, Input, Session, Unwritable, size
from .sudo import GIVEN, Sudo
from .transport import BROKEN, close

SILENCE_SECONDS = 30  # the server releases the lock after this time without a heartbeat
ENDING_SECONDS = 5  # to wait for a sending thread once the command has ended

# Portside reports a lost connection itself, in one line.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

MEMORY, DISK = "/run", "/var/tmp"


class Server:
    """One server, reached over one SSH connection that is opened at most once."""

    def __init__(self, connection: Connection, report: Report) -> None:
        self.report = report
        self.round_trips = 0
        self.address = ssh_connection.typed(connection)
        self.practice = ssh_connection.practice(connection) is not None
        self._connection = ssh_connection.reconnected(connection)
        self._sudo = Sudo(self._connection.user, self.address, report, connection.config.sudo.password or GIVEN)
        self._connecting: _Connecting | None = None
        self._open = False
        self._awaited: paramiko.Channel | None = None
        self._interrupted = False
        self._noticing = threading.Lock()
        self._fence = ("", "")  # the site that we hold the lock of, and our token
        self._heartbeat: Heartbeat | None = None  # while we hold it

    @property
    def target(self) -> str:
        """The value of -H for this server."""
        return str(self.address)

    @property
    def peer(self) -> str:
        """The address of the server; empty if the connection goes through another host."""
        sock = self._connection.transport.sock if self._open else None
        return str(sock.getpeername()[0]) if isinstance(sock, socket.socket) else ""

    def start_connecting(self) -> _Connecting:
        """Begin to open the connection in the background; ``connect`` waits for it and raises its error."""
        self._connecting = _Connecting(self._connection, self.target)
        self._connecting.start()
        return self._connecting

    def connect(self) -> None:
        """Open the connection. Raises PortsideError with the reason and a hint if that fails."""
        if self._open:
            return
        (self._connecting or self.start_connecting()).end()
        self._open = True

    def close(self) -> None:
        self._connection.close()

    def facts(self, site: Site, paths: Sequence[str]) -> Facts:
        """Read the state of the server and of this site on it, and the hashes of ``paths``, in one round trip."""
        step = script("Read the server's facts", "facts", site=site.name, paths=paths)
        with self.quietly():
            (result,) = self.apply([step], stage="preflight")
        return Facts.parse("\n".join(result.output))

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Print and log nothing, for steps that only read."""
        report = self.report
        before = report.quiet, report.log
        report.quiet, report.log = True, None
        try:
            yield
        finally:
            report.quiet, report.log = before

    def apply(
        self, steps: Sequence[Step], *, stage: str, lock: str = "", big: bool = False, detached: bool = False
    ) -> list[Result]:
        """Run the steps on the server in one round trip, and report each as it happens.

        ``lock``: a lock on the server that the steps wait for and hold. ``big``: the files may not fit into memory.
        ``detached``: the steps finish even if the connection is lost. While we hold a site's lock they also wait for
        processes of an interrupted deploy, and are refused once another machine has taken the lock.
        Raises StepFailed on the first step that fails; the steps after it don't run.
        """
        if not steps:
            return []
        nonce, (site, token) = secrets.token_hex(8), self._fence
        locks = " ".join(name for name in (lock, f"site-{site}.work" if site else "") if name)
        room, how = DISK if big else MEMORY, "detached" if detached else ""
        words = alone("receive", room=room, nonce=nonce, locks=locks, site=site, token=token, how=how)
        lines = self.stream(words, lambda sink: pack(steps, sink))
        return ResultReader(self.target, self.report, steps, stage, f"@@{nonce} ").follow(lines)

    def send(self, step: Step, content: Callable[[IO[bytes]], None], *, stage: str) -> Result:
        """Run one step that reads its input itself, while we hold the site's lock. If the connection is lost, the part
        that arrived is kept. Raises StepFailed."""
        nonce, (site, token) = secrets.token_hex(8), self._fence
        words = alone(step.script, nonce=nonce, site=site, token=token, **step.arguments)
        lines = self.stream(words, content)
        (result,) = ResultReader(self.target, self.report, [step], stage, f"@@{nonce} ").follow(lines)
        return result

    def stream(self, words: Sequence[str], send: Callable[[IO[bytes]], None] | None = None) -> Iterator[str]:
        """Run ``words`` as root, write to its input and yield its output by lines. Raises CommandFailed."""
        self.connect()
        wanted = False
        try:
            for line in self._streamed(words, send):
                wanted = wanted or self._sudo.wants(line)
                if not wanted:
                    yield line
        except CommandFailed:
            if not wanted:
                raise
        self._sudo.settled = True
        if wanted:
            self._sudo.ask()
            yield from self._streamed(words, send)

    def _streamed(self, words: Sequence[str], send: Callable[[IO[bytes]], None] | None) -> Iterator[str]:
        with self._running(words, combined=True) as (channel, said):
            sender = Sender(channel, send)
            sender.start()
            yield from self._lines(channel, said)
            status = channel.recv_exit_status()
            # The unsent rest must not reach the next command.
            close(channel)
            sender.join(ENDING_SECONDS)
            if sender.error and status != LOST:
                raise sender.error
        if status:
            raise CommandFailed(status)

    def interrupt(self) -> None:
        """End the current command, as Ctrl-C would. Called from another thread."""
        with self._noticing:  # otherwise this could end the clean-up after an interruption
            self._interrupted = True
            if self._awaited:
                close(self._awaited)

    def take_interrupt(self) -> bool:
        """Return whether there was an interruption, and reset it, so that the clean-up isn't interrupted too."""
        with self._noticing:
            was, self._interrupted = self._interrupted, False
        return was

    def check_link(self) -> None:
        """Raise ConnectionLost if we hold a lock and the server no longer answers."""
        if self._heartbeat and not self._heartbeat.answers():
            raise ConnectionLost(f"The connection to {self.target} was lost: the server no longer answers.")

    @contextmanager
    def lock(
        self, site: Site, waiting: Callable[[str], None] | None = None
    ) -> Iterator[tuple[Callable[[str], None], str, bool]]:
        """Hold the site's lock while the block runs. The lock also ends with our connection.

        ``waiting``: wait for the lock, and call this with the holder whenever it changes. Yields a function that
        publishes our current stage, the release that is live now, and whether an interrupted command was still
        running. Raises Locked, which names the holder.
        """
        self.connect()
        who, token = f"{getuser()}@{socket.gethostname()}", secrets.token_hex(8)
        words = alone(
            "lock",
            site=site.name,
            who=who,
            token=token,
            seconds=SILENCE_SECONDS,
            current=site.current,
            wait="yes" if waiting else "no",
        )
        with self._running(words) as (channel, said):
            busy, _, current = self._held(site, channel, said, waiting).partition(" ")
            self._awaited, self._fence = None, (site.name, token)
            self._heartbeat = heartbeat = Heartbeat(channel)
            heartbeat.start()
            try:
                yield heartbeat.beat, current, busy == "yes"
            finally:
                heartbeat.stopped.set()
                self._heartbeat, self._fence = None, ("", "")

    def _held(self, site: Site, channel: paramiko.Channel, said: bytes, waiting: Callable[[str], None] | None) -> str:
        """Wait until we have the lock. Returns the rest of the server's line."""
        holder = ""
        for line in self._lines(channel, said):
            word, _, rest = line.partition(" ")
            if word == "held":
                return rest
            holder = rest or "it has just begun"
            if waiting:
                waiting(holder)
        if channel.recv_exit_status() == LOST:
            raise ConnectionLost(f"The connection to {self.target} was lost.")
        hint = "Run the command again once that deploy has ended, or use --wait."
        raise Locked.by(holder or "no answer", site.name, self.target, hint)

    def interactive(
        self, words: Sequence[str], given: Input, out: Emit, errors: Emit, *, terminal: bool = False, root: bool = True
    ) -> int:
        """Run ``words`` as root, or as the user, with the user's own input and output. Returns the exit code."""
        self.connect()
        try:
            with self._running(words, terminal=terminal, root=root) as (channel, said), self._noticing_loss():
                code = Session(channel, given, out, errors, terminal=terminal).attend(said)
        except Unwritable as failed:
            raise failed.error from None
        if code == LOST:
            raise ConnectionLost(f"The connection to {self.target} was lost.")
        return code

    @contextmanager
    def _running(
        self, words: Sequence[str], *, combined: bool = False, terminal: bool = False, root: bool = True
    ) -> Iterator[tuple[paramiko.Channel, bytes]]:
        """Start ``words``, as root by default. Yields their channel and the output that was already read.

        ``combined``: their errors are part of the output, which is always so while sudo's question is read.
        """
        asks = root and self._sudo.asks
        self.round_trips += 3 if asks else 1
        self.report.detail(f"round trip {self.round_trips}")
        with self._channel() as channel:
            self._awaited = channel
            with self._noticing_loss():
                if combined or asks:
                    channel.set_combine_stderr(True)
                if terminal:
                    channel.get_pty(os.environ.get("TERM", "xterm"), *size())
                channel.exec_command(quote(self._sudo.guarded(words) if root else words))
            said = self._entered(channel) if asks else b""
            if asks and not combined:
                channel.set_combine_stderr(False)
            yield channel, said

    def _entered(self, channel: paramiko.Channel) -> bytes:
        """Answer sudo's question. Returns the output after it."""

        def send(text: bytes) -> None:
            with self._noticing_loss():
                channel.sendall(text)

        return self._sudo.enter(lambda: self._received(channel), send)

    @contextmanager
    def _channel(self) -> Iterator[paramiko.Channel]:
        try:
            with self._noticing_loss():
                channel = self._connection.create_session()
        except ConnectionLost as error:
            if isinstance(error.__cause__, paramiko.ChannelException):
                raise no_session(self.target) from error
            raise
        channel.settimeout(None)
        try:
            yield channel
        finally:
            close(channel)

    def _lines(self, channel: paramiko.Channel, said: bytes = b"") -> Iterator[str]:
        """Yield a channel's output by lines, without line ends. ``said``: output that was already read."""
        rest = b""
        while block := said or self._received(channel):
            said = b""
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace").rstrip("\r")
        if rest:
            yield rest.decode(errors="replace")

    def _received(self, channel: paramiko.Channel) -> bytes:
        with self._noticing_loss():
            block = channel.recv(65536)
        if self.take_interrupt():
            raise KeyboardInterrupt
        return block

    @contextmanager
    def _noticing_loss(self) -> Iterator[None]:
        """Turn every connection error in the block into one ConnectionLost."""
        try:
            yield
        except BROKEN as error:
            raise ConnectionLost(
                f"The connection to {self.target} was lost: {str(error) or type(error).__name__}.",
                hint="Run the command again. It continues from the current state.",
            ) from error


class _Connecting(threading.Thread):
    """Opens a connection while its owner does something else."""

    def __init__(self, connection: Connection, target: str) -> None:
        super().__init__(daemon=True)
        self.connection, self.target = connection, target
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            ssh_connection.open_links(self.connection, self.target)
        except Exception as error:
            self.error = error

    def end(self) -> None:
        """Wait until the connection is open. Raises the error if it couldn't be opened."""
        self.join()
        if self.error:
            raise self.error

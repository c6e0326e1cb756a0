"""Server: the SSH connection, and the only place that holds one.

Whatever is to be done travels as one compressed stream over one channel: the scripts of ``remote/``, the steps and
their files. That is one round trip, however many steps there are; results come back as they happen.
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
from ..core.files import REMOTE
from ..core.paths import Site
from ..core.report import Report
from ..core.steps import Step, quote
from . import connection as ssh_connection
from .errors import no_session
from .heartbeat import Heart
from .payload import Sender, pack
from .results import LOST, CommandFailed, Following, Result
from .session import Emit, Input, Session, Unwritable, size
from .sudo import GIVEN, Sudo
from .transport import BROKEN, close

SILENCE_SECONDS = 30  # the lock ends after this much silence
ENDING_SECONDS = 5  # for a thread that sends, once nobody reads any more

# A lost connection is told by us, in one line.
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
        self._reaching: _Reaching | None = None
        self._open = False
        self._awaited: paramiko.Channel | None = None
        self._interrupted = False
        self._noticing = threading.Lock()
        self._fence = ("", "")  # the site whose lock we hold, and our token
        self._heart: Heart | None = None  # while we hold it

    @property
    def target(self) -> str:
        """What the user would type after -H to reach it again."""
        return str(self.address)

    @property
    def peer(self) -> str:
        """The address that our connection leads to; empty where it goes by way of another host."""
        sock = self._connection.transport.sock if self._open else None
        return str(sock.getpeername()[0]) if isinstance(sock, socket.socket) else ""

    def reach(self) -> _Reaching:
        """Begin to open the connection. How that ends is for ``connect`` to tell."""
        self._reaching = _Reaching(self._connection, self.target)
        self._reaching.start()
        return self._reaching

    def connect(self) -> None:
        """Open the connection. Raises PortsideError that says why it can't be, and what to do."""
        if self._open:
            return
        (self._reaching or self.reach()).end()
        self._open = True

    def close(self) -> None:
        self._connection.close()

    def facts(self, site: Site, paths: Sequence[str]) -> Facts:
        """The state of the server and of this site on it, and the hashes of ``paths``, in one round trip."""
        step = Step("Read the server's facts", ("script", "facts", site.name, *paths))
        with self.quietly():
            (result,) = self.apply([step], stage="preflight")
        return Facts.parse("\n".join(result.output))

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Steps that only look aren't worth a line, in the log neither."""
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
        """Run the steps on the server, in one round trip, reporting each as it happens.

        ``lock``: a lock on the server they wait for and hold. ``big``: the files may not fit into memory.
        ``detached``: they reach their end without us. While we hold a site's lock they also wait for what a deploy
        that died left running, and are refused once somebody else holds it.
        Raises StepFailed on the first that fails; those after it aren't run.
        """
        if not steps:
            return []
        nonce, (site, token) = secrets.token_hex(8), self._fence
        locks = " ".join(name for name in (lock, f"site-{site}.work" if site else "") if name)
        receive = (REMOTE / "receive.sh").read_text(encoding="utf-8")
        room, how = DISK if big else MEMORY, "detached" if detached else ""
        lines = self.stream(
            ("sh", "-c", receive, "receive", room, nonce, locks, site, token, how),
            lambda sink: pack(steps, sink),
        )
        return Following(self.target, self.report, steps, stage, f"@@{nonce} ").follow(lines)

    def send(self, step: Step, content: Callable[[IO[bytes]], None], *, stage: str) -> Result:
        """Run one step that reads its input itself, while we hold the site's lock: what arrives is kept where it
        belongs, also when the rest doesn't. Raises StepFailed."""
        nonce, (site, token), script = secrets.token_hex(8), self._fence, step.words[1]
        text = (REMOTE / f"{script}.sh").read_text(encoding="utf-8")
        lines = self.stream(("sh", "-c", text, script, nonce, site, token, *step.words[2:]), content)
        (result,) = Following(self.target, self.report, [step], stage, f"@@{nonce} ").follow(lines)
        return result

    def stream(self, words: Sequence[str], send: Callable[[IO[bytes]], None] | None = None) -> Iterator[str]:
        """Run ``words`` as root; send to its input and yield its lines as they come. Raises CommandFailed."""
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
            # What is left to send is nobody's any more: it mustn't meet the next command.
            close(channel)
            sender.join(ENDING_SECONDS)
            if sender.error and status != LOST:
                raise sender.error
        if status:
            raise CommandFailed(status)

    def interrupt(self) -> None:
        """From another thread: end what is under way here, as Ctrl-C would."""
        with self._noticing:  # or this one clears away already, and it is that which is ended
            self._interrupted = True
            if self._awaited:
                close(self._awaited)

    def heed(self) -> bool:
        """Whether there was an interruption. Notice is taken of it once: what is cleared away after it goes
        undisturbed."""
        with self._noticing:
            was, self._interrupted = self._interrupted, False
        return was

    def check_link(self) -> None:
        """Raises Lost where we hold a lock of a server that doesn't answer any more."""
        if self._heart and not self._heart.answers():
            raise ConnectionLost(f"The connection to {self.target} was lost: it doesn't answer any more.")

    @contextmanager
    def lock(
        self, site: Site, waiting: Callable[[str], None] | None = None
    ) -> Iterator[tuple[Callable[[str], None], str, bool]]:
        """Hold the site's lock for as long as the block runs; it ends with our connection, however that ends.

        ``waiting``: wait for it, and call this with who holds it, whenever that changes. Yields a function that tells
        others the stage we are at, the release that is live now, and whether something ran on behalf of a laptop that
        is gone. Raises Locked, saying who holds the lock.
        """
        self.connect()
        who, token = f"{getuser()}@{socket.gethostname()}", secrets.token_hex(8)
        script = (REMOTE / "lock.sh").read_text(encoding="utf-8")
        words = ("sh", "-c", script, "lock", site.name, who, token, str(SILENCE_SECONDS), site.current)
        with self._running((*words, "yes" if waiting else "no")) as (channel, said):
            busy, _, current = self._held(site, channel, said, waiting).partition(" ")
            self._awaited, self._fence = None, (site.name, token)
            self._heart = heart = Heart(channel)
            heart.start()
            try:
                yield heart.beat, current, busy == "yes"
            finally:
                heart.stopped.set()
                self._heart, self._fence = None, ("", "")

    def _held(self, site: Site, channel: paramiko.Channel, said: bytes, waiting: Callable[[str], None] | None) -> str:
        """Read that we have the lock. Returns what comes with it."""
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
        hint = "Wait until it has ended and type the same command again, or wait for it with --wait."
        raise Locked.by(holder or "no answer", site.name, self.target, hint)

    def interactive(
        self, words: Sequence[str], given: Input, out: Emit, errors: Emit, *, terminal: bool = False, root: bool = True
    ) -> int:
        """Run ``words`` as root, or as the user, with the user's own input and output. Returns its exit code."""
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
        """A channel on which ``words`` run, as root unless told otherwise, and what they have said already.

        ``combined``: their errors come as output, as they do where sudo's question has to be read.
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
        """Past sudo's question; what came after it."""

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
        """The lines a channel prints, without their ends, as they come; ``said``: what was read already."""
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
        if self.heed():
            raise KeyboardInterrupt
        return block

    @contextmanager
    def _noticing_loss(self) -> Iterator[None]:
        """What goes wrong with the connection inside, as one clear error."""
        try:
            yield
        except BROKEN as error:
            raise ConnectionLost(
                f"The connection to {self.target} was lost: {str(error) or type(error).__name__}.",
                hint="Type the same command again; it goes on from what it finds.",
            ) from error


class _Reaching(threading.Thread):
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
        """Wait until it is open. Raises why it couldn't be."""
        self.join()
        if self.error:
            raise self.error

"""Server: the SSH connection, and the only place that holds one.

Whatever is to be done travels as one compressed stream over one channel: the scripts of ``remote/``, the steps and
their files. That is one round trip, however many steps there are; results come back as they happen.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import IO, Any

import paramiko
from fabric import Config, Connection

from .errors import Locked, PortsideError, StepFailed
from .facts import Facts
from .report import Report
from .site import Site
from .steps import Content, Step, quote

REMOTE = Path(__file__).parent / "remote"
PRACTICE_SSH_CONFIG = Path(__file__).parent.parent / ".practice" / "ssh_config"
CONNECT_SECONDS = 15
DEAD_LINK_SECONDS = 60
BUSY = 75  # what flock ends with where a lock doesn't come free
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")  # what a terminal would obey

# What receives a stream: a folder that mktemp makes private, unpacked, run, and removed however it ends.
# $1 where, $2 nonce, $3 a lock of the server's or nothing.
RECEIVE = """
folder=$(mktemp -d "$1/portside.XXXXXXXX") || exit 1
umask 022
trap 'rm -rf "$folder"' EXIT
trap 'exit 129' HUP INT TERM
tar -xzf - -C "$folder" || { echo "the transfer broke off, or $1 is full"; exit 1; }
[ -z "$3" ] || { mkdir -p /run/lock/portside; set -- "$1" "$2" "flock -o -w 900 -E 75 /run/lock/portside/$3"; }
$3 sh "$folder/remote/apply.sh" "$folder" "$2"
"""
MEMORY, DISK = "/run", "/var/tmp"  # noqa: S108 - a private folder is made there


@dataclass(frozen=True)
class Result:
    """How a step ended. ``state``: changed or unchanged; ``why``: of unchanged; ``answer``: what it was asked for."""

    step: Step
    state: str
    why: str
    answer: Any
    output: tuple[str, ...]


class Server:
    """One server, reached over one SSH connection that is opened at most once."""

    def __init__(self, connection: Connection, report: Report) -> None:
        self.report = report
        self.round_trips = 0
        self.address = _typed(connection)
        self._connection = _reconnected(connection)
        self._open = False

    @property
    def target(self) -> str:
        """What the user would type after -H to reach it again."""
        return str(self.address)

    def connect(self) -> None:
        """Open the connection. Raises PortsideError that says why it can't be, and what to do."""
        if self._open:
            return
        try:
            self._connection.open()
        except Exception as error:
            raise _connect_error(error, self._connection, self.target) from error
        transport = self._connection.transport
        transport.set_keepalive(10)
        if isinstance(transport.sock, socket.socket):
            # paramiko leaves Nagle's algorithm on, which costs 40 ms a command; and a dead link is noticed by nobody.
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_LINK_SECONDS * 1000)
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
        """Steps that only look aren't worth a line."""
        quiet, self.report.quiet = self.report.quiet, True
        try:
            yield
        finally:
            self.report.quiet = quiet

    def apply(self, steps: Sequence[Step], *, stage: str, lock: str = "", big: bool = False) -> list[Result]:
        """Run the steps on the server, in one round trip, reporting each as it happens.

        ``lock``: a lock on the server they wait for and hold. ``big``: the files may not fit into memory.
        Raises StepFailed on the first that fails; those after it aren't run.
        """
        if not steps:
            return []
        nonce = secrets.token_hex(8)
        lines = self.stream(
            ("sh", "-c", RECEIVE, "portside", DISK if big else MEMORY, nonce, lock),
            lambda sink: _pack(steps, sink),
        )
        return _Run(self, steps, stage, f"@@{nonce} ").follow(lines)

    def stream(self, words: Sequence[str], send: Callable[[IO[bytes]], None] | None = None) -> Iterator[str]:
        """Run ``words`` as root; send to its input and yield its lines as they come. Raises CommandFailed."""
        self.connect()
        self.round_trips += 1
        self.report.detail(f"round trip {self.round_trips}")
        with self._channel() as channel:
            channel.set_combine_stderr(True)
            channel.exec_command(self._as_root(words))
            sender = _Sender(channel, send)
            sender.start()
            yield from _lines(channel)
            status = channel.recv_exit_status()
            if sender.error:
                raise sender.error
        if status:
            raise CommandFailed(status)

    @contextmanager
    def lock(self, site: Site) -> Iterator[Callable[[str], None]]:
        """Hold the site's lock for as long as the block runs; it ends with our connection, however that ends.

        Yields a function that tells others the stage we are at. Raises Locked, saying who holds it.
        """
        self.connect()
        self.round_trips += 1
        with self._channel() as channel:
            who = f"{getuser()}@{socket.gethostname()}"
            script = (REMOTE / "lock.sh").read_text(encoding="utf-8")
            channel.exec_command(self._as_root(("sh", "-c", script, "portside", site.name, who)))
            answer = next(_lines(channel), "")
            if answer != "held":
                raise Locked(
                    f"Another deploy of {site.name} is under way on {self.target}: {answer or 'no answer'}.",
                    state="Nothing was changed.",
                    hint="Wait until it has ended and type the same command again.",
                )

            def tell(stage: str) -> None:
                with suppress(OSError):
                    channel.sendall(f"{stage}\n".encode())

            yield tell

    def interactive(self, words: Sequence[str]) -> int:
        """Run ``words`` as root with the user's own terminal. Returns its exit code."""
        self.connect()
        self.round_trips += 1
        terminal = self.report.console.is_terminal
        result = self._connection.run(
            self._as_root(words), pty=terminal, warn=True, in_stream=None if terminal else False
        )
        return int(result.exited)

    def _as_root(self, words: Sequence[str]) -> str:
        return quote(words if self._connection.user == "root" else ("sudo", "-n", *words))

    @contextmanager
    def _channel(self) -> Iterator[paramiko.Channel]:
        try:
            channel = self._connection.create_session()
            channel.settimeout(None)
            with channel:
                yield channel
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise PortsideError(
                f"The connection to {self.target} was lost: {str(error) or type(error).__name__}.",
                state="What was live there is still live.",
                hint="Type the same command again; it goes on from what it finds.",
            ) from error


class CommandFailed(Exception):
    """A command ended with another status than 0."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Run:
    """Follows a run of steps through the lines that come back."""

    def __init__(self, server: Server, steps: Sequence[Step], stage: str, mark: str) -> None:
        self.server, self.steps, self.stage, self.mark = server, steps, stage, mark
        self.results: list[Result] = []
        self.output: list[str] = []
        self.answer: Any = None

    def follow(self, lines: Iterator[str]) -> list[Result]:
        status = 0
        try:
            for line in lines:
                if line.startswith(self.mark):
                    self._mark(*line.removeprefix(self.mark).split(" ", 2))
                elif line or self.output:
                    self.output.append(CONTROL.sub("", line))
                    self.server.report.output(self.output[-1])
        except CommandFailed as error:
            status = error.status
        if status or len(self.results) < len(self.steps):
            self._give_up(status)
        return self.results

    def _mark(self, what: str, number: str, rest: str = "") -> None:
        step = self.steps[int(number) - 1]
        if what == "begin":
            self.output, self.answer = [], None
            self.server.report.begin(step.name, small=step.words[0] != "script")
        elif what == "answer":
            self.answer = json.loads(rest)
        elif what == "ended":
            state, _, why = rest.partition(" ")
            output = tuple(self.output[:-1] if self.output and not self.output[-1] else self.output)
            self.results.append(Result(step, state, why, self.answer, output))
        elif what == "failed":
            raise self._failed(step, int(rest))

    def _failed(self, step: Step, status: int) -> StepFailed:
        lines = [self.server.report.mask(line) for line in self.output if line.strip()]
        return StepFailed(self.server.target, self.stage, step.name, status, lines)

    def _give_up(self, status: int) -> None:
        """The run ended before its steps did."""
        text = "\n".join(self.output)
        if not self.results and "sudo:" in text:
            raise _sudo_error(text, self.server.target)
        if status == -1:
            raise PortsideError(
                f"The connection to {self.server.target} was lost in the stage “{self.stage}”.",
                state="What was live there is still live.",
                hint="Type the same command again; it goes on from what it finds.",
            )
        if status == BUSY:
            raise Locked(
                f"Another deploy has kept {self.server.target} busy for 15 minutes.",
                hint="See what it does there, then type the same command again.",
            )
        raise self._failed(self.steps[min(len(self.results), len(self.steps) - 1)], status)


def _pack(steps: Sequence[Step], sink: IO[bytes]) -> None:
    """The stream: the scripts, the steps, and their files."""
    with tarfile.open(fileobj=sink, mode="w|gz") as archive:
        for name in sorted(_scripts(steps)):
            _add(archive, f"remote/{name}.sh", REMOTE / f"{name}.sh")
        lines = "".join(step.line(number) + "\n" for number, step in enumerate(steps, 1))
        for number, step in enumerate(steps, 1):
            for name, content in step.files.items():
                _add(archive, f"files/{number}/{name}", content)
        _add(archive, "steps", lines.encode())


def _scripts(steps: Sequence[Step]) -> set[str]:
    """The scripts of ``remote/`` that the steps need, and those that these call."""
    needed = {"apply"} | {step.words[1] for step in steps if step.words[0] == "script"}
    texts = [(REMOTE / f"{name}.sh").read_text(encoding="utf-8") for name in needed]
    return needed | {name for text in texts for name in re.findall(r"\$PORTSIDE/remote/([a-z-]+)\.sh", text)}


def _add(archive: tarfile.TarFile, name: str, content: Content) -> None:
    """One file, with owner, mode and time that don't depend on the laptop."""
    entry = tarfile.TarInfo(name)
    entry.mode = 0o644
    if isinstance(content, bytes):
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    elif content.is_symlink():
        entry.type, entry.linkname = tarfile.SYMTYPE, str(content.readlink())
        archive.addfile(entry)
    elif content.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
    elif content.is_file():
        status = content.stat()
        entry.size, entry.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
        with content.open("rb") as stream:
            archive.addfile(entry, stream)


class _Sender(threading.Thread):
    """Feeds a command while its output is read. One that ends early takes no more, and its own words tell why."""

    def __init__(self, channel: paramiko.Channel, send: Callable[[IO[bytes]], None] | None) -> None:
        super().__init__(daemon=True)
        self.channel, self.send = channel, send
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            if self.send:
                with self.channel.makefile("wb", 65536) as sink:
                    self.send(sink)  # type: ignore[arg-type]
        except Exception as error:
            if not self.channel.closed and not self.channel.exit_status_ready():
                self.error = error
        finally:
            with suppress(OSError, EOFError, paramiko.SSHException):
                self.channel.shutdown_write()


def _lines(channel: paramiko.Channel) -> Iterator[str]:
    """The lines a channel prints, without their ends, as they come."""
    rest = b""
    while block := channel.recv(65536):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


def _reconnected(connection: Connection) -> Connection:
    """The same destination, looked up in the practice server's ssh_config too, with host keys verified.

    Fabric's own connection accepts any host key; ours refuses one that isn't known.
    """
    text = connection.original_host
    ssh_config = connection.config.base_ssh_config
    if PRACTICE_SSH_CONFIG.exists():
        ssh_config = paramiko.SSHConfig()
        for path in (PRACTICE_SSH_CONFIG, Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config")):
            with suppress(OSError), path.open(encoding="utf-8") as stream:
                ssh_config.parse(stream)
    made = Connection(
        text,
        config=Config(ssh_config=ssh_config),
        connect_kwargs=connection.connect_kwargs,
        connect_timeout=CONNECT_SECONDS,
        user=_given_user(connection),
        port=_given_port(connection),
    )
    made.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    made.client.load_system_host_keys()
    for path in made.ssh_config.get("userknownhostsfile", "").split():
        with suppress(OSError):
            made.client.load_system_host_keys(str(Path(path).expanduser()))
    return made


def _typed(connection: Connection) -> str:
    """The destination as the user typed it: Fabric keeps its parts, in which ssh_config's are mixed."""
    user, port = _given_user(connection), _given_port(connection)
    return f"{user}@" * bool(user) + str(connection.original_host) + f":{port}" * bool(port)


def _given_user(connection: Connection) -> str | None:
    return None if connection.user == connection.ssh_config.get("user", connection.config.user) else connection.user


def _given_port(connection: Connection) -> int | None:
    return None if connection.port == int(connection.ssh_config.get("port", 22)) else connection.port


def _connect_error(  # noqa: PLR0911 - a list of cases
    error: Exception, connection: Connection, target: str
) -> PortsideError:
    """Why there is no connection, in the user's words."""
    host, port, user = connection.host, connection.port, connection.user
    again = "Nothing was changed. Type the same command again once it works."
    if isinstance(error, paramiko.BadHostKeyException):
        return PortsideError(
            f"The host key of {host} has changed: known_hosts has another one.",
            state="Someone may be listening in between, or the server was installed anew. Nothing was sent.",
            hint=f"If it was installed anew: ssh-keygen -R {_known_name(host, port)}, then ssh {target} once.",
        )
    if isinstance(error, paramiko.PasswordRequiredException):
        return PortsideError(
            "Your SSH key is locked by a passphrase.", hint="Type ssh-add, then the same command again."
        )
    if isinstance(error, paramiko.AuthenticationException):
        return PortsideError(
            f"{host} let nobody in as {user}: the server refused every key we have.",
            state="Nothing was changed.",
            hint=f"Try ssh -p {port} {user}@{host}; name the key with -i KEY, the user with -H user@{host}.",
        )
    if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in str(error):
        return PortsideError(
            f"The host key of {host} isn't known on this machine, so we don't know whose server it is.",
            state="Nothing was sent.",
            hint=f"Type ssh -p {port} {user}@{host} once, compare the fingerprint, and accept it.",
        )
    if isinstance(error, socket.gaierror):
        return PortsideError(f"There is no host called {host}.", hint="Check the name after -H.")
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError | ConnectionError):
        return PortsideError(
            f"Nothing answers SSH at {host}, port {port}.", state=again, hint=f"Try ssh -p {port} {host}."
        )
    if isinstance(error, TimeoutError):
        return PortsideError(f"{host} didn't answer within {CONNECT_SECONDS} s.", state=again)
    return PortsideError(f"No connection to {host}: {str(error) or type(error).__name__}.", state=again)


def _known_name(host: str, port: int) -> str:
    return host if port == 22 else f"'[{host}]:{port}'"


def _sudo_error(text: str, target: str) -> PortsideError:
    if "tty" in text:
        hint = "Add to /etc/sudoers (with visudo): Defaults:USER !requiretty"
    else:
        hint = "Give the user sudo without a password (with visudo): USER ALL=(ALL) NOPASSWD:ALL, or use -H root@…"
    said = next((line for line in text.splitlines() if "sudo:" in line), "")
    return PortsideError(f"No root on {target}: {said}", state="Nothing was changed.", hint=hint)

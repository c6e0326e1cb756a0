"""The Docker Engine on this machine, and what every module of the practice server shares."""

from __future__ import annotations

import io
import re
import struct
import tarfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from docker import APIClient, DockerClient
from docker.errors import APIError
from docker.models.containers import Container

from ..build.engine import find
from ..core.errors import PortsideError
from ..core.files import COMPOSE, PRACTICE

Say = Callable[[str], None]

LABEL = "portside.practice"
"""On everything we make in the engine, with its role as the value; whatever lacks it is never touched."""

FILES = COMPOSE / "practice"
FOLDER = PRACTICE
"""This checkout's keys and ssh files; the only place outside the engine that is written to."""


END = 60
"""Seconds a container may take to end."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class PracticeError(PortsideError):
    """The practice server could not do what was asked; the message says what to do next."""


class Cut(Exception):
    """Ends a thread whose result nobody waits for any more."""


class NoEngine(PracticeError):
    """No Docker Engine answers."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "The practice server needs a Docker Engine, and none answers.",
            hint="Install and start Docker (as root on Debian or Ubuntu: sh compose/practice/engine.sh).",
        )


SILENCE_SECONDS = 600  # on a busy machine, taking a server's volume away keeps the engine silent for minutes


def connect(timeout: int = SILENCE_SECONDS) -> DockerClient:
    """A client of the first engine that answers. ``timeout``: seconds the engine may be silent. Raises NoEngine."""
    if engine := find(timeout):
        return engine.client
    raise NoEngine


def answers() -> bool:
    """Whether an engine answers; compose/practice/engine.sh asks."""
    try:
        connect(timeout=10)
    except NoEngine:
        return False
    return True


class Voice:
    """Progress for a person, out of several threads; and, once it is cut, the end of those threads."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._speaking = threading.Lock()
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._cut = threading.Event()

    def __call__(self, text: str) -> None:
        with self._speaking:
            self._say(text)

    def turn(self, topic: str) -> threading.Lock:
        """A lock for a topic, so that two threads don't make the same thing."""
        with self._speaking:
            return self._turns[topic]

    def cut(self) -> None:
        """Ends every ``follow`` at its next line."""
        self._cut.set()

    def follow(self, topic: str, lines: Iterable[str]) -> list[str]:
        """Says the latest of many lines, once a second; returns the last twenty. Raises Cut."""
        kept: list[str] = []
        spoken = time.monotonic()
        for line in filter(None, (text.strip() for text in lines)):
            if self._cut.is_set():
                raise Cut
            kept = [*kept[-19:], line]
            if time.monotonic() - spoken >= 1:
                spoken = time.monotonic()
                self(f"{topic}: {line[:90]}")
        return kept


def events(stream: Iterable[Mapping[str, Any]], failure: str) -> Iterator[str]:
    """The lines of an engine's build, pull or push. Raises PracticeError, headed by ``failure``, when it says error."""
    recent: list[str] = []
    for event in stream:
        if "error" in event:
            raise PracticeError("\n    ".join([f"{failure}: {event['error']}", *recent]))
        for line in spoken(event):
            recent = [*recent[-14:], line]
            yield line


def spoken(event: Mapping[str, Any]) -> list[str]:
    """What an event says to a person: without colours, and without what the engine says to itself."""
    detail = event.get("progressDetail") or {}
    if detail.get("total"):
        return [f"{event['status'].lower()} {detail.get('current', 0) / 1e6:.0f} of {detail['total'] / 1e6:.0f} MB"]
    lines = (line.strip() for line in COLOUR.sub("", event.get("stream") or event.get("status") or "").splitlines())
    return [line for line in lines if line and not line.startswith(("--->", "Removing intermediate", "Successfully"))]


def watch(ready: Callable[[], bool], seconds: float, failure: Callable[[], PracticeError]) -> None:
    """Returns as soon as ``ready`` says so; raises ``failure()`` once ``seconds`` have passed."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise failure()
        time.sleep(0.05)


def containers(engine: DockerClient) -> dict[str, Container]:
    """Every container of ours by name, running or not."""
    found = engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return {str(container.name): container for container in found}


def power_off(container: Container) -> None:
    """End a container at once. A busy engine gives up waiting for the end, and says so, a moment before it comes."""
    try:
        container.kill()
    except APIError as error:
        if "is not running" not in str(error) and "exit event" not in str(error):
            raise
    watch(lambda: not _runs(container), END, lambda: PracticeError(f"{container.name} doesn't end."))


def _runs(container: Container) -> bool:
    container.reload()
    return container.status == "running"


def take_away(container: Container) -> None:
    """End a container and remove it with its volumes."""
    power_off(container)
    container.remove(force=True, v=True)


HEADER = 8  # bytes before each frame


class Result(NamedTuple):
    """What a command in a container came to."""

    code: int
    out: str
    err: str


def run(container: Container, argv: Sequence[str]) -> Result:
    """Runs a command in a container as root. One that doesn't run at all, or not to its end, counts as failed."""
    api = container.client.api  # type: ignore[union-attr]
    try:
        command = api.exec_create(container.id, list(argv))["Id"]
        said = _said(api, command)
        return Result(_exit_code(api, command), said[1].decode(errors="replace"), said[2].decode(errors="replace"))
    except APIError as error:
        return Result(1, "", str(error.explanation or error))


def _said(api: Any, command: str) -> dict[int, bytes]:
    """What a command prints, by the number of the stream, until it ends.

    The SDK's own exec_start reads past what Python's HTTP client has already buffered, so on a busy machine it loses
    what comes together with the answer's headers. The frames: https://docs.docker.com/reference/api/engine/ (Attach).
    """
    url = api._url("/exec/{0}/start", command)
    with api._post_json(url, data={"Detach": False, "Tty": False}, stream=True, timeout=None) as answer:
        api._raise_for_status(answer)
        rest, said = answer.raw.read(), {1: b"", 2: b""}
    while len(rest) >= HEADER:
        stream, length = struct.unpack_from(">BxxxL", rest)
        said[stream] += rest[HEADER : HEADER + length]
        rest = rest[HEADER + length :]
    return said


def _exit_code(api: APIClient, command: str) -> int:
    """Its streams may end a moment before the engine knows how it ended."""
    limit = time.monotonic() + END
    while (told := api.exec_inspect(command))["Running"] and time.monotonic() < limit:
        time.sleep(0.02)
    code = told["ExitCode"]
    return 1 if code is None else int(code)


def checked(container: Container, argv: Sequence[str]) -> str:
    """What a command in a container prints. Raises PracticeError where it fails."""
    result = run(container, argv)
    if result.code:
        words = " ".join(argv)[:200]
        raise PracticeError(f"{words}: exit code {result.code} in {container.name}\n{result.out}{result.err}")
    return result.out


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar archive without times or owners, so that the engine's build cache recognises it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()

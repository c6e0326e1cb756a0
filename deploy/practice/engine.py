"""The Docker Engine on this machine, and helpers for all modules of the practice server."""

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
"""The label of everything that Portside creates in the engine, with its role as the value. Nothing else is touched."""

FILES = COMPOSE / "practice"
FOLDER = PRACTICE
"""This checkout's keys and ssh files. Nothing else outside the engine is written."""


END = 60
"""Seconds to wait for a container to end."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class PracticeError(PortsideError):
    """An operation on the practice server failed. The hint says what to do next."""


class Cancelled(Exception):
    """Ends a thread whose result is no longer needed."""


class NoEngine(PracticeError):
    """No Docker Engine answers."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "The practice server needs a Docker Engine, and none answers.",
            hint="Install and start Docker (as root on Debian or Ubuntu: sh compose/practice/engine.sh).",
        )


SILENCE_SECONDS = 600  # on a busy machine, removing a server's volume may keep the engine silent for minutes


def connect(timeout: int = SILENCE_SECONDS) -> DockerClient:
    """Return a client of the first engine that answers. ``timeout``: in seconds. Raises NoEngine.
    A context of Docker's that is another machine's is passed over: a practice server is here."""
    if engine := find(timeout, here=True):
        return engine.client
    raise NoEngine


def answers() -> bool:
    """Whether an engine answers. compose/practice/engine.sh calls this."""
    try:
        connect(timeout=10)
    except NoEngine:
        return False
    return True


class Progress:
    """Prints the progress of several threads, and can cancel them."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._printing = threading.Lock()
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._cancelled = threading.Event()

    def __call__(self, text: str) -> None:
        with self._printing:
            self._say(text)

    def turn(self, topic: str) -> threading.Lock:
        """Return a lock for a topic, so that two threads don't do the same work."""
        with self._printing:
            return self._turns[topic]

    def cancel(self) -> None:
        """End every ``follow`` at its next line."""
        self._cancelled.set()

    def follow(self, topic: str, lines: Iterable[str]) -> list[str]:
        """Print the latest line once a second. Returns the last twenty lines. Raises Cancelled."""
        kept: list[str] = []
        event_lines = time.monotonic()
        for line in filter(None, (text.strip() for text in lines)):
            if self._cancelled.is_set():
                raise Cancelled
            kept = [*kept[-19:], line]
            if time.monotonic() - event_lines >= 1:
                event_lines = time.monotonic()
                self(f"{topic}: {line[:90]}")
        return kept


def events(stream: Iterable[Mapping[str, Any]], failure: str) -> Iterator[str]:
    """Yield the lines of an engine's build, pull or push. Raises PracticeError, headed by ``failure``, if it fails."""
    recent: list[str] = []
    for event in stream:
        if "error" in event:
            raise PracticeError("\n    ".join([f"{failure}: {event['error']}", *recent]))
        for line in event_lines(event):
            recent = [*recent[-14:], line]
            yield line


def event_lines(event: Mapping[str, Any]) -> list[str]:
    """Return the lines of an event for the user, without colours and internal messages of the engine."""
    detail = event.get("progressDetail") or {}
    if detail.get("total"):
        return [f"{event['status'].lower()} {detail.get('current', 0) / 1e6:.0f} of {detail['total'] / 1e6:.0f} MB"]
    lines = (line.strip() for line in COLOUR.sub("", event.get("stream") or event.get("status") or "").splitlines())
    return [line for line in lines if line and not line.startswith(("--->", "Removing intermediate", "Successfully"))]


def watch(ready: Callable[[], bool], seconds: float, failure: Callable[[], PracticeError]) -> None:
    """Wait until ``ready`` returns true. Raises ``failure()`` once ``seconds`` have passed."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise failure()
        time.sleep(0.05)


def containers(engine: DockerClient) -> dict[str, Container]:
    """Return every practice container by name, running or not."""
    found = engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return {str(container.name): container for container in found}


def power_off(container: Container) -> None:
    """Kill a container. A busy engine may report that it gave up waiting, a moment before the container ends."""
    try:
        container.kill()
    except APIError as error:
        if "is not running" not in str(error) and "exit event" not in str(error):
            raise
    watch(lambda: not _runs(container), END, lambda: PracticeError(f"{container.name} doesn't stop."))


def _runs(container: Container) -> bool:
    container.reload()
    return container.status == "running"


def remove_container(container: Container) -> None:
    """Kill a container and remove it with its volumes."""
    power_off(container)
    container.remove(force=True, v=True)


HEADER = 8  # bytes before each frame


class Result(NamedTuple):
    """The result of a command in a container."""

    code: int
    out: str
    err: str


def run(container: Container, argv: Sequence[str]) -> Result:
    """Run a command in a container as root. A command that can't be started, or doesn't end, counts as failed."""
    api = container.client.api  # type: ignore[union-attr]
    try:
        command = api.exec_create(container.id, list(argv))["Id"]
        said = _said(api, command)
        return Result(_exit_code(api, command), said[1].decode(errors="replace"), said[2].decode(errors="replace"))
    except APIError as error:
        return Result(1, "", str(error.explanation or error))


def _said(api: Any, command: str) -> dict[int, bytes]:
    """Return the output of a command, by the number of the stream, once it has ended.

    The SDK's own exec_start skips data that Python's HTTP client has already buffered, so on a busy machine it loses
    output that arrives together with the response's headers. The format of frames:
    https://docs.docker.com/reference/api/engine/ (Attach).
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
    """Return a command's exit code. Its streams may end a moment before the engine knows the code."""
    limit = time.monotonic() + END
    while (state := api.exec_inspect(command))["Running"] and time.monotonic() < limit:
        time.sleep(0.02)
    code = state["ExitCode"]
    return 1 if code is None else int(code)


def checked(container: Container, argv: Sequence[str]) -> str:
    """Run a command in a container and return its output. Raises PracticeError if it fails."""
    result = run(container, argv)
    if result.code:
        words = " ".join(argv)[:200]
        raise PracticeError(f"{words}: exit code {result.code} in {container.name}\n{result.out}{result.err}")
    return result.out


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive without times and owners, so that the engine's build cache recognises it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()

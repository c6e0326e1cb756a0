"""The server, seen from outside: visitors and what they are answered."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from deploy.practice import Practice

from .waiting import HANGS


@dataclass
class Answer:
    """An answer to a visitor."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def release(self) -> str:
        """The release that the sample site's pages name."""
        found = re.search(r'<meta name="release" content="([^"]+)">', self.text)
        return found.group(1) if found else ""


def ask(
    server: Practice,
    host: str,
    path: str = "/",
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask the server's port 80 for a path of a host, over a new connection. Header names come back in lower case."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=HANGS)
    try:
        connection.request(method, path, body, {"Host": host, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def status(server: Practice, host: str, path: str = "/") -> int:
    """What a visitor is answered; 0 for no answer at all, as while a server starts."""
    try:
        return ask(server, host, path).status
    except (OSError, http.client.HTTPException):
        return 0


@dataclass
class Visitors:
    """Visitors who come all the while, each over a new connection."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)


@contextmanager
def visitors(server: Practice, host: str, path: str = "/", *, a_second: float = 20) -> Iterator[Visitors]:
    """As long as the block runs (at most three minutes), visitors come; whoever isn't well answered is lost."""
    seen, over, pool = Visitors(), threading.Event(), []

    def visit(since: float) -> None:
        try:
            status = ask(server, host, path).status
        except OSError as error:
            seen.lost.append(f"{time.monotonic() - since:.1f} s in: {error!r}")
        except http.client.HTTPException as error:
            seen.lost.append(f"{time.monotonic() - since:.1f} s in: {error!r}")
        else:
            if status == 200:
                seen.answered += 1
            else:
                seen.lost.append(f"{time.monotonic() - since:.1f} s in: {status}")

    def come() -> None:
        began = time.monotonic()
        while not over.wait(1 / a_second) and time.monotonic() < began + 180:
            visitor = threading.Thread(target=visit, args=(began,))
            visitor.start()
            pool.append(visitor)

    coming = threading.Thread(target=come)
    coming.start()
    try:
        yield seen
    finally:
        over.set()
        coming.join()
        for visitor in pool:
            visitor.join()


@contextmanager
def patient_visitor(server: Practice, host: str) -> Iterator[Visitors]:
    """As long as the block runs, somebody asks twice a second over one connection, and is lost when it is closed."""
    seen, over = Visitors(), threading.Event()
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=HANGS)
    connection.connect()
    connection.auto_open = 0

    def visit() -> None:
        while not over.wait(0.5):
            try:
                connection.request("GET", "/", headers={"Host": host})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                seen.lost.append(repr(error))
                return
            seen.answered += answer.status == 200

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        yield seen
    finally:
        over.set()
        visitor.join()
        connection.close()

"""Visitors from outside: requests over new connections at a steady rate, whether answers come or not; connections that
stay open and idle; and POSTs that must count once. Each kind is bounded by its rate and ends with its block."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PATIENCE = 20
"""Seconds until an unanswered visitor is lost."""


@dataclass(frozen=True)
class Visit:
    """One request: when it was due, when it was over, which release answered; why it was lost, else empty."""

    due: float
    over: float
    release: str
    lost: str
    token: str = ""

    @property
    def milliseconds(self) -> float:
        return (self.over - self.due) * 1000


@dataclass
class Visits:
    """All requests of one kind."""

    all: list[Visit] = field(default_factory=list)

    @property
    def lost(self) -> list[Visit]:
        return [visit for visit in self.all if visit.lost]


@dataclass(frozen=True)
class Address:
    """Where a site is: a server's port, and the site's name."""

    server: str
    port: int
    host: str

    def ask(self, method: str = "GET", path: str = "/", line: http.client.HTTPConnection | None = None) -> str:
        """The release that answers. Raises OSError or HTTPException where none does."""
        connection = line or http.client.HTTPConnection(self.server, self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers={"Host": self.host})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            if not line:
                connection.close()
        if answer.status != 200:
            raise http.client.HTTPException(f"answer {answer.status}")
        return str(json.loads(body)["release"])


def _visit(visits: Visits, ask: Callable[[], str], due: float, token: str = "") -> None:
    release = lost = ""
    try:
        release = ask()
    except (OSError, http.client.HTTPException, ValueError) as error:
        lost = repr(error)
    visits.all.append(Visit(due, time.monotonic(), release, lost, token))


@contextmanager
def coming(at: Address, a_second: float) -> Iterator[Visits]:
    """Open loop: each comes when it is due, over a connection of its own, however slow the answers are."""
    visits = Visits()
    with _each(1 / a_second, lambda due: _visit(visits, at.ask, due)):
        yield visits


@contextmanager
def posting(at: Address, a_second: float) -> Iterator[Visits]:
    """The same, each with a token of its own to be counted."""
    visits = Visits()

    def post(due: float) -> None:
        token = uuid.uuid4().hex
        _visit(visits, lambda: at.ask("POST", f"/count/{token}"), due, token)

    with _each(1 / a_second, post):
        yield visits


@contextmanager
def _each(seconds: float, visit: Callable[[float], None]) -> Iterator[None]:
    """A thread a visit, begun when it is due."""
    over, pool = threading.Event(), []

    def come() -> None:
        due = time.monotonic()
        while not over.is_set():
            due += seconds
            time.sleep(max(0, due - time.monotonic()))
            pool.append(threading.Thread(target=visit, args=(due,)))
            pool[-1].start()

    with _joined(come):
        try:
            yield
        finally:
            over.set()
    for visitor in pool:
        visitor.join()


@contextmanager
def staying(at: Address, count: int, every: float) -> Iterator[Visits]:
    """So many connections that stay open; each is used now and then, and whoever finds it closed is lost."""
    visits, over, pool = Visits(), threading.Event(), []

    def stay(first: float) -> None:
        line = http.client.HTTPConnection(at.server, at.port, timeout=PATIENCE)
        line.connect()
        line.auto_open = 0
        over.wait(first)
        while not over.is_set():
            _visit(visits, lambda: at.ask(line=line), time.monotonic())
            if visits.all[-1].lost:
                line.close()
                line.connect()
            over.wait(every)
        line.close()

    pool = [threading.Thread(target=stay, args=(number * every / count,)) for number in range(count)]
    for visitor in pool:
        visitor.start()
    try:
        yield visits
    finally:
        over.set()
        for visitor in pool:
            visitor.join()


@contextmanager
def _joined(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()

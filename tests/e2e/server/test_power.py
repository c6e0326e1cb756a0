"""The server may go down at any moment: it comes up with a site that works, and the next deploy puts the rest right."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product

import pytest

from deploy.practice import Practice

from ..kit.core import partly_core
from ..kit.tiny import Tiny, nobody_lost
from ..kit.visitors import ask
from ..kit.waiting import until

pytestmark = pytest.mark.begins("tiny")

HOW: dict[str, Callable[[Practice], object]] = {
    "a reboot": lambda server: server.restart(),
    "a power cut": lambda server: (server.kill(), server.start()),
}
SLOWLY = {"build": {"PAUSE": "20"}}
WHERE = ("build", "start", "switch", "drain")
CORE = [("a power cut", "start"), ("a power cut", "switch"), ("a reboot", "drain")]


@contextmanager
def slow_answer(tiny: Tiny) -> Iterator[None]:
    """Somebody keeps a connection to the live release open; nobody minds if it breaks."""

    def wait() -> None:
        with suppress(OSError, http.client.HTTPException):
            ask(tiny.project.server, tiny.project.domain, "/?seconds=10")

    asking = threading.Thread(target=wait)
    asking.start()
    yield
    asking.join()


def going_on(tiny: Tiny, where: str, before: str) -> None:
    """Returns once the server is at this point of going live."""
    until(lambda: tiny.live != before, "the switch")
    if where == "drain":
        until(lambda: tiny.inside('cat "/srv/portside/$1/current/release.json" 2>/dev/null || true'), "the record")


@pytest.mark.parametrize(("how", "where"), partly_core(product(HOW, WHERE), *CORE))
def test_down_while_it_deploys(tiny: Tiny, where: str, how: str) -> None:
    server, before, old = tiny.project.server, tiny.live, tiny.answers()
    tiny.change()
    with tiny.project.with_settings(**SLOWLY.get(where, {})), slow_answer(tiny):
        run = tiny.start("deploy")
        tiny.reached(run, "switch" if where == "drain" else where)
        if where in {"switch", "drain"}:
            going_on(tiny, where, before)
        HOW[how](server)
        assert run.end().code in {0, 1}
    until(tiny.answers, f"the site after {how}, by itself")
    assert tiny.answers() in {old, tiny.version}
    assert where != "drain" or tiny.answers() == tiny.version
    with nobody_lost(tiny):
        tiny.deploy()


@pytest.mark.parametrize("how", HOW)
def test_down_while_it_rolls_back(tiny: Tiny, how: str) -> None:
    target = tiny.another()
    before = tiny.live
    with slow_answer(tiny):
        run = tiny.start("rollback", "--to", target)
        going_on(tiny, "switch", before)
        HOW[how](tiny.project.server)
        run.end()
    until(tiny.answers, f"the site after {how}, by itself")
    with nobody_lost(tiny):
        tiny.roll_back(target)

"""The laptop may die at any moment: nobody loses anything, and the next command puts it right."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.flows import flow

from ..kit.core import partly_core
from ..kit.tiny import Tiny, deploying, nobody_lost
from ..kit.visitors import ask
from ..kit.waiting import until

pytestmark = pytest.mark.begins("tiny")


@contextmanager
def staying(tiny: Tiny, seconds: float) -> Iterator[None]:
    """Somebody who waits for a slow answer, and gets it."""
    answers: list[int] = []
    path = f"/?seconds={seconds}"
    asking = threading.Thread(target=lambda: answers.append(ask(tiny.project.server, tiny.project.domain, path).status))
    asking.start()
    yield
    asking.join()
    assert answers == [200]


@pytest.mark.parametrize("stage", partly_core(flow.DEPLOY.stages, "prepare", "switch", "prune"))
def test_killed_while_it_deploys(tiny: Tiny, stage: str) -> None:
    with nobody_lost(tiny):
        with deploying(tiny, stage) as run:
            run.process.kill()
            run.process.wait()
        tiny.deploy()


@pytest.mark.parametrize("stage", flow.ROLLBACK.stages)
def test_killed_while_it_rolls_back(tiny: Tiny, stage: str) -> None:
    target = tiny.another()
    with nobody_lost(tiny):
        run = tiny.start("rollback", "--to", target)
        tiny.reached(run, stage, flow.ROLLBACK.stages)
        run.process.kill()
        run.process.wait()
        tiny.roll_back(target)


def test_killed_while_old_connections_end(tiny: Tiny) -> None:
    """The server goes on by itself: the old release has time to answer, and is stopped then."""
    before = tiny.live
    with nobody_lost(tiny), staying(tiny, 6):
        with deploying(tiny, "switch") as run:
            until(lambda: tiny.live != before, "the switch")
            run.process.kill()
            run.process.wait()
        assert tiny.answers() == tiny.version
    until(lambda: tiny.left() == "", "the server to be done by itself")
    assert "nothing to do" in tiny.deploy().out

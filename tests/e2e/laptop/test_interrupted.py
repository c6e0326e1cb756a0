"""Somebody changes his mind, or the laptop falls asleep: nobody loses anything by it."""

from __future__ import annotations

import signal

import pytest

from ..kit.core import partly_core
from ..kit.tiny import Tiny, deploying, nobody_lost
from ..kit.waiting import until

pytestmark = pytest.mark.begins("tiny")


@pytest.mark.parametrize("stage", partly_core(["build", "prepare", "healthcheck", "switch"], "healthcheck"))
def test_interrupted_while_it_deploys(tiny: Tiny, stage: str) -> None:
    before = tiny.live
    with nobody_lost(tiny):
        with deploying(tiny, stage) as run:
            until(lambda: f"  {stage}: " in run.out.read_text(), "a step of this stage")
            run.process.send_signal(signal.SIGINT)
            done = run.end()
        assert done.code == 1
        assert f"Interrupted in the stage “{stage}”" in done.err
        if stage == "switch":
            assert "as before" not in done.err, "the server may have switched already"
        else:
            assert f"Release {before} is live, as before." in done.err
        tiny.deploy()


# It sleeps, and wakes up


@pytest.mark.parametrize("stage", ["prepare"])
def test_asleep_until_somebody_else_took_over(tiny: Tiny, stage: str) -> None:
    with nobody_lost(tiny):
        with deploying(tiny, stage) as run:
            run.process.send_signal(signal.SIGSTOP)
        until(tiny.free, "the lock to be given back")
        tiny.change()
        after = tiny.deploy().release
        run.process.send_signal(signal.SIGCONT)
        done = run.end()
    assert done.code == 3
    assert "has taken the lock" in done.err
    assert tiny.live == after
    assert tiny.left() == ""


def test_asleep_for_a_moment(tiny: Tiny) -> None:
    """Nobody else came: it goes on where it was."""
    with nobody_lost(tiny), deploying(tiny, "healthcheck") as run:
        run.process.send_signal(signal.SIGSTOP)
        until(tiny.free, "the lock to be given back")
        run.process.send_signal(signal.SIGCONT)
        assert run.end().code == 0
    tiny.check_whole()

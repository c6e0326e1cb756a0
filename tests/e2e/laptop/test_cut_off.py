"""The connection may be cut at any moment, with a word or without: nobody loses anything by it."""

from __future__ import annotations

import os

import pytest

from deploy.flows import flow

from ..kit import relay
from ..kit.core import partly_core
from ..kit.tiny import Tiny, deploying, nobody_lost
from ..kit.waiting import until

pytestmark = pytest.mark.begins("tiny")


STAGES = ["build", "prepare", "start", "healthcheck", "switch", "prune"]


@pytest.mark.parametrize("stage", partly_core(STAGES, "switch"))
def test_cut_off_while_it_deploys(tiny: Tiny, stage: str) -> None:
    with nobody_lost(tiny), relay.in_front_of(tiny.project.server) as between:
        with deploying(tiny, stage, on=between.name) as run:
            between.reset()
            done = run.end()
        if done.code:
            assert "The connection to" in done.err
            assert "fab" in done.err or "the command again" in done.err
        tiny.deploy()


@pytest.mark.parametrize("stage", ["start", "healthcheck", "switch"])
def test_cut_off_while_it_rolls_back(tiny: Tiny, stage: str) -> None:
    target = tiny.another()
    with nobody_lost(tiny), relay.in_front_of(tiny.project.server) as between:
        run = tiny.start("rollback", "--to", target, on=between.name)
        tiny.reached(run, stage, flow.ROLLBACK.stages)
        between.reset()
        run.end()
        tiny.roll_back(target)


@pytest.mark.parametrize("stage", ["prepare", "switch"])
def test_cut_off_without_a_word(tiny: Tiny, stage: str) -> None:
    """The server gives the lock back after half a minute of silence; the laptop notices after a while."""
    with nobody_lost(tiny), relay.in_front_of(tiny.project.server) as between:
        with deploying(tiny, stage, on=between.name) as run:
            between.silence()
        until(tiny.free, "the lock to be given back")
        tiny.deploy()
        done = run.end()
    assert done.code == 1
    assert "The connection to" in done.err


def test_cut_off_without_a_word_in_the_middle_of_an_upload(tiny: Tiny) -> None:
    """The laptop notices although whoever sends is held up for ever."""
    large = tiny.project.root / "app/large"
    with nobody_lost(tiny), relay.in_front_of(tiny.project.server) as between:
        large.write_bytes(os.urandom(30_000_000))
        tiny.change()
        run = tiny.start("deploy", on=between.name)
        until(lambda: between.passed > 5_000_000, "the upload")
        between.stall()
        until(tiny.free, "the lock to be given back")
        large.unlink()
        tiny.change()
        tiny.deploy()
        done = run.end()
    assert done.code == 1
    assert f"The connection to {between.name} was lost" in done.err
    assert "It continues from the state that it finds" in done.err

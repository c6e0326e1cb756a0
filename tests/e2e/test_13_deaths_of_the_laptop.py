"""The laptop may die at any moment, or its connection: nobody loses anything, and the next command puts it right."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy import flow

from . import relay
from .deaths import Tiny, nobody_lost, tiny
from .kit import Project, Running, ask, until

SLOWLY = {"build": {"PAUSE": "3"}, "prepare": {"DEPLOY_BEFORE": "'sleep 3'"}}
"""What makes a short stage last."""


@pytest.fixture(scope="module")
def site(projects: Callable[[str], Project]) -> Iterator[Tiny]:
    made = tiny(projects("laptop"))
    yield made
    made.end()


@contextmanager
def staying(site: Tiny, seconds: float) -> Iterator[None]:
    """Somebody who waits for a slow answer, and gets it."""
    answers: list[int] = []
    path = f"/?seconds={seconds}"
    asking = threading.Thread(target=lambda: answers.append(ask(site.project.server, site.project.domain, path).status))
    asking.start()
    yield
    asking.join()
    assert answers == [200]


@contextmanager
def deploying(site: Tiny, stage: str, on: str = "") -> Iterator[Running]:
    """A deploy that has come to a stage."""
    site.change()
    with site.project.with_settings(**SLOWLY.get(stage, {})):
        run = site.start("deploy", on=on)
        site.reached(run, stage)
        yield run


# The laptop is killed


@pytest.mark.parametrize("stage", flow.DEPLOY)
def test_killed_while_it_deploys(site: Tiny, stage: str) -> None:
    with nobody_lost(site):
        with deploying(site, stage) as run:
            run.process.kill()
            run.process.wait()
        site.deploy()


@pytest.mark.parametrize("stage", flow.ROLLBACK)
def test_killed_while_it_rolls_back(site: Tiny, stage: str) -> None:
    target = site.another()
    with nobody_lost(site):
        run = site.start("rollback", "--to", target)
        site.reached(run, stage, flow.ROLLBACK)
        run.process.kill()
        run.process.wait()
        site.roll_back(target)


def test_killed_while_old_connections_end(site: Tiny) -> None:
    """The server goes on by itself: the old release has time to answer, and is stopped then."""
    before = site.live
    with nobody_lost(site), staying(site, 6):
        with deploying(site, "live") as run:
            until(lambda: site.live != before, "the switch")
            run.process.kill()
            run.process.wait()
        assert site.answers() == site.version
    until(lambda: site.left() == "", "the server to be done by itself")
    assert "nothing to do" in site.deploy().out


# Its connection is cut


@pytest.mark.parametrize("stage", ["build", "prepare", "start", "gate", "live", "prune"])
def test_cut_off_while_it_deploys(site: Tiny, stage: str) -> None:
    with nobody_lost(site), relay.in_front_of(site.project.server) as between:
        with deploying(site, stage, on=between.name) as run:
            between.reset()
            done = run.end()
        if done.code:
            assert "The connection to" in done.err
            assert "fab" in done.err or "same command" in done.err
        site.deploy()


@pytest.mark.parametrize("stage", ["start", "gate", "live"])
def test_cut_off_while_it_rolls_back(site: Tiny, stage: str) -> None:
    target = site.another()
    with nobody_lost(site), relay.in_front_of(site.project.server) as between:
        run = site.start("rollback", "--to", target, on=between.name)
        site.reached(run, stage, flow.ROLLBACK)
        between.reset()
        run.end()
        site.roll_back(target)


@pytest.mark.parametrize("stage", ["prepare", "live"])
def test_cut_off_without_a_word(site: Tiny, stage: str) -> None:
    """The server gives the lock back after half a minute of silence; the laptop notices after a while."""
    with nobody_lost(site), relay.in_front_of(site.project.server) as between:
        with deploying(site, stage, on=between.name) as run:
            between.silence()
        until(site.free, "the lock to be given back", 60)
        site.deploy()
        done = run.end()
    assert done.code == 1
    assert "The connection to" in done.err


def test_cut_off_without_a_word_in_the_middle_of_an_upload(site: Tiny) -> None:
    """The laptop notices although whoever sends is held up for ever."""
    large = site.project.root / "app/large"
    with nobody_lost(site), relay.in_front_of(site.project.server) as between:
        large.write_bytes(os.urandom(30_000_000))
        site.change()
        run = site.start("deploy", on=between.name)
        until(lambda: between.passed > 5_000_000, "the upload")
        between.stall()
        until(site.free, "the lock to be given back", 60)
        large.unlink()
        site.change()
        site.deploy()
        done = run.end()
    assert done.code == 1
    assert f"The connection to {between.name} was lost" in done.err
    assert "it goes on from what it finds" in done.err


# Somebody changes his mind


@pytest.mark.parametrize("stage", ["build", "prepare", "gate", "live"])
def test_interrupted_while_it_deploys(site: Tiny, stage: str) -> None:
    before = site.live
    with nobody_lost(site):
        with deploying(site, stage) as run:
            until(lambda: f"  {stage}: " in run.out.read_text(), "a step of this stage")
            run.process.send_signal(signal.SIGINT)
            done = run.end()
        assert done.code == 1
        assert f"Interrupted in the stage “{stage}”" in done.err
        if stage == "live":
            assert "as before" not in done.err, "the server may have switched already"
        else:
            assert f"Release {before} is live, as before." in done.err
        site.deploy()


# It sleeps, and wakes up


@pytest.mark.parametrize("stage", ["prepare"])
def test_asleep_until_somebody_else_took_over(site: Tiny, stage: str) -> None:
    with nobody_lost(site):
        with deploying(site, stage) as run:
            run.process.send_signal(signal.SIGSTOP)
        until(site.free, "the lock to be given back", 60)
        site.change()
        after = site.deploy().release
        run.process.send_signal(signal.SIGCONT)
        done = run.end()
    assert done.code == 3
    assert "taken over the lock" in done.err
    assert site.live == after
    assert site.left() == ""


def test_asleep_for_a_moment(site: Tiny) -> None:
    """Nobody else came: it goes on where it was."""
    with nobody_lost(site), deploying(site, "gate") as run:
        run.process.send_signal(signal.SIGSTOP)
        until(site.free, "the lock to be given back", 60)
        run.process.send_signal(signal.SIGCONT)
        assert run.end().code == 0
    site.check_whole()

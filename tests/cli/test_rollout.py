"""Turns: nobody goes live before all are ready, and then one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.cli.rollout import Turns
from deploy.core.errors import ConnectionLost, Stopped
from tests import sample

STAGES = ("preflight", "prepare", "healthcheck", "switch", "prune")


class Servers:
    """Threads that go through the stages, each as told; what they began, in order."""

    def __init__(self, turns: Turns, stages: tuple[str, ...] = STAGES) -> None:
        self.turns, self.stages = turns, stages
        self.lost = ""
        self.begun: list[tuple[str, str]] = []
        self.ends: dict[str, str] = {}
        self.threads: list[threading.Thread] = []
        self.held: dict[tuple[str, str], threading.Event] = {}

    def hold(self, name: str, stage: str) -> threading.Event:
        return self.held.setdefault((name, stage), threading.Event())

    def start(self, fails: tuple[str, str] = ("", "")) -> None:
        self.threads = [threading.Thread(target=self._go, args=(name, fails)) for name in self.turns.names]
        for thread in self.threads:
            thread.start()

    def _go(self, name: str, fails: tuple[str, str]) -> None:
        try:
            for stage in self.stages:
                self.turns.begin(name, stage, lambda other: None, lambda: self._check(name))
                self.begun.append((name, stage))
                if (name, stage) in self.held:
                    assert self.held[name, stage].wait(180)
                if (name, stage) == fails:
                    self.ends[name] = "failed"
                    return
            self.ends[name] = "done"
        except Stopped:
            self.ends[name] = "stopped"
        except ConnectionLost:
            self.ends[name] = "lost"
        except KeyboardInterrupt:
            self.ends[name] = "interrupted"
        finally:
            self.turns.end(name, failed=self.ends[name] != "done")

    def _check(self, name: str) -> None:
        """One that is lost is found out late, when the others have long answered."""
        if name == self.lost:
            time.sleep(0.3)
            raise ConnectionLost("No answer.")

    def join(self) -> dict[str, str]:
        for thread in self.threads:
            thread.join(180)
        return self.ends

    def live(self) -> list[str]:
        return [name for name, stage in self.begun if stage == "switch"]


@pytest.fixture
def servers(tmp_path: Path) -> Servers:
    return Servers(Turns(["a", "b", "c"], sample.settings(tmp_path)))


def until(so: Callable[[], bool]) -> bool:
    limit = time.monotonic() + 180
    while not so() and time.monotonic() < limit:
        time.sleep(0.01)
    return so()


def test_nobody_goes_live_before_all_are_ready(servers: Servers) -> None:
    slow = servers.hold("c", "healthcheck")
    servers.start()
    assert until(lambda: ("c", "healthcheck") in servers.begun)
    assert not until_live(servers, 0.3)
    slow.set()
    assert set(servers.join().values()) == {"done"}


def until_live(servers: Servers, seconds: float) -> bool:
    time.sleep(seconds)
    return bool(servers.live())


def test_they_go_live_one_after_the_other_in_their_order(servers: Servers) -> None:
    first = servers.hold("a", "switch")
    servers.start()
    assert until(lambda: servers.live() == ["a"])
    assert not until_live_again(servers)
    first.set()
    servers.join()
    assert servers.live() == ["a", "b", "c"]


def until_live_again(servers: Servers) -> bool:
    time.sleep(0.3)
    return servers.live() != ["a"]


@pytest.mark.parametrize("stage", ["preflight", "prepare", "healthcheck"])
def test_a_failure_before_keeps_all_from_going_live(stage: str, servers: Servers) -> None:
    servers.start(fails=("b", stage))
    assert servers.join() == {"a": "stopped", "b": "failed", "c": "stopped"}
    assert servers.live() == []


def test_a_failure_while_going_live_leaves_those_after_it_untouched(servers: Servers) -> None:
    servers.start(fails=("b", "switch"))
    assert servers.join() == {"a": "done", "b": "failed", "c": "stopped"}
    assert servers.live() == ["a", "b"]


def test_one_that_does_not_answer_once_all_are_ready_keeps_all_from_going_live(servers: Servers) -> None:
    servers.lost = "c"
    servers.start()
    assert servers.join() == {"a": "stopped", "b": "stopped", "c": "lost"}
    assert servers.live() == []


def test_locks_are_taken_one_after_the_other_in_everybodys_order(tmp_path: Path) -> None:
    servers = Servers(Turns(["b", "a"], sample.settings(tmp_path), locking=["a", "b"]), ("lock", *STAGES))
    first = servers.hold("a", "lock")
    servers.start()
    assert until(lambda: ("a", "lock") in servers.begun)
    time.sleep(0.3)
    assert ("b", "lock") not in servers.begun
    first.set()
    servers.join()
    assert servers.live() == ["b", "a"]


def test_an_interruption_wakes_those_who_wait(servers: Servers) -> None:
    slow = servers.hold("c", "healthcheck")
    servers.start()
    assert until(lambda: ("c", "healthcheck") in servers.begun)
    servers.turns.interrupt()
    slow.set()
    assert servers.join() == {"a": "interrupted", "b": "interrupted", "c": "interrupted"}


@pytest.mark.parametrize(("given", "alone"), [({}, False), ({"DEPLOY_DATABASE": "external"}, True)])
def test_a_database_they_share_is_changed_by_one_at_a_time(given: dict[str, str], alone: bool, tmp_path: Path) -> None:
    more = {"DATABASE_URL": "postgres://ann:pw@db.example/art"} if alone else {}
    servers = Servers(Turns(["a", "b"], sample.settings(tmp_path, **given, **more)))
    first = servers.hold("a", "prepare")
    servers.start()
    assert until(lambda: ("a", "prepare") in servers.begun)
    if alone:
        time.sleep(0.3)
        assert ("b", "prepare") not in servers.begun
    else:
        assert until(lambda: ("b", "prepare") in servers.begun)
    first.set()
    assert set(servers.join().values()) == {"done"}

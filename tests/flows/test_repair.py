"""A live release that isn't healthy is started anew by the same deploy again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import PortsideError
from deploy.core.facts import Facts
from deploy.core.report import Stage
from deploy.core.steps import Step
from deploy.flows import repair, tasks
from deploy.flows.context import Run
from tests import sample
from tests.sample import Paper

DB = sample.web("", role="db")


class Says(Paper):
    """Answers each visit with the next of these; the last one stays."""

    whys: tuple[str, ...] = ("",)

    def _answer(self, script: str, step: Step) -> Any:
        if script != "visit":
            return {"ports": list(self.ports)} if script == "start" else super()._answer(script, step)
        why, *rest = self.whys
        self.whys = tuple(rest) or self.whys
        return {"why": why}

    ports: tuple[int, ...] = (8101,)


def live(settings: Settings, *containers: Any, **changed: Any) -> Facts:
    record = sample.recorded(sample.OLD, replicas=1, ports=[8101])
    facts = sample.with_releases(sample.live(settings), sample.OLD, {sample.OLD: record})
    return replace(facts, containers=containers, **changed)


def mended(settings: Settings, facts: Facts, *whys: str, ports: tuple[int, ...] = (8101,)) -> tuple[Run, Says]:
    paper = Says(facts)
    paper.whys, paper.ports = whys or ("",), ports
    run = sample.run(settings, paper)
    run.look()
    run.candidate.unchanged, run.candidate.routes = True, sample.ROUTES
    repair.restart_unhealthy(run, Stage("start"))
    return run, paper


def test_a_healthy_release_is_not_touched_nor_asked_again(settings: Settings) -> None:
    run, paper = mended(settings, live(settings, sample.web(sample.OLD), DB, answer="200"))
    assert paper.steps == []
    repair.check_restarted(run)
    assert paper.steps == []


def test_what_is_down_is_started_anew(settings: Settings) -> None:
    run, paper = mended(settings, live(settings, sample.web(sample.OLD, "exited"), DB, answer="502"))
    start = paper.steps[-1]
    assert (start.script, start.arguments["compose"]) == ("start", sample.SITE.release(sample.OLD).compose)
    assert start.arguments["parts"] == ("web-1",)
    repair.check_restarted(run)
    assert paper.scripts == ["start", "visit"]


def test_where_all_seem_to_run_the_site_itself_is_asked(settings: Settings) -> None:
    _, paper = mended(settings, live(settings, sample.web(sample.OLD), DB, answer="502"), "it answers 502 at /.")
    assert paper.scripts == ["visit", "data", "visit", "start"]
    _, paper = mended(settings, live(settings, sample.web(sample.OLD), DB, answer="502"), "it answers 502 at /.", "")
    assert paper.scripts == ["visit", "data", "visit"], "it was the database"
    _, paper = mended(settings, live(settings, sample.web(sample.OLD), DB, answer="302"), "")
    assert paper.scripts == ["visit"]


def test_a_plan_takes_a_database_that_is_to_be_started_for_all_that_is_wrong(settings: Settings) -> None:
    paper = Says(live(settings, sample.web(sample.OLD), answer="500"))
    paper.whys = ("it answers 500 at /.",)
    run = sample.run(settings, paper, dry_run=True)
    run.look()
    run.candidate.unchanged, run.candidate.routes = True, sample.ROUTES
    repair.restart_unhealthy(run, Stage("start"))
    assert paper.scripts == ["visit", "start"], "the database isn't woken by a plan"
    run.health.fault, run.progress.changed = "", [{"stage": "database", "step": "Start the database"}]
    paper.scripts.clear()
    repair.restart_unhealthy(run, Stage("start"))
    assert paper.scripts == []


def test_other_ports_are_noted(settings: Settings) -> None:
    run, paper = mended(settings, live(settings, DB, answer="502"), ports=(8105,))
    assert run.candidate.routes.ports == (8105,)
    assert paper.steps[-1].path == sample.SITE.release(sample.OLD).record
    assert b"8105" in paper.steps[-1].files["content"]  # type: ignore[operator]


def test_what_stays_ill_is_a_failure(settings: Settings) -> None:
    run, _ = mended(settings, live(settings, DB, answer="502"), "it answers 500 at /healthz.")
    with pytest.raises(PortsideError, match="restarted, but isn't healthy: it answers 500"):
        repair.check_restarted(run)


def test_a_rollback_to_the_live_release_starts_all_of_it_anew(settings: Settings) -> None:
    record = sample.recorded(sample.OLD, sample.OLDER, replicas=1, ports=[8101], processes=["mail"])
    facts = sample.with_releases(sample.live(settings), sample.OLD, {sample.OLD: record})
    paper = Says(replace(facts, containers=(sample.web(sample.OLD), sample.web(sample.OLD, role="process"), DB)))
    run = sample.run(settings, paper, "rollback", to=sample.OLD)
    tasks.rollback(run)
    start = next(step for step in paper.steps if step.script == "start")
    assert start.arguments["parts"] == ("web-1", "process-mail")
    assert not {"switch", "discard", "stop"} & set(paper.scripts)


@pytest.mark.parametrize(
    ("last", "answer", "starts"),
    [
        ({"event": "rollback", "release": sample.OLD, "when": "20261121-115500"}, "200", False),
        ({"event": "finish", "release": sample.OLD, "when": "20261121-115959"}, "200", False),
        ({"event": "rollback", "release": sample.OLD, "when": "20261121-114000"}, "200", True),
        ({"event": "rollback", "release": sample.OLD, "when": "20261121-115500"}, "502", True),
        ({"event": "deploy", "release": sample.OLD, "when": "20261121-115500"}, "200", True),
        ({"event": "rollback", "release": sample.OLDER, "when": "20261121-115500"}, "200", True),
        ({}, "200", True),
    ],
)
def test_a_rollback_that_is_typed_again_starts_nothing_anew(
    last: dict[str, str], answer: str, starts: bool, settings: Settings
) -> None:
    """As after a connection that was lost while the server went on by itself."""
    facts = live(settings, sample.web(sample.OLD), DB, answer=answer, last=last, clock="20261121-120000")
    paper = Says(facts)
    tasks.rollback(sample.run(settings, paper, "rollback", to=sample.OLD))
    assert ("start" in paper.scripts) is starts

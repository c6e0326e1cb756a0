"""What an interrupted run left is put right, told to a server of paper."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core.facts import Facts
from deploy.flows import recovery
from deploy.flows.context import Run
from tests import sample
from tests.sample import Paper

pytestmark = pytest.mark.usefixtures("steady")
SITE = "root=/srv/portside/portfolio site=portfolio"


def left_over(settings: Settings, *left: str, **changed: Any) -> Facts:
    facts = sample.live(settings)
    return replace(facts, releases={**facts.releases, **{identity: {} for identity in left}}, **changed)


def test_a_lock_where_nothing_was_left_looks_once(settings: Settings) -> None:
    paper = Paper(sample.live(settings))
    sample.lock(settings, paper)
    assert (paper.looks, paper.scripts) == (1, [])


def test_a_release_that_went_live_while_waiting_for_the_lock_is_seen(settings: Settings) -> None:
    later = sample.with_releases(sample.live(settings), sample.NEW, {sample.NEW: sample.recorded(sample.NEW)})
    paper = Paper(sample.live(settings), later, current=sample.NEW)
    run = sample.lock(settings, paper)
    assert (run.facts.current, paper.looks, paper.scripts) == (sample.NEW, 2, [])


def test_what_an_interrupted_run_left_is_taken_away(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    left = left_over(settings, sample.NEW, sample.OLDER)
    paper = Paper(left, left, sample.live(settings))
    run = sample.lock(settings, paper)
    assert f"script discard {SITE} first=no ids={sample.OLDER} ids={sample.NEW}\n" in paper.transcript()
    assert (
        f"! An interrupted run left {sample.OLDER}, {sample.NEW}. Portside will remove them." in capsys.readouterr().out
    )
    assert (paper.scripts, paper.looks, sample.NEW in run.facts.releases) == (["discard"], 3, False)


def test_what_somebody_else_has_put_right_meanwhile_is_left_alone(settings: Settings) -> None:
    paper = Paper(left_over(settings, sample.NEW), sample.live(settings))
    sample.lock(settings, paper)
    assert (paper.scripts, paper.looks) == ([], 2)


def test_a_release_that_was_switched_to_is_finished(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    record = sample.recorded(sample.NEW, sample.OLD, processes=["queue"])
    pending = record | {"instead_of": sample.OLD}
    left = left_over(settings, sample.NEW, sample.OLDER, current=sample.NEW, pending={sample.NEW: pending})
    finished = replace(left, pending={}, releases=left.releases | {sample.NEW: record}, containers=())
    paper = Paper(left, left, finished)
    sample.lock(settings, paper)
    assert paper.scripts == ["switch", "finish", "discard"]
    told = paper.transcript()
    assert "## lock (detached)" in told
    assert f"script finish {SITE} id={sample.NEW} old={sample.OLD} seconds=30 processes=queue\n" in told
    assert f"script discard {SITE} first=no ids={sample.OLDER}\n" in told
    (step,) = (step for step in paper.steps if step.script == "finish")
    assert json.loads(step.files["release.json"]) == record  # type: ignore[arg-type]
    assert json.loads(step.files["event"]) == {  # type: ignore[arg-type]
        "event": "finish", "release": sample.NEW, "result": "live", "who": "ann@laptop", "when": left.clock,
        "seconds": 12.3, "before": sample.NEW,
    }  # fmt: skip
    assert f"! The switch to {sample.NEW} was interrupted. Portside will finish it." in capsys.readouterr().out


def test_a_release_that_was_left_running_is_stopped(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    releases = {sample.OLDER: sample.recorded(sample.OLDER), sample.OLD: sample.recorded(sample.OLD, sample.OLDER)}
    running = (sample.web(sample.OLDER), sample.web(sample.OLD))
    paper = Paper(sample.with_releases(sample.live(settings), sample.OLD, releases, containers=running))
    sample.lock(settings, paper)
    assert f"script stop {SITE} ids={sample.OLDER}\n" in paper.transcript()
    assert f"! An interrupted run left {sample.OLDER} running beside" in capsys.readouterr().out


def test_what_still_went_on_for_a_dead_laptop_is_waited_for(settings: Settings) -> None:
    paper = Paper(sample.live(settings), busy=True)
    sample.lock(settings, paper)
    assert (paper.looks, paper.scripts) == (2, [])


def test_a_switch_that_was_cut_off_before_its_rename_leaves_nginx_as_the_live_release_needs_it(
    settings: Settings,
) -> None:
    pending = {sample.NEW: sample.recorded(sample.NEW, sample.OLD, instead_of=sample.OLD)}
    live = sample.live(settings)
    bridge = {"nginx_generation": "bridge", "nginx_files": live.nginx_files | {sample.SITE.nginx_file: "0" * 64}}
    left = left_over(settings, sample.NEW, pending=pending, **bridge)
    cleared = replace(live, nginx_generation="bridge", nginx_files=bridge["nginx_files"])
    paper = Paper(left, left, cleared)
    sample.lock(settings, paper)
    assert paper.scripts == ["discard", "nginx", "note"]


def test_an_interrupted_release_that_is_not_well_any_more_gives_way(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    pending = {sample.NEW: sample.recorded(sample.NEW, sample.OLD, instead_of=sample.OLD)}
    left = left_over(settings, sample.NEW, current=sample.NEW, pending=pending)
    back = replace(left, current=sample.OLD)
    paper = Paper(left, left, back, sample.live(settings), fails="switch")
    run = sample.lock(settings, paper)
    assert paper.scripts == ["switch", "discard"]
    assert run.facts.current == sample.OLD
    assert f"! {sample.NEW} isn't healthy any more. it broke" in capsys.readouterr().out


def test_a_rollback_that_was_interrupted_is_finished_on_its_ports(settings: Settings) -> None:
    facts = sample.going_back(settings)
    pending = {sample.OLDER: facts.releases[sample.OLDER] | {"ports": [8105], "instead_of": sample.OLD}}
    facts = replace(facts, current=sample.OLDER, pending=pending)
    paper = Paper(facts, facts, replace(facts, pending={}, containers=()))
    sample.lock(settings, paper)
    assert paper.scripts == ["switch", "finish"]
    assert json.loads(paper.steps[1].files["release.json"])["ports"] == [8105]  # type: ignore[arg-type]
    assert paper.steps[0].arguments["old"] == sample.OLD


BREAKING = {"portfolio.0002_drop": "RemoveField drops the column work.title"}


def left_with_migrations(settings: Settings, answer: dict[str, Any], *, fails: str = "", **pending: Any) -> Paper:
    """A server on which a laptop died after a deploy's migrations and before its switch."""
    record = sample.recorded(sample.NEW, sample.OLD, breaking=BREAKING) | pending
    known = {sample.OLD: sample.recorded(sample.OLD), sample.NEW: {}}
    facts = sample.with_releases(sample.live(settings), sample.OLD, known)
    image = sample.SITE.release(sample.NEW).image
    facts = replace(facts, pending={sample.NEW: record}, images=(*facts.images, image))
    paper = Paper(facts, facts, sample.live(settings), answer=sample.ANSWER | answer, fails=fails)
    sample.lock(settings, paper)
    return paper


def test_a_release_that_never_went_live_gives_the_database_back(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    ahead = {"ahead": ["portfolio.0002_drop"], "ahead_breaking": {"portfolio.0002_drop": ["drops"]}}
    assert left_with_migrations(settings, ahead).scripts == ["ask", "dump", "back", "discard"]
    assert f"! {sample.NEW} never went live. Its migrations break {sample.OLD}" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [{}, {"ahead": ["portfolio.0002_add"]}])
def test_what_breaks_nobody_stays_in_the_database(answer: dict[str, Any], settings: Settings) -> None:
    assert left_with_migrations(settings, answer).scripts == ["ask", "discard"]


def test_what_can_not_be_taken_back_is_said(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    broken = {"ahead": ["a.2"], "ahead_breaking": {"a.2": ["drops"]}}
    assert left_with_migrations(settings, broken, fails="back").scripts == ["ask", "dump", "back", "discard"]
    assert f"! {sample.OLD} may fail: Revert migrations (1): it broke" in capsys.readouterr().out


def test_a_release_without_such_migrations_is_not_asked(settings: Settings) -> None:
    assert left_with_migrations(settings, {}, breaking={}).scripts == ["discard"]


def asked_live(settings: Settings, record: dict[str, Any], paper: Paper) -> Run:
    run = sample.run(settings, paper)
    run.facts = sample.with_releases(sample.live(settings), sample.OLD, {sample.OLD: record})
    recovery.check_live(run, "start")
    return run


def test_the_live_release_is_asked_as_it_was_deployed(settings: Settings) -> None:
    """The settings name a page that only the failed one would have had."""
    paper = Paper()
    changed = settings.model_copy(update={"health_path": "/new/", "domains": ("new.example",)})
    asked_live(changed, sample.recorded(sample.OLD), paper)
    (step,) = paper.steps
    assert step.words == ("script", "visit", "url=http://portfolio.localhost/healthz", "seconds=0")


def test_where_nobody_noted_how_it_was_deployed_it_is_not_asked(settings: Settings) -> None:
    paper = Paper()
    record = {name: value for name, value in sample.recorded(sample.OLD).items() if name not in sample.VISITED}
    assert asked_live(settings, record, paper).health.fault == ""
    assert paper.steps == []


def test_what_visitors_get_instead_is_told_in_a_line(settings: Settings) -> None:
    class Ill(Paper):
        def _answer(self, script: str, step: Any) -> Any:
            return {"why": "The way so far\nThrough Nginx it answers 500 at /healthz."}

    assert (
        asked_live(settings, sample.recorded(sample.OLD), Ill()).health.fault
        == "Through Nginx it answers 500 at /healthz."
    )

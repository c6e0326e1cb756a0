"""Whether a live site is healthy, told from facts and from a visit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core.facts import Facts
from deploy.flows import site_health
from tests import sample
from tests.sample import Paper

WEB, DB = sample.web(sample.OLD), sample.web("", role="db")


def live(settings: Settings, **changed: Any) -> Facts:
    record = sample.recorded(sample.OLD, processes=["mail"], replicas=2)
    facts = sample.with_releases(sample.live(settings), sample.OLD, {sample.OLD: record})
    second, mail = replace(WEB, name="second", part="web-2"), sample.web(sample.OLD, role="process")
    return replace(facts, containers=(WEB, second, mail, DB), **changed)


def told(settings: Settings, facts: Facts, fault: str = "") -> list[str]:
    run = sample.run(settings, Paper(facts), "status")
    run.look()
    return [str(each) for each in site_health.problems(run, fault)]


def test_a_healthy_site_has_no_problem(settings: Settings) -> None:
    assert told(settings, live(settings)) == []
    assert site_health.unhealthy_parts(live(settings)) == []


@pytest.mark.parametrize("state", ["exited", "paused", "created", "dead"])
def test_a_container_that_does_not_run(state: str, settings: Settings) -> None:
    facts = live(settings)
    stopped = replace(facts, containers=(replace(WEB, state=state), *facts.containers[1:]))
    (problem,) = told(settings, stopped)
    assert problem.startswith(f"The container {WEB.name} is {state}. fab deploy -H server.example starts it;")
    assert site_health.unhealthy_parts(stopped) == ["web-1"]


def test_a_container_that_hangs(settings: Settings) -> None:
    facts = live(settings)
    hung = tuple(replace(each, status="Up 3 hours (unhealthy)") for each in facts.containers)
    problems = told(settings, replace(facts, containers=hung))
    assert len(problems) == 4
    assert all("runs, but is unhealthy" in each for each in problems)
    assert site_health.unhealthy_parts(replace(facts, containers=hung)) == ["web-1", "web-2"]


def test_each_container_that_is_gone_is_missed(settings: Settings) -> None:
    problems = told(settings, replace(live(settings), containers=()))
    assert [each.partition(" is missing")[0] for each in problems[1:]] == [
        f"1 process container of {sample.OLD}",
        "The database's container",
    ]
    assert problems[0].startswith(f"2 web containers of {sample.OLD} are missing.")


def test_data_that_is_gone_is_said_alone(settings: Settings) -> None:
    (problem,) = told(settings, replace(live(settings), containers=(), data_volume=""), "it answers 502 at /.")
    assert "volume portfolio-postgres is missing" in problem


def test_what_visitors_get_is_a_problem(settings: Settings) -> None:
    (problem,) = told(settings, live(settings), "it answers 502 at /healthz.")
    assert problem == (
        "Visitors get an error: it answers 502 at /healthz. fab deploy -H server.example restarts the release."
    )


@pytest.mark.parametrize(("answer", "doubtful"), [("200", False), ("204", False), ("", False)] + [
    (status, True) for status in ("301", "404", "502", "000")
])  # fmt: skip
def test_only_an_answer_that_leaves_a_doubt_is_looked_at(answer: str, doubtful: bool, settings: Settings) -> None:
    paper = Paper(live(settings, answer=answer))
    run = sample.run(settings, paper, "status")
    run.look()
    assert site_health.fault(run) == ""
    assert paper.scripts == ["visit"] * doubtful


def test_where_nginx_is_stopped_nobody_is_asked(settings: Settings) -> None:
    paper = Paper(live(settings, answer="000", nginx_active=False))
    run = sample.run(settings, paper, "status")
    run.look()
    assert site_health.fault(run) == ""
    assert paper.scripts == []


def test_one_cause_is_one_problem(settings: Settings) -> None:
    """Its fix is the same, and a stopped container is why visitors get an error."""
    facts = live(settings)
    stopped = replace(facts, containers=(replace(WEB, state="exited"), *facts.containers[1:]))
    assert len(told(settings, stopped, "it answers 502 at /healthz.")) == 1

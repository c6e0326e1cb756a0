"""Dry run: a server that only takes notes, and what steps make of its facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.certs import acme
from deploy.cli.plan import dry_run
from deploy.cli.plan.dry_run import CollectingReport, DryRunServer, Taken, Unknown
from deploy.config.settings import Settings
from deploy.core.errors import Locked
from deploy.core.facts import Facts
from deploy.core.steps import Step, script, write
from deploy.flows import switch
from deploy.flows.recovery import Discard, Stop
from deploy.host.packages import Install
from deploy.nginx import generation
from tests import sample
from tests.sample import Paper


def dry_run_server(paper: Paper, answer: Any = None) -> DryRunServer:
    return DryRunServer(paper, CollectingReport(), lambda step: answer)  # type: ignore[arg-type]


def finish(identity: str, files: Mapping[str, bytes]) -> Step:
    return switch.Finish(
        name="End", root="/root", site="portfolio", id=identity, old="", seconds=0, processes=(), files=files
    )


def test_nothing_reaches_the_server_but_the_question_for_its_facts() -> None:
    paper = Paper(sample.bare())
    made = dry_run_server(paper)
    made.facts(sample.SITE, [])
    made.facts(sample.SITE, [])
    made.apply([write("/etc/x", "x"), script("Build", "build", sign="+")], stage="build")
    with made.lock(sample.SITE) as (tell, current, busy):
        tell("build")
    assert (paper.told, paper.looks, paper.released) == ([], 1, False)
    assert (current, busy) == ("", False)
    assert [(taken.stage, taken.step.script) for taken in made.taken] == [("build", ""), ("build", "build")]


def test_of_another_runs_half_done_work_nothing_is_said() -> None:
    made = dry_run_server(Paper(replace(sample.bare(), held="ann@laptop, since 10:00:00 UTC, now at build")))
    made.facts(sample.SITE, [])
    with pytest.raises(Locked, match=r"ann@laptop, since 10:00:00 UTC, now at build") as told, made.lock(sample.SITE):
        pass
    assert told.value.exit_code == 3
    assert "--wait" not in told.value.hint, "a plan has no such option"


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        (script("Build", "build", sign="+"), {"digest": ""}),
        (finish("id", {"release.json": b"{}"}), dry_run.ENDED),
        (script("Ask", "ask", sign=""), "asked"),
        (script("Gate", "gate", sign=""), {"way": [], "elsewhere": ""}),
        (write("/etc/x", ""), None),
    ],
)
def test_a_step_is_answered_as_far_as_it_can_be(step: Step, answer: Any) -> None:
    (result,) = dry_run_server(Paper(sample.bare()), "asked").apply([step], stage="any")
    assert (result.state, result.answer) == ("changed", answer)


def test_what_nobody_knows_is_still_a_step_to_take() -> None:
    def unknown(step: Step) -> Any:
        raise Unknown("later")

    made = DryRunServer(Paper(sample.bare()), CollectingReport(), unknown)  # type: ignore[arg-type]
    with pytest.raises(Unknown, match="later"):
        made.apply([script("Ask", "ask", sign="")], stage="prepare")
    assert made.taken == [Taken("prepare", script("Ask", "ask", sign=""))]


@pytest.mark.parametrize(
    "use",
    [
        lambda answer: answer["digest"],
        lambda answer: answer.get("digest"),
        list,
        bool,
        lambda answer: "a" in answer,
        lambda answer: answer or {},
    ],
)
def test_the_answer_of_a_step_that_a_plan_does_not_know_is_unknown(use: Callable[[Any], object]) -> None:
    step = script("Weigh the image", "weigh")
    (result,) = dry_run_server(Paper(sample.bare())).apply([step, step], stage="build")[:1]
    with pytest.raises(Unknown, match="The next steps depend on the answer of this one: Weigh the image"):
        use(result.answer)


def test_a_generation_leaves_nothing_to_do(settings: Settings) -> None:
    facts = replace(sample.provisioned(), nginx_active=False, nginx_files={"sites/blog.conf": "1" * 64})
    (step,) = generation.steps(generation.base(facts), facts, "base")
    then = step.effect(facts)
    assert generation.steps(generation.base(then), then, "base") == []
    assert step.generations == (then.nginx_generation,)
    assert then.nginx_files["sites/blog.conf"] == "1" * 64


def test_a_switch_leaves_its_release_live_and_nginx_as_it_wants_it(settings: Settings) -> None:
    run = sample.run(settings, Paper(sample.provisioned()))
    run.facts = sample.provisioned()
    step = switch.switch(run, sample.NEW, sample.ROUTES, "")
    run.facts = step.effect(run.facts)
    assert run.facts.current == sample.NEW
    assert switch.update_nginx(run, sample.ROUTES) == []


def test_packages_are_there_as_their_distribution_made_them() -> None:
    step = Install(name="Install", packages=("nginx", "brotli?", "docker-compose-v2|docker-compose", "ufw"))
    then = step.effect(sample.bare())
    assert then.packages >= {"nginx", "brotli", "docker-compose-v2", "ufw"}
    assert (then.nginx_conf, then.nginx_default, then.ufw) == ("distribution", "distribution", "inactive")
    kept = Install(name="Install", packages=("curl",)).effect(sample.provisioned())
    assert kept.nginx_default == sample.provisioned().nginx_default


def test_what_is_taken_away_is_not_found_any_more(settings: Settings) -> None:
    facts = replace(sample.going_back(settings), pending={sample.OLDER: {}})
    then = Discard(name="Discard", root="/root", site="portfolio", ids=(sample.OLDER,)).effect(facts)
    assert (set(then.releases), then.pending) == ({sample.OLD}, {})
    assert then.images == (sample.SITE.release(sample.OLD).image,)


def test_what_is_stopped_runs_no_more(settings: Settings) -> None:
    facts = replace(sample.live(settings), containers=(sample.web(sample.OLD), sample.web(sample.OLDER)))
    then = Stop(name="Stop", root="/root", site="portfolio", ids=(sample.OLDER,)).effect(facts)
    assert [then.running("web", name) for name in (sample.OLD, sample.OLDER)] == [1, 0]


def test_what_is_finished_is_recorded(settings: Settings) -> None:
    facts = replace(sample.live(settings), pending={sample.NEW: {"id": sample.NEW}})
    files = {"release.json": b'{"id": "new"}'}
    then = finish(sample.NEW, files).effect(facts)
    assert (then.releases[sample.NEW], then.pending) == ({"id": "new"}, {})


def test_a_certificate_is_what_nginx_reads_then(tmp_path: Path) -> None:
    sample.with_own_certificate(tmp_path, *sample.GALLERY)
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    facts = sample.provisioned()
    (step,) = acme.install(settings, sample.SITE, facts)
    then = step.effect(facts)
    assert acme.install(settings, sample.SITE, then) == []


def test_other_steps_leave_the_facts_as_they_are() -> None:
    facts: Facts = sample.bare()
    for step in (write("/etc/x", "x"), script("Gate", "gate", sign="", url="x")):
        assert step.effect(facts) is facts

"""The switch as data: which generations it takes, and what comes after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core.facts import Facts
from deploy.core.steps import remove, script
from deploy.flows import switch
from deploy.flows.context import Run
from deploy.nginx import generation, routing
from deploy.nginx import site as nginx_site
from deploy.nginx.routing import Names, Routes
from deploy.releases import history, record
from deploy.ssh.results import Result
from tests import sample
from tests.sample import Paper

SAME = replace(sample.ROUTES, ports=(8102,))


def run(settings: Settings, facts: Facts) -> Run:
    made = sample.run(settings, Paper(facts))
    made.facts = facts
    return made


def live(settings: Settings, routes: Routes = sample.ROUTES) -> Facts:
    """A server with the sample site live, its Nginx files those of the settings."""
    record = sample.recorded(sample.OLD, static_url=routes.static_url, media_url=routes.media_url)
    record |= {"replicas": routes.replicas, "ports": list(routes.ports)}
    facts = sample.with_releases(sample.live(settings), sample.OLD, {sample.OLD: record}, nginx_files={})
    final = routing.final(routes, history.kept(facts), settings.upstream)
    files = generation.base(facts) | nginx_site.site_file(settings, sample.SITE, final, facts)
    digests = {path: sample.digest(text) for path, text in files.items()}
    return replace(facts, nginx_generation=generation.generation(files, facts).name, nginx_files=digests)


def generations(settings: Settings, facts: Facts, new: Routes) -> tuple[str, str]:
    """The bridge's and the final generation's text of the site's file; empty where there is none."""
    step = switch.switch(run(settings, facts), sample.NEW, new, facts.current)
    return tuple(  # type: ignore[return-value]
        step.files[f"{name}/new/sites/portfolio.conf"].decode() if name else ""  # type: ignore[union-attr]
        for name in (step.bridge, step.final)
    )


def test_a_release_like_the_one_before_goes_live_without_a_reload(settings: Settings) -> None:
    step = switch.switch(run(settings, live(settings)), sample.NEW, SAME, sample.OLD)
    assert (step.generations, set(step.files)) == ((), {"visit.py", "cause.py", "nginx.json"})


def test_a_first_release_takes_one_generation(settings: Settings) -> None:
    bridge, final = generations(settings, sample.provisioned(), SAME)
    assert (bridge, "web-1.sock" in final) == ("", True)


def test_changed_settings_take_one_generation_before_the_switch(settings: Settings, tmp_path: Path) -> None:
    facts = live(settings)
    bridge, final = generations(sample.settings(tmp_path, DEPLOY_MAX_BODY="1m"), facts, SAME)
    assert ("client_max_body_size 1m" in bridge, final) == (True, "")


def test_more_replicas_take_one_generation_after_the_switch(settings: Settings) -> None:
    bridge, final = generations(settings, live(settings), replace(SAME, replicas=2))
    assert (bridge, "web-2.sock" in final) == ("", True)


def test_fewer_replicas_take_one_generation_before_the_switch(settings: Settings) -> None:
    facts = live(settings, replace(sample.ROUTES, replicas=2))
    bridge, final = generations(settings, facts, SAME)
    assert ("web-2.sock" in bridge, "web-1.sock" in bridge, final) == (False, True, "")


def test_new_ports_take_one_generation_after_the_switch(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_UPSTREAM="port")
    bridge, final = generations(settings, live(settings), SAME)
    assert (bridge, "127.0.0.1:8102" in final, "127.0.0.1:8101" in final) == ("", True, False)


def test_another_static_url_takes_both(settings: Settings) -> None:
    bridge, final = generations(settings, live(settings), replace(SAME, static_url="/files/"))
    for text in (bridge, final):
        assert "location ^~ /files/ {" in text
        assert "location ^~ /static/ {" in text
    assert (bridge.count("@older_static;"), final.count("@older_static;")) == (0, 1)


def test_another_protocol_takes_both_and_time_for_what_is_being_read(settings: Settings) -> None:
    facts, new = live(settings), replace(SAME, protocol="uwsgi")
    bridge, final = generations(settings, facts, new)
    assert (bridge.count("_pass"), final.count("uwsgi_pass"), final.count("proxy_pass")) == (4, 2, 0)
    step = switch.switch(run(settings, facts), sample.NEW, new, sample.OLD)
    assert step.reading == settings.drain
    assert switch.switch(run(settings, facts), sample.NEW, SAME, sample.OLD).reading == 0


def test_by_port_another_protocol_takes_one_generation_after_the_switch(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_UPSTREAM="port", DEPLOY_DRAIN="7")
    facts, new = live(settings), replace(SAME, protocol="uwsgi")
    bridge, final = generations(settings, facts, new)
    assert (bridge, final.count("uwsgi_pass"), final.count("proxy_pass")) == ("", 2, 0)
    assert switch.switch(run(settings, facts), sample.NEW, new, sample.OLD).reading == 7


def test_other_names_take_both_generations_and_are_asked_for_as_the_new_release_has_them(tmp_path: Path) -> None:
    facts = live(sample.settings(tmp_path))
    renamed = sample.settings(tmp_path, DEPLOY_DOMAINS="new.example", DEPLOY_REDIRECT_DOMAINS="portfolio.localhost")
    new = replace(SAME, names=Names(("new.example",), ("portfolio.localhost",)))
    bridge, final = generations(renamed, facts, new)
    assert bridge.count("/srv/portside/portfolio/current/pending.json) {") == 2
    assert ("pending.json" in final, "return 301 http://new.example$request_uri;" in final) == (False, True)
    step = switch.switch(run(renamed, facts), sample.NEW, new, sample.OLD)
    assert (step.scheme, step.host) == ("http", "new.example")


def test_names_are_noted_once(settings: Settings) -> None:
    begun = run(settings, live(settings))
    assert switch.rename(begun, record.renamed(begun.facts.releases[sample.OLD], settings)) == []
    (step,) = switch.rename(begun, replace(sample.ROUTES, names=Names(("new.example",))))
    assert step.path == f"/srv/portside/portfolio/releases/{sample.OLD}/release.json"


def test_an_interrupted_switch_takes_the_final_generation_only(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_UPSTREAM="port")
    facts = replace(live(settings), current=sample.NEW)
    step = switch.switch(run(settings, facts), sample.NEW, SAME, sample.OLD, patience=60)
    assert (step.old, step.bridge, bool(step.final), step.seconds) == (sample.OLD, "", True, 60)


def test_the_switch_is_planned_upon_the_live_generation(settings: Settings) -> None:
    facts = live(settings)
    step = switch.switch(run(settings, facts), sample.NEW, replace(SAME, static_url="/files/"), sample.OLD)
    assert step.before == facts.nginx_generation
    files = {name.partition("/")[0] for name in step.files}
    assert files == {"main", "visit.py", "cause.py", "nginx.json", *step.generations}


def test_a_live_release_needs_nothing(settings: Settings) -> None:
    assert switch.update_nginx(run(settings, live(settings)), sample.ROUTES) == []


def test_processes_that_do_not_run_are_started(settings: Settings) -> None:
    facts = live(settings)
    facts.releases[sample.OLD]["processes"] = ["beat", "queue"]
    step, watch = switch.start_processes(run(settings, facts))
    given = {"site": "portfolio", "id": sample.OLD, "processes": ["beat", "queue"]}
    assert (watch.script, watch.arguments) == ("watch", given)
    assert (step.script, step.arguments) == ("revive", {"root": "/srv/portside/portfolio", **given})
    running = tuple(sample.web(sample.OLD, role="process") for _ in range(2))
    assert switch.start_processes(run(settings, replace(facts, containers=running))) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, []),
        ({"left": 2}, ["! 2 connections to the old release were closed after 30 s."]),
        ({"left": 1}, ["! 1 connection to the old release was closed after 30 s."]),
        (
            {"working": ["queue"]},
            [
                f'! Process "queue" of {sample.OLD} is still running after 30 s. It will finish its current job and '
                "exit."
            ],
        ),
        (
            {"working": ["mail", "queue"]},
            [
                f'! Processes "mail", "queue" of {sample.OLD} are still running after 30 s. They will finish their '
                "current jobs and exit."
            ],
        ),
    ],
)
def test_what_the_end_of_a_switch_has_to_say(
    answer: dict[str, Any], said: list[str], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    finish = Result(script("x", "finish"), "changed", "", answer, ())
    switch.warn_after_switch(run(settings, live(settings)), [finish, Result(remove("/y"), "changed", "", None, ())])
    assert capsys.readouterr().out.splitlines() == said


def test_what_keeps_ending_is_kept_for_the_last_lines(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_PROCESS_QUEUE="python work.py")
    output = ("The log of beat ends:", "bye", "The log of queue ends:", "ImportError", "", "at line 1")
    watch = Result(script("x", "watch"), "unchanged", "", {"dying": ["queue"]}, output)
    began = run(settings, live(settings))
    switch.warn_after_switch(began, [watch])
    assert [(each.text, each.log) for each in began.health.failing] == [
        ("The process queue keeps exiting. Its command: python work.py", ("ImportError", "at line 1"))
    ]


def test_who_finishes_what_another_began_is_not_who_deployed(settings: Settings) -> None:
    run = sample.run(settings, Paper(sample.live(settings)))
    run.look()
    record = sample.recorded(sample.NEW, who="ann@laptop")
    lines = [
        switch.finish(run, sample.NEW, sample.OLD, record, what=what).files["event"].decode()  # type: ignore[union-attr]
        for what in ("finish", "")
    ]
    assert ["ann@laptop" in line for line in lines] == [True, False]


def test_settings_of_nginx_alone_are_noted_in_the_history(settings: Settings) -> None:
    run = sample.run(settings, Paper(sample.live(settings)))
    run.look()
    assert switch.update_nginx_with_event(run, sample.ROUTES) == []
    run.facts = replace(run.facts, nginx_files=run.facts.nginx_files | {"sites/portfolio.conf": "0"})
    _, note = switch.update_nginx_with_event(run, sample.ROUTES)
    assert note.words == ("script", "note", "root=/srv/portside/portfolio")
    assert b'"result": "settings"' in note.files["event"]  # type: ignore[operator]

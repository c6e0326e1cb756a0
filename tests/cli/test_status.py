"""How the site does, told from facts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.cli import status
from deploy.config.settings import Settings
from deploy.core.errors import PortsideError
from deploy.core.facts import Facts
from tests import sample
from tests.sample import Paper


def told(settings: Settings, facts: Facts) -> dict[str, Any]:
    run = sample.run(settings, Paper(facts), "status")
    run.look()
    return status.summary(run)


def shown(settings: Settings, facts: Facts, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> str:
    run = sample.run(settings, Paper(facts), "status")
    run.report.quiet = False
    status.show(run, as_json=as_json)
    return capsys.readouterr().out


def healthy(settings: Settings, **changed: Any) -> Facts:
    facts = sample.certified(sample.live(settings), settings.canonical)
    return replace(facts, renewal_timer=True, clock="20261121-120000", **changed)


def test_a_site_that_is_well_has_no_problem(settings: Settings) -> None:
    found = told(settings, healthy(settings))
    assert (found["address"], found["problems"], found["closed"]) == ("https://portfolio.localhost", [], False)
    assert [each["state"] for each in found["web"] + found["database"]] == ["running", "running"]
    assert found["certificate"]["names"] == ["portfolio.localhost"]


def test_it_reads_as_lines(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(settings, healthy(settings, last_dump="2026-11-20 19:20 UTC before-x.dump"), capsys)
    names = [line.split("  ")[0] for line in text.splitlines() if line[0] != " "]
    assert names == ["site", "release", "web", "database", "nginx", "certificate", "disk", "last dump"]
    assert "https://portfolio.localhost/ on server.example" in text
    assert "renewed by" in text


def test_what_the_server_says_is_text(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(settings, healthy(settings, last_dump="[/] \x1b[2J"), capsys)
    assert r"[/] \x1b[2J" in text


def test_a_script_reads_json(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    facts = healthy(settings)
    assert json.loads(shown(settings, facts, capsys, as_json=True)) == told(settings, facts)


def test_what_is_not_as_it_should_be_is_said(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    facts = healthy(settings)
    stopped = tuple(replace(each, state="exited") if each.role == "web" else each for each in facts.containers)
    text = shown(settings, replace(facts, containers=stopped, closed=True, renewal_timer=False), capsys)
    assert (
        "is exited. fab deploy -H server.example starts it; fab logs --service web -H server.example shows why" in text
    )
    assert "Open it: fab maintenance --off -H server.example" in text
    assert "certbot.timer isn't active" in text


def test_a_name_in_the_certificate_that_is_no_longer_the_sites_is_said(settings: Settings) -> None:
    facts = sample.certified(healthy(settings), settings.canonical, "gone.example")
    (problem,) = told(settings, facts)["problems"]
    assert problem.startswith(
        "The certificate also covers gone.example, which no longer belongs to the site. Remove it with fab certs: "
    )


def test_the_address_is_the_live_releases(settings: Settings, tmp_path: Path) -> None:
    facts = healthy(settings)
    renamed = sample.settings(tmp_path, DEPLOY_DOMAINS="new.example", DEPLOY_REDIRECT_DOMAINS=settings.canonical)
    assert told(renamed, facts)["address"] == "https://portfolio.localhost"


def test_a_container_that_is_gone_is_missed(settings: Settings) -> None:
    facts = healthy(settings)
    without = tuple(each for each in facts.containers if each.role != "web")
    (problem,) = told(settings, replace(facts, containers=without))["problems"]
    assert problem.startswith(f"1 web container of {facts.current} is missing")


def test_without_a_certificate_it_says_what_gets_one(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert "none: fab certs gets one" in shown(settings, replace(healthy(settings), certificate=""), capsys)


def test_a_site_that_is_not_live_has_no_status(settings: Settings) -> None:
    with pytest.raises(PortsideError, match="isn't live"):
        told(settings, sample.facts("debian-13-bare"))

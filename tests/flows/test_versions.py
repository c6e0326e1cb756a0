"""Which version a server is as it should be for, and what an older one refuses."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

import deploy
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from deploy.core.facts import Facts
from deploy.core.files import TOP
from deploy.flows import runner, versions
from deploy.flows.context import Run
from deploy.host import files
from tests import sample
from tests.sample import Paper


def noted(settings: Settings, host: str, release: str = "") -> Facts:
    facts = sample.live(settings)
    record = facts.releases[sample.OLD] | ({"version": release} if release else {})
    return replace(facts, portside=host, releases=facts.releases | {sample.OLD: record})


def run_on(settings: Settings, facts: Facts, command: str) -> Run:
    run = sample.run(settings, Paper(facts), command)
    run.look()
    return run


def test_there_is_one_version() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == deploy.VERSION


@pytest.mark.parametrize(
    ("host", "release", "newest"),
    [("", "", ""), ("0.9", "", "0.9"), ("0.9", "0.10", "0.10"), ("1.0", "1.0rc1", "1.0"), ("nonsense", "0.2", "0.2")],
)
def test_the_newest_that_noted_itself_counts(host: str, release: str, newest: str, settings: Settings) -> None:
    assert versions.newest(noted(settings, host, release)) == newest


@pytest.mark.parametrize("flow_of", ["DEPLOY", "PROVISION", "ROLLBACK", "CERTS", "ABORT", "REMOVE"])
def test_an_older_one_changes_nothing(flow_of: str, settings: Settings, project: Path) -> None:
    paper = Paper(noted(settings, "99.1"))
    run = sample.run(settings, paper, flow_of.lower(), yes=True)
    with pytest.raises(Refused, match=r"server\.example was last managed by Portside 99\.1, and this is") as caught:
        runner.follow(run)
    assert "Upgrade Portside on this machine to 99.1, then run fab" in caught.value.hint
    assert (caught.value.state, paper.told) == ("Nothing was changed.", [])


def test_a_release_of_a_newer_one_is_enough(settings: Settings) -> None:
    with pytest.raises(Refused, match=r"99\.2"):
        versions.check(run_on(settings, noted(settings, deploy.VERSION, "99.2"), "deploy"))


@pytest.mark.parametrize("command", ["status", "releases", "doctor", "plan"])
def test_what_only_looks_is_warned(command: str, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    versions.check(run_on(settings, noted(settings, "99.1"), command))
    assert "! server.example was last managed by Portside 99.1" in capsys.readouterr().out


@pytest.mark.parametrize("version", ["", "0.0.1", deploy.VERSION])
def test_the_same_or_an_older_one_is_no_reason_to_refuse(version: str, settings: Settings) -> None:
    versions.check(run_on(settings, noted(settings, version, version), "deploy"))


def test_the_host_notes_the_version_once(settings: Settings) -> None:
    (step,) = files.note(noted(settings, "0.0.1"))
    assert step.words == ("write", "/var/lib/portside/version", "644", "root:root")
    assert files.note(noted(settings, deploy.VERSION)) == []


def test_a_reason_says_which_is_newer() -> None:
    assert versions.reason("99.1").startswith("because a newer Portside has managed the server: 99.1, and this is ")
    assert versions.reason("0.0.1").endswith(f"because this Portside is newer: {deploy.VERSION}, after 0.0.1")
    assert versions.reason("").endswith("after an unrecorded version")
    assert versions.reason(deploy.VERSION) == ""

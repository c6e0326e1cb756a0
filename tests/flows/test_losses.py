"""What the last deploy had and these settings haven't: told, or refused, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.config import recorded
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from deploy.core.facts import Facts
from deploy.flows import losses, runner
from deploy.flows.context import Run
from deploy.flows.losses import Loss
from deploy.nginx import hostnames
from deploy.nginx.routing import Names
from tests import sample
from tests.sample import Paper

ANN = {"result": "live", "who": "ann@laptop", "when": "20261120-192010"}
THREE_HOURS_LATER = "20261120-222010"
OF_ANN = {
    "DEPLOY_BASIC_AUTH": "ann:secret-of-ann",
    "DEPLOY_ALLOW": "192.0.2.0/24",
    "DEPLOY_DENY": "192.0.2.7",
    "DEPLOY_RATE_LIMIT": "20r/s",
    "DEPLOY_MAX_BODY": "3m",
    "DEPLOY_REDIRECT_DOMAINS": "old.localhost",
    "DEPLOY_PROCESS_MAIL_QUEUE": "python manage.py work",
    "DEPLOY_VOLUMES": "papers:/data/papers",
    "DEPLOY_WORKERS": "3",
    "API_TOKEN": "of-the-api",
}


def live_by(settings: Settings, **changed: Any) -> Facts:
    """A server on which these settings were deployed, by Ann."""
    facts = sample.live(settings)
    record = facts.releases[sample.OLD] | {
        "names": recorded.of_release(settings),
        "environment": recorded.of_environment(settings),
        "processes": sorted(settings.processes),
        **hostnames.noted(Names(settings.domains, settings.redirect_domains)),
    }
    known = {"nginx_settings": tuple(recorded.of_nginx(settings)), "last": ANN, "clock": THREE_HOURS_LATER}
    return replace(facts, releases=facts.releases | {sample.OLD: record}, **{**known, **changed})


@pytest.fixture
def by_ann(tmp_path: Path) -> Facts:
    (tmp_path / "ann").mkdir()
    return live_by(sample.settings(tmp_path / "ann", **OF_ANN))


def run_on(settings: Settings, facts: Facts, command: str = "deploy", **given: Any) -> Run:
    run = sample.run(settings, Paper(facts), command, **given)
    run.look()
    return run


def found(settings: Settings, facts: Facts, command: str = "deploy") -> dict[str, Loss]:
    return {loss.name: loss for loss in losses.found(run_on(settings, facts, command))}


def test_every_loss_is_found_the_gravest_first(settings: Settings, by_ann: Facts) -> None:
    lost = found(settings, by_ann)
    assert list(lost)[:3] == ["DEPLOY_ALLOW", "DEPLOY_BASIC_AUTH", "DEPLOY_PROCESS_MAIL_QUEUE"]
    assert set(lost) == {
        *(OF_ANN.keys() - {"DEPLOY_REDIRECT_DOMAINS", "DEPLOY_VOLUMES"}),
        "old.localhost",
        "DEPLOY_VOLUMES=papers",
    }
    needed = {name for name, loss in lost.items() if loss.needed}
    assert needed == {"DEPLOY_ALLOW", "DEPLOY_BASIC_AUTH", "DEPLOY_PROCESS_MAIL_QUEUE"}


@pytest.mark.parametrize("command", ["rollback", "certs", "abort", "releases"])
def test_other_commands_lose_what_nginx_has(command: str, settings: Settings, by_ann: Facts) -> None:
    lost = found(settings, by_ann, command)
    assert {"DEPLOY_BASIC_AUTH", "DEPLOY_ALLOW", "DEPLOY_VOLUMES=papers"} <= set(lost)
    assert not {"DEPLOY_PROCESS_MAIL_QUEUE", "API_TOKEN", "DEPLOY_WORKERS", "old.localhost"} & set(lost)


def test_nothing_is_lost_by_other_values(tmp_path: Path, by_ann: Facts) -> None:
    others = {
        "DEPLOY_BASIC_AUTH": "bob:another-secret",
        "DEPLOY_PROCESS_MAIL_QUEUE": None,
        "DEPLOY_PROCESS_mail_queue": "celery",
        "DEPLOY_REDIRECT_DOMAINS": None,
        "DEPLOY_DOMAINS": "portfolio.localhost,old.localhost",
        "DEPLOY_VOLUMES": "papers:/elsewhere",
    }
    lines = {name: value for name, value in {**OF_ANN, **others}.items() if value is not None}
    assert found(sample.settings(tmp_path, **lines), by_ann) == {}


def test_a_name_that_a_wildcard_is_for_is_not_lost(tmp_path: Path, by_ann: Facts) -> None:
    wildcard = {"DEPLOY_DOMAINS": "portfolio.localhost,*.old.example", "DEPLOY_ACME_DNS": "google"}
    live = by_ann.releases[sample.OLD] | {"redirect_domains": ["a.old.example", "b.a.old.example"]}
    lost = found(sample.settings(tmp_path, **wildcard), replace(by_ann, releases={sample.OLD: live}))
    assert "a.old.example" not in lost
    assert "b.a.old.example" in lost, "a wildcard is for one label"


def test_where_nothing_is_live_nothing_is_lost(settings: Settings, by_ann: Facts) -> None:
    assert found(settings, replace(by_ann, current="")) == {}


def test_of_a_release_of_before_only_what_is_certain_is_told(tmp_path: Path, settings: Settings) -> None:
    """An older version noted no names: the password file and the processes are there to be seen."""
    (tmp_path / "ann").mkdir()
    older = live_by(sample.settings(tmp_path / "ann", **OF_ANN), nginx_settings=())
    for name in ("names", "environment", "domains"):
        del older.releases[sample.OLD][name]
    assert set(found(settings, older)) == {"DEPLOY_BASIC_AUTH", "DEPLOY_PROCESS_MAIL_QUEUE"}


def test_without_drop_a_deploy_is_refused_before_anything_is_changed(
    settings: Settings, project: Path, by_ann: Facts, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = Paper(by_ann)
    run = sample.run(settings, paper)
    with pytest.raises(Refused) as caught:
        runner.follow(run)
    assert (caught.value.exit_code, paper.told) == (2, [])
    told = str(caught.value)
    assert "DEPLOY_ALLOW, DEPLOY_BASIC_AUTH, DEPLOY_PROCESS_MAIL_QUEUE aren't in .env, and this command would" in told
    assert "would remove them from the server (last changed by ann@laptop, 3 h ago)." in told
    assert "Nothing was changed." in told
    names = "DEPLOY_ALLOW,DEPLOY_BASIC_AUTH,DEPLOY_PROCESS_MAIL_QUEUE"
    assert f"Or remove them: fab deploy --drop {names} -H server.example" in told
    said = capsys.readouterr().out
    assert all(name in said for name in (*OF_ANN.keys() - {"DEPLOY_REDIRECT_DOMAINS"}, "old.localhost", "papers"))
    assert not [value for value in ("secret-of-ann", "192.0.2", "of-the-api") if value in said + told]


@pytest.mark.parametrize("drop", ["BASIC_AUTH,ALLOW,PROCESS_MAIL_QUEUE", "deploy_allow,basic-auth,process_mail_queue"])
def test_what_drop_names_falls_away(drop: str, settings: Settings, project: Path, by_ann: Facts) -> None:
    paper = Paper(by_ann)
    runner.follow(sample.run(settings, paper, drop=drop))
    assert "switch" in paper.scripts


def test_what_drop_does_not_name_is_refused_still(settings: Settings, project: Path, by_ann: Facts) -> None:
    with pytest.raises(Refused, match=r"DEPLOY_ALLOW, DEPLOY_PROCESS_MAIL_QUEUE aren't in \.env") as caught:
        runner.follow(sample.run(settings, Paper(by_ann), drop="BASIC_AUTH"))
    assert "--drop BASIC_AUTH,DEPLOY_ALLOW,DEPLOY_PROCESS_MAIL_QUEUE" in caught.value.hint


@pytest.mark.parametrize("name", ["BASIC_AUHT", "nothing", "DEPLOY_PROCES_MAIL"])
def test_drop_of_what_nobody_knows_is_refused(name: str, settings: Settings, by_ann: Facts) -> None:
    with pytest.raises(Refused, match=f"unknown name {name}"):
        losses.check(run_on(settings, by_ann, drop=f"BASIC_AUTH,{name}"))


@pytest.mark.parametrize("name", ["CACHE", "PROCESS_BEAT", "SECRET_KEY", "portfolio.localhost"])
def test_drop_of_what_does_not_fall_away_is_told(
    name: str, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    losses.check(run_on(settings, live_by(settings), drop=name))
    assert f"! --drop {name} has no effect: this command doesn't remove it." in capsys.readouterr().out


def test_a_rollback_and_certs_are_refused_too(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "ann").mkdir()
    ann = sample.settings(tmp_path / "ann", DEPLOY_BASIC_AUTH="ann:secret-of-ann")
    both = sample.going_back(settings)
    facts = replace(live_by(ann), releases=both.releases, images=both.images)
    for command in ("rollback", "certs"):
        paper = Paper(facts)
        with pytest.raises(
            Refused, match=r"DEPLOY_BASIC_AUTH isn't in \.env, and this command would remove it"
        ) as caught:
            runner.follow(sample.run(settings, paper, command))
        assert f"fab {command} --drop DEPLOY_BASIC_AUTH -H server.example" in caught.value.hint
        assert paper.told == []
    paper = Paper(facts)
    runner.follow(sample.run(settings, paper, "rollback", drop="BASIC_AUTH"))
    assert "switch" in paper.scripts


def test_nobody_writes_nginx_s_files_without_it_by_another_way(tmp_path: Path, settings: Settings) -> None:
    """What an interrupted switch left is finished by whoever comes next, whatever command that is."""
    (tmp_path / "ann").mkdir()
    ann = live_by(sample.settings(tmp_path / "ann", DEPLOY_BASIC_AUTH="ann:secret-of-ann"))
    pending = {sample.NEW: sample.recorded(sample.NEW, sample.OLD, instead_of=sample.OLD)}
    left = replace(ann, current=sample.NEW, releases=ann.releases | {sample.NEW: {}}, pending=pending)
    paper = Paper(left)
    with pytest.raises(Refused, match=r"DEPLOY_BASIC_AUTH isn't in \.env, and this command would remove it") as caught:
        sample.lock(settings, paper)
    assert "fab deploy --drop DEPLOY_BASIC_AUTH" in caught.value.hint
    assert "switch" not in paper.scripts


def test_a_deploy_that_came_in_between_is_seen_under_the_lock(settings: Settings, project: Path, by_ann: Facts) -> None:
    paper = Paper(sample.live(settings), by_ann, current="20261201-000000-abcdef0")
    with pytest.raises(Refused, match="and this command would remove them"):
        runner.follow(sample.run(settings, paper))
    assert paper.scripts == []


def test_going_back_tells_what_the_release_has_not(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    going = sample.going_back(settings)
    releases: Mapping[str, Any] = {**going.releases, sample.OLD: going.releases[sample.OLD] | {"processes": ["queue"]}}
    paper = Paper(replace(going, releases=releases))
    runner.follow(sample.run(settings, paper, "rollback"))
    assert f"! DEPLOY_PROCESS_QUEUE isn't in {sample.OLDER}: it no longer runs." in capsys.readouterr().out
    assert "switch" in paper.scripts


def test_drop_is_named_once_however_often_it_is_given() -> None:
    assert losses.named(["BASIC_AUTH, ALLOW", "BASIC_AUTH", ""]) == "BASIC_AUTH,ALLOW"


def test_what_an_interrupted_deploy_brought_is_lost_by_no_other(
    tmp_path: Path, settings: Settings, project: Path
) -> None:
    """Ann's laptop died after the switch: her release is finished first, and then its process is one to lose."""
    (tmp_path / "ann").mkdir()
    ann = sample.settings(tmp_path / "ann", DEPLOY_PROCESS_QUEUE="python manage.py work")
    before = live_by(settings)
    record = sample.recorded(sample.NEW, sample.OLD, names=recorded.of_release(ann), processes=["queue"])
    pending = {sample.NEW: record | {"instead_of": sample.OLD}}
    left = replace(before, current=sample.NEW, releases=before.releases | {sample.NEW: {}}, pending=pending)
    finished = replace(before, current=sample.NEW, releases=before.releases | {sample.NEW: record})
    paper = Paper(left, left, finished)
    with pytest.raises(
        Refused, match=r"DEPLOY_PROCESS_QUEUE isn't in \.env, and this command would remove it"
    ) as caught:
        runner.follow(sample.run(settings, paper))
    assert paper.scripts == ["switch", "finish", "stop"], "and no build"
    assert caught.value.state == f"Release {sample.NEW} is live, as before."

"""The stages of a deploy, told step by step to a server of paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy import flow, release, stages
from deploy.errors import PortsideError, Refused
from deploy.facts import Facts
from deploy.settings import Settings
from tests import sample
from tests.sample import Paper


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that tell nothing of who, when and with which version."""
    monkeypatch.setattr(release, "who", lambda: "ann@laptop")
    monkeypatch.setattr(release, "fingerprint", lambda settings: "(of the settings)")
    monkeypatch.setattr(stages, "time", SimpleNamespace(monotonic=lambda: 12.3))


def deploy(settings: Settings, paper: Paper, **given: str) -> stages.Run:
    run = sample.run(settings, paper, **given)
    flow.follow(flow.DEPLOY, run)
    return run


def live_with_this(settings: Settings, project: Path) -> Facts:
    """A server on which the project is live as it is here."""
    facts = sample.live(settings)
    first = Paper(facts)
    run = deploy(settings, first)
    kept = {"source": run.source.digest, "settings": "(of the settings)"}
    return replace(facts, releases={sample.OLD: facts.releases[sample.OLD] | kept})


def test_a_first_deploy(settings: Settings, project: Path, golden: Callable[[str, str], None]) -> None:
    paper = Paper(sample.provisioned())
    run = deploy(settings, paper)
    golden("deploy-first.txt", paper.transcript())
    assert run.switched


def test_a_deploy_over_a_live_release(settings: Settings, project: Path, golden: Callable[[str, str], None]) -> None:
    paper = Paper(sample.live(settings), answer=sample.ANSWER | {"applied": 20})
    deploy(settings, paper)
    golden("deploy-next.txt", paper.transcript())


def test_a_deploy_with_every_setting(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    sample.repository(tmp_path / "app", sample.PROJECT | {"build/Dockerfile": "FROM scratch\n"})
    sample.files(tmp_path, {"ca.pem": "", "overlay.ini": ""})
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    paper = Paper(sample.provisioned())
    deploy(settings, paper)
    golden("deploy-every-setting.txt", paper.transcript())


def test_a_transcript_shows_no_secret(tmp_path: Path) -> None:
    sample.repository(tmp_path / "app", sample.PROJECT | {"build/Dockerfile": "FROM scratch\n"})
    sample.files(tmp_path, {"ca.pem": "", "overlay.ini": ""})
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    paper = Paper(sample.bare(), sample.provisioned())
    deploy(settings, paper)
    secrets = [value.reveal() for name, value in settings.env.items() if name not in {"POSTGRES_USER", "POSTGRES_DB"}]
    assert not [secret for secret in secrets if secret in paper.transcript()]


def test_the_same_deploy_again_changes_nothing(settings: Settings, project: Path) -> None:
    paper = Paper(live_with_this(settings, project))
    run = deploy(settings, paper)
    assert (run.unchanged, run.changes, paper.scripts) == (True, 0, [])


def test_new_nginx_settings_of_the_same_release_are_served(settings: Settings, project: Path) -> None:
    facts = replace(live_with_this(settings, project), nginx_generation="another")
    paper = Paper(facts)
    deploy(settings, paper)
    assert set(paper.scripts) == {"nginx"}


def test_a_deploy_to_a_bare_server_looks_again_once_packages_are_there(settings: Settings, project: Path) -> None:
    paper = Paper(sample.bare(), sample.provisioned())
    deploy(settings, paper)
    assert paper.scripts[:2] == ["packages", "build"]


def test_nothing_is_sent_before_the_project_was_found(settings: Settings, tmp_path: Path) -> None:
    sample.files(tmp_path, {"app/README": ""})
    paper = Paper(sample.bare())
    with pytest.raises(Refused, match=r"no manage\.py"):
        deploy(settings, paper)
    assert (paper.connected, paper.told) == (False, [])


def test_nothing_is_told_to_a_server_that_can_not_be_served(settings: Settings, project: Path) -> None:
    paper = Paper(replace(sample.bare(), disk_mb=1))
    with pytest.raises(PortsideError, match="nearly full"):
        deploy(settings, paper)
    assert paper.told == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"record": {"domains": ["other.example"]}}, "is another site's: other.example"),
        ({"other_sites": {"blog": {"portfolio.localhost"}}}, "portfolio.localhost belongs to the site blog"),
        ({"record": {"postgres": {"POSTGRES_USER": "x", "POSTGRES_DB": "portfolio"}}}, "POSTGRES_USER differ"),
        ({"record": {"database": "postgres:16"}}, "made by postgres:16, which postgres:17 can't read"),
    ],
)
def test_what_is_anothers_or_of_another_version_is_refused_before_anything_is_told(
    changed: dict[str, object], told: str, settings: Settings, project: Path
) -> None:
    paper = Paper(replace(sample.provisioned(), **changed))  # type: ignore[arg-type]
    with pytest.raises(Refused, match=told) as caught:
        deploy(settings, paper)
    assert (caught.value.state, paper.told) == ("Nothing was changed.", [])


def test_a_site_that_keeps_one_of_its_domains_is_still_its_own(project: Path, tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DOMAINS="new.example", DEPLOY_REDIRECT_DOMAINS="portfolio.localhost")
    paper = Paper(replace(sample.provisioned(), record={"domains": ["portfolio.localhost"]}))
    assert deploy(settings, paper).switched


def test_a_database_is_dumped_before_it_is_migrated(settings: Settings, project: Path) -> None:
    for applied, dumped in ((0, False), (20, True)):
        paper = Paper(sample.live(settings), answer=sample.ANSWER | {"applied": applied})
        deploy(settings, paper)
        assert ("data/compose.yaml /srv/portside/portfolio/backups/before-" in paper.transcript()) is dumped


def test_without_pending_migrations_nothing_is_migrated(settings: Settings, project: Path) -> None:
    paper = Paper(sample.live(settings), answer=sample.ANSWER | {"pending": [], "applied": 20})
    deploy(settings, paper)
    assert "Check, collect static files\n" in paper.transcript()


def test_another_deploys_generation_is_planned_upon_anew(settings: Settings, project: Path) -> None:
    class Stale(Paper):
        left = 2

        def _answer(self, script: str, step: object) -> object:
            self.left -= script == "nginx"
            return {"stale": True} if script == "nginx" and self.left >= 0 else super()._answer(script, step)  # type: ignore[arg-type]

    paper = Stale(sample.provisioned())
    assert deploy(settings, paper).switched
    assert paper.scripts.count("nginx") == 3


def test_what_is_not_committed_is_said(settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample.files(project, {"manage.py": "# changed", **{f"new-{number}": "" for number in range(6)}})
    deploy(settings, Paper(sample.provisioned()))
    told = capsys.readouterr().out
    assert "! Not committed, deployed as it is here: manage.py." in told
    assert "! Not in git, so not in the release: new-0, new-1, new-2, new-3 and 2 more." in told


def test_a_project_in_debug_mode_is_said(settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deploy(settings, Paper(sample.provisioned(), answer=sample.ANSWER | {"debug": True}))
    assert "! DEBUG is on" in capsys.readouterr().out

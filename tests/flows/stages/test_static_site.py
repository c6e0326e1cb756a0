"""The stages of a static site, told step by step to a server of paper."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import Refused, StepFailed
from deploy.flows import runner, tasks
from deploy.flows.context import Run
from deploy.flows.progress import Phase
from tests import sample
from tests.goldens import Texts, transcript
from tests.sample import Paper

pytestmark = pytest.mark.usefixtures("steady")

PAGES = {"index.html": "<title>one</title>\n", "css/site.0a1b2c3d.css": "p {}\n"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    sample.repository(tmp_path / "app", PAGES)
    return sample.settings(tmp_path, sample.STATIC)


RELEASES = {
    identity: {"id": identity, "kind": "static", "previous": previous, "static_url": "/", "replicas": 0}
    for identity, previous in ((sample.OLDER, ""), (sample.OLD, sample.OLDER))
}


def deploy(settings: Settings, paper: Paper, **given: str) -> Run:
    run = sample.run(settings, paper, **given)
    runner.follow(run)
    return run


def test_a_first_deploy(settings: Settings, texts: Texts, golden: Callable[[str, str], None]) -> None:
    paper = Paper(sample.provisioned())
    run = deploy(settings, paper)
    golden("deploy-static-first.txt", transcript(paper, texts, run.candidate.paths.id))
    assert run.phase is Phase.LIVE


def test_a_deploy_over_a_live_release(settings: Settings, texts: Texts, golden: Callable[[str, str], None]) -> None:
    paper = Paper(sample.live_static(settings, RELEASES))
    run = deploy(settings, paper)
    golden("deploy-static-next.txt", transcript(paper, texts, run.candidate.paths.id))


def test_a_bare_server_gets_no_engine(settings: Settings) -> None:
    paper = Paper(sample.bare(), replace(sample.provisioned(), docker_version=""))
    deploy(settings, paper)
    assert "nginx" in paper.transcript()
    assert not any(word in paper.transcript() for word in ("docker", "daemon.json", "portside-guard"))


def test_the_same_again_has_nothing_to_do(settings: Settings) -> None:
    made = deploy(settings, Paper(sample.live_static(settings, RELEASES))).candidate.source.digest
    live = RELEASES[sample.OLD] | {"source": made, "settings": "(of the settings)"} | sample.VISITED
    paper = Paper(sample.live_static(settings, RELEASES | {sample.OLD: live}))
    run = deploy(settings, paper)
    assert (run.candidate.unchanged, paper.steps) == (True, [])


def test_other_domains_of_the_same_files_are_served_and_noted(settings: Settings, tmp_path: Path) -> None:
    made = deploy(settings, Paper(sample.live_static(settings, RELEASES))).candidate.source.digest
    live = RELEASES[sample.OLD] | {"source": made, "settings": "(of the settings)"} | sample.VISITED
    lines = {"DEPLOY_DOMAINS": "new.example", "DEPLOY_REDIRECT_DOMAINS": settings.canonical}
    renamed = sample.settings(tmp_path, sample.STATIC | lines)
    paper = Paper(sample.live_static(settings, RELEASES | {sample.OLD: live}))
    run = deploy(renamed, paper)
    assert (run.candidate.unchanged, paper.scripts) == (True, ["nginx", "note"])
    (noted,) = (step for step in paper.steps if step.path.endswith("/release.json"))
    names = {"domain": "new.example", "domains": ["new.example"], "redirect_domains": [settings.canonical]}
    assert json.loads(noted.files["content"]) == live | names | {"admitted": [settings.canonical]}  # type: ignore[arg-type]


def test_a_release_without_its_page_is_taken_away(settings: Settings) -> None:
    paper = Paper(sample.live_static(settings, RELEASES), fails="look")
    with pytest.raises(StepFailed) as caught:
        deploy(settings, paper)
    assert paper.scripts[-2:] == ["discard", "visit"]
    assert "switch" not in paper.scripts
    assert caught.value.state == f"Release {sample.OLD} is live, as before."


def test_going_back_looks_and_switches(settings: Settings, texts: Texts, golden: Callable[[str, str], None]) -> None:
    paper = Paper(sample.live_static(settings, RELEASES))
    run = sample.run(settings, paper, "rollback")
    tasks.rollback(run)
    golden("rollback-static.txt", transcript(paper, texts))
    assert paper.scripts == ["look", "switch", "finish"]


def test_without_its_fallback_a_release_is_refused_before_anything_is_told(settings: Settings, tmp_path: Path) -> None:
    paper = Paper(sample.live_static(settings, RELEASES))
    with pytest.raises(Refused, match=r"DEPLOY_FALLBACK: there is no file app\.html in"):
        deploy(sample.settings(tmp_path, sample.STATIC, DEPLOY_FALLBACK="app.html"), paper)
    assert (paper.connected, paper.told) == (False, [])


def test_a_fallback_is_nginxs_and_makes_no_release(settings: Settings, tmp_path: Path) -> None:
    made = deploy(settings, Paper(sample.live_static(settings, RELEASES))).candidate.source.digest
    live = RELEASES[sample.OLD] | {"source": made, "settings": "(of the settings)"}
    paper = Paper(sample.live_static(settings, RELEASES | {sample.OLD: live}))
    run = deploy(sample.settings(tmp_path, sample.STATIC, DEPLOY_FALLBACK="index.html"), paper)
    assert (run.candidate.unchanged, paper.scripts) == (True, ["nginx", "note"])


def test_what_can_not_be_served_is_refused_before_anything_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "app/link").symlink_to("/etc/passwd")
    sample.commit(tmp_path / "app")
    paper = Paper(sample.live_static(settings, RELEASES))
    with pytest.raises(Refused, match="link is a link to /etc/passwd"):
        deploy(settings, paper)
    assert (paper.connected, paper.told) == (False, [])

"""Room on the server's disk: what is needed, what is removed first, when a deploy is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.plan import plan as planning
from deploy.config.settings import Settings
from deploy.core.errors import PortsideError
from deploy.core.facts import Facts
from deploy.flows import disk_space, flow, runner
from deploy.releases import record
from tests import sample
from tests.sample import Paper

pytestmark = pytest.mark.usefixtures("steady")


def server(settings: Settings, free: int, **changed: Any) -> Facts:
    facts = sample.going_back(settings, image_sizes={sample.OLD: 1500, sample.OLDER: 900})
    return replace(facts, disk_mb=free, database_mb=400, static_mb=100, **changed)


def follow(settings: Settings, paper: Paper, command: str = "deploy") -> None:
    runner.follow(sample.run(settings, paper, command))


def test_what_a_deploy_needs_is_that_of_the_live_release(settings: Settings) -> None:
    assert disk_space.needed_mb(settings, server(settings, 0)) == 512 + 1500 + 100 + 200
    assert disk_space.needed_mb(settings, sample.bare()) == 1024


def test_nobody_dumps_a_database_that_is_elsewhere(tmp_path: Path) -> None:
    lines = {**sample.LINES, "DEPLOY_DATABASE": "external", "DATABASE_URL": "postgres://a:b@db.example/a"}
    settings = sample.settings(tmp_path, lines)
    assert disk_space.needed_mb(settings, server(settings, 0)) == 512 + 1500 + 100


def test_where_there_is_plenty_nothing_is_asked_or_removed(settings: Settings, project: Path) -> None:
    paper = Paper(server(settings, 2312))
    follow(settings, paper)
    assert "room" not in paper.scripts


def test_where_the_same_is_live_no_room_is_needed(
    settings: Settings, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "is_live", lambda *_: True)
    paper = Paper(server(settings, 0))
    follow(settings, paper)
    assert "room" not in paper.scripts


def test_what_no_release_needs_goes_before_a_deploy_is_refused(
    settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = Paper(server(settings, 2000), server(settings, 4000))
    follow(settings, paper)
    assert paper.scripts[0] == "room"
    assert "Removed: 1.2GB of the build cache; 4000 MB are free now, 2000 MB before." in capsys.readouterr().out
    reserves = "reserves=/srv/portside/portfolio/reserve reserves=/var/lib/docker/portside-reserve"
    assert f"script room root=/srv/portside/portfolio site=portfolio keep=5 {reserves}" in paper.transcript()


def test_a_deploy_without_room_is_refused_with_what_it_needs(settings: Settings, project: Path) -> None:
    paper = Paper(server(settings, 900), server(settings, 1100))
    with pytest.raises(PortsideError) as caught:
        follow(settings, paper)
    assert caught.value.message == (
        "The disk is nearly full: 1100 MB free, 2312 MB needed (1500 MB for the image, 100 MB for static files, "
        "200 MB for a dump of the database, 512 MB to spare)."
    )
    assert caught.value.state == "Removed: 1.2GB of the build cache; 1100 MB are free now, 900 MB before."
    assert "docker system df" in caught.value.hint
    assert "DEPLOY_KEEP" not in caught.value.hint
    assert paper.scripts == ["room"]


def test_where_more_releases_are_kept_fewer_are_a_way(settings: Settings, project: Path) -> None:
    facts = server(settings, 10)
    oldest = "20261101-000000-0000000"
    images = (*facts.images, sample.SITE.release(oldest).image)
    more = replace(facts, releases=facts.releases | {oldest: sample.recorded(oldest)}, images=images)
    with pytest.raises(PortsideError) as caught:
        follow(settings, Paper(more))
    assert "DEPLOY_KEEP=2 keeps fewer than the present 3 releases." in caught.value.hint


def test_a_rollback_goes_on_with_what_it_finds(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """It may be to any release: none is removed."""
    paper = Paper(server(settings, 0))
    follow(settings, paper, "rollback")
    assert paper.scripts[0] == "room"
    assert (
        "script room root=/srv/portside/portfolio site=portfolio keep= reserves=/srv/portside/portfolio/reserve"
        in paper.transcript()
    )
    assert "switch" in paper.scripts
    assert "the reserve for a rollback" in capsys.readouterr().out


def test_a_rollback_with_some_space_removes_nothing(settings: Settings) -> None:
    paper = Paper(server(settings, flow.ROLLBACK_MB))
    follow(settings, paper, "rollback")
    assert "room" not in paper.scripts


def test_a_plan_removes_nothing_and_says_what_a_deploy_does(settings: Settings, project: Path) -> None:
    paper = Paper(server(settings, 900))
    plan = planning.make(sample.run(settings, paper, "plan"))
    assert "room" not in paper.scripts
    assert any("A deploy first removes the build cache" in line for line in plan.warnings)


def test_clearing_away_needs_no_room(settings: Settings) -> None:
    paper = Paper(server(settings, 0))
    sample.lock(settings, paper)
    assert paper.scripts == []


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ({"releases": [sample.OLDER, sample.OLD], "dumps": 0, "cache": ""},
         f"{sample.OLDER}, {sample.OLD} removed"),
        ({"releases": [sample.OLDER], "dumps": 1, "cache": "1.2GB"},
         f"{sample.OLDER} removed; 1 old dump removed; 1.2GB of the build cache removed"),
        ({}, ""),
    ],
)  # fmt: skip
def test_what_is_pruned_is_listed(gone: dict[str, Any], told: str) -> None:
    assert disk_space.pruned(gone) == told


@pytest.mark.parametrize(("given", "size"), [({}, "10%"), ({"DEPLOY_BUILD_CACHE": "3g"}, "3g")])
def test_the_build_cache_is_bounded(given: dict[str, str], size: str, tmp_path: Path, project: Path) -> None:
    paper = Paper(sample.provisioned())
    follow(sample.settings(tmp_path, **given), paper)
    assert f"prune root=/srv/portside/portfolio site=portfolio keep=5 cache={size} " in paper.transcript()

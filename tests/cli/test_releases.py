"""fab releases: what there is, what is live, what a rollback would choose."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deploy.cli import releases
from deploy.config.settings import Settings
from deploy.core.facts import Facts
from tests import sample
from tests.sample import Paper

GOOD = {sample.OLDER: sample.recorded(sample.OLDER), sample.OLD: sample.recorded(sample.OLD, sample.OLDER)}


def server(**changed: object) -> Facts:
    facts = sample.with_releases(sample.provisioned(), sample.OLD, GOOD, containers=(sample.web(sample.OLD),))
    return replace(facts, clock="20261120-195010", **changed)  # type: ignore[arg-type]


def shown(
    settings: Settings, server: Facts | Paper, capsys: pytest.CaptureFixture[str], *, as_json: bool = False
) -> str:
    run = sample.run(settings, server if isinstance(server, Paper) else Paper(server), "releases")
    run.report.quiet = False
    releases.show(run, as_json=as_json)
    return capsys.readouterr().out


def test_releases_are_listed_newest_first() -> None:
    assert releases.listed(server()) == [
        {"id": sample.OLD, "commit": "d899b4d" * 5, "age": "30 min", "state": "live", "rollback": False},
        {"id": sample.OLDER, "commit": "5c0ffee" * 5, "age": "33 h", "state": "kept", "rollback": True},
    ]


@pytest.mark.parametrize(
    ("clock", "age"),
    [
        ("20261120-192010", "0 min"),
        ("20261120-202009", "59 min"),
        ("20261120-202010", "1 h"),
        ("20261122-192009", "47 h"),
        ("20261122-192010", "2 d"),
        ("20270120-192010", "61 d"),
    ],
)
def test_an_age_is_told_by_the_servers_clock(clock: str, age: str) -> None:
    assert releases.age(sample.OLD, clock) == age


def states(facts: Facts) -> dict[str, str]:
    return {row["id"]: row["state"] for row in releases.listed(facts)}


def test_a_release_is_live_kept_or_unfinished() -> None:
    facts = server(releases={**GOOD, sample.NEW: {}})
    assert states(facts) == {sample.OLD: "live", sample.OLDER: "kept", sample.NEW: "unfinished"}
    assert states(replace(facts, containers=(sample.web(sample.OLD, "exited"),)))[sample.OLD] == "live, but stopped"


def test_a_release_whose_image_is_gone_is_marked_and_not_chosen() -> None:
    facts = server(images=(sample.SITE.release(sample.OLD).image,))
    assert states(facts) == {sample.OLD: "live", sample.OLDER: "kept, without its image"}
    assert [row["rollback"] for row in releases.listed(facts)] == [False, False]
    assert states(replace(facts, images=()))[sample.OLD] == "live, without its image"


def test_where_docker_does_not_tell_its_images_nothing_is_said_of_them() -> None:
    facts = server(images=(), images_known=False)
    assert states(facts) == {sample.OLD: "live", sample.OLDER: "kept"}


def test_without_a_release_before_rollback_would_choose_none() -> None:
    alone = server(releases={sample.OLD: sample.recorded(sample.OLD)})
    assert [row["rollback"] for row in releases.listed(alone)] == [False]
    assert [row["rollback"] for row in releases.listed(server(current=""))] == [False, False]


def test_a_table_tells_which_rollback_would_choose(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    title, head, live, kept = shown(settings, server(), capsys).splitlines()
    assert title == "portfolio on server.example:"
    assert head.split() == ["release", "commit", "age", "state"]
    assert live.split() == [sample.OLD, "d899b4d", "30", "min", "live"]
    assert kept.split(maxsplit=4)[4] == "kept, next for rollback"


def test_json_is_a_list_and_nothing_else(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    facts = server()
    assert json.loads(shown(settings, facts, capsys, as_json=True)) == releases.listed(facts)
    assert json.loads(shown(settings, sample.provisioned(), capsys, as_json=True)) == []


def test_a_site_without_a_release_says_so(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(settings, sample.provisioned(), capsys) == "portfolio has no release on server.example.\n"


LEFT = {"releases": {**GOOD, sample.NEW: {}}}


def test_what_was_left_is_said_and_put_right(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper(server(**LEFT), server(**LEFT), server())
    told = shown(settings, paper, capsys)
    assert f"! An interrupted run left {sample.NEW}. Portside will remove it." in told
    assert (paper.scripts, paper.released) == (["discard"], True)
    assert sample.NEW not in told.splitlines()[-2:]


def test_what_is_as_it_should_be_takes_no_lock(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper(server())
    shown(settings, paper, capsys)
    assert (paper.looks, paper.told) == (1, [])


def test_a_run_that_is_under_way_is_told_and_left_alone(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper(server(**LEFT), holder="ada@laptop, since 12:00:01 UTC, now at build")
    told = shown(settings, paper, capsys)
    assert "! Another deploy of portfolio is under way: ada@laptop, since 12:00:01 UTC, now at build." in told
    assert f"{sample.NEW}  ab12cd3" in told.replace("-  ", "ab12cd3  ")
    assert paper.scripts == []


def test_what_can_not_be_put_right_keeps_nobody_from_the_list(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    told = shown(settings, Paper(server(**LEFT), fails="discard"), capsys)
    assert "couldn't clean up after an interrupted run. Remove what an interrupted run left: failed" in told
    assert sample.OLD in told


def test_json_stays_json_when_something_is_put_right(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    run = sample.run(settings, Paper(server(**LEFT), server(**LEFT), server()), "releases")
    releases.show(run, as_json=True)
    told = capsys.readouterr()
    assert json.loads(told.out) == releases.listed(server())
    assert "Portside will remove it" in told.err


def test_a_static_release_is_live_without_a_container() -> None:
    record = sample.recorded(sample.OLD, kind="static", replicas=0)
    assert states(server(releases={sample.OLD: record}, containers=())) == {sample.OLD: "live"}


def test_an_older_portside_puts_nothing_right(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper(server(portside="99.1", releases=GOOD | {sample.NEW: {}}))
    assert "! server.example was last managed by Portside 99.1" in shown(settings, paper, capsys)
    assert (paper.scripts, paper.released) == ([], False)

"""The database's container: started where it must be, made anew where it can't be helped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import Refused
from deploy.core.facts import Container, Facts, FileFact
from deploy.releases import database
from tests import sample

SITE = sample.SITE


def with_database(settings: Settings, **changed: Any) -> Facts:
    """A live site whose database is as described."""
    made = Container("portfolio-data-db-1", "running", True, "db", "", "postgres:17", "5432/tcp")
    return replace(sample.live(settings), containers=(replace(made, **changed),), record={"database": "postgres:17"})


def test_data_services_that_run_as_they_should_need_nothing(settings: Settings) -> None:
    assert database.steps(settings, sample.SITE, sample.live(settings)) == []


def test_data_services_are_started_where_they_do_not_run(settings: Settings) -> None:
    steps = database.steps(settings, sample.SITE, replace(sample.live(settings), containers=()))
    site = sample.SITE
    paths = {"compose": site.data_compose, "root": site.root, "begun": site.data_begun, "ready": site.data_ready}
    closing = dict.fromkeys(("maintenance", "word", "sockets"), "")
    assert steps[-1].script == "data"
    assert steps[-1].arguments == {**paths, "volume": site.postgres_volume, "why": "", **closing}
    assert steps[0].words == ("script", "network", "name=portside-portfolio", "site=portfolio")


def test_a_database_that_was_never_said_to_be_ready_is_looked_at(settings: Settings) -> None:
    """It may run, and lack what its first start makes last."""
    live = sample.live(settings)
    files = {path: fact for path, fact in live.files.items() if path != sample.SITE.data_ready}
    assert database.steps(settings, sample.SITE, replace(live, files=files))[-1].script == "data"


def test_a_changed_password_waits_for_the_switch(settings: Settings, tmp_path: Path) -> None:
    """The live release goes on with the old one, whatever becomes of the new release."""
    live = sample.live(settings)
    changed = sample.settings(tmp_path, POSTGRES_PASSWORD="another-password")
    steps = database.steps(changed, SITE, live)
    assert [step.path or step.script for step in steps] == [SITE.data_next_password, "passwords"]
    assert steps[0].secret
    assert "another-password" not in "".join(step.transcript() for step in steps)
    assert (steps[1].arguments["mark"], steps[1].arguments["state"]) == (SITE.data_open, "open")
    assert database.close(SITE).arguments == {**steps[1].arguments, "state": "close"}


def test_before_a_first_release_a_changed_password_is_the_databases_at_once(settings: Settings, tmp_path: Path) -> None:
    changed = sample.settings(tmp_path, POSTGRES_PASSWORD="another-password")
    steps = database.steps(changed, SITE, replace(sample.live(settings), current=""))
    assert [step.path for step in steps if step.secret] == [SITE.data_password]
    assert steps[-1].script == "data"


def test_what_another_version_wrote_differently_is_left_alone(settings: Settings) -> None:
    """Its container would be made anew for nothing, and visitors get errors."""
    facts = with_database(settings)
    written = facts.files | {SITE.data_compose: FileFact(0o644, "0:0", "another")}
    assert database.steps(settings, SITE, replace(facts, files=written)) == []
    ill = with_database(settings, healthy=False)
    steps = database.steps(settings, SITE, replace(ill, files=written))
    assert SITE.data_compose not in [step.path for step in steps]


def test_a_database_that_was_restored_is_noted_as_ready_again(settings: Settings) -> None:
    facts = replace(with_database(settings), data_volume="new")
    assert database.steps(settings, SITE, facts)[-1].script == "data"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"DEPLOY_DATABASE": "postgres:17.2"}, "postgres:17.2 instead of postgres:17"),
        ({"DEPLOY_DATABASE_PORT": "54320"}, "DEPLOY_DATABASE_PORT"),
    ],
)
def test_a_restart_is_said_and_done_behind_a_closed_door(changed: dict[str, str], why: str, tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, **changed)
    facts = with_database(settings)
    start = database.steps(settings, SITE, facts)[-1]
    assert start.name == f"Restart the database ({why}); visitors see the maintenance page meanwhile"
    closing = {"maintenance": SITE.maintenance, "word": "database", "sockets": SITE.release(facts.current).run_inside}
    assert {name: start.arguments[name] for name in ("why", *closing)} == {"why": why, **closing}
    nobody = database.steps(settings, SITE, replace(facts, current=""))[-1]
    assert nobody.name == f"Restart the database ({why})"
    assert {name: nobody.arguments[name] for name in ("why", *closing)} == {"why": why, **dict.fromkeys(closing, "")}


def test_a_port_that_is_published_already(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE_PORT="54320")
    assert database.steps(settings, SITE, with_database(settings, ports="127.0.0.1:54320->5432/tcp")) == []


def test_a_site_that_a_restart_left_closed_is_opened(settings: Settings) -> None:
    facts = replace(with_database(settings), closed=True, closed_for="database")
    start = database.steps(settings, SITE, facts)[-1]
    told = [start.arguments[name] for name in ("why", "maintenance", "word")]
    assert told == ["", SITE.maintenance, "database"]
    assert database.steps(settings, SITE, replace(facts, closed_for="yes")) == []


@pytest.mark.parametrize(
    ("shown", "image"),
    [("postgres:17.2", "postgres:17.2"), ("", "postgres:17"), ("d64f1d0bd21f", "postgres:17"),
     ("sha256:d64f1d0bd21f", "postgres:17")],
)  # fmt: skip
def test_an_image_whose_tag_has_moved_is_known_by_the_record(shown: str, image: str, settings: Settings) -> None:
    assert database.image(with_database(settings, image=shown)) == image


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("postgres:18", "made by postgres:17, which postgres:18 can't read"),
        ("postgres:17-alpine", "made by postgres:17, with glibc; postgres:17-alpine uses musl"),
        ("registry.example:5000/postgres:17-alpine3.22@sha256:abc", "uses musl"),
    ],
)
def test_data_that_another_image_would_misread_is_refused(wanted: str, why: str, tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE=wanted)
    facts = with_database(settings)
    with pytest.raises(Refused, match=why) as caught:
        database.check(settings, facts)
    assert caught.value.hint.startswith("Set DEPLOY_DATABASE=postgres:17 again.")
    with pytest.raises(Refused):  # its container may be gone, but not its volume
        database.check(settings, replace(facts, containers=()))
    database.check(settings, replace(facts, containers=(), data_volume=""))


@pytest.mark.parametrize("wanted", ["postgres:17.2", "postgres:17-bookworm", "pgvector/pgvector:pg17"])
def test_data_that_another_image_reads_as_well(wanted: str, tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE=wanted)
    database.check(settings, with_database(settings))

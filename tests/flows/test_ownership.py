"""Whose a site's name is, and what can't change once there is data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import Refused
from deploy.core.facts import Facts, Listener
from deploy.flows import ownership
from deploy.flows.context import Run
from deploy.nginx.routing import Names
from tests import sample
from tests.sample import Paper

OURS = {"POSTGRES_USER": "portfolio", "POSTGRES_DB": "portfolio"}


def on(settings: Settings, facts: Facts) -> Run:
    run = sample.run(settings, Paper(facts))
    run.look()
    return run


def refused(settings: Settings, facts: Facts) -> str:
    with pytest.raises(Refused) as caught:
        ownership.check(on(settings, facts))
    assert caught.value.state == "Nothing was changed."
    return caught.value.message


@pytest.mark.parametrize("facts", [sample.bare(), sample.provisioned()])
def test_a_free_name_is_anybodys(facts: Facts, settings: Settings) -> None:
    ownership.check(on(settings, facts))


def test_a_live_site_is_its_owners(settings: Settings) -> None:
    ownership.check(on(settings, sample.live(settings)))


def test_the_name_of_another_live_site_is_refused(settings: Settings) -> None:
    facts = replace(sample.live(settings), record={"domains": ["b.example", "a.example"]})
    assert refused(settings, facts) == (
        'The site name "portfolio" is already in use on server.example (by a.example, b.example).'
    )


def test_a_name_is_its_owners_from_the_first_build_on(settings: Settings, tmp_path: Path) -> None:
    facts = replace(sample.provisioned(), record={"domains": ["mistyped.example"]})
    assert refused(settings, facts) == (
        'The site name "portfolio" is already in use on server.example (by mistyped.example, which isn\'t live yet).'
    )
    with pytest.raises(Refused, match=r"add DEPLOY_REDIRECT_DOMAINS=mistyped\.example for one deploy"):
        ownership.check(on(settings, facts))
    ownership.check(on(sample.settings(tmp_path, DEPLOY_REDIRECT_DOMAINS="mistyped.example"), facts))


def test_one_of_its_domains_is_enough_to_be_the_owner(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DOMAINS="new.example", DEPLOY_REDIRECT_DOMAINS="portfolio.localhost")
    ownership.check(on(settings, sample.live(settings)))


@pytest.mark.parametrize("name", ["DEPLOY_DOMAINS", "DEPLOY_REDIRECT_DOMAINS"])
def test_a_domain_of_another_site_is_refused(name: str, tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, **{"DEPLOY_DOMAINS": "mine.example", name: "theirs.example"})
    facts = replace(sample.provisioned(), other_sites={"art": {"art.example"}, "blog": {"theirs.example", "x.example"}})
    assert refused(settings, facts) == "theirs.example belongs to the site blog on server.example."


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"postgres": {**OURS, "POSTGRES_USER": "x"}}, "POSTGRES_USER differ"),
        ({"postgres": {"POSTGRES_USER": "x", "POSTGRES_DB": "y"}}, "POSTGRES_USER, POSTGRES_DB differ"),
    ],
)
def test_a_database_stays_what_it_was_made_as(record: dict[str, Any], told: str, settings: Settings) -> None:
    facts = replace(sample.live(settings), record=record)
    assert told in refused(settings, facts)
    ownership.check(on(settings, replace(facts, containers=(), data_volume="")))  # there is none yet


def test_another_versions_data_is_refused(settings: Settings) -> None:
    facts = sample.live(settings)
    older = tuple(replace(each, image="postgres:16") if each.role == "db" else each for each in facts.containers)
    assert "made by postgres:16, which postgres:17 can't read" in refused(settings, replace(facts, containers=older))


def test_a_database_elsewhere_may_be_any(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE="none")
    ownership.check(on(settings, replace(sample.live(settings), record={"database": "postgres:16"})))


def test_a_taken_database_port_is_refused_unless_it_is_ours(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE_PORT="54320")
    taken = replace(sample.provisioned(), listeners=(Listener("tcp", "127.0.0.1", 54320, "postgres"),))
    assert "DEPLOY_DATABASE_PORT: port 54320 is in use on server.example by postgres." in refused(settings, taken)
    udp = replace(taken, listeners=(Listener("udp", "127.0.0.1", 54320, "other"),))
    ownership.check(on(settings, udp))
    (db,) = sample.live(settings).role("db")
    ownership.check(on(settings, replace(taken, containers=(replace(db, ports="127.0.0.1:54320->5432/tcp"),))))


def claimed(settings: Settings, facts: Facts) -> dict[str, Any]:
    (step,) = ownership.claim(on(settings, facts))
    assert step.path == "/srv/portside/portfolio/site.json"
    record: dict[str, Any] = json.loads(step.files["content"])  # type: ignore[arg-type]
    return record


def test_an_owner_is_noted_with_domains_and_database(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DOMAINS="b.example,a.example", DEPLOY_REDIRECT_DOMAINS="c.example")
    assert claimed(settings, sample.provisioned()) == {
        "domains": ["a.example", "b.example", "c.example"],
        "database": "postgres:17",
        "postgres": OURS,
    }


def test_a_name_that_is_still_served_stays_the_sites(settings: Settings) -> None:
    (step,) = ownership.claim(on(settings, sample.provisioned()), Names(("old.example",)))
    record = json.loads(step.files["content"])  # type: ignore[arg-type]
    assert record["domains"] == ["old.example", settings.canonical]


def test_an_owner_who_is_noted_is_not_noted_again(settings: Settings) -> None:
    assert ownership.claim(on(settings, sample.live(settings))) == []


def test_what_else_is_noted_is_kept(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE="none")
    facts = replace(sample.live(settings), record={"domains": ["portfolio.localhost", "old.example"], "x": 1})
    assert claimed(settings, facts) == {"domains": ["portfolio.localhost"], "x": 1}


@pytest.mark.parametrize(("live", "wanted"), [("static", "django"), ("django", "static")])
def test_a_site_stays_of_its_kind(live: str, wanted: str, tmp_path: Path) -> None:
    facts = sample.live(sample.settings(tmp_path))
    settings = sample.settings(tmp_path, sample.LINES if wanted == "django" else sample.STATIC)
    record = {name: value for name, value in facts.releases[facts.current].items() if name != "kind"}
    record |= {"kind": "static"} if live == "static" else {}
    said = refused(settings, replace(facts, releases={facts.current: record}))
    assert (
        said == f"DEPLOY_KIND: the site portfolio on server.example is of kind {live}. The kind of a site can't change."
    )

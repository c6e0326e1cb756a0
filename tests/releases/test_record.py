"""Releases: identity and record."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.build.source import Source
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from deploy.core.facts import Facts
from deploy.nginx.routing import Names, Routes
from deploy.releases import history
from deploy.releases import record as release_record
from tests import sample


def record(settings: Settings, source: Source, facts: Facts, **answered: Any) -> dict[str, Any]:
    made = release_record.of_application(sample.answer(**answered), "sha256:1f", "d1", "services: {}\n")
    return release_record.record(sample.NEW, settings, source, facts, sample.ROUTES, made)


def live_with(settings: Settings, source: Source, changed: Mapping[str, object] | None = None) -> Facts:
    """A server on which exactly this is live, but for what is changed."""
    kept = record(settings, source, sample.bare()) | (changed or {})
    return replace(
        sample.bare(),
        current=sample.OLD,
        releases={sample.OLD: kept},
        containers=(sample.web(sample.OLD),),
        images=(sample.SITE.release(sample.OLD).image,),
    )


def test_a_release_is_named_by_the_servers_clock_and_the_commit(source: Source) -> None:
    identity = history.identity(sample.bare(), source)
    assert identity == f"20261120-170501-{source.commit[:7]}"
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{7}", identity)


def test_a_release_of_changed_files_is_named_by_their_content(source: Source) -> None:
    changed = replace(source, changed=("manage.py",))
    assert history.identity(sample.bare(), changed) == f"20261120-170501-{source.digest[:7]}"


def test_the_same_again_is_live(settings: Settings, source: Source) -> None:
    assert release_record.is_live(live_with(settings, source), settings, source)


def test_the_fingerprint_follows_the_laptops_files_that_go_into_the_image(tmp_path: Path) -> None:
    sample.files(tmp_path, {"a.ini": "1", "ca.pem": "1"})
    settings = sample.settings(tmp_path, DEPLOY_FILES="a.ini:/app/a.ini", DEPLOY_BUILD_CA="ca.pem")
    seen = {release_record.fingerprint(settings)}
    for name in ("a.ini", "ca.pem"):
        sample.files(tmp_path, {name: "2"})
        seen.add(release_record.fingerprint(settings))
    assert len(seen) == 3


@pytest.mark.parametrize("changed", [{"source": "other"}, {"settings": "other"}, {"source": None}])
def test_another_source_or_other_settings_are_not_live(
    changed: dict[str, str], settings: Settings, source: Source
) -> None:
    assert not release_record.is_live(live_with(settings, source, changed), settings, source)


def test_a_release_that_does_not_run_is_live_as_long_as_it_can_be_started(settings: Settings, source: Source) -> None:
    facts = live_with(settings, source)
    for containers in ((), (sample.web(sample.OLD, "exited"),)):
        assert release_record.is_live(replace(facts, containers=containers), settings, source)
    assert not release_record.is_live(replace(facts, images=(), images_known=True), settings, source)


def test_a_release_whose_database_was_restored_is_made_again(settings: Settings, source: Source) -> None:
    """The dump may be from before its migrations."""
    facts = replace(live_with(settings, source), data_volume="new")
    assert not release_record.is_live(facts, settings, source)
    assert "checks its migrations" in release_record.made_again(facts, settings, source)
    elsewhere = settings.model_copy(update={"database": "none"})
    kept = {sample.OLD: record(elsewhere, source, sample.bare())}
    assert release_record.is_live(replace(facts, releases=kept), elsewhere, source)


def test_nothing_is_live_on_a_bare_server(settings: Settings, source: Source) -> None:
    assert not release_record.is_live(sample.bare(), settings, source)


def test_the_fingerprint_follows_the_files_that_releases_are_made_from(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.files(tmp_path / "compose", {"release.yaml": "a", "practice/Dockerfile": "a"})
    monkeypatch.setattr(release_record, "COMPOSE", tmp_path / "compose")
    before = release_record.fingerprint(settings)
    sample.files(tmp_path / "compose", {"practice/Dockerfile": "b"})
    assert release_record.fingerprint(settings) == before
    sample.files(tmp_path / "compose", {"release.yaml": "b"})
    assert release_record.fingerprint(settings) != before


def test_the_record_of_a_release(
    settings: Settings, source: Source, monkeypatch: pytest.MonkeyPatch, golden: Callable[[str, str], None]
) -> None:
    monkeypatch.setattr(release_record, "who", lambda: "ann@laptop")
    monkeypatch.setattr(release_record, "fingerprint", lambda settings: "(of the settings)")
    facts = live_with(settings, source)
    golden("release.json", release_record.as_json(record(settings, source, facts), indent=2))


def test_the_record_holds_no_secret(settings: Settings, source: Source) -> None:
    text = release_record.as_json(record(settings, source, sample.bare()))
    assert not [value for value in settings.env.values() if value.reveal() in text]


def test_what_was_served_is_read_back(settings: Settings, source: Source) -> None:
    assert release_record.routes(record(settings, source, sample.bare())) == replace(
        sample.ROUTES, names=Names(settings.domains)
    )
    assert release_record.routes({}) == Routes()


def test_json_ends_with_a_newline_and_keeps_letters() -> None:
    assert release_record.as_json({"who": "Änn"}) == '{"who": "Änn"}\n'
    assert json.loads(release_record.as_json({"a": [1]}, indent=2)) == {"a": [1]}


def test_who_names_user_and_machine() -> None:
    assert "@" in release_record.who()


A, B, C, D = (f"2026112{day}-000000-{day}000000" for day in (1, 2, 3, 4))


def line(*identities: str, live: str = "", **changed: Any) -> Facts:
    """Facts with releases, each made upon the one before; the last is live."""
    records = {}
    for previous, identity in zip(("", *identities), identities, strict=False):
        records[identity] = sample.recorded(
            identity, previous, migrations=[f"app.{identity[7]}a", f"app.{identity[7]}b"]
        )
    return sample.with_releases(sample.provisioned(), live or identities[-1], records, **changed)


def without(facts: Facts, *gone: str) -> Facts:
    kept = {identity: record for identity, record in facts.releases.items() if identity not in gone}
    return sample.with_releases(facts, facts.current, kept)


def test_the_chain_is_what_was_live_before() -> None:
    assert history.chain(line(A, B, C), C) == [C, B, A]
    assert history.chain(line(A, B, C), B) == [B, A]
    assert history.chain(line(A), "") == []


def test_the_chain_ends_where_a_release_is_gone() -> None:
    assert history.chain(without(line(A, B, C), B), C) == [C]


def test_a_chain_that_bites_its_tail_ends() -> None:
    facts = line(A, B)
    facts.releases[A]["previous"] = B
    assert history.chain(facts, B) == [B, A]


def test_a_release_without_a_record_is_in_no_chain() -> None:
    assert history.chain(replace(line(A, B), releases={A: {}}), A) == []


def test_leftovers_are_releases_without_record_and_images_without_release() -> None:
    assert history.leftovers(line(A, B)) == []
    facts = line(A, B)
    facts = replace(facts, releases={**facts.releases, D: {}}, images=(*facts.images, f"portside/portfolio:{C}"))
    assert history.leftovers(facts) == [C, D]


def test_a_live_release_with_a_record_in_waiting_is_unfinished() -> None:
    facts = replace(line(A), releases={A: sample.recorded(A), B: {}}, current=B, pending={B: sample.recorded(B, A)})
    assert history.unfinished(facts) == B
    assert history.unfinished(replace(facts, pending={})) == ""
    assert history.unfinished(replace(facts, current=A)) == ""
    assert history.unfinished(replace(facts, releases={B: sample.recorded(B)})) == B, "a rollback's"


def test_a_good_release_that_runs_beside_the_live_one_is_a_stray(settings: Settings) -> None:
    releases = {name: sample.recorded(name) for name in (sample.OLDER, sample.OLD)}
    running = tuple(map(sample.web, (sample.OLDER, sample.OLD, sample.NEW)))
    facts = sample.with_releases(sample.live(settings), sample.OLD, releases, containers=running)
    assert history.strays(facts) == [sample.OLDER]
    stopped = (sample.web(sample.OLDER, "exited"), sample.web(sample.OLD))
    assert history.strays(replace(facts, containers=stopped)) == []


def test_a_switch_that_had_begun_is_known_by_its_record_in_waiting() -> None:
    pending = {B: sample.recorded(B, A), C: sample.recorded(C, A, instead_of=A), D: sample.recorded(D, instead_of=A)}
    facts = replace(line(A), current=D, pending=pending)
    assert history.switching_to(facts) == [C]


def test_a_rollback_goes_to_the_last_good_release_before_the_live_one() -> None:
    assert history.target(line(A, B, C)) == B
    assert history.target(line(A, B, C, live=B)) == A
    assert history.target(line(A)) == ""
    assert history.target(sample.bare()) == ""


def test_a_rollback_goes_where_it_is_told_forward_too() -> None:
    assert history.target(line(A, B, C), A) == A
    assert history.target(line(A, B, C, live=A), C) == C


def test_a_rollback_to_what_is_live_starts_that_anew() -> None:
    assert history.target(line(A, B, C), C) == C


def test_a_rollback_to_what_is_not_there_is_refused() -> None:
    facts = line(A, B)
    facts.releases[D] = {}
    for wanted in (D, "nonsense"):
        with pytest.raises(Refused, match=f"no good release {wanted}") as caught:
            history.target(facts, wanted)
        assert (caught.value.state, caught.value.hint) == ("Nothing was changed.", f"There are: {A}.")
    with pytest.raises(Refused) as caught:
        history.target(line(A), B)
    assert caught.value.hint == "There is no other."

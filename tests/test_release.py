"""Releases: identity and record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy import release
from deploy.facts import Facts
from deploy.nginx import Served
from deploy.settings import Settings
from deploy.site import RELEASE_ID
from deploy.source import Source
from tests import sample


def record(settings: Settings, source: Source, facts: Facts, **answered: Any) -> dict[str, Any]:
    return release.record(sample.NEW, settings, source, facts, sample.answer(**answered), sample.SERVED, "sha256:1f")


def live_with(settings: Settings, source: Source, changed: Mapping[str, object] | None = None) -> Facts:
    """A server on which exactly this is live, but for what is changed."""
    kept = record(settings, source, sample.bare()) | (changed or {})
    return replace(sample.bare(), current=sample.OLD, releases={sample.OLD: kept}, containers=(sample.web(sample.OLD),))


def test_a_release_is_named_by_the_servers_clock_and_the_commit(source: Source) -> None:
    identity = release.identity(sample.bare(), source)
    assert identity == f"20261120-170501-{source.commit[:7]}"
    assert RELEASE_ID.match(identity)


def test_a_release_of_changed_files_is_named_by_their_content(source: Source) -> None:
    changed = replace(source, changed=("manage.py",))
    assert release.identity(sample.bare(), changed) == f"20261120-170501-{source.digest[:7]}"


def test_the_same_again_is_live(settings: Settings, source: Source) -> None:
    assert release.is_live(live_with(settings, source), settings, source)


@pytest.mark.parametrize("changed", [{"source": "other"}, {"settings": "other"}, {"source": None}])
def test_another_source_or_other_settings_are_not_live(
    changed: dict[str, str], settings: Settings, source: Source
) -> None:
    assert not release.is_live(live_with(settings, source, changed), settings, source)


def test_a_release_that_does_not_run_is_not_live(settings: Settings, source: Source) -> None:
    facts = live_with(settings, source)
    for containers in ((), (sample.web(sample.OLD, "exited"),), (sample.web(sample.NEW),)):
        assert not release.is_live(replace(facts, containers=containers), settings, source)


def test_nothing_is_live_on_a_bare_server(settings: Settings, source: Source) -> None:
    assert not release.is_live(sample.bare(), settings, source)


def test_the_fingerprint_follows_the_files_that_releases_are_made_from(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.files(tmp_path / "compose", {"release.yaml": "a", "practice/Dockerfile": "a"})
    monkeypatch.setattr(release, "_MADE_FROM", tmp_path / "compose")
    before = release.fingerprint(settings)
    sample.files(tmp_path / "compose", {"practice/Dockerfile": "b"})
    assert release.fingerprint(settings) == before
    sample.files(tmp_path / "compose", {"release.yaml": "b"})
    assert release.fingerprint(settings) != before


def test_the_record_of_a_release(
    settings: Settings, source: Source, monkeypatch: pytest.MonkeyPatch, golden: Callable[[str, str], None]
) -> None:
    monkeypatch.setattr(release, "who", lambda: "ann@laptop")
    monkeypatch.setattr(release, "fingerprint", lambda settings: "(of the settings)")
    facts = live_with(settings, source)
    golden("release.json", release.as_json(record(settings, source, facts), indent=2))


def test_the_record_holds_no_secret(settings: Settings, source: Source) -> None:
    text = release.as_json(record(settings, source, sample.bare()))
    assert not [value for value in settings.env.values() if value.reveal() in text]


def test_what_was_served_is_read_back(settings: Settings, source: Source) -> None:
    assert release.served(record(settings, source, sample.bare())) == sample.SERVED
    assert release.served({}) == Served()


def test_json_ends_with_a_newline_and_keeps_letters() -> None:
    assert release.as_json({"who": "Änn"}) == '{"who": "Änn"}\n'
    assert json.loads(release.as_json({"a": [1]}, indent=2)) == {"a": [1]}


def test_who_names_user_and_machine() -> None:
    assert "@" in release.who()

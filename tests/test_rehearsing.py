"""Rehearsing: what the live release's image is asked of the new code, and when it can't be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy import image, migrating, rehearsing
from deploy.foresight import Unknown
from deploy.run import Run
from deploy.settings import Settings
from deploy.source import Source
from tests import sample
from tests.sample import Paper


def run(settings: Settings, source: Source, *, fails: str = "", **changed: Any) -> Run:
    """A run that has named its release; ``changed``: of the live one's record."""
    facts = sample.live(settings)
    record = sample.recorded(sample.OLD, dependencies=image.dependencies(settings, source), **changed)
    facts = sample.with_releases(facts, sample.OLD, {sample.OLD: record})
    made = sample.run(settings, Paper(facts, fails=fails))
    made.facts, made.source, made.release = facts, source, sample.SITE.release(sample.NEW)
    return made


def ask(made: Run) -> Any:
    step = migrating.ask(made.new, "", {"app": "0001_initial"}, check=True)
    return rehearsing.ask(made, made.server, step)


def test_the_live_image_is_asked_of_the_new_code(settings: Settings, source: Source) -> None:
    made = run(settings, source)
    ask(made)
    (step,) = made.server.steps  # type: ignore[attr-defined]
    assert step.words == (
        "script", "rehearse", f"portside/portfolio:{sample.OLD}", "", '{"app": "0001_initial"}',
    )  # fmt: skip
    assert {"compose.yaml", "env", "env.portside", "ask/ask.py", "src/manage.py"} <= set(step.files)
    assert step.secret
    assert b"not-so-secret-key" in step.files["env"]
    assert b'PGOPTIONS="-c default_transaction_read_only=on"\n' in step.files["env.portside"]


def test_it_finds_nothing_of_the_host_there(tmp_path: Path, source: Source) -> None:
    settings = sample.settings(tmp_path, DEPLOY_VOLUMES="cache:/var/cache/x")
    made = run(settings, source)
    ask(made)
    (step,) = made.server.steps  # type: ignore[attr-defined]
    text = step.files["compose.yaml"].decode()
    manage = text[text.index("  manage:") :]
    assert "type: bind" not in manage
    assert "volumes: []" in manage


def test_what_is_too_large_to_be_code_stays_here(settings: Settings, project: Path, source: Source) -> None:
    (project / "static/site.css").write_bytes(b"x" * rehearsing.SMALL)
    assert "src/static/site.css" not in rehearsing.rehearsal(run(settings, source), migrating.ask(
        sample.SITE.release(sample.NEW), "", None)).files  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"dependencies": "others"}, "its dependencies aren't the live one's")],
)
def test_where_it_can_not_stand_in_nobody_guesses(
    changed: dict[str, str], why: str, settings: Settings, source: Source
) -> None:
    made = run(settings, source)
    made.facts.releases[sample.OLD].update(changed)
    with pytest.raises(Unknown, match=why):
        ask(made)


def test_an_older_versions_release_can_not_be_asked(settings: Settings, source: Source) -> None:
    made = run(settings, source)
    del made.facts.releases[sample.OLD]["dependencies"]
    with pytest.raises(Unknown, match="older version"):
        ask(made)


def test_without_a_live_release_there_is_nobody_to_ask(settings: Settings, source: Source) -> None:
    made = run(settings, source)
    made.facts = replace(made.facts, current="")
    with pytest.raises(Unknown, match="no release is live"):
        ask(made)


def test_an_image_that_is_gone_can_not_be_asked(settings: Settings, source: Source) -> None:
    made = run(settings, source)
    made.facts = replace(made.facts, images=())
    with pytest.raises(Unknown, match="is gone"):
        ask(made)


def test_code_that_does_not_start_there_is_known_later(settings: Settings, source: Source) -> None:
    with pytest.raises(Unknown, match="doesn't start"):
        ask(run(settings, source, fails="rehearse"))


def test_other_dependencies_make_another_hash(
    settings: Settings, project: Path, source: Source, tmp_path: Path
) -> None:
    first = image.dependencies(settings, source)
    code = replace(source, sums=source.sums | {"config/settings.py": "f 0"})
    assert image.dependencies(settings, code) == first
    for changed in (
        image.dependencies(settings, replace(source, sums=source.sums | {"requirements.txt": "f 0"})),
        image.dependencies(sample.settings(tmp_path, DEPLOY_PIP="whitenoise"), source),
        image.dependencies(sample.settings(tmp_path, DEPLOY_APT="gettext"), source),
        image.dependencies(sample.settings(tmp_path, DEPLOY_PYTHON="3.12"), source),
    ):
        assert changed != first

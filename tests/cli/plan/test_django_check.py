"""Rehearsing: what the live release's image is asked of the new code, and when it can't be."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.build import image, source
from deploy.build.source import Source
from deploy.cli.plan import django_check
from deploy.cli.plan.dry_run import Unknown
from deploy.config.settings import Settings
from deploy.core.facts import Facts
from deploy.flows import migrations
from deploy.flows.context import Run
from tests import sample
from tests.sample import Paper


def run(settings: Settings, source: Source, *, fails: str = "", **changed: Any) -> Run:
    """A run that has named its release; ``changed``: of the live one's record."""
    facts = database_up(sample.live(settings))
    record = sample.recorded(sample.OLD, **{"dependencies": image.dependencies(settings, source), **changed})
    facts = sample.with_releases(facts, sample.OLD, {sample.OLD: record})
    made = sample.run(settings, Paper(facts, fails=fails))
    made.facts = facts
    made.candidate.project, made.candidate.release = source, sample.SITE.release(sample.NEW)
    return made


def database_up(facts: Facts) -> Facts:
    up = replace(sample.web("", role="db"), release="")
    return replace(facts, containers=(*(each for each in facts.containers if each.role != "db"), up))


def ask(made: Run) -> Any:
    step = migrations.ask(made.candidate.paths, "", migrations.Other.of(made, sample.OLD), check=True)
    return django_check.ask(made, made.server, step)


def test_the_live_image_is_asked_of_the_new_code(settings: Settings, source: Source) -> None:
    made = run(settings, source)
    ask(made)
    (step,) = made.server.steps  # type: ignore[attr-defined]
    assert step.script == "rehearse"
    assert step.arguments == {
        "image": f"portside/portfolio:{sample.OLD}", "seconds": 60, "manage": "",
        "other": sample.SITE.release(sample.OLD).knowledge, "application": "",
    }  # fmt: skip
    assert {"compose.yaml", "env", "env.portside", "ask/ask.py", "ask/other.json", "src/manage.py"} <= set(step.files)
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
    (project / "static/site.css").write_bytes(b"x" * django_check.SMALL)
    assert "src/static/site.css" not in django_check.rehearsal(run(settings, source), migrations.ask(
        sample.SITE.release(sample.NEW), "", None)).files  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"dependencies": "others"}, "its dependencies differ from the live release's")],
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
    with pytest.raises(Unknown, match="image is missing"):
        ask(made)


def test_code_that_does_not_start_there_is_known_later(settings: Settings, source: Source) -> None:
    with pytest.raises(Unknown, match=r"doesn't start in the live release's image \(it broke\)"):
        ask(run(settings, source, fails="rehearse"))


def test_an_image_with_the_code_in_another_folder_can_not_stand_in(settings: Settings, source: Source) -> None:
    """One whose Dockerfile copies the folder of manage.py alone: what Django says of STATIC_ROOT would be wrong."""
    with pytest.raises(Unknown, match="the code in another folder"):
        ask(run(settings, source, folder="/code"))


def test_a_pulled_image_has_code_of_its_own(tmp_path: Path, source: Source) -> None:
    settings = sample.settings(tmp_path, DEPLOY_BUILD=f"shop/web@sha256:{'3d' * 32}")
    with pytest.raises(Unknown, match="the image is pulled"):
        ask(run(settings, source, dependencies=""))


def test_the_database_is_asked_as_the_deploy_will_find_it(tmp_path: Path, source: Source) -> None:
    made = run(sample.settings(tmp_path), source)
    made.facts = replace(made.facts, containers=())
    with pytest.raises(Unknown, match="database must be started"):
        ask(made)
    made = run(sample.settings(tmp_path), source)
    made.settings = sample.settings(tmp_path, POSTGRES_PASSWORD="another-of-the-same")
    with pytest.raises(Unknown, match="database must be started or changed"):
        ask(made)


def test_migrations_that_are_to_be_applied_again_come_first(settings: Settings, source: Source) -> None:
    made = run(settings, source)
    made.facts = replace(made.facts, record=made.facts.record | {migrations.BEHIND: sample.OLD})
    with pytest.raises(Unknown, match="applied again first"):
        ask(made)


def test_no_database_is_written_to(tmp_path: Path, source: Source) -> None:
    """An external one neither; options of the project's own stay."""
    external = {"DEPLOY_DATABASE": "external", "DATABASE_URL": "postgres://a:b@db.example/shop"}
    settings = sample.settings(tmp_path, **external, PGOPTIONS="-c statement_timeout=5s")
    made = run(settings, source)
    ask(made)
    (step,) = made.server.steps  # type: ignore[attr-defined]
    assert b'PGOPTIONS="-c statement_timeout=5s -c default_transaction_read_only=on"\n' in step.files["env.portside"]


def test_other_dependencies_make_another_hash(
    settings: Settings, project: Path, source: Source, tmp_path: Path
) -> None:
    first = image.dependencies(settings, source)
    code = replace(source, sums=source.sums | {"config/settings.py": "f 0"})
    assert image.dependencies(settings, code) == first
    for changed in (
        image.dependencies(sample.settings(tmp_path, DEPLOY_PIP_INDEX="https://packages.example/simple"), source),
        image.dependencies(settings, replace(source, sums=source.sums | {"requirements.txt": "f 0"})),
        image.dependencies(sample.settings(tmp_path, DEPLOY_PIP="whitenoise"), source),
        image.dependencies(sample.settings(tmp_path, DEPLOY_APT="gettext"), source),
        image.dependencies(sample.settings(tmp_path, DEPLOY_PYTHON="3.12"), source),
    ):
        assert changed != first


@pytest.mark.parametrize(
    "name", ["poetry.lock", "Pipfile.lock", "requirements/web.txt", "requirements-prod.txt", "api/uv.lock", "ops/pins"]
)
def test_with_an_own_dockerfile_all_that_may_name_dependencies_counts(name: str, tmp_path: Path) -> None:
    settings = sample.settings(tmp_path)
    texts = {"Dockerfile": "FROM python\n", "requirements.txt": "-c ops/pins\n", name: "django==5.0\n"}
    sample.repository(tmp_path / "app", sample.PROJECT | texts)
    hashes = set()
    for text in ("django==5.0\n", "django==5.1\n"):
        (tmp_path / "app" / name).write_text(text)
        hashes.add(image.dependencies(settings, source.find(settings, "", ExitStack())))
    assert len(hashes) == 2
    (tmp_path / "app/config/settings.py").write_text("DEBUG = True\n")
    assert image.dependencies(settings, source.find(settings, "", ExitStack())) in hashes

"""Migrations: the steps that apply them or take them back."""

from __future__ import annotations

import pytest

from deploy.config.settings import Settings
from deploy.flows import migrations
from tests import sample
from tests.sample import Paper


def test_many_names_are_cut_short() -> None:
    names = [f"a.{number:04}" for number in range(20)]
    assert migrations.listed(names[:2]) == "a.0000, a.0001"
    assert migrations.listed(names).endswith("a.0011 and 8 more")


@pytest.mark.parametrize(
    ("image", "options"),
    [
        ("postgres:17", "-c lock_timeout=10s -c client_connection_check_interval=5s"),
        ("postgres:13", "-c lock_timeout=10s"),
    ],
)
def test_a_migration_gives_up_rather_than_let_visitors_wait(image: str, options: str, settings: Settings) -> None:
    assert migrations._options(settings.model_copy(update={"database": image})) == options


def test_a_database_elsewhere_is_neither_dumped_nor_given_options(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"database": "external"})
    run = sample.run(elsewhere, Paper(sample.live(settings)))
    run.facts, run.candidate.release = sample.live(settings), run.site.release(sample.NEW)
    (step,) = migrations.apply(run, run.candidate.paths, sample.answer(applied=20))
    given = {"manage": "/app/manage.py", "options": "", "mark": run.site.migrating, "aliases": ["default"]}
    assert (step.script, step.arguments) == ("migrate", {"compose": run.candidate.paths.compose, **given})


def test_what_other_releases_know_is_told_with_the_question() -> None:
    paths = sample.SITE.release(sample.NEW)
    given = migrations.ask(paths, "app", None).arguments
    assert (given["other"], given["application"]) == ("", "")
    other = migrations.Other("/srv/database.json", {"a": "0001"})
    step = migrations.ask(paths, "app", other, "web.wsgi:app")
    assert (step.arguments["other"], step.arguments["application"]) == ("/srv/database.json", "web.wsgi:app")
    assert step.files["other.json"] == b'{"leaves": {"a": "0001"}}'
    modules = {"portside_migrations.py", "portside_compatibility.py", "portside_tables.py", "portside_project.py"}
    assert set(migrations.ask(paths, "app", None).files) == {"ask.py", *modules}

"""Histories of migrations that two releases see differently, and what is said of the database afterwards."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ..kit import small
from ..kit.inside import container, live, shell, sql
from ..kit.notes import ADDED, INITIAL, SETTINGS, TITLE, VIEW, column, migration, model
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

RAISES = {"hello/urls.py": VIEW.replace("def note(request):\n", 'def note(request):\n    raise KeyError("oops")\n')}
CREATE = INITIAL[INITIAL.index("migrations.CreateModel") : INITIAL.rindex("]")]
# The column that the release before has goes, by a migration that follows a squashed one.
REPLACES = '|    replaces = [("notes", "0001_initial"), ("notes", "0002_extra")]\n'
SQUASHED = {
    **model(TITLE),
    **migration("0001_squashed", CREATE, column("extra", "null=True"), after=None, more=REPLACES),
    **migration("0003_drop", 'migrations.RemoveField("note", "extra")', after="0001_squashed"),
}
STATS = {
    "stats/__init__.py": "",
    "stats/models.py": "from django.db import models\n\nclass Hit(models.Model):\n    path = models.TextField()\n",
    "stats/migrations/__init__.py": "",
    "stats/migrations/0001_initial.py": INITIAL.replace('"Note"', '"Hit"')
    .replace('("title", models.CharField(max_length=40))', '("path", models.TextField())'),
    "hello/router.py": "class Router:\n    def db_for_read(self, model, **hints):\n"
    '        return "stats" if model._meta.app_label == "stats" else None\n    db_for_write = db_for_read\n'
    '    def allow_migrate(self, db, app_label, **hints):\n        return (db == "stats") == (app_label == "stats")\n',
}  # fmt: skip
TWO = """
DATABASES["stats"] = {**DATABASES["default"], "NAME": "stats"}
DATABASE_ROUTERS = ["hello.router.Router"]
INSTALLED_APPS += ["stats"]
"""
HANDLER = """\
import os
from django.apps import AppConfig
from django.db.models.signals import post_migrate

def fill(sender, **more):
    if os.environ.get("NOT_NOW"):
        raise RuntimeError("a setting is missing")
    print("the handler was run")

class Notes(AppConfig):
    name = "notes"
    def ready(self):
        post_migrate.connect(fill, sender=self)
"""
INDEX = """\
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notes", "0004_more")]
    operations = [AddIndexConcurrently("note", models.Index(fields=["title"], name="by_title"))]
"""


@pytest.fixture(scope="module")
def notes(projects: Callable[[str], Project]) -> Project:
    """A tiny project with a table of notes, live with two migrations."""
    project = projects("histories")
    project.write(small.files(settings=SETTINGS))
    project.write({"hello/urls.py": VIEW, "notes/__init__.py": "", "notes/migrations/__init__.py": ""})
    project.write({**ADDED, "notes/migrations/0001_initial.py": INITIAL})
    project.commit("Begin")
    project.set(DEPLOY_APP=".", DEPLOY_DOMAINS="histories.test", DEPLOY_COLLECTSTATIC="off", DEPLOY_KEEP="9",
                SECRET_KEY="k" * 50, POSTGRES_PASSWORD="p" * 24)  # fmt: skip
    project.deploy()
    return project


def columns(notes: Project) -> set[str]:
    asked = "select column_name from information_schema.columns where table_name = 'notes_note' and column_name != 'id'"
    return set(sql(notes.server, notes.name, asked).split())


@pytest.mark.core
def test_what_a_failed_deploy_has_squashed_and_dropped_is_there_again(notes: Project) -> None:
    release = live(notes.server, notes.name)
    with notes.changed(SQUASHED | RAISES):
        done = notes.deploy("--allow-breaking", check=False)
    assert done.code == 1
    assert f"Reverting the migrations that break {release}." in done.out
    assert f"Release {release} is live, as before." in done.err
    assert columns(notes) == {"title", "extra"}
    assert ask(notes.server, notes.domain).status == 200


@pytest.mark.core
def test_an_older_commit_that_can_not_work_is_refused_however_it_comes(notes: Project) -> None:
    old, commit = live(notes.server, notes.name), notes.git("rev-parse", "HEAD")
    notes.write(SQUASHED)
    notes.commit("Squash, and drop a column")
    new = notes.deploy("--allow-breaking").release
    for words in (("rollback", "--to", old), ("deploy", "--ref", commit)):
        done = notes.fab(*words, on=notes.server, project=notes)
        assert done.code == 1
        assert f"Release {new} is live, as before." in done.err
    assert "This code doesn't have 1 migration that the database keeps: notes.0003_drop." in done.out
    assert "This code can't work with the database as it is:\n  there is no column notes_note.extra\n" in done.err
    plan = notes.fab("plan", "--ref", commit, on=notes.server, project=notes)
    assert "so a deploy needs --allow-breaking:\n  there is no column notes_note.extra" in plan.out
    assert ask(notes.server, notes.domain).status == 200


def test_going_back_past_it_is_proved_by_the_database(notes: Project) -> None:
    new, old = (row.split()[0] for row in releases(notes)[:2])
    done = notes.fab("rollback", "--migrations", on=notes.server, project=notes, check=True)
    assert "1 migration reverted" in done.out
    assert (live(notes.server, notes.name), columns(notes)) == (old, {"title", "extra"})
    assert ask(notes.server, notes.domain).status == 200
    notes.fab("rollback", "--to", new, "--allow-breaking", on=notes.server, project=notes, check=True)
    assert columns(notes) == {"title"}


def releases(notes: Project) -> list[str]:
    """The releases that were live, the newest first."""
    found = shell(notes.server, f"cd /srv/portside/{notes.name}/releases && ls -d */release.json")
    return sorted((path.split("/")[0] for path in found.split()), reverse=True)


@pytest.mark.core
def test_a_handler_that_fails_after_the_migrations_is_run_by_the_next_deploy(notes: Project) -> None:
    release = live(notes.server, notes.name)
    notes.write({"notes/apps.py": HANDLER, **migration("0004_more", column("more", "null=True"), after="0003_drop")})
    notes.write(model(TITLE, "more = models.CharField(max_length=40, null=True)"))
    notes.commit("More, and a handler")
    with notes.with_settings(NOT_NOW="yes"):
        done = notes.deploy(check=False)
    assert "RuntimeError: a setting is missing" in done.err
    assert f"Release {release} is live, as before. 1 migration of the failed release stays applied" in done.err
    done = notes.deploy("--verbose")
    assert "migrate ran anyway" in done.out
    assert "the handler was run" in done.text
    assert "migrating" not in shell(notes.server, f"ls /srv/portside/{notes.name}").split()


@pytest.mark.core
def test_a_database_that_a_router_sends_models_to_is_migrated_and_dumped_too(notes: Project) -> None:
    sql(notes.server, notes.name, "create database stats")
    notes.write({**STATS, "hello/settings.py": small.SETTINGS + SETTINGS + TWO})
    notes.commit("Two databases")
    done = notes.deploy()
    assert "stats.0001_initial (stats)\n" in done.out
    psql = 'exec psql -qtA -U "$POSTGRES_USER" -d stats -c "select count(*) from stats_hit"'
    assert notes.server.exec(("docker", "exec", container(notes.server, notes.name, "db"), "sh", "-c", psql)) == "0\n"
    dumps = shell(notes.server, f"ls /srv/portside/{notes.name}/backups").split()
    assert [name for name in dumps if name.startswith(f"before-{done.release}")] == [
        f"before-{done.release}.dump", f"before-{done.release}.stats.dump",
    ]  # fmt: skip


def test_changes_without_a_migration_are_named_before_and_after(notes: Project) -> None:
    with notes.changed(model(TITLE, "more = models.CharField(max_length=40, null=True)", "late = models.DateField()")):
        told = "Some model changes have no migration (notes: Add field late to note)"
        assert told in notes.fab("plan", on=notes.server, project=notes).out
        done = notes.deploy(check=False)
    assert done.text.count(told) == 2, "in prepare and in the last lines"


@contextmanager
def a_long_query(notes: Project) -> Iterator[None]:
    """A visitor's transaction that has written, and goes on until the end of the block."""
    query = "begin; insert into notes_note (title) values ('x'); select pg_sleep(9999)"
    psql = 'exec psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"'
    database = container(notes.server, notes.name, "db")
    notes.server.exec(("docker", "exec", "--detach", database, "sh", "-c", psql, "sh", query))
    at_work = "from pg_stat_activity where query like '%pg_sleep(9999)' and pid != pg_backend_pid()"
    until(lambda: sql(notes.server, notes.name, f"select count(*) {at_work}") == "1", "the visitor to write")
    try:
        yield
    finally:
        sql(notes.server, notes.name, f"select pg_terminate_backend(pid) {at_work}")


def building(notes: Project, than: str = "") -> bool:
    """Whether an index is being built, for longer ``than``."""
    longer = f" and now() - query_start > interval '{than}'" if than else ""
    asked = "select count(*) from pg_stat_activity where query ilike 'create index concurrently%' and state = 'active'"
    return sql(notes.server, notes.name, asked + longer) == "1"


def test_a_half_built_index_is_named_with_what_takes_it_away(notes: Project) -> None:
    notes.write({"notes/migrations/0005_index.py": INDEX})
    notes.commit("An index")
    with a_long_query(notes):
        running = notes.fab.start("deploy", on=notes.server, project=notes)
        until(lambda: building(notes), "the index to be begun")
        running.process.send_signal(signal.SIGINT)
        assert running.end().code == 1
        until(lambda: not building(notes), "the index to be given up")
    done = notes.deploy(check=False)
    assert (
        "is invalid, left by an interrupted statement. Remove it with: DROP INDEX CONCURRENTLY public.by_title;"
        in done.err
    )
    assert "fab psql --query 'DROP INDEX CONCURRENTLY public.by_title;'" in done.err
    query = "DROP INDEX CONCURRENTLY public.by_title;"
    notes.fab("psql", "--query", query, on=notes.server, project=notes, check=True)


@pytest.mark.core
def test_an_index_is_built_beside_a_visitor_who_takes_longer_than_a_lock_is_waited_for(notes: Project) -> None:
    notes.write({"notes/migrations/0005_index.py": INDEX})
    notes.git("add", "-A")
    notes.git("commit", "--quiet", "--allow-empty", "-m", "An index")
    with a_long_query(notes):
        running = notes.fab.start("deploy", on=notes.server, project=notes)
        until(lambda: building(notes, than="12 s"), "the index to be built for longer than lock_timeout")
    done = running.end(check=True)
    assert "1 migration applied" in done.out

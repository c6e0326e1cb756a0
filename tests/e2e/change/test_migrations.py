"""Migrations: two releases share one database while they are switched, and nobody loses anything by it."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from ..kit import small
from ..kit.inside import container, fingerprint, live, shell, sql
from ..kit.laptop import Done
from ..kit.notes import (
    ADDED,
    INITIAL,
    MORE,
    RENAMED,
    SETTINGS,
    TITLE,
    TOPIC,
    VIEW,
    column,
    holder,
    migration,
    model,
)
from ..kit.project import Project
from ..kit.visitors import ask, visitors
from ..kit.waiting import left, until

# What a refusal leaves behind, a line of what was tried and the same settings; and what another site's process writes.
STAYS = ("/history.jsonl", "/env.portside", "/volumes/")
# The recipe of docs/migrations.md: "title" becomes "subject" in three deploys.
EXPAND = {
    **model(
        'title = models.CharField(max_length=40, db_default="")',
        'subject = models.CharField(max_length=40, db_default="")',
    ),
    **migration(
        "0003_expand",
        column("subject", 'db_default=""'),
        'migrations.AlterField("note", "title", models.CharField(max_length=40, db_default=""))',
        after="0002_extra",
    ),
}
MOVE = {
    **model('subject = models.CharField(max_length=40, db_default="")'),
    **migration(
        "0004_move",
        "migrations.RunPython(copy, migrations.RunPython.noop)",
        "migrations.SeparateDatabaseAndState("
        'state_operations=[migrations.RemoveField("note", "title"), migrations.RemoveField("note", "extra")])',
        after="0003_expand",
        more='def copy(apps, editor):\n    apps.get_model("notes", "note").objects.filter(subject="")'
        '.update(subject=models.F("title"))\n',
    ),
}
CONTRACT = migration(
    "0005_contract",
    f"migrations.SeparateDatabaseAndState(state_operations=[{column('title', 'db_default=chr(32)')}])",
    'migrations.RemoveField("note", "title")',
    after="0004_move",
)


@pytest.fixture(scope="module")
def notes(projects: Callable[[str], Project]) -> Project:
    """A tiny project with a database, live: every visit writes a note and reads it back."""
    project = projects("notes")
    project.write(small.files(settings=SETTINGS))
    project.write({"hello/urls.py": VIEW, "notes/__init__.py": "", "notes/migrations/__init__.py": ""})
    project.write({**model(TITLE), "notes/migrations/0001_initial.py": INITIAL})
    project.commit("Begin")
    project.set(DEPLOY_APP=".", DEPLOY_DOMAINS="notes.test", DEPLOY_COLLECTSTATIC="off", DEPLOY_KEEP="9",
                SECRET_KEY="k" * 50, POSTGRES_PASSWORD="p" * 24)  # fmt: skip
    project.deploy()
    return project


@contextmanager
def nobody_lost(notes: Project) -> Iterator[None]:
    with visitors(notes.server, notes.domain, a_second=10) as seen:
        yield
    assert seen.lost == []
    assert seen.answered > 5


def deploy(notes: Project, files: Mapping[str, str], *words: str) -> Done:
    """Deploy these files for good."""
    notes.write(files)
    notes.commit(f"Change {', '.join(files)}")
    return notes.deploy(*words)


def roll_back(notes: Project, *words: str, check: bool = True) -> Done:
    return notes.fab("rollback", *words, on=notes.server, project=notes, check=check)


def columns(notes: Project) -> set[str]:
    asked = "select column_name from information_schema.columns where table_name = 'notes_note' and column_name != 'id'"
    return set(sql(notes.server, notes.name, asked).split())


def applied(notes: Project) -> list[str]:
    return sql(notes.server, notes.name, "select name from django_migrations where app = 'notes' order by id").split()


def dumps(notes: Project) -> set[str]:
    return set(shell(notes.server, f"ls /srv/portside/{notes.name}/backups", check=False).split())


def record(notes: Project, release: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        shell(notes.server, f"cat /srv/portside/{notes.name}/releases/{release}/release.json")
    )
    return found


# What would break the live release, and what fails


@pytest.mark.core
def test_a_migration_that_would_break_the_live_release_is_refused(notes: Project) -> None:
    before, release = fingerprint(notes.server, without=STAYS), live(notes.server, notes.name)
    with nobody_lost(notes), notes.changed(RENAMED):
        done = notes.deploy(check=False)
    assert done.code == 1
    assert "1 migration to apply: notes.0002_rename" in done.out
    assert f"This would break {release}, which serves visitors until the switch:" in done.err
    assert "  notes.0002_rename: RenameField renames the column notes_note.title to subject" in done.err
    assert f"Release {release} is live, as before." in done.err
    assert "docs/migrations.md" in done.err
    assert f"fab deploy --allow-breaking -H {notes.server.name}" in done.err
    assert fingerprint(notes.server, without=STAYS) == before


@pytest.mark.core
def test_of_several_migrations_the_failing_one_is_taken_back_and_those_before_stay(notes: Project) -> None:
    release = live(notes.server, notes.name)
    fails = migration(
        "0003_fails", 'migrations.RunSQL("create table half_done (id int)")', 'migrations.RunSQL("select nonsense()")',
        after="0002_extra",
    )  # fmt: skip
    with nobody_lost(notes), notes.changed({**ADDED, **fails}):
        done = notes.deploy(check=False)
    assert done.code == 1
    assert "nonsense" in done.err
    assert f"Release {release} is live, as before. notes.0003_fails was rolled back completely." in done.err
    assert "1 migration of the failed release stays applied (notes.0002_extra); the dump made before is " in done.err
    assert len(dumps(notes)) == 1
    assert applied(notes) == ["0001_initial", "0002_extra"]
    assert sql(notes.server, notes.name, "select to_regclass('half_done')") == ""


def test_a_failing_migration_that_is_not_atomic_may_leave_a_part(notes: Project) -> None:
    fails = migration(
        "0003_fails", 'migrations.RunSQL("create table half_done (id int)")', 'migrations.RunSQL("select nonsense()")',
        after="0002_extra", more="|    atomic = False\n",
    )  # fmt: skip
    with nobody_lost(notes), notes.changed({**ADDED, **fails}):
        done = notes.deploy(check=False)
    assert "notes.0003_fails isn't atomic, so a part of it may have been applied. Check that first." in done.err
    assert sql(notes.server, notes.name, "select to_regclass('half_done')") == "half_done"
    sql(notes.server, notes.name, "drop table half_done")


def test_an_endless_migration_is_ended_by_an_interruption(notes: Project) -> None:
    endless = migration(
        "0003_endless", "migrations.RunPython(wait)", after="0002_extra",
        more='def wait(apps, editor):\n    editor.execute("select pg_sleep(9999)")\n',
    )  # fmt: skip
    asked = "select count(*) from pg_stat_activity where query = 'select pg_sleep(9999)' and state = 'active'"
    psql = 'exec psql -tA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"'
    words = ("docker", "exec", container(notes.server, notes.name, "db"), "sh", "-c", psql, "sh", asked)

    def asleep() -> str:
        return notes.server.exec(words).strip()

    with nobody_lost(notes), notes.changed({**ADDED, **endless}):
        running = notes.fab.start("deploy", on=notes.server, project=notes)
        until(lambda: asleep() == "1", "the migration to be at work")
        running.process.send_signal(signal.SIGINT)
        done = running.end()
    assert done.code == 1
    assert "Cannot check whether notes.0003_endless " in done.out
    assert "A running migration is stopped" in done.err
    until(lambda: asleep() == "0", "the migration to end")
    listed = notes.fab("releases", "--json", on=notes.server, project=notes, check=True)
    assert [row["state"] for row in json.loads(listed.out)] == ["live"]
    assert "Portside will remove it" in listed.err, "what was left is put right, and said beside the list"
    assert left(lambda: holder(notes)) == ""


@pytest.mark.core
def test_the_next_good_one_goes_on_from_there(notes: Project) -> None:
    with nobody_lost(notes):
        done = deploy(notes, ADDED)
    assert "migrate ran anyway" in done.out, "the failed one has applied it, and broke off"
    assert record(notes, done.release)["leaves"]["notes"] == "0002_extra"  # type: ignore[index]


# In three deploys, and back


def test_expand_and_contract_loses_nobody(notes: Project) -> None:
    for files, there in ((EXPAND, {"title", "extra", "subject"}), (MOVE, {"title", "extra", "subject"})):
        with nobody_lost(notes):
            deploy(notes, files)
        assert columns(notes) == there
    assert sql(notes.server, notes.name, "select count(*) from notes_note where subject = ''") == "0"
    with nobody_lost(notes):
        done = deploy(notes, CONTRACT)
    assert columns(notes) == {"extra", "subject"}
    assert record(notes, done.release)["breaking"] == {}


def test_a_rollback_leaves_the_database_and_says_so(notes: Project) -> None:
    newest = live(notes.server, notes.name)
    with nobody_lost(notes):
        done = roll_back(notes)
        assert "The database isn't rolled back: 1 migration stays applied (notes.0005_contract)." in done.out
        assert columns(notes) == {"extra", "subject"}
        roll_back(notes, "--to", newest)
    assert live(notes.server, notes.name) == newest


def expanded(notes: Project) -> str:
    """The release that knows both columns."""
    found = shell(notes.server, f"cd /srv/portside/{notes.name}/releases && grep -l 0003_expand */release.json")
    (release,) = {path.split("/")[0] for path in found.split() if _leaf(notes, path.split("/")[0]) == "0003_expand"}
    return release


def _leaf(notes: Project, release: str) -> str:
    leaves = record(notes, release)["leaves"]
    return str(leaves["notes"])  # type: ignore[index]


def test_a_rollback_to_what_can_not_work_any_more_is_refused(notes: Project) -> None:
    before = fingerprint(notes.server, without=STAYS)
    release, wanted = live(notes.server, notes.name), expanded(notes)
    with nobody_lost(notes):
        done = roll_back(notes, "--to", wanted, check=False)
    assert done.code == 1
    assert f"{wanted} can't work with the database as {release} left it:" in done.err
    assert "  notes.0005_contract: RemoveField drops the column notes_note.title" in done.err
    assert f"fab rollback --to {wanted} --migrations -H {notes.server.name}" in done.err
    assert f"fab rollback --to {wanted} --allow-breaking -H {notes.server.name}" in done.err
    assert fingerprint(notes.server, without=STAYS) == before


def test_a_rollback_that_dies_between_database_and_switch_is_put_right(notes: Project) -> None:
    newest, wanted = live(notes.server, notes.name), expanded(notes)
    running = notes.fab.start("rollback", "--to", wanted, "--migrations", on=notes.server, project=notes)
    until(lambda: re.search("now at (start|healthcheck)", holder(notes)), "the migrations to be taken back")
    running.process.kill()
    running.process.wait()
    assert "title" in columns(notes)
    until(lambda: not holder(notes), "the lock to come free")
    done = notes.fab("abort", on=notes.server, project=notes, check=True)
    assert f"{newest} is live, but its migrations were reverted. Portside will apply them again." in done.out
    assert (live(notes.server, notes.name), columns(notes)) == (newest, {"extra", "subject"})
    assert ask(notes.server, notes.domain).status == 200
    assert "nothing was left" in notes.fab("abort", on=notes.server, project=notes, check=True).out


def test_a_deploy_that_dies_between_database_and_switch_is_put_right(notes: Project) -> None:
    newest = live(notes.server, notes.name)
    renamed = migration("0006_rename", 'migrations.RenameField("note", "subject", "heading")', after="0005_contract")
    with notes.changed({**model('heading = models.CharField(max_length=40, db_default="")'), **renamed}):
        running = notes.fab.start("deploy", "--allow-breaking", on=notes.server, project=notes)
        until(lambda: "now at healthcheck" in holder(notes), "the migrations to be applied")
        running.process.kill()
        running.process.wait()
    assert columns(notes) == {"extra", "heading"}
    until(lambda: not holder(notes), "the lock to come free")
    done = notes.fab("abort", on=notes.server, project=notes, check=True)
    assert f"never went live. Its migrations break {newest}, so Portside reverts them." in done.out
    assert (live(notes.server, notes.name), columns(notes)) == (newest, {"extra", "subject"})
    assert ask(notes.server, notes.domain).status == 200
    assert "nothing was left" in notes.fab("abort", on=notes.server, project=notes, check=True).out


def test_with_its_migrations_taken_back_it_works_and_so_it_does_forward_again(notes: Project) -> None:
    newest, wanted = live(notes.server, notes.name), expanded(notes)
    done = roll_back(notes, "--to", wanted, "--migrations")
    assert f"{newest} may fail until the switch" in done.out
    assert (live(notes.server, notes.name), columns(notes)) == (wanted, {"title", "extra", "subject"})
    assert [name for name in dumps(notes) if name.endswith("-rollback.dump")]
    assert ask(notes.server, notes.domain).status == 200
    done = roll_back(notes, "--to", newest, "--allow-breaking")
    assert "2 migrations to apply: notes.0004_move, notes.0005_contract" in done.out
    assert (live(notes.server, notes.name), columns(notes)) == (newest, {"extra", "subject"})
    assert ask(notes.server, notes.domain).status == 200


def test_migrations_that_break_nobody_are_taken_back_after_the_switch(notes: Project) -> None:
    added = migration("0006_more", column("more", "null=True"), after="0005_contract")
    done = deploy(notes, {**model('subject = models.CharField(max_length=40, db_default="")', MORE), **added})
    assert "apply them again" not in done.out
    newest = live(notes.server, notes.name)
    with nobody_lost(notes):
        done = roll_back(notes, "--migrations")
        assert "1 migration to revert after the switch" in done.out
        assert "more" not in columns(notes)
        done = roll_back(notes, "--to", newest)
        assert "1 migration applied" in done.out
    assert "more" in columns(notes)
    assert live(notes.server, notes.name) == newest


def test_what_can_not_be_taken_back_is_refused_by_name(notes: Project) -> None:
    stuck = migration("0007_stuck", "migrations.RunPython(forget)", after="0006_more",
                      more="def forget(apps, editor):\n    pass\n")  # fmt: skip
    deploy(notes, stuck)
    newest = live(notes.server, notes.name)
    with nobody_lost(notes):
        done = roll_back(notes, "--migrations", check=False)
    assert done.code == 1
    assert "  notes.0007_stuck: RunPython forget" in done.err
    assert (live(notes.server, notes.name), applied(notes)[-1]) == (newest, "0007_stuck")


AT_ONCE = {
    **model(TOPIC, MORE),
    **migration("0008_rename", 'migrations.RenameField("note", "subject", "topic")', after="0007_stuck"),
}


def test_what_breaks_the_live_release_is_taken_back_where_the_new_one_fails(notes: Project) -> None:
    before = live(notes.server, notes.name)
    with notes.changed(AT_ONCE | {"hello/wsgi.py": "raise RuntimeError('not today')\n"}):
        done = notes.deploy("--allow-breaking", check=False)
    assert done.code == 1
    assert "not today" in done.err
    assert f"Reverting the migrations that break {before}." in done.out
    assert f"Release {before} is live, as before." in done.err
    assert ask(notes.server, notes.domain).status == 200
    assert "subject" in columns(notes)


def test_what_breaks_the_live_release_is_done_where_it_is_allowed(notes: Project) -> None:
    before = live(notes.server, notes.name)
    done = deploy(notes, AT_ONCE, "--allow-breaking")
    assert f"{before} may fail until the switch" in done.out
    assert "topic" in columns(notes)
    reasons = {"notes.0008_rename": "RenameField renames the column notes_note.subject to topic"}
    assert record(notes, done.release)["breaking"] == reasons


# Waiting


def test_a_second_deploy_waits_where_it_is_told_to(notes: Project) -> None:
    notes.write({"note.txt": "slowly\n"})
    notes.commit("Slowly")
    with notes.with_settings(DEPLOY_BEFORE="'sleep 5'"):
        first = notes.fab.start("deploy", on=notes.server, project=notes)
        until(lambda: "prepare" in holder(notes), "the first to be at work")
        second = notes.fab.start("deploy", "--wait", on=notes.server, project=notes)
        one, other = first.end(check=True), second.end(check=True)
    assert "waiting for another deploy to finish: " in other.out
    assert "now at prepare" in other.out
    assert "now at healthcheck" in other.out, "it is told as it changes"
    assert f"nothing to do; {one.release} is live" in other.out


def test_who_waits_can_give_up(notes: Project) -> None:
    notes.write({"note.txt": "again\n"})
    notes.commit("Again")
    with notes.with_settings(DEPLOY_BEFORE="'sleep 4'"):
        first = notes.fab.start("deploy", on=notes.server, project=notes)
        until(lambda: "prepare" in holder(notes), "the first to be at work")
        second = notes.fab.start("rollback", "--wait", on=notes.server, project=notes)
        until(lambda: "waiting for" in second.out.read_text(), "the second to wait")
        second.process.send_signal(signal.SIGINT)
        assert second.end().code == 1
        done = first.end(check=True)
    assert live(notes.server, notes.name) == done.release
    assert left(lambda: holder(notes)) == ""

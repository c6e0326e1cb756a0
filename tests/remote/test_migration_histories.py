"""Histories of migrations that two releases see differently: squashed, branched, gone. Real projects on SQLite, whose
database the real Django has migrated."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.ssh.payload import REMOTE
from tests import sample

MANAGE = 'import os, sys\nos.environ["DJANGO_SETTINGS_MODULE"] = "web.settings"\nif __name__ == "__main__":\n'
MANAGE += "    from django.core.management import execute_from_command_line\n    execute_from_command_line(sys.argv)\n"
SETTINGS = """\
SECRET_KEY = "x"
INSTALLED_APPS = ["art"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{database}"}}}}
"""
MODELS = "from django.db import models\n\nclass Work(models.Model):\n{}"
TOP = "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n"
ID = "models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')"
CREATE = f"migrations.CreateModel('Work', [('id', {ID})])"


def add(name: str, options: str = "null=True") -> str:
    return f"migrations.AddField('work', '{name}', models.TextField({options}))"


def remove(name: str) -> str:
    return f"migrations.RemoveField('work', '{name}')"


def migration(*operations: str, after: str = "", replaces: tuple[str, ...] = ()) -> str:
    """The text of a migration of the app art."""
    lines = [
        f"    dependencies = {[('art', name) for name in after.split()]}",
        f"    operations = [{', '.join(operations)}]",
        *([f"    replaces = {[('art', name) for name in replaces]}"] * bool(replaces)),
    ]
    return TOP + "\n".join(lines) + "\n"


@dataclass
class Release:
    """A project's code, and the database that it shares with the others."""

    folder: Path
    database: Path

    def python(self, *words: str, check: bool = True) -> str:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "web.settings"}
        asked = (sys.executable, *words)
        done = subprocess.run(asked, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout + done.stderr

    def migrate(self, *words: str) -> str:
        return self.python("manage.py", "migrate", "--verbosity", "0", *words)

    def ask(self, other: Release | None = None, *more: str) -> dict[str, Any]:
        """What it answers, compared with another one."""
        said = self.python(str(REMOTE / "ask.py"), "", self._known(other), *more)
        lines = dict(line.split(":", 1) for line in said.splitlines() if line.startswith("portside-"))
        answer: dict[str, Any] = json.loads(lines["portside-answer"])
        assert "failed" not in answer, answer["failed"]
        return answer | {"knows": json.loads(lines["portside-knows"])}

    def back(self, other: Release, only: str = "") -> tuple[dict[str, Any], str]:
        """What taking back came to, and what was said of it."""
        said = self.python(str(REMOTE / "back.py"), str(self.folder), self._known(other), only, check=False)
        return json.loads(said.partition("portside-answer:")[2].splitlines()[0]), said

    def _known(self, other: Release | None) -> str:
        if not other:
            return ""
        path = other.folder / "known.json"
        if not path.exists():
            path.write_text(json.dumps(other.ask()["knows"]))
        return str(path)

    @property
    def columns(self) -> set[str]:
        with sqlite3.connect(self.database) as connection:
            return {row[1] for row in connection.execute("pragma table_info(art_work)")}


class Releases:
    """Makes releases of one project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.many = 0

    def __call__(
        self, fields: str, migrations: Mapping[str, str], more: Mapping[str, str] | None = None, settings: str = ""
    ) -> Release:
        """A release whose model has these fields. ``more``: further files; ``settings``: lines for its settings."""
        self.many += 1
        folder = self.folder / f"release{self.many}"
        database = self.folder / "db.sqlite3"
        lines = "".join(f"    {name} = models.TextField(null=True)\n" for name in fields.split())
        files = {
            "manage.py": MANAGE,
            "web/__init__.py": "",
            "web/settings.py": SETTINGS.format(database=database) + settings,
            "art/__init__.py": "",
            "art/models.py": MODELS.format(lines or "    pass\n"),
            "art/migrations/__init__.py": "",
            **{f"art/migrations/{name}.py": text for name, text in migrations.items()},
        }
        sample.files(folder, files | dict(more or {}))
        return Release(folder, database)


@pytest.fixture
def release(tmp_path: Path) -> Releases:
    return Releases(tmp_path)


FIRST = {"0001_first": migration(CREATE), "0002_note": migration(add("note"), after="0001_first")}
SQUASHED = {"0001_both": migration(CREATE, add("note"), replaces=("0001_first", "0002_note"))}
DROP = {"0003_drop": migration(remove("note"), after="0002_note")}
AFTER = {"0003_drop": migration(remove("note"), after="0001_both")}


@pytest.mark.parametrize("parts", [FIRST, {}], ids=["the parts stay", "the parts are gone"])
def test_what_a_squashed_migration_replaces_is_known(parts: dict[str, str], release: Releases) -> None:
    """As in the history that went wrong: squashed, and the column of the release before taken away."""
    old, new = release("note", FIRST), release("", {**parts, **SQUASHED, **AFTER})
    old.migrate()
    answer = new.ask(old)
    assert (answer["pending"], answer["strangers"], answer["stale"]) == (["art.0003_drop"], [], [])
    assert answer["breaking"] == {"art.0003_drop": ["RemoveField drops the column art_work.note"]}
    new.migrate()
    answer = new.ask(old)
    assert (answer["ahead"], answer["no_way_back"]) == (["art.0003_drop"], {})
    assert answer["ahead_breaking"] == {"art.0003_drop": ["RemoveField drops the column art_work.note"]}
    lacking = old.ask(new)
    assert (lacking["strangers"], lacking["lacking"]) == (["art.0003_drop"], ["there is no column art_work.note"])
    assert new.back(old)[0] == {"taken": ["art.0003_drop"], "left": []}
    assert new.columns == {"id", "note"}
    assert old.ask(new)["lacking"] == []


def test_of_a_squashed_migration_a_part_can_be_known(release: Releases) -> None:
    squashed = {"0001_all": migration(CREATE, replaces=("0001_first", "0002_note", "0003_drop"))}
    old, new = release("note", FIRST), release("", {**FIRST, **DROP, **squashed})
    old.migrate()
    assert new.ask(old)["breaking"] == {"art.0003_drop": ["RemoveField drops the column art_work.note"]}
    new.migrate()
    answer = new.ask(old)
    assert answer["ahead"] == ["art.0003_drop"]
    assert answer["ahead_breaking"] == {"art.0003_drop": ["RemoveField drops the column art_work.note"]}
    assert answer["no_way_back"] == {"art.0003_drop": "they are part of a squashed migration"}
    taken, said = new.back(old)
    assert taken == {"taken": [], "left": ["art.0003_drop"]}
    assert "No migration was reversed, since they are part of a squashed migration.\n" in said
    assert said.endswith("Still applied: art.0003_drop.\n")


def test_a_squash_that_names_its_parts_no_more_is_not_taken_for_new_tables(release: Releases) -> None:
    """Taking it back would drop them."""
    old = release("note", FIRST)
    finished = {"0001_both": migration(CREATE, add("note")), "0002_drop": migration(remove("note"), after="0001_both")}
    between, new = release("note", {**FIRST, **SQUASHED}), release("", finished)
    old.migrate()
    between.migrate()
    assert new.ask(between)["strangers"] == [], "the live release has them by the squashed one"
    new.migrate()
    answer = new.ask(old)
    assert answer["ahead_breaking"] == {"art.0002_drop": ["RemoveField drops the column art_work.note"]}
    assert set(answer["no_way_back"].values()) == {"the migrations of art can't be compared"}
    assert new.back(old)[0] == {"taken": [], "left": ["art.0001_both", "art.0002_drop"]}
    assert new.columns == {"id"}
    assert new.ask(between)["ahead"] == ["art.0002_drop"]


def test_a_squash_whose_parts_are_all_applied_is_still_to_be_noted(release: Releases) -> None:
    """Nothing is pending; but what names the parts no more, later, would be begun anew."""
    release("note", FIRST).migrate()
    new = release("note", SQUASHED)
    answer = new.ask()
    assert (answer["pending"], answer["unrecorded"]) == ([], ["art.0001_both"])
    new.migrate()
    assert new.ask()["unrecorded"] == []


def test_a_squash_that_is_applied_in_part_and_has_lost_its_parts_lacks_something(release: Releases) -> None:
    """Django passes over it, as if all were applied."""
    old = release("note", FIRST)
    old.migrate()
    both = migration(add("note"), add("more"), after="0001_first", replaces=("0002_note", "0003_more"))
    answer = release("note more", {"0001_first": FIRST["0001_first"], "0002_both": both}).ask(old)
    assert answer["pending"] == []
    assert answer["lacking"] == ["art.0002_both is partly applied, and the migrations that it replaces are missing"]


def test_of_a_squash_that_another_knows_in_part_nothing_is_taken_back(release: Releases) -> None:
    """It would take the part along that is known."""
    more = {"0002_more": migration(add("more"), after="0001_first")}
    old = release("", {"0001_first": FIRST["0001_first"]})
    between = release("more", {"0001_first": FIRST["0001_first"], **more})
    between.migrate()
    new = release("more", {"0001_all": migration(CREATE, add("more"), replaces=("0001_first", "0002_more"))})
    new.migrate()
    answer = new.ask(old)
    assert answer["no_way_back"] == {"art.0001_all": "they are part of a squashed migration"}
    assert new.back(old)[0] == {"taken": [], "left": ["art.0001_all"]}
    assert new.columns == {"id", "more"}


def test_code_that_is_older_than_the_database_says_what_it_lacks(release: Releases) -> None:
    old, new = release("note", FIRST), release("", {**FIRST, **DROP})
    new.migrate()
    answer = old.ask(new)
    assert (answer["strangers"], answer["pending"]) == (["art.0003_drop"], [])
    assert answer["lacking"] == ["there is no column art_work.note"]
    assert new.ask(old)["lacking"] == []


def test_what_is_pending_is_no_lack(release: Releases) -> None:
    other = {"0002_more": migration(add("more"), after="0001_first")}
    branch = release("more", {"0001_first": FIRST["0001_first"], **other})
    main = release("note", FIRST)
    branch.migrate()
    answer = main.ask(branch)
    assert (answer["pending"], answer["strangers"], answer["lacking"]) == (["art.0002_note"], ["art.0002_more"], [])


def test_what_neither_release_has_is_told_apart(release: Releases) -> None:
    release("", {**FIRST, **DROP}).migrate()
    answer = release("note", FIRST).ask(release("note", FIRST))
    assert (answer["strangers"], answer["stale"]) == ([], ["art.0003_drop"])
    assert answer["lacking"] == ["there is no column art_work.note"]


def test_of_two_branches_only_what_came_after_both_is_taken_back(release: Releases) -> None:
    left = {**FIRST, "0003_left": migration(add("left"), after="0002_note")}
    right = {"0003_right": migration(add("right"), after="0002_note")}
    merged = {"0004_merge": migration(after="0003_left 0003_right")}
    old, new = release("note left", left), release("note left right", {**left, **right, **merged})
    new.migrate()
    answer = new.ask(old)
    assert answer["ahead"] == ["art.0003_right", "art.0004_merge"]
    assert answer["no_way_back"] == dict.fromkeys(
        answer["ahead"], "other migrations, which stay, were applied in between"
    )
    assert new.back(old)[0]["taken"] == []
    assert new.columns == {"id", "note", "left", "right"}


def test_only_what_a_deploy_has_applied_is_taken_back(release: Releases) -> None:
    more = {**FIRST, "0003_more": migration(add("more"), after="0002_note")}
    new = release("more", {**more, "0004_drop": migration(remove("note"), after="0003_more")})
    new.migrate()
    assert new.back(release("note", FIRST), '["art.0004_drop"]')[0] == {"taken": ["art.0004_drop"], "left": []}
    assert new.columns == {"id", "note", "more"}


def test_what_can_not_be_taken_back_is_left_whole(release: Releases) -> None:
    stuck = {"0004_stuck": migration("migrations.RunPython(print)", after="0003_drop")}
    new = release("", {**FIRST, **DROP, **stuck})
    new.migrate()
    taken, said = new.back(release("note", FIRST))
    assert taken == {"taken": [], "left": ["art.0003_drop", "art.0004_stuck"]}
    assert "No migration was reversed, since these can't be reversed: art.0004_stuck (RunPython print).\n" in said


def test_what_fails_at_going_back_is_told_by_what_the_database_says(release: Releases) -> None:
    more = "\ndef fail(apps, editor):\n    raise ValueError('not now')\n\n"
    text = migration("migrations.RunPython(migrations.RunPython.noop, fail)", after="0003_drop")
    new = release("", {**FIRST, **DROP, "0004_fails": text.replace("\n\nclass", f"{more}\nclass")})
    new.migrate()
    taken, said = new.back(release("note", FIRST))
    assert taken == {"taken": [], "left": ["art.0003_drop", "art.0004_fails"]}
    assert "ValueError: not now" in said


# Several databases, and commands of the project's own

ROUTER = """\
DATABASES["stats"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASES["default"]["NAME"] + "-stats"}
DATABASE_ROUTERS = ["web.router.Router"]
INSTALLED_APPS += ["stats"]
"""
ROUTES = """
class Router:
    def db_for_write(self, model, **hints):
        return "stats" if model._meta.app_label == "stats" else None
    def allow_migrate(self, db, app_label, **hints):
        return {allows}
"""
APART = '(db == "stats") == (app_label == "stats")'
HALF = 'db == "stats" if app_label == "stats" else None'
HIT = "from django.db import models\n\nclass Hit(models.Model):\n    path = models.TextField()\n"
HITS = TOP + "    operations = [migrations.CreateModel('Hit', [('id', models.AutoField(primary_key=True))])]\n"


def with_stats(release: Releases, allows: str = APART, settings: str = ROUTER) -> Release:
    files = {"stats/migrations/0001_hits.py": HITS, "stats/migrations/__init__.py": "", "stats/models.py": HIT}
    return release("note", FIRST, {"web/router.py": ROUTES.format(allows=allows), **files}, settings)


@pytest.mark.parametrize("allows", [APART, HALF])
def test_what_a_router_sends_elsewhere_is_migrated_there(allows: str, release: Releases) -> None:
    new = with_stats(release, allows)
    answer = new.ask()
    assert (answer["aliases"], answer["pending_in"]) == (["default", "stats"], ["default", "stats"])
    assert "stats.0001_hits (stats)" in answer["pending"]
    new.migrate()
    answer = new.ask()
    assert (answer["pending"], answer["pending_in"]) == (["stats.0001_hits (stats)"], ["stats"])
    new.migrate("--database", "stats")
    assert new.ask()["pending"] == []


def test_a_database_that_no_model_is_sent_to_is_left_alone(release: Releases) -> None:
    new = release("note", FIRST, settings=ROUTER.partition("DATABASE_ROUTERS")[0])
    assert new.ask()["aliases"] == ["default"]


def test_a_database_that_can_not_be_opened_is_named(release: Releases) -> None:
    new = with_stats(release, settings=ROUTER.replace('"-stats"', '"/no/folder"'))
    answer = new.ask()
    assert answer["unreachable"] == {"stats": "unable to open database file"}
    assert answer["aliases"] == ["default"]


def test_a_project_with_a_migrate_command_of_its_own_says_so(release: Releases) -> None:
    command = "from django.core.management.commands.migrate import Command as Command\n"
    folders = dict.fromkeys(("art/management/__init__.py", "art/management/commands/__init__.py"), "")
    own = {**folders, "art/management/commands/migrate.py": command}
    new, old = release("note", FIRST, own), release("note", {"0001_first": FIRST["0001_first"]})
    assert (new.ask()["migrate"], old.ask()["migrate"]) == ("art", "")
    new.migrate()
    taken, said = new.back(old)
    assert taken == {"taken": [], "left": ["art.0002_note"]}
    assert "No migration was reversed, since only the migrate command of art can do it" in said


def test_changes_of_models_without_a_migration_are_named(release: Releases) -> None:
    assert release("note more", FIRST).ask(None, "", "check")["unwritten"] == {"art": ["Add field more to work"]}
    assert release("note", FIRST).ask(None, "", "check")["unwritten"] == {}
    demands = {"art/models.py": MODELS.format("    late = models.DateField()\n    note = models.TextField()\n")}
    told = release("", FIRST, demands).ask(None, "", "look")["unwritten"]
    assert told == {"art": ["Add field late to work", "Alter field note on work"]}, (
        "a default that makemigrations asks for"
    )
    assert release("note more", FIRST).ask()["unwritten"] == {}, "it takes a while, so it is asked for once"


def test_the_digest_of_what_a_release_has_changes_with_it(release: Releases) -> None:
    same, other = release("note", FIRST), release("note", {**FIRST, **DROP})
    assert same.ask()["knowledge"] == release("", FIRST).ask()["knowledge"] != other.ask()["knowledge"]

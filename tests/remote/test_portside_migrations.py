"""What migrations do to a release that doesn't know them: real operations, judged with the real Django on SQLite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.state import ProjectState

from deploy.ssh.payload import REMOTE
from tests import sample

if not settings.configured:
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
    django.setup()

sys.path.insert(0, str(REMOTE))
import portside_compatibility
import portside_migrations as about
import portside_tables

sys.path.remove(str(REMOTE))

Add, Alter, Remove, Rename = migrations.AddField, migrations.AlterField, migrations.RemoveField, migrations.RenameField
SQL, Apart = migrations.RunSQL, migrations.SeparateDatabaseAndState


def text(size: int = 40, **options: Any) -> models.CharField[str, str]:
    return models.CharField(max_length=size, **options)


BEFORE = [
    migrations.CreateModel("Author", [("id", models.AutoField(primary_key=True))]),
    migrations.CreateModel(
        "Work",
        [
            ("id", models.AutoField(primary_key=True)),
            ("title", text()),
            ("note", text(null=True)),
            ("given", text(db_default="x")),
            ("size", models.IntegerField()),
            ("price", models.DecimalField(max_digits=6, decimal_places=2)),
            ("author", models.ForeignKey("art.Author", models.CASCADE)),
            ("tags", models.ManyToManyField("art.Author", related_name="+")),
        ],
    ),
]


def one(*operations: Any, name: str = "0002_next", **changed: Any) -> Any:
    made = migrations.Migration(name, "art")
    made.operations = list(operations)
    for key, value in changed.items():
        setattr(made, key, value)
    return made


def state(*operations: Any) -> ProjectState:
    return one(*operations).mutate_state(ProjectState())


def judge(*operations: Any, forgotten: tuple[Any, ...] = ()) -> portside_compatibility.Judge:
    """Judged by a release that knows BEFORE, and has forgotten what these operations change."""
    judge = portside_compatibility.Judge(tables(*forgotten), state(*BEFORE, *forgotten))
    for operation in operations:
        judge.take(operation, one())
    return judge


def tables(*forgotten: Any) -> Any:
    return portside_tables.tables(state(*BEFORE, *forgotten))


def breaks(*operations: Any, forgotten: tuple[Any, ...] = ()) -> list[str]:
    found: list[str] = judge(*operations, forgotten=forgotten).breaking.get("art.0002_next", [])
    return found


KEEP = models.DO_NOTHING
DEMANDS = "without a default in the database: db_default or null=True fixes that"


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (Remove("work", "title"), "drops the column art_work.title"),
        (Remove("work", "tags"), "drops the table art_work_tags"),
        (migrations.DeleteModel("Work"), "drops the table art_work"),
        (Rename("work", "title", "name"), "renames the column art_work.title to name"),
        (Rename("work", "author", "maker"), "renames the column art_work.author_id to maker_id"),
        (migrations.AlterModelTable("Author", "people"), "renames the table art_author to people"),
        (Alter("work", "note", text()), "makes the column art_work.note NOT NULL"),
        (Alter("work", "note", text(db_default="")), "makes the column art_work.note NOT NULL"),
        (Alter("work", "title", text(9)),
         "changes the type of the column art_work.title from varchar(40) to varchar(9)"),
        (Alter("work", "size", text()), "changes the type of the column art_work.size from integer to varchar(40)"),
        (Alter("work", "title", text(db_column="name")), "renames the column art_work.title to name"),
        (Alter("work", "given", text()), "removes the database's default from the NOT NULL column art_work.given"),
        (Add("work", "more", text()), f"adds the NOT NULL column art_work.more {DEMANDS}"),
        (Add("work", "more", text(default="x")), f"adds the NOT NULL column art_work.more {DEMANDS}"),
        (Add("work", "x", models.ForeignKey("art.Author", KEEP)), f"adds the NOT NULL column art_work.x_id {DEMANDS}"),
    ],
)  # fmt: skip
def test_what_breaks_is_told_in_a_phrase(operation: Any, told: str) -> None:
    assert breaks(operation) == [f"{type(operation).__name__} {told}"]


def test_a_renamed_model_takes_its_tables_along() -> None:
    told = breaks(migrations.RenameModel("Work", "Piece"))
    assert told[:2] == [
        "RenameModel renames the table art_work to art_piece",
        "RenameModel renames the table art_work_tags to art_piece_tags",
    ]


GENERATED = {"expression": models.F("title"), "output_field": text(), "db_persist": True}


@pytest.mark.parametrize(
    "operation",
    [
        Add("work", "more", text(null=True)),
        Add("work", "more", text(db_default="")),
        Add("work", "more", models.GeneratedField(**GENERATED)),
        Add("work", "friends", models.ManyToManyField("art.Author", related_name="+")),
        Alter("work", "title", text(80)),
        Alter("work", "title", models.TextField()),
        Alter("work", "title", text(null=True)),
        Alter("work", "title", text(default="x", blank=True)),
        Alter("work", "title", text(db_default="")),
        Alter("work", "size", models.BigIntegerField()),
        migrations.AddIndex("work", models.Index(fields=["title"], name="by_title")),
        migrations.AlterModelOptions("work", {"ordering": ["title"]}),
        migrations.CreateModel("Frame", [("id", models.AutoField(primary_key=True)), ("kind", text())]),
        migrations.RunPython(migrations.RunPython.noop),
        SQL("insert into art_author values (1); create index if not exists x on art_work (title)"),
        SQL(SQL.noop),
    ],
)
def test_what_adds_and_widens_breaks_nobody(operation: Any) -> None:
    seen = judge(operation)
    assert (seen.breaking, seen.unjudged) == ({}, {})


@pytest.mark.parametrize(
    ("new", "old", "holds"),
    [
        ("bigint", "integer", True),
        ("integer", "bigint", False),
        ("varchar", "varchar(9)", True),
        ("varchar(9)", "varchar", False),
        ("text", "varchar(9)", True),
        ("numeric(8, 2)", "numeric(6, 2)", True),
        ("numeric(8, 3)", "numeric(6, 2)", False),
        ("uuid", "varchar(36)", False),
    ],
)
def test_a_wider_type_holds_what_a_narrower_held(new: str, old: str, holds: bool) -> None:
    assert portside_tables._holds(new, old) is holds


def test_a_model_made_in_the_same_set_can_break_nobody() -> None:
    made = migrations.CreateModel("Frame", [("id", models.AutoField(primary_key=True))])
    assert breaks(made, Add("frame", "kind", text()), Rename("frame", "kind", "sort"), Remove("frame", "sort")) == []


def test_a_field_made_in_the_same_set_can_be_changed_and_dropped() -> None:
    made = Add("work", "more", text(null=True))
    assert breaks(made, Rename("work", "more", "extra"), Alter("work", "extra", text(9, null=True))) == []
    assert breaks(made, Remove("work", "more")) == []


def test_a_field_made_in_the_same_set_may_not_demand_a_value_in_the_end() -> None:
    made = Add("work", "more", text(null=True))
    assert breaks(made, Alter("work", "more", text())) == ["AlterField makes the column art_work.more NOT NULL"]


def test_what_only_django_is_told_breaks_nobody() -> None:
    assert breaks(Apart(state_operations=[Remove("work", "title")])) == []
    assert breaks(Apart(state_operations=[Remove("work", "title")]), Add("author", "x", text(null=True))) == []


def test_what_is_done_to_the_database_alone_counts() -> None:
    apart = Apart(database_operations=[Remove("work", "title")])
    assert breaks(apart) == ["RemoveField drops the column art_work.title"]
    nested = Apart(database_operations=[Apart(database_operations=[SQL("drop table art_work")])])
    assert breaks(nested) == ["RunSQL drops the table art_work"]


@pytest.mark.parametrize(
    "contract",
    [
        [SQL('ALTER TABLE "art_work" DROP COLUMN "title"')],
        [Apart(state_operations=[Add("work", "title", text(null=True))]), Remove("work", "title")],
    ],
)
def test_the_contract_step_breaks_nobody_once_the_release_has_forgotten(contract: list[Any]) -> None:
    forgotten = (Remove("work", "title"),)
    assert breaks(*contract, forgotten=forgotten) == []
    seen = portside_compatibility.Judge(tables(), state(*BEFORE, *forgotten))
    for operation in contract:
        seen.take(operation, one())
    assert seen.breaking, "a release that still knows the column is broken by it"


SOMETHING = "drops or renames something:"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("alter table art_work drop column title", ["drops the column art_work.title"]),
        ("ALTER TABLE IF EXISTS public.art_work DROP IF EXISTS Title CASCADE", ["drops the column art_work.title"]),
        ("alter table art_work add x int null, drop note", ["drops the column art_work.note"]),
        ("alter table art_work rename title to name", ["renames the column art_work.title"]),
        ("alter table art_work rename to piece", ["renames the table art_work"]),
        ("alter table art_work set schema old", ["renames the table art_work"]),
        ("alter table art_work alter note set not null", ["makes the column art_work.note NOT NULL"]),
        ("alter table art_work alter column size type text", ["changes the type of the column art_work.size"]),
        ("alter table art_work alter given drop default", ["removes the default from the column art_work.given"]),
        ("alter table art_work add y numeric(6,2) not null", ["adds the NOT NULL column art_work.y without a DEFAULT"]),
        ("select 1; drop table if exists other, art_work cascade", ["drops the table art_work"]),
        ("drop view works", [f"{SOMETHING} drop view works"]),
        ("alter type colour rename value 'a' to 'b'", [f"{SOMETHING} alter type colour rename value to"]),
        ("do $$ begin alter table art_work drop x; end $$", [f"{SOMETHING} do $$ begin alter table art_work drop x"]),
        ("alter table art_work drop constraint c, drop column unknown", []),
        ("alter table art_work alter note drop not null, alter title set default ''", []),
        ("alter table art_work alter title drop default, add z int not null default 3", []),
        ("alter table other drop column title; drop table other", []),
        ("drop index by_title; alter index a rename to b; drop trigger t on art_work", []),
        ("-- drop table art_work\n/* drop table art_work */ insert into x values ('; drop table art_work')", []),
        ("update art_work set title = 'a;b' where note is not null", []),
    ],
)  # fmt: skip
def test_sql_is_told_by_its_words(sql: str, told: list[str]) -> None:
    assert breaks(SQL(sql)) == [f"RunSQL {phrase}" for phrase in told]
    assert breaks(SQL([(sql, None)])) == [f"RunSQL {phrase}" for phrase in told]


def test_sql_with_the_state_it_makes_is_judged_by_its_words_alone() -> None:
    sql = SQL("alter table art_work add more text", state_operations=[Add("work", "more", text())])
    assert breaks(sql, Add("author", "x", text(null=True))) == []


def test_what_nobody_can_tell_is_named() -> None:
    def forget(apps: object, editor: object) -> None: ...

    class Own(migrations.AlterModelOptions):
        """A library's."""

    seen = judge(migrations.RunPython(forget), Own("work", {}))
    assert seen.unjudged == {"art.0002_next": ["RunPython forget", "Own"]}


def test_what_can_not_be_taken_back_is_named() -> None:
    def forget(apps: object, editor: object) -> None: ...

    stuck = one(migrations.RunPython(forget), Apart(database_operations=[SQL("select 1")]), name="0003_stuck")
    fine = one(Remove("work", "title"), migrations.RunPython(forget, forget), SQL("select 1", "select 2"))
    assert about.irreversible([stuck, fine]) == {"art.0003_stuck": "RunPython forget, RunSQL"}


def test_what_stays_half_done_is_named() -> None:
    assert about.loose([one(), one(name="0003_bare", atomic=False)]) == ["art.0003_bare"]


# With migrations on the disk, and the answer as a whole

FILES = {
    "manage.py": "",
    "web/__init__.py": "",
    "web/settings.py": "import os\nSECRET_KEY = 'x'\nINSTALLED_APPS = ['art', 'new']\n"
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db.sqlite3'}}\n",
    "art/__init__.py": "",
    "art/models.py": "",
    "art/migrations/__init__.py": "",
    "new/__init__.py": "",
    "new/models.py": "",
    "new/migrations/__init__.py": "",
}
TOP = "from django.db import migrations, models\nclass Migration(migrations.Migration):\n"


def written(app: str, name: str, operations: str, *after: str) -> dict[str, str]:
    body = f"    dependencies = [{', '.join(after)}]\n    operations = [{operations}]\n"
    return {f"{app}/migrations/{name}.py": TOP + body}


WORK = "migrations.CreateModel('Work', [('id', models.AutoField(primary_key=True)), ('title', models.TextField())])"
MORE = "migrations.AddField('work', 'more', models.TextField(null=True))"
MIGRATIONS = {
    **written("art", "0001_initial", WORK),
    **written("art", "0002_more", MORE, "('art', '0001_initial')"),
    **written("art", "0003_drop", "migrations.RemoveField('work', 'title')", "('art', '0002_more')"),
    **written("new", "0001_initial", "migrations.RunSQL('select 1')", "('art', '0002_more')"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    sample.files(tmp_path, FILES | MIGRATIONS)
    return tmp_path


def python(project: Path, *words: str) -> str:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "web.settings", "PYTHONPATH": str(project)}
    done = subprocess.run(
        (sys.executable, *words), cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def migrate(project: Path, *to: str) -> None:
    python(project, "-m", "django", "migrate", "--verbosity", "0", *to)


def ask(project: Path, known: Any = None, *more: str) -> dict[str, Any]:
    """The answer about what another release knows: as it said itself, or, as older versions noted, its last ones."""
    other = project / "other.json"
    other.write_text(json.dumps(known if known and "knows" in known else {"leaves": known}))
    said = python(project, str(REMOTE / "ask.py"), "", "" if known is None else str(other), *more)
    lines = dict(line.split(":", 1) for line in said.splitlines() if line.startswith("portside-"))
    answer: dict[str, Any] = json.loads(lines["portside-answer"])
    return answer | {"knows": json.loads(lines["portside-knows"])} if "portside-knows" in lines else answer


def test_the_answer_has_a_line_of_its_own_whatever_else_is_said(project: Path) -> None:
    """Warnings that came by another way could be put in the middle of it."""
    with (project / "web" / "settings.py").open("a", encoding="utf-8") as settings:
        settings.write('\nprint("a project that talks", end="")\n')
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "web.settings"}
    words = (sys.executable, str(REMOTE / "ask.py"), "", "", "", "check")
    done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, check=True)
    (answer,) = (line for line in done.stdout.splitlines() if line.startswith("portside-answer:"))
    assert json.loads(answer.partition(":")[2])["settings_module"] == "web.settings"
    assert "(security.W" in done.stdout
    assert done.stderr == ""


def test_a_first_release_is_judged_by_nobody(project: Path) -> None:
    answer = ask(project)
    assert answer["pending"] == ["art.0001_initial", "art.0002_more", "art.0003_drop", "new.0001_initial"]
    assert (answer["applied"], answer["breaking"], answer["ahead"]) == (0, {}, [])
    assert answer["leaves"] == {"art": "0003_drop", "new": "0001_initial"}


def test_what_is_pending_is_judged_by_what_the_live_release_knows(project: Path) -> None:
    migrate(project, "art", "0002_more")
    answer = ask(project, {"art": "0002_more"})
    assert answer["pending"] == ["art.0003_drop", "new.0001_initial"]
    assert answer["breaking"] == {"art.0003_drop": ["RemoveField drops the column art_work.title"]}
    assert (answer["loose"], answer["ahead"]) == ([], [])
    assert ask(project, {})["breaking"] == answer["breaking"], "or by what is applied, where that isn't known"
    assert ask(project, {"art": "0099_squashed"})["breaking"] == answer["breaking"]


def test_what_a_failed_deploy_left_applied_is_nothing_the_live_release_knows(project: Path) -> None:
    drop = "migrations.RemoveField('work', 'more')"
    sample.files(project, written("art", "0003_drop", drop, "('art', '0002_more')"))
    migrate(project, "art", "0002_more")
    assert ask(project, {"art": "0001_initial"})["breaking"] == {}
    assert ask(project, {"art": "0002_more"})["breaking"] != {}


def test_what_is_ahead_of_a_release_is_judged_by_what_that_one_knows(project: Path) -> None:
    migrate(project)
    answer = ask(project, {"art": "0001_initial"})
    assert answer["pending"] == []
    assert answer["ahead"] == ["art.0002_more", "art.0003_drop", "new.0001_initial"]
    assert answer["ahead_breaking"] == {"art.0003_drop": ["RemoveField drops the column art_work.title"]}
    assert answer["irreversible"] == {"new.0001_initial": "RunSQL"}
    assert ask(project, {"art": "0003_drop", "new": "0001_initial"})["ahead"] == []


def test_what_was_taken_back_is_not_ahead(project: Path) -> None:
    migrate(project, "art", "0002_more")
    assert ask(project, {"art": "0001_initial"})["ahead"] == ["art.0002_more"]


def test_an_app_whose_last_migration_is_gone_counts_as_unknown(project: Path) -> None:
    migrate(project, "art", "0002_more")
    answer = ask(project, {"art": "0099_squashed"})
    assert answer["ahead"] == ["art.0001_initial", "art.0002_more"]
    told = ["it can't be compared with that release's migrations"]
    assert answer["ahead_unjudged"] == dict.fromkeys(answer["ahead"], told)
    assert answer["no_way_back"] == dict.fromkeys(answer["ahead"], "the migrations of art can't be compared")


def test_a_project_without_a_database_has_no_migrations(project: Path) -> None:
    settings = (project / "web/settings.py").read_text().partition("DATABASES")[0]
    sample.files(project, {"web/settings.py": settings})
    assert ask(project, {})["pending"] == []

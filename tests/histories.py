"""Deploys, rollbacks and what breaks them off, in any order, of any histories of a model: the live release can work
with the database afterwards, or that was refused or allowed by name.

The stages are Portside's own, and so is what they run in a release's image. The database is SQLite, which the real
Django migrates. It needs a process of its own: PYTHONPATH=deploy/remote python -m tests.histories [EXAMPLES]
"""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import ask
import back
import django
import portside_migrations
import portside_project
import portside_tables
from django.conf import settings
from django.core.management import call_command
from django.db import connection, models
from django.db.backends.sqlite3.schema import DatabaseSchemaEditor
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.writer import MigrationWriter
from hypothesis import HealthCheck, given, note
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from deploy.build import source
from deploy.core.errors import ConnectionLost, PortsideError, StepFailed
from deploy.core.facts import Facts
from deploy.core.steps import Step, Write
from deploy.flows import runner
from deploy.flows.context import Run
from deploy.flows.flow import FLOWS
from deploy.flows.stages import build
from deploy.flows.stages.registry import STAGES, Definition
from deploy.releases import history
from deploy.ssh.results import Result
from tests import sample

FOLDER = Path(tempfile.mkdtemp(prefix="portside-histories-"))
SETTINGS = sample.settings(FOLDER)
STAGES["begin"] = Definition(build.begin)
FLOWS["deploy"] = replace(FLOWS["deploy"], stages=("lock", "begin", "prepare", "start", "switch"))
FLOWS["rollback"] = replace(FLOWS["rollback"], stages=("lock", "choose", "migrations", "start", "switch"))
FLOWS["abort"] = replace(FLOWS["abort"], stages=("lock",))
REMAKE = DatabaseSchemaEditor._remake_table
done: Counter[str] = Counter()

# Histories


class Part(NamedTuple):
    """A migration."""

    after: tuple[str, ...]
    operations: Sequence[Any] = ()
    replaces: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        migration = Migration(name, "art")
        migration.operations, migration.replaces = list(self.operations), [("art", one) for one in self.replaces]
        migration.dependencies = [("art", one) for one in self.after]
        return str(MigrationWriter(migration, include_header=False).as_string())

    @property
    def fields(self) -> set[Any]:
        return {vars(one).get(name) for one in self.operations for name in ("name", "old_name")} - {None, "Work"}


Parts = dict[str, Part]
KINDS = (models.TextField(null=True), models.TextField(db_default=""), models.TextField(default=""))
TABLE = operations.CreateModel("Work", [("id", models.AutoField(primary_key=True)), ("f0", KINDS[0])])


class Code:
    """A commit's code: its migrations, and the model that they make. Raises what Django does where they don't fit."""

    many = 0

    def __init__(self, parts: Parts, *parents: Code) -> None:
        Code.many += 1
        self.parts, self.package = parts, f"code{Code.many}"
        self.before: set[Code] = {self}.union(*(parent.before for parent in parents))
        texts = {f"{name}.py": part.text(name) for name, part in parts.items()}
        sample.files(FOLDER / self.package, {"__init__.py": "", **texts})
        importlib.invalidate_caches()
        settings.MIGRATION_MODULES = {"art": self.package}
        loader = MigrationLoader(None)
        ((_, self.leaf),) = loader.graph.leaf_nodes()
        self.plan = [name for _, name in loader.graph.forwards_plan(("art", self.leaf))]
        state = loader.project_state()
        self.apps, self.model = state.apps, state.models["art", "work"]
        self.heard: set[str] = {*parts}.union(*(part.replaces for part in parts.values()))

    def __repr__(self) -> str:
        return self.package

    @contextmanager
    def running(self) -> Iterator[None]:
        """This code is the one that runs."""
        settings.MIGRATION_MODULES = {"art": self.package}
        with patch.object(portside_tables, "apps", self.apps), patch.object(portside_migrations, "apps", self.apps):
            yield

    def edited(self, kind: str, name: str, first: int, second: int, other: Code) -> Code:
        """The commit after this one. ``other``: for a merge with it. Raises where nothing comes of it."""
        if kind == "merge":
            return Code(self._merged(other, name), self, other)
        change = {"squash": self._squashed, "finish": self._finished}.get(kind, self._changed)
        return Code(change(kind, name, first, second), self)

    def _changed(self, kind: str, name: str, first: int, second: int) -> Parts:
        field, new = KINDS[first % 3], f"f{Code.many}"
        fields = [each for each in self.model.fields if each != "id"] or [""]
        old = fields[second % len(fields)]
        operation = {
            "add": operations.AddField("work", new, field),
            "alter": operations.AlterField("work", old, field),
            "remove": operations.RemoveField("work", old),
            "rename": operations.RenameField("work", old, new),
            "code": operations.RunPython(*[operations.RunPython.noop] * (1 + bool(first))),
        }[kind]
        return {**self.parts, name: Part((self.leaf,), [operation])}

    def _squashed(self, kind: str, name: str, first: int, second: int) -> Parts:
        start = first % max(1, len(self.plan) - 1)
        names = self.plan[start : start + 2 + second // 2]
        parts = [self.parts[each] for each in names]
        assert len(parts) > 1 and not any(part.replaces for part in parts)  # Django 6 alone squashes squashed ones
        after = tuple({one: 1 for part in parts for one in part.after if one not in names})
        together = MigrationOptimizer().optimize([one for part in parts for one in part.operations], "art")
        squashed = {**self.parts, name: Part(after, together, tuple(names))}
        return squashed if second % 2 else _without_parts(squashed, name)

    def _finished(self, kind: str, name: str, first: int, second: int) -> Parts:
        squashed = next(each for each, part in self.parts.items() if part.replaces)
        parts = _without_parts(self.parts, squashed)
        return {**parts, squashed: parts[squashed]._replace(replaces=())}

    def _merged(self, other: Code, name: str) -> Parts:
        """As git does it, by file. What both have changed may have been applied in any order, and is left out."""
        base = max(self.before & other.before, key=lambda code: int(code.package[4:])).parts
        assert other not in self.before and self not in other.before
        mine, theirs = ({n: p for n, p in code.parts.items() if base.get(n) is not p} for code in (self, other))
        fields = [set().union(*(part.fields for part in parts.values())) for parts in (mine, theirs)]
        assert not fields[0] & fields[1]
        gone = base.keys() - (self.parts.keys() & other.parts.keys())
        parts = {n: p for n, p in {**base, **theirs, **mine}.items() if n not in gone}
        return {**parts, name: Part(tuple({one: 1 for one in (self.leaf, other.leaf) if one in parts}))}


def _without_parts(parts: Parts, squashed: str) -> Parts:
    """What comes after the parts comes after what replaces them."""
    gone = parts[squashed].replaces
    afters = {name: tuple({squashed if one in gone else one: 1 for one in part.after}) for name, part in parts.items()}
    return {n: p if p.after == afters[n] else p._replace(after=afters[n]) for n, p in parts.items() if n not in gone}


# The database


def columns() -> dict[str, portside_tables.Column]:
    with connection.cursor() as cursor:
        rows = cursor.execute("pragma table_info(art_work)").fetchall()
    made = portside_tables.Column
    return {
        name: made(kind.lower(), not must, given is not None or bool(key)) for _, name, kind, must, given, key in rows
    }


def there(alias: str, wanted: object) -> dict[str, dict[str, portside_tables.Column]]:
    """As much as is told of PostgreSQL."""
    return {"art_work": columns()} if columns() else {}


def applied() -> set[str]:
    return {name for _, name in MigrationRecorder(connection).applied_migrations()}


def remake(editor: DatabaseSchemaEditor, model: Any, **changes: Any) -> None:
    """As PostgreSQL, and unlike Django on SQLite: what a code doesn't know of a table stays when it changes that."""
    known = {field.column for field in (*model._meta.local_fields, changes.get("create_field")) if field}
    for name, column in columns().items():
        if name not in known:
            given = {"db_default": ""} if column.default else {}
            model.add_to_class(name, models.TextField(null=column.null, **given))
    REMAKE(editor, model, **changes)


def faults(code: Code) -> set[str]:
    """What the code can't do: read all of its columns, and write a row with its own alone; as the database says."""
    own = {field: "" for field in code.model.fields if field != "id"}
    least = {n: None if code.model.fields[n].null else "" for n in own if not code.model.fields[n].has_db_default()}
    found = {fault for name in ("id", *own) if (fault := _fault(f"select {name} from art_work"))}
    for row in (own, least):
        while fault := _insert({name: value for name, value in row.items() if name in columns() or not columns()}):
            found.add(fault)
            name = fault.rpartition(".")[2]
            if "NOT NULL" not in fault or row.get(name) == "":
                break
            row[name] = ""
    return found


def _insert(row: dict[str, str | None]) -> str:
    names = ", ".join(["id", *row])
    return _fault(f"insert into art_work ({names}) values (null{', ?' * len(row)})", *row.values())


def _fault(sql: str, *values: str | None) -> str:
    connection.ensure_connection()
    raw = connection.connection
    try:
        raw.execute("begin")
        raw.execute(sql, values)
    except Exception as error:  # whatever the database has against it
        return str(error)
    finally:
        raw.execute("rollback")
    return ""


# The server


class Server(sample.Paper):
    """One on which what is about the database is really done, with the code of the release that is asked to.

    ``breaks``: migrate or start, where that fails, after ``lost`` where the connection ends there; ``after``: so many
    migrations.
    """

    def __init__(self, facts: Facts, both_run: Callable[[], None]) -> None:
        """``both_run``: called before a release starts beside the live one."""
        super().__init__(facts)
        self.codes: dict[str, Code] = {}
        self.both_run = both_run
        self.breaks, self.after = "", 0

    def _result(self, step: Step, stage: str) -> Result:
        if step.script == "start":
            self.both_run()
            self._break("start", step)
        result = super()._result(step, stage)
        self.seen = [_after(step.effect(self.seen[-1]), step)]
        return result

    def _break(self, where: str, step: Step) -> None:
        if self.breaks == f"lost {where}":
            raise ConnectionLost("The connection was lost.")
        if self.breaks == where:
            raise StepFailed(self.target, "", step.name, 1, ["it broke"])

    def _answer(self, script: str, step: Step) -> Any:
        if script not in {"ask", "migrate", "back"}:
            return super()._answer(script, step)
        identity = _identity(str(step.arguments["compose"]))
        with self.codes[identity].running(), redirect_stdout(io.StringIO()) as said:
            return {"ask": _ask, "migrate": self._migrate, "back": self._back}[script](step, said)

    def _migrate(self, step: Step, said: io.StringIO) -> None:
        left, apply = self.after, Migration.apply

        def applying(*given: Any, **more: Any) -> Any:
            nonlocal left
            if self.breaks.endswith("migrate") and not left:
                raise InterruptedError
            left -= 1
            return apply(*given, **more)

        self.seen = [replace(self.seen[-1], migrating=True)]
        try:
            with patch.object(Migration, "apply", applying):
                call_command("migrate", interactive=False, verbosity=0)
        except InterruptedError:
            self._break("migrate", step)
        except Exception as error:  # as forward.py
            done["migrations that fail by themselves"] += 1
            raise StepFailed(self.target, "", step.name, 1, [repr(error)]) from error
        self.seen = [replace(self.seen[-1], migrating=False)]

    def _back(self, step: Step, said: io.StringIO) -> Any:
        """And what it says that it came to is so."""
        code, status = self.codes[_identity(str(step.arguments["compose"]))], 0
        other, only = _known(str(step.arguments["other"])), str(step.arguments["only"])
        with patch.object(sys, "argv", ["back.py", str(FOLDER), other, only]):
            try:
                back.main()
            except SystemExit as error:
                status = int(str(error.code))
        answer = json.loads(said.getvalue().partition(portside_project.MARK)[2].splitlines()[0])
        for kind, is_so in (("taken", False), ("left", True)):
            for name in answer[kind]:
                done[f"migrations {kind}"] += 1
                assert is_applied(code, name.partition(".")[2]) == is_so, f"{name} isn't {kind}"
        if status:
            assert not answer["taken"], "what can't be taken back whole is begun"
            raise StepFailed(self.target, "", step.name, status, said.getvalue().splitlines())
        return answer


def _identity(path: str) -> str:
    return path.split("/")[-2]


def _known(path: str) -> str:
    return str(FOLDER / f"{_identity(path)}.json") if path else ""


def _ask(step: Step, said: io.StringIO) -> dict[str, Any]:
    answer: dict[str, Any] = {**sample.ANSWER, "unreachable": {}}
    try:
        answer |= ask.migrations(_known(str(step.arguments["other"])), answer, look=False)
        Path(_known(str(step.arguments["compose"]))).write_text(json.dumps(answer.pop("knows")), encoding="utf-8")
    except Exception as error:  # as ask.py
        done["projects that don't start"] += 1
        answer["failed"] = portside_project.cause(error, str(FOLDER))
    return dict(json.loads(json.dumps(answer)))


def _after(facts: Facts, step: Step) -> Facts:
    """What is written counts too, of which a foresight needs nothing."""
    if not isinstance(step, Write):
        return facts
    path, text = step.path, step.content
    if path == sample.SITE.record:
        return replace(facts, record=json.loads(text))
    if not path.endswith("/pending.json"):
        return facts
    image = sample.SITE.release(_identity(path)).image
    images = tuple({*facts.images, image})
    return replace(facts, pending=facts.pending | {_identity(path): json.loads(text)}, images=images)


# Stories


class Story:
    """The life of a site: what is done to it, and what must be so then. ``borne``: faults of the live release that were
    allowed."""

    run: Run

    def __init__(self, codes: Sequence[Code], project: source.Source) -> None:
        for table in connection.introspection.table_names():
            connection.cursor().execute(f"drop table {table}")
        self.codes, self.project, self.borne = codes, project, set[str]()
        self.server = Server(FACTS, self.both_run)

    @property
    def facts(self) -> Facts:
        return self.server.seen[-1]

    @property
    def live(self) -> Code | None:
        return self.server.codes.get(self.facts.current)

    def both_run(self) -> None:
        """Before the switch. The live release may err where that was asked for."""
        if self.live and not self.run.request.allow_breaking and not self.run.database.reverted:
            self.check(self.live, "the live release")
        if not self.run.request.allow_breaking:
            self.check(self.server.codes[self.run.candidate.paths.id], "the new release")

    def check(self, code: Code, who: str) -> None:
        assert faults(code) <= self.borne, f"{who}, {code}: {faults(code)}"

    def do(self, what: str, pick: int, how: str, after: int, allow: bool) -> None:
        """One command, and what must be so when it has ended."""
        before, old, error = (columns(), applied()), self.live, None
        self.server.seen = [replace(self.facts, clock=f"20261121-{len(self.server.codes):06}")]
        self.server.breaks, self.server.after = how, after
        self._begin(what, pick, allow)
        request = self.run.request
        name = f"{request.command}{' --migrations' * request.migrations}"
        note(f"{name}{' --allow-breaking' * allow} of {self.server.codes[request.to]}, {how or 'nothing'} breaks")
        try:
            runner.follow(self.run)
        except PortsideError as failure:
            note(f"  {failure}")
            error = failure
        self.server.breaks = ""
        done[f"{name}: {type(error).__name__ if error else 'done'}"] += 1
        if isinstance(error, ConnectionLost):
            self._put_right()
        elif error and not isinstance(error, StepFailed):
            assert (columns(), applied()) == before, "refused, and yet it changed something"
        unforeseen = isinstance(error, StepFailed) and self.run.request.command == "rollback" and "back" in error.step
        assert not unforeseen, f"{error}"
        if not error and self.run.request.migrations and old and self.live:
            assert not unheard(old, self.live)
        self._see(error, allow, name.startswith("rollback"))

    def _begin(self, what: str, pick: int, allow: bool) -> None:
        others = sorted(name for name, record in self.facts.releases.items() if record and name != self.facts.current)
        if what == "deploy" or not others:
            given: dict[str, Any] = {"to": history.identity(self.facts, self.project)}
            at = self.codes.index(self.live) if self.live else -1
            self.server.codes[given["to"]] = self.codes[(at + pick) % len(self.codes)]
        else:
            given = {"command": "rollback", "to": others[pick % len(others)], "migrations": what != "rollback"}
        self.run = sample.run(SETTINGS, self.server, **given, allow_breaking=allow)
        self.run.candidate.project, self.run.candidate.record = self.project, {"digest": ""}
        self.run.look()

    def _put_right(self) -> None:
        """As the next command does."""
        self.run = sample.run(SETTINGS, self.server, "abort")
        self.run.look()
        runner.follow(self.run)

    def _see(self, error: PortsideError | None, allow: bool, rollback: bool) -> None:
        """A deploy that failed has taken back what it did, also where that was allowed."""
        if not self.live:
            return
        undone = not self.run.progress.undo.failures and not self.run.report.reminders
        bears = rollback or (not undone if error else bool(self.run.candidate.answer.lacking))
        if not (allow and bears):
            self.check(self.live, "the live release afterwards")
        self.borne = faults(self.live)
        done["steps with an error that was allowed"] += bool(self.borne)


def is_applied(code: Code, name: str) -> bool:
    replaces = code.parts[name].replaces
    return name in applied() or (bool(replaces) and applied() >= {*replaces})


def unheard(code: Code, other: Code) -> set[str]:
    """What is applied of a code's migrations, and the other one hasn't, under any name."""
    same = {one for name, part in code.parts.items() if name in other.heard for one in part.replaces}
    same |= {name for name, part in code.parts.items() if part.replaces and other.heard >= {*part.replaces}}
    return {name for name in code.parts if is_applied(code, name)} - other.heard - same


EDITS = ("add", "add", "remove", "alter", "rename", "code", "squash", "squash", "finish", "finish", "merge", "merge")
COMMANDS = ("deploy", "deploy", "rollback", "rollback --migrations", "rollback --migrations")
BREAKS = (*[""] * 10, "start", "migrate", "lost start", "lost migrate")
few, some = st.integers(0, 3), st.integers(0, 7)
edit = st.tuples(st.sampled_from(EDITS), st.sampled_from([0, 0, 0, 1, 2]), some, some)
allows = st.sampled_from([False, False, True])
command = st.tuples(st.sampled_from(COMMANDS), st.sampled_from([1, 1, 2, 3, 0]), st.sampled_from(BREAKS), few, allows)
edits, commands = st.lists(edit, min_size=3, max_size=9), st.lists(command, min_size=5, max_size=12)


def commits(given: Sequence[tuple[str, int, int, int]]) -> list[Code]:
    """Each after the last one, or after one before that: a branch. What Django has something against isn't made."""
    made = [Code({"0000_table": Part((), [TABLE])})]
    for number, (kind, back_by, first, second) in enumerate(given, 1):
        parent = made[-1 - back_by % len(made)]
        others = [code for code in made if code not in parent.before and parent not in code.before]
        other = others[second % len(others)] if others else parent
        with suppress(Exception):
            made.append(parent.edited(kind, f"{number:04}_{kind}", first, second, other))
            done[f"commits: {kind}"] += 1
            note(f"{made[-1]} after {parent}: {kind}")
    return made


def main(examples: int) -> None:
    with ExitStack() as stack:
        project = source.find(SETTINGS, "", stack)

        @hypothesis(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @given(edits, commands)
        def holds(of: list[Any], what: list[Any]) -> None:
            done["examples"], Code.many = done["examples"] + 1, 0
            forget()
            story = Story(commits(of), project)
            for step in what:
                story.do(*step)

        holds()
    print("\n".join(f"{many:6} {what}" for what, many in sorted(done.items())))


def forget() -> None:
    for name in [name for name in sys.modules if re.match(r"code\d+", name)]:
        del sys.modules[name]
    for folder in FOLDER.glob("code*"):
        shutil.rmtree(folder)


if __name__ == "__main__":
    os.environ |= sample.GIT | {"XDG_STATE_HOME": os.devnull}
    sample.repository(FOLDER / "app", sample.PROJECT)
    sample.files(FOLDER, {"art/__init__.py": "", "manage.py": ""})
    sys.path.insert(0, str(FOLDER))
    settings.configure(
        INSTALLED_APPS=["art"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    )
    django.setup()
    portside_tables.there, DatabaseSchemaEditor._remake_table = there, remake
    FACTS = sample.with_releases(sample.live(SETTINGS), "", {}, containers=(), images=())
    try:
        main(int(sys.argv[1]) if sys.argv[1:] else 60)
    finally:
        shutil.rmtree(FOLDER)

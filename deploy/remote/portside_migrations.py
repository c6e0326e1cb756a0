"""What migrations do to a release that doesn't know them. Runs inside an application's image, beside ask.py.

Its name is one that no application has, since the same Python imports both. Runs on Django 4.2 and newer.
"""

import re
from typing import NamedTuple

from django.apps import apps
from django.db import connections, router
from django.db.migrations import RunPython, RunSQL, SeparateDatabaseAndState
from django.db.migrations.executor import MigrationExecutor
from django.db.models.fields import NOT_PROVIDED

WIDER = {"smallint": 1, "integer": 2, "bigint": 3}
NAME = r'(?:(?:"[^"]+"|\w+)\.)?("[^"]+"|\w+)'
IF = r"(?:if\s+(?:not\s+)?exists\s+)?"


class Column(NamedTuple):
    type: str
    null: bool
    default: bool  # the database has one, or makes the value itself

    @property
    def demands(self):
        """Whether an INSERT must give it a value."""
        return not self.null and not self.default


def executor():
    """Of the default database; None where the project has none."""
    connection = connections["default"]
    return None if connection.vendor == "unknown" else MigrationExecutor(connection)


def label(migration):
    return f"{migration.app_label}.{migration.name}"


def leaves(loader):
    """The last migration of each app."""
    return dict(sorted(loader.graph.leaf_nodes()))


def ahead(loader, known):
    """What is applied and a release whose last migrations are ``known`` has never heard of, in order."""
    graph = loader.graph
    heard = {node for leaf in _nodes(loader, known) for node in graph.forwards_plan(leaf)}
    # An app whose last one isn't here, squashed since, can't be compared.
    strange = {app for app, name in known.items() if (app, name) not in graph.nodes}
    there = applied(loader)
    plan = dict.fromkeys(node for leaf in graph.leaf_nodes() for node in graph.forwards_plan(leaf))
    return [graph.nodes[node] for node in plan if node in there and node not in heard and node[0] not in strange]


def applied(loader):
    """The nodes of the graph that are applied."""
    return {node for node in loader.applied_migrations if node in loader.graph.nodes}


def judged(loader, plan, known, start):
    """What migrations break in a release whose last ones are ``known``, and what nobody can tell.

    ``start``: the nodes that are applied before the first of ``plan``. Two dictionaries: migration -> phrases.
    """
    if not plan or known is None:
        return {}, {}
    # Where it isn't recorded, or squashed since, a release knows what is applied.
    nodes = _nodes(loader, known)
    nodes += [node for node in start if node[0] not in {app for app, _ in nodes}]
    judge = Judge(loader.project_state(nodes), loader.project_state(list(start)))
    for migration in plan:
        for operation in migration.operations:
            judge.take(operation, migration)
    return judge.breaking, judge.unjudged


def unmigrated(loader):
    """The apps that have models and no migration: nothing makes their tables."""
    known = {app for app, _ in loader.graph.nodes}
    return [
        config.label
        for config in apps.get_app_configs()
        if config.label not in known and any(_has_table(model) for model in config.get_models())
    ]


def _has_table(model):
    return model._meta.managed and not model._meta.proxy and router.allow_migrate_model("default", model)


def irreversible(plan):
    """Of each migration that can't be taken back the operations that can't."""
    found = {label(migration): [_called(op) for op in _flat(migration) if not op.reversible] for migration in plan}
    return {name: ", ".join(operations) for name, operations in found.items() if operations}


def loose(plan):
    """Those that stay half done when they fail."""
    together = connections["default"].features.can_rollback_ddl
    return [label(migration) for migration in plan if not (migration.atomic and together)]


def _nodes(loader, known):
    return [(app, name) for app, name in known.items() if (app, name) in loader.graph.nodes]


def _flat(migration):
    for operation in migration.operations:
        yield operation
        yield from getattr(operation, "database_operations", ())


def _called(operation):
    """RunPython and what it runs; of others their kind alone."""
    code = getattr(operation, "code", None)
    return f"{type(operation).__name__} {code.__name__}" if code else type(operation).__name__


class Judge:
    """Goes through migrations, and compares what each operation makes of the tables with what a release knows."""

    def __init__(self, known, state):
        self.known = tables(known)
        self.state = state
        self.before = tables(state)
        self.breaking, self.unjudged = {}, {}

    def take(self, operation, migration):
        """One operation of a migration."""
        name = label(migration)
        if isinstance(operation, SeparateDatabaseAndState):
            self._database_alone(operation, migration)
            return
        if isinstance(operation, RunSQL):
            _note(self.breaking, name, [f"RunSQL {phrase}" for phrase in sql_breaks(operation.sql, self.known)])
        elif not _transparent(operation):
            _note(self.unjudged, name, [_called(operation)])
        operation.state_forwards(migration.app_label, self.state)
        after = tables(self.state)
        if not isinstance(operation, RunSQL):
            kind = type(operation).__name__
            _note(self.breaking, name, [f"{kind} {phrase}" for phrase in breaks(self.before, after, self.known)])
        self.before = after

    def _database_alone(self, operation, migration):
        """What is done to the database counts; what Django is told instead is what it goes on from."""
        after = self.state.clone()
        operation.state_forwards(migration.app_label, after)
        for part in operation.database_operations:
            self.take(part, migration)
        self.state, self.before = after, tables(after)


def _transparent(operation):
    """Whether all that it does shows in the models. What we have never heard of may do anything."""
    return type(operation).__module__.startswith("django.") and not _runs_code(operation)


def _runs_code(operation):
    return isinstance(operation, RunPython) and operation.code is not RunPython.noop


def _note(notes, name, phrases):
    if phrases:
        notes.setdefault(name, []).extend(phrases)


def tables(state):
    """Table -> column -> Column, of what Django keeps in the default database."""
    connection = connections["default"]
    found = {}
    for model in state.apps.get_models(include_auto_created=True, include_swapped=True):
        if model._meta.can_migrate(connection) and router.allow_migrate_model(connection.alias, model):
            found[model._meta.db_table] = {
                field.column: _column(field, connection)
                for field in model._meta.local_fields
                if field.db_parameters(connection)["type"] is not None
            }
    return found


def _column(field, connection):
    given = getattr(field, "db_default", NOT_PROVIDED) is not NOT_PROVIDED or getattr(field, "generated", False)
    made = bool(field.db_type_suffix(connection))  # GENERATED BY DEFAULT AS IDENTITY
    return Column(field.db_parameters(connection)["type"], field.null, given or made)


def breaks(before, after, known):
    """What the difference means to a release that knows these tables, one phrase each."""
    gone, made = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    for index, table in enumerate(gone):
        if table in known:
            new = made[index] if index < len(made) else ""
            yield f"renames the table {table} to {new}" if new else f"drops the table {table}"
    for table in before:
        if table in after and table in known:
            yield from _columns_break(table, before[table], after[table], known[table])


def _columns_break(table, before, after, known):
    gone = [name for name in before if name not in after]
    made = [name for name in after if name not in before]
    for index, name in enumerate(gone):
        if name in known:
            new = made[index] if index < len(made) else ""
            yield f"renames the column {table}.{name} to {new}" if new else f"drops the column {table}.{name}"
    for name in made:
        if after[name].demands and not gone:
            yield (
                f"adds the NOT NULL column {table}.{name}, and the database keeps no default for it: "
                "db_default or null=True mends that"
            )
    for name in before:
        if name in after:
            yield from _change_breaks(f"{table}.{name}", before[name], after[name], known.get(name))


def _change_breaks(column, before, after, known):
    if before.null and not after.null and (known or after.demands):
        yield f"makes the column {column} NOT NULL"
    elif after.demands and not before.demands:
        yield f"takes the database's default from the NOT NULL column {column}"
    if known and not _holds(after.type, before.type):
        yield f"changes the type of the column {column} from {before.type} to {after.type}"


def _holds(new, old):
    """Whether a column of the new type takes and gives all that one of the old type did."""
    if new == old or (new == "text" and old.startswith("varchar")):
        return True
    (kind, *sizes), (was, *were) = _parts(new), _parts(old)
    if {kind, was} <= set(WIDER):
        return WIDER[kind] >= WIDER[was]
    if kind == was == "varchar":
        return not sizes or (bool(were) and sizes[0] >= were[0])
    if kind == was == "numeric" and len(sizes) == len(were) == 2:
        return sizes[0] >= were[0] and sizes[1] == were[1]
    return False


def _parts(type_):
    """``varchar(40)`` is varchar and 40."""
    kind, _, rest = type_.lower().partition("(")
    return kind.strip(), *(int(number) for number in re.findall(r"\d+", rest))


def sql_breaks(sql, known):
    """What SQL would break, as far as its words tell, one phrase each."""
    for statement in _statements(sql):
        yield from _statement_breaks(" ".join(statement.split()), known)


def _statements(sql):
    texts = [sql] if isinstance(sql, str) else [part if isinstance(part, str) else part[0] for part in sql]
    for text in texts:
        bare = re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", " ", text, flags=re.DOTALL)
        yield from bare.split(";")


def _statement_breaks(statement, known):
    table = re.match(rf"alter table {IF}(?:only )?{NAME} (.*)", statement, re.IGNORECASE)
    if table:
        if _bare(table[1]) in known:
            for action in re.split(r",(?![^()]*\))", table[2]):
                yield from _action_breaks(_bare(table[1]), action.strip(), known[_bare(table[1])])
        return
    drop = re.match(rf"drop table {IF}(.*?)(?: cascade| restrict)?$", statement, re.IGNORECASE)
    if drop:
        for name in drop[1].split(","):
            bare = _bare(name.strip().split(".")[-1])
            if bare in known:
                yield f"drops the table {bare}"
        return
    # Of what isn't a table only the words are known; indexes and their like, no release misses.
    other = re.match(r"(?:drop|alter) (?!index|trigger|policy|rule|statistics)", statement, re.IGNORECASE)
    if (other and re.search(r"\b(?:drop|rename)\b", statement, re.IGNORECASE)) or re.match(
        r"do\b.*\b(?:drop|rename|set not null)\b", statement, re.IGNORECASE
    ):
        yield f"drops or renames something: {statement[:60]}"


def _action_breaks(table, action, columns):
    """One action of an ALTER TABLE."""

    def found(pattern):
        return re.match(rf"{pattern}", action, re.IGNORECASE)

    if found(r"(?:drop|rename|add) (?:constraint|primary|unique|foreign|check|exclude)\b"):
        return
    if found(r"rename to|set schema"):
        yield f"renames the table {table}"
    elif match := found(rf"(drop|rename) (?:column )?{IF}{NAME}"):
        if _bare(match[2]) in columns:
            yield f"{match[1].lower()}s the column {table}.{_bare(match[2])}"
    elif match := found(rf"alter (?:column )?{NAME} (set not null|drop default|(?:set data )?type)"):
        yield from _alter_breaks(f"{table}.{_bare(match[1])}", match[2].lower(), columns.get(_bare(match[1])))
    elif (match := found(rf"add (?:column )?{IF}{NAME} (.*)")) and _demands(match[2]):
        yield f"adds the NOT NULL column {table}.{_bare(match[1])} without a DEFAULT"


def _alter_breaks(column, how, known):
    if how == "set not null":
        yield f"makes the column {column} NOT NULL"
    elif how == "drop default" and (not known or known.default):
        yield f"takes the default from the column {column}"
    elif how.endswith("type") and known:
        yield f"changes the type of the column {column}"


def _demands(definition):
    return bool(re.search(r"\bnot null\b", definition, re.IGNORECASE)) and not re.search(
        r"\b(?:default|generated)\b", definition, re.IGNORECASE
    )


def _bare(name):
    return name[1:-1] if name.startswith('"') else name.lower()

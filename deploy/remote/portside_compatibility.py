"""What migrations break in a release that doesn't know them. Imported by ask.py, inside an application's image.

Runs on Django 4.2 and newer.
"""

import portside_tables as about
from django.core.exceptions import FieldDoesNotExist
from django.db.migrations import RunPython, RunSQL, SeparateDatabaseAndState


def label(migration):
    return f"{migration.app_label}.{migration.name}"


def called(operation):
    """Return the kind of an operation; of RunPython also the function it runs."""
    code = getattr(operation, "code", None)
    return f"{type(operation).__name__} {code.__name__}" if code else type(operation).__name__


class Judge:
    """Compares each operation's effect on the tables with the tables that a release knows, migration by migration."""

    def __init__(self, known, state, alias="default"):
        self.known = known
        self.state, self.alias = state, alias
        self.before = about.tables(state, alias)
        self.breaking, self.unjudged = {}, {}

    def take_all(self, migration):
        """Judge a migration. Its models may be unknown to this release."""
        try:
            for operation in migration.operations:
                self.take(operation, migration)
        except (LookupError, FieldDoesNotExist, ValueError) as error:
            note(self.unjudged, label(migration), [f"it can't be compared ({type(error).__name__}: {error})"])

    def take(self, operation, migration):
        """Judge one operation of a migration."""
        name = label(migration)
        if isinstance(operation, SeparateDatabaseAndState):
            self._database_alone(operation, migration)
            return
        if isinstance(operation, RunSQL):
            note(self.breaking, name, [f"RunSQL {phrase}" for phrase in about.sql_breaks(operation.sql, self.known)])
        elif not _transparent(operation):
            note(self.unjudged, name, [called(operation)])
        operation.state_forwards(migration.app_label, self.state)
        after = about.tables(self.state, self.alias)
        if not isinstance(operation, RunSQL):
            kind = type(operation).__name__
            note(self.breaking, name, [f"{kind} {phrase}" for phrase in about.breaks(self.before, after, self.known)])
        self.before = after

    def _database_alone(self, operation, migration):
        """Judge the database operations only. The next operation starts from the state operations."""
        after = self.state.clone()
        operation.state_forwards(migration.app_label, after)
        for part in operation.database_operations:
            self.take(part, migration)
        self.state, self.before = after, about.tables(after, self.alias)


def _transparent(operation):
    """Return whether the models show all its effects. An operation that isn't Django's own may do anything."""
    return type(operation).__module__.startswith("django.") and not _runs_code(operation)


def _runs_code(operation):
    return isinstance(operation, RunPython) and operation.code is not RunPython.noop


def note(notes, name, phrases):
    if phrases:
        notes.setdefault(name, []).extend(phrases)

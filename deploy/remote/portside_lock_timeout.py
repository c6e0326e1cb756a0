"""How long a migration's statements wait for a lock. Runs inside an application's image.

A statement that blocks visitors while it waits gives up after a while (the session's lock_timeout). A statement that
blocks no visitor may wait forever: for example, PostgreSQL builds an index concurrently after waiting for older
transactions."""

import re

from django.conf import settings
from django.db import connections
from django.db.backends.signals import connection_created

# These statements don't block reads or writes. https://www.postgresql.org/docs/current/explicit-locking.html
PATIENT = re.compile(
    r"""\s*(?:
        create\s+(?:unique\s+)?index\s+concurrently\b[^;]*
      | drop\s+index\s+concurrently\b[^;]*
      | reindex\b[^;]*\bconcurrently\b[^;]*
      | refresh\s+materialized\s+view\s+concurrently\b[^;]*
      | alter\s+table\s[^;,]*\bdetach\s+partition\s[^;,]*\bconcurrently\b[^;,]*
      | alter\s+table\s[^;,]*\bvalidate\s+constraint\s[^;,]*
    );?\s*""",
    re.IGNORECASE | re.VERBOSE,
)
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
INVALID = """
select quote_ident(n.nspname) || '.' || quote_ident(c.relname), i.indrelid::regclass::text
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where not i.indisvalid and c.relkind = 'i'
order by 1
"""


def is_patient(sql):
    """Return whether a statement may wait for its locks without a limit."""
    return isinstance(sql, str) and bool(PATIENT.fullmatch(COMMENT.sub(" ", sql)))


def install():
    """Install the wrapper on every connection that is opened from now on."""
    connection_created.connect(_attend, weak=False)


def _attend(sender, connection, **more):
    if connection.vendor == "postgresql" and _wait not in connection.execute_wrappers:
        connection.execute_wrappers.append(_wait)


def _wait(execute, sql, params, many, context):
    if not is_patient(sql):
        return execute(sql, params, many, context)
    with context["connection"].connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
    try:
        return execute(sql, params, many, context)
    finally:
        _restore(context["connection"].connection)


def _restore(connection):
    """Restore the session's own lock_timeout. A transaction that failed restores it by itself."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
    except Exception:  # noqa: S110 - the statement's own error is what counts
        pass


def print_invalid_indexes():
    """Print the indexes that a failed statement left invalid, with the command that removes them."""
    for alias in connections if settings.configured else ():
        if connections[alias].vendor == "postgresql":
            for index, table in _invalid_indexes(alias):
                text = f"The index {index} of {table} is invalid, left by an interrupted statement."
                print(f"{text} Remove it with: DROP INDEX CONCURRENTLY {index};")


def _invalid_indexes(alias):
    try:
        connections[alias].close()  # it may be in a transaction that failed
        with connections[alias].cursor() as cursor:
            cursor.execute(INVALID)
            return cursor.fetchall()
    except Exception:  # the reason was printed already
        return []

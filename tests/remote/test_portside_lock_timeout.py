"""Which statements may wait for their locks as long as it takes: those that nobody waits behind."""

from __future__ import annotations

import sys

import pytest

from deploy.ssh.payload import REMOTE

sys.path.insert(0, str(REMOTE))
import portside_lock_timeout as patience

sys.path.remove(str(REMOTE))


@pytest.mark.parametrize(
    "sql",
    [
        'CREATE INDEX CONCURRENTLY "by_title" ON "art_work" ("title")',
        "create unique index concurrently if not exists by_title on art_work (lower(title)) where note is not null;",
        "DROP INDEX CONCURRENTLY IF EXISTS by_title",
        "REINDEX INDEX CONCURRENTLY by_title",
        "reindex (verbose) table concurrently art_work",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY sums",
        "ALTER TABLE art_work DETACH PARTITION art_work_2020 CONCURRENTLY",
        'ALTER TABLE "art_work" VALIDATE CONSTRAINT "positive"',
        "-- the large one\n  alter table only art_work /* of before */ validate constraint positive ;\n",
    ],
)
def test_what_nobody_waits_behind_has_all_the_time(sql: str) -> None:
    assert patience.is_patient(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX by_title ON art_work (title)",
        "CREATE TABLE concurrently (id int)",
        "DROP INDEX by_title",
        "REINDEX TABLE art_work",
        "REFRESH MATERIALIZED VIEW sums",
        "ALTER TABLE art_work DETACH PARTITION art_work_2020",
        "ALTER TABLE art_work ADD COLUMN more text, VALIDATE CONSTRAINT positive",
        "ALTER TABLE art_work ADD CONSTRAINT positive CHECK (size > 0) NOT VALID; "
        "ALTER TABLE art_work VALIDATE CONSTRAINT positive",
        "ALTER TABLE art_work VALIDATE CONSTRAINT positive, ADD COLUMN more text",
        "ALTER TABLE art_work ADD CONSTRAINT validate_constraint CHECK (true)",
        "LOCK TABLE art_work -- create index concurrently x on y (z)",
        "",
    ],
)
def test_behind_all_others_visitors_would_wait(sql: str) -> None:
    assert not patience.is_patient(sql)


def test_what_is_no_text_is_not_looked_into() -> None:
    assert not patience.is_patient(object())

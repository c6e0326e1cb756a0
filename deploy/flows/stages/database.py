"""database: start the database, and wait until it is healthy."""

from __future__ import annotations

from ...core.report import Stage
from ...releases import database
from ..context import Run


def data(run: Run, stage: Stage) -> None:
    """Data services up and healthy."""
    run.two_passwords = run.settings.own_database and database.beside(run.settings, run.site, run.facts)
    results = run.apply(stage, database.steps(run.settings, run.site, run.facts))
    run.database_restarted = database.restarts(run.settings, run.facts) if run.settings.own_database else ""
    stage.note(run.settings.database if results else "nothing to do")

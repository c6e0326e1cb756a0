"""database: start the database, and wait until it is healthy."""

from __future__ import annotations

from functools import partial

from ...core.report import Stage
from ...releases import database as container
from .. import recovery
from ..context import Run


def database(run: Run, stage: Stage) -> None:
    """Start the data services and wait until they are healthy."""
    run.database.two_passwords = run.settings.own_database and container.beside(run.settings, run.site, run.facts)
    if run.database.two_passwords:
        run.progress.undo.push_of_database(partial(recovery.close_passwords, run))
    results = run.apply(stage, container.steps(run.settings, run.site, run.facts))
    run.database.restarted = container.restarts(run.settings, run.facts) if run.settings.own_database else ""
    stage.note(run.settings.database if results else "nothing to do")

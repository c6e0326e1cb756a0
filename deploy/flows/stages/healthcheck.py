"""healthcheck: ask the new release before visitors do."""

from __future__ import annotations

from ...core.report import Stage
from ...releases import healthcheck
from ..context import Run


def gate(run: Run, stage: Stage) -> None:
    """Visit the new release. One that isn't healthy never gets a visitor."""
    if run.unchanged:
        stage.skipped = True
        return
    # One that was live and good before has shown that it doesn't die by itself.
    again = 0 if run.command == "rollback" else 2
    (result,) = run.apply(stage, [healthcheck.gate(run.settings, run.new, run.served, run.facts, again=again)])
    stage.note(healthcheck.note(run.settings, result.answer))

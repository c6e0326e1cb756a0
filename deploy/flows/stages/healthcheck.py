"""healthcheck: ask the new release before visitors do."""

from __future__ import annotations

from ...core.report import Stage
from ...releases import healthcheck as checks
from ..context import Run


def healthcheck(run: Run, stage: Stage) -> None:
    """Visit the new release. One that isn't healthy never gets a visitor."""
    # One that was live and good before has shown that it doesn't die by itself.
    again = 2 if run.request.flow.builds else 0
    new = run.candidate
    step = checks.gate(run.settings, new.paths, new.routes, run.facts, again=again)
    (result,) = run.apply(stage, [step])
    stage.note(checks.note(run.settings, result.answer))

"""healthcheck: check the new release before it gets visitors."""

from __future__ import annotations

from ...core.report import Stage
from ...releases import healthcheck as checks
from ..context import Run


def healthcheck(run: Run, stage: Stage) -> None:
    """Visit the new release. An unhealthy release never gets a visitor."""
    # A release that was live and healthy before has shown that it keeps running.
    again = 2 if run.request.flow.builds else 0
    new = run.candidate
    step = checks.gate(run.settings, new.paths, new.routes, run.facts, again=again)
    (result,) = run.apply(stage, [step])
    stage.note(checks.note(run.settings, result.answer))

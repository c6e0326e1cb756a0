"""start: start the release's containers, beside the live ones."""

from __future__ import annotations

from dataclasses import replace

from ...core.report import Stage
from ...releases import environment
from .. import repair
from ..context import Run


def start(run: Run, stage: Stage) -> None:
    """Start the release's containers beside the live ones, or restart unhealthy containers of the live release."""
    if run.candidate.unchanged:
        (repair.restart_all if run.health.restart_all else repair.restart_unhealthy)(run, stage)
        return
    new = run.candidate
    present = []
    if not run.request.flow.builds:
        module = str(new.record.get("settings_module", ""))
        present = [environment.made_environment_step(run.settings, new.paths, module)]
    step = repair.start(run, new.paths.id)
    *_, result = run.apply(stage, [*present, step])
    new.routes = replace(new.routes, ports=tuple(result.answer["ports"]))
    stage.note(f"on {', '.join(f'127.0.0.1:{port}' for port in new.routes.ports)}")

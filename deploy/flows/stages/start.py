"""start: the release's containers, beside the live ones."""

from __future__ import annotations

from dataclasses import replace

from ...core.report import Stage
from ...releases import environment
from .. import repair
from ..context import Run


def start(run: Run, stage: Stage) -> None:
    """The release's containers, beside the live ones; or those of the live one anew, where it isn't healthy."""
    if run.unchanged:
        (repair.everything if run.anew else repair.mend)(run, stage)
        return
    step = repair.start(run, run.new.id)
    module = str(run.facts.releases.get(run.new.id, {}).get("settings_module", ""))
    present = [environment.made_environment_step(run.settings, run.new, module)] if run.command == "rollback" else []
    *_, result = run.apply(stage, [*present, step])
    run.served = replace(run.served, ports=tuple(result.answer["ports"]))
    stage.note(f"on {', '.join(f'127.0.0.1:{port}' for port in run.served.ports)}")

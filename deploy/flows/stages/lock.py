"""lock: one run at a time, and recovery from an interrupted one."""

from __future__ import annotations

from ...core.report import Stage
from .. import recovery, versions
from ..context import Run
from . import preflight
from . import remove as stages_remove


def lock(run: Run, stage: Stage) -> None:
    """The site's lock, held until the end of the run; then what an interrupted run left is put right."""
    holders: list[str] = []

    def waiting(holder: str) -> None:
        holders.append(holder)
        run.report.say(f"  waiting for another deploy to end: {holder}")

    held = run.server.lock(run.site, waiting if run.request.wait else None)
    run.progress.report_stage, current, busy = run.progress.stack.enter_context(held)
    if run.request.flow.removes or run.facts.removing:
        stages_remove.refresh(run)
        return
    as_seen = current == run.facts.current and not busy and not holders
    if as_seen and not recovery.is_due(run.site, run.facts):
        return
    # Under the lock, looking waits for what goes on there by itself on behalf of a laptop that is gone.
    run.look()
    versions.check(run)
    preflight.check_site(run)  # of somebody else by now, as far as they came meanwhile
    recovery.recover(run, stage)
    preflight.check_site(run)  # and with what an interrupted run had begun

"""lock: allow one run at a time, and recover from an interrupted one."""

from __future__ import annotations

from ...core.report import Stage
from .. import recovery, versions
from ..context import Run
from . import preflight
from . import remove as stages_remove


def lock(run: Run, stage: Stage) -> None:
    """Take the site's lock, held until the end of the run, and recover from an interrupted run."""
    holders: list[str] = []

    def waiting(holder: str) -> None:
        holders.append(holder)
        run.report.say(f"  waiting for another deploy to finish: {holder}")

    held = run.server.lock(run.site, waiting if run.request.wait else None)
    run.progress.report_stage, current, busy = run.progress.stack.enter_context(held)
    if run.request.flow.removes or run.facts.removing:
        stages_remove.refresh(run)
        return
    as_seen = current == run.facts.current and not busy and not holders
    if as_seen and not recovery.is_due(run.site, run.facts):
        return
    # Under the lock, reading the facts waits for what still runs on the server for a lost laptop.
    run.look()
    versions.check(run)
    preflight.check_site(run)  # another laptop may have changed the site since
    recovery.recover(run, stage)
    preflight.check_site(run)  # again, since the recovery may have changed the site

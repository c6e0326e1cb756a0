"""switch: switch Nginx to the new release, in a run that the server finishes on its own."""

from __future__ import annotations

import time

from ...core.errors import ConnectionLost, PortsideError, StepFailed
from ...core.report import Stage
from ...core.steps import Step, script, write
from ...releases import database, record
from .. import env_copy, migrations, ownership, repair, restarts
from .. import record as run_record
from .. import switch as transaction
from ..context import Run
from ..progress import Phase


def switch(run: Run, stage: Stage) -> None:
    """Update Nginx, switch, and close old connections, in one run that the server finishes on its own."""
    if run.candidate.unchanged:
        _apply_settings(run, stage)
        return
    run.phase = Phase.HANDED_OVER
    try:
        results = transaction.apply_plan(run, stage, lambda: _steps(run))
    except ConnectionLost:
        raise
    except PortsideError as error:
        _take_back_control(run, error)
        raise
    run.phase = Phase.LIVE
    transaction.warn_after_switch(run, results)
    if run.facts.current:
        stage.note(f"{run.facts.current} is {'stopped and ' * bool(run.candidate.routes.replicas)}kept")
    if run.database.after_switch and not run.database.reverted:
        stage.note("migrations reverted")
    if run.request.flow.builds and run.settings.after:
        what, command = "Run DEPLOY_AFTER", run.settings.after
        after = script(what, "after", sign="~", compose=run.candidate.paths.compose, command=command)
        run.apply(stage, [after])


def _apply_settings(run: Run, stage: Stage) -> None:
    """Update what the settings change of the live release: Nginx's files, records, processes that don't run."""
    routes = run.candidate.routes
    edge = transaction.apply_plan(run, stage, lambda: transaction.update_nginx_with_event(run, routes))
    renamed = [*ownership.claim(run, routes.names), *transaction.rename(run, routes)]
    noted = run.apply(stage, [*renamed, *_close(run), *env_copy.steps(run)])
    repair.check_restarted(run)
    started = run.apply(stage, transaction.start_processes(run))
    transaction.warn_after_switch(run, started)
    run.health.failing = run.health.failing or restarts.exiting(run.facts)
    stored = any(result.step.path == run.site.settings for result in noted)
    notes = ["Nginx has new settings"] * bool(edge) + ["the new .env was stored"] * (stored and not edge)
    notes += ["processes started"] * bool(started)
    stage.note(", ".join(notes) or "nothing to do")


def _take_back_control(run: Run, error: PortsideError) -> None:
    """Note whether the release is live though the server's run failed, and explain what that means."""
    afterwards = [step.name for step in run.database.after_switch]
    failed = error.step if isinstance(error, StepFailed) else ""
    proved = [step.name for step in [_finish(run), *_close(run), *claim(run), *_watch(run)]]
    only_after = failed in {*proved, *afterwards}  # these steps run after the switch is proved
    run.phase = Phase.LIVE if only_after else Phase.CANDIDATE
    if failed in afterwards:
        migrations.explain_afterwards(run, error)


def _steps(run: Run) -> list[Step]:
    pending = run_record.of_run(run) | {"instead_of": run.facts.current}
    return [
        write(run.candidate.paths.pending, record.as_json(pending, indent=2)),
        transaction.switch(run, run.candidate.paths.id, run.candidate.routes, run.facts.current),
        _finish(run),
        *_close(run),
        *run.database.after_switch,
        *claim(run),
        *_watch(run),
    ]


def claim(run: Run) -> list[Step]:
    """Return the steps that record the site's domains and database for the release that goes live, and the environment
    file."""
    return [*(ownership.claim(run) if run.facts.current else []), *env_copy.steps(run)]


def _close(run: Run) -> list[Step]:
    return [database.close(run.site)] if run.database.two_passwords else []


def _watch(run: Run) -> list[Step]:
    return transaction.watch(run, run.candidate.paths.id, record.processes(run_record.of_run(run)))


def _finish(run: Run) -> Step:
    seconds = round(time.monotonic() - run.progress.started, 1)
    record = run_record.of_run(run) if not run.request.flow.builds else run_record.of_run(run) | {"seconds": seconds}
    return transaction.finish(run, run.candidate.paths.id, run.facts.current, record)

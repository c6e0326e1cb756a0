"""switch: Nginx to the new release, in a run on the server that finishes without us."""

from __future__ import annotations

import time

from ...core.errors import Lost, PortsideError, StepFailed
from ...core.report import Stage
from ...core.steps import Step, script, write
from ...releases import database, record
from .. import env_copy, migrations, ownership, repair, restarts, switch
from .. import record as run_record
from ..context import Run


def live(run: Run, stage: Stage) -> None:
    """Edge, switch, drain: one run that reaches its end without us."""
    if run.unchanged:
        edge = switch.planned(run, stage, lambda: switch.resettle(run, run.served))
        renamed = [*ownership.claim(run, run.served.names), *switch.rename(run, run.served)]
        noted = run.apply(stage, [*renamed, *_close(run), *env_copy.steps(run)])
        repair.see(run)
        revived = run.apply(stage, switch.revive(run))
        switch.tell(run, revived)
        run.ending = run.ending or restarts.ending(run.facts)
        kept_anew = any(result.step.words[1] == run.site.settings for result in noted)
        notes = ["Nginx has new settings"] * bool(edge) + ["the new .env is kept"] * (kept_anew and not edge)
        notes += ["processes started"] * bool(revived)
        stage.note(", ".join(notes) or "nothing to do")
        return
    run.unattended = True
    try:
        results = switch.planned(run, stage, lambda: _live_steps(run))
    except Lost:
        raise
    except PortsideError as error:
        run.unattended = False
        afterwards = [step.name for step in run.afterwards]
        failed = error.step if isinstance(error, StepFailed) else ""
        proved = [step.name for step in [_finish(run), *_close(run), *claim(run), *_watch(run)]]
        run.switched = failed in {*proved, *afterwards}  # only these come after the switch is proved
        if failed in afterwards:
            migrations.explain_afterwards(run, error)
        raise
    run.unattended, run.switched = False, True
    switch.tell(run, results)
    if run.facts.current:
        stage.note(f"{run.facts.current} is {'stopped and ' * bool(run.served.replicas)}kept")
    if run.afterwards and not run.behind:
        stage.note("migrations taken back")
    if run.command == "deploy" and run.settings.after:
        after = script("Run DEPLOY_AFTER", "after", run.new.compose, run.settings.after)
        run.apply(stage, [after])


def _live_steps(run: Run) -> list[Step]:
    pending = run_record.of_run(run) | {"instead_of": run.facts.current}
    return [
        write(run.new.pending, record.as_json(pending, indent=2)),
        switch.switch(run, run.new.id, run.served, run.facts.current),
        _finish(run),
        *_close(run),
        *run.afterwards,
        *claim(run),
        *_watch(run),
    ]


def claim(run: Run) -> list[Step]:
    """The site's domains and database, as the release that goes live has them; of a first one they are noted. And the
    environment file of a deploy."""
    return [*(ownership.claim(run) if run.facts.current else []), *env_copy.steps(run)]


def _close(run: Run) -> list[Step]:
    return [database.close(run.site)] if run.two_passwords else []


def _watch(run: Run) -> list[Step]:
    return switch.watch(run, run.new.id, record.processes(run_record.of_run(run)))


def _finish(run: Run) -> Step:
    seconds = round(time.monotonic() - run.started, 1)
    record = run_record.of_run(run) if run.command == "rollback" else run_record.of_run(run) | {"seconds": seconds}
    return switch.finish(run, run.new.id, run.facts.current, record)

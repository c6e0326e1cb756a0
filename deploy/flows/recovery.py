"""Putting right: what an interrupted run left on the server, and what a failed one of ours has begun."""

from __future__ import annotations

from collections.abc import Callable

from ..core.errors import StepFailed
from ..core.facts import Facts
from ..core.paths import Site
from ..core.report import Stage
from ..core.steps import Step, script
from ..releases import database, history
from ..releases import record as release_record
from ..releases.answer import Answer
from . import migrations, site_health, switch
from .context import Run
from .progress import Phase, in_a_line


def is_due(site: Site, facts: Facts) -> bool:
    """Whether an interrupted run left something."""
    return bool(history.interrupted(facts)) or migrations.is_behind(facts) or database.is_open(site, facts)


def recover(run: Run, stage: Stage) -> None:
    """A switch that was begun is finished; what never went live is taken away; all of it is said."""
    unfinished = history.unfinished(run.facts)
    if unfinished:
        _warn(run, f"{unfinished} was switched to, but not finished", "finishing it", "to be finished")
        finish(run, stage, unfinished)
        run.look()
    switching_to = history.switching_to(run.facts)
    for identity in history.leftovers(run.facts):
        _revert_leftover(run, stage, identity)
    steps = [*_remove_leftovers(run), *_stop_extra(run), *_reapply(run), *_close_passwords(run)]
    if steps:
        run.apply(stage, steps)
        run.look()
    if unfinished or steps:
        stage.note("put right")
    if switching_to:
        update_nginx(run, stage)


def _warn(run: Run, found: str, doing: str, to_do: str) -> None:
    """What was found, and what becomes of it: a plan only foresees that."""
    run.report.warn(f"{found}: {to_do if run.request.dry_run else doing}.")


def _remove_leftovers(run: Run) -> list[Step]:
    left = history.leftovers(run.facts)
    if not left:
        return []
    _warn(run, f"An interrupted run left {', '.join(left)}", "taken away", "to be taken away")
    files = switch.event(run, "taken away", *left, what="interrupted")
    return [script("Take away what was left", "discard", run.site.root, run.site.name, "no", *left, files=files)]


def _revert_leftover(run: Run, stage: Stage, identity: str) -> None:
    """What a release that never went live did to the database and breaks the live one: it has its database again."""
    pending, live = run.facts.pending.get(identity, {}), migrations.Other.of(run, run.facts.current)
    paths = run.site.release(identity)
    if not live or not pending.get("breaking") or paths.image not in run.facts.images:
        return
    *_, asked = run.apply(stage, migrations.questions(run, paths, pending, live))
    answer = Answer.parse(asked.answer)
    if not answer.ahead_breaking:
        return
    run.report.warn(f"{identity} never went live: its migrations, which break {run.facts.current}, are taken back.")
    try:
        run.apply(stage, migrations.revert(run, paths, pending, live, pending.get("migrations", [])))
    except StepFailed as error:
        run.report.remind(f"{run.facts.current} may err: {in_a_line(error)}")


def _stop_extra(run: Run) -> list[Step]:
    strays = history.strays(run.facts)
    if not strays:
        return []
    _warn(
        run,
        f"An interrupted run left {', '.join(strays)} running beside the live release",
        "stopped",
        "to be stopped",
    )
    files = switch.event(run, "stopped", *strays, what="interrupted")
    return [script("Stop what was left running", "stop", run.site.root, run.site.name, *strays, files=files)]


def _reapply(run: Run) -> list[Step]:
    if not migrations.is_behind(run.facts):
        return []
    _warn(
        run,
        f"Migrations of {run.facts.current} were taken back, though it is live",
        "applying them again",
        "to be applied again",
    )
    return migrations.reapply(run)


def _close_passwords(run: Run) -> list[Step]:
    if not database.is_open(run.site, run.facts):
        return []
    _warn(run, "An interrupted run left the database open for two passwords", "closed", "to be closed")
    return [database.close(run.site)]


def begin(run: Run, clear_away: Callable[[str], None]) -> None:
    """Note that the candidate may have something on the server from now on. ``clear_away``: takes that away."""
    run.phase = Phase.CANDIDATE
    run.progress.undo.push(clear_away)


def close_passwords(run: Run, stage: str) -> None:
    """After a failed deploy with another password: the database takes the live release's alone."""
    with run.server.quietly():
        run.server.apply([database.close(run.site)], stage="database")


def update_nginx(run: Run, stage: Stage) -> None:
    """Nginx's files for the release that is live, as facts and settings are now."""
    if record := run.facts.releases.get(run.facts.current):
        switch.apply_plan(run, stage, lambda: switch.update_nginx_with_event(run, release_record.routes(record)))


def finish(run: Run, stage: Stage, identity: str) -> None:
    """The rest of a switch. A release that isn't well any more gives way to the one before."""
    pending = run.facts.pending[identity]
    record = {name: value for name, value in pending.items() if name != "instead_of"}
    old = str(pending.get("instead_of", ""))
    finish = switch.finish(run, identity, old, record, what="finish")

    def steps() -> list[Step]:
        routes = release_record.routes(record)
        return [switch.switch(run, identity, routes, old, patience=run.settings.health_timeout), finish]

    try:
        switch.apply_plan(run, stage, steps)
    except StepFailed as error:
        if error.step == finish.name:
            raise
        run.report.warn(f"{identity} isn't well any more. {error.lines[-1] if error.lines else ''}".strip())


def stop(run: Run, stage: str) -> None:
    """After a rollback that failed in this stage: its containers, which stay for another try."""
    files = switch.event(run, f"failed at {stage}", run.candidate.paths.id)
    step = script("Stop the release again", "stop", run.site.root, run.site.name, run.candidate.paths.id, files=files)
    with run.server.quietly():
        run.server.apply([step], stage="stop")


def revert(run: Run, stage: str) -> None:
    """After a failed deploy, or going forward to a newer release, whose migrations break the live one: it has its
    database again. Raises PortsideError where the database says that it hasn't."""
    live = migrations.Other.of(run, run.facts.current)
    if not live or not migrations.breaking_live(run):
        return
    run.report.warn(f"The migrations that break {run.facts.current} are taken back.")
    record = {"manage": run.candidate.answer.manage}
    with run.server.quietly():
        steps = migrations.revert(run, run.candidate.paths, record, live, run.database.applied)
        run.server.apply(steps[-1:], stage="migrations")
    run.database.applied = ()


def reapply(run: Run, stage: str) -> None:
    """After a failed rollback that had taken migrations back: the live release has them again."""
    run.report.warn(f"The migrations of {run.facts.current} are applied again.")
    with run.server.quietly():
        run.server.apply(migrations.reapply(run), stage="migrations")
    run.database.reverted = False


def discard(run: Run, stage: str) -> None:
    """After a failure in this stage: what the new release left on the server. One whose migrations couldn't be taken
    back is only stopped, since it alone can do that."""
    if migrations.breaking_live(run):
        stop(run, stage)
        return
    first = "no" if run.facts.current else "yes"
    words = (run.site.root, run.site.name, first, run.candidate.paths.id)
    files = switch.event(run, f"failed at {stage}", run.candidate.paths.id)
    step = script("Take the failed release away", "discard", *words, files=files)
    with run.server.quietly():
        run.server.apply([step], stage="discard")


def check_live(run: Run, stage: str) -> None:
    """Ask the live release through Nginx once more, before it is said to be live as before."""
    run.health.fault = site_health.visit(run)

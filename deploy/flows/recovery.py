"""Recovery: repair what an interrupted run left on the server, and undo a failed run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..core.errors import StepFailed
from ..core.facts import Facts
from ..core.paths import Site
from ..core.report import Stage
from ..core.steps import Script, Sign, Step
from ..releases import database, history
from ..releases import record as release_record
from ..releases.answer import Answer
from . import migrations, site_health, switch
from .context import Run
from .progress import Phase, in_a_line


@dataclass(frozen=True, kw_only=True)
class Discard(Script):
    """Removes releases that aren't live. ``first``: yes if none was live before, so that none is now."""

    script: str = "discard"
    sign: Sign | None = "-"
    root: str
    site: str
    first: str = "no"
    ids: tuple[str, ...]

    def effect(self, facts: Facts) -> Facts:
        return replace(
            facts,
            releases={name: record for name, record in facts.releases.items() if name not in self.ids},
            pending={name: record for name, record in facts.pending.items() if name not in self.ids},
            images=tuple(image for image in facts.images if image.rpartition(":")[2] not in self.ids),
        )


@dataclass(frozen=True, kw_only=True)
class Stop(Script):
    """The web containers of releases stopped; they stay."""

    script: str = "stop"
    sign: Sign | None = "-"
    root: str
    site: str
    ids: tuple[str, ...]

    def effect(self, facts: Facts) -> Facts:
        containers = (replace(one, state="exited") if one.release in self.ids else one for one in facts.containers)
        return replace(facts, containers=tuple(containers))


def is_due(site: Site, facts: Facts) -> bool:
    """Return whether an interrupted run left something."""
    return bool(history.interrupted(facts)) or migrations.is_behind(facts) or database.is_open(site, facts)


def recover(run: Run, stage: Stage) -> None:
    """Finish an interrupted switch, remove releases that never went live, and report it."""
    unfinished = history.unfinished(run.facts)
    if unfinished:
        _warn(run, f"The switch to {unfinished} was interrupted", "finish it")
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
        stage.note("recovered")
    if switching_to:
        update_nginx(run, stage)


def _warn(run: Run, found: str, action: str) -> None:
    """Warn of what was found and what will be done. A plan only predicts it."""
    run.report.warn(f"{found}. {'A deploy' if run.request.dry_run else 'Portside'} will {action}.")


def _remove_leftovers(run: Run) -> list[Step]:
    left = history.leftovers(run.facts)
    if not left:
        return []
    _warn(run, f"An interrupted run left {', '.join(left)}", "remove it" if len(left) == 1 else "remove them")
    files = switch.event(run, "removed", *left, what="interrupted")
    name, site = "Remove what an interrupted run left", run.site
    return [Discard(name=name, root=site.root, site=site.name, ids=tuple(left), files=files)]


def _revert_leftover(run: Run, stage: Stage, identity: str) -> None:
    """Revert the migrations of a release that never went live, if they break the live one."""
    pending, live = run.facts.pending.get(identity, {}), migrations.Other.of(run, run.facts.current)
    paths = run.site.release(identity)
    if not live or not pending.get("breaking") or paths.image not in run.facts.images:
        return
    *_, asked = run.apply(stage, migrations.questions(run, paths, pending, live))
    answer = Answer.parse(asked.answer)
    if not answer.ahead_breaking:
        return
    run.report.warn(f"{identity} never went live. Its migrations break {run.facts.current}, so Portside reverts them.")
    try:
        run.apply(stage, migrations.revert(run, paths, pending, live, pending.get("migrations", [])))
    except StepFailed as error:
        run.report.remind(f"{run.facts.current} may fail: {in_a_line(error)}")


def _stop_extra(run: Run) -> list[Step]:
    strays = history.strays(run.facts)
    if not strays:
        return []
    it = "it" if len(strays) == 1 else "them"
    _warn(run, f"An interrupted run left {', '.join(strays)} running beside the live release", f"stop {it}")
    files = switch.event(run, "stopped", *strays, what="interrupted")
    name, site = "Stop what was left running", run.site
    return [Stop(name=name, root=site.root, site=site.name, ids=tuple(strays), files=files)]


def _reapply(run: Run) -> list[Step]:
    if not migrations.is_behind(run.facts):
        return []
    _warn(run, f"{run.facts.current} is live, but its migrations were reverted", "apply them again")
    return migrations.reapply(run)


def _close_passwords(run: Run) -> list[Step]:
    if not database.is_open(run.site, run.facts):
        return []
    _warn(run, "An interrupted run left the database accepting two passwords", "remove the unused one")
    return [database.close(run.site)]


def begin(run: Run, clear_away: Callable[[str], None]) -> None:
    """Note that the candidate may have something on the server from now on. ``clear_away``: removes that."""
    run.phase = Phase.CANDIDATE
    run.progress.undo.push(clear_away)


def close_passwords(run: Run, stage: str) -> None:
    """After a failed deploy with another password: make the database accept only the live release's password."""
    with run.server.quietly():
        run.server.apply([database.close(run.site)], stage="database")


def update_nginx(run: Run, stage: Stage) -> None:
    """Update Nginx's files for the live release, to the present facts and settings."""
    if record := run.facts.releases.get(run.facts.current):
        switch.apply_plan(run, stage, lambda: switch.update_nginx_with_event(run, release_record.routes(record)))


def finish(run: Run, stage: Stage, identity: str) -> None:
    """Finish an interrupted switch. If the release isn't healthy any more, the server switches back to the one
    before."""
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
        run.report.warn(f"{identity} isn't healthy any more. {error.lines[-1] if error.lines else ''}".strip())


def stop(run: Run, stage: str) -> None:
    """After a rollback that failed in this stage: stop its containers, and keep them for another try."""
    files = switch.event(run, f"failed at {stage}", run.candidate.paths.id)
    name, site = "Stop the release again", run.site
    step = Stop(name=name, root=site.root, site=site.name, ids=(run.candidate.paths.id,), files=files)
    with run.server.quietly():
        run.server.apply([step], stage="stop")


def revert(run: Run, stage: str) -> None:
    """After a failed change to a newer release: revert its migrations, if they break the live release. Raises
    PortsideError if the database reports that they are still applied."""
    live = migrations.Other.of(run, run.facts.current)
    if not live or not migrations.breaking_live(run):
        return
    run.report.warn(f"Reverting the migrations that break {run.facts.current}.")
    record = {"manage": run.candidate.answer.manage}
    with run.server.quietly():
        steps = migrations.revert(run, run.candidate.paths, record, live, run.database.applied)
        run.server.apply(steps[-1:], stage="migrations")
    run.database.applied = ()


def reapply(run: Run, stage: str) -> None:
    """After a failed rollback that had reverted migrations: apply the live release's migrations again."""
    run.report.warn(f"Applying the migrations of {run.facts.current} again.")
    with run.server.quietly():
        run.server.apply(migrations.reapply(run), stage="migrations")
    run.database.reverted = False


def discard(run: Run, stage: str) -> None:
    """After a failure in this stage: remove the new release from the server. If its migrations couldn't be reverted, it
    is only stopped, since only its code can revert them."""
    if migrations.breaking_live(run):
        stop(run, stage)
        return
    first = "no" if run.facts.current else "yes"
    name, site = "Remove the failed release", run.site
    files = switch.event(run, f"failed at {stage}", run.candidate.paths.id)
    step = Discard(name=name, root=site.root, site=site.name, first=first, ids=(run.candidate.paths.id,), files=files)
    with run.server.quietly():
        run.server.apply([step], stage="discard")


def check_live(run: Run, stage: str) -> None:
    """Visit the live release through Nginx once more, before it is reported to be live as before."""
    run.health.fault = site_health.visit(run)

"""Mending: a live release that isn't well is started anew, as it was deployed."""

from __future__ import annotations

from dataclasses import replace

from ..core.errors import PortsideError
from ..core.report import Stage, count
from ..core.server_paths import OWNER
from ..core.steps import Step, folder, script, write
from ..releases import database, history
from ..releases import record as release_record
from . import site_health
from .context import Run

PATIENCE = 10
"""Seconds in which a release may find its database again, once that is back."""


def restart_unhealthy(run: Run, stage: Stage) -> None:
    """Start the live release's web containers that are ill; all of them where visitors get an error all the same."""
    ill = site_health.unhealthy_parts(run.facts)
    if ill:
        run.health.fault = f"{' and '.join(ill)} {'is' if len(ill) == 1 else 'are'} down"
    elif site_health.may_be_failing(run.facts) and not (run.request.dry_run and _database_started(run)):
        run.health.fault = site_health.visit(run, patience=PATIENCE * _database_started(run))
        run.health.fault = run.health.fault and _fault_of_release(run, stage)
    if not run.health.fault:
        stage.skipped = True
        return
    run.report.warn(f"{run.facts.current} isn't healthy: {run.health.fault.rstrip('.')}. It is started anew.")
    restart(run, stage, ill or _web(run))


def _database_started(run: Run) -> bool:
    """Whether this run has started the database, which may be all that was wrong. A plan takes it for that."""
    return any(each["stage"] == "database" for each in run.progress.changed)


def _fault_of_release(run: Run, stage: Stage) -> str:
    """The fault that stays once the database takes connections; empty where that was all that was wrong."""
    if run.request.dry_run:
        return run.health.fault
    results = run.apply(stage, database.wake(run.settings, run.site, run.facts))
    woken = any(result.state == "changed" for result in results)
    return site_health.visit(run, patience=PATIENCE) if woken else run.health.fault


def restart_all(run: Run, stage: Stage) -> None:
    """Start all containers of the live release anew, whether they are ill or not."""
    restart(
        run, stage, [*_web(run), *(f"process-{name}" for name in release_record.processes(history.live(run.facts)))]
    )


def _web(run: Run) -> list[str]:
    return [f"web-{number}" for number in range(1, run.candidate.routes.replicas + 1)]


def restart(run: Run, stage: Stage, parts: list[str]) -> None:
    """Start these containers of the live release anew and see that visitors are answered."""
    paths = run.site.release(run.facts.current)
    folders = [folder(paths.tmp, 0o2770, OWNER), folder(paths.run, 0o2750, OWNER)]
    *_, started = run.apply(stage, [*folders, start(run, paths.id, *parts)])
    ports = tuple(started.answer["ports"]) or run.candidate.routes.ports
    if ports != run.candidate.routes.ports:
        run.candidate.routes = replace(run.candidate.routes, ports=ports)
        _note_ports(run, stage)
    stage.note(f"{count(len(parts), 'container')} started anew")


def check_restarted(run: Run) -> None:
    """See that what was started anew answers visitors. Raises PortsideError where it doesn't."""
    if run.request.dry_run or not (run.health.restart_all or run.health.fault):
        return
    run.health.fault = site_health.visit(run, patience=run.settings.health_timeout)
    if run.health.fault:
        hint = f"{run.fab('logs')} shows what the application says of it."
        raise PortsideError(f"{run.facts.current} was started anew, but isn't healthy: {run.health.fault}", hint=hint)


def start(run: Run, identity: str, *parts: str) -> Step:
    """What starts a release's web containers; of the live one these ``parts`` of its compose file, in their place."""
    first, last = run.settings.port_range
    paths = run.site.release(identity)
    return script(
        f"Start {', '.join(parts)} anew" if parts else "Start the new release",
        "start",
        paths.compose,
        paths.run,
        str(run.candidate.routes.replicas),
        str(first),
        str(last),
        str(run.settings.health_timeout),
        *parts,
    )


def _note_ports(run: Run, stage: Stage) -> None:
    record = history.live(run.facts) | {"ports": list(run.candidate.routes.ports)}
    run.facts = replace(run.facts, releases=run.facts.releases | {run.facts.current: record})
    run.apply(stage, [write(run.site.release(run.facts.current).record, release_record.as_json(record, indent=2))])

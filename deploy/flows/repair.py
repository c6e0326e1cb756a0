"""Repair: restart an unhealthy live release, as it was deployed."""

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
"""Seconds that a release has to reconnect to its database."""


def restart_unhealthy(run: Run, stage: Stage) -> None:
    """Restart the live release's unhealthy web containers, or all of them if visitors still get an error."""
    unhealthy = site_health.unhealthy_parts(run.facts)
    if unhealthy:
        run.health.fault = f"{' and '.join(unhealthy)} {'is' if len(unhealthy) == 1 else 'are'} down"
    elif site_health.may_be_failing(run.facts) and not (run.request.dry_run and _database_started(run)):
        run.health.fault = site_health.visit(run, patience=PATIENCE * _database_started(run))
        run.health.fault = run.health.fault and _fault_of_release(run, stage)
    if not run.health.fault:
        stage.skipped = True
        return
    run.report.warn(f"{run.facts.current} isn't healthy: {run.health.fault.rstrip('.')}. Portside restarts it.")
    restart(run, stage, unhealthy or _web(run))


def _database_started(run: Run) -> bool:
    """Return whether this run has started the database, which may have been the only fault. A plan assumes so."""
    return any(each["stage"] == "database" for each in run.progress.changed)


def _fault_of_release(run: Run, stage: Stage) -> str:
    """Return the fault that remains once the database accepts connections; empty if the database was the only one."""
    if run.request.dry_run:
        return run.health.fault
    results = run.apply(stage, database.wake(run.settings, run.site, run.facts))
    woken = any(result.state == "changed" for result in results)
    return site_health.visit(run, patience=PATIENCE) if woken else run.health.fault


def restart_all(run: Run, stage: Stage) -> None:
    """Restart all containers of the live release, healthy or not."""
    restart(
        run, stage, [*_web(run), *(f"process-{name}" for name in release_record.processes(history.live(run.facts)))]
    )


def _web(run: Run) -> list[str]:
    return [f"web-{number}" for number in range(1, run.candidate.routes.replicas + 1)]


def restart(run: Run, stage: Stage, parts: list[str]) -> None:
    """Restart these containers of the live release, and note its ports if they changed."""
    paths = run.site.release(run.facts.current)
    folders = [folder(paths.tmp, 0o2770, OWNER), folder(paths.run, 0o2750, OWNER)]
    *_, started = run.apply(stage, [*folders, start(run, paths.id, *parts)])
    ports = tuple(started.answer["ports"]) or run.candidate.routes.ports
    if ports != run.candidate.routes.ports:
        run.candidate.routes = replace(run.candidate.routes, ports=ports)
        _note_ports(run, stage)
    stage.note(f"{count(len(parts), 'container')} restarted")


def check_restarted(run: Run) -> None:
    """Check that the restarted release answers visitors. Raises PortsideError if it doesn't."""
    if run.request.dry_run or not (run.health.restart_all or run.health.fault):
        return
    run.health.fault = site_health.visit(run, patience=run.settings.health_timeout)
    if run.health.fault:
        hint = f"{run.fab('logs')} shows the application's log."
        raise PortsideError(f"{run.facts.current} was restarted, but isn't healthy: {run.health.fault}", hint=hint)


def start(run: Run, identity: str, *parts: str) -> Step:
    """Return the step that starts a release's web containers; with ``parts``, those services of the live release."""
    first, last = run.settings.port_range
    paths = run.site.release(identity)
    return script(
        f"Restart {', '.join(parts)}" if parts else "Start the new release",
        "start",
        sign="+",
        compose=paths.compose,
        run=paths.run,
        replicas=run.candidate.routes.replicas,
        first=first,
        last=last,
        seconds=run.settings.health_timeout,
        parts=parts,
    )


def _note_ports(run: Run, stage: Stage) -> None:
    record = history.live(run.facts) | {"ports": list(run.candidate.routes.ports)}
    run.facts = replace(run.facts, releases=run.facts.releases | {run.facts.current: record})
    run.apply(stage, [write(run.site.release(run.facts.current).record, release_record.as_json(record, indent=2))])

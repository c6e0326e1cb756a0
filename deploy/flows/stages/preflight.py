"""preflight: check the settings, the project and the server before anything changes."""

from __future__ import annotations

from collections.abc import Callable

from ...build import image, source, tracked
from ...certs import acme, dns01, renewal
from ...core.errors import PortsideError
from ...core.report import Stage
from ...host import provision
from ...nginx import generation
from ...releases import compose, settings_module, static_site
from .. import disk_space, losses, missing_data, ownership, ship_image, versions
from ..context import Run
from . import certs
from . import remove as stages_remove

Check = Callable[[Run, Stage], None]


def preflight(run: Run, stage: Stage) -> None:
    """Check settings, project, connection and facts. What can be refused is refused here."""
    for name in run.request.flow.early_checks:
        CHECKS[name](run, stage)
    run.server.connect()
    run.look()
    run.progress.certificate = run.facts.certificate
    for name in run.request.flow.checks:
        CHECKS[name](run, stage)


def check_site(run: Run) -> None:
    """Check who owns the site, and report what of it these settings would remove."""
    ownership.check(run)
    if run.request.flow.reports_losses:
        losses.check(run)


def _project(run: Run, stage: Stage) -> None:
    run.candidate.project = source.find(run.settings, run.request.ref, run.progress.stack)
    run.report.say(f"  {run.settings.canonical}: {source.described(run.candidate.source, run.settings)}")
    _warn_source(run)
    _check_source(run)


def _check_source(run: Run) -> None:
    """Raises Refused if no release can be made of this source."""
    if run.settings.containers:
        image.build(run.settings, run.candidate.source, run.site.release("00000000-000000-0000000"))
        settings_module.check_settings_module(run.settings, run.candidate.source)
    else:
        static_site.check(run.candidate.source, run.settings.fallback)


def _warn_source(run: Run) -> None:
    project = run.candidate.source
    if project.pulled:
        return
    if not project.commit:
        run.report.warn(f"{project.root} isn't in git, or has no commit: all of its files are deployed.")
    if project.commit and project.changed:
        run.report.warn(f"Uncommitted changes are deployed: {tracked.some(project.changed)}.")
    if project.deleted:
        run.report.warn(f"Deleted on this machine, so not in the release: {tracked.some(project.deleted)}.")
    if project.untracked:
        run.report.warn(f"Not in git, so not in the release: {tracked.some(project.untracked)}.")


def _own_certificate(run: Run, stage: Stage) -> None:
    acme.check_own(run.settings)
    dns01.check(run.settings)


def _certificate_names(run: Run, stage: Stage) -> None:
    acme.check_names(run.settings)
    certs.authority(run)


def _certificate_done(run: Run, stage: Stage) -> None:
    run.candidate.unchanged = certs.is_done(run)


def _terminal(run: Run, stage: Stage) -> None:
    stages_remove.check_terminal(run)


def _removal(run: Run, stage: Stage) -> None:
    stages_remove.check(run)


def _version(run: Run, stage: Stage) -> None:
    versions.check(run)


def _host(run: Run, stage: Stage) -> None:
    provision.check(run.settings, run.facts)


def _nginx(run: Run, stage: Stage) -> None:
    """Refuse a broken Nginx configuration before anything is changed."""
    if broken := generation.broken(run.facts):
        raise PortsideError(broken, state="Nothing was changed.", hint="Then run the command again.")


def _nginx_may_be_broken(run: Run, stage: Stage) -> None:
    """Only warn: a rollback must not wait until it is fixed."""
    if broken := generation.broken(run.facts):
        run.report.warn(broken)


def _site(run: Run, stage: Stage) -> None:
    check_site(run)


def _data(run: Run, stage: Stage) -> None:
    missing_data.check(run)


def _engine(run: Run, stage: Stage) -> None:
    ship_image.check(run)


def _connections(run: Run, stage: Stage) -> None:
    if crowd := compose.too_many_connections(run.settings, run.facts):
        run.report.warn(crowd)


def _memory(run: Run, stage: Stage) -> None:
    """Warn of little memory. A deploy that builds its image elsewhere needs little."""
    small = provision.little_memory(run.settings, run.facts)
    if small and (run.settings.build == "server" or not run.request.flow.builds):
        run.report.warn(small)


def _renewal(run: Run, stage: Stage) -> None:
    for fault in renewal.faults(run.facts):
        run.report.warn(fault)


def _described(run: Run, stage: Stage) -> None:
    facts = run.facts
    stage.note(f"{facts.os_name}, {facts.cores} cores, {facts.disk_mb // 1024} GB free")


CHECKS: dict[str, Check] = {
    "project": _project,
    "own_certificate": _own_certificate,
    "certificate_names": _certificate_names,
    "certificate_done": _certificate_done,
    "terminal": _terminal,
    "version": _version,
    "host": _host,
    "nginx": _nginx,
    "nginx_may_be_broken": _nginx_may_be_broken,
    "site": _site,
    "removal": _removal,
    "data": _data,
    "engine": _engine,
    "room": disk_space.check,
    "connections": _connections,
    "memory": _memory,
    "renewal": _renewal,
    "described": _described,
}
"""The checks that flows name."""

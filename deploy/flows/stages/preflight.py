"""preflight: check the settings, the project and the server before anything changes."""

from __future__ import annotations

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


def preflight(run: Run, stage: Stage) -> None:
    """Settings, project, connection and facts; refuse here what can be refused."""
    if run.command == "deploy":
        run.source = source.find(run.settings, run.ref, run.stack)
        run.report.say(f"  {run.settings.canonical}: {source.described(run.source, run.settings)}")
        _say_source(run)
        _check_source(run)
    if run.command in {"deploy", "certs"}:
        acme.check_own(run.settings)
        dns01.check(run.settings)
    if run.command == "certs":
        acme.check_names(run.settings)
        run.authority = acme.authority(run.settings, practice=run.server.practice, staging=run.staging)
    if run.command == "remove":
        stages_remove.check_asked(run)
    run.server.connect()
    run.look()
    versions.check(run)
    run.certificate = run.facts.certificate
    if run.command == "remove":
        stages_remove.check(run)
        _check_nginx(run)
        return
    provision.check(run.settings, run.facts)
    _check_nginx(run)
    check_site(run)
    if run.command in {"deploy", "rollback"}:
        missing_data.check(run)
    ship_image.check(run)
    disk_space.check(run, stage)
    facts = run.facts
    crowd = compose.too_many_connections(run.settings, facts)
    if crowd and run.command == "deploy":
        run.report.warn(crowd)
    small = provision.little_memory(run.settings, facts)
    if small and (run.command == "provision" or (run.command == "deploy" and run.settings.build == "server")):
        run.report.warn(small)
    for fault in renewal.faults(facts) if run.command == "deploy" else ():
        run.report.warn(fault)
    run.unchanged = run.command == "certs" and not run.staging and certs.is_done(run)
    stage.note(f"{facts.os_name}, {facts.cores} cores, {facts.disk_mb // 1024} GB free")


def check_site(run: Run) -> None:
    """Whose the site is, and what of it these settings would let go."""
    ownership.check(run)
    if run.command in losses.DROPPING and not run.staging:
        losses.check(run)


def _check_nginx(run: Run) -> None:
    """What somebody else has broken is told before anything is changed. A rollback mustn't wait for its mending."""
    broken = generation.broken(run.facts)
    if broken and run.command in {"deploy", "provision", "certs", "remove"}:
        raise PortsideError(broken, state="Nothing was changed.", hint="Then type the same command again.")
    if broken:
        run.report.warn(broken)


def _check_source(run: Run) -> None:
    """Raises Refused where no release can be made of the source as it is."""
    if run.settings.containers:
        image.build(run.settings, run.source, run.site.release("00000000-000000-0000000"))
        settings_module.check_settings_module(run.settings, run.source)
    else:
        static_site.check(run.source, run.settings.fallback)


def _say_source(run: Run) -> None:
    project = run.source
    if project.pulled:
        return
    if not project.commit:
        run.report.warn(f"{project.root} isn't in git, or has no commit: all of its files are deployed.")
    if project.commit and project.changed:
        run.report.warn(f"Not committed, deployed as it is here: {tracked.some(project.changed)}.")
    if project.deleted:
        run.report.warn(f"Deleted here, so not in the release: {tracked.some(project.deleted)}.")
    if project.untracked:
        run.report.warn(f"Not in git, so not in the release: {tracked.some(project.untracked)}.")

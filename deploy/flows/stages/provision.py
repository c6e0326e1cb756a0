"""provision: bring the server up to date with this version of Portside."""

from __future__ import annotations

from ...certs import acme, dns01
from ...core.report import Stage, count
from ...host import packages as host_packages
from ...host import provision as host_provision
from ...nginx import generation, http3
from .. import switch
from ..context import Run


def provision(run: Run, stage: Stage) -> None:
    """Install or update packages, Docker, Nginx's base and the firewall. Usually there is nothing to do. Runs to its
    end on the server."""
    before = run.progress.changes
    packages = host_packages.packages(run.settings, run.facts)
    if packages:
        run.apply(stage, packages, lock=host_provision.LOCK, detached=True)
        run.look()
    run.apply(stage, host_provision.rest(run.settings, run.facts), lock=host_provision.LOCK, detached=True)
    switch.apply_plan(
        run, stage, lambda: generation.steps(generation.base(run.facts), run.facts, "base settings and catch-all")
    )
    if run.request.flow.installs_certificate:
        renewed = acme.install(run.settings, run.site, run.facts)
        run.apply(stage, [*dns01.refresh(run.settings, run.site, run.facts), *renewed], detached=True)
    if run.progress.changes > before:
        run.look()
    if lacking := http3.unable(run.settings, run.facts):
        run.report.warn(lacking)
    stage.note(count(run.progress.changes - before, "change") if run.progress.changes > before else "nothing to do")

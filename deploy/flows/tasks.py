"""Tasks: run the flow of each task, and print its closing lines."""

from __future__ import annotations

import time
from typing import Any

from ..certs import acme
from ..core.report import count
from ..core.x509 import Certificate
from ..nginx import hostnames
from ..nginx.hostnames import Hosts
from ..releases import healthcheck
from . import restarts, runner, site_health
from .context import Run
from .stages import certs as stages_certs
from .stages import remove as stages_remove


def provision(run: Run) -> None:
    """Prepare the host alone."""
    runner.follow(run)
    _print_round_trips(run)
    changes = run.progress.changes
    done = count(changes, "change") if changes else "nothing to do, the server is up to date"
    run.report.say(f"{run.server.target}: {done}.", style="bold")


def deploy(run: Run, *, as_json: bool = False) -> None:
    """Deploy the site. With ``as_json``, print one object that says what was changed."""
    runner.follow(run)
    _print_round_trips(run)
    identity = run.facts.current if run.candidate.unchanged else run.candidate.paths.id
    seconds = time.monotonic() - run.progress.started
    for line in acme.obsolete_warnings(acme.obsolete_names(run.settings, run.facts, run.candidate.routes.names)):
        run.report.remind(line)
    for problem in site_health.without_image(run) if run.candidate.unchanged else ():
        run.report.remind(str(problem))
    if as_json:
        answer: dict[str, Any] = {"site": run.site.name, "server": run.server.target, "release": identity}
        answer |= {"new": not run.candidate.unchanged}
        answer |= {"changed": run.progress.changed, "warnings": run.report.reminders, "seconds": round(seconds, 1)}
        run.report.result(answer)
    report, site = run.report, run.settings
    _suggest_hosts(run)
    report.say()
    if run.candidate.unchanged:
        what = "nothing to do" if not run.progress.changes else f"{count(run.progress.changes, 'change')}, same release"
        live = f"{site.canonical}: {what}; {identity} is live on {run.server.target}"
    else:
        live = f"{site.canonical} is live on {run.server.target}: release {identity}"
    report.say(f"{live} ({seconds:.1f} s).", style="bold green")
    visited = healthcheck.of(run.candidate.routes, site, run.facts)
    report.say(f"  Look at it:   {visited.address}/")
    if run.facts.closed:
        report.warn(f"The site is closed for visitors. To open it: {run.fab('maintenance', off=True)}")
    _warn_plain_http(run, visited)
    if site.containers:
        report.say(f"  Admin user:   {run.fab('manage', command='createsuperuser')}")
    for line in report.reminders:
        report.warn(line)
    restarts.warn(run)


def _suggest_hosts(run: Run) -> None:
    """After a first deploy to servers given by -H, print how to make -H unnecessary. Of several servers, only the last
    prints it."""
    if run.facts.current or run.settings.hosts or not run.request.hosts:
        return
    line = f"DEPLOY_HOSTS={','.join(run.request.hosts)}"
    run.report.say(f"\nTo leave out -H from now on, add this line to {run.request.env}: {line}")


def certs(run: Run) -> None:
    """Issue a certificate for every domain and turn on HTTPS, or only prove that one could be issued."""
    runner.follow(run)
    _print_round_trips(run)
    report, settings = run.report, run.settings
    names = ", ".join(acme.wanted(settings))
    report.say()
    if run.request.staging:
        directory = stages_certs.authority(run).directory
        report.say(
            f"{directory} issued a certificate for {names} to {run.server.target}. It was deleted again.",
            style="bold green",
        )
        report.say(f"  The real one:  {run.fab('certs')}")
        return
    certificate = Certificate.parse(run.facts.certificate)
    until = certificate.until if certificate else ""
    what = f"{settings.canonical}: nothing to do; the" if run.candidate.unchanged else "The"
    where = run.server.target
    report.say(f"{what} certificate for {names} on {where} is valid until {until}.", style="bold green")
    if not settings.tls_cert:
        report.say("  certbot.timer renews it, and Nginx loads the new one.")
    if run.facts.current:
        report.say(f"  Look at it:   {hostnames.live(settings, run.facts).address}/")
    else:
        report.say(f"  The site isn't live yet. To deploy it, with HTTPS: {run.fab('deploy')}")


def _warn_plain_http(run: Run, visited: Hosts) -> None:
    """Warn of what is served without encryption, and print the command that changes that."""
    askable = acme.wanted(run.settings)
    names = [name for name in visited.names(secure=False) if name in askable]
    wanted = run.settings.canonical
    if visited.canonical != wanted:
        until = f"Until {run.fab('certs')}, it redirects temporarily to {visited.address}"
        run.report.warn(f"{wanted} isn't in the certificate yet. {until}.")
    plain = [name for name in names if name != wanted or name == visited.canonical]
    if visited.names(secure=True) and plain:
        run.report.warn(f"Not in the certificate yet, so served without HTTPS: {', '.join(plain)}.")
    if names:
        run.report.say(f"  HTTPS:        {run.fab('certs')}")


def abort(run: Run) -> None:
    """Remove what an interrupted run left."""
    runner.follow(run)
    what = "what an interrupted run left was removed" if run.progress.changes else "nothing was left to remove"
    run.report.say(f"{run.server.target}: {what}; {run.facts.current or 'nothing'} is live.", style="bold")


def remove(run: Run) -> None:
    """Remove the site from the server, except for a final backup."""
    runner.follow(run)
    _print_round_trips(run)
    report, target = run.report, run.server.target
    if run.candidate.unchanged:
        report.say(f"{run.site.name} isn't on {target}: there is nothing to remove.", style="bold green")
        if run.facts.kept:
            report.say(f"  Its last backup: {run.facts.kept[-1]}, on the server")
        return
    folder = str(run.progress.result["folder"])
    report.say()
    report.say(f"{run.site.name} was removed from {target}.", style="bold green")
    size = max(run.progress.result["kilobytes"] / 1024, 0.1)
    report.say(f"  Its backup:     {folder}, on the server ({size:.1f} MB, readable only by root)")
    report.say(f"  To restore it:  {run.fab('deploy')}; then, on the server as root (see its README):")
    for name, command in stages_remove.restoring(run, folder).items():
        if name in run.progress.result["parts"]:
            report.say(f"    {command}")


def rollback(run: Run) -> None:
    """Roll back to the previous good release, or to the requested one, without building."""
    runner.follow(run)
    _print_round_trips(run)
    seconds = time.monotonic() - run.progress.started
    run.report.say()
    if run.candidate.unchanged:
        how = "was restarted" if run.health.restart_all else "is live already"
        done = f"{run.settings.canonical} is live on {run.server.target}: {run.facts.current} {how}"
        run.report.say(f"{done} ({seconds:.1f} s).", style="bold green")
        restarts.warn(run)
        return
    forward = run.candidate.paths.id > run.facts.current  # an identity begins with its time
    now, other = ("forward", "Back") if forward else ("back", "Forward")
    live = f"{run.settings.canonical} is {now} at {run.candidate.paths.id} on {run.server.target}"
    run.report.say(f"{live} ({seconds:.1f} s).", style="bold green")
    run.report.say(f"  {other} again: {run.fab('rollback', to=run.facts.current)}")
    restarts.warn(run)


def _print_round_trips(run: Run) -> None:
    run.report.detail(count(run.server.round_trips, "round trip"))

"""Flows: a task is a tuple of stage names, run one after the other under one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import causes, hosts, migrating, publishing, recovery, removing, restarts, runlog, stages, visiting, wellbeing
from . import certs as certificates
from .certificate import Certificate
from .errors import Lost, PortsideError, StepFailed
from .hosts import Hosts
from .report import Stage, count
from .run import Run
from .settings import Settings
from .turns import Stopped

PROVISION = ("preflight", "provision")
DEPLOY = ("preflight", "lock", "provision", "build", "data", "prepare", "start", "gate", "live", "prune")

CERTS = ("preflight", "lock", "provision", "issue", "edge", "prove")
TRIAL = ("preflight", "lock", "provision", "issue")
ABORT = ("preflight", "lock")
REMOVE = ("preflight", "confirm", "lock", "remove")
ROLLBACK = ("preflight", "lock", "choose", "data", "migrations", "start", "gate", "live")

OF_CONTAINERS = ("data", "prepare", "migrations", "start")  # a folder of files has none of these


def provision(run: Run) -> None:
    """Prepare the host alone."""
    follow(PROVISION, run)
    _say_round_trips(run)
    done = count(run.changes, "change") if run.changes else "nothing to do, the server is as it should be"
    run.report.say(f"{run.server.target}: {done}.", style="bold")


def deploy(run: Run, *, as_json: bool = False) -> None:
    """From wherever the server is to a live site; as JSON one object that says what was changed."""
    follow(DEPLOY, run)
    _say_round_trips(run)
    identity = run.facts.current if run.unchanged else run.new.id
    seconds = time.monotonic() - run.started
    for line in certificates.told_strange(certificates.strange(run.settings, run.facts, run.served.names)):
        run.report.remind(line)
    for problem in wellbeing.without_image(run) if run.unchanged else ():
        run.report.remind(str(problem))
    if as_json:
        told = {"site": run.site.name, "server": run.server.target, "release": identity, "new": not run.unchanged}
        told |= {"changed": run.changed, "warnings": run.report.reminders, "seconds": round(seconds, 1)}
        run.report.result(told)
    report, site = run.report, run.settings
    _say_hosts(run)
    report.say()
    if run.unchanged:
        what = "nothing to do" if not run.changes else f"{count(run.changes, 'change')}, same release"
        live = f"{site.canonical}: {what}; {identity} is live on {run.server.target}"
    else:
        live = f"{site.canonical} is live on {run.server.target}: release {identity}"
    report.say(f"{live} ({seconds:.1f} s).", style="bold green")
    visited = visiting.of(run.served, site, run.facts)
    report.say(f"  Look at it:   {visited.address}/")
    if run.facts.closed:
        report.warn(f"It is closed for visitors: {run.fab('maintenance', off=True)} opens it.")
    _say_plain(run, visited)
    if site.containers:
        report.say(f"  An admin:     {run.fab('manage', command='createsuperuser')}")
    for line in report.reminders:
        report.warn(line)
    restarts.tell(run)


def _say_hosts(run: Run) -> None:
    """After a first deploy to servers that -H named: what makes -H unnecessary. Of several it is said once."""
    if run.facts.current or run.settings.hosts or not run.hosts:
        return
    line = f"DEPLOY_HOSTS={','.join(run.hosts)}"
    run.report.say(f"\nTo type no -H from now on, add this line to {run.env}: {line}")


def certs(run: Run) -> None:
    """A certificate for every domain, HTTPS switched on; or only the proof that one could be issued."""
    follow(TRIAL if run.staging else CERTS, run)
    _say_round_trips(run)
    report, settings = run.report, run.settings
    names = ", ".join(certificates.wanted(settings))
    report.say()
    if run.staging:
        report.say(
            f"{run.authority.directory} issued a certificate for {names} to {run.server.target}; it was deleted again.",
            style="bold green",
        )
        report.say(f"  The real one:  {run.fab('certs')}")
        return
    certificate = Certificate.parse(run.facts.certificate)
    until = certificate.until if certificate else ""
    what = f"{settings.canonical}: nothing to do; the" if run.unchanged else "The"
    where = run.server.target
    report.say(f"{what} certificate for {names} on {where} is valid until {until}.", style="bold green")
    if not settings.tls_cert:
        report.say("  certbot.timer renews it, and Nginx takes the new one.")
    if run.facts.current:
        report.say(f"  Look at it:   {hosts.live(settings, run.facts).address}/")
    else:
        report.say(f"  The site isn't live yet: {run.fab('deploy')} puts it live, by HTTPS.")


def _say_plain(run: Run, visited: Hosts) -> None:
    """What is served without encryption, and what changes that."""
    askable = certificates.wanted(run.settings)
    names = [name for name in visited.names(secure=False) if name in askable]
    wanted = run.settings.canonical
    if visited.canonical != wanted:
        until = f"until {run.fab('certs')} it redirects to {visited.address}, temporarily"
        run.report.warn(f"{wanted} isn't in the certificate yet: {until}.")
    plain = [name for name in names if name != wanted or name == visited.canonical]
    if visited.names(secure=True) and plain:
        run.report.warn(f"Not in the certificate yet, so without HTTPS: {', '.join(plain)}.")
    if names:
        run.report.say(f"  HTTPS:        {run.fab('certs')}")


def abort(run: Run) -> None:
    """Clear away what an interrupted run left."""
    follow(ABORT, run)
    what = "what was left is cleared away" if run.changes else "nothing was left to clear away"
    run.report.say(f"{run.server.target}: {what}; {run.facts.current or 'nothing'} is live.", style="bold")


def remove(run: Run) -> None:
    """The site off the server, but for a final backup."""
    follow(REMOVE, run)
    _say_round_trips(run)
    report, target = run.report, run.server.target
    if run.unchanged:
        report.say(f"{run.site.name} isn't on {target}: there is nothing to take away.", style="bold green")
        if run.facts.kept:
            report.say(f"  Its last backup: {run.facts.kept[-1]}, on the server")
        return
    folder = str(run.record["folder"])
    report.say()
    report.say(f"{run.site.name} is off {target}.", style="bold green")
    size = max(run.record["kilobytes"] / 1024, 0.1)
    report.say(f"  Its backup:     {folder}, on the server ({size:.1f} MB, for root alone)")
    report.say(f"  To bring it back: {run.fab('deploy')}; then, on the server as root (its README says more):")
    for name, command in removing.restoring(run, folder).items():
        if name in run.record["parts"]:
            report.say(f"    {command}")


def rollback(run: Run) -> None:
    """The previous good release live again, or the one that was asked for; never builds."""
    follow(ROLLBACK, run)
    _say_round_trips(run)
    seconds = time.monotonic() - run.started
    run.report.say()
    if run.unchanged:
        how = "was started anew" if run.anew else "is live already"
        done = f"{run.settings.canonical} is live on {run.server.target}: {run.facts.current} {how}"
        run.report.say(f"{done} ({seconds:.1f} s).", style="bold green")
        restarts.tell(run)
        return
    forward = run.new.id > run.facts.current  # an identity begins with its time
    now, other = ("forward", "Back") if forward else ("back", "Forward")
    live = f"{run.settings.canonical} is {now} at {run.new.id} on {run.server.target}"
    run.report.say(f"{live} ({seconds:.1f} s).", style="bold green")
    run.report.say(f"  {other} again: {run.fab('rollback', to=run.facts.current)}")
    restarts.tell(run)


def _say_round_trips(run: Run) -> None:
    run.report.detail(count(run.server.round_trips, "round trip"))


def stages_of(flow: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    """The stages of a flow that a site of this kind goes through."""
    return flow if settings.containers else tuple(name for name in flow if name not in OF_CONTAINERS)


def follow(flow: tuple[str, ...], run: Run) -> None:
    """Run the stages. A failure takes away what the new release left, and says what is so now."""
    run.report.log = runlog.begin(run.site.name, run.command, run.server.target)
    with run.stack, _logged(run):
        for name in stages_of(flow, run.settings):
            try:
                run.tell(name)
                run.turn(name)
                with run.report.stage(name) as stage:
                    stage_of(name, run.settings)(run, stage)
            except PortsideError as error:
                if not isinstance(error, Lost):
                    _undo(run, f"another server, before {name}" if isinstance(error, Stopped) else name)
                _explain(run, error)
                raise
            except KeyboardInterrupt:
                if name != "migrations" and (run.behind or migrating.disturbing(run)):
                    _undo(run, name)
                raise _interrupted(run, name) from None


@contextmanager
def _logged(run: Run) -> Iterator[None]:
    """What fails inside is the log's last line, and says where that is."""
    try:
        yield
    except PortsideError as error:
        error.mask(run.report.mask.own)
        run.report.note(str(error))
        error.log = str(run.report.log.path) if run.report.log else ""
        raise


def stage_of(name: str, settings: Settings) -> Callable[[Run, Stage], None]:
    """The stage of this name, for a site of this kind."""
    function: Callable[[Run, Stage], None] = getattr(stages, name)
    return function if settings.containers else publishing.STAGES.get(name, function)


def _undo(run: Run, stage: str) -> None:
    """Take away what the run has begun. Failures of that are reported, and the next run clears them.

    A release that was good once is only stopped; one whose migrations couldn't be taken back stays too, since it alone
    can do that.
    """
    if not run.release or run.switched or run.unattended:
        return
    kept = not _undone(run, recovery.take_back, run) or not run.begun
    _undone(run, recovery.stop if kept else recovery.discard, run, stage)
    _undone(run, recovery.forward_again, run)
    _undone(run, recovery.close, run)
    _undone(run, recovery.ask_live, run)


def _undone(run: Run, act: Callable[..., None], *arguments: Any) -> bool:
    """Whether one part of that came to its end."""
    try:
        act(*arguments)
    except PortsideError as error:
        run.not_undone.append(recovery.why(error))
        return False
    return True


def _explain(run: Run, error: PortsideError) -> None:
    error.warnings = list(run.report.reminders)
    if not error.state:
        error.state = _state(run)
    if isinstance(error, Lost):
        error.hint = f"Type {run.again()} again; it goes on from what it finds."
    elif not error.hint and isinstance(error, StepFailed) and (way := _way(run, error.lines)):
        error.hint = f"{way}\nThen type {run.again()} again."
    elif not error.hint:
        error.hint = f"Mend it, then type {run.again()} again."


def _way(run: Run, lines: list[str]) -> str:
    """What helps, where the cause of a failed step is known; else empty."""
    if drop := causes.invalid_index(lines):
        return f"Drop the half-made index: {run.fab('psql', query=drop)}"
    return causes.hint(lines)


def _state(run: Run) -> str:
    """What is so now."""
    if run.command == "remove":
        return removing.interrupted(run)
    return _of_release(run) or _as_it_was(run)


def _of_release(run: Run) -> str:
    """That the new release is live, or may be; empty where it can't be."""
    if run.switched:
        return f"Release {run.new.id} is live."
    if run.unattended:
        releases = f"{run.fab('releases')} shows which"
        return (
            f"The server goes on by itself: release {run.new.id} will be live, or the one before still is; {releases}."
        )
    return ""


def _as_it_was(run: Run) -> str:
    facts = getattr(run, "facts", None)
    if facts and facts.current:
        return f"Release {facts.current} is live, {_as_before(run)}.{_database(run)}{_migrated(run)}{_not_undone(run)}"
    if facts and run.changes:
        return f"The site isn't live yet.{_migrated(run)}{_not_undone(run)}"
    return "Nothing was changed."


def _not_undone(run: Run) -> str:
    """The failures of the cleanup."""
    return "".join(f" The cleanup failed: {failed.rstrip('.')}." for failed in run.not_undone)


def _database(run: Run) -> str:
    """What the failed release has changed of the database's container, which stays."""
    return f" The database was restarted ({run.database_restarted}) and stays so." if run.database_restarted else ""


def _as_before(run: Run) -> str:
    if run.behind:
        return "but its migrations are taken back: the next command applies them again"
    if names := migrating.disturbing(run):
        return f"but {migrating.listed(names)} may make it err"
    if run.live_fault:
        return f"but visitors get an error: {run.live_fault.rstrip('.')}"
    if run.broken_in and run.answer.breaking:
        breaking = migrating.listed(list(run.answer.breaking))
        return f"but {breaking} may be applied by now, and make it err until the next command takes that back"
    return "as before"


def _migrated(run: Run) -> str:
    """What a failed release has already done to the database."""
    told = ""
    if run.broke_off and run.broke_off in run.answer.loose:
        told = f" {run.broke_off} isn't atomic, so a part of it may stay: see to that first."
    elif run.broke_off:
        told = f" {run.broke_off} was taken back whole."
    if not run.migrated:
        return told
    dumped = run.answer.applied and run.settings.own_database
    dump = f"; a dump of before is {migrating.dump_path(run)}" if dumped else ""
    stay = "stays" if len(run.migrated) == 1 else "stay"
    names = f" ({migrating.listed(run.migrated)})" if run.broke_off else ""
    return f"{told} {count(len(run.migrated), 'migration')} of the failed one {stay} applied{names}{dump}."


def _interrupted(run: Run, name: str) -> PortsideError:
    return PortsideError(
        f"Interrupted in the stage “{name}”.",
        state=_state(run) + _ended(run, name),
        hint=f"Type {run.again()} again; it clears away what was left.",
    )


def _ended(run: Run, name: str) -> str:
    """What an interruption means to a migration that was at work."""
    if name not in {"prepare", "migrations"}:
        return ""
    return " A migration that was at work is ended, and PostgreSQL takes back what it had begun."

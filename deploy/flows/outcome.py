"""What is printed after a failure: what the server runs now, and what to do."""

from __future__ import annotations

from ..build import errors as build_errors
from ..core.errors import Lost, PortsideError, StepFailed
from ..core.report import count
from . import migrations
from .context import Run
from .stages import remove


def explain(run: Run, error: PortsideError) -> None:
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
    if drop := build_errors.invalid_index(lines):
        return f"Drop the half-made index: {run.fab('psql', query=drop)}"
    return build_errors.hint(lines)


def _state(run: Run) -> str:
    """What is so now."""
    if run.command == "remove":
        return remove.interrupted(run)
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
    if names := migrations.disturbing(run):
        return f"but {migrations.listed(names)} may make it err"
    if run.live_fault:
        return f"but visitors get an error: {run.live_fault.rstrip('.')}"
    if run.broken_in and run.answer.breaking:
        breaking = migrations.listed(list(run.answer.breaking))
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
    dump = f"; a dump of before is {migrations.dump_path(run)}" if dumped else ""
    stay = "stays" if len(run.migrated) == 1 else "stay"
    names = f" ({migrations.listed(run.migrated)})" if run.broke_off else ""
    return f"{told} {count(len(run.migrated), 'migration')} of the failed one {stay} applied{names}{dump}."


def interrupted(run: Run, name: str) -> PortsideError:
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

"""What is printed after a failure: what the server runs now, and what to do."""

from __future__ import annotations

from ..build import errors as build_errors
from ..core.errors import ConnectionLost, PortsideError, StepFailed
from ..core.report import count
from . import migrations
from .context import Run
from .progress import Phase
from .stages import remove


def explain(run: Run, error: PortsideError) -> None:
    error.warnings = list(run.report.reminders)
    if not error.state:
        error.state = _state(run)
    if isinstance(error, ConnectionLost):
        error.hint = f"Type {run.again()} again; it goes on from what it finds."
    elif not error.hint and isinstance(error, StepFailed) and (way := _fix(run, error.lines)):
        error.hint = f"{way}\nThen type {run.again()} again."
    elif not error.hint:
        error.hint = f"Mend it, then type {run.again()} again."


def _fix(run: Run, lines: list[str]) -> str:
    """What helps, where the cause of a failed step is known; else empty."""
    if drop := build_errors.invalid_index(lines):
        return f"Drop the half-made index: {run.fab('psql', query=drop)}"
    return build_errors.hint(lines)


def _state(run: Run) -> str:
    """What is so now."""
    if run.request.flow.removes:
        return remove.interrupted(run)
    return _of_release(run) or _of_live(run)


def _of_release(run: Run) -> str:
    """That the new release is live, or may be; empty where it can't be."""
    if run.phase is Phase.LIVE:
        return f"Release {run.candidate.paths.id} is live."
    if run.phase is Phase.HANDED_OVER:
        releases = f"{run.fab('releases')} shows which"
        identity = run.candidate.paths.id
        return f"The server goes on by itself: release {identity} will be live, or the one before still is; {releases}."
    return ""


def _of_live(run: Run) -> str:
    facts = run.facts
    if facts.current:
        return (
            f"Release {facts.current} is live, {_live_now(run)}.{_database(run)}{_migrated(run)}{_failed_cleanup(run)}"
        )
    if run.progress.changes:
        return f"The site isn't live yet.{_migrated(run)}{_failed_cleanup(run)}"
    return "Nothing was changed."


def _failed_cleanup(run: Run) -> str:
    """The failures of the cleanup."""
    return "".join(f" The cleanup failed: {failed.rstrip('.')}." for failed in run.progress.undo.failures)


def _database(run: Run) -> str:
    """What the failed release has changed of the database's container, which stays."""
    return f" The database was restarted ({run.database.restarted}) and stays so." if run.database.restarted else ""


def _live_now(run: Run) -> str:
    if run.database.reverted:
        return "but its migrations are taken back: the next command applies them again"
    if names := migrations.breaking_live(run):
        return f"but {migrations.listed(names)} may make it err"
    if run.health.fault:
        return f"but visitors get an error: {run.health.fault.rstrip('.')}"
    if run.database.unknown and run.candidate.answer.breaking:
        breaking = migrations.listed(list(run.candidate.answer.breaking))
        return f"but {breaking} may be applied by now, and make it err until the next command takes that back"
    return "as before"


def _migrated(run: Run) -> str:
    """What a failed release has already done to the database."""
    told = ""
    if run.database.failed_at and run.database.failed_at in run.candidate.answer.loose:
        told = f" {run.database.failed_at} isn't atomic, so a part of it may stay: see to that first."
    elif run.database.failed_at:
        told = f" {run.database.failed_at} was taken back whole."
    if not run.database.applied:
        return told
    dumped = run.candidate.answer.applied and run.settings.own_database
    dump = f"; a dump of before is {migrations.dump_path(run)}" if dumped else ""
    stay = "stays" if len(run.database.applied) == 1 else "stay"
    names = f" ({migrations.listed(run.database.applied)})" if run.database.failed_at else ""
    return f"{told} {count(len(run.database.applied), 'migration')} of the failed one {stay} applied{names}{dump}."


def interrupted(run: Run, name: str) -> PortsideError:
    return PortsideError(
        f"Interrupted in the stage “{name}”.",
        state=_state(run) + _interrupted_migration(run, name),
        hint=f"Type {run.again()} again; it clears away what was left.",
    )


def _interrupted_migration(run: Run, name: str) -> str:
    """What an interruption means to a migration that was at work."""
    if name not in {"prepare", "migrations"}:
        return ""
    return " A migration that was at work is ended, and PostgreSQL takes back what it had begun."

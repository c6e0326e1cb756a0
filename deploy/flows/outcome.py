"""What is printed after a failure: what the server runs now, and what to do next."""

from __future__ import annotations

from ..build import errors as build_errors
from ..core.errors import ConnectionLost, PortsideError, StepFailed
from ..core.report import count
from . import migrations
from .context import Run
from .progress import Phase
from .stages import remove


def explain(run: Run, error: PortsideError) -> None:
    """Add the state and the next step to an error."""
    error.warnings = list(run.report.reminders)
    if not error.state:
        error.state = _state(run)
    if isinstance(error, ConnectionLost):
        error.hint = f"Run {run.again()} again. It continues from the state that it finds."
    elif not error.hint and isinstance(error, StepFailed) and (fix := _fix(run, error.lines)):
        error.hint = f"{fix}\nThen run {run.again()} again."
    elif not error.hint:
        error.hint = f"Fix this and run {run.again()} again."


def _fix(run: Run, lines: list[str]) -> str:
    """Return the fix if the cause of a failed step is known, else an empty string."""
    if drop := build_errors.invalid_index(lines):
        return f"Drop the partly built index: {run.fab('psql', query=drop)}"
    return build_errors.hint(lines)


def _state(run: Run) -> str:
    """Return the present state of the site."""
    if run.request.flow.removes:
        return remove.interrupted(run)
    return _of_release(run) or _of_live(run)


def _of_release(run: Run) -> str:
    """Return that the new release is live, or may be; empty if it can't be."""
    if run.phase is Phase.LIVE:
        return f"Release {run.candidate.paths.id} is live."
    if run.phase is Phase.HANDED_OVER:
        releases = run.fab("releases")
        return f"The server is finishing the switch on its own. Run {releases} to see which release is live."
    return ""


def _of_live(run: Run) -> str:
    facts = run.facts
    if facts.current:
        return f"Release {facts.current} is {_live_now(run)}.{_database(run)}{_migrated(run)}{_failed_cleanup(run)}"
    if run.progress.changes:
        return f"The site isn't live yet.{_migrated(run)}{_failed_cleanup(run)}"
    return "Nothing was changed."


def _failed_cleanup(run: Run) -> str:
    """Return the failures of the cleanup."""
    return "".join(f" The cleanup failed: {failed.rstrip('.')}." for failed in run.progress.undo.failures)


def _database(run: Run) -> str:
    """Return the change that the failed release made to the database's container, which isn't undone."""
    return (
        f" The database was restarted ({run.database.restarted}). That isn't undone." if run.database.restarted else ""
    )


def _live_now(run: Run) -> str:
    if run.database.reverted:
        return "still live, but its migrations are reverted. The next command applies them again"
    if names := migrations.breaking_live(run):
        many, have = ("migration", "has") if len(names) == 1 else ("migrations", "have")
        listed = migrations.listed(names)
        return f"still live, but {many} {listed} {have} been applied and may cause errors in it"
    if run.health.fault:
        return f"live, but visitors get an error: {run.health.fault.rstrip('.')}"
    if run.database.unknown and run.candidate.answer.breaking:
        breaking = migrations.listed(list(run.candidate.answer.breaking))
        applied = f"{breaking} may have been applied and may cause errors in it"
        return f"still live, but {applied}. The next command reverts that"
    return "live, as before"


def _migrated(run: Run) -> str:
    """Return what a failed release has already done to the database."""
    text = ""
    if run.database.failed_at and run.database.failed_at in run.candidate.answer.loose:
        text = f" {run.database.failed_at} isn't atomic, so a part of it may have been applied. Check that first."
    elif run.database.failed_at:
        text = f" {run.database.failed_at} was rolled back completely."
    if not run.database.applied:
        return text
    dumped = run.candidate.answer.applied and run.settings.own_database
    dump = f"; the dump made before is {migrations.dump_path(run)}" if dumped else ""
    stay = "stays" if len(run.database.applied) == 1 else "stay"
    names = f" ({migrations.listed(run.database.applied)})" if run.database.failed_at else ""
    return f"{text} {count(len(run.database.applied), 'migration')} of the failed release {stay} applied{names}{dump}."


def interrupted(run: Run, name: str) -> PortsideError:
    """Return the error for a run that Ctrl-C interrupted in the stage ``name``."""
    return PortsideError(
        f"Interrupted in the stage “{name}”.",
        state=_state(run) + _interrupted_migration(run, name),
        hint=f"Run {run.again()} again. It removes what was left.",
    )


def _interrupted_migration(run: Run, name: str) -> str:
    """Return what an interruption means for a running migration."""
    if name not in {"prepare", "migrations"}:
        return ""
    return " A running migration is stopped, and PostgreSQL rolls back what it had begun."

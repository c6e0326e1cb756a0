"""Migrations: what they would break, and the steps that apply them or take them back.

Two releases share one database while they are switched, so what one of them does to it is judged by what the other
knows: ``remote/portside_migrations.py`` compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config.settings import Settings
from ..config.types import postgres_major
from ..core.errors import PortsideError
from ..core.facts import Facts
from ..core.files import REMOTE
from ..core.paths import ReleasePaths
from ..core.report import count
from ..core.steps import Content, Step, script, write
from ..releases import record as release_record
from ..releases.answer import Answer
from ..releases.environment import made_environment_step
from .context import Run
from .progress import Phase

_MODULES = ("portside_migrations.py", "portside_compatibility.py", "portside_tables.py", "portside_project.py")
_HISTORY = {name: REMOTE / name for name in _MODULES}
_ASK = {"ask.py": REMOTE / "ask.py"} | _HISTORY
_LOCK_TIMEOUT = {"portside_lock_timeout.py": REMOTE / "portside_lock_timeout.py"}
_FORWARD = {"forward.py": REMOTE / "forward.py"} | _LOCK_TIMEOUT
_BACK = {"back.py": REMOTE / "back.py"} | _LOCK_TIMEOUT | _HISTORY
BEHIND = "behind"  # in the site's record: the live release whose migrations were taken back before a switch
SPLIT = "Split it over several deploys: docs/deploy.md, “Expand and contract”, has the recipe."


@dataclass(frozen=True)
class Other:
    """A release that another one is compared with. ``file``: on the server, what it knows of the database; ``leaves``:
    what its record says where an older version of Portside made it."""

    file: str
    leaves: Mapping[str, str]

    @classmethod
    def of(cls, run: Run, identity: str) -> Other | None:
        """None for no release."""
        record = run.facts.releases.get(identity) or run.facts.pending.get(identity, {})
        return cls(run.site.release(identity).knowledge, record.get("leaves", {})) if identity else None

    @property
    def files(self) -> dict[str, Content]:
        return {"other.json": json.dumps({"leaves": self.leaves}).encode()}


def ask(
    paths: ReleasePaths, folder: str, other: Other | None, application: str | None = None, *, check: bool = False
) -> Step:
    """Ask a release's project what it needs. ``other``: the release that what it does to the database is judged by.

    ``application``: DEPLOY_APPLICATION; ``check``: run Django's checks for a deploy too.
    """
    name = "Ask Django what it needs, and for its checks" if check else "Ask Django what it needs"
    words = (paths.compose, folder, other.file if other else "", application or "", *["check"] * check)
    return script(name, "ask", *words, files=_ASK | (other.files if other else {}))


def questions(run: Run, paths: ReleasePaths, record: Mapping[str, Any], other: Other | None) -> list[Step]:
    """Ask a release that was live once the same."""
    return [environment_step(run, paths, record), ask(paths, _folder(record), other)]


def _folder(record: Mapping[str, Any]) -> str:
    """Of manage.py, in a release's image."""
    return str(record.get("manage", "")).rpartition("/")[0]


def apply(run: Run, paths: ReleasePaths, answer: Answer) -> list[Step]:
    """Apply what is pending, with this release's code, after a dump; also where ``migrate`` alone knows what is."""
    aliases = list(dict.fromkeys([*["default"] * must_migrate(run, answer), *answer.pending_in]))
    if not aliases:
        return []
    many = f" ({len(answer.pending)})" if answer.pending else ""
    dumped = dump(run) if answer.applied else []
    return [*dumped, _migrate(run, f"Migrate{many}", paths, answer.manage, aliases)]


def must_migrate(run: Run, answer: Answer) -> bool:
    """Whether ``migrate`` runs though nothing is known to be pending: the last one broke off, a squashed one is to
    be noted, or the project has a command of its own for it, and other migrations than the live release."""
    if not run.request.flow.builds or not answer.aliases:
        return False
    live = run.facts.releases.get(run.facts.current, {})
    return (
        run.facts.migrating
        or bool(answer.unrecorded)
        or bool(answer.migrate and answer.knowledge != live.get("knowledge"))
    )


def revert(
    run: Run, paths: ReleasePaths, record: Mapping[str, Any], other: Other, only: Sequence[str] | None = None
) -> list[Step]:
    """Take back, with this release's code and after a dump, what the other one has never heard of; ``only``: of these.

    The last step fails where the database says afterwards that some of it is still applied.
    """
    many = "" if only is None else f" ({len(only)})"
    names = "" if only is None else json.dumps(list(only))
    words = (paths.compose, _folder(record), _options(run.settings), other.file, names)
    return [*dump(run), script(f"Migrate back{many}", "back", *words, files=_BACK | other.files)]


def _migrate(run: Run, name: str, paths: ReleasePaths, manage: str, aliases: Sequence[str]) -> Step:
    words = (paths.compose, manage, _options(run.settings), run.site.migrating, *aliases)
    return script(name, "migrate", *words, files=_FORWARD)


def _options(settings: Settings) -> str:
    """A migration that waits for a lock would make every visitor behind it wait too: it gives up instead. And what
    is asked for by nobody any more is ended."""
    if not settings.own_database:
        return ""
    watched = " -c client_connection_check_interval=5s" if postgres_major(settings.database) >= 14 else ""
    return f"-c lock_timeout=10s{watched}"


def dump(run: Run) -> list[Step]:
    """A dump of the site's own database."""
    if not run.settings.own_database:
        return []
    return [script("Dump the database", "dump", run.site.data_compose, dump_path(run))]


def dump_path(run: Run) -> str:
    """Named after the release that is to be; a rollback's is another than the one its release was made with."""
    forward = run.request.flow.builds and run.candidate.release
    return run.site.dump(run.candidate.paths.id if forward else f"{run.facts.clock}-rollback")


def check(run: Run, answer: Answer) -> None:
    """List what is pending. Raises PortsideError where it would break the release that is live, or where this one can't
    work with what others have made of the database."""
    _check_unknown(run, answer)
    check_pending(run, answer)


def check_pending(run: Run, answer: Answer) -> None:
    """List what is pending. Raises PortsideError where it would break the release that is live."""
    if not answer.pending:
        return
    run.report.say(f"  {count(len(answer.pending), 'migration')} to apply: {listed(answer.pending)}")
    live = run.facts.current
    if not live:
        return
    for name, what in answer.unjudged.items():
        run.report.warn(f"Nobody can tell what {name} does to {live}, which runs beside it: {', '.join(what)}.")
    if answer.breaking and not run.request.allow_breaking:
        raise PortsideError(
            f"This would break {live}, which serves visitors until the new release does:\n{_breaks(answer.breaking)}",
            hint=f"{SPLIT}\nOr bear its errors meanwhile: {run.again(allow_breaking=True)}",
        )
    if answer.breaking:
        run.report.warn(breaking_warning(live, answer))


def _check_unknown(run: Run, answer: Answer) -> None:
    """Name what is applied, and this code hasn't. Raises PortsideError where it can't work with that."""
    live = run.facts.releases.get(run.facts.current, {})
    if answer.strangers:
        many = count(len(answer.strangers), "migration")
        run.report.warn(f"The database keeps {many} that this code hasn't: {listed(answer.strangers)}.")
    if new := sorted({*answer.stale} - {*live.get("strangers", answer.stale)}):
        run.report.warn(f"The database has migrations that no release here has: {listed(new)}.")
    lacking = [phrase for phrase in answer.lacking if phrase not in live.get("lacking", [])]
    if lacking and run.request.allow_breaking:
        refused = ": a deploy of it is refused, but for --allow-breaking" * run.request.dry_run
        run.report.warn(f"This code can't work with the database as it is{refused}:\n{_indented(lacking)}")
    elif lacking:
        hint = (
            f"To go back with the database too, after a dump: {run.fab('rollback', to='ID', migrations=True)} "
            f"({run.fab('releases')} shows which).\nTo deploy it all the same: {run.again(allow_breaking=True)}"
        )
        raise PortsideError(f"This code can't work with the database as it is:\n{_indented(lacking)}", hint=hint)


def refuse_incompatible(run: Run, answer: Answer) -> None:
    """Raises PortsideError where a release can't work with a database that was taken back for it."""
    if answer.lacking:
        identity = run.candidate.paths.id
        raise PortsideError(f"{identity} can't work with the database as it is now:\n{_indented(answer.lacking)}")


def _indented(phrases: Iterable[str]) -> str:
    return "\n".join(f"  {phrase}" for phrase in phrases)


def breaking_warning(live: str, answer: Answer) -> str:
    """What --allow-breaking means to the release that is live."""
    return f"{live} may err from now on until the switch:\n{_breaks(answer.breaking)}"


def warn_not_reverted(run: Run, answer: Answer) -> None:
    """What going back leaves in the database as it is. ``answer``: of the live release."""
    many = count(len(answer.ahead), "migration")
    run.report.warn(f"The database stays as it is: {many} not undone ({listed(answer.ahead)}).")
    for name, what in answer.ahead_unjudged.items():
        run.report.warn(f"Nobody can tell what {name} does to {run.candidate.paths.id}: {', '.join(what)}.")


def check_rollback(run: Run, answer: Answer, wanted: Answer) -> None:
    """Raises PortsideError where the release to go back to can't work with the database as it is, or what it doesn't
    know can't be taken back. ``answer``: of the live release; ``wanted``: of the one to go back to."""
    if run.request.migrations:
        _refuse_irreversible(run, answer)
        if not answer.ahead:
            refuse_incompatible(run, wanted)
    elif (answer.ahead_breaking or wanted.lacking) and not run.request.allow_breaking:
        identity, live = run.candidate.paths.id, run.facts.current
        raise PortsideError(
            f"{identity} can't work with the database as {live} made it:\n{_why_incompatible(answer, wanted)}",
            hint=f"To migrate back too, after a dump: {run.again(migrations=True)}\n"
            f"To go back all the same: {run.again(allow_breaking=True)}\n"
            "What is lost: docs/deploy.md, “Going back”.",
        )


def _why_incompatible(answer: Answer, wanted: Answer) -> str:
    return _breaks(answer.ahead_breaking) or _indented(wanted.lacking)


def _refuse_irreversible(run: Run, answer: Answer) -> None:
    stuck = answer.irreversible | answer.no_way_back
    if answer.migrate and answer.ahead:
        own = f"{answer.migrate} has a migrate command of its own, which alone knows how"
        stuck = dict.fromkeys(answer.ahead, own)
    if not stuck:
        return
    how = ", since they don't say how" if stuck == answer.irreversible else ""
    lines = _indented(f"{name}: {what}" for name, what in stuck.items())
    raise PortsideError(
        f"These migrations can't be taken back{how}:\n{lines}",
        hint=f"Mend what is wrong and type {run.fab('deploy')}, or restore a dump of backups/.",
    )


def breaking_live(run: Run) -> list[str]:
    """What a release that isn't live yet has applied, and what breaks the live one."""
    if not run.facts.current or run.phase is Phase.LIVE:
        return []
    return run.database.breaks_live(run.candidate.django)


def explain_afterwards(run: Run, error: PortsideError) -> None:
    """The release is live and well, but the migrations it doesn't know aren't taken back, or not all."""
    error.state = f"Release {run.candidate.paths.id} is live, and needs none of what stays in the database."
    error.hint = (
        f"To try again: {run.fab('rollback', to=run.facts.current)}, "
        f"then {run.fab('rollback', to=run.candidate.paths.id, migrations=True)}"
    )


def record_behind(run: Run, behind: bool) -> Step:
    """Note on the server that the live release's migrations are taken back, or aren't any more."""
    record = {name: value for name, value in run.facts.record.items() if name != BEHIND}
    return write(run.site.record, release_record.as_json(record | ({BEHIND: run.facts.current} if behind else {})))


def is_behind(facts: Facts) -> bool:
    """Whether going back ended between the database and the switch."""
    return bool(facts.current) and facts.record.get(BEHIND) == facts.current


def reapply(run: Run) -> list[Step]:
    """The live release's migrations applied again, where going back ended half-way."""
    paths = run.site.release(run.facts.current)
    record = run.facts.releases[run.facts.current]
    aliases = record.get("aliases", ["default"])
    return [
        environment_step(run, paths, record),
        _migrate(run, "Apply the live release's migrations again", paths, str(record["manage"]), aliases),
        record_behind(run, False),
    ]


def environment_step(run: Run, paths: ReleasePaths, record: Mapping[str, Any]) -> Step:
    """A release's environment as the settings are now, for what is to run in its image."""
    return made_environment_step(run.settings, paths, str(record.get("settings_module", "")))


def listed(names: Sequence[str]) -> str:
    rest = len(names) - 12
    return ", ".join(names[:12]) + (f" and {rest} more" if rest > 0 else "")


def _breaks(breaking: Mapping[str, Iterable[str]]) -> str:
    return _indented(f"{name}: {phrase}" for name, phrases in breaking.items() for phrase in phrases)

"""Migrations: what they would break, and the steps that apply or revert them.

During a switch two releases share one database. A change that one of them makes is judged by what the other one knows:
``remote/portside_migrations.py`` compares them.
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
BEHIND = "behind"  # in the site's record: the live release, if its migrations were reverted before a switch
SPLIT = "Split it over several deploys: see “Expand and contract” in docs/migrations.md."


@dataclass(frozen=True)
class Other:
    """A release that another one is compared with. ``file``: its knowledge of the database, on the server; ``leaves``:
    the same from its record, if an older version of Portside made it."""

    file: str
    leaves: Mapping[str, str]

    @classmethod
    def of(cls, run: Run, identity: str) -> Other | None:
        """Return the release with this identity, or None if it is empty."""
        record = run.facts.releases.get(identity) or run.facts.pending.get(identity, {})
        return cls(run.site.release(identity).knowledge, record.get("leaves", {})) if identity else None

    @property
    def files(self) -> dict[str, Content]:
        return {"other.json": json.dumps({"leaves": self.leaves}).encode()}


def ask(
    paths: ReleasePaths, folder: str, other: Other | None, application: str | None = None, *, check: bool = False
) -> Step:
    """Return the step that asks a release's project what it needs. ``other``: the release that its changes to the
    database are compared with.

    ``application``: DEPLOY_APPLICATION; ``check``: also run Django's deployment checks.
    """
    name = "Ask Django what it needs, and for its checks" if check else "Ask Django what it needs"
    return script(
        name,
        "ask",
        sign="",
        compose=paths.compose,
        manage=folder,
        other=other.file if other else "",
        application=application or "",
        check="check" if check else "",
        files=_ASK | (other.files if other else {}),
    )


def questions(run: Run, paths: ReleasePaths, record: Mapping[str, Any], other: Other | None) -> list[Step]:
    """Return the steps that ask this of a release that was live before."""
    return [environment_step(run, paths, record), ask(paths, _folder(record), other)]


def _folder(record: Mapping[str, Any]) -> str:
    """Return the folder of manage.py in a release's image."""
    return str(record.get("manage", "")).rpartition("/")[0]


def apply(run: Run, paths: ReleasePaths, answer: Answer) -> list[Step]:
    """Return the steps that apply pending migrations with this release's code, after a dump. They also run if only
    ``migrate`` itself can know what is pending."""
    aliases = list(dict.fromkeys([*["default"] * must_migrate(run, answer), *answer.pending_in]))
    if not aliases:
        return []
    many = f" ({len(answer.pending)})" if answer.pending else ""
    dumped = dump(run) if answer.applied else []
    return [*dumped, _migrate(run, f"Migrate{many}", paths, answer.manage, aliases)]


def must_migrate(run: Run, answer: Answer) -> bool:
    """Return whether ``migrate`` runs although no pending migration is known: the last run of it was interrupted, a
    squashed migration isn't recorded yet, or the project has its own migrate command and other migrations than the
    live release."""
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
    """Return the steps that revert, with this release's code and after a dump, the migrations that the other release
    doesn't have; ``only``: only these.

    The last step fails if the database reports that some of them are still applied.
    """
    many = "" if only is None else f" ({len(only)})"
    names = "" if only is None else json.dumps(list(only))
    step = script(
        f"Revert migrations{many}",
        "back",
        sign="~",
        compose=paths.compose,
        folder=_folder(record),
        options=_options(run.settings),
        other=other.file,
        only=names,
        files=_BACK | other.files,
    )
    return [*dump(run), step]


def _migrate(run: Run, name: str, paths: ReleasePaths, manage: str, aliases: Sequence[str]) -> Step:
    return script(
        name,
        "migrate",
        sign="~",
        compose=paths.compose,
        manage=manage,
        options=_options(run.settings),
        mark=run.site.migrating,
        aliases=aliases,
        files=_FORWARD,
    )


def _options(settings: Settings) -> str:
    """Return PostgreSQL's options for migrations. One that waited for a lock would block all visitors behind it, so it
    gives up instead. PostgreSQL also ends queries of a client that is gone."""
    if not settings.own_database:
        return ""
    watched = " -c client_connection_check_interval=5s" if postgres_major(settings.database) >= 14 else ""
    return f"-c lock_timeout=10s{watched}"


def dump(run: Run) -> list[Step]:
    """Return the step that dumps the site's own database; none for another database."""
    if not run.settings.own_database:
        return []
    return [script("Dump the database", "dump", sign="+", data=run.site.data_compose, dump=dump_path(run))]


def dump_path(run: Run) -> str:
    """Return the path of a dump, named after the release that is being made. Dumps before a rollback have a name of
    their own, so that they don't replace the one made before that release."""
    forward = run.request.flow.builds and run.candidate.release
    return run.site.dump(run.candidate.paths.id if forward else f"{run.facts.clock}-rollback")


def check(run: Run, answer: Answer) -> None:
    """Print the pending migrations. Raises PortsideError if they would break the live release, or if this code can't
    work with the present database."""
    _check_unknown(run, answer)
    check_pending(run, answer)


def check_pending(run: Run, answer: Answer) -> None:
    """Print the pending migrations. Raises PortsideError if they would break the live release."""
    if not answer.pending:
        return
    run.report.say(f"  {count(len(answer.pending), 'migration')} to apply: {listed(answer.pending)}")
    live = run.facts.current
    if not live:
        return
    for name, what in answer.unjudged.items():
        run.report.warn(f"Cannot check whether {name} ({', '.join(what)}) is safe for the running release {live}.")
    if answer.breaking and not run.request.allow_breaking:
        raise PortsideError(
            f"This would break {live}, which serves visitors until the switch:\n{_breaks(answer.breaking)}",
            hint=f"{SPLIT}\nOr accept its errors until the switch: {run.again(allow_breaking=True)}",
        )
    if answer.breaking:
        run.report.warn(breaking_warning(live, answer))


def _check_unknown(run: Run, answer: Answer) -> None:
    """Warn of applied migrations that this code doesn't have. Raises PortsideError if it can't work with them."""
    live = run.facts.releases.get(run.facts.current, {})
    if answer.strangers:
        many = count(len(answer.strangers), "migration")
        run.report.warn(f"This code doesn't have {many} that the database keeps: {listed(answer.strangers)}.")
    if new := sorted({*answer.stale} - {*live.get("strangers", answer.stale)}):
        run.report.warn(f"The database has migrations that no release on this server has: {listed(new)}.")
    lacking = [phrase for phrase in answer.lacking if phrase not in live.get("lacking", [])]
    if lacking and run.request.allow_breaking:
        refused = ", so a deploy needs --allow-breaking" * run.request.dry_run
        run.report.warn(f"This code can't work with the database as it is{refused}:\n{_indented(lacking)}")
    elif lacking:
        hint = (
            f"To roll back the database too, after a dump: {run.fab('rollback', to='ID', migrations=True)} "
            f"({run.fab('releases')} lists the releases).\nTo deploy anyway: {run.again(allow_breaking=True)}"
        )
        raise PortsideError(f"This code can't work with the database as it is:\n{_indented(lacking)}", hint=hint)


def refuse_incompatible(run: Run, answer: Answer) -> None:
    """Raises PortsideError if a release can't work with a database that was reverted for it."""
    if answer.lacking:
        identity = run.candidate.paths.id
        raise PortsideError(f"{identity} can't work with the database as it is now:\n{_indented(answer.lacking)}")


def _indented(phrases: Iterable[str]) -> str:
    return "\n".join(f"  {phrase}" for phrase in phrases)


def breaking_warning(live: str, answer: Answer) -> str:
    """Return the effect of --allow-breaking on the live release."""
    return f"{live} may fail until the switch:\n{_breaks(answer.breaking)}"


def warn_not_reverted(run: Run, answer: Answer) -> None:
    """Warn of what a rollback leaves in the database. ``answer``: of the live release."""
    many, stay = count(len(answer.ahead), "migration"), "stays" if len(answer.ahead) == 1 else "stay"
    run.report.warn(f"The database isn't rolled back: {many} {stay} applied ({listed(answer.ahead)}).")
    for name, what in answer.ahead_unjudged.items():
        run.report.warn(f"Cannot check whether {name} ({', '.join(what)}) is safe for {run.candidate.paths.id}.")


def check_rollback(run: Run, answer: Answer, wanted: Answer) -> None:
    """Raises PortsideError if the release to roll back to can't work with the present database, or if migrations that
    it doesn't have can't be reverted. ``answer``: of the live release; ``wanted``: of the release to roll back to."""
    if run.request.migrations:
        _refuse_irreversible(run, answer)
        if not answer.ahead:
            refuse_incompatible(run, wanted)
    elif (answer.ahead_breaking or wanted.lacking) and not run.request.allow_breaking:
        identity, live = run.candidate.paths.id, run.facts.current
        raise PortsideError(
            f"{identity} can't work with the database as {live} left it:\n{_why_incompatible(answer, wanted)}",
            hint=f"To revert the migrations too, after a dump: {run.again(migrations=True)}\n"
            f"To roll back anyway: {run.again(allow_breaking=True)}\n"
            "“The database” in docs/rollback.md explains what is lost.",
        )


def _why_incompatible(answer: Answer, wanted: Answer) -> str:
    return _breaks(answer.ahead_breaking) or _indented(wanted.lacking)


def _refuse_irreversible(run: Run, answer: Answer) -> None:
    stuck = answer.irreversible | answer.no_way_back
    if answer.migrate and answer.ahead:
        own = f"only the migrate command of {answer.migrate} could do it"
        stuck = dict.fromkeys(answer.ahead, own)
    if not stuck:
        return
    how = ": they have no reverse operation" if stuck == answer.irreversible else ""
    lines = _indented(f"{name}: {what}" for name, what in stuck.items())
    raise PortsideError(
        f"These migrations can't be reverted{how}:\n{lines}",
        hint=f"Fix what is wrong and run {run.fab('deploy')}, or restore a dump from backups/.",
    )


def breaking_live(run: Run) -> list[str]:
    """Return the migrations that a release applied before it is live, and that break the live one."""
    if not run.facts.current or run.phase is Phase.LIVE:
        return []
    return run.database.breaks_live(run.candidate.django)


def explain_afterwards(run: Run, error: PortsideError) -> None:
    """Explain a failure after the switch: the release is live and healthy, but not all migrations are reverted."""
    error.state = f"Release {run.candidate.paths.id} is live. It needs none of the migrations that are still applied."
    error.hint = (
        f"To try again: {run.fab('rollback', to=run.facts.current)}, "
        f"then {run.fab('rollback', to=run.candidate.paths.id, migrations=True)}"
    )


def record_behind(run: Run, behind: bool) -> Step:
    """Return the step that records whether the live release's migrations are reverted."""
    record = {name: value for name, value in run.facts.record.items() if name != BEHIND}
    return write(run.site.record, release_record.as_json(record | ({BEHIND: run.facts.current} if behind else {})))


def is_behind(facts: Facts) -> bool:
    """Return whether a rollback was interrupted between its change of the database and the switch."""
    return bool(facts.current) and facts.record.get(BEHIND) == facts.current


def reapply(run: Run) -> list[Step]:
    """Return the steps that apply the live release's migrations again, after an interrupted rollback."""
    paths = run.site.release(run.facts.current)
    record = run.facts.releases[run.facts.current]
    aliases = record.get("aliases", ["default"])
    return [
        environment_step(run, paths, record),
        _migrate(run, "Apply the live release's migrations again", paths, str(record["manage"]), aliases),
        record_behind(run, False),
    ]


def environment_step(run: Run, paths: ReleasePaths, record: Mapping[str, Any]) -> Step:
    """Return the step that writes a release's environment with the present settings, before a command runs in its
    image."""
    return made_environment_step(run.settings, paths, str(record.get("settings_module", "")))


def listed(names: Sequence[str]) -> str:
    rest = len(names) - 12
    return ", ".join(names[:12]) + (f" and {rest} more" if rest > 0 else "")


def _breaks(breaking: Mapping[str, Iterable[str]]) -> str:
    return _indented(f"{name}: {phrase}" for name, phrases in breaking.items() for phrase in phrases)

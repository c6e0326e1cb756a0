"""Migrations: what they would break, and the steps that apply them or take them back.

Two releases share one database while they are switched, so what one of them does to it is judged by what the other
knows: ``remote/portside_migrations.py`` compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import release
from .containers import Answer, made_environment_step
from .errors import PortsideError
from .facts import Facts
from .report import count
from .run import Run
from .settings import Settings
from .site import ReleasePaths
from .steps import Step, script, write
from .values import postgres_major

_REMOTE = Path(__file__).parent / "remote"
_PROGRAMS = {name: _REMOTE / name for name in ("ask.py", "portside_migrations.py", "portside_project.py")}
BEHIND = "behind"  # in the site's record: the live release whose migrations were taken back before a switch
SPLIT = "Split it over several deploys: docs/deploy.md, “Expand and contract”, has the recipe."


def ask(
    paths: ReleasePaths,
    folder: str,
    known: Mapping[str, str] | None,
    application: str | None = None,
    *,
    check: bool = False,
) -> Step:
    """Ask a release's project what it needs. ``known``: the last migrations that another release knows, to judge by.

    ``application``: DEPLOY_APPLICATION; ``check``: run Django's checks for a deploy too.
    """
    other = "" if known is None else json.dumps(known)
    name = "Ask Django what it needs, and for its checks" if check else "Ask Django what it needs"
    words = (paths.compose, folder, other, application or "", *["check"] * check)
    return script(name, "ask", *words, files=_PROGRAMS)


def questions(run: Run, paths: ReleasePaths, record: Mapping[str, Any], known: Mapping[str, str] | None) -> list[Step]:
    """Ask a release that was live once the same."""
    folder = str(record.get("manage", "")).rpartition("/")[0]
    return [present(run, paths, record), ask(paths, folder, known)]


def forward(run: Run, paths: ReleasePaths, answer: Answer) -> list[Step]:
    """Apply what is pending, with this release's code, after a dump."""
    if not answer.pending:
        return []
    dumped = dump(run) if answer.applied else []
    return [*dumped, _migrate(run, f"Migrate ({len(answer.pending)})", paths, answer.manage)]


def back(run: Run, paths: ReleasePaths, answer: Answer, leaves: Mapping[str, str]) -> list[Step]:
    """Take back, with this release's code and after a dump, what one that knows these last migrations doesn't know."""
    apps = dict.fromkeys(name.partition(".")[0] for name in reversed(answer.ahead))
    to = [word for app in apps for word in (app, leaves.get(app, "zero"))]
    return [*dump(run), _migrate(run, f"Migrate back ({len(answer.ahead)})", paths, answer.manage, *to)]


def _migrate(run: Run, name: str, paths: ReleasePaths, manage: str, *to: str) -> Step:
    return script(name, "migrate", paths.compose, manage, _options(run.settings), *to)


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
    forward = run.command == "deploy" and run.release
    return run.site.dump(run.new.id if forward else f"{run.facts.clock}-rollback")


def check(run: Run, answer: Answer) -> None:
    """List what is pending. Raises PortsideError where it would break the release that is live."""
    if not answer.pending:
        return
    run.report.say(f"  {count(len(answer.pending), 'migration')} to apply: {listed(answer.pending)}")
    live = run.facts.current
    if not live:
        return
    for name, what in answer.unjudged.items():
        run.report.warn(f"Nobody can tell what {name} does to {live}, which runs beside it: {', '.join(what)}.")
    if answer.breaking and not run.allow_breaking:
        raise PortsideError(
            f"This would break {live}, which serves visitors until the new release does:\n{_told(answer.breaking)}",
            hint=f"{SPLIT}\nOr bear its errors meanwhile: {run.again(allow_breaking=True)}",
        )
    if answer.breaking:
        run.report.warn(borne(live, answer))


def borne(live: str, answer: Answer) -> str:
    """What --allow-breaking means to the release that is live."""
    return f"{live} may err from now on until the switch:\n{_told(answer.breaking)}"


def refuse_unable(run: Run, answer: Answer) -> None:
    """Raises PortsideError where the release to go back to can't work with the database as it is."""
    live, wanted = run.facts.current, run.new.id
    if run.migrations and answer.irreversible:
        lines = "\n".join(f"  {name}: {what}" for name, what in answer.irreversible.items())
        raise PortsideError(
            f"These migrations can't be taken back, since they don't say how:\n{lines}",
            hint=f"Mend what is wrong and type {run.fab('deploy')}, or restore a dump of backups/.",
        )
    if answer.ahead_breaking and not run.migrations and not run.allow_breaking:
        raise PortsideError(
            f"{wanted} can't work with the database as {live} made it:\n{_told(answer.ahead_breaking)}",
            hint=f"To migrate back too, after a dump: {run.again(migrations=True)}\n"
            f"To go back all the same: {run.again(allow_breaking=True)}\n"
            "What is lost: docs/deploy.md, “Going back”.",
        )


def disturbing(run: Run) -> list[str]:
    """What a release that isn't live yet has applied, and what breaks the live one."""
    live = run.facts.current if hasattr(run, "facts") else ""
    return [name for name in run.migrated if live and not run.switched and name in run.answer.breaking]


def explain_afterwards(run: Run, error: PortsideError) -> None:
    """The release is live and well, but the migrations it doesn't know aren't taken back, or not all."""
    error.state = f"Release {run.new.id} is live, and needs none of what stays in the database."
    error.hint = (
        f"To try again: {run.fab('rollback', to=run.facts.current)}, "
        f"then {run.fab('rollback', to=run.new.id, migrations=True)}"
    )


def told_behind(run: Run, behind: bool) -> Step:
    """Note on the server that the live release's migrations are taken back, or aren't any more."""
    record = {name: value for name, value in run.facts.record.items() if name != BEHIND}
    return write(run.site.record, release.as_json(record | ({BEHIND: run.facts.current} if behind else {})))


def is_behind(facts: Facts) -> bool:
    """Whether going back ended between the database and the switch."""
    return bool(facts.current) and facts.record.get(BEHIND) == facts.current


def put_forward(run: Run) -> list[Step]:
    """The live release's migrations applied again, where going back ended half-way."""
    paths = run.site.release(run.facts.current)
    record = run.facts.releases[run.facts.current]
    return [
        present(run, paths, record),
        _migrate(run, "Apply the live release's migrations again", paths, str(record["manage"])),
        told_behind(run, False),
    ]


def present(run: Run, paths: ReleasePaths, record: Mapping[str, Any]) -> Step:
    """A release's environment as the settings are now, for what is to run in its image."""
    return made_environment_step(run.settings, paths, str(record.get("settings_module", "")))


def listed(names: Sequence[str]) -> str:
    rest = len(names) - 12
    return ", ".join(names[:12]) + (f" and {rest} more" if rest > 0 else "")


def _told(breaking: Mapping[str, Iterable[str]]) -> str:
    return "\n".join(f"  {name}: {phrase}" for name, phrases in breaking.items() for phrase in phrases)

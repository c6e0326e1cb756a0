"""``fab remove``: a site taken off its server, once a final backup has what only the server had."""

from __future__ import annotations

from typing import Any

from ...core import server_paths
from ...core.errors import ConnectionLost, PortsideError, Refused, StepFailed
from ...core.report import Stage
from ...core.steps import Step, script
from ...host import docker
from ...nginx import generation, http3
from ...releases import record as release_record
from ...releases import restore_commands
from ...ssh.sudo import on_terminal
from .. import ownership, switch
from ..context import Run
from ..progress import Phase

BACKUP, REMOVE = "Make the final backup", "Take the site away"


def check_terminal(run: Run) -> None:
    """Raises Refused where nobody is there to be asked."""
    if not run.request.yes and not on_terminal():
        raise Refused(
            f"fab remove takes {run.site.name} off {run.server.target} once somebody has typed its name; here is no "
            "terminal to ask on.",
            state="Nothing was changed.",
            hint=f"Where nobody need be asked: {run.again(yes=True)}",
        )


def check(run: Run) -> None:
    """What must be so on the server: the site is ours, and Docker can be told. Less than a deploy needs."""
    ownership.check_for_removal(run)
    if silent := docker.engine_silent(run.facts):
        raise PortsideError("\n".join(silent), state="Nothing was changed.", hint="Then type the same command again.")


def confirm(run: Run, stage: Stage) -> None:
    """Ask for the site's name, having said what goes and what stays."""
    stage.skipped = True
    run.candidate.unchanged = not exists(run)
    if run.candidate.unchanged or run.request.yes:
        return
    run.report.say(f"{run.site.name} on {run.server.target}: {', '.join(_parts(run))}.")
    run.report.say("All of it goes; a final backup of database, uploads, volumes and logs stays on the server.")
    typed = run.report.ask(f"Type the site's name, {run.site.name}, to take it off: ")
    if typed != run.site.name:
        raise Refused(f"That isn't {run.site.name}.", state="Nothing was changed.")


def refresh(run: Run) -> None:
    """Under the lock, nothing is put right that is to be taken away; and by now somebody else may have done it."""
    run.look()
    check(run)
    run.candidate.unchanged = not exists(run)


def exists(run: Run) -> bool:
    """Whether anything of the site is on the server."""
    facts = run.facts
    found = (facts.there, facts.containers, facts.images, facts.certificate, facts.issued)
    return any(found) or generation.without(run.site, facts) is not None


def _parts(run: Run) -> list[str]:
    """What there is of the site, in a user's words."""
    facts = run.facts
    domains = facts.record.get("domains", [])
    parts = [
        " ".join(domains),
        f"release {facts.current} is live" if facts.current else "no release is live",
        "its database" if facts.role("db") else "",
        "its certificate" if facts.certificate or facts.issued else "",
        "a removal was begun" if facts.removing else "",
    ]
    return [part for part in parts if part]


def remove(run: Run, stage: Stage) -> None:
    """Backup, Nginx, then all the rest: one run that reaches its end without us."""
    run.phase = Phase.HANDED_OVER
    try:
        results = switch.apply_plan(run, stage, lambda: steps(run))
    except PortsideError as error:
        run.phase = Phase.HANDED_OVER if isinstance(error, ConnectionLost) else Phase.UNTOUCHED
        _explain(run, error)
        raise
    run.phase = Phase.UNTOUCHED
    run.progress.result = dict(results[0].answer or {})
    stage.note("nothing of it is left but its backup")


def steps(run: Run) -> list[Step]:
    """All that is to be done. What an interrupted removal has done is passed over on the server."""
    made = generation.without(run.site, run.facts)
    closed = http3.firewall_without(run.site, run.facts) if run.settings.firewall else []
    return [_backup(run), *([_nginx_without(run, made)] if made else []), *closed, _remove_site(run)]


def _backup(run: Run) -> Step:
    site, folder = run.site, run.site.final_backup(run.facts.clock)
    return script(
        BACKUP,
        "backup",
        site.name,
        site.root,
        folder,
        site.removing,
        site.data_compose,
        site.postgres_volume,
        site.data_begun,
        site.access_log,
        site.error_log,
        files={
            "backup.json": release_record.as_json(record(run), indent=2).encode(),
            "README": readme(run, folder).encode(),
        },
    )


def record(run: Run) -> dict[str, Any]:
    """What the backup says of itself, as ``backup.json``. Holds no secret."""
    facts = run.facts
    return {
        "site": run.site.name,
        "when": facts.clock,
        "who": release_record.who(),
        "release": facts.current,
        "commit": facts.releases.get(facts.current, {}).get("commit", ""),
        **facts.record,
    }


def _nginx_without(run: Run, made: generation.Generation) -> Step:
    words = (made.name, made.before, str(server_paths.STATUS_PORT), made.page, run.site.removing)
    name = f"Nginx generation {made.name}: without the site {run.site.name}"
    return script(name, "unplug", *words, files=made.payload())


def _remove_site(run: Run) -> Step:
    site = run.site
    return script(
        REMOVE,
        "remove",
        site.name,
        site.root,
        site.record,
        site.removing,
        site.trial,
        server_paths.RENEWAL_SETTINGS,
        server_paths.ACME_AUTHORITIES,
        server_paths.NGINX_GENERATIONS,
        server_paths.NGINX_LIVE,
        site.access_log,
        site.error_log,
        site.certificates,
        site.acme_authority,
        site.acme_dns(),
        site.acme_dns(trial=True),
        site.nginx_cache,
        site.context,
        site.settings,
    )


def _explain(run: Run, error: PortsideError) -> None:
    """What is so after a failure on the server."""
    if isinstance(error, ConnectionLost) or error.state:
        return
    live = run.facts.current
    if isinstance(error, StepFailed) and "Nothing was removed." in "".join(error.lines[-3:]):
        error.state = f"Release {live} is live, as before." if live else "The site isn't live."
    else:
        error.state = (
            "The site is off, or about to be, and its final backup is made; a part of the rest is still there."
        )
        error.hint = f"Mend it, then type {run.again()} again; it goes on."


def interrupted(run: Run) -> str:
    """What is so where the connection was lost, or somebody pressed Ctrl-C."""
    handed_over = run.phase is Phase.HANDED_OVER
    return "The server goes on by itself, unless it is down." if handed_over else "Nothing was changed."


def restoring(run: Run, folder: str) -> dict[str, str]:
    """What brings the backup back by hand, on the server once the site is deployed again: file -> command."""
    commands = {"files.tar": restore_commands.files(run.site, f"{folder}/files.tar")}
    if made := run.facts.record.get("postgres", {}):
        user, name = made["POSTGRES_USER"], made["POSTGRES_DB"]
        commands = {
            "database.dump": restore_commands.database(run.site, user, name, f"{folder}/database.dump"),
            **commands,
        }
    return commands


def readme(run: Run, folder: str) -> str:
    """The backup's own explanation, for whoever finds it later."""
    commit = record(run)["commit"]
    lines = [
        f"The site {run.site.name}, as it was when fab remove took it off this server ({run.facts.clock} UTC).",
        "",
        "backup.json    whose it was, its release and commit, its database",
        "database.dump  PostgreSQL's custom format; pg_restore reads it",
        "database.NAME.dump  another database beside it: CREATE DATABASE NAME first, and -d NAME in the command",
        "files.tar      uploads (media/) and volumes",
        "logs/          Nginx's, of the site",
        "site.json, history.jsonl  Portside's records of it",
        "",
        "What of these the site hadn't, isn't there. To bring it back, deploy it again, if need be at the same commit",
        f"({commit or 'it had none'}): fab deploy --ref COMMIT. Then, as root on the server:",
        "",
        *restoring(run, folder).values(),
    ]
    return "\n".join(lines) + "\n"

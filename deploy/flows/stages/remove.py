"""``fab remove``: remove a site from its server, after a final backup of what only the server had."""

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

BACKUP, REMOVE = "Make the final backup", "Remove the site"


def check_terminal(run: Run) -> None:
    """Raises Refused if confirmation is needed, but there is no terminal."""
    if not run.request.yes and not on_terminal():
        raise Refused(
            f"fab remove asks for the site's name before it removes {run.site.name} from {run.server.target}, but "
            "there is no terminal.",
            state="Nothing was changed.",
            hint=f"To remove it without being asked: {run.again(yes=True)}",
        )


def check(run: Run) -> None:
    """Check that the site belongs to this project and that Docker responds. A removal needs less than a deploy."""
    ownership.check_for_removal(run)
    if silent := docker.engine_silent(run.facts):
        raise PortsideError("\n".join(silent), state="Nothing was changed.", hint="Then run the command again.")


def confirm(run: Run, stage: Stage) -> None:
    """Print what is removed and what stays, and ask for the site's name."""
    stage.skipped = True
    run.candidate.unchanged = not exists(run)
    if run.candidate.unchanged or run.request.yes:
        return
    run.report.say(f"{run.site.name} on {run.server.target}: {', '.join(_parts(run))}.")
    run.report.say("All of it is removed. A final backup of database, uploads, volumes and logs stays on the server.")
    typed = run.report.ask(f"Type the site's name, {run.site.name}, to remove it: ")
    if typed != run.site.name:
        raise Refused(f"That isn't {run.site.name}.", state="Nothing was changed.")


def refresh(run: Run) -> None:
    """Check again under the lock: another run may have removed the site. An interrupted run isn't recovered first."""
    run.look()
    check(run)
    run.candidate.unchanged = not exists(run)


def exists(run: Run) -> bool:
    """Return whether the server has anything of the site."""
    facts = run.facts
    found = (facts.there, facts.containers, facts.images, facts.certificate, facts.issued)
    return any(found) or generation.without(run.site, facts) is not None


def _parts(run: Run) -> list[str]:
    """Return what the server has of the site, in a user's words."""
    facts = run.facts
    domains = facts.record.get("domains", [])
    parts = [
        " ".join(domains),
        f"release {facts.current} is live" if facts.current else "no release is live",
        "its database" if facts.role("db") else "",
        "its certificate" if facts.certificate or facts.issued else "",
        "an interrupted removal" if facts.removing else "",
    ]
    return [part for part in parts if part]


def remove(run: Run, stage: Stage) -> None:
    """Make the backup and remove the site from Nginx and the server, in one run that the server finishes on its own."""
    run.phase = Phase.HANDED_OVER
    try:
        results = switch.apply_plan(run, stage, lambda: steps(run))
    except PortsideError as error:
        run.phase = Phase.HANDED_OVER if isinstance(error, ConnectionLost) else Phase.UNTOUCHED
        _explain(run, error)
        raise
    run.phase = Phase.UNTOUCHED
    run.progress.result = dict(results[0].answer or {})
    stage.note("only its backup is left")


def steps(run: Run) -> list[Step]:
    """Return all steps of the removal. The server skips what an interrupted removal has already done."""
    made = generation.without(run.site, run.facts)
    closed = http3.firewall_without(run.site, run.facts) if run.settings.firewall else []
    return [_backup(run), *([_nginx_without(run, made)] if made else []), *closed, _remove_site(run)]


def _backup(run: Run) -> Step:
    site, folder = run.site, run.site.final_backup(run.facts.clock)
    return script(
        BACKUP,
        "backup",
        site=site.name,
        root=site.root,
        folder=folder,
        marker=site.removing,
        data=site.data_compose,
        volume=site.postgres_volume,
        begun=site.data_begun,
        logs=(site.access_log, site.error_log),
        files={
            "backup.json": release_record.as_json(record(run), indent=2).encode(),
            "README": readme(run, folder).encode(),
        },
    )


def record(run: Run) -> dict[str, Any]:
    """Return the backup's description of itself, ``backup.json``. It contains no secret."""
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
    return script(
        f"Nginx generation {made.name}: without the site {run.site.name}",
        "unplug",
        generation=made.name,
        before=made.before,
        status_port=server_paths.STATUS_PORT,
        page=made.page,
        marker=run.site.removing,
        files=made.payload(),
    )


def _remove_site(run: Run) -> Step:
    site = run.site
    return script(
        REMOVE,
        "remove",
        site=site.name,
        root=site.root,
        record=site.record,
        marker=site.removing,
        trial=site.trial,
        renewal=server_paths.RENEWAL_SETTINGS,
        authorities=server_paths.ACME_AUTHORITIES,
        generations=server_paths.NGINX_GENERATIONS,
        live=server_paths.NGINX_LIVE,
        access_log=site.access_log,
        error_log=site.error_log,
        paths=(
            site.certificates,
            site.acme_authority,
            site.acme_dns(),
            site.acme_dns(trial=True),
            site.nginx_cache,
            site.context,
            site.settings,
        ),
    )


def _explain(run: Run, error: PortsideError) -> None:
    """Add the state and the next step to a failure on the server."""
    if isinstance(error, ConnectionLost) or error.state:
        return
    live = run.facts.current
    if isinstance(error, StepFailed) and "Nothing was removed." in "".join(error.lines[-3:]):
        error.state = f"Release {live} is live, as before." if live else "The site isn't live."
    else:
        error.state = (
            "The final backup is complete. The site is offline or about to be, and a part of its data is still there."
        )
        error.hint = f"Fix this and run {run.again()} again. It continues where it stopped."


def interrupted(run: Run) -> str:
    """Return the state after a lost connection or Ctrl-C."""
    handed_over = run.phase is Phase.HANDED_OVER
    return (
        "The server is finishing the removal on its own, unless it is down." if handed_over else "Nothing was changed."
    )


def restoring(run: Run, folder: str) -> dict[str, str]:
    """Return the commands that restore the backup by hand, once the site is deployed again: file -> command."""
    commands = {"files.tar": restore_commands.files(run.site, f"{folder}/files.tar")}
    if made := run.facts.record.get("postgres", {}):
        user, name = made["POSTGRES_USER"], made["POSTGRES_DB"]
        commands = {
            "database.dump": restore_commands.database(run.site, user, name, f"{folder}/database.dump"),
            **commands,
        }
    return commands


def readme(run: Run, folder: str) -> str:
    """Return the README of the backup."""
    commit = record(run)["commit"]
    lines = [
        f"The site {run.site.name}, as it was when fab remove removed it from this server ({run.facts.clock} UTC).",
        "",
        "backup.json    its domains and who removed it, its release and commit, its database",
        "database.dump  PostgreSQL's custom format; pg_restore reads it",
        "database.NAME.dump  another database: run CREATE DATABASE NAME first, and use -d NAME in the command",
        "files.tar      uploads (media/) and volumes",
        "logs/          the site's Nginx logs",
        "site.json, history.jsonl  Portside's records of it",
        "",
        "A file is missing if the site had no such data. To restore the site, deploy it again, if needed at its commit",
        f"({commit or 'it had none'}): fab deploy --ref COMMIT. Then, as root on the server:",
        "",
        *restoring(run, folder).values(),
    ]
    return "\n".join(lines) + "\n"

"""Ownership: which project a site's name on the server belongs to, and what can't change once there is data."""

from __future__ import annotations

from ..core.errors import Refused
from ..core.steps import Step, write
from ..nginx.routing import Names
from ..releases import database, environment, record
from .context import Run


def check(run: Run) -> None:
    """Raises Refused if the name or a domain belongs to another site, or if a setting that can't change differs."""
    domains = set(run.settings.names)
    check_name(run)
    if run.facts.removing:
        raise Refused(
            f"The removal of {run.site.name} from {run.server.target} was interrupted. A part of the site is gone.",
            state=f"Its backup is {run.facts.removing}.",
            hint=f"Finish it with {run.fab('remove')}. Then the site can be deployed again.",
        )
    for other, theirs in run.facts.other_sites.items():
        if both := sorted(domains & theirs):
            belong = "belongs" if len(both) == 1 else "belong"
            raise Refused(
                f"{', '.join(both)} {belong} to the site {other} on {run.server.target}.",
                state="Nothing was changed.",
                hint="Only one site can serve a domain. Remove it from one of the two.",
            )
    _check_kind(run)
    if run.settings.own_database:
        _check_database(run)
        _check_database_port(run)


def _check_kind(run: Run) -> None:
    """Refuse another kind: a site with releases of both kinds couldn't be rolled back, since files have no database."""
    live = run.facts.releases.get(run.facts.current)
    if live and record.kind(live) != run.settings.kind:
        raise Refused(
            f"DEPLOY_KIND: the site {run.site.name} on {run.server.target} is of kind {record.kind(live)}. "
            "The kind of a site can't change.",
            state="Nothing was changed.",
            hint="Give this site its own name and domain: DEPLOY_SITE and DEPLOY_DOMAINS in .env.",
        )


def check_for_removal(run: Run) -> None:
    """Raises Refused if the site to remove belongs to another project, whether it was ever live or not."""
    _check_name(run, "To remove that site, set its name and its domains in .env.")


def check_name(run: Run) -> None:
    """Raises Refused if the name is in use. It belongs to its project from the first build on: there may be a
    database."""
    hint = "Give this site its own name: DEPLOY_SITE in .env."
    if not run.facts.current and not run.facts.removing:
        old = ",".join(sorted(run.facts.record.get("domains", [])))
        hint += f" If it is the same project with new domains, add DEPLOY_REDIRECT_DOMAINS={old} for one deploy."
    _check_name(run, hint)


def _check_name(run: Run, hint: str) -> None:
    owned = set(run.facts.record.get("domains", []))
    if owned and not owned & set(run.settings.names):
        live = "" if run.facts.current else ", which isn't live yet"
        raise Refused(
            f'The site name "{run.site.name}" is already in use on {run.server.target} '
            f"(by {', '.join(sorted(owned))}{live}).",
            state="Nothing was changed.",
            hint=hint,
        )


def _check_database(run: Run) -> None:
    database.check(run.settings, run.facts)
    before = run.facts.record.get("postgres", {}) if run.facts.role("db") else {}
    wanted = _database_identity(run)
    changed = [name for name in before if before[name] != wanted.get(name)]
    if changed:
        differ = "differs" if len(changed) == 1 else "differ"
        raise Refused(
            f"{', '.join(changed)} {differ} from what the database was created with "
            f"({', '.join(f'{name}={before[name]}' for name in changed)}).",
            state="Nothing was changed.",
            hint="Restore the old values. To rename a database or its owner, do it in psql first.",
        )


def _check_database_port(run: Run) -> None:
    port = run.settings.database_port
    ours = any(f":{port}->" in container.ports for container in run.facts.role("db"))
    taken = [x.process for x in run.facts.listeners if x.protocol == "tcp" and x.port == port]
    if taken and not ours:
        raise Refused(
            f"DEPLOY_DATABASE_PORT: port {port} is in use on {run.server.target} by {taken[0] or 'another program'}.",
            state="Nothing was changed.",
            hint="Choose another port.",
        )


def _database_identity(run: Run) -> dict[str, str]:
    return {
        "POSTGRES_USER": environment.database_user(run.settings, run.site),
        "POSTGRES_DB": environment.database_name(run.settings, run.site),
    }


def claim_name(run: Run) -> list[Step]:
    """Return the step that claims the name before a first release: there may be a database from then on. A live site's
    claim waits for the switch, so that a failed deploy doesn't change it."""
    return [] if run.facts.current else claim(run)


def claim(run: Run, known: Names | None = None) -> list[Step]:
    """Return the step that records the site's owner on the server. ``known``: the live release's names. They belong to
    the site too, even if the settings no longer have them."""
    names = known.every if known else ()
    owner = run.facts.record | {"domains": sorted({*run.settings.names, *names})}
    if run.settings.own_database:
        owner |= {"database": run.settings.database, "postgres": _database_identity(run)}
    return [] if owner == run.facts.record else [write(run.site.record, record.as_json(owner))]

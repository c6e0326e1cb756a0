"""Whose a site's name is on the server, and what can't change once there is data."""

from __future__ import annotations

from ..core.errors import Refused
from ..core.steps import Step, write
from ..nginx.routing import Names
from ..releases import database, environment, record
from .context import Run


def check(run: Run) -> None:
    """A name belongs to the project that deployed first under it; a domain to one site."""
    domains = set(run.settings.names)
    check_name(run)
    if run.facts.removing:
        raise Refused(
            f"{run.site.name} is being taken off {run.server.target}, and that was interrupted: a part of it is gone.",
            state=f"Its backup is {run.facts.removing}.",
            hint=f"Type {run.fab('remove')}; after that it can be deployed anew.",
        )
    for other, theirs in run.facts.other_sites.items():
        if both := sorted(domains & theirs):
            raise Refused(
                f"{', '.join(both)} belongs to the site {other} on {run.server.target}.",
                state="Nothing was changed.",
                hint="A domain can be served by one site only: take it out of one of the two.",
            )
    _check_kind(run)
    if run.settings.own_database:
        _check_database(run)
        _check_database_port(run)


def _check_kind(run: Run) -> None:
    """A site with releases of both kinds couldn't be rolled back: a folder of files has no database to go back to."""
    live = run.facts.releases.get(run.facts.current)
    if live and record.kind(live) != run.settings.kind:
        raise Refused(
            f"DEPLOY_KIND: the site {run.site.name} on {run.server.target} is of the kind {record.kind(live)}, which "
            "can't change.",
            state="Nothing was changed.",
            hint="Give this one a name and a domain of its own: DEPLOY_SITE and DEPLOY_DOMAINS in .env.",
        )


def check_for_removal(run: Run) -> None:
    """Whoever takes a site away owns its name, whether it was ever live or not."""
    _check_name(run, "To take that one away, set its domains, and its name, in .env.")


def check_name(run: Run) -> None:
    """A name is its owner's from the first build on: by then there may be a database."""
    hint = "Give this one a name of its own: DEPLOY_SITE in .env."
    if not run.facts.current and not run.facts.removing:
        old = ",".join(sorted(run.facts.record.get("domains", [])))
        hint += (
            f" If it is the same project, whose domains were others: add DEPLOY_REDIRECT_DOMAINS={old} for one deploy."
        )
    _check_name(run, hint)


def _check_name(run: Run, hint: str) -> None:
    owned = set(run.facts.record.get("domains", []))
    if owned and not owned & set(run.settings.names):
        live = "" if run.facts.current else ", which isn't live yet"
        raise Refused(
            f"The site name {run.site.name} on {run.server.target} is another site's: "
            f"{', '.join(sorted(owned))}{live}.",
            state="Nothing was changed.",
            hint=hint,
        )


def _check_database(run: Run) -> None:
    database.check(run.settings, run.facts)
    before = run.facts.record.get("postgres", {}) if run.facts.role("db") else {}
    wanted = _database_identity(run)
    changed = [name for name in before if before[name] != wanted.get(name)]
    if changed:
        raise Refused(
            f"{', '.join(changed)} differ from those the database was made with "
            f"({', '.join(f'{name}={before[name]}' for name in changed)}).",
            state="Nothing was changed.",
            hint="Set them back; renaming a database or its owner is done in psql first.",
        )


def _check_database_port(run: Run) -> None:
    port = run.settings.database_port
    ours = any(f":{port}->" in container.ports for container in run.facts.role("db"))
    taken = [x.process for x in run.facts.listeners if x.protocol == "tcp" and x.port == port]
    if taken and not ours:
        raise Refused(
            f"DEPLOY_DATABASE_PORT: port {port} is taken on {run.server.target} by {taken[0] or 'another program'}.",
            state="Nothing was changed.",
            hint="Choose another port.",
        )


def _database_identity(run: Run) -> dict[str, str]:
    return {
        "POSTGRES_USER": environment.database_user(run.settings, run.site),
        "POSTGRES_DB": environment.database_name(run.settings, run.site),
    }


def claim_name(run: Run) -> list[Step]:
    """The same before a first release: by then there may be a database. Of a live site it waits for the switch, so that
    a deploy that fails leaves it as it was."""
    return [] if run.facts.current else claim(run)


def claim(run: Run, known: Names | None = None) -> list[Step]:
    """Whose the site's name is, noted on the server. ``known``: the names that the live release has, which are the
    site's too, though the settings may not have them any more."""
    names = known.every if known else ()
    owner = run.facts.record | {"domains": sorted({*run.settings.names, *names})}
    if run.settings.own_database:
        owner |= {"database": run.settings.database, "postgres": _database_identity(run)}
    return [] if owner == run.facts.record else [write(run.site.record, record.as_json(owner))]

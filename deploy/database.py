"""The database's container: what makes it run as the settings say, and as seldom as can be anew."""

from __future__ import annotations

import re
from hashlib import sha256

from . import containers
from .errors import Refused
from .facts import Container, Facts
from .settings import Settings
from .site import Site
from .steps import Step, folder, script, write
from .values import postgres_libc, postgres_major

CLOSED_FOR = "database"
"""What the file says that closes a site while its database restarts."""


def files(settings: Settings, site: Site, facts: Facts) -> dict[str, str]:
    """The data services' files: path -> text."""
    major = postgres_major(settings.database)
    compose = containers.render(
        "data.yaml",
        site=site.name,
        project=site.data_project,
        network=site.network,
        volume=site.postgres_volume,
        image=settings.database,
        user=containers.database_user(settings, site),
        database=containers.database_name(settings, site),
        port=settings.database_port,
        data_folder="/var/lib/postgresql" if major >= 18 else "/var/lib/postgresql/data",
        secrets=site.data_secrets,
        start_interval=containers.start_interval(facts),
    )
    return {site.data_compose: compose, f"{site.data_secrets}/password": settings.env["POSTGRES_PASSWORD"].reveal()}


def steps(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    """What makes the database run as the settings say: nothing where it does."""
    if not settings.own_database:
        return []
    texts, secret = files(settings, site, facts), f"{site.data_secrets}/password"
    why = restarts(settings, facts)
    same = secret in facts.files and facts.files[secret].sha256 == sha256(texts[secret].encode()).hexdigest()
    well = any(each.healthy for each in facts.role("db")) and site.data_ready in facts.files
    if well and same and not why and facts.closed_for != CLOSED_FOR:
        return []
    # What runs is left as it was made: another version of Portside may write the file differently.
    kept = _running(facts) and site.data_compose in facts.files and not why
    return [
        containers.network(site),
        folder(site.data_secrets, 0o700),
        *([] if kept else [write(site.data_compose, texts[site.data_compose])]),
        write(secret, texts[secret], 0o600, secret=True),
        _start(site, facts, why),
    ]


def _start(site: Site, facts: Facts, why: str) -> Step:
    """``why``: what the database restarts for, or empty. Visitors of a live site get the maintenance page meanwhile."""
    closed = bool(why and facts.current) or facts.closed_for == CLOSED_FOR
    meanwhile = "; the site is closed for visitors meanwhile" if facts.current else ""
    return script(
        f"Restart the database ({why}){meanwhile}" if why else "Start the database and wait until it is healthy",
        "data",
        site.data_compose,
        site.root,
        site.postgres_volume,
        site.data_begun,
        site.data_ready,
        why,
        *([site.maintenance, CLOSED_FOR, site.release(facts.current).run_inside] if closed else []),
    )


def _running(facts: Facts) -> Container | None:
    return next((each for each in facts.role("db") if each.state == "running"), None)


def restarts(settings: Settings, facts: Facts) -> str:
    """What a database that runs has to be made anew for, in a few words; empty where it may stay."""
    running = _running(facts)
    if not running:
        return ""
    before, wanted = image(facts), settings.database
    if before != wanted:
        return f"{wanted} instead of {before}"
    published = re.search(r"127\.0\.0\.1:(\d+)->5432/tcp", running.ports)
    port = int(published.group(1)) if published else None
    return "" if port == settings.database_port else "DEPLOY_DATABASE_PORT"


def image(facts: Facts) -> str:
    """The image that the data was last used with; empty where there is none. One whose tag has moved has no name."""
    shown = next((each.image for each in facts.role("db")), "")
    noted = str(facts.record.get("database", ""))
    return noted if not shown or re.fullmatch(r"(sha256:)?[0-9a-f]{12,64}", shown) else shown


def check(settings: Settings, facts: Facts) -> None:
    """Raises Refused where the data that is there was made by another major version, or with another C library."""
    before = image(facts) if facts.role("db") or facts.data_volume == "yes" else ""
    if not before or before in {"external", "none"}:
        return
    wanted = settings.database
    if postgres_major(before) != postgres_major(wanted):
        why, way = f"which {wanted} can't read", "A new major version takes a dump made with the old one."
    elif postgres_libc(before) != postgres_libc(wanted):
        why = (
            f"with {postgres_libc(before)}; {wanted} has {postgres_libc(wanted)}, which sorts text in another order: "
            "its indexes would miss rows"
        )
        way = "The other one takes a dump, as a new site."
    else:
        return
    raise Refused(
        f"DEPLOY_DATABASE: the site's data was made by {before}, {why}.",
        state="Nothing was changed.",
        hint=f"Set DEPLOY_DATABASE={before} again. {way}",
    )

"""The database container: start it with the present settings, and restart it only if they require it."""

from __future__ import annotations

import re
from hashlib import sha256

from ..config.settings import Settings
from ..config.types import postgres_libc, postgres_major
from ..core.errors import Refused
from ..core.facts import Container, Facts
from ..core.paths import Site
from ..core.steps import Step, folder, script, write
from . import compose as compose_file
from . import environment, templates

CLOSED_FOR = "database"
"""The content of the file that closes a site while its database restarts."""


def files(settings: Settings, site: Site, facts: Facts) -> dict[str, str]:
    """Return the data services' files: path -> text."""
    major = postgres_major(settings.database)
    compose = templates.render(
        "data.yaml",
        site=site.name,
        project=site.data_project,
        network=site.network,
        volume=site.postgres_volume,
        image=settings.database,
        user=environment.database_user(settings, site),
        database=environment.database_name(settings, site),
        port=settings.database_port,
        data_folder="/var/lib/postgresql" if major >= 18 else "/var/lib/postgresql/data",
        secrets=site.data_secrets,
        start_interval=compose_file.start_interval(facts),
    )
    return {site.data_compose: compose, site.data_password: settings.env["POSTGRES_PASSWORD"].reveal()}


def steps(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    """Return the steps that make the database match the settings. Empty if it already does."""
    if not settings.own_database:
        return []
    return [*_run(settings, site, facts), *_let_in(settings, site, facts)]


def _run(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    texts, secret, why = files(settings, site, facts), site.data_password, restarts(settings, facts)
    kept_password = beside(settings, site, facts)
    same = kept_password or _written(facts, secret, texts[secret])
    well = any(each.healthy for each in facts.role("db")) and site.data_ready in facts.files
    if well and same and not why and facts.closed_for != CLOSED_FOR and facts.data_volume != "new":
        return []
    # A running container keeps its file: another version of Portside may write it differently.
    kept = _running(facts) and site.data_compose in facts.files and not why
    return [
        compose_file.network(site),
        folder(site.data_secrets, 0o700),
        *([] if kept else [write(site.data_compose, texts[site.data_compose])]),
        *([] if kept_password else [write(secret, texts[secret], 0o600, secret=True)]),
        _start(site, facts, why),
    ]


def _written(facts: Facts, path: str, text: str) -> bool:
    return path in facts.files and facts.files[path].sha256 == sha256(text.encode()).hexdigest()


def beside(settings: Settings, site: Site, facts: Facts) -> bool:
    """Return whether the live release uses another password. The database keeps that one until the switch."""
    password = settings.env["POSTGRES_PASSWORD"].reveal()
    known = site.data_password in facts.files and not _written(facts, site.data_password, password)
    return known and bool(facts.current)


def _let_in(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    """Return the steps that accept the new password too, if it differs from the live release's."""
    if not beside(settings, site, facts):
        return []
    password = settings.env["POSTGRES_PASSWORD"].reveal()
    return [
        write(site.data_next_password, password, 0o600, secret=True),
        _passwords("Accept the new database password beside the live release's", site, "open"),
    ]


def close(site: Site) -> Step:
    """Return the step that ends this: from then on the database accepts the live release's password only."""
    return _passwords("Accept only the live release's database password", site, "close")


def _passwords(name: str, site: Site, state: str) -> Step:
    return script(
        name,
        "passwords",
        sign="~",
        compose=site.data_compose,
        root=site.root,
        secrets=site.data_secrets,
        mark=site.data_open,
        state=state,
    )


def is_open(site: Site, facts: Facts) -> bool:
    """Return whether an interrupted run left the database accepting two passwords."""
    return site.data_open in facts.files


def wake(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    """Return the steps that resume or restart a database that hangs without Docker noticing."""
    there = settings.own_database and site.data_compose in facts.files
    return [_start(site, facts, "")] if there else []


def _start(site: Site, facts: Facts, why: str) -> Step:
    """``why``: the reason for a restart, or empty. During a restart, visitors of a live site see the maintenance
    page."""
    closed = bool(why and facts.current) or facts.closed_for == CLOSED_FOR
    meanwhile = "; visitors see the maintenance page meanwhile" if facts.current else ""
    return script(
        f"Restart the database ({why}){meanwhile}" if why else "Start the database and wait until it is healthy",
        "data",
        sign="~",
        compose=site.data_compose,
        root=site.root,
        volume=site.postgres_volume,
        begun=site.data_begun,
        ready=site.data_ready,
        why=why,
        maintenance=site.maintenance if closed else "",
        word=CLOSED_FOR if closed else "",
        sockets=site.release(facts.current).run_inside if closed else "",
    )


def _running(facts: Facts) -> Container | None:
    return next((each for each in facts.role("db") if each.state == "running"), None)


def restarts(settings: Settings, facts: Facts) -> str:
    """Return why a running database must be recreated, in a few words. Empty if it can stay."""
    running = _running(facts)
    if not running:
        return ""
    before, wanted = image(facts), settings.database
    if before and before != wanted:
        return f"{wanted} instead of {before}"
    published = re.search(r"127\.0\.0\.1:(\d+)->5432/tcp", running.ports)
    port = int(published.group(1)) if published else None
    return "" if port == settings.database_port else "DEPLOY_DATABASE_PORT"


def image(facts: Facts) -> str:
    """Return the image that last used the data, or an empty string. An image whose tag has moved has no name."""
    shown = next((each.image for each in facts.role("db")), "")
    noted = str(facts.record.get("database", ""))
    return noted if not shown or re.fullmatch(r"(sha256:)?[0-9a-f]{12,64}", shown) else shown


def check(settings: Settings, facts: Facts) -> None:
    """Raises Refused if the existing data was made by another major version, or with another C library."""
    before = image(facts) if facts.role("db") or facts.data_volume in {"yes", "new"} else ""
    if not before or before in {"external", "none"}:
        return
    wanted = settings.database
    if postgres_major(before) != postgres_major(wanted):
        why = f"which {wanted} can't read"
        way = "To upgrade, dump the data with the old version and restore it into the new one."
    elif postgres_libc(before) != postgres_libc(wanted):
        why = (
            f"with {postgres_libc(before)}; {wanted} uses {postgres_libc(wanted)}, which sorts text differently, so "
            "indexes would miss rows"
        )
        way = "To use the other image, dump the data and restore it into a new site."
    else:
        return
    raise Refused(
        f"DEPLOY_DATABASE: the site's data was made by {before}, {why}.",
        state="Nothing was changed.",
        hint=f"Set DEPLOY_DATABASE={before} again. {way}",
    )

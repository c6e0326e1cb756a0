"""The releases on a server: the live one, those that can go live again, and leftovers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..build.source import Source
from ..core.errors import Refused
from ..core.facts import Facts
from ..core.x509 import clock
from ..nginx.routing import Routes
from . import record

JUST_NOW = timedelta(minutes=10)


def identity(facts: Facts, source: Source) -> str:
    """Return the name of a new release, from the server's UTC clock and seven hex digits:
    ``20261120-170501-ab12cd3``."""
    return f"{facts.clock}-{source.short}"


def live(facts: Facts) -> dict[str, Any]:
    """Return the live release's record, or an empty one."""
    return facts.releases.get(facts.current, {})


def age(identity: str, clock: str) -> str:
    """Return how long ago a release or another thing was made, by the server's clock: ``5 min``, ``3 h``, ``12 d``."""
    made, now = (datetime.strptime(text[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC) for text in (identity, clock))
    minutes = int((now - made).total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"


def chain(facts: Facts, newest: str) -> list[str]:
    """Return a release and those that were live before it, if they still exist, newest first."""
    found: list[str] = []
    while newest in facts.releases and newest not in found:
        if facts.releases[newest]:
            found.append(newest)
        newest = str(facts.releases[newest].get("previous", ""))
    return found


def leftovers(facts: Facts) -> list[str]:
    """Return what an interrupted run left: releases that were never healthy, and images without a release."""
    images = {image.rpartition(":")[2] for image in facts.images}
    return sorted({name for name in {*facts.releases, *images} if not facts.releases.get(name)})


def unfinished(facts: Facts) -> str:
    """Return the live release if a run ended between its switch and its record, else an empty string."""
    return facts.current if facts.pending.get(facts.current) else ""


def switching_to(facts: Facts) -> list[str]:
    """Return the releases that aren't live, but whose switch had begun when it was interrupted."""
    return [name for name, record in facts.pending.items() if "instead_of" in record and name != facts.current]


def interrupted(facts: Facts) -> bool:
    """Return whether an interrupted run left anything."""
    return bool(leftovers(facts) or unfinished(facts) or strays(facts))


def strays(facts: Facts) -> list[str]:
    """Return the good releases that run beside the live one. An interrupted rollback started them, or the server lost
    power while their last connections were closing."""
    running = {c.release for c in facts.role("web") if c.state in {"running", "restarting"}}
    return sorted(name for name in running if name != facts.current and facts.releases.get(name))


def can_start(facts: Facts, identity: str) -> bool:
    """Return whether a release's image still exists: it may have been pruned by hand. A static release has none. If
    Docker didn't answer, assume that it exists."""
    images = {name.rpartition(":")[2] for name in facts.images}
    return not facts.images_known or not record.routes(facts.releases.get(identity, {})).replicas or identity in images


def went_back_just_now(facts: Facts) -> bool:
    """Return whether a rollback made the live release live within the last minutes. A user who lost the connection
    repeats the command, and doesn't ask for a restart."""
    last = facts.last
    if last.get("release") != facts.current or last.get("event") not in {"rollback", "finish"}:
        return False
    made, now = (clock(text) for text in (str(last["when"]), facts.clock))
    return now - made < JUST_NOW


def target(facts: Facts, wanted: str = "") -> str:
    """Return the release that a rollback makes live: ``wanted``, or the last good one before the live one that can
    start, or an empty string.

    If ``wanted`` is the live one, it is restarted. Raises Refused if ``wanted`` doesn't exist or was never healthy.
    """
    before = [name for name in chain(facts, facts.current)[1:] if can_start(facts, name)]
    if not wanted:
        return before[0] if before else ""
    if not facts.releases.get(wanted):
        known = ", ".join(name for name, record in facts.releases.items() if record and name != facts.current)
        raise Refused(
            f"There is no good release {wanted} on the server.",
            state="Nothing was changed.",
            hint=f"There are: {known}." if known else "There is no other.",
        )
    return wanted


def kept(facts: Facts) -> list[Routes]:
    """Return the routes of the good releases on the server, newest first."""
    return [record.routes(facts.releases[identity]) for identity in sorted(facts.releases, reverse=True)]

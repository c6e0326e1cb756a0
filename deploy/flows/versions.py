"""Versions: the Portside version that a server was last managed by. An older one refuses to undo a newer one's work."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from .. import VERSION
from ..core.errors import Refused
from ..core.facts import Facts
from ..releases import history
from .context import Run

CHANGING = {"deploy", "provision", "rollback", "certs", "abort", "remove"}


def newest(facts: Facts) -> str:
    """Return the newest version recorded on the server, for this site or for the host; empty if none is recorded."""
    return max(_noted(facts), key=_order, default="")


def is_newer(facts: Facts) -> bool:
    """Return whether a version newer than this one has managed the server."""
    return _order(newest(facts)) > _order(VERSION)


def check(run: Run) -> None:
    """Raises Refused if this version would undo a newer one's work. Commands that only read print a warning."""
    if not is_newer(run.facts):
        return
    newer = f"{run.server.target} was last managed by Portside {newest(run.facts)}, and this is {VERSION}"
    if run.request.dry_run or run.request.command not in CHANGING:
        run.report.warn(f"{newer}. Commands that change the server are refused.")
        return
    raise Refused(
        f"{newer}. The older version would undo some of that work.",
        state="Nothing was changed.",
        hint=f"Upgrade Portside on this machine to {newest(run.facts)}, then run {run.again()} again.",
    )


def reason(version: str) -> str:
    """Return why a file that wasn't edited differs from what this version writes. ``version``: the one that wrote
    it."""
    if version == VERSION:
        return ""
    if _order(version) > _order(VERSION):
        return f"because a newer Portside has managed the server: {version}, and this is {VERSION}"
    return f"because this Portside is newer: {VERSION}, after {version or 'an unrecorded version'}"


def of_site(facts: Facts) -> str:
    """Return the version that made the live release; empty if it isn't recorded."""
    return str(history.live(facts).get("version", ""))


def _noted(facts: Facts) -> list[str]:
    return [version for version in (facts.portside, of_site(facts)) if version]


def _order(version: str) -> Version:
    try:
        return Version(version)
    except InvalidVersion:
        return Version("0")

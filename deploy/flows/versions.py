"""Versions: which Portside a server is as it should be for. An older one refuses what it would undo."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from .. import VERSION
from ..core.errors import Refused
from ..core.facts import Facts
from ..releases import history
from .context import Run

CHANGING = {"deploy", "provision", "rollback", "certs", "abort", "remove"}


def newest(facts: Facts) -> str:
    """The newest that has worked on the server for this site or for the host; empty where none noted itself."""
    return max(_noted(facts), key=_order, default="")


def is_newer(facts: Facts) -> bool:
    """Whether a newer version than this one has worked there."""
    return _order(newest(facts)) > _order(VERSION)


def check(run: Run) -> None:
    """Raises Refused where this version would undo what a newer one did; what only looks is warned."""
    if not is_newer(run.facts):
        return
    newer = f"Portside {newest(run.facts)} has worked on {run.server.target}, and this is {VERSION}"
    if run.request.dry_run or run.request.command not in CHANGING:
        run.report.warn(f"{newer}: what changes something there is refused.")
        return
    raise Refused(
        f"{newer}, which would undo a part of that.",
        state="Nothing was changed.",
        hint=f"Upgrade Portside on this machine to {newest(run.facts)}, then type {run.again()} again.",
    )


def reason(version: str) -> str:
    """Why a file that nobody changed differs from what this version writes, where another ``version`` wrote it."""
    if version == VERSION:
        return ""
    if _order(version) > _order(VERSION):
        return f"because the server's Portside is newer: {version}, and this is {VERSION}"
    return f"because Portside is newer: {VERSION}, after {version or 'one that noted no version'}"


def of_site(facts: Facts) -> str:
    """The version that made the live release; empty where it didn't note itself."""
    return str(history.live(facts).get("version", ""))


def _noted(facts: Facts) -> list[str]:
    return [version for version in (facts.portside, of_site(facts)) if version]


def _order(version: str) -> Version:
    try:
        return Version(version)
    except InvalidVersion:
        return Version("0")

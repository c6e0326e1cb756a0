"""Disk space: how much a deploy needs, and what is removed before it (if space is short) and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config.settings import Settings
from ..core.errors import PortsideError
from ..core.facts import Facts
from ..core.report import Stage, count
from ..core.server_paths import DOCKER_RESERVE
from ..core.steps import Step, script
from ..releases import history, record
from .context import Run
from .flow import DISK_NEEDED_MB

MARGIN_MB = 512
"""Space that stays free beside a new release, for logs, the database and temporary files of a build."""
BUILD_CACHE = "10%"
"""Share of the server's disk, unless DEPLOY_BUILD_CACHE sets another size."""


def parts(settings: Settings, facts: Facts) -> dict[str, int]:
    """Return what a new release takes, in MB, estimated from the live one: its image, its static files and a dump of
    the database. A dump is about half as large as its database: it is compressed, and an index takes one line in it."""
    image = facts.image_sizes.get(facts.current, 0)
    dump = facts.database_mb // 2 if settings.own_database else 0
    return {"the image": image, "static files": facts.static_mb, "a dump of the database": dump}


def needed_mb(settings: Settings, facts: Facts) -> int:
    """Return the free space, in MB, that a deploy needs."""
    return max(DISK_NEEDED_MB, MARGIN_MB + sum(parts(settings, facts).values()))


def check(run: Run, stage: Stage) -> None:
    """Check that there is enough space for the run. If not, remove what no release needs.

    Raises PortsideError if there is still too little. A rollback continues with a warning.
    """
    wanted = _wanted(run)
    if run.facts.disk_mb >= wanted:
        return
    if run.request.dry_run:
        run.report.warn(
            f"{_shortage(run, wanted)} A deploy first removes the build cache and releases beyond DEPLOY_KEEP."
        )
        return
    removed = _free(run, stage)
    if not run.request.flow.uses_reserve and run.facts.disk_mb < wanted:
        raise PortsideError(_shortage(run, wanted), state=_state(removed), hint=_hint(run))
    run.report.warn(f"The disk was nearly full. {_state(removed)}")


def _wanted(run: Run) -> int:
    if run.request.flow.builds:
        return 0 if _makes_no_release(run) else needed_mb(run.settings, run.facts)
    return run.request.flow.room_mb


def _makes_no_release(run: Run) -> bool:
    """Return whether exactly this is live, so that no release is made. For an image to pull, it isn't known yet."""
    return not run.settings.pulls and record.is_live(run.facts, run.settings, run.candidate.source)


def _free(run: Run, stage: Stage) -> list[str]:
    """Remove what no release needs, and read the facts again. Returns what was removed."""
    before = run.facts.disk_mb
    (freed,) = run.apply(stage, [free(run)])
    run.look()
    cache = freed.answer["cache"]
    gone = [*freed.answer["releases"], *([f"{cache} of the build cache"] * bool(cache))]
    gone += ["the reserve for a rollback"] * (run.request.flow.uses_reserve)
    return [*gone, f"{run.facts.disk_mb} MB are free now, {before} MB before"] if gone else []


def reserves(run: Run) -> list[str]:
    """Return the files that reserve space for a rollback, one on each disk that it writes to."""
    return [run.site.reserve, *([DOCKER_RESERVE] * run.settings.containers)]


def free(run: Run) -> Step:
    """Return the step that removes what no release needs. Before a rollback, it keeps all releases: any may be its
    target."""
    keep = "" if run.request.flow.uses_reserve else str(run.settings.keep)
    return script(
        "Make room on the disk",
        "room",
        sign="~",
        root=run.site.root,
        site=run.site.name,
        keep=keep,
        reserves=reserves(run),
    )


def prune(run: Run) -> Step:
    """Return the step that removes old releases, dumps and build cache after a deploy."""
    settings, site = run.settings, run.site
    cache = (settings.build_cache or BUILD_CACHE) if settings.containers else ""
    return script(
        "Remove old releases",
        "prune",
        sign="-",
        root=site.root,
        site=site.name,
        keep=settings.keep,
        cache=cache,
        reserves=reserves(run),
    )


def pruned(gone: Mapping[str, Any]) -> str:
    """Return what was removed, as text."""
    removed = [f"{', '.join(gone['releases'])} removed"] if gone.get("releases") else []
    removed += [f"{count(gone['dumps'], 'old dump')} removed"] if gone.get("dumps") else []
    return "; ".join([*removed, *([f"{gone['cache']} of the build cache removed"] if gone.get("cache") else [])])


def _state(removed: list[str]) -> str:
    *gone, free = removed or [""]
    return f"Removed: {', '.join(gone)}; {free}." if gone else "Nothing was changed. There is nothing to remove."


def _shortage(run: Run, wanted: int) -> str:
    shortage = f"The disk is nearly full: {run.facts.disk_mb} MB free, {wanted} MB needed"
    if wanted == DISK_NEEDED_MB:
        return f"{shortage}."
    sizes = ", ".join(f"{size} MB for {what}" for what, size in parts(run.settings, run.facts).items() if size)
    return f"{shortage} ({sizes}, {MARGIN_MB} MB to spare)."


def _hint(run: Run) -> str:
    """Return what else the user may remove."""
    kept = len([name for name in run.facts.releases if history.can_start(run.facts, name)])
    fewer = f"DEPLOY_KEEP=2 keeps fewer than the present {count(kept, 'release')}. " if kept > 2 else ""
    shows = (
        "On the server, docker system df shows what Docker uses; du -xhd2 / | sort -h | tail shows the largest folders."
    )
    return f"{fewer}{shows}\nThen run {run.again()} again."

"""Room: how much of the server's disk a deploy needs; what is removed after it, and before where there is less."""

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
"""What stays free beside a new release: for logs, the database, the temporary files of a build."""
BUILD_CACHE = "10%"
"""Of the server's disk, unless DEPLOY_BUILD_CACHE says another size."""


def parts(settings: Settings, facts: Facts) -> dict[str, int]:
    """What a new release takes, in MB, as far as the live one tells: its image, its static files and a dump of the
    database, in which indexes are a line each and the rest is compressed."""
    image = facts.image_sizes.get(facts.current, 0)
    dump = facts.database_mb // 2 if settings.own_database else 0
    return {"the image": image, "static files": facts.static_mb, "a dump of the database": dump}


def needed_mb(settings: Settings, facts: Facts) -> int:
    """How much must be free for a deploy."""
    return max(DISK_NEEDED_MB, MARGIN_MB + sum(parts(settings, facts).values()))


def check(run: Run, stage: Stage) -> None:
    """See that there is room for what the run does; where there isn't, remove what no release needs. Raises
    PortsideError where a deploy's room is lacking even then. Going back does what it can."""
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
    """Whether exactly this is live, so that no release is made. Of an image to pull, nobody knows yet."""
    return not run.settings.pulls and record.is_live(run.facts, run.settings, run.candidate.source)


def _free(run: Run, stage: Stage) -> list[str]:
    """Remove what no release needs, and look again. Returns what went."""
    before = run.facts.disk_mb
    (freed,) = run.apply(stage, [free(run)])
    run.look()
    cache = freed.answer["cache"]
    gone = [*freed.answer["releases"], *([f"{cache} of the build cache"] * bool(cache))]
    gone += ["the reserve for a rollback"] * (run.request.flow.uses_reserve)
    return [*gone, f"{run.facts.disk_mb} MB are free, {before} were"] if gone else []


def reserves(run: Run) -> list[str]:
    """Files that hold some space for a rollback, on each disk that it writes to."""
    return [run.site.reserve, *([DOCKER_RESERVE] * run.settings.containers)]


def free(run: Run) -> Step:
    """What removes all that no release needs. A rollback may be to any release, so that all of them stay."""
    keep = "" if run.request.flow.uses_reserve else str(run.settings.keep)
    return script("Make room on the disk", "room", run.site.root, run.site.name, keep, *reserves(run))


def prune(run: Run) -> Step:
    """What removes, after a deploy, all that is too many."""
    settings, site = run.settings, run.site
    cache = (settings.build_cache or BUILD_CACHE) if settings.containers else ""
    words = (site.root, site.name, str(settings.keep), cache, *reserves(run))
    return script("Take old releases away", "prune", *words)


def pruned(gone: Mapping[str, Any]) -> str:
    """What went, in words."""
    told = [f"{', '.join(gone['releases'])} taken away"] if gone.get("releases") else []
    told += [f"{count(gone['dumps'], 'old dump')} taken away"] if gone.get("dumps") else []
    return "; ".join([*told, *([f"{gone['cache']} of the build cache"] if gone.get("cache") else [])])


def _state(removed: list[str]) -> str:
    *gone, free = removed or [""]
    return f"Removed: {', '.join(gone)}; {free}." if gone else "Nothing was changed. There is nothing to remove."


def _shortage(run: Run, wanted: int) -> str:
    lacking = f"The disk is nearly full: {run.facts.disk_mb} MB free, {wanted} MB needed"
    if wanted == DISK_NEEDED_MB:
        return f"{lacking}."
    sizes = ", ".join(f"{size} MB for {what}" for what, size in parts(run.settings, run.facts).items() if size)
    return f"{lacking} ({sizes}, {MARGIN_MB} MB to spare)."


def _hint(run: Run) -> str:
    """What else may be removed, by its owner."""
    kept = len([name for name in run.facts.releases if history.can_start(run.facts, name)])
    fewer = f"DEPLOY_KEEP=2 keeps fewer releases than the {count(kept, 'release')} there are. " if kept > 2 else ""
    shows = "On the server, docker system df shows what Docker holds, du -xhd2 / | sort -h | tail the largest folders."
    return f"{fewer}{shows}\nThen type {run.again()} again."

"""Steps of a plan that only another version of Portside causes, not the settings or an edit on the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...core import server_paths
from ...core.facts import Facts
from ...flows import versions
from ...flows.context import Run
from ...nginx import generation
from ...releases import history
from .diff import Item
from .dry_run import Taken


def explained(items: Sequence[Item], taken: Sequence[Taken], run: Run, facts: Facts) -> list[Item]:
    """Return the items, with the reason added if another version of Portside causes them. ``facts``: as the server
    is."""
    # Whether the settings and the site are the same, apart from Portside itself.
    same = all(each.step.path != run.site.settings for each in taken)
    return [replace(item, why=_with(item.why, _reason(item, run, facts, same=same))) for item in items]


def _with(why: str, reason: str) -> str:
    return "; ".join(part for part in (why, reason) if part)


def _reason(item: Item, run: Run, facts: Facts, *, same: bool) -> str:
    if not item.sign or not facts.current:
        return ""
    if _of_the_host(item, facts):
        return versions.reason(facts.portside)
    if _of_the_site(item, run, facts) and same:
        return versions.reason(versions.of_site(facts))
    return ""


def _of_the_host(item: Item, facts: Facts) -> bool:
    """Return whether only the host's or Nginx's base files differ, and no one edited them by hand."""
    if item.path == server_paths.VERSION:
        return True
    there = facts.files.get(item.path)
    if there and item.path in facts.written:
        return facts.written[item.path] == there.sha256
    return bool(item.diffs) and all(_is_base(path, facts) for path in item.diffs)


def _is_base(path: str, facts: Facts) -> bool:
    """Return whether a file of the live generation belongs to no site and wasn't edited."""
    inside = path.removeprefix(f"{server_paths.NGINX_LIVE}/")
    if inside == path or generation.owner(inside):
        return False
    return facts.nginx_written.get(inside) == facts.nginx_files.get(inside)


def _of_the_site(item: Item, run: Run, facts: Facts) -> bool:
    """Return whether a step rebuilds the release from the same source, or rewrites the site's own files, which weren't
    edited."""
    if item.stage == "build":
        return history.live(facts).get("source") == run.candidate.source.digest
    if item.path == run.site.data_compose:
        return True
    ours = [path for path in item.diffs if path.startswith(f"{server_paths.NGINX_LIVE}/")]
    return bool(ours) and not generation.edited(facts)

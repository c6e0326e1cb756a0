"""Drift: what somebody changed on the server by hand since the last deploy, named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import nginx, release
from . import site as names
from .differing import Item
from .facts import Facts
from .report import count


def found(facts: Facts, items: Sequence[Item]) -> list[str]:
    """One sentence each, where the site is live."""
    if not facts.current:
        return []
    return [*_of_nginx(facts, items), *_of_docker(facts), *_of_containers(facts), *_of_files(items)]


def _of_nginx(facts: Facts, items: Sequence[Item]) -> Iterable[str]:
    if nginx.edited(facts):
        paths = sorted({path for item in items for path in item.diffs if path.startswith(f"{names.NGINX_LIVE}/")})
        yield f"Nginx's files were changed by hand: {', '.join(paths) or 'those of another site'}."
    if facts.nginx_version and not facts.nginx_active:
        yield "Nginx is stopped."


def _of_docker(facts: Facts) -> Iterable[str]:
    if facts.docker_version and not facts.live_restore:
        yield f"Docker doesn't keep containers while it restarts: live-restore is off ({names.DAEMON_JSON})."


def _of_containers(facts: Facts) -> Iterable[str]:
    groups = (facts.role("web", facts.current), facts.role("process", facts.current), facts.role("db"))
    for container in (each for group in groups for each in group):
        if container.state != "running":
            yield f"The container {container.name} is {container.state}."
    record = facts.releases.get(facts.current, {})
    missing = release.served(record).replicas - len(facts.role("web", facts.current))
    if missing > 0:
        yield f"{count(missing, 'web container')} of {facts.current} missing."


def _of_files(items: Iterable[Item]) -> Iterable[str]:
    """Of the host's own files, which change with Portside's version or by hand."""
    for item in items:
        if item.stage != "provision":
            continue
        if item.path:
            yield f"{item.path} is gone." if item.sign == "+" else f"{item.path} isn't as Portside leaves it."
        elif item.name.startswith("Firewall: "):
            yield f"The firewall isn't as Portside leaves it: {item.name.removeprefix('Firewall: ')} is to be."

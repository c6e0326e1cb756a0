"""Drift: what was changed on the server since Portside left it.

Compared with what the server recorded then, never with what a deploy would write: that may be a new setting.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...certs import renewal
from ...config.settings import Settings
from ...core import server_paths
from ...core.facts import Facts
from ...core.paths import Site
from ...flows import site_health
from ...host import files, provision
from ...nginx import generation
from ...releases import history


def found(settings: Settings, site: Site, facts: Facts) -> list[str]:
    """Return one sentence for each difference, if the site is live."""
    if not facts.current:
        return []
    return [
        *by_hand(site, facts),
        *_of_units(settings, facts),
        *_of_the_firewall(settings, facts),
        *(_of_docker(settings, site, facts) if settings.containers else []),
    ]


def by_hand(site: Site, facts: Facts) -> list[str]:
    """Return the files that were edited by hand: Nginx's, the host's, the live release's."""
    return [*_of_nginx(facts), *of_the_host(facts), *_of_the_release(site, facts)] if facts.current else []


def _of_nginx(facts: Facts) -> Iterable[str]:
    if generation.edited(facts):
        written, there = facts.nginx_written, facts.nginx_files
        paths = sorted(path for path in written | there if written and written.get(path) != there.get(path))
        shown = ", ".join(f"{server_paths.NGINX_LIVE}/{path}" for path in paths)
        yield f"Nginx's files were changed by hand: {shown or server_paths.NGINX_LIVE}."


def of_the_host(facts: Facts) -> Iterable[str]:
    """Yield the host's files that differ from what was written."""
    for path in provision.watched():
        there, written = facts.files.get(path), facts.written.get(path)
        if written and not there:
            yield f"{path} is missing."
        elif written and there and there.sha256 != written:
            yield f"{path} was changed by hand."


def _of_units(settings: Settings, facts: Facts) -> Iterable[str]:
    if facts.nginx_version and not facts.nginx_active:
        yield "Nginx is stopped."
    for unit in files.disabled(settings, facts):
        yield f"{unit} is disabled: it doesn't start at the next boot."
    if "certbot" in facts.packages and not facts.renewal_timer:
        yield f"{renewal.TIMER} is stopped, so certificates aren't renewed."


def _of_the_firewall(settings: Settings, facts: Facts) -> Iterable[str]:
    if not settings.firewall or not facts.ufw_ours:
        return
    closed = [str(port) for port in (80, 443) if f"allow {port}/tcp" not in facts.ufw_rules]
    if facts.ufw != "active":
        yield "The firewall is turned off."
    elif closed:
        yield f"The firewall was changed by hand: {' and '.join(closed)} no longer open."


def _of_the_release(site: Site, facts: Facts) -> Iterable[str]:
    """Check the live release's compose file, which no deploy writes again."""
    written, there = history.live(facts).get("compose"), facts.files.get(site.live_compose)
    if written and (there is None or there.sha256 != written):
        yield f"{site.live_compose} was changed by hand. The next release gets a new one."


def _of_docker(settings: Settings, site: Site, facts: Facts) -> Iterable[str]:
    if facts.docker_version and not facts.live_restore:
        yield f"Docker would stop containers when it restarts: live-restore is off ({server_paths.DAEMON_JSON})."
    yield from site_health.of_containers(settings, site, facts)

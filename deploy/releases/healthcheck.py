"""The health check of a release, before and after the switch. Pure: settings, facts and a release in, Steps out.

``remote/visit.py`` follows the redirects on the server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..config.settings import Settings
from ..core.facts import Facts
from ..core.files import REMOTE
from ..core.paths import ReleasePaths
from ..core.steps import Content, Step, script
from ..nginx import hostnames
from ..nginx.hostnames import Hosts
from ..nginx.routing import Routes


def of(routes: Routes, settings: Settings, facts: Facts) -> Hosts:
    """Return the site's names while this release is live."""
    return hostnames.of((routes.names,), settings, facts)


def gate(settings: Settings, release: ReleasePaths, routes: Routes, facts: Facts, *, again: int) -> Step:
    """Check each of the release's web containers before Nginx knows it. ``again``: number of further checks."""
    modules = ["gate.py", *["uwsgi.py"] * (routes.protocol == "uwsgi")]
    visited = of(routes, settings, facts)
    places = {routes.static_url: release.static, routes.media_url: release.site.media}
    return script(
        f"Check {settings.health_path} on the new release",
        "gate",
        sign="",
        compose=release.compose,
        url=f"{visited.address}{settings.health_path}",
        seconds=settings.health_timeout,
        again=again,
        protocol=routes.protocol,
        files={
            **{name: REMOTE / name for name in modules},
            **files(settings, visited, {url: folder for url, folder in places.items() if url}),
        },
    )


def as_live(settings: Settings, live: Mapping[str, str]) -> Settings | None:
    """Return the settings with which a live release was found healthy. None if an older Portside recorded it."""
    return settings.model_copy(update={"health_path": live["health_path"]}) if "health_path" in live else None


def through_nginx(settings: Settings, routes: Routes, facts: Facts, patience: int = 0) -> Step:
    """Check the live release as a visitor. The step's answer is why it isn't healthy, or empty. ``patience``: seconds
    in which it may become healthy."""
    visited = of(routes, settings, facts)
    return script(
        f"Check {settings.health_path} through Nginx",
        "visit",
        sign="",
        url=f"{visited.address}{settings.health_path}",
        seconds=patience,
        files=files(settings, visited),
    )


def files(settings: Settings, visited: Hosts, places: Mapping[str, str] | None = None) -> dict[str, Content]:
    """Return the files that a script needs to visit the site. ``places``: URL -> folder whose files Nginx serves."""
    edge = {**names(visited, proxied=bool(settings.real_ip)), "places": places or {}}
    modules = {name: REMOTE / name for name in ("visit.py", "cause.py")}
    return {**modules, "nginx.json": (json.dumps(edge, indent=1) + "\n").encode()}


def names(visited: Hosts, *, proxied: bool = False) -> dict[str, dict[str, str]]:
    """Return what Nginx does at each address of the site, for ``Edge`` of visit.py: the scheme that reaches it, and
    where it redirects to. ``proxied``: a proxy in front may terminate HTTPS."""
    secure, plain = visited.names(secure=True), visited.names(secure=False)
    reached = {f"{scheme}://{name}": scheme for scheme in ("http", "https") for name in secure}
    reached |= {f"http://{name}": "http" for name in plain}
    redirects = {f"http://{name}": "https://$host" for name in visited.upgraded}
    moved = [(server, name) for server in visited.servers if server.to for name in server.names]
    redirects |= {f"{'https' if server.secure else 'http'}://{name}": server.to for server, name in moved}
    if proxied:
        reached |= {f"https://{name}": "http" for name in plain}
        redirects |= {f"https://{name}": server.to for server, name in moved if name in plain}
    return {"names": reached, "redirects": redirects}


def note(settings: Settings, answer: Mapping[str, list[str] | str]) -> str:
    """Describe where the health check ended, in a few words."""
    path, way, elsewhere = settings.health_path, answer["way"], str(answer["elsewhere"])
    if elsewhere:
        return f"{path} redirects to another site: {elsewhere.partition('?')[0]}"
    return f"{path} redirects to {way[-1]}, which is healthy" if len(way) > 1 else f"{path} is healthy"

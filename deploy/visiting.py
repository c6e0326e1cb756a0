"""The health check: what a visit of the site needs to know. Pure: settings, facts and a release in, Steps out.

``remote/visit.py`` follows the redirects on the server, for the gate and for the switch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from . import nginx
from .edge import Served
from .facts import Facts
from .settings import Settings
from .site import ReleasePaths
from .steps import Content, Step, script
from .stream import REMOTE


def address(settings: Settings, facts: Facts) -> str:
    """The address that a visit begins at."""
    return f"{nginx.address(settings, facts)}{settings.health_path}"


def gate(settings: Settings, release: ReleasePaths, served: Served, facts: Facts, *, again: int) -> Step:
    """Visit each of the release's web containers before Nginx knows it. ``again``: so many times more."""
    modules = ["gate.py", *["uwsgi.py"] * (served.protocol == "uwsgi")]
    places = {served.static_url: release.static, served.media_url: release.site.media}
    return script(
        f"Ask the new release for {settings.health_path}",
        "gate",
        release.compose,
        address(settings, facts),
        str(settings.health_timeout),
        str(again),
        served.protocol,
        files={
            **{name: REMOTE / name for name in modules},
            **files(settings, facts, {url: folder for url, folder in places.items() if url}),
        },
    )


def as_live(settings: Settings, live: Mapping[str, str]) -> Settings | None:
    """The settings with which a live release was found healthy; None where an older version of Portside recorded it."""
    if "health_path" not in live:
        return None
    domains = tuple(dict.fromkeys((live["domain"], *settings.domains)))
    return settings.model_copy(update={"health_path": live["health_path"], "domains": domains})


def through_nginx(settings: Settings, facts: Facts, patience: int = 0) -> Step:
    """Visit the live release as a visitor comes; its answer says why it isn't healthy, or nothing. ``patience``:
    seconds in which it may become so."""
    words = (address(settings, facts), str(patience))
    return script(f"Ask Nginx for {settings.health_path}", "visit", *words, files=files(settings, facts))


def files(settings: Settings, facts: Facts, places: Mapping[str, str] | None = None) -> dict[str, Content]:
    """What a script takes along to visit the site. ``places``: folders whose files Nginx serves, by their URLs."""
    edge = {**names(settings, facts), "places": places or {}}
    modules = {name: REMOTE / name for name in ("visit.py", "cause.py")}
    return {**modules, "nginx.json": (json.dumps(edge, indent=1) + "\n").encode()}


def names(settings: Settings, facts: Facts) -> dict[str, dict[str, str]]:
    """What Nginx does at each address of the site, for ``Edge`` of visit.py: by which scheme it is reached, and where
    it redirects."""
    secure, plain = nginx.secure(settings, facts), nginx.plain(settings, facts)
    canonical = nginx.address(settings, facts)
    reached = {f"{scheme}://{name}": scheme for scheme in ("http", "https") for name in secure.names}
    reached |= {f"http://{name}": "http" for name in plain.names}
    redirects = {f"http://{name}": "https://$host" for name in secure.names}
    redirects |= {f"https://{name}": canonical for name in secure.redirect_domains}
    redirects |= {f"http://{name}": canonical for name in plain.redirect_domains}
    if settings.real_ip:  # a proxy in front may speak HTTPS for us
        reached |= {f"https://{name}": "http" for name in plain.names}
        redirects |= {f"https://{name}": canonical for name in plain.redirect_domains}
    return {"names": reached, "redirects": redirects}


def note(settings: Settings, answer: Mapping[str, list[str] | str]) -> str:
    """Where the visit ended, in a few words."""
    path, way, elsewhere = settings.health_path, answer["way"], str(answer["elsewhere"])
    if elsewhere:
        return f"{path} redirects to another site: {elsewhere.partition('?')[0]}"
    return f"{path} redirects to {way[-1]}, which is healthy" if len(way) > 1 else f"{path} is healthy"

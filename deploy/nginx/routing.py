"""The edge: what a site's Nginx file says of its releases. Pure: what releases want in, an Edge out.

While a release follows another, two may be planned. The *bridge* stands before ``current`` is renamed, and serves what
both need; the *final* one is the new release's. Usually both are what is live already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# No part begins with a dot: Nginx serves no hidden files, and answers the certificate authority below such a path.
URL_PATH = re.compile(r"/(?:(?!\.)[A-Za-z0-9._~@+-]+/)+")


@dataclass(frozen=True)
class Names:
    """The names that a release was deployed with, the canonical one first. ``redirects``: those that redirect to it;
    None in the record of an older version, which kept the canonical name alone. ``admitted``: the redirects that the
    application would answer too."""

    domains: tuple[str, ...]
    redirects: tuple[str, ...] | None = ()
    admitted: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[str, ...]:
        return self.domains + (self.redirects or ())


@dataclass(frozen=True)
class Routes:
    """What a release wants of Nginx: URL paths of files, which begin and end with a slash, or empty; how many web
    containers there are to ask, and their local ports (none in the record of a release that an older version made); in
    which protocol; whether a connection may be silent for long (``asynchronous``); and which ``names`` it knows (None
    if nobody noted them)."""

    static_url: str = ""
    media_url: str = ""
    replicas: int = 1
    ports: tuple[int, ...] = ()
    protocol: str = "http"
    asynchronous: bool = False
    names: Names | None = None


@dataclass(frozen=True)
class StaticRoute:
    """A URL path below which there are files: uploads (``media``) or static ones.

    ``own``: nothing else is there. Otherwise it is another release's: the application is asked for what isn't found.
    """

    url: str
    media: bool = False
    own: bool = True


@dataclass(frozen=True)
class Edge:
    """Which of the live release's sockets are asked, from the first on, or instead which ports; and what is served.

    ``protocols``: in which protocol; of two, the second where the live release has no sockets of the first. ``names``:
    those that the live release knows; of two, the second are the next release's. ``opened_from``: HTTPS is only opened,
    and all else is as with this certificate (PEM, or empty).
    """

    sockets: int = 1
    ports: tuple[int, ...] = ()
    static_routes: tuple[StaticRoute, ...] = ()
    protocols: tuple[str, ...] = ("http",)
    asynchronous: bool = False
    names: tuple[Names | None, ...] = (None,)
    opened_from: str | None = None


def final(new: Routes, kept: Iterable[Routes], upstream: str) -> Edge:
    """The edge of a release that is live. Pages of other ``kept`` releases, loaded before, still find their files."""
    static_routes = _with_others(_static_routes(new), kept)
    ports = new.ports if upstream == "port" else ()
    return Edge(new.replicas, ports, static_routes, (new.protocol,), new.asynchronous, (new.names,))


def bridge(live: Routes, new: Routes, kept: Iterable[Routes], upstream: str) -> Edge:
    """The edge for the moment in which ``current`` is renamed: what either release has is found before and after."""
    shared = [route for route in _static_routes(live) if route in _static_routes(new)]
    static_routes = _with_others(shared, [new, live, *kept])
    ports = live.ports if upstream == "port" else ()
    # Behind the live release's ports there is nobody else; what "current" names may be either.
    protocols = (live.protocol,) if ports else tuple(dict.fromkeys((live.protocol, new.protocol)))
    asynchronous = live.asynchronous or new.asynchronous
    names = tuple(dict.fromkeys((live.names, new.names)))
    return Edge(min(live.replicas, new.replicas), ports, static_routes, protocols, asynchronous, names)


def _static_routes(routes: Routes, *, own: bool = True) -> list[StaticRoute]:
    urls = ((routes.static_url, False), (routes.media_url, True))
    return [StaticRoute(url, media, own) for url, media in urls if URL_PATH.fullmatch(url)]


def _with_others(own: Sequence[StaticRoute], releases: Iterable[Routes]) -> tuple[StaticRoute, ...]:
    """These places, and those of the releases that lie in none of them. Of several with one URL the first counts."""
    found = {route.url: route for route in own}
    for routes in releases:
        for route in _static_routes(routes, own=False):
            if not any(route.url.startswith(mine.url) for mine in own):
                found.setdefault(route.url, route)
    return tuple(found[url] for url in sorted(found))

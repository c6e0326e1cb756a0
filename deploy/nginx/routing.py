"""The edge: the part of a site's Nginx file that depends on its releases. Pure: Routes of releases in, an Edge out.

A switch from one release to another may need two edges. The *bridge* is active before ``current`` is renamed and serves
both releases; the *final* one is the new release's. Usually both are the same as the live one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# No part begins with a dot: Nginx doesn't serve hidden files, and such a path is used for ACME challenges.
URL_PATH = re.compile(r"/(?:(?!\.)[A-Za-z0-9._~@+-]+/)+")


@dataclass(frozen=True)
class Names:
    """The names that a release was deployed with, the canonical one first. ``redirects``: names that redirect to it;
    None in the record of an older version, which only has the canonical name. ``admitted``: redirects that the
    application would also answer."""

    domains: tuple[str, ...]
    redirects: tuple[str, ...] | None = ()
    admitted: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[str, ...]:
        return self.domains + (self.redirects or ())


@dataclass(frozen=True)
class Routes:
    """How Nginx serves a release.

    - ``static_url``, ``media_url``: URL paths of files, which begin and end with a slash, or are empty
    - ``replicas``: number of web containers; ``ports``: their local ports (none in an older version's record)
    - ``protocol``: the protocol between Nginx and the application
    - ``asynchronous``: a connection may be silent for long
    - ``names``: the names that the release knows; None if they weren't recorded
    """

    static_url: str = ""
    media_url: str = ""
    replicas: int = 1
    ports: tuple[int, ...] = ()
    protocol: str = "http"
    asynchronous: bool = False
    names: Names | None = None


@dataclass(frozen=True)
class StaticRoute:
    """A URL path for files: uploads (``media``) or static ones.

    ``own``: it belongs to the release itself. Otherwise it is another release's, and requests for missing files go to
    the application.
    """

    url: str
    media: bool = False
    own: bool = True


@dataclass(frozen=True)
class Edge:
    """How Nginx reaches the live release, and which files it serves.

    - ``sockets``: number of the release's sockets; ``ports``: its ports, used instead of sockets if there are any
    - ``protocols``: the protocol; the second one, if any, is used if the release has no sockets of the first
    - ``names``: the names that the release knows; the second ones, if any, are the next release's
    - ``opened_from``: HTTPS is being opened, and everything else is as with this certificate (PEM, or empty)
    """

    sockets: int = 1
    ports: tuple[int, ...] = ()
    static_routes: tuple[StaticRoute, ...] = ()
    protocols: tuple[str, ...] = ("http",)
    asynchronous: bool = False
    names: tuple[Names | None, ...] = (None,)
    opened_from: str | None = None


def final(new: Routes, kept: Iterable[Routes], upstream: str) -> Edge:
    """Return the edge of a live release. Pages of other ``kept`` releases that visitors have open still find their
    files."""
    static_routes = _with_others(_static_routes(new), kept)
    ports = new.ports if upstream == "port" else ()
    return Edge(new.replicas, ports, static_routes, (new.protocol,), new.asynchronous, (new.names,))


def bridge(live: Routes, new: Routes, kept: Iterable[Routes], upstream: str) -> Edge:
    """Return the edge during the rename of ``current``: files of both releases are found before and after it."""
    shared = [route for route in _static_routes(live) if route in _static_routes(new)]
    static_routes = _with_others(shared, [new, live, *kept])
    ports = live.ports if upstream == "port" else ()
    # The live release's ports are its own, but a socket below "current" may belong to either release.
    protocols = (live.protocol,) if ports else tuple(dict.fromkeys((live.protocol, new.protocol)))
    asynchronous = live.asynchronous or new.asynchronous
    names = tuple(dict.fromkeys((live.names, new.names)))
    return Edge(min(live.replicas, new.replicas), ports, static_routes, protocols, asynchronous, names)


def _static_routes(routes: Routes, *, own: bool = True) -> list[StaticRoute]:
    urls = ((routes.static_url, False), (routes.media_url, True))
    return [StaticRoute(url, media, own) for url, media in urls if URL_PATH.fullmatch(url)]


def _with_others(own: Sequence[StaticRoute], releases: Iterable[Routes]) -> tuple[StaticRoute, ...]:
    """Return these routes, and those of the releases that aren't below any of them. The first one of a URL counts."""
    found = {route.url: route for route in own}
    for routes in releases:
        for route in _static_routes(routes, own=False):
            if not any(route.url.startswith(mine.url) for mine in own):
                found.setdefault(route.url, route)
    return tuple(found[url] for url in sorted(found))

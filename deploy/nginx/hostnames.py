"""Hosts: how Nginx serves each of a site's names. Pure: releases' names, settings and the certificate in, Hosts out.

The live release determines names and redirects, because Django rejects a name that the release wasn't started with. The
certificate determines which names have HTTPS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..config.settings import Settings
from ..config.types import is_wildcard
from ..core.facts import Facts
from ..core.x509 import Certificate
from .routing import Names

# The states of the switch in which Nginx passes a name to the live release.
ONCE_SWITCHED, UNTIL_SWITCHED = "once switched", "until switched"


@dataclass(frozen=True)
class Server:
    """One of Nginx's server blocks: names that are served in the same way.

    ``to``: the address that they redirect to; empty if they show the site. ``permanent``: the redirect is a permanent
    one. ``when``: they show the site only once the next release is live, or only until then; otherwise they redirect.
    """

    names: tuple[str, ...]
    secure: bool
    to: str = ""
    permanent: bool = False
    when: str = ""

    @property
    def shows(self) -> bool:
        """Whether its visitors see the site, at least at times."""
        return not self.to or bool(self.when)


@dataclass(frozen=True)
class Hosts:
    """All of a site's names. ``canonical``: the target of redirects; ``upgraded``: names that redirect to HTTPS on port
    80; ``own``: names that the live release knows; ``servers``: the other server blocks."""

    canonical: str
    address: str
    own: tuple[str, ...]
    upgraded: tuple[str, ...]
    servers: tuple[Server, ...]

    def names(self, *, secure: bool) -> tuple[str, ...]:
        """Return the names with HTTPS, or those without."""
        encrypted = {name for server in self.servers if server.secure for name in server.names}
        every = dict.fromkeys((*self.own, *(name for server in self.servers for name in server.names)))
        return tuple(name for name in every if (name in encrypted) is secure)


@dataclass(frozen=True)
class _Roles:
    """The role of each name while a release is live. ``own``: the release's names; ``lasting``: permanent redirects;
    ``every``: all names, of which those without a role redirect temporarily."""

    canonical: str
    address: str
    own: tuple[str, ...]
    shown: tuple[str, ...]
    lasting: tuple[str, ...]
    every: tuple[str, ...]


def recorded(record: Mapping[str, Any]) -> Names | None:
    """Return the names that a recorded release knows; only the canonical one, or None, from an older version's
    record."""
    if "domains" not in record:
        return Names((str(record["domain"]),), None) if "domain" in record else None
    return Names(*(tuple(map(str, record.get(name, ()))) for name in ("domains", "redirect_domains", "admitted")))


def noted(names: Names) -> dict[str, Any]:
    """Return the names for a release's record. ``domain`` is for older versions of Portside."""
    return {
        "domain": names.domains[0],
        "domains": list(names.domains),
        "redirect_domains": list(names.redirects or ()),
        "admitted": list(names.admitted),
    }


def live(settings: Settings, facts: Facts) -> Hosts:
    """Return how the live release's names are served."""
    return of([recorded(facts.releases.get(facts.current, {}))], settings, facts)


def opening(known: Iterable[Names | None], settings: Settings, facts: Facts, before: str) -> Hosts:
    """Return how names were served with the certificate ``before``, plus HTTPS for the names of the present one.

    No redirect leads to HTTPS yet: during a reload, old workers still accept connections, and don't have it.
    """
    found, certificate = of(known, settings, replace(facts, certificate=before)), Certificate.parse(facts.certificate)
    has = found.names(secure=True)
    opened = [
        replace(server, secure=True, names=names)
        for server in found.servers
        if not server.secure
        and (
            names := tuple(
                name for name in server.names if name not in has and certificate and certificate.covers(name)
            )
        )
    ]
    return replace(found, servers=(*found.servers, *opened))


def of(known: Iterable[Names | None], settings: Settings, facts: Facts) -> Hosts:
    """Return how names are served while a release with these names is live; of two releases, during their switch.

    ``known``: None for a release without a record of its names; then the settings count.
    """
    certificate = Certificate.parse(facts.certificate)

    def covered(host: str) -> bool:
        return certificate is not None and certificate.covers(host)

    each = [_resolved(names, settings, facts) for names in known] or [_resolved(None, settings, facts)]
    roles = list(dict.fromkeys(_roles(names, settings.names, covered) for names in each))
    return _settled(roles[0], covered) if len(roles) == 1 else _between(roles[0], roles[1], covered)


def _resolved(names: Names | None, settings: Settings, facts: Facts) -> Names:
    """Return a release's names. An older version of Portside recorded only the canonical one; then the site's other
    names come from its record on the server, which doesn't distinguish redirects."""
    if names is None:
        return Names(settings.domains, settings.redirect_domains)
    if names.redirects is not None:
        return names
    first, owned = names.domains[0], set(facts.record.get("domains", settings.names))
    domains = (first, *(name for name in settings.domains if name in owned and name != first))
    return Names(domains, tuple(name for name in settings.redirect_domains if name in owned and name != first))


def _roles(names: Names, others: Iterable[str], covered: Callable[[str], bool]) -> _Roles:
    wanted, redirects = names.domains[0], names.redirects or ()
    first = _first(names, covered)
    shown, lasting = names.domains, tuple(name for name in redirects if covered(wanted) or not covered(name))
    if first != wanted:
        shown, lasting = tuple(dict.fromkeys((first, *names.domains[1:]))), ()
    address = f"{'https' if covered(first) else 'http'}://{first}"
    return _Roles(first, address, names.every, shown, lasting, tuple(dict.fromkeys((*names.every, *others))))


def _first(names: Names, covered: Callable[[str], bool]) -> str:
    """Return the canonical name. If the certificate doesn't cover it, return another name of the release that it
    covers, so that no visitor loses HTTPS."""
    wanted, *domains = names.domains
    candidates = (wanted, *domains, *(name for name in names.redirects or () if name in names.admitted))
    return next((name for name in candidates if covered(name) and not is_wildcard(name)), wanted)


def _settled(roles: _Roles, covered: Callable[[str], bool]) -> Hosts:
    servers = [
        *_by_encryption(roles.lasting, covered, roles.address, permanent=True),
        *_temporary(roles.every, (*roles.shown, *roles.lasting), covered, roles.address),
        *_by_encryption(roles.shown, covered),
    ]
    return _hosts(roles, servers, (*roles.shown, *roles.lasting), covered)


def _between(live: _Roles, new: _Roles, covered: Callable[[str], bool]) -> Hosts:
    """Return how names are served during a switch. A name that only one of the releases knows shows the site only while
    that release is live."""
    arriving = tuple(name for name in new.shown if not _knows(live.shown, name))
    leaving = tuple(name for name in live.shown if not _knows(new.shown, name))
    shown = tuple(dict.fromkeys((*live.shown, *new.shown)))
    staying = tuple(name for name in shown if name not in (*arriving, *leaving))
    lasting = tuple(name for name in live.lasting if name in new.lasting and live.address == new.address)
    servers = [
        *_by_encryption(lasting, covered, new.address, permanent=True),
        *_temporary((*live.every, *new.every), (*shown, *lasting), covered, live.address),
        *_by_encryption(staying, covered),
        *_by_encryption(arriving, covered, live.address, ONCE_SWITCHED),
        *_by_encryption(leaving, covered, new.address, UNTIL_SWITCHED),
    ]
    return _hosts(new, servers, (*shown, *lasting), covered)


def _knows(hosts: Iterable[str], name: str) -> bool:
    """Whether a name is one of these hosts, or matches a wildcard among them."""
    return any(host == name or (is_wildcard(host) and name.endswith(host[1:])) for host in hosts)


def _hosts(roles: _Roles, servers: list[Server], named: Iterable[str], covered: Callable[[str], bool]) -> Hosts:
    return Hosts(roles.canonical, roles.address, roles.own, tuple(filter(covered, named)), tuple(servers))


def _by_encryption(
    hosts: Iterable[str], covered: Callable[[str], bool], to: str = "", when: str = "", *, permanent: bool = False
) -> list[Server]:
    """Return the server blocks of these hosts with and without HTTPS, if there are such names."""
    parts = {secure: tuple(name for name in hosts if covered(name) is secure) for secure in (True, False)}
    return [Server(names, secure, to, permanent, when) for secure, names in parts.items() if names]


def _temporary(every: Iterable[str], others: Iterable[str], covered: Callable[[str], bool], to: str) -> list[Server]:
    """Return the server blocks of names without a role. On port 80 all of them redirect directly, not by way of
    HTTPS."""
    hosts = tuple(dict.fromkeys(name for name in every if name not in others))
    secure = tuple(filter(covered, hosts))
    return [Server(names, encrypted, to) for names, encrypted in ((secure, True), (hosts, False)) if names]

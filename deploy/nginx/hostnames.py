"""Hosts: how Nginx serves each of a site's names. Pure: what releases know, settings and the certificate in, Hosts out.

Names and redirects follow the live release, since Django refuses a name that its release wasn't started with. HTTPS
follows the certificate.
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

# When Nginx asks the live release only in a certain state of the switch.
ONCE_SWITCHED, UNTIL_SWITCHED = "once switched", "until switched"


@dataclass(frozen=True)
class Server:
    """One of Nginx's servers: names that are served in one way.

    ``to``: the address that they redirect to; empty if they show the site. ``permanent``: browsers may remember the
    redirect. ``when``: they show the site only once the next release is live, or only until then, and else redirect.
    """

    names: tuple[str, ...]
    secure: bool
    to: str = ""
    permanent: bool = False
    when: str = ""

    @property
    def shows(self) -> bool:
        """Whether its visitors see the site."""
        return not self.to or bool(self.when)


@dataclass(frozen=True)
class Hosts:
    """All of a site's names. ``canonical``: the one that the others redirect to; ``upgraded``: those that redirect to
    HTTPS on port 80; ``own``: those that the live release knows; ``servers``: how each is served besides."""

    canonical: str
    address: str
    own: tuple[str, ...]
    upgraded: tuple[str, ...]
    servers: tuple[Server, ...]

    def names(self, *, secure: bool) -> tuple[str, ...]:
        """The names with HTTPS, or those without."""
        encrypted = {name for server in self.servers if server.secure for name in server.names}
        every = dict.fromkeys((*self.own, *(name for server in self.servers for name in server.names)))
        return tuple(name for name in every if (name in encrypted) is secure)


@dataclass(frozen=True)
class _Roles:
    """What becomes of each name while a release is live. ``own``: the release's; ``lasting``: permanent redirects; of
    ``every`` name, those without a role redirect temporarily."""

    canonical: str
    address: str
    own: tuple[str, ...]
    shown: tuple[str, ...]
    lasting: tuple[str, ...]
    every: tuple[str, ...]


def recorded(record: Mapping[str, Any]) -> Names | None:
    """The names that a recorded release knows; of an older version's record the canonical one, or None."""
    if "domains" not in record:
        return Names((str(record["domain"]),), None) if "domain" in record else None
    return Names(*(tuple(map(str, record.get(name, ()))) for name in ("domains", "redirect_domains", "admitted")))


def noted(names: Names) -> dict[str, Any]:
    """The part of a release's record that is about names. ``domain``: for older versions."""
    return {
        "domain": names.domains[0],
        "domains": list(names.domains),
        "redirect_domains": list(names.redirects or ()),
        "admitted": list(names.admitted),
    }


def live(settings: Settings, facts: Facts) -> Hosts:
    """The names as the live release has them."""
    return of([recorded(facts.releases.get(facts.current, {}))], settings, facts)


def opening(known: Iterable[Names | None], settings: Settings, facts: Facts, before: str) -> Hosts:
    """The names as they were with the certificate of ``before``; those that are in the present one answer by HTTPS too.

    Nothing leads there yet: during a reload, old workers still accept connections, and don't know it.
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
    """The names while a release is live that knows these; of two releases, while the second follows the first.

    None: it isn't known what a release knows, and the settings count.
    """
    certificate = Certificate.parse(facts.certificate)

    def covered(host: str) -> bool:
        return certificate is not None and certificate.covers(host)

    each = [_resolved(names, settings, facts) for names in known] or [_resolved(None, settings, facts)]
    roles = list(dict.fromkeys(_roles(names, settings.names, covered) for names in each))
    return _settled(roles[0], covered) if len(roles) == 1 else _between(roles[0], roles[1], covered)


def _resolved(names: Names | None, settings: Settings, facts: Facts) -> Names:
    """What a release knows. An older version of Portside recorded the canonical name alone; the site's other names are
    on the server, whoever of them is a redirect."""
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
    """The canonical name; without a certificate for it, one that has HTTPS already, if the release lets it in: no
    visitor loses HTTPS."""
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
    """While "current" is renamed: a name that one of the releases doesn't know is shown only while the other is
    live."""
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
    """Whether a name is one of these, or a wildcard's of these."""
    return any(host == name or (is_wildcard(host) and name.endswith(host[1:])) for host in hosts)


def _hosts(roles: _Roles, servers: list[Server], named: Iterable[str], covered: Callable[[str], bool]) -> Hosts:
    return Hosts(roles.canonical, roles.address, roles.own, tuple(filter(covered, named)), tuple(servers))


def _by_encryption(
    hosts: Iterable[str], covered: Callable[[str], bool], to: str = "", when: str = "", *, permanent: bool = False
) -> list[Server]:
    """Their servers with HTTPS and without, as far as there are such names."""
    parts = {secure: tuple(name for name in hosts if covered(name) is secure) for secure in (True, False)}
    return [Server(names, secure, to, permanent, when) for secure, names in parts.items() if names]


def _temporary(every: Iterable[str], others: Iterable[str], covered: Callable[[str], bool], to: str) -> list[Server]:
    """The names without a role: on port 80 all of them, without a detour over their own HTTPS."""
    hosts = tuple(dict.fromkeys(name for name in every if name not in others))
    secure = tuple(filter(covered, hosts))
    return [Server(names, encrypted, to) for names, encrypted in ((secure, True), (hosts, False)) if names]

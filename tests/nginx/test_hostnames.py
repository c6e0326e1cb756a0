"""How each name is served: what releases know and the certificate in, Nginx's servers out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.config.settings import Settings
from deploy.core.facts import Facts
from deploy.core.x509 import Certificate
from deploy.nginx import hostnames
from deploy.nginx.hostnames import Hosts, Server
from deploy.nginx.routing import Names
from tests import sample

OLD, NEW, SIDE = "old.example", "new.example", "side.example"
MOST = 5


def given(folder: Path, names: Names) -> Settings:
    redirects = {"DEPLOY_REDIRECT_DOMAINS": ",".join(names.redirects)} if names.redirects else {}
    return sample.settings(folder, DEPLOY_DOMAINS=",".join(names.domains), **redirects)


def certified(*covered: str) -> Facts:
    return sample.certified(sample.provisioned(), *covered) if covered else sample.provisioned()


def renaming(folder: Path, *known: Names | None, covered: Iterable[str] = (), settings: Names | None = None) -> Hosts:
    return hostnames.of(known, given(folder, settings or known[-1] or Names((OLD,))), certified(*covered))


def told(found: Hosts) -> list[tuple[str, str, str]]:
    """Each of Nginx's servers: scheme, names, and what it does."""
    upgrade = [("http", " ".join(found.upgraded), "301 https://$host")] * bool(found.upgraded)
    return upgrade + [("https" if each.secure else "http", " ".join(each.names), _does(each)) for each in found.servers]


def _does(server: Server) -> str:
    leads = f"{301 if server.permanent else 302} {server.to}" if server.to else "the site"
    return f"the site {server.when}, else {leads}" if server.when else leads


# While one release is live


def test_without_a_certificate(tmp_path: Path) -> None:
    assert told(renaming(tmp_path, Names((NEW, SIDE), (OLD,)))) == [
        ("http", OLD, f"301 http://{NEW}"),
        ("http", f"{NEW} {SIDE}", "the site"),
    ]


def test_with_one(tmp_path: Path) -> None:
    assert told(renaming(tmp_path, Names((NEW, SIDE), (OLD,)), covered=(NEW, SIDE, OLD))) == [
        ("http", f"{NEW} {SIDE} {OLD}", "301 https://$host"),
        ("https", OLD, f"301 https://{NEW}"),
        ("https", f"{NEW} {SIDE}", "the site"),
    ]


def test_a_name_that_is_not_in_the_certificate_yet_is_served_beside_the_others(tmp_path: Path) -> None:
    assert told(renaming(tmp_path, Names((OLD, NEW)), covered=(OLD,))) == [
        ("http", OLD, "301 https://$host"),
        ("https", OLD, "the site"),
        ("http", NEW, "the site"),
    ]


def test_certs_before_the_deploy_switches_https_and_nothing_else(tmp_path: Path) -> None:
    for settings in (Names((NEW,), (OLD,)), Names((NEW, OLD)), Names((OLD, NEW)), Names((NEW,))):
        found = renaming(tmp_path, Names((OLD,)), covered=(OLD, NEW), settings=settings)
        assert told(found) == [
            ("http", OLD, "301 https://$host"),
            ("https", NEW, f"302 https://{OLD}"),
            ("http", NEW, f"302 https://{OLD}"),
            ("https", OLD, "the site"),
        ]
        assert (found.address, found.own) == (f"https://{OLD}", (OLD,))


@pytest.mark.parametrize("names", [Names((NEW,), (OLD,), (OLD,)), Names((NEW, OLD))])
def test_a_deploy_before_certs_takes_https_from_no_name(names: Names, tmp_path: Path) -> None:
    found = renaming(tmp_path, names, covered=(OLD,))
    assert told(found) == [
        ("http", OLD, "301 https://$host"),
        ("http", NEW, f"302 https://{OLD}"),
        ("https", OLD, "the site"),
    ]
    assert (found.canonical, found.names(secure=False)) == (OLD, (NEW,))


def test_a_redirect_that_the_application_refuses_leads_to_the_canonical_name_for_now(tmp_path: Path) -> None:
    assert told(renaming(tmp_path, Names((NEW,), (OLD,)), covered=(OLD,))) == [
        ("https", OLD, f"302 http://{NEW}"),
        ("http", OLD, f"302 http://{NEW}"),
        ("http", NEW, "the site"),
    ]


def test_a_wildcard_does_not_stand_in_for_the_canonical_name(tmp_path: Path) -> None:
    found = renaming(tmp_path, Names((NEW, f"*.{NEW}")), covered=(f"*.{NEW}",), settings=Names((NEW,)))
    assert told(found)[1:] == [("https", f"*.{NEW}", "the site"), ("http", NEW, "the site")]
    assert found.address == f"http://{NEW}"


def test_https_is_opened_before_anything_leads_to_it(tmp_path: Path) -> None:
    """Whatever a worker of the next files says, one of these answers."""
    names, before = Names((NEW, SIDE), (OLD,), (OLD,)), certified(OLD).certificate
    settings, facts = given(tmp_path, names), certified(OLD, NEW)
    opened, final = hostnames.opening([names], settings, facts, before), hostnames.of([names], settings, facts)
    assert told(opened) == [
        *told(hostnames.of([names], settings, certified(OLD))),
        ("https", NEW, f"302 https://{OLD}"),
    ]
    assert set(final.names(secure=True)) <= set(opened.names(secure=True))
    first = hostnames.opening([names], settings, facts, "")
    assert (first.upgraded, first.names(secure=True), first.address) == ((), (NEW, OLD), f"http://{NEW}")


# What is recorded


def test_what_is_noted_is_read_back() -> None:
    names = Names((NEW, SIDE), (OLD,), (OLD,))
    assert hostnames.recorded(hostnames.noted(names)) == names
    assert hostnames.noted(names)["domain"] == NEW
    assert hostnames.recorded({}) is None


def test_without_a_record_the_settings_count(tmp_path: Path) -> None:
    settings = given(tmp_path, Names((NEW,), (OLD,)))
    assert hostnames.of([None], settings, certified()) == hostnames.of([Names((NEW,), (OLD,))], settings, certified())
    assert hostnames.live(settings, certified()) == hostnames.of([None], settings, certified())


def test_an_older_record_knows_the_names_that_were_the_sites_already(tmp_path: Path) -> None:
    settings, older = given(tmp_path, Names((NEW, OLD, SIDE), ("www.example", "web.example"))), Names((OLD,), None)
    owned = replace(certified(), record={"domains": [OLD, SIDE, "web.example"]})
    assert hostnames.of([older], settings, owned).own == (OLD, SIDE, "web.example")
    assert hostnames.of([older], settings, replace(certified(), record={})).own == (
        OLD,
        NEW,
        SIDE,
        "www.example",
        "web.example",
    )


# While a release follows another


def test_a_release_with_the_same_names_needs_no_other_servers(tmp_path: Path) -> None:
    names = Names((OLD, SIDE), ("www.example",))
    assert renaming(tmp_path, names, replace(names, admitted=("www.example",))) == renaming(tmp_path, names)


def test_a_name_that_one_release_refuses_is_never_led_to_it(tmp_path: Path) -> None:
    found = renaming(tmp_path, Names((OLD, SIDE), ("www.example",)), Names((NEW, SIDE), (OLD,)), covered=(OLD, NEW))
    assert told(found) == [
        ("http", f"{OLD} {NEW}", "301 https://$host"),
        ("http", "www.example", f"302 https://{OLD}"),
        ("http", SIDE, "the site"),
        ("https", NEW, f"the site once switched, else 302 https://{OLD}"),
        ("https", OLD, f"the site until switched, else 302 https://{NEW}"),
    ]


def test_a_name_that_comes_or_goes_changes_no_redirect(tmp_path: Path) -> None:
    before, after = Names((OLD,), ("www.example",)), Names((OLD, NEW), ("www.example",))
    for live, new in ((before, after), (after, before)):
        assert ("http", "www.example", f"301 http://{OLD}") in told(renaming(tmp_path, live, new))


def test_a_wildcard_lets_its_names_in_while_the_releases_change(tmp_path: Path) -> None:
    found = renaming(tmp_path, Names((OLD, f"*.{OLD}")), Names((OLD, f"shop.{OLD}")))
    assert told(found) == [
        ("http", f"{OLD} shop.{OLD}", "the site"),
        ("http", f"*.{OLD}", f"the site until switched, else 302 http://{OLD}"),
    ]


# As a browser meets it: no error and no loop, whatever the names, the certificate and the state of the switch


EVERY = [
    Names((OLD,)),
    Names((NEW,)),
    Names((OLD, NEW)),
    Names((NEW, OLD)),
    Names((OLD,), (NEW,)),
    Names((NEW,), (OLD,)),
    Names((NEW,), (OLD,), (OLD,)),
    Names((NEW, SIDE), (OLD,)),
    Names((OLD,), (SIDE,)),
    Names((NEW,), (SIDE, OLD), (OLD,)),
    Names((OLD, SIDE), (NEW,), (NEW,)),
]
COVERED = [(), (OLD,), (NEW,), (OLD, NEW), (OLD, NEW, SIDE)]


def answers(found: Hosts, url: str, *, switched: bool) -> tuple[bool, str]:
    """Whether Nginx shows the site for a URL, and else where it redirects. Fails if nobody answers."""
    scheme, name = urlsplit(url)[:2]
    if scheme == "http" and name in found.upgraded:
        return False, f"https://{name}"
    server = next(each for each in found.servers if name in each.names and each.secure is (scheme == "https"))
    shows = {"": not server.to, hostnames.ONCE_SWITCHED: switched, hostnames.UNTIL_SWITCHED: not switched}[server.when]
    return shows, "" if shows else server.to


def visited(found: Hosts, url: str, *, switched: bool) -> str:
    """The name at which a browser sees the site in the end."""
    for _ in range(MOST):
        shows, to = answers(found, url, switched=switched)
        if shows:
            return urlsplit(url)[1]
        url = to
    raise AssertionError(f"a loop at {url}")


def lets_in(names: Names) -> set[str]:
    """What Django answers: it is told of every name, unless the project has a list of its own."""
    return {*names.domains, *names.admitted}


def urls(found: Hosts) -> Iterator[str]:
    yield from (f"http://{name}" for secure in (True, False) for name in found.names(secure=secure))
    yield from (f"https://{name}" for name in found.names(secure=True))


@pytest.mark.parametrize("covered", COVERED, ids=" ".join)
def test_every_visitor_sees_a_page_that_the_live_release_answers(covered: tuple[str, ...], tmp_path: Path) -> None:
    facts = certified(*covered)
    for settings in (given(tmp_path, Names((NEW,), (OLD,))), given(tmp_path, Names((OLD, SIDE)))):
        for live, new in product(EVERY, EVERY):
            for known, switched in (((live,), False), ((live, new), False), ((live, new), True)):
                found = hostnames.of(known, settings, facts)
                shown = {visited(found, url, switched=switched) for url in urls(found)}
                assert shown <= lets_in(new if switched else live), (known, switched)


@pytest.mark.parametrize("covered", COVERED, ids=" ".join)
def test_no_redirect_that_a_browser_remembers_leads_out_of_https_or_to_a_name_that_is_refused(
    covered: tuple[str, ...], tmp_path: Path
) -> None:
    facts = certified(*covered)
    has_https = Certificate.parse(facts.certificate)
    for live, new in product(EVERY, EVERY):
        for known in ((live,), (live, new)):
            found = hostnames.of(known, given(tmp_path, Names((NEW, OLD))), facts)
            for server in (each for each in found.servers if each.permanent):
                scheme, target = urlsplit(server.to)[:2]
                assert all(target in names.domains for names in known), "refused"
                assert scheme == "https" or not any(has_https and has_https.covers(name) for name in server.names)


def test_each_name_has_one_server_a_scheme(tmp_path: Path) -> None:
    for live, new, covered in product(EVERY, EVERY, COVERED):
        found = hostnames.of((live, new), given(tmp_path, Names((NEW, OLD))), certified(*covered))
        pairs = [(name, each.secure) for each in found.servers for name in each.names]
        pairs += [(name, False) for name in found.upgraded]
        assert len(pairs) == len(set(pairs))

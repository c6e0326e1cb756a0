"""HTTP/3: whoever wants it, Nginx and the firewall are the same for all sites of the server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import PortsideError
from deploy.core.facts import Facts, Listener
from deploy.core.paths import Site
from deploy.host import provision
from deploy.nginx import generation, http3
from deploy.nginx import site as nginx_site
from tests import sample

OLD_NGINX = "nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.19 27 Jan 2026\nconfigure arguments: --with-threads"
OTHER = {"sites/blog.conf": "1", "sites/blog.http3": "2"}


@pytest.fixture
def quick(tmp_path: Path) -> Settings:
    return sample.settings(tmp_path, DEPLOY_HTTP3="on")


def certified(settings: Settings, facts: Facts | None = None) -> Facts:
    return sample.certified(facts or sample.provisioned(), settings.canonical)


def files(settings: Settings, facts: Facts) -> dict[str, str]:
    own = nginx_site.site_file(settings, sample.SITE, sample.EDGE, facts)
    return generation.base(facts, own) | own


def listens(files: dict[str, str]) -> list[str]:
    """Each line that asks for it, after the file it is in."""
    lines = [(path, line.partition(";")[0].strip()) for path, text in files.items() for line in text.splitlines()]
    return [f"{path}: {line}" for path, line in lines if " quic" in line]


def test_the_site_has_it_and_the_catch_all_holds_the_socket(quick: Settings) -> None:
    made = files(quick, certified(quick))
    assert listens(made) == [
        "sites/00-default.conf: listen 443 quic reuseport default_server",
        "sites/00-default.conf: listen [::]:443 quic reuseport default_server",
        "sites/portfolio.conf: listen 443 quic",
        "sites/portfolio.conf: listen [::]:443 quic",
    ]
    assert made["sites/portfolio.http3"].splitlines()[-1] == """"on portfolio.localhost" 'h3=":443"; ma=86400';"""


def test_without_ipv6_it_has_one_socket(quick: Settings) -> None:
    assert len(listens(files(quick, replace(certified(quick), ipv6=False)))) == 2


def test_where_nothing_is_encrypted_or_nginx_can_not_there_is_none(quick: Settings, settings: Settings) -> None:
    for facts in (sample.provisioned(), replace(certified(quick), nginx_version=OLD_NGINX)):
        made = files(quick, facts)
        assert (listens(made), "sites/portfolio.http3" in made) == ([], False)
    assert listens(files(settings, certified(settings))) == []


def test_the_servers_files_are_the_same_whichever_site_is_deployed(quick: Settings, settings: Settings) -> None:
    facts = certified(quick)
    ours = files(quick, facts)
    alone = replace(facts, nginx_files={path: sample.digest(text) for path, text in ours.items()})
    base = {path: text for path, text in ours.items() if not path.startswith("sites/portfolio")}
    assert generation.base(alone) == base
    blog = nginx_site.site_file(settings, Site("blog"), sample.EDGE, facts)
    assert generation.base(alone, blog) == base
    shop = nginx_site.site_file(settings, Site("shop"), sample.EDGE, facts)
    assert generation.base(replace(facts, nginx_files=OTHER), shop) == base


def test_the_last_site_takes_it_with_it(quick: Settings, settings: Settings) -> None:
    facts = certified(quick)
    live = replace(facts, nginx_files={path: sample.digest(text) for path, text in files(quick, facts).items()})
    assert listens(files(settings, live)) == []
    both = replace(live, nginx_files=live.nginx_files | OTHER)
    assert len(listens(files(settings, both))) == 2


def test_a_site_that_is_taken_away_takes_it_with_it_if_it_is_the_last(quick: Settings) -> None:
    facts = certified(quick)
    live = replace(facts, nginx_files={path: sample.digest(text) for path, text in files(quick, facts).items()})
    made = generation.without(sample.SITE, live)
    assert made
    assert made.files == generation.base(sample.provisioned())
    assert listens(dict(made.files)) == []
    assert made.kept == ()
    made = generation.without(sample.SITE, replace(live, nginx_files=live.nginx_files | OTHER))
    assert made
    assert made.files == {}
    assert {"sites/00-default.conf", "sites/blog.http3"} < set(made.kept)


def test_the_firewall_is_closed_with_the_last_site_that_is_taken_away() -> None:
    facts = replace(sample.provisioned(), ufw="active", ufw_rules=(http3.OPENED,))
    (step,) = http3.firewall_without(sample.SITE, replace(facts, nginx_files={"sites/portfolio.http3": "1"}))
    assert step.words == ("script", "firewall", "what=close", "ports=443/udp")
    assert http3.firewall_without(sample.SITE, facts) == [step], "an interrupted removal goes on"
    assert http3.firewall_without(sample.SITE, replace(facts, nginx_files=OTHER)) == []
    assert http3.firewall_without(sample.SITE, replace(facts, ufw_rules=("allow 443/udp",))) == []
    assert http3.firewall_without(sample.SITE, replace(facts, ufw="inactive")) == [step], "it may be switched on again"


def test_whoever_wants_what_nginx_can_not_is_told(quick: Settings, settings: Settings) -> None:
    told = http3.unable(quick, replace(sample.provisioned(), nginx_version=OLD_NGINX))
    assert told.startswith("DEPLOY_HTTP3: this server's Nginx 1.22.1 was built without HTTP/3")
    assert http3.unable(settings, replace(sample.provisioned(), nginx_version=OLD_NGINX)) == ""
    assert http3.unable(quick, sample.provisioned()) == ""
    assert http3.unable(quick, sample.bare()) == ""


@pytest.mark.parametrize(
    ("wanted", "other", "rules", "words"),
    [
        (True, {}, (), ("open", "443/udp")),
        (True, {}, (http3.OPENED,), ()),
        (True, {}, ("allow 443/udp",), ()),
        (False, {}, (), ()),
        (False, {}, (http3.OPENED,), ("close", "443/udp")),
        (False, {}, ("allow 443/udp",), ()),
        (False, {"sites/portfolio.http3": "1"}, (http3.OPENED,), ("close", "443/udp")),
        (False, OTHER, (http3.OPENED,), ()),
        (False, OTHER, (), ("open", "443/udp")),
    ],
)
def test_the_firewall_lets_it_in_as_long_as_a_site_wants_it(
    wanted: bool, other: dict[str, str], rules: tuple[str, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    settings = sample.settings(tmp_path, DEPLOY_HTTP3="on" if wanted else "off")
    rules = ("allow 22/tcp", "allow 80/tcp", "allow 443/tcp", *rules)
    facts = replace(sample.provisioned(), nginx_files=other, ufw="active", ufw_rules=rules)
    what, *ports = words or [""]
    steps = [(step.script, step.arguments) for step in provision.rest(settings, facts)]
    assert steps == [("firewall", {"what": what, "ports": ports})] * bool(words)
    off = sample.settings(tmp_path, DEPLOY_HTTP3="on", DEPLOY_FIREWALL="off")
    assert provision.rest(off, facts) == []


def test_somebody_elses_port_is_told(quick: Settings, settings: Settings) -> None:
    facts = replace(sample.provisioned(), listeners=(Listener("udp", "0.0.0.0", 443, "openvpn"),))
    with pytest.raises(PortsideError, match="UDP port 443, which DEPLOY_HTTP3 needs, is used by openvpn"):
        provision.check(quick, facts)
    provision.check(settings, facts)
    provision.check(quick, replace(facts, listeners=(Listener("udp", "0.0.0.0", 443, "nginx"),)))


def test_our_own_port_keeps_no_firewall_from_being_switched_on(settings: Settings) -> None:
    facts = replace(sample.bare(), listeners=(Listener("udp", "0.0.0.0", 443, "nginx"),))
    provision.check(settings, facts)

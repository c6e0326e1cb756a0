"""What holds for any facts and any settings, on examples that hypothesis thinks of: the same ones at each run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from deploy.certs import acme, dns01
from deploy.config.settings import Settings
from deploy.core import server_paths
from deploy.core.errors import PortsideError
from deploy.core.facts import Facts, FileFact
from deploy.core.paths import Site
from deploy.core.steps import Step
from deploy.host import packages, provision
from deploy.nginx import generation as nginx_generation
from deploy.nginx import site as nginx_site
from deploy.nginx import templates
from deploy.nginx.routing import final
from deploy.releases import database
from tests import model, pki, renderings, sample

steady = hypothesis(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Any state of a server

PACKAGES = ("nginx", "certbot", "curl", "iptables", "logrotate", "docker.io", "docker-buildx")
OFFERED = ("brotli", templates.BROTLI_MODULE, "docker-cli")
DAEMON_JSON = ("", "{}", '{"live-restore": false}', '{"live-restore":true}', '{"log-driver": "local", "dns": []}')
RULES = ("allow 22/tcp", "allow 80/tcp", "allow 443/tcp", "allow 443/udp", "allow 443/udp comment 'Portside: HTTP/3'")
NGINX_FILES = ("nginx.conf", "snippets/gone.conf", "sites/00-default.conf", "sites/shop.conf", "sites/shop.hsts")
OTHERS = ("sites/gallery-2.conf", "sites/gallery-2.http3", "sites/shop.http3", "sites/shop.htpasswd")
SITE = Site("shop")

digests = st.sampled_from(["0" * 64, "f" * 64])
file_facts = st.builds(FileFact, st.sampled_from([0o600, 0o644, 0o755]), st.sampled_from(["0:0", "1000:33"]), digests)
certificates = st.sampled_from(
    ["", pki.issued("shop.example").chain, pki.issued("shop.example", "www.shop.example").chain]
)


def subset(values: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values))


@st.composite
def servers(draw: st.DrawFn) -> model.Model:
    """A server in whatever state somebody left it: with or without packages, files, rules, other sites."""
    packages, offered = draw(subset(PACKAGES)), draw(subset(OFFERED))
    has_nginx, engine = "nginx" in packages, "docker.io" in packages
    daemon_json, firewall = draw(st.sampled_from(DAEMON_JSON)), draw(st.sampled_from(["", "inactive", "active"]))
    own_main = {server_paths.NGINX_CONF: FileFact(0o644, "0:0", sample.digest(nginx_generation.MAIN))}
    generation = draw(st.sampled_from(["", "0123456789ab"])) if has_nginx else ""
    watched = [*provision.watched(), SITE.data_compose, f"{SITE.data_secrets}/password", SITE.acme_dns()]
    files = draw(
        st.dictionaries(st.sampled_from([path for path in watched if path != server_paths.NGINX_CONF]), file_facts)
    )
    nginx_files = draw(st.dictionaries(st.sampled_from(NGINX_FILES + OTHERS), digests)) if generation else {}
    facts = replace(
        sample.bare(),
        packages=packages | (offered & {templates.BROTLI_MODULE} if draw(st.booleans()) else frozenset()),
        nginx_version=draw(st.sampled_from([*renderings.NGINX.values()])) if has_nginx else "",
        nginx_active=has_nginx and draw(st.booleans()),
        nginx_conf="other" if generation else "distribution",
        nginx_default=draw(st.sampled_from(["", "distribution"])) if has_nginx else "",
        nginx_generation=generation,
        nginx_files=nginx_files,
        files=files | (own_main if generation else {}),
        ufw=firewall,
        ufw_rules=tuple(sorted(draw(subset(RULES)))) if firewall else (),
        ipv6=draw(st.booleans()),
        docker_version=draw(st.sampled_from(["20.10.24", "29.1.0"])) if engine else "",
        compose_version=draw(st.sampled_from(["", "1.29.2", "2.40.0"])),
        buildx_version="0.13.1" if "docker-buildx" in packages else "",
        daemon_json=daemon_json,
        live_restore=engine and draw(st.booleans()),
        certificate=draw(certificates),
        certificate_kind=draw(st.sampled_from(["issued", "own"])),
        issued=draw(certificates),
        issued_by=draw(st.sampled_from([acme.LETS_ENCRYPT, "https://acme.example/directory"])),
        issued_how=draw(st.sampled_from(["webroot", "dns-rfc2136"])),
        renewal_timer="certbot" in packages and draw(st.booleans()),
        clock=sample.CLOCK,
    )
    return model.Model(facts, offered)


chosen = st.fixed_dictionaries(
    {factor: st.sampled_from(sorted(values)) for factor, values in renderings.SETTINGS.items() if factor != "names"}
)
more = st.sampled_from(
    [
        {},
        {"DEPLOY_FIREWALL": "off"},
        {"DEPLOY_DATABASE": "none"},
        {"DEPLOY_TLS_CERT": "tls.pem", "DEPLOY_TLS_KEY": "tls.key"},
        {"DEPLOY_ACME_DNS": "rfc2136", "DEPLOY_ACME_DNS_CREDENTIALS": "dns.ini"},
        {"DEPLOY_KIND": "static"},
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("properties")
    sample.with_own_certificate(made, "shop.example")
    return made


def settings_of(folder: Path, factors: dict[str, str], other: dict[str, str]) -> Settings:
    lines = {
        name: value for factor, value in factors.items() for name, value in renderings.SETTINGS[factor][value].items()
    }
    named = renderings.SETTINGS["names"]["two"]
    if other.get("DEPLOY_KIND") == "static":
        wanted = {
            name
            for factor in renderings.OF_A_FOLDER
            for given in renderings.SETTINGS[factor].values()
            for name in given
        }
        return sample.settings(folder, {**{n: v for n, v in lines.items() if n in wanted}, **named, **other})
    return sample.settings(folder, {**sample.LINES, **lines, **named, **other})


def plans(settings: Settings, kept: list[Any]) -> list[Callable[[Facts], list[Step]]]:
    """What a deploy plans of the host, in its order: each from the facts as the one before left them."""
    edge = final(kept[0], kept[1:], settings.upstream)

    def nginx_files(facts: Facts) -> list[Step]:
        own = nginx_site.site_file(settings, SITE, edge, facts)
        return nginx_generation.steps(nginx_generation.base(facts, own) | own, facts, "the site")

    return [
        lambda facts: packages.packages(settings, facts),
        lambda facts: provision.rest(settings, facts),
        lambda facts: nginx_generation.steps(nginx_generation.base(facts), facts, "base"),
        lambda facts: dns01.refresh(settings, SITE, facts),
        lambda facts: acme.install(settings, SITE, facts),
        lambda facts: database.steps(settings, SITE, facts),
        nginx_files,
    ]


@steady
@given(server=servers(), factors=chosen, other=more, releases=st.sampled_from(sorted(renderings.RELEASES)))
def test_what_was_applied_is_not_planned_again(
    server: model.Model, factors: dict[str, str], other: dict[str, str], releases: str, folder: Path
) -> None:
    settings = settings_of(folder, factors, other)
    try:
        provision.check(settings, server.facts)
    except PortsideError:
        return  # refused: nothing is planned
    every = plans(settings, renderings.RELEASES[releases][0])
    for plan in every:
        server.apply(plan(server.facts))
    assert [step.name for plan in every for step in plan(server.facts)] == []

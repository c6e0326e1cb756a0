"""Wildcards: names proved by DNS, by certbot's own plugin and a name server that takes updates (RFC 2136)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.practice import Practice
from deploy.practice.engine import connect
from deploy.practice.internet import INTERNET

from ..kit import small
from ..kit.https import Root, get, names
from ..kit.inside import renew, shell
from ..kit.names import PREFIX
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

ZONE = f"wild-{PREFIX}.test"
NAMES = {ZONE, f"*.{ZONE}", f"*.old.{ZONE}"}
CREDENTIALS = "/etc/portside/acme-dns/wild"
CONCERNED = "readlink /etc/nginx/portside; readlink /etc/portside/certificates/wild/live; ls /etc/letsencrypt/renewal"

NAMED = f"""
key "portside" {{ algorithm hmac-sha256; secret "SECRET"; }};
zone "{ZONE}" {{
    type primary;
    file "/var/lib/bind/{ZONE}";
    update-policy {{ grant portside zonesub TXT; }};
}};
"""
RECORDS = f"""\
$TTL 60
@ IN SOA ns.{ZONE}. root.{ZONE}. 1 3600 600 86400 60
@ IN NS ns.{ZONE}.
ns IN A ADDRESS
"""
BIND = """
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update && apt-get -qq install --no-install-recommends bind9 bind9-dnsutils >/dev/null
printf '%s' "$1" >>/etc/bind/named.conf.local
printf '%s' "$2" >"/var/lib/bind/$3"
chown bind:bind "/var/lib/bind/$3"
named-checkconf && systemctl restart named
"""
SECRET = "c3BlYWsgZnJpZW5kIGFuZCBlbnRlciB0aGUgem9uZSE="
FOLDERS = "/etc /srv /root /run /tmp /var/lib/letsencrypt /var/lib/portside /var/log /var/tmp /usr/local"
OTHER_SECRET = "c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgbm90IG91cnM="


@dataclass
class Authority:
    """One that proves names by asking the name server."""

    directory: str
    root: str
    name_server: str


@pytest.fixture(scope="module")
def name_server(bring_up: Callable[..., Practice]) -> Practice:
    """A machine with BIND on it, which answers for the zone, and takes what the key's owner writes."""
    machine = bring_up("names")
    records = RECORDS.replace("ADDRESS", machine.ip)
    shell(machine, BIND, NAMED.replace("SECRET", SECRET), records, ZONE)
    until(lambda: machine.ip in shell(machine, f"dig +short @{machine.ip} ns.{ZONE}", check=False), "the name server")
    return machine


@pytest.fixture(scope="module")
def authority(server: Practice, name_server: Practice) -> Iterator[Authority]:
    """Another authority, on the server itself."""
    container = connect().containers.run(
        INTERNET.tag,
        ["pebble", "-config", "/etc/pebble/pebble.json", "-dnsserver", f"{name_server.ip}:53"],
        environment={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
        network_mode=f"container:{server.container}",
        detach=True,
    )
    try:
        until(lambda: shell(server, "curl -sk https://localhost:14000/dir", check=False), "the authority")
        root = shell(server, "curl -sk https://localhost:15000/roots/0")
        yield Authority("https://localhost:14000/dir", root, name_server.ip)
    finally:
        container.remove(force=True)


@pytest.fixture(scope="module")
def root(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Root:
    found = Root(tmp_path_factory.mktemp("root") / "root.pem")
    found.trust(authority.root)
    return found


def credentials(address: str, secret: str) -> str:
    lines = {"server": address, "port": "53", "name": "portside.", "secret": secret, "algorithm": "HMAC-SHA256"}
    return "".join(f"dns_rfc2136_{name} = {value}\n" for name, value in lines.items())


@pytest.fixture(scope="module")
def live(projects: Callable[[str], Project]) -> Project:
    """A small site, live by its plain name without HTTPS."""
    project = projects("wild")
    project.write(small.files("app"))
    project.commit("Begin")
    project.set(DEPLOY_DOMAINS=ZONE, DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", SECRET_KEY="x" * 60)
    project.deploy()
    return project


@pytest.fixture(scope="module")
def wild(live: Project, authority: Authority) -> Project:
    """The same with wildcards, proved by DNS; as yet without HTTPS."""
    live.write({"dns.ini": credentials(authority.name_server, SECRET)})
    live.set(
        DEPLOY_DOMAINS=f"{ZONE},*.{ZONE}", DEPLOY_REDIRECT_DOMAINS=f"*.old.{ZONE}", DEPLOY_ACME_DNS="rfc2136",
        DEPLOY_ACME_DNS_CREDENTIALS="dns.ini", DEPLOY_ACME_DNS_SECONDS="1", DEPLOY_ACME_SERVER=authority.directory,
        DEPLOY_ACME_CA=str(live.server.acme.ca),
    )  # fmt: skip
    live.deploy()
    return live


@pytest.fixture(scope="module")
def secure(wild: Project) -> Project:
    """The same, by HTTPS."""
    wild.fab("certs", on=wild.server, project=wild, check=True)
    return wild


def test_without_a_certificate_a_wildcard_is_served_all_the_same(wild: Project) -> None:
    assert f'"host": "any.{ZONE}"' in ask(wild.server, f"any.{ZONE}").text
    assert ask(wild.server, f"one.old.{ZONE}").headers["location"] == f"http://{ZONE}/"


def test_a_plugin_that_is_not_there_is_said(wild: Project) -> None:
    with wild.with_settings(DEPLOY_ACME_DNS="nonesuch"):
        done = wild.fab("certs", on=wild.server, project=wild)
    assert done.code == 1
    assert "The distribution has no package python3-certbot-dns-nonesuch" in done.text


def test_a_key_that_the_name_server_refuses_is_said(wild: Project, authority: Authority) -> None:
    before = shell(wild.server, CONCERNED, check=False)
    wild.write({"wrong.ini": credentials(authority.name_server, OTHER_SECRET)})
    with wild.with_settings(DEPLOY_ACME_DNS_CREDENTIALS="wrong.ini"):
        done = wild.fab("certs", "--staging", on=wild.server, project=wild)
    assert done.code == 1
    assert "certbot got no certificate" in done.err
    assert OTHER_SECRET not in done.text
    assert shell(wild.server, CONCERNED, check=False) == before
    assert shell(wild.server, "ls /etc/portside/acme-dns") == ""


def test_a_trial_leaves_no_credentials(wild: Project) -> None:
    before = shell(wild.server, CONCERNED, check=False)
    done = wild.fab("certs", "--staging", on=wild.server, project=wild, check=True)
    assert "was deleted again" in done.out
    assert shell(wild.server, CONCERNED, check=False) == before
    assert shell(wild.server, "ls /etc/portside/acme-dns") == ""


def test_a_wildcard_is_certified_and_served(secure: Project, root: Root) -> None:
    assert names(secure.server, root, ZONE) == NAMES
    for host in (ZONE, f"any.{ZONE}", f"other.{ZONE}"):
        answer = get(secure.server, root, host)
        assert (answer.status, answer.headers["strict-transport-security"]) == (200, "max-age=63072000")
        assert f'"host": "{host}"' in answer.text
        assert ask(secure.server, host, "/a").headers["location"] == f"https://{host}/a"
    answer = get(secure.server, root, f"one.old.{ZONE}", "/a?b=c")
    assert (answer.status, answer.headers["location"]) == (301, f"https://{ZONE}/a?b=c")
    assert "strict-transport-security" in answer.headers


def test_the_proof_is_taken_out_of_the_zone_again(secure: Project, name_server: Practice) -> None:
    assert shell(name_server, f"dig +short @{name_server.ip} TXT _acme-challenge.{ZONE}") == ""
    assert "_acme-challenge" in shell(name_server, "journalctl -u named")


def test_the_credentials_are_in_one_file_that_root_alone_reads(secure: Project) -> None:
    assert shell(secure.server, f"stat -c '%a %U' {CREDENTIALS}").strip() == "600 root"
    found = shell(secure.server, f'grep -rlsF -- "$1" {FOLDERS}; true', SECRET).split()
    assert found == [CREDENTIALS]
    assert SECRET not in shell(secure.server, "journalctl --no-pager")


def test_again_there_is_nothing_to_do_in_one_round_trip(secure: Project) -> None:
    done = secure.fab("certs", "--verbose", on=secure.server, project=secure, check=True)
    assert (done.stages, done.round_trips) == (["preflight"], 1)


def test_the_timer_renews_it(secure: Project, root: Root) -> None:
    conf = "/etc/letsencrypt/renewal/wild.conf"
    shell(secure.server, f"sed -i 's/^# renew_before_expiry.*/renew_before_expiry = 9000 days/' {conf}")
    before = shell(secure.server, CONCERNED)
    renew(secure.server)
    assert shell(secure.server, CONCERNED) != before
    shell(secure.server, f"sed -i '/^renew_before_expiry/d' {conf}")
    assert get(secure.server, root, f"any.{ZONE}").status == 200


def are_on_the_server(site: Project) -> bool:
    """The credentials, as they are here. Never printed: what a test reads on a server may stay there in a file."""
    here = hashlib.sha256((site.root / "dns.ini").read_bytes()).hexdigest()
    return shell(site.server, f"sha256sum {CREDENTIALS}").split()[0] == here


def test_changed_credentials_reach_the_server_without_another_certificate(secure: Project) -> None:
    before = shell(secure.server, CONCERNED)
    text = "# Since today.\n" + (secure.root / "dns.ini").read_text()
    secure.write({"dns.ini": text})
    secure.fab("certs", on=secure.server, project=secure, check=True)
    assert are_on_the_server(secure)
    assert shell(secure.server, CONCERNED) == before


def test_a_name_of_another_site_is_that_sites(secure: Project, root: Root, projects: Callable[[str], Project]) -> None:
    shop = projects("shop")
    shop.write(small.files("app"))
    shop.commit("Begin")
    shop.set(DEPLOY_DOMAINS=f"shop.{ZONE}", DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", SECRET_KEY="x" * 60)
    shop.deploy()
    release = shell(shop.server, "cat /srv/portside/shop/current/id").strip()
    assert release in ask(shop.server, f"shop.{ZONE}").text
    assert ask(shop.server, f"any.{ZONE}").status == 301
    taken = shop.with_settings(DEPLOY_DOMAINS=f"shop.{ZONE},*.{ZONE}", DEPLOY_ACME_DNS="route53")
    with taken:
        done = shop.deploy(check=False)
    assert done.code == 2
    assert f"*.{ZONE} belongs to the site wild" in done.err


def test_back_to_http_the_credentials_go(secure: Project) -> None:
    secure.server.acme.point(ZONE, secure.server.ip)
    gone = ("ACME_DNS", "ACME_DNS_CREDENTIALS", "ACME_DNS_SECONDS", "ACME_SERVER", "ACME_CA", "REDIRECT_DOMAINS")
    with secure.with_settings(DEPLOY_DOMAINS=ZONE, **{f"DEPLOY_{name}": None for name in gone}):
        secure.fab("certs", on=secure.server, project=secure, check=True)
        trusted = Root(Path(secure.root / "root.pem"))
        trusted.trust(secure.server.acme.root())
        assert names(secure.server, trusted, ZONE) == {ZONE}
        assert shell(secure.server, "ls /etc/portside/acme-dns") == ""


def test_with_the_site_its_credentials_go(secure: Project) -> None:
    secure.fab("certs", on=secure.server, project=secure, check=True)
    assert are_on_the_server(secure)
    secure.fab("remove", "--yes", on=secure.server, project=secure, check=True)
    assert shell(secure.server, "ls /etc/portside/acme-dns") == ""
    assert shell(secure.server, f'grep -rlsF -- "$1" {FOLDERS}; true', SECRET) == ""

"""Certificates: asked for, extended, renewed, refused; and HTTPS as a visitor meets it."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from deploy.practice import Practice
from deploy.practice.engine import connect
from deploy.practice.internet import INTERNET
from tests import pki

from ..kit import small
from ..kit.https import Root, get, names
from ..kit.inside import renew, shell
from ..kit.names import PREFIX
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

DOMAIN, OTHER, OLD, NEW, LOST = (f"{name}.certs-{PREFIX}.test" for name in ("www", "other", "old", "new", "lost"))
RENEW = """
REQUESTS_CA_BUNDLE=/etc/portside/acme/certs.pem certbot renew --force-renewal --no-random-sleep-on-renew 2>&1 || true
"""
CONCERNED = "readlink /etc/nginx/portside; readlink /etc/portside/certificates/certs/live; ls /etc/letsencrypt/renewal"


@pytest.fixture(scope="module")
def certs(projects: Callable[[str], Project], server: Practice) -> Project:
    """A small site with two domains and one that redirects; as yet not live."""
    project = projects("certs")
    project.write(small.files("app"))
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS=f"{DOMAIN},{OTHER}", DEPLOY_REDIRECT_DOMAINS=OLD, DEPLOY_DATABASE="none",
        DEPLOY_COLLECTSTATIC="off", SECRET_KEY="x" * 60,
    )  # fmt: skip
    for name in (DOMAIN, OTHER, OLD, NEW, LOST):
        server.acme.point(name, server.ip)
    return project


@pytest.fixture(scope="module")
def secure(certs: Project) -> Project:
    """The same, live by HTTPS."""
    if certs.fab("certs", on=certs.server, project=certs, check=True) and not certs.server.exec(
        ("sh", "-c", "readlink /srv/portside/certs/current"), check=False
    ):
        certs.deploy()
    return certs


@contextmanager
def visitors(server: Practice, root: Root, *, a_second: float = 25) -> Iterator[list[str]]:
    """As long as the block runs, visitors come by HTTPS, each over a new connection; what went wrong is listed."""
    wrong: list[str] = []
    over, pool = threading.Event(), []

    def visit() -> None:
        try:
            answer = get(server, root, DOMAIN)
            wrong.extend([str(answer.status)] if answer.status != 200 else [])
        except (OSError, http.client.HTTPException) as error:
            wrong.append(repr(error))

    def come() -> None:
        while not over.wait(1 / a_second):
            pool.append(threading.Thread(target=visit))
            pool[-1].start()

    coming = threading.Thread(target=come)
    coming.start()
    try:
        yield wrong
    finally:
        over.set()
        for visitor in (coming, *pool):
            visitor.join()
    assert len(pool) > 20


# Issued


@pytest.mark.core
def test_a_site_that_was_never_deployed_gets_its_certificate(certs: Project) -> None:
    done = certs.fab("certs", on=certs.server, project=certs, check=True)
    assert done.stages == ["preflight", "lock", "provision", "issue", "edge"]
    assert "isn't live yet" in done.out
    assert "certs.conf" not in shell(certs.server, "ls /etc/nginx/portside/sites")


@pytest.mark.core
def test_the_deploy_after_it_is_live_by_https(certs: Project, root: Root) -> None:
    done = certs.deploy()
    assert f"https://{DOMAIN}/" in done.out
    for host in (DOMAIN, OTHER):
        answer = get(certs.server, root, host)
        assert (answer.status, answer.headers["strict-transport-security"]) == (200, "max-age=63072000")
        assert f'"host": "{host}"' in answer.text


@pytest.mark.core
def test_the_rest_leads_to_it(secure: Project, root: Root) -> None:
    for host in (DOMAIN, OTHER, OLD):
        answer = ask(secure.server, host, "/a?b=c")
        assert (answer.status, answer.headers["location"]) == (301, f"https://{host}/a?b=c")
    answer = get(secure.server, root, OLD, "/a?b=c")
    assert (answer.status, answer.headers["location"]) == (301, f"https://{DOMAIN}/a?b=c")
    assert "strict-transport-security" in answer.headers
    assert ask(secure.server, DOMAIN, "/.well-known/acme-challenge/none").status == 404


@pytest.mark.core
def test_every_answer_by_https_says_so_even_nginxs_own(secure: Project, root: Root) -> None:
    for path in ("/none", "/.git/config", "/" + "x" * 40_000):
        answer = get(secure.server, root, DOMAIN, path)
        assert answer.status >= 400
        assert answer.headers["strict-transport-security"] == "max-age=63072000"


@pytest.mark.core
def test_unknown_names_are_refused(secure: Project, root: Root) -> None:
    with pytest.raises(ssl.SSLError, match=r"UNRECOGNIZED_NAME|unrecognized name"):
        get(secure.server, root, "unknown.test")
    with suppress(http.client.RemoteDisconnected):
        assert get(secure.server, root, "unknown.test", sni=DOMAIN).status == 421


@pytest.mark.parametrize(
    ("version", "good"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
def test_old_protocols_are_refused(secure: Project, version: ssl.TLSVersion, good: bool) -> None:
    option = f"-{version.name.lower().replace('v', '')}"
    asked = 'echo | openssl s_client "$1" -alpn h2 -connect 127.0.0.1:443 -servername "$2" 2>&1'
    shown = shell(secure.server, asked, option, DOMAIN, check=False)
    assert ("ALPN protocol: h2" in shown) is good


@pytest.mark.core
def test_keys_are_roots_alone(secure: Project) -> None:
    modes = shell(secure.server, "find /etc/portside/certificates -printf '%m %u %y\\n' | sort -u").split("\n")
    assert set(filter(None, modes)) == {"600 root f", "700 root d", "777 root l"}


@pytest.mark.core
def test_again_there_is_nothing_to_do_in_one_round_trip(secure: Project) -> None:
    done = secure.fab("certs", "--verbose", on=secure.server, project=secure, check=True)
    assert (done.stages, done.round_trips) == (["preflight"], 1)
    assert "nothing to do" in done.out


@pytest.mark.core
def test_a_trial_changes_nothing_a_visitor_sees(secure: Project, root: Root) -> None:
    before = shell(secure.server, CONCERNED)
    with visitors(secure.server, root) as wrong:
        secure.fab("certs", "--staging", on=secure.server, project=secure, check=True)
    assert (shell(secure.server, CONCERNED), wrong) == (before, [])


# More names, and fewer


def test_a_domain_that_comes_later_is_served_without_https_until_it_is_in_the_certificate(
    secure: Project, root: Root
) -> None:
    with secure.with_settings(DEPLOY_DOMAINS=f"{DOMAIN},{OTHER},{NEW}"):
        with visitors(secure.server, root) as wrong:
            done = secure.deploy()
            assert f"without HTTPS: {NEW}" in done.out
            assert ask(secure.server, NEW).status == 200
            assert ask(secure.server, DOMAIN).status == 301
            secure.fab("certs", on=secure.server, project=secure, check=True)
        assert wrong == []
        assert names(secure.server, root, DOMAIN) == {DOMAIN, OTHER, OLD, NEW}
        assert get(secure.server, root, NEW).status == 200
        assert ask(secure.server, NEW).status == 301


def test_a_domain_that_is_gone_is_taken_out(secure: Project, root: Root) -> None:
    with visitors(secure.server, root) as wrong:
        secure.fab("certs", on=secure.server, project=secure, check=True)
        secure.deploy()
    assert (names(secure.server, root, DOMAIN), wrong) == ({DOMAIN, OTHER, OLD}, [])


# Refused


def refused(site: Project, root: Root, *, code: int = 1, **settings: str) -> str:
    """What is said; nothing has changed then."""
    before = shell(site.server, CONCERNED)
    with site.with_settings(**settings):
        done = site.fab("certs", on=site.server, project=site)
    assert done.code == code
    assert shell(site.server, CONCERNED) == before
    assert get(site.server, root, DOMAIN).status == 200
    return done.err


@pytest.mark.core
def test_a_name_that_leads_elsewhere_is_said_before_the_authority_is_asked(secure: Project, root: Root) -> None:
    nobody = secure.server.ip.rpartition(".")[0] + ".4"
    secure.server.acme.point(LOST, nobody)
    said = refused(secure, root, DEPLOY_DOMAINS=f"{DOMAIN},{LOST},{OTHER}")
    assert f"{LOST} doesn't point to this server: {nobody}: port 80 doesn't answer there" in said
    assert "The authority wasn't asked" in said


def test_what_only_the_authority_sees_is_said_in_plain_words(secure: Project, root: Root) -> None:
    shell(secure.server, 'echo "127.0.0.1 $1" >>/etc/hosts', LOST)
    said = refused(secure, root, DEPLOY_DOMAINS=f"{DOMAIN},{LOST},{OTHER}")
    assert f"{LOST}: port 80 can't be reached from outside. It said:" in said
    assert "may be" in said or "Run fab certs" in said or "run fab certs" in said


def test_an_authority_that_is_not_there_is_said(secure: Project, root: Root) -> None:
    assert "can't be read from the server" in refused(secure, root, DEPLOY_ACME_SERVER="https://acme:14001/dir")


# Interrupted, at once, troubled


def test_killed_half_way_it_is_done_by_the_next(secure: Project, root: Root) -> None:
    with secure.with_settings(DEPLOY_DOMAINS=f"{DOMAIN},{OTHER},{NEW}"):
        going = secure.fab.start("certs", on=secure.server, project=secure)
        until(lambda: "Request a certificate" in going.out.read_text(), "certbot")
        going.process.send_signal(signal.SIGKILL)
        going.process.wait()
        secure.fab("certs", on=secure.server, project=secure, check=True)
        assert names(secure.server, root, DOMAIN) == {DOMAIN, OTHER, OLD, NEW}
        assert get(secure.server, root, DOMAIN).status == 200


def test_of_two_at_once_one_waits_for_another_time(secure: Project, root: Root) -> None:
    first = secure.fab.start("certs", on=secure.server, project=secure)
    until(lambda: "Ask for" in first.out.read_text(), "the first")
    assert secure.fab("certs", on=secure.server, project=secure).code == 3
    first.end(check=True)
    assert names(secure.server, root, DOMAIN) == {DOMAIN, OTHER, OLD}


@pytest.fixture
def troubled(server: Practice) -> Iterator[str]:
    """Another authority, on the server itself, that rejects every second nonce; its directory."""
    container = connect().containers.run(
        INTERNET.tag,
        ["pebble", "-config", "/etc/pebble/pebble.json", "-dnsserver", "challenges:8053"],
        environment={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "50"},
        network_mode=f"container:{server.container}",
        detach=True,
    )
    try:
        directory = "https://localhost:14000/dir"
        until(lambda: shell(server, 'curl -sk "$1"', directory, check=False), "the authority")
        yield directory
    finally:
        container.remove(force=True)


def test_an_authority_that_rejects_every_second_nonce_issues_all_the_same(secure: Project, troubled: str) -> None:
    with secure.with_settings(DEPLOY_ACME_SERVER=troubled, DEPLOY_ACME_CA=str(secure.server.acme.ca)):
        secure.fab("certs", on=secure.server, project=secure, check=True)
    secure.fab("certs", on=secure.server, project=secure, check=True)


# Renewed


@pytest.mark.core
def test_a_renewal_loses_nobody(secure: Project, root: Root) -> None:
    before = shell(secure.server, CONCERNED)
    with visitors(secure.server, root) as wrong:
        assert "all renewals succeeded" in shell(secure.server, RENEW)
    assert wrong == []
    assert shell(secure.server, CONCERNED) != before


def test_a_renewal_loses_nobody_who_comes_by_http_2(secure: Project) -> None:
    """One connection and many requests, a few at once: what a reload closes, the client opens again, and asks on."""
    server = secure.server
    shell(
        server,
        """
        systemd-run --quiet --collect --unit e2e-h2 -p StandardOutput=file:/run/h2.log timeout 120 \
            curl -sk --http2 --parallel --parallel-max 4 --resolve "$1:443:127.0.0.1" -o /dev/null \
            -w '%{http_version} %{http_code} %{num_connects}\n' "https://$1/?[1-200000]"
        """,
        DOMAIN,
    )
    try:
        until(lambda: shell(server, "cat /run/h2.log").count("\n") > 100, "visitors by HTTP/2")
        assert "all renewals succeeded" in shell(server, RENEW)
        so_far = shell(server, "cat /run/h2.log").count("\n")
        until(lambda: shell(server, "cat /run/h2.log").count("\n") > so_far + 100, "visitors after it")
    finally:
        shell(server, "systemctl stop e2e-h2", check=False)
    lines = shell(server, "cat /run/h2.log").splitlines()[:-4]  # those under way when it was stopped
    assert {line.rpartition(" ")[0] for line in lines} == {"2 200"}
    assert any(int(line.rpartition(" ")[2]) for line in lines[100:]), "the reload closed a connection, as it may"


def test_the_timer_trusts_the_authority_too(secure: Project) -> None:
    assert shell(secure.server, "systemctl is-active certbot.timer").strip() == "active"
    shell(
        secure.server,
        "sed -i 's/^# renew_before_expiry.*/renew_before_expiry = 9000 days/' /etc/letsencrypt/renewal/certs.conf",
    )
    before = shell(secure.server, CONCERNED)
    renew(secure.server)
    assert shell(secure.server, CONCERNED) != before
    shell(secure.server, "sed -i '/^renew_before_expiry/d' /etc/letsencrypt/renewal/certs.conf")


def test_a_renewal_while_nginx_refuses_its_files_is_in_force_later(secure: Project, root: Root) -> None:
    shell(secure.server, "echo nonsense >/etc/nginx/conf.d/broken.conf")
    try:
        assert "another reason" in shell(secure.server, RENEW)
        assert get(secure.server, root, DOMAIN).status == 200
    finally:
        shell(secure.server, "rm /etc/nginx/conf.d/broken.conf")
    shell(secure.server, "nginx -t && systemctl reload nginx")
    assert get(secure.server, root, DOMAIN).status == 200


def test_a_renewal_that_fails_leaves_the_old_certificate_and_is_seen(secure: Project, root: Root) -> None:
    server = secure.server
    seen = secure.fab("status", on=server, project=secure, check=True)
    assert "renewed by certbot.timer" in seen.out
    assert "renewal failed" not in seen.text
    settings = "/etc/letsencrypt/renewal/certs.conf"
    before = shell(server, f"{CONCERNED}; cp {settings} /run/certs.conf")
    due, nobody = "renew_before_expiry = 9000 days", "server = https://127.0.0.1:9/dir"
    shell(server, f"sed -i 's/^# renew_before_expiry.*/{due}/; s|^server = .*|{nobody}|' {settings}")
    try:
        shell(server, "systemctl start certbot.service", check=False)
        told = secure.fab("status", on=server, project=secure, check=True)
        assert "The last renewal failed (" in told.text
        assert "journalctl -u certbot.service" in told.text
        assert "The last renewal failed (" in secure.deploy().text
        assert shell(server, CONCERNED) == before
        assert get(server, root, DOMAIN).status == 200
        report = json.loads(secure.fab("status", "--json", on=server, project=secure, check=True).out)
        assert report["certificate"]["days"] > 0
        assert len(report["problems"]) == 1
    finally:
        shell(server, f"mv /run/certs.conf {settings}")
        renew(server)
    assert "renewal failed" not in secure.fab("status", on=server, project=secure, check=True).text


# One's own


def test_a_certificate_of_ones_own_is_checked_and_served(secure: Project, root: Root) -> None:
    good, other = pki.issued(DOMAIN, OTHER, OLD), pki.issued(DOMAIN, OTHER, OLD)
    expired, few = pki.issued(DOMAIN, OTHER, OLD, days=3, since=4), pki.issued(DOMAIN)
    written = {
        "good.pem": good.chain + good.root, "good.key": good.key, "other.key": other.key, "short.pem": good.leaf,
        "mixed.pem": good.leaf + good.root + good.intermediate, "expired.pem": expired.chain + expired.root,
        "expired.key": expired.key, "few.pem": few.chain + few.root, "few.key": few.key,
    }  # fmt: skip
    for name, text in written.items():
        (secure.root / name).write_text(text)
    bad = {
        ("good.pem", "other.key"): "doesn't belong to the first certificate",
        ("short.pem", "good.key"): "the chain is incomplete",
        ("mixed.pem", "good.key"): "are in the wrong order",
        ("expired.pem", "expired.key"): "expired on",
        ("few.pem", "few.key"): "doesn't cover",
        ("none.pem", "good.key"): "can't be read",
    }
    for (certificate, key), why in bad.items():
        said = refused(secure, root, code=2, DEPLOY_TLS_CERT=certificate, DEPLOY_TLS_KEY=key)
        assert why in said
    try:
        with secure.with_settings(DEPLOY_TLS_CERT="good.pem", DEPLOY_TLS_KEY="good.key"):
            secure.fab("certs", on=secure.server, project=secure, check=True)
            root.trust(good.root)
            assert get(secure.server, root, DOMAIN).status == 200
            shell(secure.server, RENEW)
            assert get(secure.server, root, DOMAIN).status == 200, "a renewal replaced it"
    finally:
        secure.fab("certs", on=secure.server, project=secure, check=True)
        root.trust(secure.server.acme.root())
    assert get(secure.server, root, DOMAIN).status == 200

"""HTTP/3, asked for by two real clients: curl, and a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from docker.errors import ContainerError
from playwright.sync_api import sync_playwright

from deploy.practice import Practice
from deploy.practice.engine import connect
from deploy.practice.internet import INTERNET

from ..conftest import BROWSER, FLAGS
from ..kit import small
from ..kit.https import Root, certificate, get
from ..kit.inside import shell
from ..kit.names import PREFIX
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

DOMAIN, OLD, OTHER = (f"{name}.quick-{PREFIX}.test" for name in ("www", "old", "other"))
ALT_SVC = 'h3=":443"; ma=86400'
VERSION = "\n%{http_version} %{http_code}\n"
BASE = "cat /etc/nginx/portside/sites/00-default.conf"


@pytest.fixture(scope="module")
def make(projects: Callable[[str], Project], server: Practice) -> Callable[..., Project]:
    """A small site, as yet not live."""

    def made(name: str, **settings: str) -> Project:
        project = projects(name)
        project.write(small.files("app"))
        project.commit("Begin")
        project.set(DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", SECRET_KEY="x" * 60, **settings)
        for host in (DOMAIN, OLD, OTHER):
            server.acme.point(host, server.ip)
        return project

    return made


@pytest.fixture(scope="module")
def quick(make: Callable[..., Project]) -> Project:
    """A site that wants HTTP/3, live without HTTPS."""
    project = make("quick", DEPLOY_DOMAINS=DOMAIN, DEPLOY_REDIRECT_DOMAINS=OLD, DEPLOY_HTTP3="on")
    project.deploy()
    return project


@pytest.fixture(scope="module")
def secure(quick: Project) -> Project:
    """The same, by HTTPS."""
    quick.fab("certs", on=quick.server, project=quick, check=True)
    return quick


@pytest.fixture(scope="module")
def other(make: Callable[..., Project], secure: Project) -> Project:
    """A site beside it that has HTTPS and doesn't want HTTP/3."""
    project = make("other", DEPLOY_DOMAINS=OTHER)
    project.deploy()
    project.fab("certs", on=project.server, project=project, check=True)
    return project


def curl(server: Practice, root: Root, *words: str) -> str:
    """What a curl that has HTTP/3 says, from beyond the server: by UDP port 443 as this machine sees it."""
    there = ("--connect-to", f"::127.0.0.1:{server.https_port}")
    said = connect().containers.run(
        INTERNET.tag,
        ["curl", "-sS", "--cacert", "/root.pem", "--max-time", "10", *there, *words],
        network_mode="host",
        volumes={str(root.path): {"bind": "/root.pem", "mode": "ro"}},
        remove=True,
    )
    return bytes(said).decode()


def by_http3(server: Practice, root: Root, host: str, path: str = "/") -> str:
    return curl(server, root, "--http3-only", "--include", "--write-out", VERSION, f"https://{host}{path}")


def refused(server: Practice, root: Root, host: str) -> bool:
    try:
        by_http3(server, root, host)
    except ContainerError:
        return True
    return False


def listening(server: Practice) -> list[str]:
    """Where Nginx listens by UDP."""
    return re.findall(r"\s(\S+:443)\s", shell(server, "ss -Hlnup"))


def rules(server: Practice) -> str:
    return shell(server, "ufw show added")


@pytest.mark.core
def test_before_there_is_a_certificate_there_is_none(quick: Project) -> None:
    assert listening(quick.server) == []
    assert "alt-svc" not in ask(quick.server, DOMAIN).headers


@pytest.mark.core
def test_with_the_certificate_it_comes(secure: Project, root: Root) -> None:
    answer = by_http3(secure.server, root, DOMAIN)
    assert answer.endswith("\n3 200\n")
    assert f'"host": "{DOMAIN}"' in answer
    assert f"alt-svc: {ALT_SVC}" in answer
    assert "strict-transport-security: max-age=63072000" in answer
    assert '"protocol":"HTTP/3.0"' in shell(secure.server, "tail -n 1 /var/log/nginx/quick.access.log")
    old = by_http3(secure.server, root, OLD, "/a?b=c")
    assert old.endswith("\n3 301\n")
    assert f"location: https://{DOMAIN}/a?b=c" in old


def test_it_comes_by_ipv6(secure: Project) -> None:
    assert "[::]:443" in listening(secure.server)
    shell(secure.server, "echo 0 >/proc/sys/net/ipv6/conf/lo/disable_ipv6")  # a container is born without
    words = ("--http3-only", "--resolve", f"{DOMAIN}:443:[::1]", "--write-out", VERSION, f"https://{DOMAIN}/")
    assert secure.server.exec(("curl", "-sSk", "--max-time", "10", *words)).endswith("\n3 200\n")


def test_whoever_comes_by_https_is_told_of_it_and_nobody_else(secure: Project, other: Project, root: Root) -> None:
    for path in ("/", "/none", "/.git/config"):
        assert get(secure.server, root, DOMAIN, path).headers["alt-svc"] == ALT_SVC
    assert "alt-svc" not in ask(secure.server, DOMAIN).headers
    assert "alt-svc" not in get(secure.server, root, OTHER).headers


def test_only_its_names_are_answered_by_it(secure: Project, other: Project, root: Root) -> None:
    assert refused(secure.server, root, OTHER)
    assert refused(secure.server, root, "unknown.test")


def test_a_browser_comes_by_it(secure: Project, root: Root, browser_path: str) -> None:
    """Browsers take HTTP/3 for an authority that all the world trusts only: this one is told that it is fine."""
    key = x509.load_der_x509_certificate(certificate(secure.server, root, DOMAIN)).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    flags = (
        f"--host-resolver-rules=MAP {DOMAIN}:443 127.0.0.1:{secure.server.https_port}",
        f"--ignore-certificate-errors-spki-list={base64.b64encode(digest).decode()}",
        f"--origin-to-force-quic-on={DOMAIN}:443",
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=[*FLAGS, *flags], timeout=BROWSER)
        page = browser.new_page()
        answer = page.goto(f"https://{DOMAIN}/")
        assert answer
        assert answer.status == 200
        assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h3"
        browser.close()


def test_a_deploy_keeps_its_connections(secure: Project, root: Root) -> None:
    words = (
        "--http3-only",
        "--rate",
        "5/s",
        "--output",
        "/dev/null",
        "--write-out",
        "%{stderr}%{http_code} %{num_connects}\n",
    )
    asking = connect().containers.run(
        INTERNET.tag,
        [
            "curl",
            "-sSk",
            "--connect-to",
            f"::127.0.0.1:{secure.server.https_port}",
            *words,
            f"https://{DOMAIN}/?[1-9999]",
        ],
        network_mode="host",
        detach=True,
    )
    try:
        until(asking.logs, "the visitor")
        secure.write({"app/note.txt": "new\n"})
        secure.commit("Once more")
        workers = shell(secure.server, "pgrep -P $(cat /run/nginx.pid)")
        assert secure.deploy().release
        assert shell(secure.server, "pgrep -P $(cat /run/nginx.pid)") == workers
        before = len(asking.logs().splitlines())
        until(lambda: len(asking.logs().splitlines()) > before + 5, "answers of the new release")
        asking.kill()
        *lines, _ = asking.logs().decode().split("\n")  # the last may be cut off
    finally:
        asking.remove(force=True)
    assert [line for line in lines if not line.startswith("200 ")] == []
    opened = [number for number, line in enumerate(lines) if line.split()[1] != "0"]
    # One connection carries a thousand requests (keepalive_requests); none ends before.
    assert all(later - earlier > 900 for earlier, later in pairwise(opened)), opened
    assert opened[0] == 0


def test_it_is_there_again_after_a_reload(secure: Project, root: Root) -> None:
    shell(secure.server, "systemctl reload nginx")
    until(lambda: not refused(secure.server, root, DOMAIN), "HTTP/3")
    until(lambda: "shutting down" not in shell(secure.server, "ps ax"), "the old workers' end")
    assert by_http3(secure.server, root, DOMAIN).endswith("\n3 200\n")


def test_the_servers_files_do_not_depend_on_who_is_deployed(secure: Project, other: Project) -> None:
    before = shell(secure.server, BASE)
    assert "443 quic reuseport" in before
    other.write({"app/note.txt": "new\n"})
    other.commit("Once more")
    other.deploy()
    assert shell(secure.server, BASE) == before
    done = other.fab("deploy", "--verbose", on=other.server, project=other, check=True)
    assert "nothing to do" in done.out


def test_it_goes_with_the_last_site_that_wants_it(secure: Project, other: Project, root: Root) -> None:
    assert "allow 443/udp comment 'Portside: HTTP/3'" in rules(secure.server)
    with other.with_settings(DEPLOY_HTTP3="on"):
        other.deploy()
        assert by_http3(other.server, root, OTHER).endswith("\n3 200\n")
        secure.set(DEPLOY_HTTP3="off")
        secure.deploy()
        assert "alt-svc" not in get(secure.server, root, DOMAIN).headers
        assert refused(secure.server, root, DOMAIN)
        assert by_http3(other.server, root, OTHER).endswith("\n3 200\n")
        assert "443/udp" in rules(secure.server)
    other.deploy()
    nothing_left(secure.server, root)


def nothing_left(server: Practice, root: Root) -> None:
    """None of it, while HTTPS goes on."""
    assert "443/udp" not in rules(server)
    until(lambda: listening(server) == [], "the old workers' end")
    for host in (DOMAIN, OTHER):
        assert refused(server, root, host)
    assert get(server, root, DOMAIN).status == 200


def test_it_goes_with_the_last_site_that_is_taken_away(secure: Project, other: Project, root: Root) -> None:
    with other.with_settings(DEPLOY_HTTP3="on"):
        other.deploy()
        assert by_http3(other.server, root, OTHER).endswith("\n3 200\n")
        other.fab("remove", "--yes", on=other.server, project=other, check=True)
    nothing_left(secure.server, root)
    done = secure.fab("deploy", "--verbose", on=secure.server, project=secure, check=True)
    assert "nothing to do" in done.out

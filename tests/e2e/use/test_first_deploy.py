"""From a bare server to a live site, and what it looks like from outside."""

from __future__ import annotations

import http.client
import re
import socket
import ssl

import pytest

from deploy.flows.flow import DEPLOY
from deploy.practice import Practice

from ..kit.inside import container, live, shell, without_the_application
from ..kit.laptop import Fab
from ..kit.names import DOMAIN
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import HANGS

pytestmark = [pytest.mark.core, pytest.mark.begins("bare")]


def test_the_server_is_bare(server: Practice) -> None:
    for program in ("nginx", "docker", "certbot", "ufw"):
        assert server.exec(("sh", "-c", f"command -v {program}"), check=False) == ""


def test_init_writes_settings_with_generated_secrets(fab: Fab, project: Project) -> None:
    fab("init", "--domains", DOMAIN, "--env", str(project.env), check=True)
    settings = project.settings()
    assert {name for name, value in settings.items() if value} == {
        "DEPLOY_DOMAINS",
        "DEPLOY_APP",
        "SECRET_KEY",
        "POSTGRES_PASSWORD",
    }
    assert len(settings["SECRET_KEY"]) >= 50
    assert len(settings["POSTGRES_PASSWORD"]) >= 24
    assert project.env.stat().st_mode & 0o077 == 0


def test_init_never_overwrites(fab: Fab, project: Project) -> None:
    before = project.env.read_bytes()
    again = fab("init", "--domains", "other.test", "--env", str(project.env))
    assert again.code == 2
    assert "already exists" in again.err
    assert project.env.read_bytes() == before


def test_one_command_makes_it_live(project: Project, server: Practice) -> None:
    done = project.deploy("--verbose")
    assert done.stages == list(DEPLOY.stages)
    assert done.release == live(server, project.name)
    last = done.out.strip().splitlines()[-4:]
    assert any(f"http://{DOMAIN}/" in line for line in last), "the address is said"
    assert any(done.release in line for line in last), "the release is said"
    assert any("fab manage createsuperuser" in line for line in last), "what to do next is said"


@pytest.mark.parametrize("path", ["/", "/about/", "/healthz", "/admin/login/", "/api/works/"])
def test_pages_answer(server: Practice, path: str) -> None:
    answer = ask(server, DOMAIN, path)
    assert answer.status == 200
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_name_the_release(server: Practice, project: Project) -> None:
    assert ask(server, DOMAIN).release == live(server, project.name)


def test_every_request_has_its_own_id(server: Practice) -> None:
    forged = {"X-Request-ID": "chosen-by-the-visitor"}
    first, second = (ask(server, DOMAIN, headers=forged).headers["x-request-id"] for _ in range(2))
    assert len({first, second, "chosen-by-the-visitor"}) == 3


def test_also_errors_have_an_id(server: Practice) -> None:
    for path in ("/no-such-page/", "/static/no-such-file.css", "/media/no-such-file.png", "/.env"):
        answer = ask(server, DOMAIN, path)
        assert answer.status == 404
        assert "x-request-id" in answer.headers


@pytest.mark.parametrize("host", ["elsewhere.test", "127.0.0.1", f"{DOMAIN}.elsewhere.test"])
def test_unknown_names_get_no_answer(server: Practice, host: str) -> None:
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(server, host)


def test_unknown_names_get_no_tls(server: Practice) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", server.https_port), HANGS) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"),
    ):
        context.wrap_socket(plain, server_hostname="elsewhere.test")


def test_a_loopback_server_says_what_is_live(server: Practice, project: Project) -> None:
    said = shell(
        server, f"curl -s http://127.0.0.1:8099/release/{project.name}; curl -s http://127.0.0.1:8099/generation"
    )
    release, generation = said.split()
    assert release == live(server, project.name)
    assert generation == shell(server, "readlink /etc/nginx/portside").strip().rpartition("/")[2]


# What can be reached


def test_nothing_but_22_80_443_listens(server: Practice) -> None:
    public = set()
    for line in shell(server, "ss -Hltnu").splitlines():
        kind, _, _, _, local = line.split()[:5]
        address, _, port = local.rpartition(":")
        if not address.startswith("127.") and address.strip("[]") != "::1" and (kind, port) != ("udp", "68"):
            public.add((kind, int(port)))
    assert public == {("tcp", 22), ("tcp", 80), ("tcp", 443)}


def test_the_firewall_is_on(server: Practice) -> None:
    status = shell(server, "ufw status")
    assert "Status: active" in status
    open_ports = set(re.findall(r"^(\S+)(?: \(v6\))? +ALLOW", status, re.MULTILINE))
    assert open_ports == {"22/tcp", "80/tcp", "443/tcp"}


def test_containers_publish_on_loopback_only(server: Practice) -> None:
    published = re.findall(r"(\S+):\d+->", shell(server, "docker ps --format '{{.Ports}}'"))
    assert published
    assert set(published) == {"127.0.0.1"}


def test_containers_cannot_be_reached_past_nginx(server: Practice, scratch: Practice, project: Project) -> None:
    """A neighbour on the same network sends its packets for the container by way of the server."""
    where = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    inspected = shell(server, f"docker inspect --format '{where}' {container(server, project.name)}")
    address = inspected.split()[0]
    scratch.exec(("ip", "route", "replace", address, "via", server.ip))
    asks = f"curl -s -o /dev/null --noproxy '*' --max-time 3 -H 'Host: {DOMAIN}' http://{address}:8000/ && echo reached"
    try:
        assert shell(scratch, asks, check=False) == ""
        rules = shell(server, "iptables -S DOCKER-USER | grep DROP").splitlines()
        for rule in rules:
            shell(server, f"iptables {rule.replace('-A', '-D', 1)}")
        assert shell(scratch, asks, check=False).strip() == "reached", (
            "the test's own way there is open without the rule"
        )
    finally:
        shell(server, "systemctl restart portside-guard")
        scratch.exec(("ip", "route", "del", address))


# What Nginx serves by itself


@pytest.fixture(scope="module")
def stylesheet(server: Practice) -> str:
    """The hashed address of the page's style sheet."""
    found = re.search(r'href="(/static/site\.[0-9a-f]{12}\.css)"', ask(server, DOMAIN).text)
    assert found, "the page has no hashed style sheet"
    return found.group(1)


def test_hashed_files_are_kept_for_ever(server: Practice, stylesheet: str) -> None:
    answer = ask(server, DOMAIN, stylesheet)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_other_files_are_kept_for_an_hour(server: Practice) -> None:
    answer = ask(server, DOMAIN, "/static/site.css")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "public, max-age=3600"


def test_files_come_compressed(server: Practice, stylesheet: str) -> None:
    plain = ask(server, DOMAIN, stylesheet)
    small = ask(server, DOMAIN, stylesheet, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert len(small.body) < len(plain.body) / 2


def test_pages_come_compressed(server: Practice) -> None:
    assert ask(server, DOMAIN, headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/.env", "/.git/config", "/static/.hidden", "/media/.hidden", "/static/a/.b/c"])
def test_hidden_files_are_nobodys_business(server: Practice, project: Project, path: str) -> None:
    folder = f"/srv/portside/{project.name}"
    shell(server, f"cd {folder} && mkdir -p current/static/a/.b && touch current/static/a/.b/c")
    shell(server, f"cd {folder} && touch current/static/.hidden media/.hidden")
    try:
        assert ask(server, DOMAIN, path).status == 404
    finally:
        shell(server, f"cd {folder} && rm -rf current/static/.hidden current/static/a media/.hidden")


def test_an_upload_runs_nothing(server: Practice, project: Project) -> None:
    media = f"/srv/portside/{project.name}/media"
    shell(server, f"echo '<script>alert(1)</script>' >{media}/page.html && chmod 644 {media}/page.html")
    try:
        answer = ask(server, DOMAIN, "/media/page.html")
    finally:
        shell(server, f"rm {media}/page.html")
    assert answer.status == 200
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_media_leads_nowhere_else(server: Practice, project: Project) -> None:
    media = f"/srv/portside/{project.name}/media"
    shell(server, f"ln -s /etc/passwd {media}/link")
    try:
        assert ask(server, DOMAIN, "/media/link").status in {403, 404}
    finally:
        shell(server, f"rm {media}/link")


def test_files_are_served_without_the_application(server: Practice, project: Project, stylesheet: str) -> None:
    media = f"/srv/portside/{project.name}/media"
    shell(server, f"echo hello >{media}/note.txt && chmod 644 {media}/note.txt")
    try:
        with without_the_application(server, project.name):
            for path in (stylesheet, "/media/note.txt"):
                answer = ask(server, DOMAIN, path)
                assert (answer.status, answer.headers["server"]) == (200, "nginx")
            assert ask(server, DOMAIN).status == 502
    finally:
        shell(server, f"rm {media}/note.txt")
    assert ask(server, DOMAIN).status == 200

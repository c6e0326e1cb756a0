"""What Nginx is there for, each role a setting: watched at work by visitors from several addresses."""

from __future__ import annotations

import gzip
import http.client
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import live, shell, without_the_application
from ..kit.laptop import Done
from ..kit.project import Project
from ..kit.visitors import Answer, ask
from ..kit.waiting import until

DOMAIN, OTHER = "roles.test", "www.roles.test"
ANN, BOB, PROXY = "192.0.2.10", "192.0.2.20", "192.0.2.30"  # visitors' addresses, on the server itself
STYLE = "p { color: black }\n" * 200
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "run"</script></svg>\n'

URLS = """\
import os
from django.http import HttpResponse, JsonResponse
from django.urls import path

def count(request):
    with open("/data/asked", "ab") as asked:
        asked.write(b".")
        return asked.tell()

def hello(request):
    names = ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_X_REQUEST_ID", "REMOTE_USER")
    return JsonResponse({"asked": count(request)} | {name: request.META.get(name) for name in names})

def greets(request):
    answer = hello(request)
    answer.set_cookie("sessionid", "1")
    return answer

def private(request, name):
    return HttpResponse(headers={"X-Accel-Redirect": f"/_private/data/{name}", "Content-Type": "text/plain"})

def broken(request):
    return HttpResponse("the application's own words", status=int(request.GET["status"]))

urlpatterns = [
    path("", hello), path("healthz", hello), path("greets", greets), path("broken", broken),
    path("private/<path:name>", private),
]
"""


@pytest.fixture(scope="module")
def roles(projects: Callable[[str], Project]) -> Project:
    """A small site with static files, uploads and a volume, live; and three visitors on the server."""
    project = projects("roles")
    project.write(small.files("app", "INSTALLED_APPS = []\n" + small.STATIC))
    project.write({"app/hello/urls.py": URLS, "app/files/style.css": STYLE})
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS=f"{DOMAIN},{OTHER}", DEPLOY_DATABASE="none", DEPLOY_VOLUMES="data:/data", SECRET_KEY="x" * 60,
        DEPLOY_HEALTH_PATH="/healthz", DEPLOY_WORKERS="1",
    )  # fmt: skip
    project.deploy()
    shell(project.server, f"for ip in {ANN} {BOB} {PROXY}; do ip address add $ip/32 dev lo; done")
    site = "/srv/portside/roles"
    shell(project.server, f"echo 0123456789 >{site}/volumes/data/letter.txt; echo 0123456789 >{site}/media/tune.ogg")
    shell(project.server, f"printf %s '{DRAWING}' >{site}/media/drawing.svg; chmod 644 {site}/*/*.svg {site}/*/*/*.txt")
    return project


def visit(server: Practice, path: str = "/", *words: str, by: str = ANN, host: str = DOMAIN) -> Answer:
    """Ask from another address than the server's own. ``words``: more of curl's."""
    script = (
        'ip=$1; shift; own=$(hostname -I | cut -d" " -f1); curl -s --http1.1 --path-as-is --max-time 20 '
        '-D /dev/stderr --interface "$ip" --connect-to "::$own:" "$@" 2>&1 || true'
    )
    said = shell(server, script, by, "-o", "/tmp/visit", *words, f"http://{host}{path}")
    heads = [head for head in said.replace("\r", "").split("\n\n") if head.startswith("HTTP/")]
    if not heads:
        return Answer(0, {}, b"")
    first, *lines = heads[-1].splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = shell(server, "base64 -w0 /tmp/visit; rm -f /tmp/visit")
    return Answer(int(first.split()[1]), headers, b64decode(body))


def statuses(server: Practice, times: int, path: str = "/", *words: str, by: str = ANN) -> list[int]:
    """The statuses of so many questions in a row."""
    script = (
        'ip=$1 times=$2 url=$3; shift 3; own=$(hostname -I | cut -d" " -f1); for _ in $(seq "$times"); do '
        'curl -s -o /dev/null -w "%{http_code}\\n" --interface "$ip" --connect-to "::$own:" "$@" "$url"; done'
    )
    return [int(line) for line in shell(server, script, by, str(times), f"http://{DOMAIN}{path}", *words).split()]


def on_the_server(server: Practice, path: str = "/") -> int:
    """The status of a question from the server itself."""
    script = 'curl -s -o /dev/null -w "%{http_code}" --connect-to "::127.0.0.1:" "$1"'
    return int(shell(server, script, f"http://{DOMAIN}{path}"))


@contextmanager
def with_role(site: Project, **values: str) -> Iterator[Done]:
    """The site with these settings, which make no other release; taken back afterwards."""
    before = live(site.server, site.name)
    with site.with_settings(**values):
        done = site.deploy()
        assert live(site.server, site.name) == before
        assert "Nginx has new settings" in done.out
        yield done
    site.deploy("--drop", "BASIC_AUTH,ALLOW")


def said(answer: Answer) -> dict[str, object]:
    assert answer.status == 200
    found: dict[str, object] = json.loads(answer.text)
    return found


def password(pair: str) -> tuple[str, str]:
    return ("-H", f"Authorization: Basic {b64encode(pair.encode()).decode()}")


@pytest.mark.core
def test_a_password_is_asked_for(roles: Project) -> None:
    server = roles.server
    with with_role(roles, DEPLOY_BASIC_AUTH='"ann:correct horse,bob:p@ss:w"') as done:
        assert "correct horse" not in done.text
        answer = visit(server)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="Restricted"')
        assert visit(server, "/files/style.css").status == 401
        assert visit(server, "/", *password("ann:correct horse")).status == 200
        assert visit(server, "/", *password("bob:p@ss:w")).status == 200
        assert visit(server, "/", *password("ann:wrong horse")).status == 401
        assert visit(server, "/", *password("bob:correct horse")).status == 401
        assert visit(server, "/healthz").status == 200
        assert visit(server, "/.well-known/acme-challenge/none").status == 404
        assert on_the_server(server) == 200
        path = "/etc/nginx/portside/sites/roles.htpasswd"
        assert shell(server, f"stat -Lc '%a %U:%G' {path}").strip() == "640 root:www-data"
        assert "ann:$2b$" in shell(server, f"cat {path}")
        assert not shell(server, "grep -rl 'correct horse' /etc /srv/portside /run /var/log", check=False)
        with roles.with_settings(DEPLOY_BASIC_AUTH="ann:another"):
            roles.deploy()
            assert visit(server, "/", *password("ann:correct horse")).status == 401
            assert visit(server, "/", *password("ann:another")).status == 200
    assert visit(server).status == 200
    assert not shell(server, "ls /etc/nginx/portside/sites/*.htpasswd", check=False)


@pytest.mark.core
def test_addresses_are_let_in_and_kept_out(roles: Project) -> None:
    server = roles.server
    with with_role(roles, DEPLOY_ALLOW="192.0.2.0/28"):
        assert [visit(server, by=by).status for by in (ANN, BOB)] == [200, 403]
        assert visit(server, "/files/style.css", by=BOB).status == 403
        assert visit(server, "/healthz", by=BOB).status == 200
        assert visit(server, "/.well-known/acme-challenge/none", by=BOB).status == 404
        assert on_the_server(server) == 200
    with with_role(roles, DEPLOY_DENY=f"{ANN},2001:db8::/32"):
        assert [visit(server, by=by).status for by in (ANN, BOB)] == [403, 200]
    with with_role(roles, DEPLOY_ALLOW="192.0.2.0/24", DEPLOY_DENY=BOB):
        assert [visit(server, by=by).status for by in (ANN, BOB, PROXY)] == [200, 403, 200]


@pytest.mark.core
def test_who_asks_too_often_waits(roles: Project) -> None:
    server = roles.server
    with with_role(roles, DEPLOY_RATE_LIMIT="6r/m"):
        found = statuses(server, 20)
        assert set(found) == {200, 429}
        assert found[:7] == [200] * 7, "as many as a minute has may come at once"
        assert statuses(server, 10, by=BOB)[0] == 200, "another visitor isn't counted with the first"
        assert set(statuses(server, 20, "/files/style.css")) == {200}
        assert set(statuses(server, 20, "/healthz")) == {200}
        assert [on_the_server(server) for _ in range(12)] == [200] * 12
    assert set(statuses(server, 30)) == {200}


@pytest.mark.core
def test_answers_are_kept_for_who_is_nobody_in_particular(roles: Project) -> None:
    server = roles.server
    with with_role(roles, DEPLOY_CACHE="1h"):
        first, again = visit(server), visit(server, by=BOB)
        assert (first.headers["x-cache-status"], again.headers["x-cache-status"]) == ("MISS", "HIT")
        assert said(first)["asked"] == said(again)["asked"]
        assert first.headers["x-request-id"] != again.headers["x-request-id"]
        for words in (("-H", "Cookie: sessionid=1"), password("ann:x"), ("-X", "POST")):
            other = visit(server, "/", *words)
            assert said(other)["asked"] != said(first)["asked"]
        assert said(visit(server))["asked"] == said(first)["asked"], "who is somebody leaves nothing behind"
        greeted = [said(visit(server, "/greets"))["asked"] for _ in range(2)]
        assert greeted[0] != greeted[1], "an answer that sets a cookie is for one visitor"
        assert visit(server, "/?other=1").headers["x-cache-status"] == "MISS"
        assert visit(server, host=OTHER).headers["x-cache-status"] == "MISS"
    assert "x-cache-status" not in visit(server).headers


def test_an_old_answer_is_better_than_none(roles: Project) -> None:
    server = roles.server
    with with_role(roles, DEPLOY_CACHE="1s"):
        visit(server, "/?page=1")
        with without_the_application(server, roles.name):
            until(lambda: visit(server, "/?page=1").headers["x-cache-status"] == "STALE", "the answer to be old")
            assert visit(server, "/?page=1").status == 200
            assert visit(server, "/?page=2").status == 502


@pytest.mark.core
def test_only_a_trusted_proxy_says_who_the_visitor_is(roles: Project) -> None:
    server = roles.server
    claim = ("-H", "X-Forwarded-For: 203.0.113.7", "-H", "X-Real-IP: 203.0.113.8")
    assert said(visit(server, "/", *claim, by=PROXY))["HTTP_X_FORWARDED_FOR"] == PROXY
    with with_role(roles, DEPLOY_REAL_IP=f"{PROXY},198.51.100.0/24", DEPLOY_DENY="203.0.113.7"):
        assert visit(server, "/", *claim, by=PROXY).status == 403, "it is the visitor who is kept out"
        assert said(visit(server, "/", *claim, by=ANN))["HTTP_X_REAL_IP"] == ANN
        chain = ("-H", "X-Forwarded-For: 127.0.0.1, 203.0.113.9, 198.51.100.4")
        assert said(visit(server, "/", *chain, by=PROXY))["HTTP_X_FORWARDED_FOR"] == "203.0.113.9"


def test_crawlers_get_no_answer(roles: Project) -> None:
    server = roles.server
    with with_role(roles, DEPLOY_BLOCK_AGENTS='"GPTBot,Some Bot"'):
        agents = ("Mozilla/5.0 (compatible; gptbot/1.2)", "Some Bot", "GPTBotanist", "Awesome Bot", "curl/8")
        assert [visit(server, "/", "-A", agent).status for agent in agents] == [0, 0, 200, 200, 200]
    assert visit(server, "/", "-A", "GPTBot").status == 200


def test_lines_of_ones_own(roles: Project) -> None:
    server = roles.server
    (roles.root / "own.conf").write_text('location = /teapot {\n    return 418 "short and stout";\n}\n')
    with with_role(roles, DEPLOY_NGINX_INCLUDE="own.conf"):
        assert visit(server, "/teapot").status == 418
        assert visit(server).status == 200
    assert visit(server, "/teapot").status == 404


def test_a_line_that_nginx_refuses_changes_nothing(roles: Project) -> None:
    before = shell(roles.server, "readlink /etc/nginx/portside; ls /etc/nginx/portside.d")
    (roles.root / "own.conf").write_text("no_such_directive on;\n")
    with roles.with_settings(DEPLOY_NGINX_INCLUDE="own.conf"):
        done = roles.deploy(check=False)
    assert done.code == 1
    assert 'unknown directive "no_such_directive"' in done.err
    assert "sites/roles.include:1" in done.err
    assert shell(roles.server, "readlink /etc/nginx/portside; ls /etc/nginx/portside.d") == before
    assert visit(roles.server).status == 200


@pytest.mark.core
def test_the_site_is_closed_for_a_while(roles: Project) -> None:
    server, fab = roles.server, roles.fab
    done = fab("maintenance", "--allow", ANN, on=server, project=roles, check=True)
    assert f"fab maintenance --off -H {server.name}" in done.out
    closed = visit(server, by=BOB)
    assert (closed.status, closed.headers["retry-after"], closed.headers["cache-control"]) == (503, "600", "no-store")
    assert "Closed for a moment" in closed.text
    assert visit(server, "/files/style.css", by=BOB).status == 503
    assert visit(server, "/_portside/down.html", by=BOB).status == 404, "its pages are nobody's to ask for"
    assert visit(server, "/", "-X", "POST", by=BOB).status == 503
    assert visit(server, "/healthz", by=BOB).status == 200
    assert visit(server, "/.well-known/acme-challenge/none", by=BOB).status == 404
    assert visit(server, by=ANN).status == 200
    assert "nothing to do" in fab("maintenance", "--allow", ANN, on=server, project=roles, check=True).out
    roles.write({"app/note.txt": "while it is closed\n"})
    roles.commit("While it is closed")
    assert "The site is closed for visitors" in roles.deploy().text
    assert (visit(server, by=ANN).status, visit(server, by=BOB).status) == (200, 503)
    fab("maintenance", on=server, project=roles, check=True)
    assert visit(server, by=ANN).status == 503, "who was let in isn't any more"
    fab("maintenance", "--off", on=server, project=roles, check=True)
    assert visit(server, by=BOB).status == 200
    assert "nothing to do" in fab("maintenance", "--off", on=server, project=roles, check=True).out


def test_a_page_says_that_the_application_is_down(roles: Project) -> None:
    server = roles.server
    own = visit(server, "/broken?status=502")
    assert (own.status, own.text) == (502, "the application's own words")
    assert visit(server, "/broken?status=503").text == "the application's own words"
    with without_the_application(server, roles.name):
        down = visit(server)
        assert (down.status, down.headers["retry-after"]) == (502, "30")
        assert "We’ll be right back" in down.text
        assert "x-request-id" in down.headers
        assert visit(server, "/files/style.css").status == 200


def test_files_that_only_the_application_gives_out(roles: Project) -> None:
    server = roles.server
    assert visit(server, "/_private/data/letter.txt").status == 404
    sent = visit(server, "/private/letter.txt")
    assert (sent.status, sent.text) == (200, "0123456789\n")
    assert "sandbox" in sent.headers["content-security-policy"]
    assert "x-accel-redirect" not in sent.headers
    part = visit(server, "/private/letter.txt", "-H", "Range: bytes=2-4")
    assert (part.status, part.text) == (206, "234")
    assert visit(server, "/private/../../current/env").status == 400
    assert visit(server, "/private/none.txt").status == 404


def test_uploads_come_in_parts_and_run_nothing(roles: Project) -> None:
    server = roles.server
    part = visit(server, "/uploads/tune.ogg", "-H", "Range: bytes=-3")
    assert (part.status, part.text, part.headers["content-range"]) == (206, "89\n", "bytes 8-10/11")
    drawing = visit(server, "/uploads/drawing.svg")
    assert drawing.headers["content-security-policy"].startswith("default-src 'none'")
    assert "sandbox" in drawing.headers["content-security-policy"]
    assert drawing.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("accepted", "sent"),
    [("br, gzip", "br"), ("gzip, br", "br"), ("gzip", "gzip"), ("identity", None), ("br;q=0, gzip", "gzip")],
)
def test_static_files_are_compressed_before(roles: Project, accepted: str, sent: str | None) -> None:
    answer = visit(roles.server, "/files/style.css", "-H", f"Accept-Encoding: {accepted}")
    assert (answer.status, answer.headers.get("content-encoding")) == (200, sent)
    assert "Accept-Encoding" in answer.headers["vary"]
    if sent == "gzip":
        assert gzip.decompress(answer.body).decode() == STYLE
    elif sent is None:
        assert answer.text == STYLE
    if sent:
        assert len(answer.body) < len(STYLE) / 10


def test_a_compressed_file_is_made_once(roles: Project) -> None:
    links = "cd /srv/portside/roles/releases && find . -name 'style.css.*' -printf '%f %n\\n' | sort -u"
    roles.write({"app/note.txt": "once more\n"})
    roles.commit("Once more")
    roles.deploy()
    kinds = {line.split()[0]: int(line.split()[1]) for line in shell(roles.server, links).splitlines()}
    assert set(kinds) == {"style.css.br", "style.css.gz"}
    assert min(kinds.values()) > 1


def test_an_upload_that_is_too_large_is_refused(roles: Project) -> None:
    with with_role(roles, DEPLOY_MAX_BODY="1k"):
        answers = [visit(roles.server, "/", "--data-binary", "x" * size).status for size in (1000, 2000)]
    assert answers == [200, 413]


def test_each_request_is_a_line_of_json(roles: Project) -> None:
    answer = visit(roles.server, '/?q="\\', "-A", 'an "agent"')
    identity = said(answer)["HTTP_X_REQUEST_ID"]
    assert identity == answer.headers["x-request-id"]
    (line,) = shell(roles.server, f"grep -F '{identity}' /var/log/nginx/roles.access.log").splitlines()
    entry = json.loads(line)
    assert (entry["address"], entry["host"], entry["status"], entry["agent"]) == (ANN, DOMAIN, 200, 'an "agent"')
    assert float(entry["upstream_seconds"]) <= float(entry["seconds"]) + 0.01
    assert (entry["upstream_status"], entry["cache"]) == ("200", "")


def test_how_busy_nginx_is_only_the_server_is_told(roles: Project) -> None:
    server = roles.server
    assert "Active connections" in shell(server, "curl -s http://127.0.0.1:8099/status")
    assert shell(server, 'curl -s --max-time 5 "http://$(hostname -I | cut -d" " -f1):8099/status"', check=False) == ""
    with pytest.raises(http.client.HTTPException):
        ask(server, "127.0.0.1", "/status")


def test_again_there_is_nothing_to_do(roles: Project) -> None:
    assert "nothing to do" in roles.deploy("--verbose").out

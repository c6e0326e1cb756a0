"""How Nginx and the application speak: ASGI with websockets and events, uwsgi; and the switch from one to another."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as asyncio_connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests import pki

from ..kit import small
from ..kit.inside import container, live, shell
from ..kit.laptop import Running
from ..kit.project import Project
from ..kit.visitors import ask, visitors
from ..kit.waiting import HANGS, until

DOMAIN = "protocols.test"

STATIC = f"INSTALLED_APPS = []\n{small.STATIC}"
ASGI_SETTINGS = """\
ASGI_APPLICATION = "hello.asgi.application"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
"""

URLS = """\
import asyncio, os, time
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path, re_path

def hello(request):
    return JsonResponse({"release": os.environ["DEPLOY_RELEASE"], "kind": type(request).__name__})

def seen(request):
    meta = {name: value for name, value in request.META.items() if isinstance(value, str) and name not in os.environ}
    return JsonResponse({"meta": meta, "body": request.body.decode(), "scheme": request.scheme})

def note(request):
    with open("/data/notes", "a") as notes:
        notes.write(request.body.decode() + "\\n")
    time.sleep(0.2)
    return HttpResponse("noted")

def cached(request):
    return HttpResponse(str(time.monotonic_ns()), headers={"Cache-Control": "max-age=60"})

def private(request):
    return HttpResponse(headers={"X-Accel-Redirect": "/_private/shared/secret.txt"})

def events(request):
    def told():
        yield "data: first\\n\\n"
        while not os.path.exists("/data/go-on"):
            time.sleep(0.05)
        yield "data: second\\n\\n"
    async def told_later():
        yield "data: first\\n\\n"
        while not os.path.exists("/data/go-on"):
            await asyncio.sleep(0.05)
        yield "data: second\\n\\n"
    events = told_later() if "ASGI" in type(request).__name__ else told()
    return StreamingHttpResponse(events, content_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

urlpatterns = [
    path("", hello), path("healthz", hello), path("note", note), path("cached", cached), path("private", private),
    path("events", events), re_path("^seen", seen),
]
"""

ASGI = """\
import json, os
from django.core.asgi import get_asgi_application

django = get_asgi_application()

async def application(scope, receive, send):
    if scope["type"] != "websocket":
        return await django(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    told = {name.decode(): value.decode() for name, value in scope["headers"]}
    while (message := await receive())["type"] == "websocket.receive":
        said = {"echo": message["text"], "release": os.environ["DEPLOY_RELEASE"], "headers": told}
        await send({"type": "websocket.send", "text": json.dumps(said)})
"""


@pytest.fixture(scope="module")
def site(projects: Callable[[str], Project]) -> Project:
    """A small site that can be served in every way, live by HTTP and WSGI."""
    project = projects("protocols")
    files = small.files("app", STATIC + ASGI_SETTINGS) | {"app/hello/urls.py": URLS, "app/hello/asgi.py": ASGI}
    project.write(files | {"app/files/site.css": "p {}\n"})
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS=DOMAIN, DEPLOY_DATABASE="none", DEPLOY_HEALTH_PATH="/healthz", DEPLOY_VOLUMES="shared:/data",
        DEPLOY_WORKERS="2", SECRET_KEY="x" * 60,
    )  # fmt: skip
    project.deploy()
    return project


@contextmanager
def nothing_lost(site: Project, *paths: str) -> Iterator[None]:
    """Visitors come to these paths all the while, each over a new connection."""
    with ExitStack() as stack:
        seen = [stack.enter_context(visitors(site.server, DOMAIN, path, a_second=10)) for path in paths]
        yield
    for visited in seen:
        assert visited.lost == []
        assert visited.answered > 5


def deploy(site: Project, **settings: str | None) -> str:
    """The site with these settings from now on, and nobody lost on the way; the release that is live then."""
    site.set(**settings)
    with nothing_lost(site, "/"):
        site.deploy()
    return live(site.server, "protocols")


def go_back(site: Project, *words: str) -> str:
    site.fab("rollback", *words, on=site.server, project=site, check=True)
    return live(site.server, "protocols")


def kind(site: Project) -> str:
    """The class of the requests that Django sees."""
    return str(json.loads(ask(site.server, DOMAIN).text)["kind"])


@contextmanager
def volume(site: Project, name: str, text: str = "") -> Iterator[None]:
    """A file in the folder that all releases share."""
    path = f"/srv/portside/protocols/volumes/shared/{name}"
    shell(site.server, 'printf %s "$2" >"$1"', path, text)
    try:
        yield
    finally:
        site.server.exec(("rm", path))


def site_file(site: Project) -> str:
    return shell(site.server, "cat /etc/nginx/portside/sites/protocols.conf")


# Websockets


@contextmanager
def websocket(site: Project, **headers: str) -> Iterator[ClientConnection]:
    """A websocket to the site, as a browser opens one."""
    with connect(
        f"ws://{DOMAIN}/chat", sock=socket.create_connection(("127.0.0.1", site.server.http_port), HANGS),
        additional_headers=headers, compression=None, proxy=None, ping_interval=None,
    ) as opened:  # fmt: skip
        yield opened


async def said_encrypted(site: Project) -> dict[str, object]:
    """What the application says by HTTPS. Without threads: of two at one TLS connection a request is lost now and then
    (Python before 3.13)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with asyncio_connect(
        f"wss://{DOMAIN}/chat", host="127.0.0.1", port=site.server.https_port, ssl=context, server_hostname=DOMAIN,
        compression=None, proxy=None, ping_interval=None, open_timeout=HANGS,
    ) as opened:  # fmt: skip
        await opened.send("hello")
        answer: dict[str, object] = json.loads(await asyncio.wait_for(opened.recv(), HANGS))
    return answer


def said(opened: ClientConnection, text: str = "hello") -> dict[str, object]:
    """What the application says when it is sent this."""
    opened.send(text)
    answer: dict[str, object] = json.loads(opened.recv(timeout=HANGS))
    assert answer["echo"] == text
    return answer


def deploying(site: Project) -> Running:
    return site.fab.start("deploy", on=site.server, project=site)


@pytest.mark.core
def test_a_site_goes_from_wsgi_to_asgi_and_nobody_is_lost(site: Project) -> None:
    assert kind(site) == "WSGIRequest"
    deploy(site, DEPLOY_WORKER_CLASS="asgi", DEPLOY_DRAIN="120")
    assert kind(site) == "ASGIRequest"
    log = site.server.exec(("docker", "logs", container(site.server, "protocols")))
    assert "WARNING" not in log, "Gunicorn has nothing to say against its settings"


@pytest.mark.core
def test_a_websocket_speaks_through_nginx_and_is_told_the_truth(site: Project) -> None:
    forged = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.6", "Forwarded": "for=192.0.2.6"}
    with websocket(site, **forged) as opened:
        headers = said(opened)["headers"]
    assert isinstance(headers, dict)
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-for"] not in {"192.0.2.6", ""}
    assert "forwarded" not in headers
    assert headers["host"] == DOMAIN


def test_a_websocket_may_be_silent_for_longer_than_a_request_may_take(site: Project) -> None:
    everywhere = shell(site.server, "cat /etc/nginx/portside/snippets/upstream-timeouts.conf")
    assert "proxy_read_timeout 35s;" in everywhere
    location = re.search(r"\n    location / {.*?\n    }", site_file(site), re.DOTALL)
    assert location
    assert {"proxy_read_timeout 1h;", "proxy_send_timeout 1h;"} <= set(re.findall(r"proxy_\w+ 1h;", location.group()))


def events_as_they_come(site: Project) -> None:
    """The first event arrives before there is a second."""
    with socket.create_connection(("127.0.0.1", site.server.http_port), HANGS) as opened:
        opened.sendall(f"GET /events HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode())
        with opened.makefile("rb") as answer:
            until(lambda: answer.readline() == b"data: first\n", "the first event")
            with volume(site, "go-on"):
                until(lambda: answer.readline() == b"data: second\n", "the second event")


def test_events_arrive_while_the_answer_goes_on(site: Project) -> None:
    events_as_they_come(site)


def test_an_open_websocket_stays_with_the_old_release_until_it_ends(site: Project) -> None:
    old = live(site.server, "protocols")
    with websocket(site) as opened:
        assert said(opened)["release"] == old
        site.write({"app/note.txt": "1\n"})
        site.commit("Another release")
        with nothing_lost(site, "/"):
            run = deploying(site)
            until(lambda: live(site.server, "protocols") != old, "the switch", 200)
            assert said(opened)["release"] == old
            with websocket(site) as newer:
                assert said(newer)["release"] == live(site.server, "protocols")
            assert run.process.poll() is None, "the deploy waits for it"
            assert said(opened)["release"] == old
            opened.close()
            done = run.end(check=True)
    assert "cut" not in done.out
    assert f"{old} is stopped and kept" in done.out


def test_what_is_open_beyond_the_limit_is_cut_and_told(site: Project) -> None:
    old = live(site.server, "protocols")
    with websocket(site) as one, websocket(site) as two, site.with_settings(DEPLOY_DRAIN="1"):
        assert [said(opened)["release"] for opened in (one, two)] == [old, old]
        site.write({"app/note.txt": "2\n"})
        site.commit("Another release")
        with nothing_lost(site, "/"):
            done = site.deploy()
        for opened in (one, two):
            with pytest.raises(ConnectionClosed):
                opened.recv(timeout=HANGS)
    assert "! After 1 s 2 connections to the old release were cut." in done.out
    with websocket(site) as opened:
        assert said(opened)["release"] == live(site.server, "protocols")


def test_uvicorn_serves_asgi_where_the_image_has_it(site: Project) -> None:
    packages = {"DEPLOY_WORKER_CLASS": "uvicorn_worker.UvicornWorker", "DEPLOY_PIP": "uvicorn-worker,websockets"}
    release = deploy(site, **packages)
    assert kind(site) == "ASGIRequest"
    with websocket(site) as opened:
        assert said(opened)["release"] == release
    deploy(site, DEPLOY_WORKER_CLASS=None, DEPLOY_PIP=None)
    assert kind(site) == "WSGIRequest"


# uwsgi

HOSTILE = (
    "X-Forwarded-For: 192.0.2.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test", "X-Forwarded-Port: 1",
    "X-Forwarded-Ssl: on", "X-Forwarded-Protocol: ssl", "Forwarded: for=192.0.2.6", "Proxy: http://evil.test",
    "X-Real-IP: 192.0.2.6", "X-Request-ID: chosen-by-a-client", "X_Forwarded_Proto: https", "Script_Name: /seen",
    "TE: trailers", "Keep-Alive: 5", "Content-Type: text/odd", "Cookie: a=1",
)  # fmt: skip
PATHS = (
    "/seen?a=1&b=%20%26", "/seen/%2525", "/seen/a%2Fb", "/seen//a", "/seen/%C3%BC", "/seen/a/../b", "/seen/a%3Fb?c=%3F",
    "/seen/a;b", "/seen#part", "/seen/a+b%20c", f"/seen/{'x' * 7000}", f"http://{DOMAIN}/seen/whole?a",
)  # fmt: skip


def raw(site: Project, line: str, *headers: str, body: bytes = b"") -> tuple[int, str]:
    """The status and the body that these bytes are answered with."""
    head = "\r\n".join((f"{line} HTTP/1.1", f"Host: {DOMAIN}", "Connection: close", *headers)) + "\r\n\r\n"
    with socket.create_connection(("127.0.0.1", site.server.http_port), HANGS) as opened:
        opened.sendall(head.encode() + body)
        answer = HTTPResponse(opened)
        answer.begin()
        return answer.status, answer.read().decode()


def what_is_seen(site: Project) -> dict[str, object]:
    """What the application sees of requests of all kinds."""
    requests = {path: (f"GET {path}",) for path in PATHS}
    requests |= {"forged": ("GET /seen", *HOSTILE), "odd": ("FOO /seen",), "not there": ("GET /nowhere",)}
    requests |= {"large": ("GET /seen", *(f"X-Large-{number}: {'y' * 7000}" for number in range(3)))}
    found = {name: raw(site, *words) for name, words in requests.items()}
    found["post"] = raw(site, "POST /seen", "Content-Length: 5", body=b"abcde")
    found["chunked"] = raw(site, "POST /seen", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    return {name: (status, comparable(body)) for name, (status, body) in found.items()}


def comparable(body: str) -> object:
    """What the application has seen, without what differs each time; or the body as it is."""
    if '"meta"' not in body:
        return body
    data = json.loads(body)
    assert re.fullmatch(r"[0-9a-f]{32}", data["meta"].pop("HTTP_X_REQUEST_ID"))
    del data["meta"]["RAW_URI"]
    return data


def posted(site: Project) -> list[str]:
    return shell(site.server, "cat /srv/portside/protocols/volumes/shared/notes").split()


def upstream(site: Project) -> set[str]:
    """What Nginx asks, and how."""
    return set(re.findall(r"(?<=    server )[u1][^; ]+|\w+_pass", site_file(site)))


@pytest.mark.core
def test_uwsgi_and_back_and_forth_loses_nobody_and_does_nothing_twice(site: Project) -> None:
    if kind(site) == "ASGIRequest":  # where only the core is run
        deploy(site, DEPLOY_WORKER_CLASS=None)
    before, first = what_is_seen(site), live(site.server, "protocols")
    answers: list[int] = []

    def post() -> None:
        body = str(len(answers)).encode()
        answers.append(ask(site.server, DOMAIN, "/note", method="POST", body=body).status)

    site.set(DEPLOY_PROTOCOL="uwsgi", DEPLOY_DRAIN="30")
    with nothing_lost(site, "/", "/healthz", "/files/site.css"):
        run = deploying(site)
        while run.process.poll() is None:
            post()
        run.end(check=True)
        second = live(site.server, "protocols")
        assert upstream(site) == {"unix:/srv/portside/protocols/current/run/web-1.uwsgi", "uwsgi_pass"}
        assert what_is_seen(site) == before
        assert go_back(site) == first
        assert upstream(site) == {"unix:/srv/portside/protocols/current/run/web-1.sock", "proxy_pass"}
        assert go_back(site, "--to", second) == second
    assert set(answers) == {200}
    assert posted(site) == [str(number) for number in range(len(answers))]
    assert "nothing to do;" in site.deploy().out


def test_the_health_check_stays_open_while_protocols_change(site: Project) -> None:
    second = live(site.server, "protocols")
    with site.with_settings(DEPLOY_DENY="0.0.0.0/0"):
        with nothing_lost(site, "/healthz"):
            go_back(site)
        assert ask(site.server, DOMAIN).status == 403
        go_back(site, "--to", second)
    site.deploy()
    assert ask(site.server, DOMAIN).status == 200


def test_an_upload_that_is_under_way_when_the_protocol_changes_arrives(site: Project) -> None:
    old, generation = live(site.server, "protocols"), shell(site.server, "readlink /etc/nginx/portside")
    site.set(DEPLOY_PROTOCOL=None)
    sent = 0
    with socket.create_connection(("127.0.0.1", site.server.http_port), HANGS) as upload:
        head = f"POST /seen HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        upload.sendall(head.encode())
        run = deploying(site)
        while shell(site.server, "readlink /etc/nginx/portside") == generation:
            assert run.process.poll() is None, "the deploy ended before it changed Nginx's files"
            upload.sendall(b"1\r\n.\r\n")
            sent += 1
        assert live(site.server, "protocols") == old, "it is waited for"
        upload.sendall(b"0\r\n\r\n")
        with upload.makefile("rb") as answer:
            assert f'"body": "{"." * sent}"' in answer.read().decode()
        run.end(check=True)
    assert live(site.server, "protocols") != old
    deploy(site, DEPLOY_PROTOCOL="uwsgi")


def test_a_release_that_is_not_well_is_found_by_uwsgi(site: Project) -> None:
    old = live(site.server, "protocols")
    broken = URLS.replace("def hello(request):\n", "def hello(request):\n    raise ValueError\n")
    with site.changed({"app/hello/urls.py": broken}):
        done = site.deploy(check=False)
    assert done.code == 1
    assert "it answers 500 at /healthz" in done.err
    assert live(site.server, "protocols") == old


def test_files_and_events_and_caches_work_by_uwsgi(site: Project) -> None:
    events_as_they_come(site)
    with volume(site, "secret.txt", "between us"):
        assert ask(site.server, DOMAIN, "/private").text == "between us"
        assert ask(site.server, DOMAIN, "/_private/shared/secret.txt").status == 404
    with site.with_settings(DEPLOY_CACHE="10s", DEPLOY_RATE_LIMIT="5r/m"):
        site.deploy()
        assert ask(site.server, DOMAIN, "/cached", method="HEAD").status == 200
        answers = [ask(site.server, DOMAIN, "/cached") for _ in range(3)]
        assert len({answer.body for answer in answers}) == 1
        assert answers[0].text.isdigit()
        assert [answer.headers["x-cache-status"] for answer in answers] == ["MISS", "HIT", "HIT"]
        statuses = [ask(site.server, DOMAIN).status for _ in range(8)]
        assert 429 in statuses
        assert ask(site.server, DOMAIN, "/files/site.css").status == 200
    site.deploy()


def test_replicas_by_uwsgi_and_a_dead_one_is_passed_over(site: Project) -> None:
    release = deploy(site, DEPLOY_REPLICAS="2")
    webs = (
        "docker",
        "ps",
        "-q",
        "--filter",
        f"label=portside.release={release}",
        "--filter",
        "label=portside.role=web",
    )
    victim, _ = site.server.exec(webs).split()
    count = len(posted(site))
    with nothing_lost(site, "/"):
        site.server.exec(("docker", "kill", victim))
        for number in range(10):
            answer = ask(site.server, DOMAIN, "/note", method="POST", body=f"replica-{number}".encode())
            assert answer.status == 200
    assert posted(site)[count:] == [f"replica-{number}" for number in range(10)]


def test_uwsgi_by_port_and_back_to_http(site: Project) -> None:
    deploy(site, DEPLOY_UPSTREAM="port", DEPLOY_REPLICAS=None)
    second = live(site.server, "protocols")
    assert ask(site.server, DOMAIN).status == 200
    assert "uwsgi_pass" in upstream(site)
    third = deploy(site, DEPLOY_PROTOCOL=None)
    assert upstream(site) & {"uwsgi_pass", "proxy_pass"} == {"proxy_pass"}
    with nothing_lost(site, "/"):
        assert go_back(site) == second
        assert "uwsgi_pass" in upstream(site)
        assert go_back(site, "--to", third) == third


def test_gunicorn_has_nothing_to_complain_of(site: Project) -> None:
    """What looks after the containers, and Nginx, leave no half requests."""
    logs = "for id in $(docker ps -aq --filter label=portside.site=protocols); do docker logs $id 2>&1; done"
    log = shell(site.server, logs)
    assert "Starting gunicorn" in log
    assert "incomplete header" not in log
    assert "no URI read" not in log


def test_websockets_are_encrypted_where_the_site_is_and_outlive_nginxs_new_files(site: Project, tmp_path: Path) -> None:
    own = pki.issued(DOMAIN)
    certificate, key = tmp_path / "tls.pem", tmp_path / "tls.key"
    certificate.write_text(own.chain + own.root)
    key.write_text(own.key)
    deploy(site, DEPLOY_WORKER_CLASS="asgi", DEPLOY_UPSTREAM=None)
    site.set(DEPLOY_TLS_CERT=str(certificate), DEPLOY_TLS_KEY=str(key))
    with websocket(site) as before:
        assert "Nginx has new settings" in site.deploy().out
        assert said(before), "a reload leaves it open"
    headers = asyncio.run(said_encrypted(site))["headers"]
    assert isinstance(headers, dict)
    assert headers["x-forwarded-proto"] == "https"

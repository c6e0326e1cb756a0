"""Gunicorn's settings, read by Gunicorn itself, and what they make of requests, asked of a Gunicorn that runs."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from deploy.core.files import COMPOSE
from tests import sample
from tests.ports import free_port

CONF = COMPOSE / "gunicorn.conf.py"
GIVEN = {
    "PORTSIDE_SOCKET": "/run/portside/art-1/web-1.sock",
    "PORTSIDE_PROTOCOL": "http",
    "PORTSIDE_WORKER_CLASS": "gthread",
    "PORTSIDE_WORKERS": "3",
    "PORTSIDE_THREADS": "4",
    "PORTSIDE_PROJECT": "art-1",
}


def printed(folder: Path, **changed: str) -> dict[str, str]:
    """What gunicorn --print-config says of an application in this folder."""
    (folder / "wsgi.py").write_text("def application(environ, start_response): ...\n")
    done = subprocess.run(
        (sys.executable, "-m", "gunicorn", "--config", CONF, "--print-config", "wsgi:application"),
        cwd=folder, env={**GIVEN, **changed}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        name.strip(): value.strip() for name, _, value in (line.partition("=") for line in done.stdout.splitlines())
    }


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return printed(tmp_path_factory.mktemp("app"))


def test_it_listens_on_the_socket_and_the_port(said: dict[str, str]) -> None:
    assert said["bind"] == "['unix:/run/portside/art-1/web-1.sock', '0.0.0.0:8000']"


def test_the_socket_is_nobody_elses(said: dict[str, str]) -> None:
    assert int(said["umask"]) == 0o117


def test_workers_are_what_the_release_says(said: dict[str, str]) -> None:
    assert (said["workers"], said["threads"], said["worker_class"]) == ("3", "4", "gthread")
    assert said["proc_name"] == "art-1"


def test_it_ends_before_compose_kills_it_and_before_nginx_gives_up(said: dict[str, str]) -> None:
    release = (CONF.parent / "release.yaml").read_text()
    timeouts = (CONF.parent.parent / "nginx_templates/snippets/upstream-timeouts.conf.j2").read_text()
    assert "stop_grace_period: 40s" in release
    assert int(said["graceful_timeout"]) < 40
    assert "proxy_read_timeout 35s" in timeouts
    assert int(said["timeout"]) < 35


def test_a_request_is_logged_by_nginx_alone(said: dict[str, str]) -> None:
    assert (said["accesslog"], said["errorlog"]) == ("None", "-")


def test_it_changes_to_the_folder_of_manage_py(tmp_path: Path) -> None:
    assert printed(tmp_path, PORTSIDE_FOLDER=str(tmp_path))["chdir"] == str(tmp_path)


def test_it_speaks_uwsgi_to_whoever_reaches_it(tmp_path: Path) -> None:
    """In a container, the peer of the published port is Docker's own address."""
    said = printed(tmp_path, PORTSIDE_PROTOCOL="uwsgi")
    assert (said["protocol"], said["uwsgi_allow_ips"]) == ("uwsgi", "['*']")


def test_the_application_is_loaded_by_each_worker_unless_told_otherwise(tmp_path: Path) -> None:
    assert printed(tmp_path)["preload_app"] == "False"
    assert printed(tmp_path, PORTSIDE_PRELOAD="off")["preload_app"] == "False"
    assert printed(tmp_path, PORTSIDE_PRELOAD="on")["preload_app"] == "True"


# A Gunicorn that runs

PROOF = "0123456789abcdef" * 4
APPLICATION = """\
import json, os, threading

LOADED, BEATS = os.getpid(), threading.Event()
threading.Thread(target=BEATS.set, name="beat").start()
threading.Thread(target=threading.Event().wait, name="lives", daemon=True).start()

def seen(given):
    known = {name: value for name, value in given.items() if isinstance(value, str)}
    threads = [each.name for each in threading.enumerate()]
    return json.dumps(known | {"loaded": LOADED == os.getpid(), "threads": threads}).encode()

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [seen(environ)]

async def asgi(scope, receive, send):
    headers = {f"HTTP_{name.decode().upper().replace('-', '_')}": value.decode() for name, value in scope["headers"]}
    address = {"REMOTE_ADDR": scope["client"][0]} if scope.get("client") else {}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": seen({**headers, **address, "wsgi.url_scheme": scope["scheme"]})})
"""
KINDS = {
    "sync": {"PORTSIDE_WORKER_CLASS": "sync", "PORTSIDE_THREADS": "1"},
    "gthread": {"PORTSIDE_WORKER_CLASS": "gthread"},
    "asgi": {"PORTSIDE_WORKER_CLASS": "asgi", "PORTSIDE_THREADS": "1"},
    "uwsgi": {"PORTSIDE_PROTOCOL": "uwsgi"},
}
TOLD = {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7", "X-Forwarded-Proto": "https"}


@dataclass
class Running:
    """A Gunicorn with Portside's settings, its socket and its port."""

    path: Path
    port: int
    uwsgi: bool
    log: Path

    def listens(self) -> bool:
        """By both: it opens one after the other."""
        with socket.socket(socket.AF_UNIX) as by_socket, socket.socket() as by_port:
            opened = by_socket.connect_ex(str(self.path)) == 0
            return opened and by_port.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(self, headers: Mapping[str, str], *, by_port: bool = False, path: str = "/") -> Any:
        """What the application saw of a request with these headers; the text of an answer that isn't its own."""
        family, address = (socket.AF_INET, ("127.0.0.1", self.port)) if by_port else (socket.AF_UNIX, str(self.path))
        with socket.socket(family) as opened:  # type: ignore[arg-type]
            opened.settimeout(180)
            opened.connect(address)
            opened.sendall(_uwsgi(path, headers) if self.uwsgi else _http(path, headers))
            with HTTPResponse(opened) as answer:
                answer.begin()
                body = answer.read().decode()
        return json.loads(body) if body.startswith("{") else body


def _http(path: str, headers: Mapping[str, str]) -> bytes:
    lines = (
        f"{name}: {value}\r\n" for name, value in {"Host": "art.example", "Connection": "close", **headers}.items()
    )
    return f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


def _uwsgi(path: str, headers: Mapping[str, str]) -> bytes:
    given = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in {**headers, "Connection": "close"}.items()
    }
    words = [word.encode() for pair in {"REQUEST_METHOD": "GET", "PATH_INFO": path, **given}.items() for word in pair]
    block = b"".join(struct.pack("<H", len(word)) + word for word in words)
    return struct.pack("<BHB", 0, len(block), 0) + block


@contextmanager
def running(folder: Path, files: Mapping[str, str], *more: str, **given: str) -> Iterator[Running]:
    """Gunicorn as a release's container starts it, but for the port."""
    found = Running(folder / "s", free_port(), given.get("PORTSIDE_PROTOCOL") == "uwsgi", folder / "log")
    with started(
        folder, files, *more, "--bind", f"unix:{found.path}", "--bind", f"127.0.0.1:{found.port}", **given
    ) as process:
        try:
            limit = time.monotonic() + 180
            while not found.listens():
                assert process.poll() is None, found.log.read_text()
                assert time.monotonic() < limit, "gunicorn doesn't listen"
                time.sleep(0.02)
            yield found
        finally:
            process.terminate()


@contextmanager
def started(folder: Path, files: Mapping[str, str], *more: str, **given: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Gunicorn with Portside's settings and these files, which writes its log to the file log."""
    sample.files(folder, files)
    environment = {**os.environ, **GIVEN, "PORTSIDE_WORKERS": "1", "PORTSIDE_PROOF": PROOF, **given}
    name = "asgi" if environment["PORTSIDE_WORKER_CLASS"] == "asgi" else "application"
    words = (sys.executable, "-m", "gunicorn", "--config", CONF, *more, f"wsgi:{name}")
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(words, cwd=folder, env=environment, stderr=log) as process,
    ):
        yield process


@pytest.fixture(scope="module", params=KINDS)
def gunicorn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("g"), {"wsgi.py": APPLICATION}, **KINDS[request.param]) as found:
        yield found


def test_by_the_socket_the_address_is_the_visitors(gunicorn: Running) -> None:
    seen = gunicorn.ask(TOLD)
    assert seen["REMOTE_ADDR"] == seen["HTTP_X_FORWARDED_FOR"] == seen["HTTP_X_REAL_IP"] == "203.0.113.7"
    assert "REMOTE_PORT" not in seen
    assert gunicorn.ask({**TOLD, "X-Forwarded-For": "2001:db8::7"})["REMOTE_ADDR"] == "2001:db8::7"


def test_of_several_addresses_nginxs_own_counts(gunicorn: Running) -> None:
    """A location of DEPLOY_NGINX_INCLUDE may send $proxy_add_x_forwarded_for: the first is the visitor's claim."""
    assert gunicorn.ask({"X-Forwarded-For": "192.0.2.6, 203.0.113.7"})["REMOTE_ADDR"] == "203.0.113.7"


def test_without_any_word_there_is_no_address(gunicorn: Running) -> None:
    assert not gunicorn.ask({}).get("REMOTE_ADDR")


def test_by_the_port_the_proof_shows_that_nginx_asks(gunicorn: Running) -> None:
    seen = gunicorn.ask({**TOLD, "X-Portside-Proof": PROOF}, by_port=True)
    assert seen["REMOTE_ADDR"] == seen["HTTP_X_FORWARDED_FOR"] == "203.0.113.7"
    assert "REMOTE_PORT" not in seen
    assert "HTTP_X_PORTSIDE_PROOF" not in seen, "the application has no use for it"
    assert "HTTP_X_PORTSIDE_PROOF" not in gunicorn.ask({"X-Portside-Proof": PROOF})


@pytest.mark.parametrize("proof", [None, "", "x", PROOF[:-1], PROOF.upper(), "\u00fc"])
def test_by_the_port_nobody_else_is_believed(gunicorn: Running, proof: str | None) -> None:
    claims = {**dict.fromkeys(overwritten(), "192.0.2.6"), "X-Forwarded-Ssl": "on", "X-Forwarded-Protocol": "ssl"}
    given = claims if proof is None else {**claims, "X-Portside-Proof": proof}
    seen = gunicorn.ask({**given, "X-Forwarded-Proto": "https", "X-Mine": "1"}, by_port=True)
    assert seen["REMOTE_ADDR"] == "127.0.0.1", "whoever connects"
    assert not {f"HTTP_{name.upper().replace('-', '_')}" for name in [*claims, "X-Portside-Proof"]} & set(seen)
    assert (seen["HTTP_X_FORWARDED_PROTO"], seen["HTTP_X_MINE"]) == ("https", "1"), "the gate says the first itself"


def test_without_a_proof_of_its_own_an_empty_one_proves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, {"wsgi.py": APPLICATION}, PORTSIDE_PROOF="") as found:
        assert found.ask({**TOLD, "X-Portside-Proof": ""}, by_port=True)["REMOTE_ADDR"] == "127.0.0.1"


def test_the_scheme_is_what_nginx_says(gunicorn: Running) -> None:
    if not gunicorn.uwsgi:  # there it is a variable of its own
        assert gunicorn.ask(TOLD)["wsgi.url_scheme"] == "https"


def overwritten() -> set[str]:
    """Headers that claim something of the visitor: what Nginx takes out of each request or says itself."""
    text = (CONF.parent.parent / "nginx_templates/snippets/proxy.conf.j2").read_text()
    set_by_nginx = dict(re.findall(r"^proxy_set_header (\S+) (.+);$", text, re.MULTILINE))
    return {name for name, value in set_by_nginx.items() if value in {'""', "$remote_addr"}}


def test_the_port_believes_no_claim_that_nginx_overwrites() -> None:
    assert {"X-Forwarded-For", "X-Real-IP", "Forwarded"} <= overwritten()
    listed = re.search(r"^CLAIMS = \{(.*?)\}", CONF.read_text(), re.MULTILINE | re.DOTALL)
    assert listed
    assert set(re.findall(r'"([^"]+)"', listed.group(1))) == {name.upper() for name in overwritten()}


def test_a_worker_may_take_longer_to_load_than_a_request_may(tmp_path: Path) -> None:
    slow = f"import time\ntime.sleep(4)\n{APPLICATION}"
    with running(tmp_path, {"wsgi.py": slow}, "--timeout", "2") as found:
        assert found.ask({})["loaded"]
    assert "WORKER TIMEOUT" not in found.log.read_text()


@pytest.mark.parametrize("preload", ["off", "on"])
def test_of_an_application_that_cannot_be_loaded_the_log_ends_with_the_reason(tmp_path: Path, preload: str) -> None:
    broken = {"wsgi.py": "import time\ntime.sleep(0.2)\nraise ValueError('kaboom at import')\n"}
    bind = ("--bind", f"unix:{tmp_path / 's'}")
    with started(tmp_path, broken, *bind, PORTSIDE_WORKERS="5", PORTSIDE_PRELOAD=preload) as process:
        assert process.wait(180) != 0
    log = (tmp_path / "log").read_text().splitlines()
    assert "ValueError: kaboom at import" in log[-18:], "as many lines of it as a failed deploy shows"


def test_each_worker_has_what_the_application_began_while_it_loaded(gunicorn: Running) -> None:
    seen = gunicorn.ask({})
    assert seen["loaded"]
    assert "lives" in seen["threads"]


# Django

SETTINGS = """\
import os
LOADED_BY = os.getpid()
DEBUG, SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF = False, "x" * 60, ["*"], "urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db", "CONN_MAX_AGE": None}}
"""
URLS = """\
import os
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import JsonResponse
from django.urls import path

connection.ensure_connection()
cache.closed = False
cache.close = lambda: setattr(cache, "closed", True)

def seen(request):
    own = settings.LOADED_BY == os.getpid()
    return JsonResponse({"own": own, "connected": connection.connection is not None, "cache closed": cache.closed})

def boom(request):
    raise ValueError("the cause")

urlpatterns = [path("", seen), path("boom", boom)]
"""
WSGI = """\
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
import urls
"""


def django(settings: str = "") -> dict[str, str]:
    return {"settings.py": SETTINGS + settings, "urls.py": URLS, "wsgi.py": WSGI}


def test_what_a_preloaded_application_opened_is_closed_before_the_fork(tmp_path: Path) -> None:
    with running(tmp_path, django(), **KINDS["sync"], PORTSIDE_PRELOAD="on") as found:
        assert found.ask({}) == {"own": False, "connected": False, "cache closed": True}


def test_without_preload_nothing_of_it_is_touched(tmp_path: Path) -> None:
    with running(tmp_path, django(), **KINDS["sync"]) as found:
        assert found.ask({}) == {"own": True, "connected": True, "cache closed": False}


def test_what_workers_share_of_django_needs_no_settings_and_starts_nothing(tmp_path: Path) -> None:
    script = """
import importlib, runpy, sys, threading
for name in runpy.run_path(sys.argv[1])["LIBRARIES"]:
    importlib.import_module(name)
from django.conf import settings
print(settings.configured, threading.active_count(), [name for name in sys.modules if name == "settings"])
"""
    environment = {**os.environ, **GIVEN, "DJANGO_SETTINGS_MODULE": "settings"}
    words = (sys.executable, "-c", script, CONF)
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "1", "[]"]


@pytest.mark.parametrize(
    ("kind", "shared"), [("gthread", True), ("uvicorn_worker.UvicornWorker", True), ("gevent", False)]
)
def test_only_plain_workers_share_django(tmp_path: Path, kind: str, shared: bool) -> None:
    """gevent replaces parts of Python in each worker, and Django must not have taken hold of them before."""
    script = """
import runpy, sys
runpy.run_path(sys.argv[1])["on_starting"](None)
print("django.core.wsgi" in sys.modules)
"""
    environment = {**os.environ, **GIVEN, "PORTSIDE_WORKER_CLASS": kind}
    words = (sys.executable, "-c", script, CONF)
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(shared)]


HANDLERS = '"own": {"class": "logging.StreamHandler"}, "null": {"class": "logging.NullHandler"}'
OWN = f'LOGGING = {{"version": 1, "handlers": {{{HANDLERS}}}, '
KEEP = '"disable_existing_loggers": False, '


@pytest.mark.parametrize(
    ("logging", "times"),
    [
        ("", 1),
        ("DEBUG = True", 1),
        ("LOGGING_CONFIG = None", 1),
        (OWN + KEEP + '"root": {"handlers": ["own"]}}', 1),
        (OWN + '"root": {"handlers": ["own"]}}', 1),  # which disables Django's own loggers
        (OWN + KEEP + '"loggers": {"django": {"handlers": ["own"]}}}', 1),
        (OWN + KEEP + '"loggers": {"django.request": {"handlers": ["own"]}}}', 1),
        (OWN + KEEP + '"loggers": {"shop": {"handlers": ["own"]}}}', 1),
        # Whoever wants silence has it.
        (OWN + KEEP + '"loggers": {"django.request": {"handlers": ["null"], "propagate": False}}}', 0),
        (OWN + KEEP + '"loggers": {"django.request": {"level": "CRITICAL"}}}', 0),
    ],
)
def test_a_visitors_error_500_is_logged_once(tmp_path: Path, logging: str, times: int) -> None:
    log = logged(tmp_path, logging)
    assert log.count("Internal Server Error: /boom") == log.count("ValueError: the cause") == times, log


def test_an_error_of_a_preloaded_application_is_logged_once(tmp_path: Path) -> None:
    log = logged(tmp_path, PORTSIDE_PRELOAD="on")
    assert log.count("Internal Server Error: /boom") == log.count("ValueError: the cause") == 1, log
    assert "/nowhere" not in log, "what isn't found stands in Nginx's log"


def logged(folder: Path, logging: str = "", **given: str) -> str:
    """What is logged of a visitor for whom the application fails, and who asks for something that isn't there."""
    with running(folder, django(logging), **given) as found:
        found.ask({}, path="/boom")
        found.ask({}, path="/nowhere")
    return found.log.read_text()


HEALTHY = CONF.with_name("healthy.py")


def health(gunicorn: Running, **given: str) -> int:
    """What the container's own health check ends with."""
    environment = {**os.environ, **GIVEN, "PORTSIDE_SOCKET": str(gunicorn.path), **given}
    done = subprocess.run((sys.executable, "-S", HEALTHY), env=environment, capture_output=True, check=False)
    return done.returncode


ILL = """
def application(environ, start_response):
    raise SystemExit("asked")
async def asgi(scope, receive, send):
    if scope["type"] == "http":
        raise SystemExit("asked")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_answers_the_health_check_whatever_the_application_does(kind: str, tmp_path: Path) -> None:
    with running(tmp_path, {"wsgi.py": ILL}, **KINDS[kind]) as found:
        assert health(found, **KINDS[kind]) == 0
        assert "asked" not in found.log.read_text()


def test_an_application_that_hangs_is_not_healthy(tmp_path: Path) -> None:
    hangs = "import time\ndef application(environ, start_response): time.sleep(600)\n"
    alone = ("--threads", "1", "--timeout", "600")
    with running(tmp_path, {"wsgi.py": hangs}, *alone) as found, socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(str(found.path))
        visitor.sendall(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        assert health(found) == 1

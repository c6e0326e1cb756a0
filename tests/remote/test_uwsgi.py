"""remote/uwsgi.py asks a real Gunicorn that speaks uwsgi, by way of remote/visit.py."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.ssh.payload import REMOTE
from tests import sample
from tests.ports import free_port

sys.path.insert(0, str(REMOTE))
import uwsgi  # noqa: F401 - visit.py finds it on the server beside itself
import visit

sys.path.remove(str(REMOTE))

APPLICATION = """\
import json

def application(environ, start_response):
    if environ["PATH_INFO"] == "/away":
        start_response("302 Found", [("Location", "https://art.example/")])
        return [b""]
    given = {name: value for name, value in environ.items() if isinstance(value, str)}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(given).encode()]
"""


def listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an application that speaks uwsgi."""
    folder, port = sample.files(tmp_path_factory.mktemp("app"), {"wsgi.py": APPLICATION}), free_port()
    words = ("--bind", f"127.0.0.1:{port}", "--protocol", "uwsgi", "--no-control-socket", "wsgi:application")
    with subprocess.Popen((sys.executable, "-m", "gunicorn", *words), cwd=folder, stderr=subprocess.DEVNULL) as process:
        limit = time.monotonic() + 180
        while not listens(port):
            assert time.monotonic() < limit, "gunicorn doesn't listen"
            time.sleep(0.05)
        yield port
        process.terminate()


def ask(port: int, target: str, scheme: str = "http") -> Any:
    """The answer."""
    edge = visit.Edge({f"{scheme}://art.example": scheme})
    return visit.Container(edge, port, "uwsgi").ask(f"{scheme}://art.example{target}", "a=1; b=2")


def test_it_comes_as_a_visitor_does(gunicorn: int) -> None:
    answer = ask(gunicorn, "/up/%25?full=1&a=%20", "https")
    seen = json.loads(answer.body)
    assert answer.status == 200
    assert (seen["REQUEST_METHOD"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("GET", "/up/%", "full=1&a=%20")
    assert (seen["HTTP_HOST"], seen["HTTP_X_FORWARDED_PROTO"], seen["wsgi.url_scheme"]) == (
        "art.example",
        "https",
        "https",
    )
    assert (seen["HTTP_USER_AGENT"], seen["HTTP_COOKIE"]) == ("Portside", "a=1; b=2")
    assert json.loads(ask(gunicorn, "/").body)["wsgi.url_scheme"] == "http"


def test_it_tells_where_it_is_sent(gunicorn: int) -> None:
    answer = ask(gunicorn, "/away")
    assert (answer.status, answer.body, answer.location) == (302, b"", "https://art.example/")


def test_where_nobody_answers_the_status_is_0() -> None:
    assert ask(free_port(), "/").status == 0

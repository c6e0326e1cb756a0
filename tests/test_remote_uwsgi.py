"""remote/uwsgi.py run for real, against a Gunicorn that speaks uwsgi."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stream import REMOTE
from tests import sample

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


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


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


def ask(folder: Path, port: int, path: str, scheme: str = "http") -> tuple[str, str, str]:
    """The status, the head and the body."""
    words = (str(port), "art.example", path, scheme, folder / "head", folder / "body")
    done = subprocess.run(
        (sys.executable, REMOTE / "uwsgi.py", *words), capture_output=True, text=True, check=True, timeout=180
    )
    return done.stdout.strip(), (folder / "head").read_text(), (folder / "body").read_text()


def test_it_comes_as_a_visitor_does(gunicorn: int, tmp_path: Path) -> None:
    status, _, body = ask(tmp_path, gunicorn, "/up/%25?full=1&a=%20", "https")
    seen = json.loads(body)
    assert status == "200"
    assert (seen["REQUEST_METHOD"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("GET", "/up/%", "full=1&a=%20")
    assert (seen["HTTP_HOST"], seen["HTTP_X_FORWARDED_PROTO"], seen["wsgi.url_scheme"]) == (
        "art.example",
        "https",
        "https",
    )
    assert seen["HTTP_USER_AGENT"] == "Portside"
    assert json.loads(ask(tmp_path, gunicorn, "/")[2])["wsgi.url_scheme"] == "http"


def test_it_tells_where_it_is_sent(gunicorn: int, tmp_path: Path) -> None:
    status, head, body = ask(tmp_path, gunicorn, "/away")
    assert (status, body) == ("302", "")
    assert "Location: https://art.example/" in head.splitlines()


def test_where_nobody_answers_the_status_is_000(tmp_path: Path) -> None:
    assert ask(tmp_path, free_port(), "/") == ("000", "\n", "")


def test_what_is_no_answer_is_none(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = (str(server.getsockname()[1]), "a.example", "/", "http", tmp_path / "head", tmp_path / "body")
        with subprocess.Popen(
            (sys.executable, REMOTE / "uwsgi.py", *words), stdout=subprocess.PIPE, text=True
        ) as asker:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"what?")
            assert asker.communicate(timeout=180)[0] == "000\n"

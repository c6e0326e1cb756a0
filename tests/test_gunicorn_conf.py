"""Gunicorn's settings, read by Gunicorn itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONF = Path(__file__).parent.parent / "compose/gunicorn.conf.py"
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

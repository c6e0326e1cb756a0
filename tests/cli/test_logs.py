"""Logs: what is asked of the server, and what it answers, with a program of the test's in place of Docker."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.cli import logs
from deploy.config.settings import Settings
from deploy.core.errors import ConnectionLost, PortsideError, Refused
from deploy.core.secret import Secret
from deploy.ssh.payload import REMOTE
from deploy.ssh.results import CommandFailed
from tests import sample
from tests.sample import Paper

LIVE, BEFORE = sample.OLD, sample.OLDER
DOCKER = """\
#!/bin/sh
cd "$(dirname "$0")/.."
case "$1" in
ps) tr ' ' '\\t' <containers ;;
events) exec sleep 1000 ;;
logs)
    echo "$*" >>asked
    for id in "$@"; do :; done
    cat "log-$id"
    case $* in *--follow*) exec tail -n +1 -f "more-$id" ;; esac ;;
esac
"""


def line(seconds: int, text: str) -> str:
    return f"2026-11-30T17:16:{seconds:02}.000000001Z {text}\n"


def visit(seconds: int, uri: str, status: int = 200, **more: Any) -> str:
    told = {"time": f"2026-11-30T18:16:{seconds:02}+01:00", "id": "ab12", "address": "192.0.2.7", "host": "a.example"}
    told |= {"method": "GET", "uri": uri, "status": status, "bytes": 5, "seconds": 0.012, "agent": "Firefox"}
    return json.dumps(told | more) + "\n"


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A server with a site: two releases, a process, a database, Nginx."""
    sample.files(
        tmp_path,
        {
            "bin/docker": DOCKER,
            "site/releases/x": "",
            "containers": f"w1 web {LIVE}  web-1\nw0 web {BEFORE}  web-1\nq1 process {LIVE} queue process-queue\n"
            "d1 db   db\nm1 manage x  manage\n",
            "log-w1": line(3, "[INFO] begins") + line(9, "\x1b[31mTraceback\x1b[0m"),
            "log-w0": line(1, "the release before"),
            "log-q1": line(5, "at work"),
            "log-d1": line(2, "ready"),
            "more-w1": "",
            "more-q1": "",
            "more-d1": "",
            "a.log": visit(4, "/") + visit(8, "/x?y=1", 502, upstream_status="500"),
            "e.log": "2026/11/30 17:16:06 [error] 7#7: *1 upstream prematurely closed\n",
        },
    )
    (tmp_path / "bin/docker").chmod(0o755)
    (tmp_path / "site/current").symlink_to(f"releases/{LIVE}")
    for name in ("a.log", "e.log"):
        os.utime(tmp_path / name, (NOW, NOW))
    return tmp_path


NOW = datetime(2026, 11, 30, 17, 16, 10, tzinfo=UTC).timestamp()


def command(server: Path, **asked: Any) -> tuple[list[str], dict[str, str]]:
    query = {"site": "art", "root": f"{server}/site", "access": f"{server}/a.log", "error": f"{server}/e.log"}
    query |= {"services": [], "follow": False, "since": None, "tail": 100, "grep": ""} | asked  # type: ignore[operator]
    text = (REMOTE / "logs.py").read_text(encoding="utf-8")
    environment = {**os.environ, "PATH": f"{server}/bin:{os.environ['PATH']}", "TZ": "UTC"}
    return [sys.executable, "-c", text, json.dumps(query)], environment


def read(server: Path, **asked: Any) -> list[tuple[str, ...]]:
    words, environment = command(server, **asked)
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=180)
    assert done.stderr == ""
    return [tuple(each.split("\t")) for each in done.stdout.splitlines()]


def test_what_all_say_comes_in_order_of_time(server: Path) -> None:
    assert [(when[-2:], service) for when, service, _ in read(server)] == [
        ("02", "db"), ("03", "web-1"), ("04", "nginx"), ("05", "queue"), ("06", "nginx"), ("08", "nginx"),
        ("09", "web-1"),
    ]  # fmt: skip


def test_a_request_is_read_as_a_line(server: Path) -> None:
    texts = [text for _, service, text in read(server) if service == "nginx"]
    assert texts[0] == '200 GET a.example/ 0.012 s 5 B 192.0.2.7 "Firefox" ab12'
    assert texts[1] == "[error] 7#7: *1 upstream prematurely closed"
    assert texts[2].startswith("502 GET a.example/x?y=1 (application: 500) ")


@pytest.mark.parametrize(
    ("services", "seen"),
    [
        (["web"], {"web-1"}),
        (["web-1"], {"web-1"}),
        (["queue", "db"], {"queue", "db"}),
        (["nginx"], {"nginx"}),
    ],
)
def test_services_are_chosen_by_name(services: list[str], seen: set[str], server: Path) -> None:
    assert {service for _, service, _ in read(server, services=services)} == seen


def test_a_service_that_is_not_there_is_told_with_those_that_are(server: Path) -> None:
    words, environment = command(server, services=["mail"])
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (
        2, "There is no service mail here. There are: db, nginx, queue, web, web-1.\n",
    )  # fmt: skip


def test_a_site_that_is_not_there_is_told(server: Path) -> None:
    words, environment = command(server, root=f"{server}/none")
    assert subprocess.run(words, env=environment, check=False).returncode == 3


def test_the_newest_of_all_are_chosen(server: Path) -> None:
    assert [text for *_, text in read(server, tail=1)] == ["\x1b[31mTraceback\x1b[0m"]
    assert [service for _, service, _ in read(server, tail=2, grep="work|begins")] == ["web-1", "queue"]
    assert read(server, tail=0) == []


def test_since_reads_what_the_release_before_said_too(server: Path) -> None:
    since = NOW - 10
    assert read(server, since=since, tail=None)[0][2] == "the release before"
    assert {service for _, service, _ in read(server, since=NOW - 5, tail=None)} == {"nginx", "queue", "web-1"}
    assert f"--since {since:.3f}" in (server / "asked").read_text()


def test_files_that_were_rotated_are_read_where_they_are_needed(server: Path) -> None:
    (server / "a.log.1").write_text(visit(1, "/yesterday"))
    (server / "a.log.2.gz").write_bytes(gzip.compress(visit(0, "/before").encode()))
    for name in ("a.log.1", "a.log.2.gz"):
        os.utime(server / name, (NOW, NOW))

    def uris(**asked: Any) -> list[str]:
        return [text.split()[2] for *_, text in read(server, services=["nginx"], **asked) if "GET" in text]

    assert uris(tail=3) == ["a.example/", "a.example/x?y=1"], "beside a line of the other file"
    assert uris(grep="yesterday|before") == ["a.example/before", "a.example/yesterday"]
    assert uris(since=NOW - 100, tail=None)[:2] == ["a.example/before", "a.example/yesterday"]


def test_a_file_by_another_hand_is_shown_as_it_is(server: Path) -> None:
    (server / "a.log").write_text("not JSON\n[]\n{}\n")
    assert [text for *_, text in read(server, services=["nginx"])][:3] == ["not JSON", "[]", "{}"]


def test_without_docker_there_is_nginx(server: Path) -> None:
    (server / "bin/docker").unlink()
    words, environment = command(server)
    environment["PATH"] = f"{server}/bin"
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert {each.split("\t")[1] for each in done.stdout.splitlines()} == {"nginx"}


def test_what_comes_is_followed(server: Path) -> None:
    words, environment = command(server, follow=True, tail=1)
    out = server / "out"
    with out.open("w") as stream:
        at = subprocess.Popen(words, env=environment, stdout=stream, start_new_session=True)
    until(lambda: "Traceback" in out.read_text())
    (server / "more-q1").write_text(line(30, "more work"))
    with (server / "a.log").open("a") as stream:
        stream.write(visit(31, "/new"))
    until(lambda: len(out.read_text().splitlines()) >= 3)
    os.killpg(at.pid, signal.SIGKILL)
    at.wait()
    seen = [each.split("\t")[2].split(" ")[0] for each in out.read_text().splitlines()]
    assert sorted(seen) == sorted(["\x1b[31mTraceback\x1b[0m", "more", "200"])


def until(true: Callable[[], object]) -> None:
    limit = time.monotonic() + 180
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_who_reads_no_more_ends_it(server: Path) -> None:
    words, environment = command(server, follow=True)
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, start_new_session=True) as at:
        assert at.stdout
        at.stdout.readline()
        at.stdout.close()

        def ended() -> bool:
            with (server / "more-q1").open("a") as stream:
                stream.write(line(30, "more work"))
            return at.poll() is not None

        until(ended)
        with suppress(ProcessLookupError):
            os.killpg(at.pid, signal.SIGKILL)


# The laptop's side


class Telling(Paper):
    """Answers with these lines, and ends with this status."""

    def __init__(self, *lines: str, status: int = 0) -> None:
        super().__init__(sample.bare())
        self.lines, self.status = lines, status

    def stream(self, words: Sequence[str], send: Any = None) -> Iterator[str]:
        self.words = words
        yield from self.lines
        if self.status:
            raise CommandFailed(self.status)


def shown(settings: Settings, at: Telling, *, as_json: bool = False, **options: Any) -> None:
    run = sample.run(settings, at, "logs")
    run.report.quiet = False
    run.report.hide([Secret("hunter2-hunter2")])
    logs.show(run, options, as_json=as_json)


def test_secrets_are_masked_and_nothing_reaches_the_terminal(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    shown(settings, Telling("2026-11-30 17:16:01\tweb-1\tkey=hunter2-hunter2 \x1b[2J\tend"))
    assert capsys.readouterr().out == "2026-11-30 17:16:01Z web-1    key=[hidden] \\x1b[2J\tend\n"


def test_a_script_reads_a_list(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    shown(settings, Telling("2026-11-30 17:16:01\tweb-1\thunter2-hunter2"), as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"time": "2026-11-30 17:16:01", "service": "web-1", "text": "[hidden]"}
    ]
    with pytest.raises(Refused, match="--follow"):
        shown(settings, Telling(), as_json=True, follow=True)


def test_nothing_is_said_to_be_nothing(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    shown(settings, Telling(), grep="x", since="1h")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "portfolio on server.example: no lines with --since, --grep.\n")


@pytest.mark.parametrize(
    ("status", "said", "kind", "text"),
    [
        (2, "There is no service x here.", Refused, "There is no service x here."),
        (3, "", PortsideError, "portfolio isn't on server.example"),
        (1, "Traceback", PortsideError, "can't be read:\nTraceback"),
        (-1, "", ConnectionLost, "was lost"),
    ],
)
def test_what_can_not_be_is_told(
    status: int, said: str, kind: type[PortsideError], text: str, settings: Settings
) -> None:
    with pytest.raises(kind, match=text) as caught:
        shown(settings, Telling(said, status=status))
    assert type(caught.value) is kind


def asked(settings: Settings, **options: Any) -> dict[str, Any]:
    return logs.query(sample.run(settings, Paper(sample.bare()), "logs"), options)


def test_what_is_asked_names_the_sites_own_files(settings: Settings) -> None:
    assert asked(settings, service="web, db", grep="a|b") == {
        "site": "portfolio", "root": "/srv/portside/portfolio", "access": "/var/log/nginx/portfolio.access.log",
        "error": "/var/log/nginx/portfolio.error.log", "services": ["web", "db"], "follow": False, "since": None,
        "tail": 100, "grep": "a|b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("since", "seconds"), [("90s", -90), ("30m", -1800), ("2h", -7200), ("3d", -259200), ("0s", -0.001)]
)
def test_a_time_ago_is_read(since: str, seconds: float, settings: Settings) -> None:
    assert (asked(settings, since=since)["since"], asked(settings, since=since)["tail"]) == (seconds, None)
    assert asked(settings, since=since, tail="7")["tail"] == 7


def test_a_time_is_this_machines(settings: Settings) -> None:
    assert asked(settings, since="2026-11-30T17:16:10+00:00")["since"] == NOW
    assert asked(settings, since="2026-11-30")["since"] == datetime(2026, 11, 30).astimezone().timestamp()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"since": "yesterday"}, "--since"), ({"since": "5"}, "--since"), ({"tail": "-1"}, "--tail"),
     ({"tail": "all"}, "--tail"), ({"grep": "("}, "--grep")],
)  # fmt: skip
def test_what_can_not_be_read_is_refused(options: dict[str, str], named: str, settings: Settings) -> None:
    with pytest.raises(Refused, match=named):
        asked(settings, **options)


def test_of_a_static_site_there_is_nginx(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, sample.STATIC)
    assert asked(settings, service="nginx")["services"] == ["nginx"]
    with pytest.raises(Refused, match="its only service is nginx"):
        asked(settings, service="web")

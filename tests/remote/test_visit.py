"""remote/visit.py and gate.py run for real, against a small HTTP server that stands in for a release."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from deploy.core.steps import named
from deploy.ssh.payload import REMOTE
from deploy.ssh.results import OWN
from tests import sample

sys.path.insert(0, str(REMOTE))
import visit as visiting

sys.path.remove(str(REMOTE))

Routes = Mapping[str, Any]
OK = (200, {})

# A site by HTTPS, with a name that redirects, a wildcard, and one that the certificate isn't for.
SECURE = {
    "names": {
        f"{scheme}://{name}": scheme
        for scheme in ("http", "https")
        for name in ("art.example", "www.art.example", "*.shops.example")
    }
    | {"http://new.example": "http"},
    "redirects": {
        "http://art.example": "https://$host",
        "https://www.art.example": "https://art.example",
        "http://www.art.example": "https://$host",
        "http://*.shops.example": "https://$host",
    },
}
PLAIN = {
    "names": {"http://art.example": "http", "http://www.art.example": "http"},
    "redirects": {"http://www.art.example": "http://art.example"},
}
PROXIED = PLAIN | {"names": PLAIN["names"] | {"https://art.example": "http"}}


def to(location: str, status: int = 302, **headers: str) -> tuple[int, dict[str, str]]:
    return status, {"Location": location} | {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class Release:
    """An application on a port: what it answers, by path or by whole address, and what it was asked."""

    routes: Routes = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    port: int = 0

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        address = f"{headers['X-Forwarded-Proto']}://{headers['Host']}{path}"
        self.asked.append(address)
        self.headers.append(headers)
        given = self.routes.get(address, self.routes.get(path, (404, {})))
        status, more, *body = given(headers) if callable(given) else given
        return status, more, body[0] if body else b"<h1>page</h1>"


@pytest.fixture
def release() -> Iterator[Release]:
    made = Release()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = made.answer(self.path, dict(self.headers.items()))
            self.send_response_only(status)
            for name, value in headers.items():
                for each in value.split("\n"):
                    self.send_header(name, each)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """What DNS knows of names: nothing, unless a test says so."""
    known: dict[str, set[str]] = {}
    visiting._answers.cache_clear()
    monkeypatch.setattr(visiting, "addresses", lambda name: known.get(name, set()))
    return known


def go(release: Release, routes: Routes, names: Mapping[str, Any] = SECURE, start: str = "/", **more: Any) -> Any:
    """Visit a release that answers like this."""
    release.routes = routes
    edge = visiting.Edge(**names, **more)
    scheme = "https" if names is SECURE else "http"
    return visiting.visit(f"{scheme}://art.example{start}", edge, visiting.Container(edge, release.port))


def test_a_page_is_asked_for_as_nginx_would(release: Release) -> None:
    made = go(release, {"/up?full=1": OK}, start="/up?full=1")
    assert (made.fault, made.elsewhere, made.lines) == ("", "", [])
    (headers,) = release.headers
    assert (headers["Host"], headers["X-Forwarded-Proto"], headers["X-Real-IP"]) == (
        "art.example",
        "https",
        "127.0.0.1",
    )


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/en/", "https://art.example/en/"),
        ("en/", "https://art.example/a/en/"),
        ("../en/?x=1#top", "https://art.example/en/?x=1"),
        ("?page=1", "https://art.example/a/b?page=1"),
        ("//art.example/en/", "https://art.example/en/"),
        ("https://ART.Example/En", "https://art.example/En"),
        ("HTTPS://art.example:443", "https://art.example/"),
        ("https://art.example.?x=1", "https://art.example/?x=1"),
        ("https://ann:horse@art.example/en/", "https://art.example/en/"),
        ("https://art.example/b\\c d", "https://art.example/b/c%20d"),
        ("/caf\u00c3\u00a9?q=%C3%A9", "https://art.example/caf%C3%A9?q=%C3%A9"),
        ("/latin-\u00e9", "https://art.example/latin-%E9"),
        ("https://one.shops.example/x", "https://one.shops.example/x"),
        ("http://new.example/x", "http://new.example/x"),
    ],
)
def test_a_redirect_is_followed_as_a_browser_would(release: Release, location: str, asked: str) -> None:
    made = go(release, {"/a/b": to(location), asked.partition("example")[2]: OK, asked: OK}, start="/a/b")
    assert (made.fault, release.asked) == ("", ["https://art.example/a/b", asked])


@pytest.mark.parametrize(
    ("location", "way"),
    [
        ("http://art.example/in", ["http://art.example/in", "https://art.example/in"]),
        ("https://www.art.example/in?x=1", ["https://www.art.example/in?x=1", "https://art.example/in?x=1"]),
        (
            "http://www.art.example/in",
            ["http://www.art.example/in", "https://www.art.example/in", "https://art.example/in"],
        ),
        ("http://a.shops.example/in", ["http://a.shops.example/in", "https://a.shops.example/in"]),
    ],
)
def test_nginx_redirects_too(release: Release, location: str, way: list[str]) -> None:
    made = go(release, {"/": to(location), "/in": OK, "/in?x=1": OK})
    assert made.fault == ""
    assert [url for url, _ in made.way] == ["https://art.example/", *way]
    assert release.asked == ["https://art.example/", way[-1]], "Nginx' own answers aren't the application's"


def test_where_the_redirects_end_counts(release: Release) -> None:
    made = go(release, {"/": to("/login/"), "/login/": (500, {})})
    assert made.fault == "it answers 500 at /login/, to which DEPLOY_HEALTH_PATH=/ redirects."
    assert made.lines == ["Redirects:", "  https://art.example/  302", "  https://art.example/login/  500"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "it answers 400 at / (DEPLOY_HEALTH_PATH). Is art.example in ALLOWED_HOSTS?"),
        (401, "it answers 401 at / (DEPLOY_HEALTH_PATH). Set DEPLOY_HEALTH_PATH to a page that needs no login."),
        (403, "Set DEPLOY_HEALTH_PATH to a page that needs no login."),
        (404, "Set DEPLOY_HEALTH_PATH to a page that exists."),
        (405, "Set DEPLOY_HEALTH_PATH to a page that anyone can open."),
        (500, "it answers 500 at /."),
        (503, "it answers 503 at /."),
    ],
)
def test_an_error_is_told_with_what_to_do(release: Release, status: int, said: str) -> None:
    assert said in go(release, {"/": (status, {})}).fault


@pytest.mark.parametrize("status", [200, 204, 300, 304, 302])
def test_what_is_below_400_is_healthy(release: Release, status: int) -> None:
    assert go(release, {"/": (status, {})}).fault == ""


def test_a_loop_through_nginx_names_the_setting(release: Release) -> None:
    made = go(release, {"/": to("http://www.art.example/", 301)}, PLAIN)
    assert made.fault.startswith("it redirects in a loop. The application redirects to www.art.example, and Nginx")
    assert "DEPLOY_REDIRECT_DOMAINS" in made.fault
    assert made.lines[1:] == [
        "  http://art.example/  301",
        "  http://www.art.example/  301, by Nginx",
        "  http://art.example/  again",
    ]
    assert made.settled


@pytest.mark.parametrize("location", ["https://art.example/", "http://art.example/"])
def test_a_loop_of_schemes_names_the_setting(release: Release, location: str) -> None:
    assert "SECURE_PROXY_SSL_HEADER" in go(release, {"/": to(location)}).fault


@pytest.mark.parametrize("location", ["/", "", "//art.example", "/#top"])
def test_a_page_that_redirects_to_itself_is_a_loop(release: Release, location: str) -> None:
    made = go(release, {"/": to(location)})
    assert ("loop" in made.fault) is bool(location)
    assert "SECURE_PROXY_SSL_HEADER" not in made.fault


def test_an_endless_chain_ends_after_ten_redirects(release: Release) -> None:
    endless = {"/" + "a/" * n: to("/" + "a/" * (n + 1)) for n in range(20)}
    made = go(release, endless)
    assert made.fault == "it redirects more than 10 times."
    assert len(release.asked) == 11
    assert len(made.lines) == 13


def test_ten_redirects_are_followed(release: Release) -> None:
    ten = {"/" + "a/" * n: to("/" + "a/" * (n + 1)) for n in range(10)}
    assert go(release, ten | {"/" + "a/" * 10: OK}).fault == ""


def test_a_very_long_address_is_shown_short(release: Release) -> None:
    long = "/" + "a/" * 2000
    made = go(release, {"/": to(long), long: (500, {})})
    assert max(len(line) for line in [*made.lines, made.fault]) < 400


@pytest.mark.parametrize(
    "location",
    ["https://login.sso.example/auth?state=1", "//accounts.example", "myapp://open", "https://art.example.org/"],
)
def test_another_site_is_named(release: Release, location: str) -> None:
    made = go(release, {"/": to("/in"), "/in": to(location)})
    assert made.fault == ""
    assert made.elsewhere.rstrip("/") == visiting.urljoin("https://x", location).rstrip("/")


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://m.art.example/", "but m.art.example isn't served: is it missing in DEPLOY_DOMAINS"),
        ("https://example/", "but example isn't served"),
        ("http://art.example:8000/", "but the site isn't served on port 8000."),
        ("http://localhost:8000/", "but localhost isn't served"),
        ("http://app.localhost/", "isn't served"),
        ("http://127.0.0.1/", "but 127.0.0.1 isn't served"),
        ("http://[::1]:80/", "but ::1 isn't served"),
        ("https://new.example/", "and there is no HTTPS for new.example yet: is SECURE_SSL_REDIRECT on?"),
        ("https://art.example:port/", "which isn't an address"),
        ("https:///", "loop"),
        ("https://[art/", "which isn't an address"),
        ("https://" + "a" * 70 + ".example/", "which isn't an address"),
    ],
)
def test_what_is_not_served_is_a_fault(release: Release, location: str, said: str) -> None:
    made = go(release, {"/": to(location)})
    assert said in made.fault
    assert made.settled


def test_https_before_there_is_any_names_both_ways_out(release: Release) -> None:
    made = go(release, {"/": to("https://art.example/login/")}, PLAIN)
    assert "there is no HTTPS for art.example yet: is SECURE_SSL_REDIRECT on? fab certs" in made.fault


def test_a_proxy_in_front_may_speak_https(release: Release) -> None:
    made = go(release, {"/": to("https://art.example/login/"), "/login/": OK}, PROXIED)
    assert (made.fault, release.asked[-1]) == ("", "http://art.example/login/")
    assert "SECURE_PROXY_SSL_HEADER" in go(release, {"/": to("https://art.example/")}, PROXIED).fault


@pytest.mark.parametrize(
    ("status", "healthy"), [(200, True), (302, True), (401, True), (400, False), (520, False), (0, False)]
)
def test_a_name_below_the_sites_is_another_site_if_one_answers(
    status: int, healthy: bool, names: dict[str, set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(address: str, port: int, *more: object) -> Any:
        asked.append(f"{address} {port}")
        return visiting.Answer(status if address == "192.0.2.9" else 0)

    monkeypatch.setattr(visiting, "_asked", answer)
    names["sso.art.example"] = {"192.0.2.9"}
    edge = visiting.Edge(**SECURE)
    assert visiting._is_another_site(visiting.urlsplit("https://sso.art.example/"), edge, "art.example") is healthy
    assert asked == ["127.0.0.1 443", "192.0.2.9 443"]


@pytest.mark.parametrize("known", [True, False])
def test_another_port_of_the_site_is_asked_where_dns_leads(
    release: Release, names: dict[str, set[str]], known: bool
) -> None:
    release.routes = {"/": OK}
    release.answer = lambda path, headers: (200, {}, b"")  # type: ignore[method-assign]
    names |= {"art.example": {"127.0.0.1"}} if known else {}
    parts = visiting.urlsplit(f"http://art.example:{release.port}/")
    assert visiting._is_another_site(parts, visiting.Edge(**SECURE), "art.example") is known


def cookie(name: str, value: str, more: str = "") -> dict[str, str]:
    return {"Set-Cookie": f"{name}={value}; Path=/{more}"}


def wants(text: str, then: Any = OK, otherwise: Any = (500, {})) -> Callable[[Mapping[str, str]], Any]:
    """Answers one way to who brings exactly these cookies, and another way to others."""
    return lambda headers: then if headers.get("Cookie", "") == text else otherwise


@pytest.mark.parametrize("more", ["", "; Secure; HttpOnly; SameSite=Lax", "; Domain=.art.example", "; Max-Age=9"])
def test_a_cookie_that_was_set_on_the_way_comes_back(release: Release, more: str) -> None:
    set_it = (302, {"Location": "/", **cookie("seen", "1", more)})
    assert go(release, {"/": wants("seen=1", OK, set_it)}).fault == ""


def test_cookies_stay_with_their_host_and_scheme(release: Release) -> None:
    first = "a=1; Secure\nb=2; Domain=example\nc=3; Domain=other.example\nd=4; path=/\ne=5; Domain=shops.example"
    routes = {
        "/": (302, {"Location": "http://new.example/x", "Set-Cookie": first}),
        "http://new.example/x": wants("b=2", to("https://art.example/y")),
        "/y": wants("a=1; b=2; d=4"),
    }
    assert go(release, routes).fault == ""


@pytest.mark.parametrize("over", ["; Max-Age=0", "; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0", "; Max-Age=-1"])
def test_a_cookie_that_is_taken_back_is_not_sent(release: Release, over: str) -> None:
    routes = {
        "/": (302, {"Location": "/b", **cookie("x", "1")}),
        "/b": (302, {"Location": "/c", **cookie("x", "", over)}),
        "/c": wants(""),
    }
    assert go(release, routes).fault == ""


def test_a_secure_cookie_without_https_is_a_loop_for_a_browser_too(release: Release) -> None:
    set_it = (302, {"Location": "/", **cookie("seen", "1", "; Secure")})
    assert "loop" in go(release, {"/": wants("seen=1", OK, set_it)}, PLAIN).fault


def test_files_are_nginx_to_answer(release: Release, tmp_path: Path) -> None:
    sample.files(tmp_path, {"app/index.html": "", "up.txt": ""})
    found = {}
    for path in ("/s/up.txt", "/s/up.txt?x=1", "/s/app/", "/s/app", "/s/gone", "/s/", "/s/..%2f..%2fetc/passwd"):
        made = go(release, {"/": to(path)}, places={"/s/": str(tmp_path)})
        found[path] = (made.answer.status, bool(made.fault))
    assert found == {
        "/s/up.txt": (200, False), "/s/up.txt?x=1": (200, False), "/s/app/": (200, False), "/s/app": (200, False),
        "/s/gone": (404, True), "/s/": (403, True), "/s/..%2f..%2fetc/passwd": (404, True),
    }  # fmt: skip


def test_nobody_answers() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        edge = visiting.Edge(**SECURE)
        made = visiting.visit("https://art.example/", edge, visiting.Container(edge, closed.getsockname()[1]))
    assert (made.fault, made.settled) == ("it doesn't answer at /.", False)


def raw(answer: bytes) -> Any:
    """What is made of these bytes."""
    return visiting.Answer.read(answer)


def test_answers_are_read_as_they_come() -> None:
    chunked = raw(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nthe\r\n4\r\n end\r\n0\r\n\r\n")
    assert (chunked.status, chunked.body) == (500, b"the end")
    assert raw(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n").status == 204
    assert [raw(text).status for text in (b"", b"what?", b"HTTP/1.1 no\r\n\r\n", b"SSH-2.0 200 OK")] == [0, 0, 0, 0]


def test_an_answer_without_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "SECONDS", 0.3)
    ours, theirs = socket.socketpair()

    def flood() -> None:
        try:
            theirs.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                theirs.sendall(b"more" * 1000)
        except OSError:
            theirs.close()

    thread = threading.Thread(target=flood)
    thread.start()
    with ours:
        answer = raw(visiting.exchange(ours, b"GET / HTTP/1.1\r\n\r\n"))
    thread.join()
    assert (answer.status, len(answer.body) < visiting.KEPT) == (200, True)


def test_of_a_page_the_first_lines_are_shown_and_no_word_is_cut() -> None:
    body = "<html><style>p { color: red }</style>\n<p>Server  Error</p>\n\n" + "".join(
        f"<b>{n}</b>\n" for n in range(20)
    )
    assert raw(f"HTTP/1.1 500 x\r\n\r\n{body}".encode()).text().splitlines()[:2] == ["Server  Error", "0"]
    assert len(raw(f"HTTP/1.1 500 x\r\n\r\n{body}".encode()).text().splitlines()) == 8
    words = "secret-value " * 100 + "\n"
    assert set(raw(f"HTTP/1.1 500 x\r\n\r\n{words}".encode()).text().split()) == {"secret-value"}


# Through Nginx


@pytest.mark.parametrize(("status", "noted"), [(500, True), (404, False)])
def test_the_request_that_nginx_answers_with_an_error_is_noted(
    status: int, noted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = visiting.Answer(302, [("location", "/login/"), ("set-cookie", "c=1")])
    answers = iter([first, visiting.Answer(status)])
    monkeypatch.setattr(visiting, "_asked", lambda *words: next(answers))
    sample.files(tmp_path, {"nginx.json": json.dumps(SECURE)})
    with pytest.raises(SystemExit):
        visiting.main(tmp_path / "nginx.json", "https://art.example/", tmp_path / "request")
    assert f"Through Nginx it answers {status} at /login/" in capsys.readouterr().out
    request = {"url": "https://art.example/login/", "scheme": "https", "cookie": "c=1"}
    assert [json.loads(path.read_text()) for path in tmp_path.glob("request")] == [request] * noted


# The gate


DOCKER = """\
#!/bin/sh
echo "$*" >>"$DOCKER_LOG"
case $* in
*" ps "* | ps*) cat "$RUNNING" ;;
*" logs "*) echo "its last words" ;;
*cause.py*) printf '%s\\n' "noise" "portside-cause:The error:" "portside-cause:KeyError: 'x'" ;;
esac
"""


@dataclass
class Gate:
    """What gate.sh runs with, on folders of this machine."""

    top: Path

    def run(self, *ports: int, again: str = "0", seconds: str = "30", path: str = "/") -> tuple[int, str, float]:
        lines = "".join(f"PORTSIDE_PORT_{number}={port}\n" for number, port in enumerate(ports, 1))
        sample.files(self.top, {"release/.env": lines, "running": "".join(f"web-{n + 1}\n" for n in range(len(ports)))})
        environment = {
            **os.environ, "PATH": f"{self.top}/bin:{os.environ['PATH']}", "PORTSIDE": str(self.top),
            "PORTSIDE_FILES": f"{self.top}/files", "PORTSIDE_RESULT": f"{self.top}/result",
            "PORTSIDE_ANSWER": f"{self.top}/answer", "RUNNING": f"{self.top}/running", "DOCKER_LOG": f"{self.top}/log",
        }  # fmt: skip
        url = f"https://art.example{path}"
        given = {"compose": f"{self.top}/release/compose.yaml", "url": url, "seconds": seconds, "again": again}
        words = named({**given, "protocol": "http"})
        began = time.monotonic()
        done = subprocess.run(
            ("sh", self.top / "remote/gate.sh", *words), env=environment, capture_output=True, text=True, timeout=180,
            check=False,
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).replace(OWN, ""), time.monotonic() - began


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    for name in ("gate.sh", "cause.sh", "lib.sh", "arguments.sh"):
        sample.files(tmp_path, {f"remote/{name}": (REMOTE / name).read_text(encoding="utf-8")})
    for name in ("gate.py", "visit.py", "cause.py"):
        sample.files(tmp_path, {f"files/{name}": (REMOTE / name).read_text(encoding="utf-8")})
    sample.files(tmp_path, {"files/nginx.json": json.dumps(SECURE), "bin/docker": DOCKER})
    (tmp_path / "bin/docker").chmod(0o755)
    return Gate(tmp_path)


def test_a_healthy_release_is_told_with_its_way(release: Release, gate: Gate) -> None:
    release.routes = {"/": to("/en/"), "/en/": OK}
    code, said, _ = gate.run(release.port, again="1")
    assert (code, said) == (0, "")
    assert json.loads((gate.top / "answer").read_text()) == {
        "way": ["https://art.example/", "https://art.example/en/"],
        "elsewhere": "",
    }
    assert (gate.top / "result").read_text() == "unchanged it only asks\n"
    assert release.asked.count("https://art.example/en/") == 2


def test_of_a_release_without_redirects_only_curl_is_needed(release: Release, gate: Gate) -> None:
    (gate.top / "files/gate.py").unlink()
    release.routes = {"/up?a=1": (204, {})}
    assert gate.run(release.port, release.port, again="1", path="/up?a=1")[:2] == (0, "")
    assert json.loads((gate.top / "answer").read_text()) == {"way": [], "elsewhere": ""}
    assert release.asked == ["https://art.example/up?a=1"] * 4


def test_a_release_that_starts_slowly_is_waited_for(release: Release, gate: Gate) -> None:
    looks = iter([(503, {}), (502, {}), (503, {}), (503, {}), (503, {}), (503, {}), (500, {}), (500, {}), OK])
    release.routes = {"/": lambda headers: next(looks)}
    assert gate.run(release.port)[0] == 0


def test_an_error_that_stays_is_refused_after_a_few_looks_with_its_cause(release: Release, gate: Gate) -> None:
    release.routes = {"/": to("/login/"), "/login/": (500, {}, b"<h1>Server Error (500)</h1>")}
    code, said, seconds = gate.run(release.port, seconds="60")
    assert (code, seconds < 30) == (1, True)
    assert said.splitlines() == [
        "The log ends:", "its last words", "The answer begins:", "Server Error (500)", "Redirects:",
        "  https://art.example/  302", "  https://art.example/login/  500", "The error:", "KeyError: 'x'",
        "The new release isn't healthy: it answers 500 at /login/, to which DEPLOY_HEALTH_PATH=/ redirects.",
    ]  # fmt: skip
    assert release.asked.count("https://art.example/login/") == 5
    assert json.loads((gate.top / "files/request").read_text()) == {
        "url": "https://art.example/login/",
        "scheme": "https",
        "cookie": "",
    }


def test_what_is_no_error_of_the_code_has_no_cause(release: Release, gate: Gate) -> None:
    code, said, _ = gate.run(release.port)
    assert (code, "cause.py" in (gate.top / "log").read_text()) == (1, False)
    assert said.splitlines()[-1].endswith("Set DEPLOY_HEALTH_PATH to a page that exists.")


def test_who_never_answers_is_asked_until_the_time_is_over(gate: Gate) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        code, said, _ = gate.run(closed.getsockname()[1], seconds="1")
    assert code == 1
    assert said.splitlines()[-1] == (
        "The new release isn't healthy: it doesn't answer at /. Portside tried for 1 s (DEPLOY_HEALTH_TIMEOUT)."
    )


def test_of_several_containers_the_one_that_is_not_healthy_is_named(release: Release, gate: Gate) -> None:
    release.routes = {"/": OK}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        _, said, _ = gate.run(release.port, closed.getsockname()[1], seconds="0")
    assert said.splitlines()[-1].startswith("The new release isn't healthy: web-2: it doesn't answer at /.")


def test_a_release_that_fails_later_is_refused(release: Release, gate: Gate) -> None:
    looks = chain([OK, OK], repeat((500, {})))
    release.routes = {"/": lambda headers: next(looks)}
    code, said, _ = gate.run(release.port, again="2")
    assert (code, said.splitlines()[-1]) == (
        1,
        "The new release isn't healthy: it answers 500 at /. It was healthy before.",
    )


def test_a_release_that_fails_now_and_then_is_refused(release: Release, gate: Gate) -> None:
    looks = chain([OK, (500, {})], repeat(OK))
    release.routes = {"/": lambda headers: next(looks)}
    _, said, _ = gate.run(release.port, again="1")
    assert said == "The new release isn't healthy: it answers 500 at / intermittently.\n"


def test_a_container_that_ended_is_not_waited_for(release: Release, gate: Gate) -> None:
    release.routes = {"/": OK}
    (gate.top / "bin/docker").write_text(DOCKER.replace('cat "$RUNNING"', "true"))
    _, said, _ = gate.run(release.port, again="1")
    assert said.splitlines()[-1] == "The new release isn't healthy: it exited after its first answers."


# The cause


PROJECT = {
    "site/settings_of_it.py": "SECRET_KEY, ROOT_URLCONF, ALLOWED_HOSTS = 'x' * 50, 'urls_of_it', ['art.example']\n"
    "SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')\nprint('noise')\n",
    "site/urls_of_it.py": """\
import logging, sys
from django.http import HttpResponse
from django.urls import path
def page(request, name):
    if name == "raises":
        raise KeyError(f"{request.scheme} {request.get_host()} {request.GET['a']} {request.COOKIES['c']}")
    if name == "ends":
        sys.exit("enough")
    logging.getLogger("django.request").error("noise too")
    return HttpResponse(status=int(name))
urlpatterns = [path("<name>", page)]
""",
}


def cause(top: Path, target: str, settings: str = "settings_of_it") -> list[str]:
    asked = {"url": f"https://art.example{target}", "scheme": "https", "cookie": "c=3"}
    sample.files(top, PROJECT | {"request": json.dumps(asked)})
    done = subprocess.run(
        (sys.executable, REMOTE / "cause.py", top / "request"), cwd=top / "site", capture_output=True, text=True,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": settings}, timeout=180, check=False,
    )  # fmt: skip
    mark = "portside-cause:"
    return [line.removeprefix(mark) for line in done.stdout.splitlines() if line.startswith(mark)]


def test_a_page_that_raises_is_asked_for_as_it_was(tmp_path: Path) -> None:
    first, *_, last = cause(tmp_path, "/raises?a=2")
    assert first == "The error at /raises?a=2, raised again in a separate container:"
    assert last == "KeyError: 'https art.example 2 3'"


def test_a_page_that_ends_the_process_is_told_too(tmp_path: Path) -> None:
    assert cause(tmp_path, "/ends")[-1] == "SystemExit: enough"


@pytest.mark.parametrize(
    ("status", "said"),
    [("500", "answers 500 too."), ("200", "answers 200 there, so the error is intermittent.")],
)
def test_a_page_that_does_not_raise(tmp_path: Path, status: str, said: str) -> None:
    (line,) = cause(tmp_path, f"/{status}")
    assert line.endswith(said)


def test_a_project_that_can_not_be_started_has_no_cause(tmp_path: Path) -> None:
    assert cause(tmp_path, "/raises", settings="none") == []

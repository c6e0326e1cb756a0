"""Requests that nobody sends in good faith: refused, or harmless; the application sees no forged value, and the site
answers throughout."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ..kit import small
from ..kit.edge_site import LOG, EdgeSite, bring_live
from ..kit.inside import shell
from ..kit.nginx_container import Edge
from ..kit.project import FEW_WORKERS
from ..kit.visitors import ask, visitors
from ..kit.waiting import until
from .hostile import DOMAIN, PLAIN, SECRET, SETTINGS, URLS, http2, raw, request, smuggled

pytestmark = pytest.mark.core

FORGED = "evil"
"""Stands in every value that a client forges; the application must never be told it."""

PREPARE = """
cd /srv/portside/hostile
for place in . current media-beside current/static-beside volumes/shared; do
    mkdir -p "$place" && echo "$1" >"$place/secret.txt" && echo "$1" >"$place/.env"
done
echo "$1" >media/.env
echo for everybody >media/picture.txt
ln -sfn /srv/portside/hostile/secret.txt media/link.txt
ln -sfn /srv/portside/hostile media/folder
"""
SLOW = 300


@pytest.fixture(scope="module")
def site(edges: Callable[..., Edge], tmp_path_factory: pytest.TempPathFactory) -> EdgeSite:
    """A small site that tells what it was asked, live."""
    project = small.files("", SETTINGS) | {"hello/urls.py": URLS, "files/plain.css": "p {}\n"}
    site = bring_live(
        edges(), tmp_path_factory.mktemp("hostile"), {name: text.encode() for name, text in project.items()},
        DEPLOY_SITE="hostile", DEPLOY_DOMAINS=DOMAIN, DEPLOY_DATABASE="none", SECRET_KEY="x" * 60,
        DEPLOY_WORKERS=FEW_WORKERS, DEPLOY_VOLUMES="shared:/data", DEPLOY_MAX_BODY="1m",
    )  # fmt: skip
    shell(site.server, PREPARE, SECRET)
    return site


@pytest.fixture(autouse=True)
def unharmed(site: EdgeSite) -> Iterator[None]:
    """After each attack the site answers."""
    yield
    if ask(site.server, DOMAIN, "/after").status != 200:
        assert '"path": "/after"' in http2(site.server, changed(path="/after"))


def test_what_these_tests_go_by_is_there(site: EdgeSite) -> None:
    told = raw(site.server, request("X-Own: kept", line="GET /here?a=b HTTP/1.1")).told
    assert (told["host"], told["path"], told["HTTP_X_OWN"]) == (DOMAIN, "/here?a=b", "kept")
    assert ask(site.server, DOMAIN, "/files/plain.css").text == "p {}\n"
    assert ask(site.server, DOMAIN, "/uploads/picture.txt").text == "for everybody\n"
    assert SECRET in shell(site.server, "cat /srv/portside/hostile/secret.txt")
    shell(site.server, 'echo \'["not Nginx", "GET", "/"]\' >>/srv/portside/hostile/volumes/shared/seen')
    assert smuggled(site.server) == [["not Nginx", "GET", "/"]]
    shell(site.server, "sed -i '$d' /srv/portside/hostile/volumes/shared/seen")


# Out of the folders

STEPS = (
    "..", "../..", "%2e%2e", "%2e%2e/%2e%2e", "..%2f..", "..%5c..", "..\\..", ".%00./..", "..;/..", "%252e%252e",
    "....//....", "..%c0%af..", "%c0%ae%c0%ae", "./..", "/..", "//..//..", "x/../..", "..%00", "folder",
    "..%2f%2e%2e%2f",
)  # fmt: skip
ENDS = ("secret.txt", "media-beside/secret.txt", "volumes/shared/secret.txt", ".env", "../../../etc/passwd")


@pytest.mark.parametrize("start", ["/files", "/files/", "/uploads", "/uploads/", "/files/x/", "/_private/shared/", "/"])
def test_nothing_outside_the_folders_is_served(site: EdgeSite, start: str) -> None:
    for step in STEPS:
        for end in ENDS:
            heard = raw(site.server, request(line=f"GET {start}{step}/{end} HTTP/1.1"))
            assert SECRET not in heard.text
            assert "root:" not in heard.text
            assert heard.told or heard.status in {0, 301, 400, 403, 404}, (step, end)


@pytest.mark.parametrize(
    "path",
    [
        "/files../secret.txt", "/files../current/secret.txt", "/files-beside/secret.txt", "/uploads../secret.txt",
        "/uploads-beside/secret.txt", "/uploads/.env", "/uploads/%2eenv", "/uploads/x/%2e%65nv", "/files/.env",
        "/uploads/link.txt", "/uploads/folder/secret.txt", "/_private/shared/secret.txt", "/_private/shared/seen",
        "/%5fprivate/shared/secret.txt", "/uploads/../_private/shared/secret.txt", "//_private/shared/secret.txt",
        "/files/plain.css/../../secret.txt", "/uploads/picture.txt%00.png", "/uploads/picture.txt/", "/uploads/",
        "/files/",
    ],
)  # fmt: skip
def test_what_lies_beside_is_nobodys(site: EdgeSite, path: str) -> None:
    heard = raw(site.server, request("X-Accel-Redirect: /_private/shared/secret.txt", line=f"GET {path} HTTP/1.1"))
    assert SECRET not in heard.text
    assert heard.told or heard.status in {400, 403, 404}


# What a client says of itself

CLAIMS = (
    "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Ssl",
    "X-Forwarded-Protocol", "X-Forwarded-Scheme", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-By",
    "X-Forwarded", "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Cluster-Client-IP", "X-Original-URL",
    "X-Rewrite-URL", "X-Request-ID", "Proxy",
)  # fmt: skip


def told_nothing_forged(site: EdgeSite, *headers: str) -> None:
    heard = raw(site.server, request(*headers))
    assert FORGED not in heard.text
    if heard.told:
        assert (heard.told["host"], heard.told["scheme"]) == (DOMAIN, "http")
        assert heard.told["HTTP_X_FORWARDED_FOR"] == heard.told["HTTP_X_REAL_IP"] == site.server.gateway
    else:
        assert heard.status == 400


@pytest.mark.parametrize("name", CLAIMS)
def test_no_claim_reaches_the_application(site: EdgeSite, name: str) -> None:
    value = f"{FORGED}, 127.0.0.1"
    for header in (name, name.lower(), name.upper(), name.replace("-", "_"), name.upper().replace("-", "_")):
        told_nothing_forged(site, f"{header}: {value}")
        told_nothing_forged(site, f"{header}: {value}", f"{header}: {FORGED}")
    for odd in (f"{name} ", f"{name}\t", f"{name}\0", f" {name}", f"{name}\x0b", f"{name}."):
        told_nothing_forged(site, f"{odd}: {value}")
    told_nothing_forged(site, f"X-Own: a\r\n {name}: {FORGED}".replace(FORGED, "folded"), f"{name}:\r\n {FORGED}")


@pytest.mark.parametrize(
    "name", ["SCRIPT_NAME", "PATH_INFO", "REMOTE_USER", "REMOTE_ADDR", "HTTP_HOST", "CONTENT_LENGTH"]
)
def test_no_variable_of_the_application_server_is_set_from_outside(site: EdgeSite, name: str) -> None:
    told_nothing_forged(site, f"{name}: /{FORGED}")


def test_no_upgrade_is_passed_on_but_to_a_websocket(site: EdgeSite) -> None:
    def passed(upgrade: str) -> str:
        asked = (
            f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\nUpgrade: {upgrade}\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
        )
        return raw(site.server, f"{asked}HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n").told.get("HTTP_UPGRADE", "")

    assert [passed(upgrade) for upgrade in ("h2c", "TLS/1.0", "websocket, h2c", "WebSocket")] == [
        "",
        "",
        "",
        "websocket",
    ]


# Whom it is for


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (f"GET http://{FORGED}.test/ HTTP/1.1", DOMAIN),
        (f"GET http://{DOMAIN}@{FORGED}.test/ HTTP/1.1", DOMAIN),
        (f"GET http://{FORGED}.test:80@{DOMAIN}/ HTTP/1.1", DOMAIN),
        (f"GET //{FORGED}.test/ HTTP/1.1", DOMAIN),
        (f"GET http://{DOMAIN}/ HTTP/1.1", f"{FORGED}.test"),
        ("GET / HTTP/1.1", f"{FORGED}.test"),
        ("GET / HTTP/1.1", f"{DOMAIN}.{FORGED}.test"),
        ("GET / HTTP/1.1", f"{FORGED}.{DOMAIN}"),
        ("GET / HTTP/1.1", f"{DOMAIN}:{FORGED}"),
        ("GET / HTTP/1.1", f"{DOMAIN}@{FORGED}.test"),
        ("GET / HTTP/1.1", f"{DOMAIN}/{FORGED}"),
        ("GET / HTTP/1.1", f"{DOMAIN}#{FORGED}"),
        ("GET / HTTP/1.1", f"{DOMAIN} {FORGED}"),
        ("GET / HTTP/1.1", f"{DOMAIN}, {FORGED}.test"),
        ("GET / HTTP/1.1", f"{DOMAIN}\r\nHost: {FORGED}.test"),
        ("GET / HTTP/1.1", f"{FORGED}.test\r\nHost: {DOMAIN}"),
        ("GET / HTTP/1.1", f"{DOMAIN}\0{FORGED}"),
        ("GET / HTTP/1.1", ""),
        ("GET / HTTP/1.1", "127.0.0.1"),
        ("GET / HTTP/1.1", "[::1]"),
        ("GET / HTTP/1.1", "_"),
        ("GET / HTTP/1.1", "."),
        ("GET / HTTP/1.1", "*"),
        (f"CONNECT {FORGED}.test:443 HTTP/1.1", DOMAIN),
        (f"CONNECT {DOMAIN}:443 HTTP/1.1", DOMAIN),
        ("OPTIONS * HTTP/1.1", f"{FORGED}.test"),
    ],
)
def test_another_hosts_name_is_refused_or_not_believed(site: EdgeSite, line: str, host: str) -> None:
    heard = raw(site.server, request(line=line, host=f"Host: {host}"))
    told = {name: value for name, value in heard.told.items() if name != "path"}
    assert FORGED not in str(told)
    assert told.get("host") == DOMAIN if told else heard.status in {0, 400, 405}


@pytest.mark.parametrize("host", [DOMAIN, f"{DOMAIN}.", f"{DOMAIN}:80", f"{DOMAIN}:65000", DOMAIN.upper()])
def test_its_own_name_however_it_is_written(site: EdgeSite, host: str) -> None:
    assert raw(site.server, request(host=f"Host: {host}")).told["host"] == DOMAIN


def test_no_name_at_all_gets_no_answer(site: EdgeSite) -> None:
    assert raw(site.server, "GET / HTTP/1.0\r\n\r\n").status == 0
    assert raw(site.server, "GET / HTTP/1.1\r\n\r\n").status == 400
    assert raw(site.server, "GET /\r\n").status == 0


# One request in another

INNER = f"GET /smuggled HTTP/1.1\r\nHost: {DOMAIN}\r\nX-Request-ID: smuggled\r\n\r\n"
CHUNKED = f"0\r\n\r\n{INNER}"
LENGTH = f"Content-Length: {len(CHUNKED)}"
POSTED = "POST /outer HTTP/1.1"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((LENGTH, "Transfer-Encoding: chunked"), CHUNKED),
        (("Transfer-Encoding: chunked", "Content-Length: 4"), f"{len(INNER):x}\r\n{INNER}\r\n0\r\n\r\n"),
        (("Content-Length: 0", LENGTH), CHUNKED),
        ((LENGTH, "Content-Length: 0"), CHUNKED),
        (("Content-Length: 5", "Content-Length: 5"), CHUNKED),
        (("Content-Length: 0, 5",), CHUNKED),
        (("Content-Length: +5",), CHUNKED),
        (("Content-Length: -1",), CHUNKED),
        (("Content-Length: 0x5",), CHUNKED),
        (("Content-Length: 5 5",), CHUNKED),
        (("Content-Length: 18446744073709551617",), CHUNKED),
        (("Content-Length : 5", "Transfer-Encoding: chunked"), CHUNKED),
        (("Transfer-Encoding : chunked", LENGTH), CHUNKED),
        (("Transfer-Encoding: xchunked", LENGTH), CHUNKED),
        (("Transfer-Encoding: chunked, identity", LENGTH), CHUNKED),
        (("Transfer-Encoding: identity", "Transfer-Encoding: chunked", LENGTH), CHUNKED),
        (("Transfer-Encoding:\x0bchunked", LENGTH), CHUNKED),
        (("Transfer-Encoding\0: chunked", LENGTH), CHUNKED),
        (("Transfer_Encoding: chunked", LENGTH), CHUNKED),
        (("Transfer-Encoding:\r\n chunked", LENGTH), CHUNKED),
        (("X-Own: a\r\n Transfer-Encoding: chunked", LENGTH), CHUNKED),
        (("X-Own: a\r\n\tContent-Length: 5", "Content-Length: 0"), CHUNKED),
        (("X-Own: a\nTransfer-Encoding: chunked", LENGTH), CHUNKED),
        (("X-Own: a\rTransfer-Encoding: chunked", LENGTH), CHUNKED),
        (("X-Own: a\n\nGET /smuggled HTTP/1.1", "X-Request-ID: smuggled"), ""),
        (("Transfer-Encoding: chunked",), f"1\n{INNER}"),
        (("Transfer-Encoding: chunked",), f"0x1\r\nZ\r\n{CHUNKED}"),
        (("Transfer-Encoding: chunked",), f"1;a\n\r\nZ\r\n{CHUNKED}"),
        (("Transfer-Encoding: chunked",), f"-1\r\nZ\r\n{CHUNKED}"),
        (("Transfer-Encoding: chunked",), f"ffffffffffffffff1\r\nZ\r\n{CHUNKED}"),
        (("Transfer-Encoding: chunked",), f"0\r\nTransfer-Encoding: chunked\r\n\r\n{INNER}"),
        (("Expect: 100-continue", LENGTH), CHUNKED),
        (("Connection: Content-Length", LENGTH), CHUNKED),
        (("Connection: X-Request-ID, X-Forwarded-For, Host", "Content-Length: 0"), CHUNKED),
    ],
    ids=range(34),
)
def test_no_request_hides_in_another(site: EdgeSite, headers: tuple[str, ...], body: str) -> None:
    """Whatever Nginx makes of it, the application is asked under an id of Nginx's own."""
    for kept in ("close", "keep-alive"):
        asked = request(*headers, line=POSTED, body=body).replace("Connection: close", f"Connection: {kept}")
        heard = raw(site.server, asked)
        assert heard.status in {0, 100, 200, 400, 405, 408, 411, 413, 501}
        assert '"HTTP_X_REQUEST_ID": "smuggled"' not in heard.text


def test_the_application_saw_only_what_nginx_asked(site: EdgeSite) -> None:
    assert smuggled(site.server) == []


# Too much


@pytest.mark.parametrize(
    "asked",
    [
        request(f"X-Own: {'x' * 100_000}"),
        request(f"{'X' * 100_000}: own"),
        request(f"Cookie: {'a=b; ' * 20_000}"),
        request(*["X-Own: x"] * 100_000),
        request(*[f"X-{number}: x" for number in range(100_000)]),
        request(line=f"GET /{'x' * 100_000} HTTP/1.1"),
        request(line=f"{'G' * 100_000} / HTTP/1.1"),
        request(line=f"GET / HTTP/1.1{'1' * 100_000}"),
        request(host=f"Host: {'x' * 100_000}"),
        "\r\n" * 50_000 + request(line=f"GET /{'x' * 100_000} HTTP/1.1"),
        "\0" * 100_000,
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + "\0" * 1000,
        request("Content-Length: 1048577", line=POSTED, body="x" * 100_000),
        request("Content-Length: 99999999999999", line=POSTED),
        request("Transfer-Encoding: chunked", line=POSTED, body=f"200000\r\n{'x' * 0x200000}\r\n0\r\n\r\n"),
    ],
    ids=range(17),
)
def test_too_much_is_refused(site: EdgeSite, asked: str) -> None:
    heard = raw(site.server, asked)
    assert heard.status in {0, 400, 413, 414, 505}
    assert "nginx/" not in heard.text, "no version is told"


@contextmanager
def slow(site: EdgeSite, begin: str) -> Iterator[list[socket.socket]]:
    """Hundreds of connections that have sent this much, and don't hurry."""
    with ExitStack() as stack:
        made = []
        for _ in range(SLOW):
            made.append(stack.enter_context(socket.create_connection(("127.0.0.1", site.server.http_port), timeout=20)))
            made[-1].sendall(begin.encode())
        yield made


def dripped(connections: list[socket.socket], drop: bytes) -> list[socket.socket]:
    """Those that still take a byte, and haven't been answered."""
    with selectors.DefaultSelector() as ready:
        for connection in connections:
            ready.register(connection, selectors.EVENT_READ)
        ended = {key.fileobj for key, _ in ready.select(0)}
    left = [connection for connection in connections if connection not in ended]
    for connection in list(left):
        try:
            connection.sendall(drop)
        except OSError:
            left.remove(connection)
    return left


def given_up(talking: list[socket.socket], sending: list[socket.socket]) -> bool:
    """Whether nobody is listened to any more who sends headers byte by byte. A body has time as long as it comes."""
    assert len(dripped(sending, b"x")) == SLOW
    time.sleep(0.5)
    return not dripped(talking, b"x")


def test_slow_clients_by_the_hundred_keep_nobody_waiting(site: EdgeSite) -> None:
    """Headers that come byte by byte are given up; bodies reach the application only when they are whole."""
    headers = f"GET /slow HTTP/1.1\r\nHost: {DOMAIN}\r\nX-Own: "
    body = f"POST /slow HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Length: 100000\r\n\r\nx"
    with slow(site, headers) as talking, slow(site, body) as sending, visitors(site.server, DOMAIN) as seen:
        until(lambda: given_up(talking, sending), "Nginx to give up on the headers")
        until(lambda: seen.answered > 100, "visitors")
    assert seen.lost == []
    assert "/slow" not in shell(site.server, 'cat "$1" "$2"', LOG, "/srv/portside/hostile/volumes/shared/seen")


# By HTTP/2


@pytest.fixture(scope="module")
def secure(site: EdgeSite) -> EdgeSite:
    """The same by HTTPS."""
    site.encrypt()
    return site


def changed(**pseudo: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, pseudo.get(name[1:], value)) for name, value in PLAIN)


CRLF = f"a\r\nX-Forwarded-Host: {FORGED}.test\r\n\r\n{INNER}"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((*PLAIN, ("x-own", CRLF)), ""),
        ((*PLAIN, (CRLF, "x")), ""),
        ((*PLAIN, ("x-own: a\r\nx-forwarded-for", FORGED)), ""),
        ((*PLAIN, ("x-own", "a\0b")), ""),
        (changed(path=f"/ HTTP/1.1\r\nHost: {FORGED}.test\r\n\r\nGET /smuggled"), ""),
        (changed(path="/ HTTP/1.1\nX: x"), ""),
        (changed(path=f"http://{FORGED}.test/"), ""),
        (changed(path="*"), ""),
        (changed(path=""), ""),
        (changed(method=f"GET /smuggled HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\nGET"), ""),
        (changed(authority=f"{FORGED}.test"), ""),
        (changed(authority=f"{DOMAIN}@{FORGED}.test"), ""),
        ((*PLAIN, (":authority", f"{FORGED}.test")), ""),
        ((*PLAIN, (":path", f"/{FORGED}")), ""),
        ((*PLAIN, (":evil", "x")), ""),
        ((*PLAIN, ("host", f"{FORGED}.test")), ""),
        ((("x-own", "before"), *PLAIN), ""),
        (changed(scheme=f"http://{FORGED}.test/?"), ""),
        ((*changed(method="POST"), ("transfer-encoding", "chunked")), CHUNKED),
        ((*changed(method="POST"), ("content-length", "0")), CHUNKED),
        ((*changed(method="POST"), ("content-length", "5"), ("content-length", "6")), CHUNKED),
        ((*changed(method="POST"), ("content-length", "100000")), CHUNKED),
        ((*PLAIN, ("connection", "x-request-id, upgrade"), ("upgrade", "h2c")), ""),
        ((*PLAIN, ("X-Forwarded-For", FORGED), ("X-REAL-IP", FORGED)), ""),
        ((*PLAIN, *((name.lower(), FORGED) for name in CLAIMS)), ""),
        ((*PLAIN, *((name.lower().replace("-", "_"), FORGED) for name in CLAIMS)), ""),
        ((*PLAIN, *((f"x-{number}", "x" * 100) for number in range(300))), ""),
    ],
    ids=range(27),
)
def test_nothing_gets_through_by_http2_either(
    secure: EdgeSite, headers: tuple[tuple[str, str], ...], body: str
) -> None:
    answer = http2(secure.server, headers, body.encode())
    assert FORGED not in answer
    assert '"HTTP_X_REQUEST_ID": "smuggled"' not in answer
    told = answer.partition('"host": "')[2].partition('"')[0]
    assert told in {"", DOMAIN}


def test_nothing_was_smuggled_by_http2(secure: EdgeSite) -> None:
    assert '"path": "/by-http2"' in http2(secure.server, changed(path="/by-http2"))
    assert smuggled(secure.server) == []

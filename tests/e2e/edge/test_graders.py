"""What graders say of the sample site by HTTPS: testssl.sh, and the rules of MDN's HTTP Observatory."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ..kit.edge_site import EdgeSite, bring_live, sample_app
from ..kit.inside import shell
from ..kit.nginx_container import Edge, Started
from ..kit.visitors import ask
from ..kit.waiting import until

# What the grade is made of, and all that intermediate asks for. Runs by itself, while the other tests go on; on a busy
# machine a page may take longer than the 5 seconds that it would wait.
TESTSSL = """
domain=$1
set -- --protocols --std --fs --server-defaults --headers --heartbleed --ccs-injection --ticketbleed --robot \
    --renegotiation --crime --breach --poodle --tls-fallback --sweet32 --freak --drown --logjam --beast --lucky13 --rc4
TERM=dumb HEADER_MAXSLEEP=60 exec testssl --quiet --color 0 --warnings off --nodns none --ip 127.0.0.1 \
    --add-ca /root/root.pem --jsonfile /root/testssl.json "$@" "https://$domain"
"""
# What testssl.sh finds at fault, and why it stays so.
KNOWN = {
    "cert_revocation": "a test's certificate names no list of revoked ones; Let's Encrypt's do",
    "BREACH": "pages are compressed; Django masks its tokens against just this",
    "engine_problem": "of the OpenSSL that testssl.sh itself runs with",
    "sessionresumption_ticket": "a busy machine keeps it from telling; test_no_session_ticket_is_given does",
    "sessionresumption_ID": "the same; it is no fault either way",
}
INTERMEDIATE = {
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whom a visitor trusts (PEM)."""
    return tmp_path_factory.mktemp("graders") / "root.pem"


@pytest.fixture(scope="module")
def secure(edges: Callable[..., Edge], root: Path) -> EdgeSite:
    """The sample site by HTTPS."""
    site = bring_live(
        edges(), root.parent, sample_app(), DEPLOY_SITE="portfolio", DEPLOY_DOMAINS="portfolio.test",
        DEPLOY_DATABASE="external", DATABASE_URL="sqlite:////data/db.sqlite3", DEPLOY_VOLUMES="data:/data",
        SECRET_KEY="x" * 60,
    )  # fmt: skip
    root.write_text(site.encrypt())
    return site


@pytest.fixture(scope="module", autouse=True)
def testssl(secure: EdgeSite, root: Path) -> Started:
    """testssl.sh at work on it."""
    secure.server.put({"root/root.pem": root.read_bytes()})
    return secure.server.start(("sh", "-c", TESTSSL, "sh", secure.domain), "/root/testssl.log")


class Page:
    """An answer by HTTPS, every header line as it came."""

    def __init__(self, site: EdgeSite, root: Path, path: str) -> None:
        context = ssl.create_default_context(cafile=str(root))
        with (
            socket.create_connection(("127.0.0.1", site.server.https_port), 20) as plain,
            context.wrap_socket(plain, server_hostname=site.domain) as encrypted,
        ):
            connection = http.client.HTTPConnection(site.domain)
            connection.sock = encrypted
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            self.status, self.lines = answer.status, answer.getheaders()
            self.text = answer.read().decode(errors="replace")

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.lines if given.lower() == name]

    def one(self, name: str) -> str:
        return "".join(self.all(name)[:1])


# https://github.com/mdn/mdn-http-observatory/blob/main/src/grader/charts.js: one function a rule, its points as there.


def content_security_policy(page: Page) -> int:
    policy = {
        part.split()[0]: part.split()[1:] for part in page.one("content-security-policy").split(";") if part.strip()
    }
    if not policy:
        return -25
    sources = {source for name, values in policy.items() if name.endswith("-src") for source in values}
    if any(re.search(r"unsafe|^(data|https?):|\*", source) for source in sources) or "default-src" not in policy:
        return -20
    closed = policy["default-src"] == ["'none'"] and policy.get("form-action") in (["'none'"], ["'self'"])
    return 10 if closed else 5


def strict_transport_security(page: Page) -> int:
    age = re.search(r"max-age=(\d+)", page.one("strict-transport-security"))
    return -20 if not age else 0 if int(age.group(1)) >= 15_768_000 else -10


def cookies(page: Page) -> int:
    given = [cookie.lower() for cookie in page.all("set-cookie")]
    if not given:
        return 0
    bad = [cookie for cookie in given if not all(word in cookie for word in ("; secure", "; httponly", "; samesite="))]
    return -40 if bad else 5


def frames(page: Page) -> int:
    if "frame-ancestors 'none'" in page.one("content-security-policy"):
        return 5
    return 0 if page.one("x-frame-options") in {"DENY", "SAMEORIGIN"} else -20


def content_type_options(page: Page) -> int:
    return 0 if page.one("x-content-type-options") == "nosniff" else -5


def referrer(page: Page) -> int:
    private = {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}
    return 5 if page.one("referrer-policy") in private else -5


def scripts(page: Page) -> int:
    return -50 if re.search(r"<script[^>]+src=[\"']?(https?:)?//", page.text) else 0


def other_origins(page: Page) -> int:
    return -50 if page.all("access-control-allow-origin") else 0


RULES = (
    content_security_policy, strict_transport_security, cookies, frames, content_type_options, referrer, scripts,
    other_origins,
)  # fmt: skip


def score(page: Page) -> int:
    """The Observatory's: what is good counts only where little is bad."""
    points = [rule(page) for rule in RULES]
    bad = 100 + sum(point for point in points if point < 0)
    return bad + sum(point for point in points if point > 0) if bad >= 90 else bad


@pytest.mark.core
def test_the_observatory_gives_the_site_what_its_own_scanner_gave(secure: EdgeSite, root: Path) -> None:
    """120 points, of @mdn/mdn-http-observatory 1.4.8."""
    assert score(Page(secure, root, "/")) == 120


@pytest.mark.core
@pytest.mark.parametrize("path", ["/", "/about/", "/admin/login/", "/nowhere/", "/api/works/"])
def test_the_observatory_gives_every_page_its_best_grade(secure: EdgeSite, root: Path, path: str) -> None:
    page = Page(secure, root, path)
    assert score(page) >= 100, {rule.__name__: rule(page) for rule in RULES}
    plain = ask(secure.server, secure.domain, path)
    assert (plain.status, plain.headers["location"]) == (301, f"https://{secure.domain}{path}")


@pytest.mark.core
def test_a_bare_answer_would_not_get_it(secure: EdgeSite, root: Path) -> None:
    page = Page(secure, root, "/")
    page.lines = []
    assert score(page) == 100 - 25 - 20 - 20 - 5 - 5


@pytest.mark.core
def test_no_header_comes_twice_whoever_sends_it(secure: EdgeSite, root: Path) -> None:
    style = re.findall(r'href="(/static/[^"]+\.css)"', Page(secure, root, "/").text)[0]
    kinds = (
        "/",
        "/nowhere/",
        "/admin/login/",
        "/api/works/",
        style,
        "/static/none.css",
        "/media/none.png",
        "/.git/config",
    )
    for path in kinds:
        page = Page(secure, root, path)
        lines = Counter(given.lower() for given, _ in page.lines)
        assert {name: number for name, number in lines.items() if number > 1 and name != "vary"} == {}, "Vary is a list"
        for name in ("strict-transport-security", "x-content-type-options", "referrer-policy", "x-request-id"):
            assert page.one(name), (path, name)
        assert page.one("server") == "nginx", "no version is told"


@pytest.mark.core
def test_no_session_ticket_is_given(secure: EdgeSite, root: Path) -> None:
    """By TLS 1.2; by 1.3 what is called a ticket names an entry of Nginx's own cache."""
    context = ssl.create_default_context(cafile=str(root))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", secure.server.https_port), 20) as plain,
        context.wrap_socket(plain, server_hostname=secure.domain) as encrypted,
    ):
        assert encrypted.session
        assert not encrypted.session.has_ticket


def test_testssl_gives_its_best_grade_and_finds_nothing_below_intermediate(secure: EdgeSite, testssl: Started) -> None:
    until(lambda: not testssl.running, "testssl.sh", 900)
    found = {finding["id"]: finding for finding in json.loads(shell(secure.server, "cat /root/testssl.json"))}
    at_fault = {name for name, finding in found.items() if finding["severity"] not in {"OK", "INFO"}}
    assert at_fault - set(KNOWN) == set(), [found[name] for name in at_fault]
    assert found["overall_grade"]["finding"] == "A+"
    assert found["cert_chain_of_trust"]["finding"] == "passed."
    offered = {
        name
        for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3")
        if "not offered" not in found[name]["finding"]
    }
    assert offered == {"TLS1_2", "TLS1_3"}
    assert set(found["FS_ciphers"]["finding"].split()) <= INTERMEDIATE
    assert "not offered" in found["cipherlist_STRONG_NOFS"]["finding"], "and there are no others"
    assert "X25519MLKEM768" in found["FS_KEMs"]["finding"]

"""A static site's addresses, as the real Nginx answers them: pages, types, single-page applications."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from deploy.build import source
from deploy.certs import acme
from deploy.config.settings import Settings
from deploy.core.facts import Facts
from deploy.core.paths import Site
from deploy.core.steps import script
from deploy.host import provision
from deploy.nginx import generation, routing
from deploy.nginx import site as nginx_site
from deploy.releases import static_site
from tests import pki, sample

from ..kit import https
from ..kit.inside import shell
from ..kit.nginx_container import Edge
from ..kit.visitors import Answer, ask

pytestmark = pytest.mark.core

DOMAIN = "folder.test"
LONG = "x = 1;\n" * 400
NFD, NFC = (unicodedata.normalize(form, "bücher/über uns.html") for form in ("NFD", "NFC"))

PAGES = {
    "index.html": "the front page",
    "about.html": "about us",
    "about/team.html": "the team",
    "both.html": "the page of both",
    "both/index.html": "the folder of both",
    "docs/index.html": "documents",
    "docs/first.html": "the first",
    "404.html": "nothing here",
    "a b&c.html": "odd",
    "evil.example.html": "no other host",
    NFD: "about us, in German",
    "README.md": "# " + LONG,
    "data.csv": "a,b\n",
    "film.vtt": "WEBVTT\n",
    "meet.ics": "BEGIN:VCALENDAR\n",
    "app.webmanifest": "{}",
    "app.wasm": "\0asm",
    "app.mjs": LONG,
    "app.js": "1",
    "app.css": "p {}",
    "map.geojson": "{}",
    "font.ttf": "font",
    "apple-app-site-association": "{}",
    ".well-known/apple-app-site-association": "{}",
    ".well-known/matrix/server": "{}",
    ".well-known/atproto-did": "did:plc:x",
    ".well-known/security.txt": "Contact: mailto:ann@example.com",
    "unknown": "no ending",
}
TYPES = {
    "/README.md": "text/markdown; charset=utf-8",
    "/data.csv": "text/csv; charset=utf-8",
    "/film.vtt": "text/vtt; charset=utf-8",
    "/meet.ics": "text/calendar; charset=utf-8",
    "/app.webmanifest": "application/manifest+json",
    "/app.wasm": "application/wasm",
    "/app.mjs": "text/javascript; charset=utf-8",
    "/app.js": "application/javascript; charset=utf-8",
    "/app.css": "text/css; charset=utf-8",
    "/map.geojson": "application/geo+json",
    "/font.ttf": "font/ttf",
    "/apple-app-site-association": "application/json",
    "/.well-known/apple-app-site-association": "application/json",
    "/.well-known/matrix/server": "application/json",
    "/.well-known/atproto-did": "text/plain; charset=utf-8",
    "/.well-known/security.txt": "text/plain; charset=utf-8",
    "/about": "text/html; charset=utf-8",
    "/unknown": "application/octet-stream",
}


@dataclass
class Pages:
    """A static site in the container ``server``, with its settings and files in the laptop's ``folder``."""

    server: Edge
    folder: Path
    given: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        lines = {"DEPLOY_KIND": "static", "DEPLOY_SITE": "folder", "DEPLOY_APP": "pages", "DEPLOY_DOMAINS": DOMAIN}
        return Settings.load(sample.write_env(self.folder / ".env", lines | self.given))

    def facts(self) -> Facts:
        step = script("Read the facts", "facts", site="folder", paths=provision.watched())
        return Facts.parse(self.server.apply([step]))

    def release(self, identity: str, files: dict[str, str]) -> None:
        """A release of these files, live."""
        root, release = sample.files(self.folder / identity, files), Site("folder").release(identity)
        with ExitStack() as keep:
            settings = self.settings.model_copy(update={"app": root.name})
            found = source.find(settings, "", keep)
            static_site.check(found, settings.fallback)
            self.server.apply(static_site.place(release, found))
        shell(self.server, 'ln -sfn "$1" /srv/portside/folder/current', f"releases/{identity}")

    def serve(self, **settings: str) -> None:
        """Nginx has what these settings want."""
        self.given = settings
        facts, wanted = self.facts(), routing.final(static_site.ROUTES, [], "socket")
        own = nginx_site.site_file(self.settings, Site("folder"), wanted, facts)
        self.server.apply(generation.steps(generation.base(facts, own) | own, facts, "as the settings want it"))

    def ask(self, path: str, **headers: str) -> Answer:
        return ask(self.server, DOMAIN, path, headers=headers)

    def said(self, path: str) -> tuple[int, str]:
        answer = self.ask(path)
        return answer.status, answer.text


@pytest.fixture(scope="module", params=["trixie"])
def pages(
    request: pytest.FixtureRequest, edges: Callable[..., Edge], tmp_path_factory: pytest.TempPathFactory
) -> Pages:
    made = Pages(edges(request.param), tmp_path_factory.mktemp("pages"))
    steps = provision.rest(made.settings, made.facts())
    made.server.apply([step for step in steps if step.path])
    made.release(sample.OLD, PAGES)
    made.serve()
    return made


@pytest.mark.parametrize("path", TYPES)
def test_files_have_their_types(path: str, pages: Pages) -> None:
    answer = pages.ask(path)
    assert (answer.status, answer.headers["content-type"]) == (200, TYPES[path])
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/README.md", "/app.mjs"])
def test_text_comes_compressed(path: str, pages: Pages) -> None:
    assert pages.ask(path, **{"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"


def test_nginx_knows_no_ending_twice(pages: Pages) -> None:
    assert "duplicate extension" not in shell(pages.server, "nginx -t 2>&1")


@pytest.mark.parametrize(
    "path",
    ["/404", "/404/", "/404.html", "/404/index.html", "/%34%30%34", "//404", "/404?x=1", "/x/../404", "/none", "/none/",
     "/pictures", "/none.js", "/.well-known/", "/.well-known/none", "/.git/config", "/.git/", "/.env", "/unknown/",
     "/data.csv/"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(path: str, pages: Pages) -> None:
    answer = pages.ask(path)
    assert (answer.status, answer.text) == (404, "nothing here")
    assert "cache-control" not in answer.headers


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("/about/", "/about"),
        ("/about/?q=1&to=//evil.example/", "/about?q=1&to=//evil.example/"),
        ("/docs/first/", "/docs/first"),
        ("/about//", "/about"),
        ("//about/", "/about"),
        ("///about///?x", "/about?x"),
        ("/%61bout/", "/%61bout"),
        ("/a%20b%26c/", "/a%20b%26c"),
        ("//evil.example/", "/evil.example"),
        ("//evil.example//", "/evil.example"),
        ("/docs/../about/", "/docs/../about"),
        ("/docs", "/docs/"),
    ],
)
def test_a_slash_more_or_less_leads_to_the_page(path: str, to: str, pages: Pages) -> None:
    answer = pages.ask(path)
    assert (answer.status, answer.headers["location"]) == (301, to)
    assert answer.headers["cache-control"] == "no-cache", "the next release may have a folder there"
    assert pages.ask(to).status == 200, "no loop"


@pytest.mark.parametrize(
    "path",
    ["/about/.", "/about%2f", "/about/%2e", "/about/%0d%0aSet-Cookie:x=1/", "/%0d%0aabout/", "/%5cevil.example/",
     "/about%00/"],
)  # fmt: skip
def test_no_odd_spelling_leads_elsewhere(path: str, pages: Pages) -> None:
    answer = pages.ask(path)
    assert answer.status in {301, 400, 404}
    assert answer.headers.get("location", "/about") == "/about"
    assert "set-cookie" not in answer.headers


def test_a_folder_with_a_page_comes_first_at_its_slash(pages: Pages) -> None:
    assert (pages.said("/both"), pages.said("/both/")) == ((200, "the page of both"), (200, "the folder of both"))


@pytest.mark.parametrize("name", [NFC, NFD])
def test_a_name_that_macos_wrote_is_found_as_links_are_written(name: str, pages: Pages) -> None:
    for path in (name, name.removesuffix(".html")):
        assert pages.said("/" + quote(path)) == (200, "about us, in German")


def test_who_is_kept_out_is_not_told_which_pages_there_are(pages: Pages) -> None:
    pages.serve(DEPLOY_BASIC_AUTH="ann:secret-word", DEPLOY_FALLBACK="index.html")
    assert {pages.ask(path).status for path in ("/about/", "/none/", "/none", "/.well-known/none", "/app.js")} == {401}
    pages.serve(DEPLOY_ALLOW="203.0.113.7", DEPLOY_FALLBACK="index.html")
    assert {pages.ask(path).status for path in ("/about/", "/none/", "/none", "/.well-known/none", "/app.js")} == {403}
    pages.serve()


# Single-page applications

FALLBACK = "app/shell.0123abcd.html"
APP = PAGES | {FALLBACK: "the application", "assets/main.0123abcd.js": "1"}
ROUTES = ["/users/42", "/users/42/", "/users/jane.doe", "/domains/my-company-name.com", "/a/b/c?d=e", "/%C3%BCber",
          "/-/settings", "/v1.2/notes"]  # fmt: skip


@pytest.fixture(scope="module")
def app(pages: Pages) -> Pages:
    pages.given = {"DEPLOY_FALLBACK": FALLBACK}
    pages.release(sample.NEW, APP)
    pages.serve(DEPLOY_FALLBACK=FALLBACK)
    return pages


@pytest.mark.parametrize("path", ROUTES)
def test_a_path_that_does_not_exist_shows_the_application(path: str, app: Pages) -> None:
    answer = app.ask(path)
    assert (answer.status, answer.text) == (200, "the application")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache", "whatever its name"
    assert app.ask(path, **{"If-None-Match": answer.headers["etag"]}).status == 304


@pytest.mark.parametrize(
    "path",
    ["/assets/main.4567cdef.js", "/assets/none.js", "/none.css", "/logo.png", "/api/data.json", "/robots.txt",
     "/favicon.ico", "/content/none.md", "/wp-login.php", "/.well-known/none", "/.well-known/", "/.git/config",
     "/.git/", "/.env",
     "/404", "/404/"],
)  # fmt: skip
def test_a_file_that_does_not_exist_is_not_found_all_the_same(path: str, app: Pages) -> None:
    assert app.said(path) == (404, "nothing here")


def test_what_exists_comes_first(app: Pages) -> None:
    for path, said in (("/", "the front page"), ("/about", "about us"), ("/docs/", "documents"), ("/app.js", "1")):
        assert app.said(path) == (200, said)
    assert app.ask("/about/").headers["location"] == "/about"
    assert app.ask("/assets/main.0123abcd.js").headers["cache-control"] == "public, max-age=31536000, immutable"


def test_the_health_checks_path_may_be_the_applications(app: Pages) -> None:
    app.serve(DEPLOY_FALLBACK=FALLBACK, DEPLOY_HEALTH_PATH="/up", DEPLOY_BASIC_AUTH="ann:secret-word")
    assert app.said("/up") == (200, "the application")
    assert app.ask("/other").status == 401
    app.serve(DEPLOY_FALLBACK=FALLBACK)


def test_a_release_without_the_file_finds_nothing_there_and_no_loop(app: Pages) -> None:
    """As after a rollback."""
    shell(app.server, 'ln -sfn "$1" /srv/portside/folder/current', f"releases/{sample.OLD}")
    for path in ("/users/42", "/users/42/", "/none.js"):
        assert app.said(path) == (404, "nothing here")
    assert app.said("/") == (200, "the front page")
    shell(app.server, 'ln -sfn "$1" /srv/portside/folder/current', f"releases/{sample.NEW}")
    assert app.said("/users/42") == (200, "the application")


def test_404_html_can_be_the_application(app: Pages) -> None:
    app.serve(DEPLOY_FALLBACK="404.html")
    assert (app.said("/users/42"), app.said("/none.js")) == ((200, "nothing here"), (404, "nothing here"))


# HSTS


def test_hsts_0_makes_a_browser_forget(app: Pages) -> None:
    made, trusted = pki.issued(DOMAIN), https.Root(app.folder / "root.pem")
    trusted.trust(made.root)
    sample.files(app.folder, {"tls.pem": made.chain, "tls.key": made.key})
    own = {"DEPLOY_TLS_CERT": "tls.pem", "DEPLOY_TLS_KEY": "tls.key", "DEPLOY_HSTS": "0"}
    app.given = own
    app.server.apply(acme.install(app.settings, Site("folder"), app.facts()))
    app.serve(**own)
    for path, status in (("/about", 200), ("/about/", 301), ("/none", 404)):
        answer = https.get(app.server, trusted, DOMAIN, path)
        assert (answer.status, answer.headers["strict-transport-security"]) == (status, "max-age=0")
    assert "strict-transport-security" not in app.ask("/about").headers

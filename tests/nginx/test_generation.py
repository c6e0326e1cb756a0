"""Nginx: settings and facts -> files -> one generation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from deploy.config.settings import Settings
from deploy.core.facts import Facts, FileFact
from deploy.core.files import NGINX_TEMPLATES
from deploy.core.paths import Site
from deploy.nginx import generation as nginx_generation
from deploy.nginx import htpasswd, routing
from deploy.nginx import site as nginx_site
from deploy.nginx import templates as nginx_templates
from deploy.nginx.generation import MAIN
from deploy.nginx.routing import Edge, StaticRoute
from deploy.releases import static_site
from tests import goldens, sample
from tests.goldens import Texts, difference

FACTS = sample.facts("debian-13-live")


SITE = Site("gallery-2")


def site_file(settings: Settings, edge: Edge = sample.EDGE, facts: Facts = FACTS) -> str:
    return nginx_site.site_file(settings, Site(settings.site), edge, facts)[Site(settings.site).nginx_file]


def certified(*hosts: str) -> Facts:
    return sample.certified(FACTS, *hosts)


def differing(texts: Texts, files: str | Mapping[str, str], end: str = "") -> str:
    """The golden file of a site's files: how they differ from the plain ones."""
    name = f"nginx-site{end}.conf.txt"
    return difference(name, goldens.text(texts[name]), files if isinstance(files, str) else goldens.text(files))


def test_the_site_file_with_a_certificate(settings: Settings, texts: Texts, golden: Callable[[str, str], None]) -> None:
    files = nginx_site.site_file(settings, sample.SITE, sample.EDGE, certified(settings.canonical))
    golden("nginx-site-https.conf.txt", differing(texts, files))


def test_the_site_file_with_a_certificate_for_some_names(
    tmp_path: Path, texts: Texts, golden: Callable[[str, str], None]
) -> None:
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    text = site_file(settings, sample.EVERY_EDGE, certified("gallery.example", "old.example"))
    name = "nginx-site-every-setting.conf.txt"
    plain = goldens.text(texts[name])
    twice = plain + plain[plain.rindex("\nserver {") :]
    golden("nginx-site-half-https.conf.txt", difference(f"{name}, its last server twice", twice, text))


def test_a_site_reached_by_its_ports_proves_each_request(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DOMAINS="art.example,www.art.example", DEPLOY_UPSTREAM="port")
    by_port, proof = routing.final(sample.ROUTES, [], "port"), htpasswd.proof(settings)

    def lines(facts: Facts) -> list[str]:
        files = nginx_site.site_file(settings, sample.SITE, by_port, facts)
        found = files.pop("sites/portfolio.proof")
        assert proof not in "".join(files.values()), "everybody on the server may read the other files"
        return found.splitlines()[1:]

    assert lines(FACTS) == [f'"of art.example" {proof};']
    assert lines(certified("art.example")) == [f'"of art.example" {proof};', f'"of www.art.example" {proof};']
    assert "sites/portfolio.proof" not in nginx_site.site_file(settings, sample.SITE, sample.EDGE, FACTS)


def test_the_file_of_a_static_site(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    settings = sample.settings(
        tmp_path, sample.STATIC, DEPLOY_BASIC_AUTH="ann:horse", DEPLOY_HEALTH_PATH="/status/",
        DEPLOY_BLOCK_AGENTS="GPTBot", DEPLOY_NGINX_INCLUDE="extra.conf",
    )  # fmt: skip
    served = routing.final(static_site.ROUTES, [static_site.ROUTES], "socket")
    golden("nginx-site-static.conf.txt", site_file(settings, served, certified(settings.canonical)))


def test_a_static_site_asks_nobody(tmp_path: Path) -> None:
    text = site_file(sample.settings(tmp_path, sample.STATIC), routing.final(static_site.ROUTES, [], "socket"))
    assert not re.search("upstream|proxy_|client_max_body_size|limit_req", text)


@pytest.mark.parametrize(
    ("uri", "hashed"),
    [
        ("/style.0123abcd.css", True),
        ("/js/main-8f2a1c3b99.js", True),
        ("/a.b/x.d41d8cd98f00b204e9800998ecf8427e.min.js", True),
        ("/", False),
        ("/index.html", False),
        ("/photo-20241120.jpg", False),
        ("/photo-202411201530.jpg", False),
        ("/the-facade.jpg", False),
        ("/the-deadbeef.jpg", False),
        ("/main.0123abcd.css/", False),
        ("/main.0123abcd", False),
        ("/0123abcd.css", False),
    ],
)
def test_only_a_name_with_a_hash_is_never_asked_for_again(uri: str, hashed: bool) -> None:
    (pattern,) = re.findall(
        r'page_cache {\n *default no-cache;\n *"~(.*)" "', nginx_generation.base(FACTS)["snippets/maps.conf"]
    )
    assert bool(re.search(pattern, uri)) is hashed


def servers(text: str) -> list[tuple[str, str, str]]:
    """Of each server the port, the names and what it does."""
    found = []
    for server in re.split(r"^server {$", text, flags=re.MULTILINE)[1:]:
        (names,) = re.findall(r"server_name (.*);", server)
        (port,) = set(re.findall(r"listen (?:\[::\]:)?(\d+)", server))
        found.append((port, names, (re.findall(r"return (30. .*);", server) or ["the site"])[0]))
    return found


def test_each_name_has_one_server_a_port(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    assert servers(site_file(settings, facts=certified("www.gallery.example", "old.example"))) == [
        ("80", "www.gallery.example", "301 https://$host$request_uri"),
        ("443", "old.example", "302 https://www.gallery.example$request_uri"),
        ("80", "gallery.example old.example xn--bcher-kva.example", "302 https://www.gallery.example$request_uri"),
        ("443", "www.gallery.example", "the site"),
    ]
    assert servers(site_file(settings, facts=certified("*.gallery.example", "gallery.example"))) == [
        ("80", "gallery.example www.gallery.example", "301 https://$host$request_uri"),
        ("80", "old.example xn--bcher-kva.example", "301 https://gallery.example$request_uri"),
        ("443", "gallery.example www.gallery.example", "the site"),
    ]


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        ("1.24.0", ["    listen 443 ssl http2;", "    listen [::]:443 ssl http2;"]),
        ("1.25.1", ["    listen 443 ssl;", "    listen [::]:443 ssl;", "    http2 on;"]),
    ],
)
def test_the_version_decides_how_http2_is_asked_for(version: str, lines: list[str], settings: Settings) -> None:
    text = site_file(settings, facts=replace(certified(settings.canonical), nginx_version=f"nginx/{version}"))
    assert [line for line in text.splitlines() if "443" in line or "http2" in line] == lines


@pytest.mark.parametrize(
    ("version", "there"),
    [
        ("built with OpenSSL 3.5.7 9 Jun 2026", True),
        ("built with OpenSSL 3.0.19 27 Jan 2026", False),
        ("built with OpenSSL 3.0.2 15 Mar 2022 (running with OpenSSL 3.5.1 1 Jul 2025)", True),
        ("built with LibreSSL 3.8.2", False),
    ],
)
def test_openssls_version_decides_the_key_exchange(version: str, there: bool) -> None:
    text = nginx_generation.base(replace(FACTS, nginx_version=f"nginx version: nginx/1.26.3\n{version}"))[
        "snippets/tls.conf"
    ]
    assert ("ssl_ecdh_curve ?X25519MLKEM768:" in text) is there


def test_hsts_is_told_for_what_is_encrypted_and_0_makes_browsers_forget_it(tmp_path: Path) -> None:
    for seconds in ("86400", "0"):
        settings = sample.settings(tmp_path, sample.EVERY_SETTING, DEPLOY_HSTS=seconds)
        site = Site(settings.site)
        text = nginx_site.site_file(settings, site, sample.EDGE, certified("www.gallery.example"))[site.nginx_hsts]
        assert text.splitlines()[2:] == [f'"on www.gallery.example" "max-age={seconds}";']


def test_every_template_of_the_folder_is_used(settings: Settings) -> None:
    made = nginx_generation.base(FACTS) | nginx_site.site_file(settings, sample.SITE, sample.EDGE, FACTS)
    templates = {path.relative_to(NGINX_TEMPLATES).as_posix() for path in NGINX_TEMPLATES.rglob("*") if path.is_file()}
    at_times = {"site.http3.j2", "site.proof.j2"}
    parts = {path for path in templates if path.startswith("site/")} | at_times
    text = (NGINX_TEMPLATES / "site.conf.j2").read_text()
    assert parts == {*re.findall(r'"(site/[^"]+)"', text), *at_times}
    assert len(made) == len(templates - parts)
    shared = {f"{path}.j2" for path in made if path.startswith(("snippets/", "pages/"))}
    assert shared == {path for path in templates if path.startswith(("snippets/", "pages/"))}


def test_every_snippet_that_is_included_exists(tmp_path: Path) -> None:
    own = nginx_site.site_file(sample.settings(tmp_path, sample.EVERY_SETTING), SITE, sample.EDGE, FACTS)
    files = nginx_generation.base(FACTS) | own
    text = "\n".join(files.values())
    included = re.findall(r"include /etc/nginx/portside/(\S+);", text)
    assert {path for path in included if "*" not in path} - set(files) == {"generation.conf"}


def test_no_template_leaves_anything_unrendered(settings: Settings) -> None:
    files = nginx_generation.base(FACTS) | {"site": site_file(settings)}
    for text in [text for path, text in files.items() if not path.startswith("pages/")]:
        assert not re.search(r"{{|{%|\bNone\b|\bUndefined\b", text)
        assert text.endswith("\n")
        assert text.count("{") == text.count("}")


def test_a_name_that_a_template_misspells_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        nginx_templates._environment().from_string("server_name {{ domians }};").render(domains="x")


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("", ""),
        ('unknown directive "x" in /etc/nginx/sites-enabled/theirs:1', "/etc/nginx/sites-enabled/theirs:1"),
        ('cannot load "/none.pem" in /etc/nginx/portside/sites/portfolio.conf:9', ""),
    ],
)
def test_what_somebody_else_has_broken_is_named_and_ours_is_mended(said: str, named: str) -> None:
    told = nginx_generation.broken(replace(sample.provisioned(), nginx_broken=said))
    assert named in told
    assert bool(told) == bool(named)


def test_nothing_is_listened_to_by_ipv6_where_there_is_none(settings: Settings) -> None:
    facts = replace(FACTS, ipv6=False)
    assert "[::]" not in "".join([*nginx_generation.base(facts).values(), site_file(settings, facts=facts)])


@pytest.mark.parametrize(("version", "there"), [("1.18.0", False), ("1.19.4", True), ("1.26.3", True)])
def test_an_unknown_names_tls_is_refused(version: str, there: bool) -> None:
    text = nginx_generation.base(replace(FACTS, nginx_version=f"nginx/{version}"))["sites/00-default.conf"]
    assert ("ssl_reject_handshake on" in text) is there
    assert ("ssl_certificate data:$portside_no_certificate;" in text) is not there
    assert "listen 443 ssl" in text, "an unknown name meets no site of ours"


@pytest.mark.parametrize(("version", "there"), [("1.26.3", False), ("1.29.7", True)])
def test_connections_to_the_application_are_never_pooled(version: str, there: bool, settings: Settings) -> None:
    text = site_file(settings, facts=replace(FACTS, nginx_version=f"nginx/{version}"))
    assert ("keepalive 0;" in text) is there


@pytest.mark.parametrize(
    ("static_routes", "locations"),
    [
        ((), []),
        ((StaticRoute("/static/"),), ["/static/", "@older_static"]),
        ((StaticRoute("/media/", media=True),), ["/media/"]),
        (
            (StaticRoute("/s/"), StaticRoute("/old/", own=False)),
            ["/s/", "/old/", "@older_static", "@older_static_or_application", "@application"],
        ),
        (
            (StaticRoute("/m/", media=True), StaticRoute("/old/", media=True, own=False)),
            ["/m/", "/old/", "@application"],
        ),
    ],
)
def test_only_what_releases_have_is_served(
    static_routes: tuple[StaticRoute, ...], locations: list[str], settings: Settings
) -> None:
    text = site_file(settings, Edge(static_routes=static_routes))
    assert re.findall(r"location (?:\^~ )?(/.+/|@\S+) {", text) == locations
    assert set(re.findall(r"@\w+", text)) == {location for location in locations if location[0] == "@"}


def upstream(settings: Settings, edge: Edge) -> str:
    return site_file(settings, edge).partition("upstream ")[2].partition("\n}")[0]


def test_the_application_is_reached_by_its_socket_or_its_ports(settings: Settings) -> None:
    assert re.findall(r"server (\S+);", upstream(settings, Edge())) == [
        "unix:/srv/portside/portfolio/current/run/web-1.sock"
    ]
    assert re.findall(r"server (\S+);", upstream(settings, Edge(1, (8104,)))) == ["127.0.0.1:8104"]


def test_several_replicas_are_balanced_and_a_dead_one_is_passed_over(settings: Settings) -> None:
    text = upstream(settings, Edge(3))
    assert re.findall(r"web-(\d)\.sock max_fails=0;", text) == ["1", "2", "3"]
    assert "least_conn;" in text
    assert "least_conn" not in upstream(settings, Edge(1))
    assert "proxy_next_upstream error timeout;" in nginx_generation.base(FACTS)["snippets/upstream-timeouts.conf"]


def test_the_site_file_of_two_releases(settings: Settings, texts: Texts, golden: Callable[[str, str], None]) -> None:
    static_routes = (
        StaticRoute("/files/"), StaticRoute("/static/", own=False), StaticRoute("/uploads/", media=True),
        StaticRoute("/media/", media=True, own=False),
    )  # fmt: skip
    text = site_file(settings, Edge(3, (8101, 8102, 8103), static_routes))
    golden("nginx-site-two-releases.conf.txt", differing(texts, text))


def test_every_location_of_a_site_sends_the_headers(tmp_path: Path) -> None:
    text = site_file(sample.settings(tmp_path, sample.EVERY_SETTING))
    snippets = {f"include /etc/nginx/portside/{path};": body for path, body in nginx_generation.base(FACTS).items()}
    spread = text
    for _ in range(2):
        spread = re.sub(r"include .*?;", lambda found: snippets.get(found.group(), ""), spread)
    locations = re.findall(r"\n    location [^{]*{(.*?)\n    }", spread, re.DOTALL)
    inner = re.findall(r'location ~ "[^"]*" {(.*?)}', spread, re.DOTALL)
    assert (len(locations), len(inner)) == (7, 1)
    assert ["add_header X-" in location for location in [*locations, *inner]] == [True] * 8


def hashed_names(settings: Settings) -> re.Pattern[str]:
    (pattern,) = re.findall(r'location ~ "([^"]*)" {', site_file(settings))
    return re.compile(pattern)


@pytest.mark.parametrize(
    "path", ["/static/site.0123456789ab.css", "/static/js/main-B2c_4-Qx.js", "/static/a/chunk.deadbeef.js.map"]
)
def test_a_file_with_a_hash_in_its_name_is_looked_for_in_older_releases(path: str, settings: Settings) -> None:
    assert hashed_names(settings).search(path)


@pytest.mark.parametrize("path", ["/static/site.css", "/static/img/logo.v2.svg", "/static/site.0123456789ab/x.css"])
def test_a_file_without_one_is_not(path: str, settings: Settings) -> None:
    assert not hashed_names(settings).search(path)


def test_equal_files_are_the_same_generation(settings: Settings) -> None:
    files = nginx_generation.base(FACTS)
    assert (
        nginx_generation.generation(files, sample.bare()).name
        == nginx_generation.generation(dict(files), sample.bare()).name
    )
    other = files | {"nginx.conf": "changed"}
    assert (
        nginx_generation.generation(other, sample.bare()).name != nginx_generation.generation(files, sample.bare()).name
    )


def test_other_sites_files_are_kept_and_our_old_ones_go() -> None:
    live = replace(
        FACTS, nginx_files={"sites/blog.conf": "1" * 64, "sites/00-default.conf": "2", "snippets/old.conf": "3"}
    )
    generation = nginx_generation.generation({"nginx.conf": "x"}, live)
    assert generation.kept == ("sites/blog.conf",)
    assert generation.name != nginx_generation.generation({"nginx.conf": "x"}, sample.bare()).name


def test_a_sites_new_file_replaces_its_old_one() -> None:
    live = replace(FACTS, nginx_files={"sites/blog.conf": "1" * 64})
    assert nginx_generation.generation({"sites/blog.conf": "new"}, live).kept == ()


def test_a_generation_travels_with_its_files() -> None:
    step = nginx_generation.generation({"nginx.conf": "x"}, replace(FACTS, nginx_files={"sites/a.conf": "1"})).step(
        "a reason"
    )
    (name,) = step.generations
    assert step.files == {
        f"{name}/kept": b"sites/a.conf\n", "main": MAIN.encode(), f"{name}/new/nginx.conf": b"x",
    }  # fmt: skip
    assert step.script == "nginx"
    assert (step.before, step.status_port, step.page) == (FACTS.nginx_generation, 8099, "")


def test_a_generation_takes_the_distributions_default_page_away_and_no_other(settings: Settings) -> None:
    bare = replace(sample.bare(), nginx_default="distribution")
    (step,) = nginx_generation.steps({"nginx.conf": "x"}, bare, "base")
    assert step.page == "/etc/nginx/sites-enabled/default"
    (step,) = nginx_generation.steps({"nginx.conf": "x"}, replace(bare, nginx_default="other"), "base")
    assert step.page == ""
    facts = replace(sample.live(settings), nginx_default="other")
    assert nginx_generation.steps(nginx_generation.base(facts), facts, "again") == []


def test_a_live_generation_needs_nothing(settings: Settings) -> None:
    facts = sample.live(settings)
    assert nginx_generation.steps(nginx_generation.base(facts), facts, "again") == []


@pytest.mark.parametrize(
    "changed",
    [{"nginx_active": False}, {"nginx_files": {"nginx.conf": "0"}}, {"nginx_default": "distribution"}, {"files": {}}],
)
def test_what_differs_from_the_live_generation_makes_it_anew(changed: dict[str, object], settings: Settings) -> None:
    facts = replace(sample.live(settings), **changed)  # type: ignore[arg-type]
    assert len(nginx_generation.steps(nginx_generation.base(facts), facts, "again")) == 1


def test_an_nginx_conf_of_somebodys_own_is_refused() -> None:
    own = replace(sample.bare(), files={"/etc/nginx/nginx.conf": FileFact(0o644, "0:0", "1")}, nginx_conf="other")
    assert "was changed by hand" in nginx_generation.conflicts(own)[0]
    assert nginx_generation.conflicts(replace(own, nginx_conf="distribution")) == []


def test_our_own_nginx_conf_is_no_conflict(settings: Settings) -> None:
    assert nginx_generation.conflicts(sample.live(settings)) == []


def test_a_default_server_of_somebody_else_is_refused() -> None:
    page = "/etc/nginx/sites-enabled/default"
    facts = replace(sample.bare(), nginx_default_servers=(page, "/etc/nginx/conf.d/old.conf"))
    assert [text.split()[0] for text in nginx_generation.conflicts(replace(facts, nginx_default="distribution"))] == [
        "/etc/nginx/conf.d/old.conf"
    ]
    assert len(nginx_generation.conflicts(replace(facts, nginx_default="other"))) == 2


def test_without_a_site_every_other_file_stays_as_it_is(settings: Settings) -> None:
    """Not made anew either: what another site's file includes is what it was tested with."""
    read = sample.live(settings)
    others = {
        "sites/portfolio-2.conf": "1",
        "sites/portfolio-data.htpasswd": "2",
        "snippets/of-another-version.conf": "3",
    }
    facts = replace(read, nginx_files=read.nginx_files | others)
    made = nginx_generation.without(sample.SITE, facts)
    assert made is not None
    assert set(made.kept) == set(facts.nginx_files) - {"sites/portfolio.conf", "sites/portfolio.hsts"}
    assert set(others) <= set(made.kept)
    assert (made.files, made.before) == ({}, facts.nginx_generation)


def test_without_a_site_that_it_does_not_know_nginx_is_as_it_should_be() -> None:
    assert nginx_generation.without(sample.SITE, sample.provisioned()) is None


UWSGI = Edge(2, (), sample.EDGE.static_routes, ("uwsgi",))
BOTH = replace(UWSGI, protocols=("http", "uwsgi"), asynchronous=True)


def every_setting(folder: Path) -> Settings:
    return sample.settings(folder, sample.EVERY_SETTING, DEPLOY_WORKER_CLASS="gthread", DEPLOY_PROTOCOL="uwsgi")


def test_the_site_file_while_the_protocol_changes(
    tmp_path: Path, texts: Texts, golden: Callable[[str, str], None]
) -> None:
    text = differing(texts, site_file(every_setting(tmp_path), BOTH), "-every-setting")
    golden("nginx-site-two-protocols.conf.txt", text)


def test_a_site_by_uwsgi_uses_nothing_of_http(tmp_path: Path) -> None:
    text = site_file(every_setting(tmp_path), UWSGI)
    assert not re.search(r"proxy|next_", re.sub(r"\n *#.*|include \S+", "", text))
    assert re.findall(r"server unix:\S+/(\S+) ", text) == ["web-1.uwsgi", "web-2.uwsgi"]
    assert text.count("uwsgi_pass portside_gallery_2;") == 2


def test_whoever_is_not_there_is_asked_in_the_other_protocol_and_in_no_third(tmp_path: Path) -> None:
    text = site_file(every_setting(tmp_path), BOTH)
    assert re.findall(r"error_page 502 = (\S+);", text) == ["@next_release", "@next_release_health"]
    first, second = re.findall(r"location @next_release\w* {.*?\n    }", text, re.DOTALL)
    for location in (first, second):
        assert "uwsgi_pass next_portside_gallery_2;" in location
        assert "if ($portside_sent) {" in location
        assert not re.search(r"\berror_page ", location)
    assert ("limit_req" in first, "allow all" in first) == (True, False)
    assert ("limit_req" in second, "allow all" in second) == (False, True)


def test_what_a_client_claims_is_overwritten_in_either_protocol() -> None:
    snippets = nginx_generation.base(FACTS)
    by_http = re.findall(r"proxy_set_header (\S+) (\S+);", snippets["snippets/proxy.conf"])
    by_uwsgi = dict(re.findall(r"uwsgi_param HTTP_(\S+) (\S+)", snippets["snippets/uwsgi.conf"].replace(";", " ")))
    for name, value in by_http:
        if name not in {"Connection", "Upgrade"}:  # uwsgi upgrades nothing
            assert by_uwsgi[name.upper().replace("-", "_")] == value
    assert (by_uwsgi["CONNECTION"], by_uwsgi["UPGRADE"]) == ("close", '""')


def edited_by_hand(settings: Settings) -> Facts:
    facts = sample.live(settings)
    return replace(facts, nginx_files=facts.nginx_files | {"nginx.conf": "e" * 64})


def test_a_file_that_was_changed_by_hand_is_put_right(settings: Settings) -> None:
    facts = edited_by_hand(settings)
    every = (sample.live(settings), facts, sample.bare())
    assert tuple(nginx_generation.edited(each) for each in every) == (
        False, True, False,
    )  # fmt: skip
    (step,) = nginx_generation.steps(nginx_generation.base(facts), facts, "again")
    assert step.generation != facts.nginx_generation, "the live one isn't written over"


def test_what_was_put_right_needs_nothing_more(settings: Settings) -> None:
    facts = edited_by_hand(settings)
    name = nginx_generation.generation(nginx_generation.base(facts), facts).name
    right = replace(sample.live(settings), nginx_generation=name)
    assert nginx_generation.steps(nginx_generation.base(right), right, "again") == []
    assert not nginx_generation.edited(right)
    again = replace(facts, nginx_generation=name)
    assert (
        nginx_generation.generation(nginx_generation.base(again), again).name == sample.live(settings).nginx_generation
    )

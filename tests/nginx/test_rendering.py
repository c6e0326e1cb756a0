"""Rules that hold for what the templates make of any two settings together, on two versions of Nginx.

Whether Nginx takes it, tests/e2e/edge/test_rendering.py asks Nginx.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import nginxconf, pairs, renderings
from tests.nginxconf import Directive
from tests.renderings import Rendering

GIXY = Path(sys.executable).with_name("gixy")
ON_EVERY_ANSWER = {"X-Request-ID", "X-Content-Type-Options", "Referrer-Policy", "Strict-Transport-Security", "Alt-Svc"}

# What gixy-ng says and we don't follow: check -> part of what it says -> why.
NOT_FOLLOWED = {
    "http2_misdirected_request": {
        "return 421": "A host name that isn't ours gets no answer: that is promised, and 444 is none.",
    },
    "try_files_is_evil_too": {
        "without open_file_cache": "A cache of open files would go on serving the release before.",
    },
    "return_bypasses_allow_deny": {
        "in the same scope": "It says no more than a refusal: test_what_is_returned_tells_nobody_anything.",
    },
}


class Tried(dict[str, list[tuple[Rendering, Directive]]]):
    """Every rendering and its tree, by the version of Nginx."""

    @property
    def all(self) -> list[tuple[Rendering, Directive]]:
        return [each for version in self.values() for each in version]

    def every(self, name: str) -> Iterator[Directive]:
        """Every directive by this name."""
        return (found for _, tree in self.all for found in tree.walk() if found.name == name)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Tried:
    found = Tried()
    for version, told in renderings.NGINX.items():
        made = renderings.renderings(tmp_path_factory.mktemp(version), told)
        found[version] = [(each, nginxconf.parse(each.files, "nginx.conf", renderings.LIVE)) for each in made]
    return found


def public(location: Directive) -> bool:
    """Whether visitors can come to it: not the servers that are this machine's alone, nor those that answer nobody."""
    return not any(str(inner).startswith("listen 127.") for inner in location.parents[-1].block) and not any(
        str(inner) == "return 444" for inner in location.block
    )


def headers(block: Directive) -> list[str]:
    return [found.words[0] for found in block.inherited("add_header")]


def test_any_two_values_meet() -> None:
    for factors, combinations in (
        (renderings.FACTORS, renderings.PROJECTS),
        (renderings.FOLDER_FACTORS, renderings.FOLDERS),
    ):
        seen = {pair for combination in combinations for pair in pairs.pairs_of(combination)}
        assert pairs.every_pair(factors) <= seen
    assert len(renderings.COMBINATIONS) < 60


def test_the_same_factors_make_the_same_combinations() -> None:
    assert pairs.all_pairs(renderings.FOLDER_FACTORS) == pairs.all_pairs(dict(renderings.FOLDER_FACTORS))
    assert pairs.all_pairs({"one": ("a", "b"), "other": ("c",)}) == [
        {"one": "a", "other": "c"},
        {"one": "b", "other": "c"},
    ]


def test_what_is_read_is_what_was_written() -> None:
    files = {
        "a": 'http {\n    # a { comment\n    map $x $y { "" "a;b"; "~^x{2}$" 1; }\n    include /n/b*;\n}\n',
        "b1": "c d;\n",
    }
    tree = nginxconf.parse(files, "a", "/n")
    assert nginxconf.text(tree) == (
        'http {\n    map $x $y {\n        "" "a;b";\n        "~^x{2}$" 1;\n    }\n    c d;\n}\n'
    )
    assert nginxconf.text(nginxconf.parse({"a": nginxconf.text(tree)}, "a", "/n")) == nginxconf.text(tree)


def test_a_location_with_an_alias_ends_in_a_slash_as_the_alias_does(tried: Tried) -> None:
    """Otherwise what lies beside the folder can be reached, or nothing in it."""
    seen = 0
    for alias in tried.every("alias"):
        location = alias.parents[-1]
        assert location.name == "location"
        assert [location.words[0], alias.words[0][-3:]] == ["~", "/id"] or (
            location.words[-1].endswith("/") and alias.words[0].endswith("/")
        ), str(location)
        seen += 1
    assert seen > 100


def test_the_application_is_always_told_the_same_of_its_visitor(tried: Tried) -> None:
    for rendering, tree in tried.all:
        wanted = re.findall(r"^proxy_set_header (\S+)", rendering.files["snippets/proxy.conf"], re.MULTILINE)
        assert len(wanted) == len(set(wanted)) > 10
        asked = [found.parents[-1] for found in tree.walk() if found.name == "proxy_pass"]
        assert asked
        for location in asked:
            assert [header.words[0] for header in location.own("proxy_set_header")] == wanted
            assert re.fullmatch(r"http://portside_\w+", location.own("proxy_pass")[0].words[0]), "no path after it"


def test_no_claim_of_the_client_is_passed_on(tried: Tried) -> None:
    for header in tried.every("proxy_set_header"):
        assert not re.search(r"\$(http_|proxy_add_|sent_http_)", header.words[1]), str(header)


def test_every_answer_has_the_headers_and_each_of_them_once(tried: Tried) -> None:
    for block in (*tried.every("location"), *tried.every("server")):
        if block.braces and block.name == "location" and public(block):
            sent = Counter(headers(block))
            assert set(sent) >= ON_EVERY_ANSWER, str(block)
            assert {name: number for name, number in sent.items() if number > 1} == {}, str(block)


def test_so_have_answers_that_no_location_gives(tried: Tried) -> None:
    for server in tried.every("server"):
        if server.braces and any(str(inner).startswith(("listen 80", "listen 443 ssl;")) for inner in server.block):
            refuses = any(str(inner) == "ssl_reject_handshake on" for inner in server.block)
            assert refuses or set(headers(server)) == ON_EVERY_ANSWER


def test_an_if_does_nothing_that_it_cannot(tried: Tried) -> None:
    """https://github.com/nginxinc/nginx-wiki/blob/master/source/start/topics/depth/ifisevil.rst

    Outside of a server only where nothing else is asked for: there @page finds out where a slash leads.
    """
    inside = {inner.name for condition in tried.every("if") for inner in condition.block}
    assert inside == {"return", "set"}
    around = {condition.parents[-1] for condition in tried.every("if")}
    assert {text for block in around if "@next_release" not in (text := " ".join((block.name, *block.words)))} == {
        "server",
        "location @page",
    }


def test_what_is_returned_tells_nobody_anything(tried: Tried) -> None:
    """A ``return`` comes before ``allow`` and ``deny``: who is kept out sees it too."""
    said = {
        str(found)
        for found in tried.every("return")
        if any(block.own("deny") or block.own("allow") for block in found.parents)
        and found.parents[-1].words != ("=", "/teapot")
        and not any(block.words == ("@page",) for block in found.parents)
    }
    to_another_name = {text for text in said if re.fullmatch(r"return 302 https?://[^/$]+\$request_uri", text)}
    assert said - to_another_name == {"return 404", "return 444", "return 502", "return 503"}


def test_a_page_is_looked_for_only_for_whoever_is_let_in(tried: Tried) -> None:
    """Nothing leads to @page but try_files, which comes after ``allow``, ``deny`` and passwords."""
    leading = {found.name for _, tree in tried.all for found in tree.walk() if "@page" in found.words}
    assert leading == {"location", "try_files"}


def test_files_of_people_and_private_ones_are_sandboxed_and_lead_nowhere(tried: Tried) -> None:
    for rendering, tree in tried.all:
        for location in (found for found in tree.walk() if found.name == "location" and found.own("alias")):
            (alias,) = location.own("alias")
            if re.search(r"/(media|volumes/\w+)/$", alias.words[0]):
                assert str(location.own("disable_symlinks")[0]) == f"disable_symlinks on from={alias.words[0][:-1]}"
                policy = next(
                    found
                    for found in location.own("add_header")
                    if "Policy" in found.words[0] and "sandbox" in str(found)
                )
                assert policy.words[0] == "Content-Security-Policy"
                assert ("volumes" in alias.words[0]) == bool(location.own("internal")), rendering.name


def test_every_server_listens_on_both_protocols_or_on_one(tried: Tried) -> None:
    for rendering, tree in tried.all:
        for server in (found for found in tree.walk() if found.name == "server" and found.own("listen")):
            listens = [str(found) for found in server.own("listen")]
            sixth = [line for line in listens if "[::]" in line]
            if listens == ["listen 127.0.0.1:8099"]:
                continue
            assert len(sixth) == (len(listens) / 2 if rendering.chosen["ipv6"] == "yes" else 0)
            assert {line.replace("[::]:", "") for line in sixth} <= set(listens)


def test_every_path_of_a_site_is_its_own(tried: Tried) -> None:
    """And of no other site: Nginx itself refuses two zones, maps or caches of one name."""
    for rendering, _ in tried.all:
        text = "\n".join(rendering.own.values())
        found = set(re.findall(r"/srv/portside/([^/;\s]+)/|/var/log/nginx/(.+?)\.(?:access|error)\.log", text))
        assert {name for names in found for name in names if name} == {rendering.site.name}
        for zone in re.findall(r"(?:zone=|zone |upstream |\$blocked_)(\w+)", text):
            assert zone.endswith(f"portside_{rendering.site.name.replace('-', '_')}")


def test_a_line_that_is_not_always_there_says_which_setting_made_it(tried: Tried) -> None:
    silent = {"DEPLOY_SITE", "DEPLOY_DOMAINS", "DEPLOY_APPLICATION", *renderings.sample.LINES}
    unsaid = {("DEPLOY_KIND", "static"), ("DEPLOY_REPLICAS", "1"), ("DEPLOY_UPSTREAM", "socket"), ("DEPLOY_HSTS", "0")}
    for rendering, _ in tried.all:
        lines = rendering.settings.dotenv.values
        given = {(name, value.reveal()) for name, value in lines.items() if name not in silent} - unsaid
        text = "\n".join(rendering.own.values())
        if "uwsgi" not in renderings.edge(rendering.chosen).protocols:  # not before the switch, where Nginx uses ports
            given.discard(("DEPLOY_PROTOCOL", "uwsgi"))
        if rendering.site.nginx_http3 not in rendering.own:  # neither without a certificate, nor by every Nginx
            given.discard(("DEPLOY_HTTP3", "on"))
        if rendering.chosen["health"] == "own":
            given.add(("DEPLOY_HEALTH_PATH", ""))
        assert {name for name, _ in given if name not in text} == set(), rendering.name


@pytest.mark.parametrize("version", renderings.NGINX)
def test_gixy_finds_nothing(version: str, tried: Tried, tmp_path: Path) -> None:
    """https://github.com/dvershinin/gixy, on each rendering with its includes spread out."""
    paths = []
    for rendering, tree in tried[version]:
        paths.append(tmp_path / f"{rendering.name}.conf")
        paths[-1].write_text(nginxconf.text(tree), encoding="utf-8")
    found = gixy(version, paths)
    assert {finding for finding in found if not _accepted(version, *finding)} == set()


def test_gixy_finds_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "bad.conf"
    path.write_text("http { server { location /static { alias /srv/static/; } } }", encoding="utf-8")
    assert "alias_traversal" in {check for check, _ in gixy("1.26.3", [path])}


def gixy(version: str, paths: list[Path]) -> set[tuple[str, str]]:
    """Its findings: check, and what it says. A header that it may drop is one that says how long to keep an answer."""
    kept = ",".join(ON_EVERY_ANSWER)
    words = (GIXY, "-f", "json", "--nginx-version", version, "--add-header-redefinition-headers", kept, *paths)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert not done.stderr.strip(), done.stderr[:2000]
    return {(finding["plugin"], f"{finding['summary']} {finding['reason']}") for finding in json.loads(done.stdout)}


def _accepted(version: str, check: str, said: str) -> bool:
    known = {**NOT_FOLLOWED.get(check, {}), **(renderings.BACKPORTED[version] if check == "nginx_cves" else {})}
    return any(part in said for part in known)

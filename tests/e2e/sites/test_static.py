"""A folder of files as a site: without a container, and otherwise as good as an application.

Nobody is lost, what doesn't work never goes live, and whoever dies leaves nothing half-done.
"""

from __future__ import annotations

import gzip
import http.client
import re
import shutil
import signal
import socket
import ssl
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from deploy.flows.flow import DEPLOY
from deploy.flows.stages import registry
from deploy.practice import Practice

from ..kit import small
from ..kit.inside import live, shell
from ..kit.names import PREFIX
from ..kit.project import Project
from ..kit.tiny import WHOLE
from ..kit.visitors import Answer, ask, visitors
from ..kit.waiting import HANGS, left, until

pytestmark = pytest.mark.begins("bare")

DOMAIN, SECOND = f"pages-{PREFIX}.test", f"again.pages-{PREFIX}.test"
OLD_STYLE, NEW_STYLE = "style.0123abcd.css", "style.4567cdef.css"
DECOMPOSED = unicodedata.normalize("NFD", "über/grüße.html")
RULES = "p { color: black }\n" * 200
STAGES = [name for name in DEPLOY.stages if not registry.STAGES[name].containers]


def page(title: str, style: str = OLD_STYLE) -> str:
    return f'<!doctype html><title>{title}</title><link rel="stylesheet" href="/{style}"><p>Ä page.\n'


FILES = {
    "site/index.html": page("one"),
    "site/about.html": page("About us"),
    "site/about/team.html": page("The team"),
    "site/docs/index.html": page("Documents"),
    "site/docs/first.html": page("The first"),
    "site/plain": "no extension\n",
    "site/plain.html": page("not the file"),
    "site/pictures/a.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    f"site/{OLD_STYLE}": RULES,
    "site/404.html": page("Nothing here"),
    f"site/{DECOMPOSED}": page("By macOS"),
    "site/.htaccess": "deny from all\n",
    "site/.well-known/security.txt": "Contact: mailto:ann@example.com\n",
    "README.md": "beside the site, so not of it\n",
}


@pytest.fixture(scope="module")
def pages(projects: Callable[[str], Project]) -> Project:
    """A folder of pages, as yet not live."""
    project = projects("pages")
    project.write(FILES)
    project.commit("Begin")
    project.set(DEPLOY_KIND="static", DEPLOY_APP="site", DEPLOY_DOMAINS=DOMAIN)
    return project


@pytest.fixture(scope="module")
def site(pages: Project) -> Project:
    """The same, live."""
    if not pages.server.exec(("sh", "-c", "readlink /srv/portside/pages/current"), check=False):
        pages.deploy()
    return pages


def get(site: Project, path: str, **headers: str) -> tuple[int, str]:
    answer = ask(site.server, DOMAIN, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return answer.status, answer.text


def changed(site: Project, title: str, files: dict[str, str] | None = None) -> None:
    """Another front page, and these files, committed and not deployed."""
    site.write({"site/index.html": page(title), **(files or {})})
    site.commit(title)


def title(site: Project) -> str:
    found = re.search("<title>(.*)</title>", ask(site.server, DOMAIN).text)
    return found.group(1) if found else ""


def generation(site: Project) -> str:
    return shell(site.server, "readlink /etc/nginx/portside")


# Put live


@pytest.mark.core
def test_a_bare_server_is_live_without_docker(pages: Project) -> None:
    done = pages.deploy()
    assert done.stages == STAGES
    assert "manage" not in done.out
    assert title(pages) == "one"
    assert not re.search("docker|containerd", shell(pages.server, "dpkg-query -W -f '${Package}\\n'"))
    assert shell(pages.server, "systemctl --failed --plain --no-legend").strip() == ""


@pytest.mark.core
def test_again_there_is_nothing_to_do(site: Project) -> None:
    before = shell(site.server, "find /srv/portside /etc/nginx -printf '%p %T@ %l\\n' | sort")
    done = site.deploy("--verbose")
    assert "nothing to do;" in done.out
    assert done.round_trips <= 3
    assert shell(site.server, "find /srv/portside /etc/nginx -printf '%p %T@ %l\\n' | sort") == before


@pytest.mark.core
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", "one"),
        ("/index.html", "one"),
        ("/about", "About us"),
        ("/about.html", "About us"),
        ("/about/team", "The team"),
        ("/docs/", "Documents"),
        ("/docs/first", "The first"),
        ("/docs/?q=1", "Documents"),
        ("/plain", "no extension"),
        ("/.well-known/security.txt", "Contact"),
    ],
)
def test_an_address_leads_to_its_file(path: str, said: str, site: Project) -> None:
    status, text = get(site, path)
    assert (status, said in text) == (200, True)


@pytest.mark.core
def test_a_folder_is_at_its_slash(site: Project) -> None:
    """Or the links of its page would lead elsewhere."""
    answer = ask(site.server, DOMAIN, "/docs?q=1")
    assert (answer.status, answer.headers["location"]) == (301, "/docs/?q=1")


@pytest.mark.core
def test_a_page_is_at_no_slash(site: Project) -> None:
    for path, to in (("/about/?q=1", "/about?q=1"), ("/docs/first/", "/docs/first"), ("//about/", "/about")):
        answer = ask(site.server, DOMAIN, path)
        assert (answer.status, answer.headers["location"]) == (301, to)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_that_macos_wrote_is_found_as_links_are_written(form: str, site: Project) -> None:
    status, text = get(site, "/" + quote(unicodedata.normalize(form, "über/grüße")))  # type: ignore[arg-type]
    assert (status, "By macOS" in text) == (200, True)


@pytest.mark.core
@pytest.mark.parametrize(
    "path",
    ["/none", "/none/", "/pictures/", "/404", "/404/", "/404.html",
     "/none.0123abcd.css", "/.htaccess", "/README.md", "/id",
     "/.git/config", "/static-pool/", "/.well-known/"],
)  # fmt: skip
def test_what_is_not_there_is_told_by_the_sites_own_page(path: str, site: Project) -> None:
    status, text = get(site, path)
    assert (status, "Nothing here" in text) == (404, True)


@pytest.mark.core
@pytest.mark.parametrize(
    "path", ["/../id", "/..%2f..%2fREADME.md", "/docs/%2e%2e/%2e%2e/id", "/docs../id", "/%2fetc/passwd"]
)
def test_nothing_beside_the_site_is_reached(path: str, site: Project) -> None:
    status, text = get(site, path)
    assert status in {400, 404}
    assert not re.search(r"beside the site|^[0-9]{8}-|root:", text)


@pytest.mark.core
def test_pages_are_asked_for_again_and_hashed_names_never(site: Project) -> None:
    answer = ask(site.server, DOMAIN)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert answer.headers["x-request-id"]
    assert ask(site.server, DOMAIN, headers={"If-None-Match": answer.headers["etag"]}).status == 304
    hashed = ask(site.server, DOMAIN, f"/{OLD_STYLE}")
    assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "cache-control" not in ask(site.server, DOMAIN, "/none").headers


@pytest.mark.core
@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_files_come_compressed(coding: str, site: Project) -> None:
    answer = ask(site.server, DOMAIN, f"/{OLD_STYLE}", headers={"Accept-Encoding": coding})
    assert answer.headers["content-encoding"] == coding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert len(answer.body) < len(RULES) / 20
    if coding == "gzip":
        assert gzip.decompress(answer.body).decode() == RULES


def test_nothing_is_taken_from_a_visitor(site: Project) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert ask(site.server, DOMAIN, "/", method=method, body=b"x").status == 405


# Changed


@pytest.mark.core
def test_a_change_goes_live_under_visitors_and_nothing_of_nginx_changes(site: Project) -> None:
    files, etag = generation(site), ask(site.server, DOMAIN).headers["etag"]
    kept = ask(site.server, DOMAIN, "/about").headers["etag"]
    (site.root / "site" / OLD_STYLE).unlink()
    changed(site, "two", {f"site/{NEW_STYLE}": RULES})
    with visitors(site.server, DOMAIN) as seen, visitors(site.server, DOMAIN, f"/{OLD_STYLE}") as styled:
        done = site.deploy()
    assert (seen.lost, styled.lost) == ([], [])
    assert seen.answered > 20
    assert done.release == live(site.server, "pages")
    assert title(site) == "two"
    assert generation(site) == files
    assert ask(site.server, DOMAIN, headers={"If-None-Match": etag}).status == 200, "as long as before, and another"
    assert ask(site.server, DOMAIN, "/about", headers={"If-None-Match": kept}).status == 304, "it hasn't changed"


def test_a_page_of_before_still_finds_its_style(site: Project) -> None:
    assert get(site, f"/{OLD_STYLE}") == (200, RULES)


def test_a_page_that_is_gone_is_gone(site: Project) -> None:
    site.git("rm", "--quiet", "site/docs/first.html")
    changed(site, "three")
    site.deploy()
    assert get(site, "/docs/first")[0] == 404


def test_what_has_not_changed_is_sent_and_stored_once(site: Project) -> None:
    changed(site, "four")
    assert "Put 1 of " in site.deploy("--verbose").out
    links = shell(site.server, "stat -Lc %h /srv/portside/pages/current/static/about.html")
    assert int(links) > 1


def test_what_somebody_changed_on_the_server_is_not_taken_over(site: Project) -> None:
    mend = "cd /srv/portside/pages/current/static && echo by hand >about.new && mv about.new about.html"
    shell(site.server, mend)
    changed(site, "five")
    site.deploy()
    assert "About us" in get(site, "/about")[1]


def test_a_file_becomes_a_folder_and_back(site: Project) -> None:
    before = live(site.server, "pages")
    (site.root / "site/plain").unlink()
    changed(site, "six", {"site/plain/index.html": page("a folder now"), "site/plain/x.0a1b2c3d.txt": "x"})
    site.deploy()
    assert "not the file" in get(site, "/plain")[1]
    assert "a folder now" in get(site, "/plain/")[1]
    site.fab("rollback", on=site.server, project=site, check=True)
    assert live(site.server, "pages") == before
    assert "no extension" in get(site, "/plain")[1]
    assert get(site, "/plain/x.0a1b2c3d.txt") == (200, "x"), "for a page of the one before"


def test_a_generators_folder_that_git_passes_over_is_deployed(site: Project) -> None:
    site.write({"made/index.html": page("generated"), "made/.DS_Store": "x"})
    with site.changed({".gitignore": ".env\nmade/\n"}, DEPLOY_APP="made"):
        done = site.deploy()
        assert "isn't in git" in done.out
        assert title(site) == "generated"
        assert shell(site.server, "ls -A /srv/portside/pages/current/static").split() == ["index.html"]
    shutil.rmtree(site.root / "made")


def test_a_commit_is_deployed_as_it_was(site: Project) -> None:
    site.deploy("--ref", "HEAD~1")
    assert title(site) == "five"


# Refused, failed, rolled back


@pytest.mark.core
def test_a_release_without_its_page_never_goes_live(site: Project) -> None:
    release, text = live(site.server, "pages"), ask(site.server, DOMAIN).text
    with site.changed({"site/new.html": page("A new page")}, DEPLOY_HEALTH_PATH="/status/"):
        done = site.deploy(check=False)
    assert done.code == 1
    assert "shows nothing at /status/: there is no status/index.html" in done.err
    assert f"Release {release} is live, as before." in done.err
    assert (live(site.server, "pages"), ask(site.server, DOMAIN).text) == (release, text)
    assert left(lambda: half_done(site)) == ""


@pytest.mark.core
def test_paths_that_do_not_exist_show_the_application(site: Project) -> None:
    before = live(site.server, "pages")
    with site.with_settings(DEPLOY_FALLBACK="shell.html"):
        done = site.deploy(check=False)
        assert done.code == 2
        assert f"DEPLOY_FALLBACK: there is no file shell.html in {site.root}/site." in done.err
        assert "provision" not in done.out, "before the server is reached for"
        with site.changed({"site/shell.html": page("The application")}):
            with visitors(site.server, DOMAIN) as seen:
                site.deploy()
            assert seen.lost == []
            assert "The application" in get(site, "/users/42")[1]
            assert [get(site, path)[0] for path in ("/users/42", "/none.js", "/404")] == [200, 404, 404]
            site.fab("rollback", on=site.server, project=site, check=True)
            assert live(site.server, "pages") == before
            assert get(site, "/users/42")[0] == 404, "this release hasn't got the page"
            assert get(site, "/")[0] == 200
            site.deploy()
            assert get(site, "/users/42")[0] == 200
    changed(site, "without an application")
    site.deploy()
    assert get(site, "/users/42")[0] == 404


def test_settings_of_an_application_are_refused(site: Project) -> None:
    given = {
        "DEPLOY_REPLICAS": "2",
        "DEPLOY_CACHE": "10s",
        "DEPLOY_PROCESS_QUEUE": "work",
        "DEPLOY_DATABASE": "external",
    }
    with site.with_settings(**given):
        done = site.deploy(check=False)
    assert done.code == 2
    for name in given:
        assert f"{name} doesn't apply to static sites" in done.err


@pytest.mark.core
def test_rollback_under_visitors_and_forward_again(site: Project) -> None:
    site.deploy()
    newest, text = live(site.server, "pages"), title(site)
    with visitors(site.server, DOMAIN) as seen:
        done = site.fab("rollback", on=site.server, project=site, check=True)
        assert title(site) != text
        site.fab("rollback", "--to", newest, on=site.server, project=site, check=True)
    assert seen.lost == []
    assert done.stages == ["preflight", "lock", "choose", "healthcheck", "switch"]
    assert title(site) == text


def test_releases_are_listed_and_no_more_are_kept_than_wanted(site: Project) -> None:
    with site.with_settings(DEPLOY_KEEP="2"):
        changed(site, "seven")
        site.deploy()
    listed = site.fab("releases", on=site.server, project=site, check=True).out.splitlines()[2:]
    assert len(listed) == 2
    assert listed[0].split()[-1] == "live"
    assert "next for rollback" in listed[1]
    kept = set(shell(site.server, "ls /srv/portside/pages/releases").split())
    assert kept == {line.split()[0] for line in listed}
    assert get(site, f"/{OLD_STYLE}")[0] == 404, "no kept release has it"


def half_done(site: Project) -> str:
    """What isn't as it should be once nothing is under way."""
    script = WHOLE
    found, looked, _ = shell(site.server, "docker() { :; }\n" + script, site.name).partition("looked everywhere")
    assert looked
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_laptop_that_is_killed(stage: str, site: Project) -> None:
    """Whatever it was at, the next deploy puts it right, and visitors notice nothing."""
    count = len(site.git("log", "--oneline").splitlines())
    changed(site, f"killed at {count}", {"site/large.txt": "".join(f"{n} of {count}\n" for n in range(400_000))})
    with visitors(site.server, DOMAIN) as seen:
        run = site.fab.start("deploy", on=site.server, project=site)
        reached = f"now at ({'|'.join(STAGES[STAGES.index(stage) :])})"
        told = f"grep -sqE '{reached}' /run/portside/site-pages.holder && echo yes"
        until(lambda: run.process.poll() is not None or shell(site.server, told, check=False), f"stage {stage}")
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
        site.deploy()
    assert seen.lost == []
    assert title(site) == f"killed at {count}"
    assert left(lambda: half_done(site)) == ""


def test_abort_clears_away_what_was_left(site: Project) -> None:
    shell(site.server, "mkdir -p /srv/portside/pages/releases/20990101-000000-abcdef0/static")
    done = site.fab("abort", on=site.server, project=site, check=True)
    assert "left 20990101-000000-abcdef0. Portside will remove it." in done.out + done.err
    assert left(lambda: half_done(site)) == ""


# Its own words for what an application has


def test_it_can_be_closed_and_opened(site: Project) -> None:
    site.fab("maintenance", on=site.server, project=site, check=True)
    assert get(site, "/about")[0] == 503
    site.fab("maintenance", "--off", on=site.server, project=site, check=True)
    assert get(site, "/about")[0] == 200


def test_its_words_are_read_whatever_the_secrets_are(site: Project) -> None:
    words = {
        "NOTE": '"closed for visitors"',
        "DOOR_TOKEN": "closed",
        "STATE_KEY": "live",
        "SITE_SECRET": "maintenance",
        "PIN": "200",
    }
    site.fab("maintenance", on=site.server, project=site, check=True)
    with site.with_settings(**words, FULL_TOKEN="swordfish"):
        done = site.deploy("--verbose")
        assert "The site is closed for visitors. To open it: fab maintenance --off" in done.out
        assert "[hidden]" not in done.out + done.err
        with site.changed({"site/new.html": page("New")}, DEPLOY_HEALTH_PATH="/closed/swordfish"):
            failed = site.deploy(check=False)
            assert "shows nothing at /closed/[hidden]: there is no closed/[hidden]. Is DEPLOY_APP" in failed.err
            assert "is live, as before." in failed.err
    site.fab("maintenance", "--off", on=site.server, project=site, check=True)


def test_it_has_passwords_and_a_page_without(site: Project) -> None:
    site.write({"site/status.html": page("well")})
    site.commit("A page for whoever watches")
    with site.with_settings(DEPLOY_BASIC_AUTH="ann:secret-word", DEPLOY_HEALTH_PATH="/status"):
        site.deploy()
        assert get(site, "/about")[0] == get(site, f"/{NEW_STYLE}")[0] == get(site, "/docs/")[0] == 401
        assert get(site, "/about", Authorization="Basic YW5uOnNlY3JldC13b3Jk")[0] == 200
        assert get(site, "/status")[0] == 200
    assert site.deploy(check=False).code == 2, "a password doesn't go by accident"
    assert get(site, "/about")[0] == 401
    site.deploy("--drop", "BASIC_AUTH")
    assert get(site, "/about")[0] == 200


def test_lines_of_ones_own_come_before_the_files(site: Project) -> None:
    site.write({"own.conf": "location /api/ {\n    return 200 'from an application';\n}\n"})
    with site.with_settings(DEPLOY_NGINX_INCLUDE="own.conf"):
        site.deploy()
        for path in ("/api/", "/api/x.0a1b2c3d.js", "/api/a/"):
            assert get(site, path) == (200, "from an application")
        assert get(site, "/about")[0] == 200


def test_nothing_is_managed(site: Project) -> None:
    done = site.manage("check", check=False)
    assert done.code == 2
    assert "static site" in done.err


# By HTTPS


def secure(server: Practice, root: Path, path: str) -> Answer:
    """Ask by HTTPS, as a browser does that trusts this root."""
    context = ssl.create_default_context(cafile=str(root))
    with (
        socket.create_connection(("127.0.0.1", server.https_port), HANGS) as plain,
        context.wrap_socket(plain, server_hostname=DOMAIN) as encrypted,
    ):
        connection = http.client.HTTPConnection(DOMAIN)
        connection.sock = encrypted
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def test_certificates(site: Project, server: Practice, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text(server.acme.root())
    server.acme.point(DOMAIN, server.ip)
    site.fab("certs", on=server, project=site, check=True)
    for path, status, said in (("/about", 200, "About us"), ("/none", 404, "Nothing here"), ("/docs", 301, "")):
        answer = secure(server, tmp_path / "root.pem", path)
        assert answer.headers["strict-transport-security"] == "max-age=63072000"
        assert (answer.status, said in answer.text) == (status, True)
    plain = ask(server, DOMAIN, "/about?q=1")
    assert (plain.status, plain.headers["location"]) == (301, f"https://{DOMAIN}/about?q=1")
    assert "nothing to do" in site.fab("certs", on=server, project=site, check=True).out
    changed(site, "by HTTPS")
    site.deploy()
    assert "by HTTPS" in secure(server, tmp_path / "root.pem", "/").text
    with site.with_settings(DEPLOY_HSTS="0"):
        site.deploy()
        for path in ("/about", "/none", "/about/"):
            assert secure(server, tmp_path / "root.pem", path).headers["strict-transport-security"] == "max-age=0"
    site.deploy()


# Beside others


def test_an_application_can_follow_on_the_same_server(site: Project, projects: Callable[[str], Project]) -> None:
    """Docker comes with it, and the folder of files goes on as before."""
    other = projects("follower")
    other.write(small.files("app"))
    other.commit("Begin")
    other.set(DEPLOY_DOMAINS="follower.test", DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", SECRET_KEY="x" * 60)
    other.deploy()
    assert '"host": "follower.test"' in ask(site.server, "follower.test").text
    assert "nothing to do;" in site.deploy().out


def test_a_site_stays_what_it_is(site: Project) -> None:
    with site.with_settings(DEPLOY_KIND=None, DEPLOY_DATABASE="none", SECRET_KEY="x" * 60):
        site.write({"site/manage.py": small.MANAGE, "site/requirements.txt": "django\n"})
        site.commit("A project")
        done = site.deploy(check=False)
    assert done.code == 2
    assert "is of kind static. The kind of a site can't change." in done.err


def test_debian_12_serves_a_folder_too(site: Project, bring_up: Callable[..., Practice]) -> None:
    """Whose Compose is too old for applications."""
    there = replace(site, server=bring_up("bookworm", "bookworm"))
    with there.changed({"site/index.html": page("on Debian 12")}):
        assert "Debian GNU/Linux 12" in there.deploy().out
        assert title(there) == "on Debian 12"
        assert get(there, "/none")[0] == 404
        assert "nothing to do;" in there.deploy().out

"""A domain renamed, in either order of deploy and certs, while visitors come: none gets an error or a loop."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.browsing import visits
from ..kit.https import Root, get, names
from ..kit.inside import shell
from ..kit.names import PREFIX
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

FIRST, SECOND, THIRD, FOURTH = (f"{name}.renamed-{PREFIX}.test" for name in ("first", "second", "third", "fourth"))
STRICT = """
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
"""
LIST = 'ALLOWED_HOSTS = ["{}"]\n'
RECORD = "cat /srv/portside/renamed/current/release.json"
LEAST = 40
"""Visitors to each address: with fewer, nobody came while something changed."""


@pytest.fixture(scope="module")
def site(projects: Callable[[str], Project], server: Practice) -> Project:
    """A site as most are in production: it insists on HTTPS itself. Live by its first name."""
    project = projects("renamed")
    project.write(small.files("app", settings=STRICT))
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS=FIRST, DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", DEPLOY_HEALTH_PATH="/healthz",
        SECRET_KEY="x" * 60,
    )  # fmt: skip
    for name in (FIRST, SECOND, THIRD, FOURTH):
        server.acme.point(name, server.ip)
    project.fab("certs", on=server, project=project, check=True)
    project.deploy()
    return project


def certs(site: Project) -> str:
    return site.fab("certs", on=site.server, project=site, check=True).text


def both(name: str) -> tuple[str, str]:
    return f"http://{name}/", f"https://{name}/"


def redirect(answer: object) -> tuple[int, str]:
    return answer.status, answer.headers["location"]  # type: ignore[attr-defined]


@pytest.mark.core
def test_certs_before_the_deploy(site: Project, root: Root) -> None:
    server = site.server
    site.set(DEPLOY_DOMAINS=SECOND, DEPLOY_REDIRECT_DOMAINS=FIRST)
    with visits(server, root, *both(FIRST)) as seen:
        said = certs(site)
        assert f"The live release doesn't know {SECOND} yet" in said
        for answer in (ask(server, SECOND, "/a?b=c"), get(server, root, SECOND, "/a?b=c")):
            assert redirect(answer) == (302, f"https://{FIRST}/a?b=c")
        assert get(server, root, FIRST).status == 200
        assert names(server, root, FIRST) == {FIRST, SECOND}
        assert f"https://{FIRST}" in site.fab("status", on=server, project=site, check=True).out
        assert "nothing to do" in certs(site)
        seen.come_to(*both(SECOND))
        done = site.deploy()
        assert f"https://{SECOND}/" in done.out
        since = seen.ended[f"https://{SECOND}/"]
        until(lambda: seen.ended[f"https://{SECOND}/"] > since + LEAST, "visitors after it")
    assert seen.lost == []
    assert set(seen.ended) == {f"https://{FIRST}/", f"https://{SECOND}/"}
    assert redirect(get(server, root, FIRST, "/a?b=c")) == (301, f"https://{SECOND}/a?b=c")
    record = json.loads(shell(server, RECORD))
    assert (record["domains"], record["redirect_domains"], record["admitted"]) == ([SECOND], [FIRST], [FIRST])


def test_a_rollback_has_the_present_names(site: Project, root: Root) -> None:
    with visits(site.server, root, *both(FIRST), *both(SECOND)) as seen:
        site.fab("rollback", on=site.server, project=site, check=True)
        assert json.loads(shell(site.server, RECORD))["domains"] == [SECOND]
        site.fab("rollback", "--to", _newest(site), on=site.server, project=site, check=True)
    assert (seen.lost, set(seen.ended)) == ([], {f"https://{SECOND}/"})
    assert "nothing to do" in certs(site)


def _newest(site: Project) -> str:
    return shell(site.server, "ls /srv/portside/renamed/releases | sort | tail -n 1").strip()


def test_the_deploy_before_certs(site: Project, root: Root) -> None:
    """The site's first name goes with it."""
    server = site.server
    site.set(DEPLOY_DOMAINS=THIRD, DEPLOY_REDIRECT_DOMAINS=SECOND)
    with visits(server, root, *both(SECOND)) as seen:
        said = site.deploy().text
        assert f"{THIRD} isn't in the certificate yet" in said
        assert f"The certificate also covers {FIRST}, which no longer belongs to the site" in said
        assert get(server, root, SECOND).status == 200, "it has HTTPS, and its browsers insist on it"
        assert redirect(ask(server, THIRD, "/a?b=c")) == (302, f"https://{SECOND}/a?b=c")
        assert FIRST in site.fab("status", on=server, project=site, check=True).text
        seen.come_to(f"http://{THIRD}/")
        assert f"left out of the certificate: {FIRST}" in certs(site)
        seen.come_to(f"https://{THIRD}/")
        since = seen.ended[f"https://{THIRD}/"]
        until(lambda: seen.ended[f"https://{THIRD}/"] > since + LEAST, "visitors after it")
    assert seen.lost == []
    assert set(seen.ended) == {f"https://{SECOND}/", f"https://{THIRD}/"}
    assert names(server, root, THIRD) == {SECOND, THIRD}
    assert redirect(get(server, root, SECOND, "/a?b=c")) == (301, f"https://{THIRD}/a?b=c")
    assert redirect(ask(server, SECOND)) == (301, f"https://{SECOND}/")
    assert FIRST not in site.fab("status", on=server, project=site, check=True).text


def test_two_names_change_places(site: Project, root: Root) -> None:
    """Who was redirected from one to the other before isn't sent back and forth."""
    site.set(DEPLOY_DOMAINS=SECOND, DEPLOY_REDIRECT_DOMAINS=THIRD)
    with visits(site.server, root, *both(SECOND), *both(THIRD)) as seen:
        until(lambda: seen.ended[f"https://{THIRD}/"] > LEAST, "visitors before it")
        assert "nothing to do" in certs(site)
        site.deploy()
        until(lambda: seen.ended[f"https://{SECOND}/"] > LEAST, "visitors after it")
    assert (seen.lost, set(seen.ended)) == ([], {f"https://{SECOND}/", f"https://{THIRD}/"})


@pytest.mark.parametrize("first", ["certs", "deploy"])
def test_a_release_that_refuses_the_name_of_before(first: str, site: Project, root: Root) -> None:
    """Its project has a list of its own, in which there is but the canonical name."""
    server = site.server
    before, after = (THIRD, FOURTH) if first == "certs" else (FOURTH, THIRD)
    if first == "deploy":  # a certificate for the name of before alone
        site.set(DEPLOY_DOMAINS=before, DEPLOY_REDIRECT_DOMAINS=None)
        site.deploy()
        certs(site)
    site.write(small.files("app", settings=LIST.format(after) if first == "deploy" else STRICT + LIST.format(after)))
    site.commit(f"Answer to {after} alone")
    site.set(DEPLOY_DOMAINS=after, DEPLOY_REDIRECT_DOMAINS=before)
    with visits(server, root, *both(before)) as seen:
        if first == "certs":
            certs(site)
            seen.come_to(*both(after))
            site.deploy()
        else:
            site.deploy()
            assert redirect(get(server, root, before)) == (302, f"http://{after}/")
            seen.come_to(f"http://{after}/")
            certs(site)
            seen.come_to(f"https://{after}/")
        since = seen.ended[f"https://{after}/"]
        until(lambda: seen.ended[f"https://{after}/"] > since + LEAST, "visitors after it")
    assert seen.lost == []
    assert redirect(get(server, root, before)) == (301, f"https://{after}/")

"""The same site again: nothing new, new code, another commit; what people put there stays, and nobody notices."""

from __future__ import annotations

import re

import pytest

from deploy.flows.flow import DEPLOY

from ..kit.inside import container, live, shell, sql
from ..kit.project import Project
from ..kit.visitors import ask, patient_visitor, visitors

pytestmark = pytest.mark.begins("portfolio")

PAGE = "app/templates/portfolio/about.html"


def uploads(site: Project) -> str:
    return shell(site.server, f"cd /srv/portside/{site.name}/media && find . -type f -exec sha256sum {{}} + | sort")


@pytest.mark.core
def test_provision_has_nothing_to_do(site: Project) -> None:
    done = site.fab("provision", "--verbose", on=site.server, project=site, check=True)
    assert "nothing to do" in done.out
    assert done.round_trips == 1


@pytest.mark.core
def test_deploy_has_nothing_to_do(site: Project) -> None:
    before, web = live(site.server, site.name), container(site.server, site.name)
    done = site.deploy("--verbose")
    assert re.search(rf"^{re.escape(site.domain)}: nothing to do; {before} is live", done.out, re.MULTILINE)
    assert done.release == before == live(site.server, site.name)
    assert container(site.server, site.name) == web, "the same container"


@pytest.mark.core
def test_new_code_goes_live_and_nobody_notices(site: Project) -> None:
    rows = sql(site.server, site.name, "select count(*) from portfolio_work")
    files, before = uploads(site), live(site.server, site.name)
    site.edit(PAGE, "<h1>About</h1>", "<h1>About this place</h1>")
    commit = site.commit("Say more about the place")
    with visitors(site.server, site.domain) as seen, patient_visitor(site.server, site.domain) as patient:
        done = site.deploy("--verbose")
    assert seen.lost == []
    assert seen.answered > 20
    assert patient.lost == [], "not even a connection was closed"
    assert done.stages == list(DEPLOY.stages)
    assert done.release.endswith(f"-{commit}")
    assert done.release == live(site.server, site.name) != before
    assert done.round_trips <= 15
    assert re.search(r"\[.*COPY deps/ /deps/\n(?:.*\n)*?.*CACHED", done.out), "dependencies aren't installed anew"
    answer = ask(site.server, site.domain, "/about/")
    assert "<h1>About this place</h1>" in answer.text
    assert answer.release == done.release
    assert sql(site.server, site.name, "select count(*) from portfolio_work") == rows
    assert uploads(site) == files


@pytest.mark.core
def test_one_release_runs_and_the_one_before_is_kept(site: Project) -> None:
    labels = f"--filter label=portside.site={site.name} --filter label=portside.role=web"
    states = shell(site.server, f"docker ps -a {labels} --format '{{{{.State}}}}'").split()
    assert states.count("running") == 1
    assert "exited" in states


def test_what_is_not_committed_is_said(site: Project) -> None:
    """A change that isn't committed goes along, a file that git doesn't know stays; both are told."""
    site.edit(PAGE, "About this place", "About this dirty place")
    site.write({"app/notes.txt": "mine\n"})
    done = site.deploy()
    assert re.search(r"^! Uncommitted changes are deployed: .*templates/portfolio/about.html", done.out, re.MULTILINE)
    assert re.search(r"^! Not in git.*notes.txt", done.out, re.MULTILINE)
    assert "About this dirty place" in ask(site.server, site.domain, "/about/").text
    assert shell(site.server, f"docker exec {container(site.server, site.name)} ls").split().count("notes.txt") == 0
    assert not done.release.endswith(site.git("rev-parse", "HEAD")[:7]), "it isn't that commit"
    (site.root / "app/notes.txt").unlink()
    site.git("checkout", "--quiet", ".")


def test_ref_deploys_another_commit(site: Project) -> None:
    commit = site.git("rev-parse", "HEAD~1")[:7]
    site.edit(PAGE, "About this place", "Never committed")
    done = site.deploy("--ref", "HEAD~1")
    site.git("checkout", "--quiet", ".")
    assert done.release.endswith(f"-{commit}")
    assert "<h1>About</h1>" in ask(site.server, site.domain, "/about/").text
    assert "! Not" not in done.out


def test_ref_to_nowhere_is_refused(site: Project) -> None:
    done = site.deploy("--ref", "no-such-branch", check=False)
    assert done.code == 2
    assert "no-such-branch" in done.err


def test_many_releases_are_kept_as_few(site: Project) -> None:
    """DEPLOY_KEEP; also the images go."""
    site.set(DEPLOY_KEEP="2")
    done = site.deploy()
    folders = shell(site.server, f"ls /srv/portside/{site.name}/releases").split()
    images = shell(site.server, f"docker images --format '{{{{.Tag}}}}' portside/{site.name}").split()
    assert len(folders) == 2
    assert done.release in folders
    assert sorted(images) == sorted(folders)
    site.set(DEPLOY_KEEP=None)

"""A database whose first start was cut off is made anew by the next deploy; one that was ready once never is."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import inside, shell, sql
from ..kit.laptop import Done
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

IN_INITDB = """
until [ -s "/var/lib/docker/volumes/$1-postgres/_data/PG_VERSION" ]; do sleep 0.01; done
until pkill -KILL -x initdb; do sleep 0.01; done
"""
AFTER_INITDB = "until pkill -KILL -x pg_ctl; do sleep 0.01; done"
DIES = "import os\nos._exit(3)\napplication = None\n"


@pytest.fixture(scope="module")
def made(server: Practice, projects: Callable[[str], Project]) -> Project:
    """A small site with a database, and no release yet."""
    project = projects("first")
    project.write(small.files("", small.DATABASE))
    project.commit("Begin")
    called(project, "first")
    project.fab("provision", on=server, project=project, check=True)
    return project


def called(project: Project, name: str) -> Project:
    """The project under another name: a site that this server hasn't seen."""
    project.set(
        DEPLOY_APP=".", DEPLOY_SITE=name, DEPLOY_DOMAINS=f"{name}.test", DEPLOY_COLLECTSTATIC="off",
        SECRET_KEY="a-key-of-the-first-" * 4, POSTGRES_PASSWORD="of-the-first",
    )  # fmt: skip
    return project


def cut_off(project: Project, how: str) -> None:
    """A deploy whose database is killed at this point of its first start, and the laptop with it."""
    unit = ("systemd-run", "--quiet", "--unit", f"e2e-killer-{project.name}", "sh", "-c", how, "sh", project.name)
    project.server.exec(unit)
    deploying = project.fab.start("deploy", on=project.server, project=project)
    active = ("sh", "-c", f"systemctl is-active e2e-killer-{project.name} || true")
    try:
        until(lambda: "inactive" in project.server.exec(active), "the database's first start")
    finally:
        deploying.process.send_signal(signal.SIGKILL)
        deploying.process.wait()
    assert marks(project) == ["begun", "compose.yaml", "secrets"]


def deploy_in_its_turn(project: Project) -> Done:
    """Deploy as soon as the server has noticed that the laptop before is gone."""
    done = project.deploy("--wait")
    assert ask(project.server, project.domain).status == 200
    assert sql(project.server, project.name, "select count(*) > 0 from django_migrations") == "t"
    assert marks(project) == ["compose.yaml", "ready", "secrets"]
    return done


def marks(project: Project) -> list[str]:
    return project.server.exec(("ls", f"/srv/portside/{project.name}/data")).split()


def test_a_database_that_was_killed_in_initdb(made: Project) -> None:
    cut_off(called(made, "initdb"), IN_INITDB)
    deploy_in_its_turn(made)
    assert "nothing to do" in made.deploy().out


def test_a_database_that_was_killed_before_it_had_the_sites_database(made: Project) -> None:
    cut_off(called(made, "createdb"), AFTER_INITDB)
    made.fab("abort", on=made.server, project=made, check=True)
    deploy_in_its_turn(made)


def test_a_site_whose_database_was_never_made_can_be_taken_away(made: Project) -> None:
    cut_off(called(made, "gone"), IN_INITDB)
    made.fab("remove", "--yes", on=made.server, project=made, check=True)
    left = "docker ps -aq --filter label=portside.site=gone; docker volume ls -q --filter label=portside.site=gone"
    assert shell(made.server, left) == ""


def test_a_database_that_was_ready_once_is_never_made_anew(made: Project) -> None:
    """Though no release was ever live: somebody may have put something into it."""
    site = called(made, "ready")
    with site.changed({"hello/wsgi.py": DIES}):
        assert site.deploy(check=False).code == 1
    sql(site.server, "ready", "create table mine (id int)")
    rename(site, "ready", "elsewhere")
    done = site.deploy(check=False)
    assert done.code == 1
    assert '"ready" does not exist' in done.err
    rename(site, "elsewhere", "ready")
    site.deploy()
    assert sql(site.server, "ready", "select to_regclass('mine')") == "mine"


def rename(site: Project, old: str, new: str) -> None:
    words = f'alter database "{old}" rename to "{new}"'
    inside(site.server, site.name, "psql", "-U", "ready", "-d", "postgres", "-c", words, role="db")

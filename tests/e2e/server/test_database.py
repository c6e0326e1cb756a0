"""The database's container and password while a site is live: changed for visitors to notice as little as can be."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ..kit.inside import container, shell
from ..kit.laptop import Done
from ..kit.project import Project
from ..kit.tiny import Tiny, nobody_lost
from ..kit.visitors import status

pytestmark = pytest.mark.begins("tiny")

ASKS = """\
from django.db import connection
from django.http import JsonResponse
from django.urls import path
from . import VERSION
import os

def hello(request):
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return JsonResponse({"version": VERSION, "release": os.environ["DEPLOY_RELEASE"]})

urlpatterns = [path("", hello), path("healthz", hello)]
"""
"""Pages each of which needs a new connection to the database."""


@pytest.fixture(scope="module")
def asking(tiny: Tiny) -> Tiny:
    tiny.project.write({"app/hello/urls.py": ASKS})
    tiny.change()
    tiny.deploy()
    return tiny


@contextmanager
def answers(project: Project) -> Iterator[Counter[int]]:
    """What visitors are answered while the block runs, at most three minutes."""
    seen: Counter[int] = Counter()
    over, limit = threading.Event(), time.monotonic() + 180

    def come() -> None:
        while not over.wait(0.05) and time.monotonic() < limit:
            seen[status(project.server, project.domain)] += 1

    visitor = threading.Thread(target=come)
    visitor.start()
    try:
        yield seen
    finally:
        over.set()
        visitor.join()


def plan(tiny: Tiny) -> Done:
    return tiny.project.fab("plan", on=tiny.project.server, project=tiny.project)


def test_another_port_of_the_database_closes_the_site_for_a_moment(asking: Tiny) -> None:
    """It has to be made anew; visitors get the maintenance page, and no error."""
    with asking.project.with_settings(DEPLOY_DATABASE_PORT="54329"):
        assert "Restart the database (DEPLOY_DATABASE_PORT); the site is closed for visitors" in plan(asking).out
        with answers(asking.project) as seen:
            done = asking.deploy()
        assert "Restart the database (DEPLOY_DATABASE_PORT)" in done.out
        assert set(seen) <= {200, 503}, seen
        assert asking.inside('[ -e "/srv/portside/$1/maintenance" ] || echo open') == "open\n"
        assert "nothing to do" in asking.deploy().out


def test_what_another_version_wrote_differently_leaves_the_database_running(asking: Tiny) -> None:
    server, name = asking.project.server, asking.project.name
    asking.deploy()
    before = container(server, name, "db")
    asking.inside('echo "# by another version" >>"/srv/portside/$1/data/compose.yaml"')
    asking.inside('sed -i "s/shm_size: 256m/shm_size: 257m/" "/srv/portside/$1/data/compose.yaml"')
    asking.change()
    with nobody_lost(asking):
        asking.deploy()
    assert container(server, name, "db") == before


def test_a_database_that_hangs_unnoticed_goes_on(asking: Tiny) -> None:
    """Stopped by a signal it runs and is healthy, as far as Docker knows."""
    server, name = asking.project.server, asking.project.name
    live = asking.live
    server.exec(("docker", "kill", "-s", "STOP", container(server, name, "db")))
    asking.deploy()
    assert asking.live == live
    assert "nothing to do" in asking.deploy().out


def test_another_c_library_is_refused(asking: Tiny) -> None:
    with asking.project.with_settings(DEPLOY_DATABASE="postgres:17-alpine"):
        done = asking.project.deploy(check=False)
    assert done.code == 2
    assert "postgres:17, with glibc; postgres:17-alpine uses musl" in done.err


def passwords(tiny: Tiny) -> str:
    """Who may connect besides what the image says, and what is left of another password."""
    return tiny.inside(
        'docker exec "$(docker ps -q --filter label=portside.site="$1" --filter label=portside.role=db)"'
        ' sh -c \'grep portside "$PGDATA/pg_hba.conf"\'; ls "/srv/portside/$1/data" | grep open;'
        ' ls "/srv/portside/$1/data/secrets" | grep next; true'
    )


def test_a_failed_deploy_leaves_the_databases_password(asking: Tiny) -> None:
    fails = {"app/hello/urls.py": "raise SystemExit\n"}
    asking.fails(fails, "prepare", POSTGRES_PASSWORD="another-password-1")
    assert passwords(asking) == ""


def test_a_password_is_changed_under_visitors(asking: Tiny) -> None:
    with asking.project.with_settings(POSTGRES_PASSWORD="another-password-2"):
        asking.change()
        with nobody_lost(asking):
            asking.deploy()
        assert passwords(asking) == ""
        back = asking.another()
        with nobody_lost(asking):
            asking.project.fab("rollback", on=asking.project.server, project=asking.project, check=True)
        assert asking.live == back or asking.live
        assert passwords(asking) == ""
    with nobody_lost(asking):
        asking.change()
        asking.deploy()


def test_a_laptop_that_dies_between_two_passwords(asking: Tiny) -> None:
    with asking.project.with_settings(POSTGRES_PASSWORD="another-password-3"), nobody_lost(asking):
        asking.change()
        run = asking.start("deploy")
        asking.reached(run, "start")
        run.process.kill()
        run.process.wait()
    with nobody_lost(asking):
        done = asking.project.fab("abort", on=asking.project.server, project=asking.project, check=True)
    assert "accepting two passwords" in done.out or "nothing was left" in done.out
    assert passwords(asking) == ""
    shell(asking.project.server, "true")
    asking.deploy()

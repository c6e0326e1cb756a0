"""A release that doesn't work never gets a visitor: it is taken away, the reason is told, the one before answers on."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from ..kit.inside import fingerprint, live, shell, sql
from ..kit.laptop import Done
from ..kit.project import Project
from ..kit.visitors import ask, visitors
from ..kit.waiting import left, until

pytestmark = pytest.mark.begins("portfolio")

WSGI = "app/config/wsgi.py"
PATIENCE = "40"  # seconds: long enough for a busy machine to start the application, which is well or never
DIES_AT_ONCE = {WSGI: "raise RuntimeError('kaboom at import')\n"}
DIES_LATER = """
import os, sys, threading
def die():
    print("farewell", file=sys.stderr, flush=True)
    os._exit(3)
threading.Timer(2, die).start()
"""
NOT_WELL = """\
from django.http import HttpResponse
def healthz(request):
    return HttpResponse("<h1>the kettle is cold</h1>", status=500)
"""
MIGRATION = """\
from django.db import migrations
class Migration(migrations.Migration):
    dependencies = [("portfolio", "0001_initial")]
    operations = [
        migrations.RunSQL("create table half_done (id int)"),
        migrations.RunSQL("select no_such_function()"),
    ]
"""
REQUIREMENTS = "COPY requirements.txt .\nRUN pip install --quiet --no-cache-dir -r requirements.txt\n"


@contextmanager
def refused(site: Project) -> Iterator[None]:
    """Whatever the block deploys: nobody loses anything by it, and nothing of it stays but a dump made before, and the
    mark of a migration that broke off."""
    stays = ("/backups/", "/history.jsonl", "/migrating")
    before, release = fingerprint(site.server, without=stays), live(site.server, site.name)
    with visitors(site.server, site.domain, a_second=10) as seen:
        yield
    assert seen.lost == []
    assert live(site.server, site.name) == release
    assert ask(site.server, site.domain).release == release
    assert fingerprint(site.server, without=stays) == before


def deploy_fails(site: Project, files: Mapping[str, str], *stages: str, **values: str) -> Done:
    """Deploy these files; the failure is told as it should be, in one of these stages."""
    with refused(site), site.changed(files, **values):
        done = site.deploy(check=False)
    assert done.code in {1, 2}
    assert any(f"✗ {stage}" in done.out for stage in stages)
    assert f"Release {live(site.server, site.name)} is live, as before." in done.err
    assert f"fab deploy -H {site.server.name}" in done.err or "the command again" in done.err
    noted = json.loads(shell(site.server, f"tail -n 1 /srv/portside/{site.name}/history.jsonl"))
    assert noted["event"] == "deploy"
    assert noted["result"] in {f"failed at {stage}" for stage in stages}
    return done


def test_a_dockerfile_that_fails(site: Project) -> None:
    files = {"app/Dockerfile": "FROM python:3.13-slim\nRUN echo a telling line && exit 7\n"}
    done = deploy_fails(site, files, "build")
    assert done.code == 1
    assert "a telling line" in done.err
    assert "exit code: 7" in done.err


def test_an_image_without_gunicorn(site: Project) -> None:
    dockerfile = f"FROM python:3.13-slim\nWORKDIR /app\n{REQUIREMENTS}RUN pip uninstall -qy gunicorn\nCOPY . .\n"
    done = deploy_fails(site, {"app/Dockerfile": dockerfile}, "prepare")
    assert done.code == 2
    assert "has no gunicorn" in done.err


def test_settings_that_django_refuses(site: Project) -> None:
    done = deploy_fails(site, {"app/config/settings.py": "raise ValueError('no such colour')\n"}, "prepare")
    assert "no such colour" in done.err


def test_static_files_that_cannot_be_collected(site: Project) -> None:
    done = deploy_fails(site, {"app/static/more.css": "a { background: url(absent.png) }\n"}, "prepare")
    assert "absent.png" in done.err


def test_a_command_before_that_fails(site: Project) -> None:
    done = deploy_fails(site, {}, "prepare", DEPLOY_BEFORE="'echo not today; exit 4'")
    assert "not today" in done.err


def test_a_migration_that_fails(site: Project) -> None:
    done = deploy_fails(site, {"app/portfolio/migrations/0002_more.py": MIGRATION}, "prepare")
    assert "no_such_function" in done.err
    assert sql(site.server, site.name, "select to_regclass('half_done')") == "", "half of it isn't done"
    dumps = shell(site.server, f"find /srv/portside/{site.name}/backups -name '*.dump' -size +0 -printf '%m %U\\n'")
    assert set(dumps.splitlines()) == {"600 0"}, "a dump was made before, and only root can read it"


def test_an_app_that_starts_and_dies(site: Project) -> None:
    done = deploy_fails(site, DIES_AT_ONCE, "start", "healthcheck")  # Gunicorn listens before its workers load
    assert done.code == 1
    assert "kaboom at import" in done.err


def test_an_app_that_dies_after_its_first_answers(site: Project) -> None:
    text = (site.root / WSGI).read_text() + DIES_LATER
    done = deploy_fails(site, {WSGI: text}, "healthcheck")
    assert "farewell" in done.err


@pytest.mark.core
def test_an_app_that_is_not_well(site: Project) -> None:
    values = {"DEPLOY_HEALTH_PATH": "/healthz", "DEPLOY_HEALTH_TIMEOUT": PATIENCE}
    done = deploy_fails(site, {"app/portfolio/health.py": NOT_WELL}, "healthcheck", **values)
    assert "answers 500 at /healthz" in done.err
    assert "the kettle is cold" in done.err
    assert "Django answers 500 too." in done.err


def test_an_app_that_knows_another_name_only(site: Project) -> None:
    done = deploy_fails(site, {}, "healthcheck", ALLOWED_HOSTS="elsewhere.test", DEPLOY_HEALTH_TIMEOUT=PATIENCE)
    assert "answers 400 at /" in done.err
    assert "ALLOWED_HOSTS" in done.err


def test_an_app_that_redirects_to_https_too_early(site: Project) -> None:
    settings = (site.root / "app/config/settings.py").read_text() + "\nSECURE_SSL_REDIRECT = True\n"
    done = deploy_fails(site, {"app/config/settings.py": settings}, "healthcheck", DEPLOY_HEALTH_TIMEOUT=PATIENCE)
    assert "SECURE_SSL_REDIRECT" in done.err


def test_an_upload_folder_that_would_show_the_code(site: Project) -> None:
    settings = (site.root / "app/config/settings.py").read_text() + "\nMEDIA_ROOT = BASE_DIR\nMEDIA_URL = '/'\n"
    done = deploy_fails(site, {"app/config/settings.py": settings}, "prepare")
    assert done.code == 2
    assert "MEDIA_ROOT" in done.err
    assert "MEDIA_URL" in done.err


def test_the_next_good_one_just_works(site: Project) -> None:
    with site.changed({"app/templates/portfolio/note.html": "well again\n"}):
        done = site.deploy()
    assert ask(site.server, site.domain).release == done.release


# Two at once


def held(site: Project) -> str:
    """Who holds the site's lock, as the server tells others."""
    return shell(site.server, f"cat /run/portside/site-{site.name}.holder", check=False)


@pytest.mark.core
def test_a_second_deploy_meanwhile_is_told_who_is_at_it(site: Project) -> None:
    with site.changed({"app/templates/portfolio/note.html": "slowly\n"}, DEPLOY_BEFORE="'sleep 5'"):
        first = site.fab.start("deploy", on=site.server, project=site)
        until(lambda: "prepare" in held(site), "the first to be at work")
        assert "✓ build" in first.out.read_text(), "stages are told while they happen"
        second = site.deploy(check=False)
        done = first.end(check=True)
    assert second.code == 3
    assert "prepare" in second.err, "at which stage it is"
    assert "@" in second.err, "who it is"
    assert "Nothing was changed." in second.err
    assert live(site.server, site.name) == done.release
    assert left(lambda: held(site)) == "", "no lock is left"


def test_an_interrupted_deploy_says_what_is_so(site: Project) -> None:
    before = live(site.server, site.name)
    with site.changed({"app/templates/portfolio/note.html": "never mind\n"}, DEPLOY_BEFORE="'sleep 2'"):
        first = site.fab.start("deploy", on=site.server, project=site)
        until(lambda: "prepare" in held(site), "it to be at work")
        first.process.send_signal(signal.SIGINT)
        done = first.end()
    assert done.code == 1
    assert "Interrupted in the stage “prepare”" in done.err
    assert f"Release {before} is live, as before." in done.err
    assert f"fab deploy -H {site.server.name}" in done.err
    assert live(site.server, site.name) == before


def test_a_killed_deploy_leaves_no_lock(site: Project) -> None:
    before = live(site.server, site.name)
    with site.changed({"app/templates/portfolio/note.html": "cut short\n"}, DEPLOY_BEFORE="'sleep 3'"):
        first = site.fab.start("deploy", on=site.server, project=site)
        until(lambda: "prepare" in held(site), "it to be at work")
        first.process.kill()
        first.process.wait()
        assert ask(site.server, site.domain).release == before
        until(lambda: site.deploy(check=False).code != 3, "the lock to be free")
    assert live(site.server, site.name) != before
    assert ask(site.server, site.domain).release == live(site.server, site.name)


@pytest.mark.core
@pytest.mark.parametrize("path", ["/", "/about/", "/api/works/"])
def test_all_is_well_at_the_end(site: Project, path: str) -> None:
    assert ask(site.server, site.domain, path).status == 200

"""What else can end a release before it is live; and more than one deploy at once."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from deploy.practice import Practice

from .deaths import DOCKERFILE, URLS, Tiny, nobody_lost, tiny
from .kit import Done, Project, ask, shell, until

WSGI = "app/hello/wsgi.py"
VIEWS = "app/hello/urls.py"
PATIENCE = "15"  # seconds: long enough for a busy machine to start the application, which is well or never
HANGS_AT_START = "import time\ntime.sleep(1000)\n"
HANGS_WHEN_ASKED = URLS.replace("def hello(request):", "def hello(request):\n    time.sleep(1000)")
DIES_WHEN_ASKED_FOR_HEALTH = URLS + "\ndef ill(request):\n    os._exit(9)\nurlpatterns[1] = path('healthz', ill)\n"
ANSWERS_500 = URLS.replace("def hello(request):", "def hello(request):\n    raise ValueError('no such colour')")
HANGING_MIGRATION = """\
import time
from django.db import migrations
class Migration(migrations.Migration):
    operations = [
        migrations.RunSQL("create table half_done (id int)"),
        migrations.RunSQL("select pg_sleep(1000)"),
    ]
"""


@pytest.fixture(scope="module")
def site(projects: Callable[[str], Project]) -> Tiny:
    return tiny(projects("release"))


def deploy_fails(site: Tiny, files: dict[str, str], stage: str, **values: str) -> Done:
    """Deploy these files: refused at this stage, and nobody notices; the next one is fine."""
    before, old = site.live, site.answers()
    site.change()
    with nobody_lost(site):
        with site.project.changed(files, DEPLOY_HEALTH_TIMEOUT=PATIENCE, **values):
            done = site.project.deploy(check=False)
        assert done.code == 1
        assert f"✗ {stage}" in done.out
        assert f"Release {before} is live, as before." in done.err
        assert (site.live, site.answers()) == (before, old)
        assert site.left() == ""
        site.deploy()
    return done


def test_it_never_ends_to_load(site: Tiny) -> None:
    done = deploy_fails(site, {WSGI: HANGS_AT_START}, "gate")
    assert "DEPLOY_HEALTH_TIMEOUT" in done.err


def test_it_never_answers(site: Tiny) -> None:
    done = deploy_fails(site, {VIEWS: HANGS_WHEN_ASKED}, "gate")
    assert "doesn't answer at /" in done.err


def test_it_dies_when_asked_for_its_health(site: Tiny) -> None:
    done = deploy_fails(site, {VIEWS: DIES_WHEN_ASKED_FOR_HEALTH}, "gate", DEPLOY_HEALTH_PATH="/healthz")
    assert "doesn't answer at /healthz" in done.err


def test_it_answers_500(site: Tiny) -> None:
    done = deploy_fails(site, {VIEWS: ANSWERS_500}, "gate")
    assert "answers 500 at /" in done.err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_migration_hangs_until_somebody_has_had_enough(site: Tiny, how: signal.Signals) -> None:
    """It ends with the laptop, and half of it isn't done; the next deploy doesn't wait for it."""
    app = "app/hello"
    files = {
        f"{app}/models.py": "",
        f"{app}/migrations/__init__.py": "",
        f"{app}/migrations/0001_initial.py": HANGING_MIGRATION,
    }
    settings = (site.project.root / f"{app}/settings.py").read_text() + "INSTALLED_APPS = [*INSTALLED_APPS, 'hello']\n"
    sleeping = "select count(*) from pg_stat_activity where query like 'select pg_sleep%'"
    with nobody_lost(site):
        site.change()
        with site.project.changed(files | {f"{app}/settings.py": settings}):
            run = site.start("deploy")
            until(lambda: site.sql(sleeping) == "1", "the migration to hang")
            run.process.send_signal(how)
            run.process.wait()
        until(lambda: site.sql(sleeping) == "0", "the migration to end")
        site.deploy()
    assert site.sql("select to_regclass('half_done')") == ""


def test_the_disk_fills_up_while_it_builds(
    bring_up: Callable[..., Practice], projects: Callable[[str], Project]
) -> None:
    """On a server of its own, whose engine has a small disk."""
    project = projects("full")
    project.server = bring_up("full")
    shell(project.server, "mkdir -p /var/lib/docker && mount -t tmpfs -o size=1800m tmpfs /var/lib/docker")
    site = tiny(project)
    fills = DOCKERFILE + "RUN dd if=/dev/zero of=/filled bs=1M\n"
    done = deploy_fails(site, {"app/Dockerfile": fills}, "build")
    assert "No space left on device" in done.err


# Two at once


def test_two_deploys_of_one_site(site: Tiny) -> None:
    site.change()
    with nobody_lost(site):
        runs = [site.start("deploy") for _ in range(3)]
        codes = sorted(run.end().code for run in runs)
    assert codes[0] == 0
    assert set(codes) <= {0, 3}
    site.check_whole()


def test_two_sites_from_two_laptops(site: Tiny, projects: Callable[[str], Project]) -> None:
    """Both change Nginx's files, upon each other's."""
    other = tiny(projects("release-too"))
    for body in ("11m", "12m", "13m"):
        for each in (site, other):
            each.change()
            each.project.set(DEPLOY_MAX_BODY=body)
        with nobody_lost(site, reloaded=True), nobody_lost(other, reloaded=True):
            runs = [each.start("deploy") for each in (site, other)]
            assert [run.end().code for run in runs] == [0, 0]
        for each in (site, other):
            each.check_whole()
            assert body in shell(each.project.server, f"cat /etc/nginx/portside/sites/{each.project.name}.conf")
            assert ask(each.project.server, each.project.domain).status == 200

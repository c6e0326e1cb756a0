"""What else can end a release before it is live: it hangs, dies, answers with errors, or its migration hangs."""

from __future__ import annotations

import signal

import pytest

from ..kit.tiny import URLS, Tiny, nobody_lost
from ..kit.waiting import until

pytestmark = pytest.mark.begins("tiny")

WSGI = "app/hello/wsgi.py"
VIEWS = "app/hello/urls.py"
HANGS_AT_START = "import time\ntime.sleep(1000)\napplication = None\n"
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


def test_it_never_ends_to_load(tiny: Tiny) -> None:
    done = tiny.fails({WSGI: HANGS_AT_START}, "healthcheck")
    assert "DEPLOY_HEALTH_TIMEOUT" in done.err


def test_it_never_answers(tiny: Tiny) -> None:
    done = tiny.fails({VIEWS: HANGS_WHEN_ASKED}, "healthcheck")
    assert "doesn't answer at /" in done.err


def test_it_dies_when_asked_for_its_health(tiny: Tiny) -> None:
    done = tiny.fails({VIEWS: DIES_WHEN_ASKED_FOR_HEALTH}, "healthcheck", DEPLOY_HEALTH_PATH="/healthz")
    assert "doesn't answer at /healthz" in done.err


def test_it_answers_500(tiny: Tiny) -> None:
    done = tiny.fails({VIEWS: ANSWERS_500}, "healthcheck")
    assert "answers 500 at /" in done.err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_migration_hangs_until_somebody_has_had_enough(tiny: Tiny, how: signal.Signals) -> None:
    """It ends with the laptop, and half of it isn't done; the next deploy doesn't wait for it."""
    app = "app/hello"
    files = {
        f"{app}/models.py": "",
        f"{app}/migrations/__init__.py": "",
        f"{app}/migrations/0001_initial.py": HANGING_MIGRATION,
    }
    settings = (tiny.project.root / f"{app}/settings.py").read_text() + "INSTALLED_APPS = [*INSTALLED_APPS, 'hello']\n"
    sleeping = "select count(*) from pg_stat_activity where query like 'select pg_sleep%'"
    with nobody_lost(tiny):
        tiny.change()
        with tiny.project.changed(files | {f"{app}/settings.py": settings}):
            run = tiny.start("deploy")
            until(lambda: tiny.sql(sleeping) == "1", "the migration to hang")
            run.process.send_signal(how)
            run.process.wait()
        until(lambda: tiny.sql(sleeping) == "0", "the migration to end")
        tiny.deploy()
    assert tiny.sql("select to_regclass('half_done')") == ""

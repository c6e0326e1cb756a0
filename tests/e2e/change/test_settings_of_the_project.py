"""A project is refused before its migrations if it would go live otherwise than its owner believes, with the cause, the
file and the ways out; the live release answers on. What works all the same is a warning in the last lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import live, sql
from ..kit.laptop import Done
from ..kit.project import Project
from ..kit.visitors import ask

DOMAIN = "settings.test"
SETTINGS = "hello/settings.py"
NOTES = {  # an app with a migration: its table says whether any was applied
    "notes/__init__.py": "",
    "notes/migrations/__init__.py": "",
    "notes/models.py": "from django.db import models\nclass Note(models.Model):\n    text = models.TextField()\n",
    "notes/migrations/0001_initial.py": """\
from django.db import migrations, models
class Migration(migrations.Migration):
    fields = [("id", models.AutoField(primary_key=True)), ("text", models.TextField())]
    operations = [migrations.CreateModel("Note", fields)]
""",
}
WITH_NOTES = 'INSTALLED_APPS += ["notes"]\nDEFAULT_AUTO_FIELD = "django.db.models.AutoField"\n'


@pytest.fixture(scope="module")
def site(server: Practice, projects: Callable[[str], Project]) -> Project:
    """A small site with a database, live."""
    project = projects("settings")
    project.write(small.files("", small.DATABASE))
    project.commit("Begin")
    project.set(
        DEPLOY_APP=".", DEPLOY_DOMAINS=DOMAIN, DEPLOY_COLLECTSTATIC="off", SECRET_KEY="a-key-of-the-settings-" * 3,
        POSTGRES_PASSWORD="of-the-settings",
    )  # fmt: skip
    project.deploy()
    return project


@pytest.fixture(autouse=True)
def untouched(site: Project) -> Iterator[None]:
    """Whatever a test deploys and is refused: the live release answers, and no migration was applied."""
    before = live(site.server, site.name)
    yield
    if live(site.server, site.name) == before:
        assert ask(site.server, DOMAIN).status == 200
        assert sql(site.server, "settings", "select to_regclass('notes_note')") == ""


def refused(site: Project, files: Mapping[str, str], stage: str = "prepare", **values: str) -> Done:
    """Deploy these files beside an app with a migration; it is refused there."""
    before = live(site.server, site.name)
    with site.changed({**NOTES, **files}, **values):
        done = site.deploy(check=False)
    assert done.code in {1, 2}
    assert f"✗ {stage}" in done.out
    assert stage == "preflight" or f"Release {before} is live, as before." in done.err
    assert f"fab deploy -H {site.server.name}" in done.err or stage == "preflight"
    assert live(site.server, site.name) == before
    return done


def more(text: str) -> dict[str, str]:
    """The settings with these lines at their end."""
    return {SETTINGS: small.SETTINGS + small.DATABASE + WITH_NOTES + text}


def default(engine: str, **more: str) -> str:
    return f"DATABASES = {{'default': { ({'ENGINE': f'django.db.backends.{engine}', **more})!r}}}\n"


WAYS = ("DATABASE_URL", "PGHOST", "DEPLOY_FILES=overlay.py:/app/overlay.py", "DEPLOY_DATABASE=none")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (default("sqlite3", NAME="/app/db.sqlite3"), "SQLite"),
        (default("mysql", NAME="shop", HOST="localhost"), "MySQL"),
        (default("postgresql", NAME="settings", HOST="localhost"), "localhost, which inside a container"),
    ],
)
def test_another_database_than_portsides(text: str, said: str, site: Project) -> None:
    done = refused(site, more(text))
    line = len(more(text)[SETTINGS].splitlines())
    assert done.code == 2
    for each in (said, f"{SETTINGS}, line {line}", "postgres:17", *WAYS):
        assert each in done.err
    assert "Traceback" not in done.err


def test_a_database_file_that_came_along(site: Project) -> None:
    """Which could be read, so that it would go live, and every write would fail."""
    text = default("sqlite3", NAME="/app/db.sqlite3")
    done = refused(site, {**more(text), "db.sqlite3": ""})
    assert "part of the image, which is read-only" in done.err


@pytest.mark.core
def test_debug(site: Project) -> None:
    done = refused(site, {**more("DEBUG = True\n"), "hello/settings_production.py": "from hello.settings import *\n"})
    assert f"DEBUG is on, set in {SETTINGS}, line" in done.err
    assert "DEPLOY_ALLOW_DEBUG=on" in done.err
    assert "DJANGO_SETTINGS_MODULE=hello.settings_production" in done.err


def test_a_settings_module_that_is_not_there(site: Project) -> None:
    done = refused(site, {}, "preflight", DJANGO_SETTINGS_MODULE="hello.production")
    assert "The settings module hello.production doesn't exist" in done.err
    assert "hello.settings" in done.err
    assert "Nothing was changed." in done.err


@pytest.mark.core
def test_an_asgi_project(site: Project) -> None:
    """Found before its migrations."""
    asgi = "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
    wsgi = small.files()["hello/wsgi.py"]
    (site.root / "hello/wsgi.py").unlink()
    done = refused(site, {**more(""), "hello/asgi.py": asgi})
    assert wsgi in (site.root / "hello/wsgi.py").read_text()
    assert "WSGI_APPLICATION names hello.wsgi.application" in done.err
    assert "DEPLOY_WORKER_CLASS=asgi" in done.err


def test_without_psycopg(site: Project) -> None:
    done = refused(site, {**more(""), "requirements.txt": "django>=5.2,<5.3\n"})
    assert "driver isn't in the image: psycopg" in done.err
    assert "psycopg[binary]" in done.err
    assert "Traceback" not in done.err


def test_a_package_that_must_be_compiled(site: Project) -> None:
    done = refused(site, {**more(""), "requirements.txt": "django>=5.2,<5.3\npsycopg2==2.9.9\n"}, "build")
    assert "psycopg2-binary" in done.err
    assert done.err.count("pg_config executable not found") == 1, "the cause once, without BuildKit's repetition"


ROOTS_OWN = """\
FROM python:3.13-slim
COPY requirements.txt .
RUN pip install --user --quiet --no-cache-dir -r requirements.txt gunicorn
ENV PATH=/root/.local/bin:$PATH
WORKDIR /app
COPY . .
"""


def test_packages_that_only_root_can_read(site: Project) -> None:
    done = refused(site, {**more(""), "Dockerfile": ROOTS_OWN})
    assert "The image runs as user 10001, who can't read /root/.local/bin, so django can't be imported" in done.err
    assert "without --user" in done.err
    assert "DJANGO_SETTINGS_MODULE" not in done.err


IN_A_HOME = "FROM python:3.13-slim\nRUN install -d -m 700 /home/app\nWORKDIR /home/app/src\nCOPY . .\n"


def test_a_project_in_a_home_that_is_closed(site: Project) -> None:
    done = refused(site, {**more(""), "Dockerfile": IN_A_HOME})
    assert "The image runs as user 10001, who can't read its WORKDIR, /home/app/src" in done.err


@pytest.fixture
def silent(site: Project) -> Iterator[str]:
    """An address that no packet comes back from."""
    rule = ("DOCKER-USER", "-d", "192.0.2.1", "-j", "DROP")
    site.server.exec(("iptables", "-I", *rule))
    yield "192.0.2.1"
    site.server.exec(("iptables", "-D", *rule))


def elsewhere(site: Project, host: str) -> Done:
    text = "from urllib.parse import urlsplit\nINSTALLED_APPS = []\nDATABASES = {'default': {"
    text += "'ENGINE': 'django.db.backends.postgresql', 'HOST': urlsplit(os.environ['DATABASE_URL']).hostname}}\n"
    return refused(
        site,
        {SETTINGS: small.SETTINGS + text + WITH_NOTES},
        DEPLOY_DATABASE="external",
        DATABASE_URL=f"postgres://shop@{host}/shop",
    )


def test_a_database_elsewhere_that_does_not_answer(silent: str, site: Project) -> None:
    done = elsewhere(site, silent)
    assert f"The database at {silent}:5432 can't be reached: nothing answers there within 6 s." in done.err
    assert "Is DATABASE_URL in .env right" in done.err
    seconds = re.search(r"✗ prepare +([0-9.]+) s", done.out)
    assert seconds
    assert float(seconds[1]) < 60, "it isn't waited for as psycopg would, 130 s each time"


def test_a_database_elsewhere_whose_name_means_nothing(site: Project) -> None:
    assert "the name no-such-host.invalid doesn't exist in DNS" in elsewhere(site, "no-such-host.invalid").err


def test_what_works_otherwise_than_believed_is_said_in_the_last_lines(site: Project) -> None:
    """And a settings module may be at the top."""
    text = """
from hello.settings import *
from django.core.management.utils import get_random_secret_key
SECRET_KEY = get_random_secret_key()
ALLOWED_HOSTS = [".settings.test"]
MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
INSTALLED_APPS = [*INSTALLED_APPS, "tags"]
DATABASES["archive"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
"""
    files = {
        "manage.py": small.MANAGE.replace("hello.settings", "mysettings"),
        "mysettings.py": text,
        "tags/__init__.py": "",
        "tags/models.py": NOTES["notes/models.py"],
    }
    with site.changed(files, DEPLOY_DOMAINS=f"{DOMAIN},other.test"):
        done = site.deploy()
    last = done.out.partition(f"{DOMAIN} is live")[2]
    for said in (
        "! SECRET_KEY (mysettings.py, line 4) isn't the one in .env. It is random at each start",
        "! ALLOWED_HOSTS (mysettings.py, line 5) lacks other.test",
        f"! CSRF_TRUSTED_ORIGINS (mysettings.py) lacks https://{DOMAIN}, https://other.test",
        "! The models of tags have no migrations",
    ):
        assert said in last
        assert done.out.count(said) == 2, "once where it was found, once at the end"
    assert "doesn't manage: archive: SQLite" in done.out


def test_debug_may_be_allowed(site: Project) -> None:
    with site.changed({SETTINGS: small.SETTINGS + small.DATABASE + "DEBUG = True\n"}, DEPLOY_ALLOW_DEBUG="on"):
        done = site.deploy()
    assert "! DEBUG is on" in done.out.partition(f"{DOMAIN} is live")[2]

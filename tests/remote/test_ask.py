"""What a container of the image says of a project: the real Django is asked, of projects at fault in their own ways."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.ssh.payload import REMOTE
from tests import sample

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")\n'
SETTINGS = """\
import os
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["shop.example"]
INSTALLED_APPS = ["django.contrib.contenttypes", "notes"]
ROOT_URLCONF = "web.urls"
WSGI_APPLICATION = "web.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/tmp/no-such-folder/db.sqlite3"}}
"""
MEMORY = 'DATABASES["default"]["NAME"] = ":memory:"\n'
MODELS = "from django.db import models\nclass Note(models.Model):\n    text = models.TextField()\n"
FILES = {
    "manage.py": MANAGE,
    "web/__init__.py": "",
    "web/settings.py": SETTINGS + MEMORY,
    "web/urls.py": "urlpatterns = []\n",
    "web/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
    "notes/__init__.py": "",
    "notes/models.py": MODELS,
}


def ask(folder: Path, files: dict[str, str | None] | None = None, application: str = "", **env: str) -> dict[str, Any]:
    """The answer of a project of these files beside the usual ones; None: not this one."""
    sample.files(folder, {name: text for name, text in (FILES | (files or {})).items() if text is not None})
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PG"))}
    words = (sys.executable, str(REMOTE / "ask.py"), "", "", application)
    environment = {**kept, "SECRET_KEY": "of-the-environment", **env}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.rpartition("portside-answer:")[2].partition("\n")[0])
    return answer


def failed(folder: Path, settings: str, **more: Any) -> tuple[str, str]:
    """What a project with these settings fails at, and what that is about."""
    found = ask(folder, {"web/settings.py": settings, **more})["failed"]
    return found["kind"], found["about"]


def test_a_project_that_starts_says_what_it_needs(tmp_path: Path) -> None:
    answer = ask(tmp_path)
    assert "failed" not in answer
    assert (answer["settings_module"], answer["debug"], answer["key"]) == ("web.settings", False, "environment")
    assert (answer["wsgi"], answer["asgi"], answer["missing"]) == ("web.wsgi.application", "", {})
    assert (answer["allowed_hosts"], answer["csrf_origins"], answer["csrf_checked"]) == (["shop.example"], [], False)
    assert answer["databases"]["default"]["vendor"] == "sqlite"
    assert answer["places"]["DATABASES"] == "web/settings.py, line 8", "the last line that changes it"
    assert answer["unmigrated"] == ["notes"]
    assert answer["pending"] == ["contenttypes.0001_initial", "contenttypes.0002_remove_content_type_name"]


def test_a_settings_module_may_be_at_the_top(tmp_path: Path) -> None:
    manage = MANAGE.replace("web.settings", "mysettings")
    answer = ask(tmp_path, {"manage.py": manage, "mysettings.py": "from web.settings import *\n"})
    assert answer["settings_module"] == "mysettings"
    assert answer["wsgi"] == "web.wsgi.application"
    assert answer["places"]["ALLOWED_HOSTS"] == "web/settings.py, line 3", "where they are taken from"


def test_without_a_name_the_application_is_looked_for(tmp_path: Path) -> None:
    manage = MANAGE.replace("web.settings", "mysettings")
    settings = f"from web.settings import *\n{MEMORY}del WSGI_APPLICATION\n"
    files: dict[str, str | None] = {"manage.py": manage, "mysettings.py": settings}
    assert ask(tmp_path / "a", files)["wsgi"] == "web.wsgi.application", "beside the URLs"
    wsgi = FILES["web/wsgi.py"]
    assert ask(tmp_path / "b", files | {"web/wsgi.py": None, "wsgi.py": wsgi})["wsgi"] == "wsgi.application"
    assert ask(tmp_path / "c", files | {"web/wsgi.py": None})["wsgi"] == ""
    raises = "raise RuntimeError('kaboom')\n"
    assert ask(tmp_path / "d", files | {"web/wsgi.py": raises})["wsgi"] == "web.wsgi.application", "it says why itself"


def test_an_application_that_is_named_and_is_not_there(tmp_path: Path) -> None:
    answer = ask(tmp_path, {"web/wsgi.py": None, "web/asgi.py": "application = None\n"})
    assert (answer["wsgi"], answer["asgi"]) == ("", "web.asgi.application")
    assert answer["missing"] == {"wsgi": "web.wsgi.application"}


@pytest.mark.parametrize(
    ("application", "there"),
    [("web.wsgi:application", True), ("web.wsgi:app", False), ("web.other:app", False), ("nowhere.wsgi:app", False)],
)
def test_an_application_of_the_settings_is_looked_for(application: str, there: bool, tmp_path: Path) -> None:
    assert ask(tmp_path, application=application)["missing"] == ({} if there else {"given": application})


def test_settings_may_be_split(tmp_path: Path) -> None:
    files: dict[str, str | None] = {
        "manage.py": MANAGE.replace("web.settings", "web.settings.local"),
        "web/settings.py": None,
        "web/settings/__init__.py": "",
        "web/settings/base.py": SETTINGS,
        "web/settings/local.py": f"from .base import *\nDEBUG = True\n{MEMORY}",
        "web/settings/production.py": "from .base import *\n",
        "web/settings/reproduce.py": "",
    }
    answer = ask(tmp_path, files)
    assert answer["debug"]
    assert answer["places"]["DEBUG"] == "web/settings/local.py, line 2"
    assert answer["places"]["SECRET_KEY"] == "web/settings/base.py, line 2"
    assert answer["beside"] == ["web.settings.production"]
    assert answer["wsgi"] == "web.wsgi.application"


@pytest.mark.parametrize("name", ["settings_prod", "production_settings", "production"])
def test_settings_for_production_are_known_by_their_name(name: str, tmp_path: Path) -> None:
    assert ask(tmp_path, {f"web/{name}.py": ""})["beside"] == [f"web.{name}"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('SECRET_KEY = os.environ["OTHER"]', "environment"),
        ("from django.core.management.utils import get_random_secret_key as a\nSECRET_KEY = a()", "random"),
        ("import secrets\nSECRET_KEY = secrets.token_hex()", "random"),
        ("import uuid\nSECRET_KEY = str(uuid.uuid4())", "random"),
        ('SECRET_KEY = "django-insecure-of-the-code"', "fixed"),
    ],
)
def test_whose_the_key_is(line: str, said: str, tmp_path: Path) -> None:
    files: dict[str, str | None] = {"web/settings.py": f"{SETTINGS}{MEMORY}{line}\nprint('a project that talks')\n"}
    assert ask(tmp_path, files, OTHER="another-of-the-environment")["key"] == said


def test_databases_are_told_as_their_driver_takes_them(tmp_path: Path) -> None:
    settings = """
DATABASES = {
    "default": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"pool": True}},
    "given": {"ENGINE": "django.contrib.gis.db.backends.postgis", "HOST": "10.0.0.9", "PORT": 6432, "NAME": "geo"},
    "service": {"ENGINE": "django.db.backends.postgresql", "HOST": "", "OPTIONS": {"service": "x", "host": ""}},
    "old": {"ENGINE": "django.db.backends.mysql", "HOST": "/run/mysqld.sock", "NAME": "old"},
    "file": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/no/such/folder/db.sqlite3"},
    "none": {},
}
"""
    env = {"PGHOST": "db", "PGDATABASE": "shop"}
    found = ask(tmp_path, {"web/settings.py": SETTINGS + settings}, **env)["databases"]
    places = {alias: (each["vendor"], each["host"], each["port"], each["name"]) for alias, each in found.items()}
    assert places == {
        "default": ("postgresql", "db", "5432", "shop"),
        "given": ("postgresql", "10.0.0.9", "6432", "geo"),
        "service": ("postgresql", "db", "5432", "shop"),
        "old": ("mysql", "/run/mysqld.sock", "3306", "old"),
        "file": ("sqlite", "", "", "/no/such/folder/db.sqlite3"),
        "none": ("none", "", "", ""),
    }
    assert [alias for alias, each in found.items() if each.get("ours")] == ["default", "service"]
    assert found["file"]["file"] == "absent"


@pytest.mark.parametrize(
    ("name", "state"),
    [("/var/tmp/x", "lasting"), ("/dev/shm/x", "passing"), (":memory:", "passing"), ("/no/such/folder/x", "absent")],
)
def test_what_becomes_of_a_file_of_sqlite(name: str, state: str, tmp_path: Path) -> None:
    settings = SETTINGS + f'DATABASES["default"]["NAME"] = {name!r}\nINSTALLED_APPS = []\n'
    assert ask(tmp_path, {"web/settings.py": settings})["databases"]["default"]["file"] == state


NOWHERE = """
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": "1", "NAME": "x"}}
"""
CLOSED = 'raise PermissionError(13, "Permission denied", "/app/x.log")\n'


@pytest.mark.parametrize(
    ("settings", "kind", "about"),
    [
        ("import environ_that_is_not_there\n", "module", "environ_that_is_not_there"),
        ("from web import nothing_like_it\n", "other", ""),
        ('import os\nos.environ["STRIPE_KEY"]\n', "variable", "STRIPE_KEY"),
        ('{}["STRIPE_KEY"]\n', "other", ""),
        ('raise ValueError("Set the STRIPE_KEY environment variable")\n', "variable", "STRIPE_KEY"),
        ('raise ValueError("STRIPE_KEY not found. Declare it as envvar or define a default value.")\n', "variable",
         "STRIPE_KEY"),
        ('raise OSError(30, "Read-only file system", "/app/x.log")\n', "read-only", "/app/x.log"),
        (CLOSED, "forbidden", "/app/x.log"),
        ('raise ImportError("no pq wrapper available.\\n- libpq library not found")\n', "libpq", ""),
        ('raise ImportError("libpq.so.5: cannot open shared object file: No such file or directory")\n', "libpq", ""),
        ('raise ImportError("libGL.so.1: cannot open shared object file: No such file")\n', "library", "libGL.so.1"),
        ('raise SystemExit("no such colour")\n', "other", ""),
        (SETTINGS, "database", ""),
        (SETTINGS + NOWHERE, "unreachable", ""),
        (SETTINGS + 'DATABASES["default"]["ENGINE"] = "django.db.backends.mysql"\n', "driver", "mysqlclient"),
    ],
)  # fmt: skip
def test_what_a_project_fails_at_is_told_by_its_kind(settings: str, kind: str, about: str, tmp_path: Path) -> None:
    assert failed(tmp_path, settings) == (kind, about)


def test_without_psycopg_its_name_is_told(tmp_path: Path) -> None:
    absent = {
        f"{name}.py": f"raise ModuleNotFoundError('No module named {name}')\n" for name in ("psycopg", "psycopg2")
    }
    reached = NOWHERE.replace('"HOST": "127.0.0.1", ', "")
    assert failed(tmp_path, SETTINGS + reached, **absent) == ("driver", "psycopg")


def test_a_settings_module_that_is_not_there(tmp_path: Path) -> None:
    manage = MANAGE.replace("web.settings", "web.production")
    found = ask(tmp_path, {"manage.py": manage})["failed"]
    assert (found["kind"], found["about"]) == ("settings", "web.production")


def test_where_in_the_project_it_was_is_told(tmp_path: Path) -> None:
    found = ask(tmp_path, {"web/settings.py": f"x = 1\n{CLOSED}"})["failed"]
    assert found["where"] == "web/settings.py, line 2"
    assert found["text"] == "PermissionError: [Errno 13] Permission denied: '/app/x.log'"


def test_nobody_waits_for_a_database_that_does_not_answer(tmp_path: Path) -> None:
    """Another than the default one is named, and Django starts all the same."""
    settings = (
        SETTINGS
        + MEMORY
        + NOWHERE.replace("DATABASES = ", "DATABASES['other'] = ").replace('{"default": {', "{").replace("}}", "}")
    )
    answer = ask(tmp_path, {"web/settings.py": settings})
    assert answer["unreachable"] == {"other": "nothing listens there"}
    assert "failed" not in answer

"""A project judged by what its image says of it: what is refused, what is a warning, and why it doesn't start."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.build import source
from deploy.config.settings import Settings
from deploy.core.errors import PortsideError, Refused
from deploy.releases import django, settings_module
from deploy.releases.answer import Answer
from tests import sample

OURS = {"engine": "django.db.backends.postgresql", "vendor": "postgresql", "host": "db", "port": "5432"}
OURS |= {"name": "portfolio", "ours": True, "elsewhere": False}
PLACES = {name: f"config/settings.py, line {number}" for number, name in enumerate(
    ("DATABASES", "DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"), 10
)}  # fmt: skip
SQLITE = {"engine": "django.db.backends.sqlite3", "vendor": "sqlite", "host": "", "port": "", "name": "/app/db.sqlite3"}


def answer(default: dict[str, Any] | None = None, **changed: Any) -> Answer:
    return sample.answer(**{"databases": {"default": OURS | (default or {})}, "places": PLACES} | changed)


def refused(settings: Settings, given: Answer) -> Refused:
    with pytest.raises(Refused) as caught:
        django.check(settings, sample.SITE, given)
    return caught.value


def told(settings: Settings, **changed: Any) -> list[str]:
    return list(django.warnings(settings, answer(**changed)))


# Databases


def test_portsides_own_database_is_as_it_should_be(settings: Settings) -> None:
    django.check(settings, sample.SITE, answer())
    assert told(settings) == []


def test_a_database_of_another_name_for_the_same_place_is_ours(settings: Settings) -> None:
    django.check(settings, sample.SITE, answer({"host": "portfolio-data-db-1"}))
    django.check(settings, sample.SITE, answer({"host": "", "ours": False, "elsewhere": True}))


@pytest.mark.parametrize(
    ("default", "said"),
    [
        (SQLITE | {"file": "absent"}, "SQLite (django.db.backends.sqlite3, /app/db.sqlite3)"),
        ({"engine": "django.db.backends.mysql", "vendor": "mysql", "host": "mysql", "ours": False}, "MySQL"),
        ({"engine": "django.db.backends.oracle", "vendor": "oracle", "ours": False}, "Oracle"),
        ({"engine": "mssql", "vendor": "microsoft", "ours": False}, "mssql"),
        ({"host": "localhost", "ours": False}, "on localhost, which inside a container is the container itself"),
        ({"host": "10.0.0.5", "ours": False}, "PostgreSQL (django.db.backends.postgresql) on 10.0.0.5"),
        ({"host": "", "ours": False}, "on the container itself"),
        ({"host": "/var/run/postgresql", "ours": False}, "on the socket /var/run/postgresql"),
    ],
)
def test_another_database_is_refused(default: dict[str, Any], said: str, settings: Settings) -> None:
    error = refused(settings, answer(default))
    assert said in error.message
    assert "config/settings.py, line 10" in error.message
    assert "postgres:17" in error.message
    ways = ("DATABASE_URL", "PGHOST", "DEPLOY_FILES=overlay.py:/app/overlay.py", "DEPLOY_DATABASE=none")
    assert [way for way in ways if way not in error.hint] == []
    assert ("DEPLOY_VOLUMES" in error.hint) == (default.get("vendor") == "sqlite")


def test_a_file_that_came_with_the_code_is_said_to_take_no_writes(settings: Settings) -> None:
    assert "the image, which is read-only" in refused(settings, answer(SQLITE | {"file": "read-only"})).message
    assert "the image, which is read-only" not in refused(settings, answer(SQLITE | {"file": "absent"})).message


def test_another_name_on_portsides_server_is_refused(settings: Settings) -> None:
    error = refused(settings, answer({"name": "postgres"}))
    assert "named “postgres”" in error.message
    assert "“portfolio”" in error.message
    assert "POSTGRES_DB=postgres" in error.hint


def test_only_the_default_database_must_be_portsides(settings: Settings) -> None:
    archive = OURS | {"host": "old.example", "ours": False}
    given = answer(databases={"default": OURS, "archive": archive})
    django.check(settings, sample.SITE, given)
    assert django.other_databases(given) == "archive: PostgreSQL (django.db.backends.postgresql) on old.example"
    assert django.other_databases(answer()) == ""
    given = {"databases": {"default": OURS, "archive": archive}, "unreachable": {"archive": "nothing listens there"}}
    (line,) = told(settings, **given)
    where = "The database “archive” on old.example:5432"
    assert line == f"{where} can't be reached, so it isn't migrated: nothing listens there."


def test_a_project_without_a_database_is_told_of_the_one_it_has(settings: Settings) -> None:
    given = answer({"engine": "django.db.backends.dummy", "vendor": "none", "host": ""})
    django.check(settings, sample.SITE, given)
    assert "DEPLOY_DATABASE=none" in next(django.warnings(settings, given))


def test_a_database_elsewhere_is_the_one_that_is_said(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE="external", DATABASE_URL="postgres://u:p@big.example/shop")
    django.check(settings, sample.SITE, answer({"host": "big.example", "ours": False}))
    error = refused(settings, answer({"host": "localhost", "ours": False}))
    assert "DATABASE_URL in .env says PostgreSQL on big.example" in error.message
    assert "SQLite" in refused(settings, answer(SQLITE)).message
    unknown = sample.settings(tmp_path, DEPLOY_DATABASE="external", DATABASE_URL="cockroachdb://big.example/shop")
    django.check(unknown, sample.SITE, answer(SQLITE))


def test_sqlite_of_its_own_is_no_fault(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE="none")
    for state, said in (("lasting", ""), ("read-only", "every write to it fails"), ("passing", "is lost")):
        given = answer(databases={"default": SQLITE | {"file": state}})
        django.check(settings, sample.SITE, given)
        assert said in "".join(django.warnings(settings, given))
        assert bool(said) == bool(list(django.warnings(settings, given)))


# DEBUG


def test_debug_is_refused_unless_it_is_allowed(settings: Settings) -> None:
    error = refused(settings, answer(debug=True, beside=["config.settings.production"]))
    assert "DEBUG is on, set in config/settings.py, line 11" in error.message
    assert "DEPLOY_ALLOW_DEBUG=on" in error.hint
    assert "DJANGO_SETTINGS_MODULE=config.settings.production" in error.hint
    allowed = settings.model_copy(update={"allow_debug": True})
    django.check(allowed, sample.SITE, answer(debug=True))
    assert "DEBUG is on" in told(allowed, debug=True)[0]


def test_all_faults_are_told_at_once(settings: Settings) -> None:
    error = refused(settings, answer(SQLITE, debug=True, wsgi="", asgi="config.asgi.application"))
    assert len(error.message.splitlines()) == 3
    assert "DEPLOY_WORKER_CLASS=asgi" in error.hint


# Applications


def test_an_asgi_project_is_told_how_it_is_served(settings: Settings) -> None:
    error = refused(settings, answer(wsgi="", missing={"wsgi": "config.wsgi.application"}))
    assert "no WSGI application: WSGI_APPLICATION names config.wsgi.application, which doesn't" in error.message
    assert "config.asgi.application is an ASGI application: DEPLOY_WORKER_CLASS=asgi serves it" in error.hint
    served = settings.model_copy(update={"worker_class": "asgi"})
    django.check(served, sample.SITE, answer(wsgi="", missing={"wsgi": "config.wsgi.application"}))


def test_a_wsgi_project_is_no_asgi_one(settings: Settings) -> None:
    served = settings.model_copy(update={"worker_class": "asgi"})
    error = refused(served, answer(asgi=""))
    assert "no ASGI application: the project has no module asgi" in error.message
    assert "remove DEPLOY_WORKER_CLASS=asgi" in error.hint


def test_an_application_that_is_named_must_be_there(settings: Settings) -> None:
    given = settings.model_copy(update={"application": "config.wsgi:app"})
    django.check(given, sample.SITE, answer(wsgi="", asgi=""))
    assert "no config.wsgi:app in the image" in refused(given, answer(missing={"given": "config.wsgi:app"})).message


# Keys, hosts, origins


@pytest.mark.parametrize(
    ("key", "said"),
    [("environment", ""), ("random", "logged out at random"), ("fixed", "forge a login")],
)
def test_another_key_than_that_of_the_environment_is_said(key: str, said: str, settings: Settings) -> None:
    lines = told(settings, key=key)
    assert bool(lines) == bool(said)
    assert said in "".join(lines)
    assert not lines or "config/settings.py, line 12" in lines[0]


@pytest.mark.parametrize(
    ("hosts", "unknown"),
    [
        (["*"], ""),
        (["gallery.example", "www.gallery.example", "any.art.example"], ""),
        ([".gallery.example", ".ART.example"], ""),
        (["gallery.example", ".art.example"], "www.gallery.example"),
        ([], "gallery.example, www.gallery.example, *.art.example"),
        (["allery.example"], "gallery.example, www.gallery.example, *.art.example"),
    ],
)
def test_a_domain_that_django_does_not_know_is_said(hosts: list[str], unknown: str, settings: Settings) -> None:
    domains = ("gallery.example", "www.gallery.example", "*.art.example")
    lines = told(settings.model_copy(update={"domains": domains}), allowed_hosts=hosts)
    assert bool(lines) == bool(unknown)
    assert not unknown or f"lacks {unknown}, so Django answers 400" in lines[0]


@pytest.mark.parametrize(
    ("origins", "knows_https", "checked", "said"),
    [
        ([], True, True, ""),
        ([], False, False, ""),
        ([], False, True, "SECURE_PROXY_SSL_HEADER isn't set"),
        (["https://portfolio.localhost"], False, True, ""),
        (["https://*.localhost"], False, True, ""),
        (["http://portfolio.localhost"], False, True, "SECURE_PROXY_SSL_HEADER isn't set"),
        (["https://other.example"], True, False, "has https://other.example, but not https://portfolio.localhost"),
    ],
)
def test_origins_that_do_not_fit_are_said(
    origins: list[str], knows_https: bool, checked: bool, said: str, settings: Settings
) -> None:
    lines = told(settings, csrf_origins=origins, knows_https=knows_https, csrf_checked=checked)
    assert bool(lines) == bool(said)
    assert said in "".join(lines)


def test_an_app_without_migrations_is_named(settings: Settings) -> None:
    assert "The models of notes, tags have no migrations" in told(settings, unmigrated=["notes", "tags"])[0]


# Why it doesn't start


@pytest.mark.parametrize(
    ("kind", "about", "more", "message", "hint"),
    [
        ("settings", "config.prod", {}, "module config.prod isn't in the image", "DJANGO_SETTINGS_MODULE in man"),
        ("module", "environ", {}, "no module environ", "DEPLOY_PIP=environ"),
        ("django", "django", {"closed": {"named": ["/root/.local/bin"], "homes": ["/root"]}},
         "The image runs as user 10001, who can't read /root/.local/bin", "without --user"),
        ("django", "django", {"closed": {"named": [], "homes": ["/home/app"]}}, "Django isn't in", "below /home/app"),
        ("driver", "psycopg", {}, "driver isn't in the image: psycopg", "DEPLOY_PIP=psycopg[binary]"),
        ("driver", "mysqlclient", {}, "mysqlclient", "DEPLOY_PIP=mysqlclient"),
        ("libpq", "", {}, "psycopg needs libpq, which isn't", "DEPLOY_APT=libpq5"),
        ("library", "libGL.so.1", {}, "library libGL.so.1", "DEPLOY_APT"),
        ("variable", "STRIPE_KEY", {}, "variable STRIPE_KEY", "Set STRIPE_KEY in .env"),
        ("read-only", "/app/x.log", {}, "writes to /app/x.log", "DEPLOY_VOLUMES"),
        ("forbidden", "/app/x.log", {}, "may not use /app/x.log", "chmod"),
        ("unreachable", "", {"text": "nothing listens there"}, "db:5432 can't be reached: nothing", "PGHOST"),
        ("database", "", {}, "database at db:5432 refuses", "PGHOST"),
        ("other", "", {"where": "config/settings.py, line 3"}, "these settings (config/settings.py, line 3).", ""),
        ("checks", "", {}, "Django's checks found errors", ""),
    ],
)  # fmt: skip
def test_a_hint_fits_its_failure(
    kind: str, about: str, more: dict[str, Any], message: str, hint: str, settings: Settings
) -> None:
    failed = {"kind": kind, "about": about, "text": "SomeError: in its own words", **more}
    with pytest.raises(PortsideError) as caught:
        django.check(settings, sample.SITE, answer(failed=failed))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert ("in its own words" in caught.value.message) == ("text" not in more)


def test_what_the_settings_tell_comes_before_why_they_do_not_start(settings: Settings) -> None:
    failed = {"kind": "unreachable", "about": "", "text": "nothing listens there"}
    error = refused(settings, answer({"host": "localhost", "ours": False}, failed=failed))
    assert "on localhost" in error.message


def test_a_database_elsewhere_that_is_not_reached_names_what_says_it(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE="external", DATABASE_URL="postgres://big.example/shop")
    failed = {"kind": "unreachable", "about": "", "text": "the name big.example doesn't exist in DNS"}
    with pytest.raises(PortsideError, match=r"big\.example:5432 can't be reached: the name") as caught:
        django.check(settings, sample.SITE, answer({"host": "big.example", "ours": False}, failed=failed))
    assert "DATABASE_URL" in caught.value.hint


def test_a_file_of_sqlite_that_can_not_be_made_needs_a_volume(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE="none")
    failed = {"kind": "database", "about": "", "text": "OperationalError: unable to open database file"}
    given = answer(databases={"default": SQLITE | {"file": "absent"}}, failed=failed)
    with pytest.raises(PortsideError, match=r"/app/db\.sqlite3 can't be written") as caught:
        django.check(settings, sample.SITE, given)
    assert "DEPLOY_VOLUMES=data:/data" in caught.value.hint


# The settings module, before there is an image


def found(folder: Path, manage: str, files: dict[str, str], **changed: str) -> None:
    text = f'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{manage}")\n'
    sample.repository(folder / "app", {"manage.py": text, "requirements.txt": "", **files})
    settings = sample.settings(folder, **changed)
    with ExitStack() as stack:
        settings_module.check_settings_module(settings, source.find(settings, "", stack))


PACKAGE = {"config/__init__.py": "", "config/settings/base.py": "", "config/settings/live.py": ""}


def test_a_settings_module_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"config\.settings\.prod doesn't exist") as caught:
        found(tmp_path, "config.settings.prod", PACKAGE)
    assert "config.settings.base, config.settings.live" in caught.value.hint
    assert "manage.py" in caught.value.hint


def test_a_settings_module_of_the_environment_file_wins(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"config\.settings\.prod doesn't exist") as caught:
        found(tmp_path, "config.settings.live", PACKAGE, DJANGO_SETTINGS_MODULE="config.settings.prod")
    assert "in .env" in caught.value.hint


def test_a_settings_module_that_git_passes_over_is_said_to_be(tmp_path: Path) -> None:
    sample.files(tmp_path / "app", {"config/settings/prod.py": "", ".gitignore": "prod.py\n"})
    with pytest.raises(Refused, match=r"config/settings/prod\.py is in your folder, but git doesn't track it"):
        found(tmp_path, "config.settings.prod", PACKAGE)


@pytest.mark.parametrize(
    ("module", "more", "changed"),
    [
        ("config.settings.live", {}, {}),
        ("mysettings", {"mysettings.py": ""}, {}),
        ("installed.settings", {}, {}),
        ("config.settings.made", {"Dockerfile": "FROM x\nRUN make settings\n"}, {}),
        ("config.settings.laid", {}, {"DEPLOY_FILES": "x.py:/app/config/settings/laid.py"}),
    ],
)
def test_a_settings_module_that_may_be_there_is_none_of_our_business(
    module: str, more: dict[str, str], changed: dict[str, str], tmp_path: Path
) -> None:
    found(tmp_path, module, PACKAGE | more, **changed)

"""Compose files, the application's environment, and what Django's answer must be."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from deploy.config.settings import Settings
from deploy.config.types import postgres_major
from deploy.core.errors import Refused
from deploy.core.facts import Facts
from deploy.core.paths import Site
from deploy.core.steps import folder
from deploy.nginx import htpasswd
from deploy.releases import compose as compose_file
from deploy.releases import environment as release_environment
from deploy.releases import routes, templates
from deploy.releases.database import files as database_files
from deploy.releases.database import steps as database_steps
from tests import sample
from tests.config.test_dotenv import HARD, read_as_compose

RELEASE = sample.SITE.release(sample.NEW)
FACTS = sample.facts("debian-13-live")


def compose(settings: Settings, **changed: object) -> str:
    return compose_file.release_compose(
        settings, Site(settings.site).release(sample.NEW), FACTS, sample.answer(**changed)
    )


def data_compose(settings: Settings, facts: Facts = FACTS) -> str:
    site = Site(settings.site)
    return database_files(settings, site, facts)[site.data_compose]


def environment(folder: Path, **changed: str) -> dict[str, str]:
    """What the application sees: Compose reads the second file over the first."""
    settings = sample.settings(folder, **changed)
    return {**release_environment.own_environment(settings), **made_environment(settings)}


def made_environment(settings: Settings) -> dict[str, str]:
    return release_environment.made_environment(settings, sample.SITE, sample.NEW, "config.settings")


def test_what_the_application_is_handed(tmp_path: Path) -> None:
    assert environment(tmp_path) == {
        "ALLOWED_HOSTS": "portfolio.localhost",
        "CSRF_TRUSTED_ORIGINS": "https://portfolio.localhost,http://portfolio.localhost",
        "DATABASE_URL": "postgres://portfolio:correct-horse-battery@db:5432/portfolio",
        "DEPLOY_RELEASE": sample.NEW,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "HOME": "/tmp",
        "LOGNAME": "app",
        "PGHOST": "db",
        "PGPORT": "5432",
        "PGUSER": "portfolio",
        "PGPASSWORD": "correct-horse-battery",
        "PGDATABASE": "portfolio",
        "POSTGRES_USER": "portfolio",
        "POSTGRES_DB": "portfolio",
        "POSTGRES_PASSWORD": "correct-horse-battery",
        "PORTSIDE_PROOF": htpasswd.proof(sample.settings(tmp_path)),
        "SECRET_KEY": "not-so-secret-key",
    }


def test_a_release_keeps_its_own_names_and_follows_the_present_settings_in_the_others(tmp_path: Path) -> None:
    given = {"REDIS_URL": "redis://x", "DJANGO_SETTINGS_MODULE": "other", "EMAIL_URL": "smtp://x", "PGSSLMODE": "off"}
    settings = sample.settings(tmp_path, DEPLOY_REDIRECT_DOMAINS="old.example", **given)
    own, made = set(release_environment.own_environment(settings)), set(made_environment(settings))
    assert own == {"SECRET_KEY", "DJANGO_SETTINGS_MODULE", "EMAIL_URL", "PGSSLMODE"}
    assert made == {
        "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DATABASE_URL", "DEPLOY_RELEASE", "REDIS_URL", "PGHOST", "PGPORT",
        "PGUSER", "PGPASSWORD", "PGDATABASE", "PORTSIDE_PROOF", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD",
        "HOME", "LOGNAME",
    }  # fmt: skip


def test_a_home_of_the_applications_own_stays(tmp_path: Path) -> None:
    assert "HOME" not in made_environment(sample.settings(tmp_path, HOME="/data"))
    assert release_environment.own_environment(sample.settings(tmp_path, HOME="/data"))["HOME"] == "/data"


def test_no_name_stands_in_both_parts_of_the_environment(tmp_path: Path) -> None:
    for settings in (sample.settings(tmp_path), sample.settings(tmp_path, sample.EVERY_SETTING)):
        assert not set(release_environment.own_environment(settings)) & set(made_environment(settings))


def test_the_part_that_follows_is_a_secret_file_of_its_own(settings: Settings) -> None:
    step = release_environment.made_environment_step(settings, RELEASE, "config.settings")
    assert step.words == ("write", RELEASE.made_env, "600", "root:root")
    content = step.files["content"]
    assert isinstance(content, bytes)
    assert read_as_compose(content.decode()) == made_environment(settings)
    assert step.secret
    assert step in compose_file.release_steps(settings, RELEASE, FACTS, "config.settings")


def test_a_name_that_redirects_is_the_applications_too(tmp_path: Path) -> None:
    made = environment(tmp_path, DEPLOY_REDIRECT_DOMAINS="old.example")
    assert made["ALLOWED_HOSTS"] == "portfolio.localhost,old.example"
    assert "https://old.example" in made["CSRF_TRUSTED_ORIGINS"].split(",")


def test_a_wildcard_is_told_in_djangos_words(tmp_path: Path) -> None:
    (tmp_path / "dns.ini").write_text("x")
    lines = {"DEPLOY_ACME_DNS": "rfc2136", "DEPLOY_ACME_DNS_CREDENTIALS": "dns.ini"}
    made = environment(tmp_path, DEPLOY_DOMAINS="a.example,*.a.example", **lines)
    assert made["ALLOWED_HOSTS"] == "a.example,.a.example"
    assert made["CSRF_TRUSTED_ORIGINS"] == "https://a.example,https://*.a.example,http://a.example,http://*.a.example"


@pytest.mark.parametrize("name", ["ALLOWED_HOSTS", "DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PGHOST", "REDIS_URL"])
def test_what_the_environment_file_says_wins(name: str, tmp_path: Path) -> None:
    assert environment(tmp_path, **{name: "mine"})[name] == "mine"


@pytest.mark.parametrize("value", [f"correct horse {value}" for value in HARD])
def test_a_password_of_any_characters_reaches_the_application(value: str, tmp_path: Path) -> None:
    value = f"x7Gq{value}2lPz"
    values = environment(tmp_path, POSTGRES_PASSWORD=value, POSTGRES_USER=value, POSTGRES_DB=value)
    parts = urlsplit(values["DATABASE_URL"])
    assert (parts.hostname, parts.port, unquote(parts.path[1:])) == ("db", 5432, value)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (value, value)
    assert values["POSTGRES_PASSWORD"] == values["PGPASSWORD"] == value


@pytest.mark.parametrize("value", HARD)
def test_a_value_reaches_the_release_as_it_was(value: str, tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, HARD=value)
    steps = compose_file.release_steps(settings, RELEASE, FACTS, "config.settings")
    (written,) = (step for step in steps if step.path == RELEASE.env)
    content = written.files["content"]
    assert isinstance(content, bytes)
    assert read_as_compose(content.decode())["HARD"] == value
    assert (written.secret, written.mode) == (True, 0o600)


def test_without_a_database_of_ours_none_is_handed(tmp_path: Path) -> None:
    assert not {name for name in environment(tmp_path, DEPLOY_DATABASE="none") if name.startswith(("PG", "DATABASE"))}


@pytest.mark.parametrize("value", [*HARD, "${PORTSIDE_PORT}", "$$"])
def test_a_yaml_value_is_read_as_it_was(value: str) -> None:
    text = templates._yaml_value(value)
    assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", text), "Compose would expand a variable"
    assert json.loads(text.replace("$$", "$")) == value
    assert "\n" not in text


def test_a_values_dollar_does_not_reach_compose_as_a_variable(tmp_path: Path) -> None:
    text = data_compose(sample.settings(tmp_path, POSTGRES_USER="a$b", POSTGRES_DB="c: d # e"))
    assert 'POSTGRES_USER: "a$$b"' in text
    assert 'POSTGRES_DB: "c: d # e"' in text


def test_a_secret_stands_in_no_compose_file(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    for text in (compose(settings), data_compose(settings)):
        assert "not-so-secret" not in text
        assert "p@ss" not in text


def test_ports_are_published_on_loopback_only(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    published = re.findall(r"ports: \[(.*?)\]", compose(settings) + data_compose(settings))
    assert [ports.strip('"').startswith("127.0.0.1:") for ports in published if ports] == [True, True, True]


@pytest.mark.parametrize(("cores", "workers"), [(1, "3"), (2, "5"), (4, "8"), (64, "8")])
def test_workers_follow_the_cores(cores: int, workers: str, settings: Settings) -> None:
    text = compose_file.release_compose(settings, RELEASE, replace(FACTS, cores=cores), sample.answer())
    assert f'PORTSIDE_WORKERS: "{workers}"' in text


@pytest.mark.parametrize(("memory", "workers"), [(0, "5"), (481, "1"), (960, "4"), (1968, "5"), (100, "1")])
def test_workers_follow_the_memory(memory: int, workers: str, settings: Settings) -> None:
    facts = replace(FACTS, cores=2, memory_mb=memory)
    text = compose_file.release_compose(settings, RELEASE, facts, sample.answer())
    assert f'PORTSIDE_WORKERS: "{workers}"' in text


@pytest.mark.parametrize(("replicas", "workers"), [("1", "8"), ("2", "4"), ("3", "2"), ("9", "1")])
def test_the_usual_workers_are_shared_out_among_replicas(replicas: str, workers: str, tmp_path: Path) -> None:
    text = compose_file.release_compose(
        sample.settings(tmp_path, DEPLOY_REPLICAS=replicas), RELEASE, replace(FACTS, cores=8), sample.answer()
    )
    assert f'PORTSIDE_WORKERS: "{workers}"' in text
    assert re.findall(r"^  (web-\d+):", text, re.MULTILINE) == [f"web-{n}" for n in range(1, int(replicas) + 1)]
    assert re.findall(r"PORTSIDE_PORT_(\d+):-0}:8000", text) == [str(n) for n in range(1, int(replicas) + 1)]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, ""),
        ({"DEPLOY_WORKERS": "4", "DEPLOY_THREADS": "12"}, ""),
        ({"DEPLOY_WORKERS": "4", "DEPLOY_THREADS": "13"}, "is 4 x 13 x 1, "),
        ({"DEPLOY_WORKERS": "4", "DEPLOY_REPLICAS": "4"}, "is 4 x 4 x 4, "),
        ({"DEPLOY_WORKERS": "4", "DEPLOY_REPLICAS": "4", "DEPLOY_DATABASE": "none"}, ""),
    ],
)
def test_more_connections_than_the_database_has_are_told(values: dict[str, str], told: str, tmp_path: Path) -> None:
    text = compose_file.too_many_connections(sample.settings(tmp_path, **values), FACTS)
    assert (told in text) if told else text == ""
    if told:
        assert text.startswith("DEPLOY_WORKERS x DEPLOY_THREADS x DEPLOY_REPLICAS")


@pytest.mark.parametrize(
    ("line", "run"),
    [
        ("python manage.py work --queue 'a|b'", "exec python manage.py work --queue 'a|b'"),
        ("A=1 python worker.py > /tmp/log", "exec env A=1 python worker.py > /tmp/log"),
        ("exec python worker.py", "exec python worker.py"),
        ("cd /data && exec python worker.py", "cd /data && exec python worker.py"),
        ("a; b", "a; b"),
        ("a $(b)", "a $(b)"),
        ("a `b`", "a `b`"),
        ("a\nb", "a\nb"),
        ("it's", "it's"),
    ],
)
def test_a_shell_gives_way_to_a_single_command(line: str, run: str) -> None:
    assert compose_file.in_its_place(line) == run


@pytest.mark.parametrize(("version", "there"), [("24.0.7", False), ("25.0.0", True), ("28.1.1", True), ("", False)])
def test_an_old_engine_is_asked_for_health_less_often(version: str, there: bool, settings: Settings) -> None:
    assert ("start_interval" in data_compose(settings, replace(FACTS, docker_version=version))) is there


@pytest.mark.parametrize(
    ("image", "major", "folder"),
    [
        ("postgres:17", 17, "/var/lib/postgresql/data\n"),
        ("postgres:18-alpine", 18, "/var/lib/postgresql\n"),
        ("registry.example:5000/postgis/postgis:16-3.4", 16, "/var/lib/postgresql/data\n"),
    ],
)
def test_the_databases_folder_follows_its_major_version(image: str, major: int, folder: str, tmp_path: Path) -> None:
    assert postgres_major(image) == major
    assert f"- postgres:{folder}" in data_compose(sample.settings(tmp_path, DEPLOY_DATABASE=image))


@pytest.mark.parametrize("database", ["external", "none"])
def test_a_database_of_somebody_else_is_left_alone(database: str, tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE=database, DATABASE_URL="postgres://elsewhere/x")
    assert database_steps(settings, sample.SITE, sample.provisioned()) == []
    assert "PGHOST" not in made_environment(settings)


def test_database_and_releases_share_one_network_that_neither_makes(settings: Settings) -> None:
    for text in (compose(settings), data_compose(settings)):
        assert text.count('networks:\n  default:\n    name: "portside-portfolio"\n    external: true\n') == 1
    assert compose_file.network(sample.SITE) in compose_file.release_steps(settings, RELEASE, FACTS, "")


def test_an_upload_waits_on_the_disk(settings: Settings) -> None:
    web, manage = compose(settings).split("\n  manage:")
    assert f'source: "{RELEASE.tmp}", target: /tmp' in web
    assert "tmpfs" not in web
    assert 'tmpfs: ["/tmp:mode=1777"]' in manage
    assert folder(RELEASE.tmp, 0o2770, "10001:33") in compose_file.release_steps(settings, RELEASE, FACTS, "")


@pytest.mark.parametrize(
    ("changed", "answered", "application"),
    [
        ({}, {}, "config.wsgi:application"),
        ({"DEPLOY_WORKER_CLASS": "uvicorn.workers.UvicornWorker"}, {}, "config.asgi:application"),
        ({"DEPLOY_APPLICATION": "other:app"}, {}, "other:app"),
        ({}, {"wsgi": "deep.er.wsgi.callable"}, "deep.er.wsgi:callable"),
    ],
)
def test_the_application_is_named_for_gunicorn(
    changed: dict[str, str], answered: dict[str, str], application: str, tmp_path: Path
) -> None:
    assert compose_file.application(sample.settings(tmp_path, **changed), sample.answer(**answered)) == application


def test_an_application_that_nothing_names_is_refused(settings: Settings) -> None:
    with pytest.raises(Refused, match="WSGI_APPLICATION isn't set"):
        compose_file.application(settings, sample.answer(wsgi=""))


def test_static_and_media_files_are_served(settings: Settings) -> None:
    assert routes.of(settings, sample.answer()) == replace(sample.ROUTES, ports=())


def test_a_project_without_media_needs_none(settings: Settings) -> None:
    assert routes.of(settings, sample.answer(media_root="", media_url="/")).media_url == ""


def test_without_collectstatic_its_settings_may_be_anything(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_COLLECTSTATIC="off")
    assert routes.of(settings, sample.answer(static_root="", static_url="")).static_url == ""
    assert "static-root" not in compose(settings)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"static_root": ""}, "STATIC_ROOT isn't set"),
        ({"static_root": "/app"}, "STATIC_ROOT, /app, holds the code or the system"),
        ({"static_root": "/app/"}, "STATIC_ROOT, /app/, holds the code or the system"),
        ({"static_root": "/"}, "STATIC_ROOT, /, holds the code or the system"),
        ({"static_root": "/srv", "folder": "/srv/code"}, "STATIC_ROOT, /srv, holds the code or the system"),
        ({"static_root": "/etc/static"}, "STATIC_ROOT, /etc/static, holds the code or the system"),
        ({"static_root": "/data/../app"}, "STATIC_ROOT, /data/../app, holds the code or the system"),
        ({"media_root": "/usr/lib/media"}, "MEDIA_ROOT, /usr/lib/media, holds the code or the system"),
        ({"static_root": "/app/a b"}, "STATIC_ROOT, '/app/a b', isn't an absolute path"),
        ({"static_root": "/app/a;b"}, "isn't an absolute path"),
        ({"static_url": ""}, "STATIC_URL, '', should be a path"),
        ({"static_url": "/"}, "STATIC_URL, '/', should be a path"),
        ({"static_url": "static/"}, "STATIC_URL, 'static/', should be a path"),
        ({"static_url": "https://cdn.example/static/"}, "should be a path"),
        ({"static_url": "/sta tic/"}, "should be a path"),
        ({"static_url": "/s{}/"}, "should be a path"),
        ({"static_url": "/static"}, "should be a path"),
        ({"media_url": "/"}, "MEDIA_URL, '/', should be a path"),
        ({"media_root": "/app"}, "MEDIA_ROOT, /app, holds the code or the system"),
        ({"media_url": "/static/media/"}, "STATIC_URL and MEDIA_URL overlap"),
        ({"media_url": "/static/"}, "STATIC_URL and MEDIA_URL overlap"),
        ({"media_root": "/app/static-root/media"}, "STATIC_ROOT and MEDIA_ROOT overlap"),
        ({"gunicorn": ""}, "The image has no gunicorn"),
    ],
)
def test_what_can_not_be_served_is_refused_by_its_name(changed: dict[str, str], told: str, settings: Settings) -> None:
    with pytest.raises(Refused) as caught:
        routes.of(settings, sample.answer(**changed))
    assert told in caught.value.message
    assert len(caught.value.message.splitlines()) == 1


def test_names_that_only_begin_alike_do_not_lie_in_one_another(settings: Settings) -> None:
    answer = sample.answer(media_url="/static-media/", media_root="/app/static-root-media")
    assert routes.of(settings, answer).media_url == "/static-media/"


def test_every_fault_of_the_project_is_named_at_once(settings: Settings) -> None:
    with pytest.raises(Refused) as caught:
        routes.of(settings, sample.answer(static_root="", static_url="", media_url="/", gunicorn=""))
    assert len(caught.value.message.splitlines()) == 4


def test_volumes_are_shared_by_all_releases(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_VOLUMES="cache:/var/cache/x,data:/data")
    assert compose_file.shared_folders(settings, sample.SITE) == [
        "/srv/portside/portfolio/media",
        "/srv/portside/portfolio/volumes/cache",
        "/srv/portside/portfolio/volumes/data",
    ]
    assert compose(settings).count('source: "/srv/portside/portfolio/volumes/cache", target: "/var/cache/x"') == 2


def test_once_django_has_answered_only_the_compose_file_is_written_anew(settings: Settings) -> None:
    (step,) = compose_file.release_steps(settings, RELEASE, FACTS, "", sample.answer())
    assert step.path == RELEASE.compose


@pytest.mark.parametrize(
    ("site", "name"),
    [("art", "art"), ("art-2", "art_2"), ("pg-admin", "pg_admin_site"), ("public", "public_site"), ("page", "page")],
)
def test_postgres_has_names_of_its_own(site: str, name: str, settings: Settings) -> None:
    assert release_environment.database_user(settings, Site(site)) == name
    assert release_environment.database_name(settings, Site(site)) == name


@pytest.mark.parametrize(
    ("changed", "gunicorn", "told"),
    [
        (
            {"DEPLOY_PROTOCOL": "uwsgi"},
            "23.0.0",
            "DEPLOY_PROTOCOL=uwsgi needs Gunicorn 25.1 or newer; the image has 23.0.0.",
        ),
        (
            {"DEPLOY_WORKER_CLASS": "asgi"},
            "25.0.3",
            "DEPLOY_WORKER_CLASS=asgi needs Gunicorn 25.1 or newer; the image has 25.0.3.",
        ),
        ({"DEPLOY_PROTOCOL": "uwsgi"}, "25.1.0", ""),
        ({"DEPLOY_WORKER_CLASS": "asgi"}, "27.0.1", ""),
        ({}, "19.0", ""),
        ({"DEPLOY_WORKER_CLASS": "uvicorn.workers.UvicornWorker"}, "23.0.0", ""),
    ],
)
def test_a_gunicorn_that_does_not_know_what_is_asked_of_it_is_refused(
    changed: dict[str, str], gunicorn: str, told: str, tmp_path: Path
) -> None:
    settings, answer = sample.settings(tmp_path, **changed), sample.answer(gunicorn=gunicorn)
    if told:
        with pytest.raises(Refused) as caught:
            routes.of(settings, answer)
        assert caught.value.message == told
    else:
        assert routes.of(settings, answer).protocol == settings.protocol


@pytest.mark.parametrize(("worker_class", "threads"), [("gthread", "4"), ("asgi", "1"), ("sync", "1"), ("gevent", "1")])
def test_only_workers_that_have_threads_are_given_some(worker_class: str, threads: str, tmp_path: Path) -> None:
    """Gunicorn makes gthread of sync where there are several, and warns of them with asgi."""
    text = compose(sample.settings(tmp_path, DEPLOY_WORKER_CLASS=worker_class))
    assert f'PORTSIDE_THREADS: "{threads}"' in text


def test_a_release_that_speaks_uwsgi_has_sockets_of_that_name(tmp_path: Path) -> None:
    text = compose(sample.settings(tmp_path, DEPLOY_PROTOCOL="uwsgi", DEPLOY_REPLICAS="2"))
    assert re.findall(r'PORTSIDE_SOCKET: "/run/portside/\S+/(\S+)"', text) == ["web-1.uwsgi", "web-2.uwsgi"]
    assert 'PORTSIDE_PROTOCOL: "uwsgi"' in text
    assert ".connect(" not in text

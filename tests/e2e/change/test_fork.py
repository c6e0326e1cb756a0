"""No state survives a fork: what an application opens while it loads isn't shared by its workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..kit import small
from ..kit.core import partly_core
from ..kit.inside import container
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

DOMAIN = "fork.test"
WORKERS = 3

# Two ways to the one database: a connection for each thread, and Django's own pool. No models, so no migrations.
SETTINGS = """\
ASGI_APPLICATION = "hello.asgi.application"
INSTALLED_APPS = ["hello.apps.Hello"]
DIRECT = {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "CONN_MAX_AGE": 60}
POOLED = {**DIRECT, "CONN_MAX_AGE": 0, "OPTIONS": {"pool": {"min_size": 2, "max_size": 4, "timeout": 60}}}
DATABASES = {"default": DIRECT, "pooled": POOLED}
"""

# What real projects do while they load: ask the database, and start a thread.
APPS = """\
import threading, time
from django.apps import AppConfig
from django.db import connections

BEATS = [0]

def beat():
    while True:
        BEATS[0] += 1
        time.sleep(0.05)

class Hello(AppConfig):
    name = "hello"

    def ready(self):
        for connection in (connections["default"], connections["pooled"]):
            with connection.cursor() as cursor:
                cursor.execute("select 1")
        threading.Thread(target=beat, daemon=True, name="beat").start()
"""

URLS = """\
import os, threading
from django.db import connections
from django.http import HttpResponse, JsonResponse
from django.urls import path
from hello.apps import BEATS

def home(request):
    return HttpResponse(type(request).__name__)

def echo(request, alias, tag):
    with connections[alias].cursor() as cursor:
        cursor.execute("select pg_sleep(0.05), %s::text", [tag])
        return HttpResponse(cursor.fetchone()[1])

def worker(request):
    alive = "beat" in [each.name for each in threading.enumerate()]
    return JsonResponse({"pid": os.getpid(), "alive": alive, "beats": BEATS[0]})

def boom(request):
    raise ValueError("the cause of it")

urlpatterns = [
    path("", home), path("echo/<alias>/<tag>", echo), path("worker", worker), path("boom", boom),
]
"""
ASGI = """\
from django.core.asgi import get_asgi_application
application = get_asgi_application()
"""


@pytest.fixture(scope="module")
def site(projects: Callable[[str], Project]) -> Iterator[Project]:
    """A site that opens connections, a pool and a thread while it loads; not live yet."""
    project = projects("fork")
    files = small.files("app", SETTINGS)
    project.write(files | {"app/hello/urls.py": URLS, "app/hello/apps.py": APPS, "app/hello/asgi.py": ASGI})
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS=DOMAIN, DEPLOY_COLLECTSTATIC="off", DEPLOY_WORKERS=str(WORKERS), DEPLOY_DRAIN="5",
        SECRET_KEY="x" * 60, POSTGRES_PASSWORD="y" * 24,
    )  # fmt: skip
    return project


def wrong(site: Project, alias: str) -> list[str]:
    """Of 90 visitors, nine at a time, those who were answered with something else than they asked for."""

    def visit(number: int) -> str:
        answer = ask(site.server, DOMAIN, f"/echo/{alias}/visitor-{number}")
        right = (answer.status, answer.text) == (200, f"visitor-{number}")
        return "" if right else f"visitor-{number} was answered {answer.status} {answer.text[:80]}"

    with ThreadPoolExecutor(9) as nine:
        return [fault for fault in nine.map(visit, range(90)) if fault]


def every_worker_beats(site: Project) -> None:
    """Each worker has the thread that was started while the application was loaded, and it goes on."""
    first: dict[int, int] = {}
    grown: set[int] = set()

    def seen() -> bool:
        with ThreadPoolExecutor(9) as nine:  # several at once reach several workers
            answers = nine.map(lambda _: ask(site.server, DOMAIN, "/worker"), range(9))
        for said in (json.loads(answer.text) for answer in answers):
            assert said["alive"], f"worker {said['pid']} hasn't the thread"
            if said["beats"] > first.setdefault(said["pid"], said["beats"]):
                grown.add(said["pid"])
        return len(grown) == WORKERS

    until(seen, f"the threads of {WORKERS} workers")


@pytest.mark.parametrize("kind", partly_core(["gthread", "sync", "asgi"], "gthread"))
def test_nobody_is_answered_with_anothers_data(site: Project, kind: str) -> None:
    site.set(DEPLOY_WORKER_CLASS=kind)
    site.deploy()
    assert ask(site.server, DOMAIN).text == ("ASGIRequest" if kind == "asgi" else "WSGIRequest")
    assert wrong(site, "default") == []
    assert wrong(site, "pooled") == []
    every_worker_beats(site)


def test_a_visitors_error_500_stands_in_the_log_once(site: Project) -> None:
    assert ask(site.server, DOMAIN, "/boom").status == 500
    log = site.server.exec(("sh", "-c", f"docker logs {container(site.server, 'fork')} 2>&1"))
    assert log.count("Internal Server Error: /boom") == 1
    assert log.count("ValueError: the cause of it") == 1


@pytest.mark.parametrize("kind", ["gthread", "sync"])
def test_nor_where_the_application_is_preloaded(site: Project, kind: str) -> None:
    site.set(DEPLOY_WORKER_CLASS=kind, DEPLOY_PRELOAD="on")
    site.deploy()
    assert wrong(site, "default") == []
    assert wrong(site, "pooled") == []

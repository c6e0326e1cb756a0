"""`fab logs`: what a user sees of a page that fails, without a word of Docker's."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import shell
from ..kit.laptop import Done
from ..kit.project import Project
from ..kit.relay import in_front_of
from ..kit.visitors import ask
from ..kit.waiting import left, until

SITE, DOMAIN = "chatty", "chatty.test"
URLS = """\
import sys
from django.http import HttpResponse
from django.urls import path

def home(request):
    print("said at home: the key is hunter2-hunter2", flush=True)
    return HttpResponse("home")

def broken(request):
    sys.stderr.write("Traceback of the page\\n")
    sys.stderr.flush()
    return HttpResponse(status=500)

urlpatterns = [path("", home), path("broken", broken)]
"""


@pytest.fixture(scope="module")
def chatty(projects: Callable[[str], Project], server: Practice) -> Project:
    """A site that says what it does, with a process that does too; live, and a page of it has failed."""
    project = projects(SITE)
    project.write(small.files(settings=small.DATABASE) | {"hello/urls.py": URLS})
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS=DOMAIN, DEPLOY_APP=".", SECRET_KEY="hunter2-hunter2", POSTGRES_PASSWORD="correct-horse",
        DEPLOY_COLLECTSTATIC="off", DEPLOY_PROCESS_QUEUE='"while :; do echo at work; sleep 2; done"',
    )  # fmt: skip
    done = project.deploy()
    assert f"add this line to {project.env}: DEPLOY_HOSTS={server.name}" in done.out
    for path in ("/", "/broken"):
        ask(server, DOMAIN, path)
    return project


def logs(chatty: Project, *words: str, on: str = "", check: bool = True) -> Done:
    return chatty.fab("logs", *words, on=on or chatty.server, project=chatty, check=check)


def lines(done: Done) -> list[tuple[str, str]]:
    """Service and text of each line."""
    found = [re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ (\S+) +(.*)", line) for line in done.out.splitlines()]
    assert all(found), done.out
    return [(each[1], each[2]) for each in found if each]


@pytest.mark.core
def test_all_of_it_is_shown_in_order_of_time_with_its_secrets_masked(chatty: Project) -> None:
    done = logs(chatty, "--since", "1h")
    found = lines(done)
    assert {service for service, _ in found} == {"web-1", "queue", "db", "nginx"}
    assert ("web-1", "said at home: the key is [hidden]") in found
    assert ("web-1", "Traceback of the page") in found
    assert "hunter2" not in done.text
    times = [line[:20] for line in done.out.splitlines()]
    assert times == sorted(times)
    (failed,) = [text for service, text in found if service == "nginx" and "/broken" in text]
    assert failed.startswith(f"500 GET {DOMAIN}/broken ")


@pytest.mark.core
@pytest.mark.parametrize("service", ["web", "queue", "db", "nginx"])
def test_one_service_alone(service: str, chatty: Project) -> None:
    assert {found.partition("-")[0] for found, _ in lines(logs(chatty, "--service", service))} == {service}


def test_a_service_that_is_not_there(chatty: Project) -> None:
    done = logs(chatty, "--service", "mail", check=False)
    assert (done.code, done.err) == (
        2, "There is no service mail here. There are: db, nginx, queue, web, web-1.\n",
    )  # fmt: skip


@pytest.mark.core
def test_so_many_lines_and_what_is_searched_for(chatty: Project) -> None:
    assert len(lines(logs(chatty, "--tail", "3"))) == 3
    found = lines(logs(chatty, "--grep", "broken|Traceback"))
    assert {service for service, _ in found} == {"web-1", "nginx"}
    none = logs(chatty, "--grep", "no such word", "--since", "5m")
    assert (none.out, none.err) == ("", f"{SITE} on {chatty.server.name}: no lines with --since, --grep.\n")


@pytest.mark.core
def test_a_script_reads_json(chatty: Project) -> None:
    found = json.loads(logs(chatty, "--json", "--service", "nginx").out)
    assert {each["service"] for each in found} == {"nginx"}
    assert found[0].keys() == {"time", "service", "text"}


def test_what_comes_is_followed_through_a_deploy_until_ctrl_c(chatty: Project) -> None:
    running = chatty.fab.start("logs", "--follow", on=chatty.server, project=chatty)
    shown = lambda: Path(running.out).read_text()  # noqa: E731
    until(lambda: "at work" in shown(), "the first lines")
    ask(chatty.server, DOMAIN, "/?followed")
    until(lambda: f"{DOMAIN}/?followed" in shown() and shown().count("said at home") > 1, "a visit")
    with chatty.changed({"hello/urls.py": URLS.replace("said at home", "said by the next")}):
        chatty.deploy()
        ask(chatty.server, DOMAIN, "/")
        until(lambda: "said by the next" in shown(), "the next release")
        queue = shell(chatty.server, "docker ps -q --filter label=portside.process=queue").split()[0]
        before = shown().count("at work")
        shell(chatty.server, f"docker restart -t 0 {queue}")
        until(lambda: shown().count("at work") > before + 2, "a container that was started again")
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert (done.code, done.err) == (0, "")
    assert left(lambda: shell(chatty.server, "ps -e -o args | grep -E '^docker (logs|events)|^tail -c' || :")) == ""
    found = [line[20:] for line in done.out.splitlines() if "followed" in line]
    assert len(found) == 1, "each line once"


def test_without_since_the_live_release_speaks_and_with_it_the_one_before_too(chatty: Project) -> None:
    assert not [text for _, text in lines(logs(chatty, "--service", "web")) if "Traceback of the page" in text]
    assert [text for _, text in lines(logs(chatty, "--service", "web", "--since", "1h")) if "Traceback of" in text]


def test_of_several_servers_each_line_says_which(chatty: Project) -> None:
    with in_front_of(chatty.server) as relay:
        done = logs(chatty, "--tail", "2", on=f"{chatty.server.name},{relay.name}")
    width = len(relay.name)
    assert [line[: width + 2] for line in done.out.splitlines()] == [
        f"{name:<{width}} |" for name in (chatty.server.name, relay.name) for _ in range(2)
    ]


def test_a_static_site_has_nginx_alone(projects: Callable[[str], Project], server: Practice) -> None:
    page = projects("page")
    page.write({"site/index.html": "<!doctype html><title>Page</title>"})
    page.commit("Begin")
    page.set(DEPLOY_KIND="static", DEPLOY_APP="site", DEPLOY_DOMAINS="page.test")
    done = logs(page, check=False)
    assert (done.code, done.err.splitlines()[0]) == (1, f"page isn't on {server.name}, so it has no logs there.")
    page.deploy()
    ask(server, "page.test", "/")
    assert {service for service, _ in lines(logs(page))} == {"nginx"}
    assert "its only service is nginx" in logs(page, "--service", "web", check=False).err
    for words in (("run", "ls"), ("shell",), ("psql",)):
        refused = page.fab(*words, on=server, project=page)
        assert (refused.code, "is a static site" in refused.err) == (2, True)

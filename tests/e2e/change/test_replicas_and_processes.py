"""What stands in Nginx's file may change with a release, and nobody notices: replicas, their upstream, places of files.
And the processes beside the web containers, which change with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import live, shell
from ..kit.project import Project
from ..kit.visitors import ask, visitors
from ..kit.waiting import until

DOMAIN = "edge.test"
OLD_PAGE, NEW_PAGE = "page.0123456789ab.css", "page.fedcba987654.css"

STATIC = "INSTALLED_APPS = []\n" + small.STATIC

URLS = """\
import os, socket, time
from django.http import HttpResponse, JsonResponse
from django.urls import path

def hello(request):
    return JsonResponse({"replica": socket.gethostname(), "release": os.environ["DEPLOY_RELEASE"]})

def post(request):
    with open("/data/posts", "a") as posts:
        posts.write(request.body.decode() + "\\n")
    time.sleep(0.2)
    return HttpResponse("noted")

urlpatterns = [path("", hello), path("post", post), path("files/of-the-application", hello)]
"""

ONLY_AT_ITS_PORT = """
def hello(request):
    return JsonResponse({}, status=500 if "HTTP_X_REAL_IP" in request.META else 200)
urlpatterns = [path("", hello)]
"""

WORKER = """\
import os, signal, time
over = []
signal.signal(signal.SIGTERM, lambda *_: over.append(True))

def note(what):
    with open("/data/jobs", "a") as jobs:
        jobs.write(os.environ["DEPLOY_RELEASE"] + " " + what + "\\n")

while not over:
    note("begins")
    until = time.monotonic() + float(os.environ["JOB_SECONDS"])
    while time.monotonic() < until or os.path.exists("/data/hold"):
        time.sleep(0.05)
    note("ends")
"""


@pytest.fixture(scope="module")
def edge(projects: Callable[[str], Project]) -> Project:
    """A small site with two replicas and a process, live."""
    project = projects("edge")
    files = small.files("app", STATIC) | {f"app/files/{OLD_PAGE}": "p {}\n", "app/files/plain.css": "p {}\n"}
    project.write(files | {"app/hello/urls.py": URLS, "app/worker.py": WORKER})
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS=DOMAIN, DEPLOY_DATABASE="none", DEPLOY_DRAIN="10", DEPLOY_REPLICAS="2", SECRET_KEY="x" * 60,
        DEPLOY_VOLUMES="shared:/data", DEPLOY_PROCESS_WORKER="python worker.py", JOB_SECONDS="0.3",
    )  # fmt: skip
    project.deploy()
    return project


def running(site: Project, role: str = "web", release: str = "") -> set[str]:
    """The ids of the running containers of a release, of the live one if none is given."""
    release = release or live(site.server, site.name)
    labels = [f"label=portside.{name}={value}" for name, value in (("release", release), ("role", role))]
    filters = [word for label in labels for word in ("--filter", label)]
    return set(site.server.exec(("docker", "ps", "-q", *filters)).split())


def replicas(site: Project) -> set[str]:
    """Those that visitors meet."""
    return {ask(site.server, DOMAIN).text.partition('"replica": "')[2][:12] for _ in range(12)}


def upstream(server: Practice) -> list[str]:
    return re.findall(
        r"server (\S+?);?\s", shell(server, "grep '^    server [u1].*;' /etc/nginx/portside/sites/edge.conf")
    )


def generation(server: Practice) -> str:
    return shell(server, "readlink /etc/nginx/portside")


@contextmanager
def nothing_lost(site: Project, *paths: str) -> Iterator[None]:
    """Visitors come to these paths all the while, each over a new connection."""
    first, *rest = paths or ("/",)
    with visitors(site.server, DOMAIN, first) as seen:
        if rest:
            with nothing_lost(site, *rest):
                yield
        else:
            yield
    assert seen.lost == []
    assert seen.answered > 20


def again(site: Project, **settings: str) -> None:
    """A new release, with these settings from now on."""
    site.set(**settings)
    site.write({"app/note.txt": f"{len(site.git('log', '--oneline').splitlines())}\n"})
    site.commit("Once more")
    with nothing_lost(site):
        site.deploy()


@pytest.mark.core
def test_visitors_meet_every_replica(edge: Project) -> None:
    assert replicas(edge) == running(edge)
    assert len(replicas(edge)) == 2


@pytest.mark.core
def test_again_there_is_nothing_to_do(edge: Project) -> None:
    assert "nothing to do;" in edge.deploy().out


def test_a_replica_that_is_killed_is_passed_over_and_nothing_is_done_twice(edge: Project) -> None:
    victim, other = sorted(running(edge))
    answers = []
    with nothing_lost(edge):
        edge.server.exec(("docker", "kill", victim))
        for number in range(30):
            answers.append(ask(edge.server, DOMAIN, "/post", method="POST", body=str(number).encode()).status)
    assert answers == [200] * 30
    assert shell(edge.server, "sort -n /srv/portside/edge/volumes/shared/posts").split() == [str(n) for n in range(30)]
    assert replicas(edge) == {other}
    edge.server.exec(("docker", "start", victim))
    until(lambda: len(replicas(edge)) == 2, "the replica that was killed")


def test_replicas_become_more_and_fewer_while_visitors_come(edge: Project) -> None:
    for number in ("3", "1"):
        again(edge, DEPLOY_REPLICAS=number)
        assert len(running(edge)) == int(number)
        until(lambda: replicas(edge) == running(edge), "visitors at every replica", 10)


def test_how_nginx_reaches_the_application_changes_without_a_new_release(edge: Project) -> None:
    release = live(edge.server, "edge")
    edge.set(DEPLOY_UPSTREAM="port")
    with nothing_lost(edge):
        done = edge.deploy()
    assert (live(edge.server, "edge"), done.stages.count("prune")) == (release, 0)
    assert "Nginx has new settings" in done.out
    assert shell(edge.server, "cat /srv/portside/edge/current/.env").split("=")[1].strip() in upstream(edge.server)[0]


def test_a_release_goes_live_by_its_port_and_back_by_its_socket(edge: Project) -> None:
    before = upstream(edge.server)
    again(edge)
    assert upstream(edge.server) != before
    assert upstream(edge.server)[0].startswith("127.0.0.1:")
    assert "nothing to do;" in edge.deploy().out
    before = upstream(edge.server)
    with nothing_lost(edge):
        edge.fab("rollback", on=edge.server, project=edge, check=True)
    assert upstream(edge.server) != before, "it started on another port"
    assert "is live and up to date" not in edge.deploy().out


def test_a_release_that_nginx_cannot_prove_puts_everything_back(edge: Project) -> None:
    """By port, the new release is only asked through Nginx once its own generation is live."""
    release, files, containers = live(edge.server, "edge"), generation(edge.server), running(edge)
    with edge.changed({"app/hello/urls.py": URLS + ONLY_AT_ITS_PORT}):
        done = edge.deploy(check=False)
    assert done.code == 1
    assert "Through Nginx it answers 500 at /." in done.err
    assert "I/O error" not in done.err
    assert "Nginx's previous files are restored." in done.err
    assert f"The previous release, {release}, is live again." in done.err
    assert f"Release {release} is live, as before." in done.err
    assert (live(edge.server, "edge"), generation(edge.server), running(edge)) == (release, files, containers)
    assert ask(edge.server, DOMAIN).text.count(release) == 1
    left = shell(
        edge.server, "docker ps -a --filter label=portside.site=edge --format '{{.Label \"portside.release\"}}'"
    )
    assert set(left.split()) <= set(shell(edge.server, "ls /srv/portside/edge/releases").split())
    again(edge, DEPLOY_UPSTREAM="socket")


def test_another_static_url_loses_nobody_their_files(edge: Project) -> None:
    settings = small.files("app", STATIC.replace("/files/", "/static/v2/"))["app/hello/settings.py"]
    old, new = f"/files/{OLD_PAGE}", f"/static/v2/{NEW_PAGE}"
    with edge.changed({"app/hello/settings.py": settings, f"app/files/{NEW_PAGE}": "a {}\n"}):
        edge.git("rm", "--quiet", f"app/files/{OLD_PAGE}")
        edge.commit("The old page is gone")
        with nothing_lost(edge, "/", old, "/files/plain.css"):
            edge.deploy()
        assert ask(edge.server, DOMAIN, new).status == 200
        assert ask(edge.server, DOMAIN, "/static/v2/plain.css").status == 200
        assert ask(edge.server, DOMAIN, "/files/of-the-application").status == 200, "it has the rest of the path"
        assert ask(edge.server, DOMAIN, "/files/", method="POST", body=b"x").status == 404, "its answer, not Nginx's"
        with nothing_lost(edge, "/", old, new):
            edge.fab("rollback", on=edge.server, project=edge, check=True)
        assert ask(edge.server, DOMAIN, "/files/plain.css").status == 200
    edge.git("checkout", "--quiet", "--", ".")


def jobs(site: Project, release: str, what: str) -> int:
    lines = shell(site.server, "cat /srv/portside/edge/volumes/shared/jobs").splitlines()
    return lines.count(f"{release} {what}")


def hold(site: Project, *, on: bool) -> None:
    """Whether whoever is at a job stays at it."""
    site.server.exec(("touch" if on else "rm", "/srv/portside/edge/volumes/shared/hold"))


@pytest.mark.core
def test_a_process_changes_with_its_release_and_finishes_its_job(edge: Project) -> None:
    first = live(edge.server, "edge")
    again(edge)
    assert not running(edge, "process", first), "the deploy has waited for it"
    assert jobs(edge, first, "begins") == jobs(edge, first, "ends") > 0, "none was broken off"
    second = live(edge.server, "edge")
    until(lambda: jobs(edge, second, "ends") > 0, "jobs of the second")


def test_who_is_still_at_work_is_told_and_left_to_it(edge: Project) -> None:
    first = live(edge.server, "edge")
    (worker,) = running(edge, "process")
    hold(edge, on=True)
    with edge.with_settings(DEPLOY_DRAIN="0", JOB_SECONDS="0.4"):
        done = edge.deploy()
        assert f'! Process "worker" of {first} is still running after 0 s.' in done.out
        assert running(edge, "process", first) == {worker}
        edge.fab("rollback", on=edge.server, project=edge, check=True)
    assert running(edge, "process") == {worker}, "live again, it is at the same job"
    begun = jobs(edge, first, "begins")
    hold(edge, on=False)
    until(lambda: jobs(edge, first, "begins") > begun + 2, "more jobs of the same process")


def test_a_process_that_keeps_ending_is_told_and_the_site_is_live(edge: Project) -> None:
    with edge.with_settings(DEPLOY_PROCESS_BAD="\"echo 'the queue is closed'; exit 3\""), nothing_lost(edge):
        done = edge.deploy()
    assert "! The process bad keeps exiting." in done.out
    assert "the queue is closed" in done.out
    assert done.release == live(edge.server, "edge")


def test_a_process_that_was_stopped_is_started_again(edge: Project) -> None:
    edge.deploy("--drop", "PROCESS_BAD")
    (worker,) = running(edge, "process")
    edge.server.exec(("docker", "stop", "--time", "1", worker))
    assert "processes started" in edge.deploy().out
    assert len(running(edge, "process")) == 1

"""Several servers in one command: ready at once, live one after the other, and none of them where one isn't ready."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import live, shell
from ..kit.laptop import Done, Fab, lines_of
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

SITE, DOMAIN = "greeting", "greeting.test"
# What the application errs at is put on one server and not on the other. Only what comes through Nginx has an id.
URLS = (
    small.URLS
    + """
import time
from pathlib import Path

def errs(request):
    while Path("/papers/slow").exists():
        time.sleep(0.1)
    if Path("/papers/broken").exists() or (Path("/papers/closed").exists() and "X-Request-ID" in request.headers):
        raise RuntimeError("not on this server")
    return hello(request)

urlpatterns = [path("", errs)]
"""
)


@pytest.fixture(scope="module")
def second(bring_up: Callable[..., Practice]) -> Practice:
    return bring_up("second", begins="provisioned")


@pytest.fixture(scope="module")
def greeting(projects: Callable[[str], Project], server: Practice) -> Project:
    """A small site, as yet not live."""
    project = projects(SITE)
    project.write(small.files("app") | {"app/hello/urls.py": URLS})
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS=DOMAIN, SECRET_KEY="k" * 50, DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off",
        DEPLOY_VOLUMES="papers:/papers", DEPLOY_DRAIN="2", DEPLOY_HEALTH_TIMEOUT="20",
    )  # fmt: skip
    return project


@pytest.fixture(scope="module")
def both(server: Practice, second: Practice) -> str:
    """What follows -H."""
    return f"{server.name},{second.name}"


@pytest.fixture(scope="module")
def first(fab: Fab, greeting: Project, both: str) -> Done:
    """What was said when it went live on both."""
    return fab("deploy", on=both, project=greeting, check=True)


@pytest.fixture(scope="module")
def everywhere(greeting: Project, first: Done) -> Project:
    """The same, live on both."""
    return greeting


def now(*servers: Practice) -> list[str]:
    return [live(server, SITE) for server in servers]


def leftovers(*servers: Practice) -> list[str]:
    """Containers of the site that aren't the live release's."""
    found = []
    for server in servers:
        names = shell(server, f"docker ps --filter label=portside.site={SITE} --format '{{{{.Names}}}}'").split()
        found += [name for name in names if live(server, SITE) not in name]
    return found


@contextmanager
def paper(server: Practice, name: str) -> Iterator[None]:
    """A file in the site's volume on one of the servers."""
    path = f"/srv/portside/{SITE}/volumes/papers/{name}"
    shell(server, 'touch "$1"', path)
    try:
        yield
    finally:
        shell(server, 'rm -f "$1"', path)


@contextmanager
def another_commit(project: Project, name: str) -> Iterator[None]:
    with project.changed({f"app/{name}.txt": name}):
        yield


@pytest.mark.core
def test_the_second_goes_live_once_the_first_is(
    everywhere: Project, first: Done, server: Practice, second: Practice
) -> None:
    for each in (server, second):
        assert json.loads(ask(each, DOMAIN).text)["release"] == live(each, SITE)
    told = first.out.splitlines()
    done = [rf"{each.name} *\| ✓ switch" for each in (server, second)]
    ends = [next(i for i, line in enumerate(told) if re.match(end, line)) for end in done]
    begins = next(i for i, line in enumerate(told) if re.match(rf"{second.name} *\|   switch: ", line))
    assert ends[0] < begins < ends[1]


@pytest.mark.core
def test_again_there_is_nothing_to_do(
    fab: Fab, everywhere: Project, both: str, server: Practice, second: Practice
) -> None:
    before = now(server, second)
    done = fab("deploy", on=both, project=everywhere, check=True)
    assert now(server, second) == before
    for each, release in zip((server, second), before, strict=True):
        assert re.search(rf"^  {each.name} +nothing to do; release {release} is live$", done.out, re.MULTILINE)


@pytest.mark.core
def test_where_one_fails_at_its_gate_none_goes_live(
    fab: Fab, everywhere: Project, both: str, server: Practice, second: Practice
) -> None:
    before = now(server, second)
    with paper(second, "broken"), another_commit(everywhere, "healthcheck"):
        done = fab("deploy", on=both, project=everywhere)
    assert done.code == 1
    assert now(server, second) == before
    assert not leftovers(server, second)
    assert f"{server.name}  " in done.err
    assert f"because {second.name} failed. Release {before[0]} is live, as before." in done.err
    told = rf"Release {before[1]} is live, but visitors get an error: Through Nginx it answers 500 at /\.$"
    assert re.search(rf"^  {second.name} +failed: .*{told}", done.err, re.MULTILINE), "it goes by the same file"
    assert done.err.splitlines()[-1] == f"Fix what failed, then run fab deploy -H {both} --env {everywhere.env}"


def test_where_the_second_fails_going_live_the_first_stays_live(
    fab: Fab, everywhere: Project, both: str, server: Practice, second: Practice
) -> None:
    before = now(server, second)
    with paper(second, "closed"), another_commit(everywhere, "second"):
        done = fab("deploy", on=both, project=everywhere)
    assert done.code == 1
    after = now(server, second)
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert re.search(rf"^  {server.name} +release {after[0]} is live$", done.err, re.MULTILINE)
    assert done.err.splitlines()[-1] == f"Fix what failed, then run fab deploy -H {second.name} --env {everywhere.env}"
    assert not leftovers(server, second)


def test_where_the_first_fails_going_live_the_second_is_untouched(
    fab: Fab, everywhere: Project, both: str, server: Practice, second: Practice
) -> None:
    before = now(server, second)
    with paper(server, "closed"), another_commit(everywhere, "first"):
        done = fab("deploy", on=both, project=everywhere)
    assert done.code == 1
    assert now(server, second) == before
    assert not leftovers(server, second)
    assert f"Stopped before the stage “switch”, because {server.name} failed." in done.err


def test_one_that_can_not_be_reached_keeps_the_other_as_it_was(fab: Fab, everywhere: Project, server: Practice) -> None:
    before = now(server)
    with another_commit(everywhere, "unreachable"):
        done = fab("deploy", on=f"{server.name},127.0.0.1:1", project=everywhere)
    assert done.code == 1
    assert now(server) == before
    assert "failed: No SSH server answers at 127.0.0.1, port 1." in done.err


def test_one_that_is_cut_off_while_the_other_gets_ready_keeps_both_as_they_were(
    fab: Fab, everywhere: Project, both: str, server: Practice, second: Practice
) -> None:
    before = now(server, second)
    with another_commit(everywhere, "cut"), everywhere.with_settings(DEPLOY_HEALTH_TIMEOUT="120"):
        with paper(server, "slow"):
            running = fab.start("deploy", on=both, project=everywhere)
            until(lambda: f"ready for “switch”; waiting for {server.name}" in running.out.read_text(), "the second")
            second.disconnect()
        done = running.end()
    second.connect()
    assert done.code == 1
    assert now(server, second) == before
    assert not leftovers(server)
    assert f"failed: The connection to {second.name} was lost: the server no longer answers." in done.err
    assert f"Stopped before the stage “switch”, because {second.name} failed." in done.err
    until(lambda: fab("abort", on=second, project=everywhere).code == 0, "the lock of who was cut off to come free")
    assert not leftovers(second)


def test_two_who_wait_for_each_others_servers_both_come_to_their_end(
    fab: Fab, everywhere: Project, both: str, server: Practice, second: Practice
) -> None:
    with another_commit(everywhere, "two"):
        runs = [
            fab.start("deploy", "--wait", on=on, project=everywhere) for on in (both, f"{second.name},{server.name}")
        ]
        for running in runs:
            running.end(check=True)
    assert not leftovers(server, second)


def test_a_deploy_tells_a_script_of_both_in_one_object(
    fab: Fab, everywhere: Project, both: str, server: Practice, second: Practice
) -> None:
    done = fab("deploy", "--json", on=both, project=everywhere, check=True)
    assert [told["release"] for told in json.loads(done.out).values()] == now(server, second)


def test_a_server_that_is_named_twice_goes_back_once(fab: Fab, everywhere: Project, server: Practice) -> None:
    with another_commit(everywhere, "once"):
        fab("deploy", on=server, project=everywhere, check=True)
    before = now(server)
    done = fab("rollback", on=f"{server.name},{server.name},", project=everywhere, check=True)
    assert done.out.count("is back at") == 1
    fab("rollback", "--to", before[0], on=server, project=everywhere, check=True)


def test_an_interruption_ends_all_of_them(
    fab: Fab, everywhere: Project, both: str, server: Practice, second: Practice
) -> None:
    before = now(server, second)
    with another_commit(everywhere, "interrupted"):
        running = fab.start("deploy", on=both, project=everywhere)
        until(lambda: running.out.read_text().count("build: ") == 2, "both to build")
        running.process.send_signal(signal.SIGINT)
        done = running.end()
    assert done.code == 1
    assert now(server, second) == before
    assert not leftovers(server, second)
    for each in (server, second):
        assert [line for line in lines_of(done, each) if line.startswith("Interrupted")]


def test_status_of_both_in_their_order(
    fab: Fab, everywhere: Project, both: str, server: Practice, second: Practice
) -> None:
    done = fab("status", on=both, project=everywhere, check=True)
    names = [line.split(" ")[0] for line in done.out.splitlines()]
    assert names == sorted(names, key=both.split(",").index)
    told = json.loads(fab("status", "--json", on=both, project=everywhere, check=True).out)
    assert {name: each["release"]["id"] for name, each in told.items()} == {
        each.name: live(each, SITE) for each in (server, second)
    }


def test_both_go_back(fab: Fab, everywhere: Project, both: str, server: Practice, second: Practice) -> None:
    before = now(server, second)
    with another_commit(everywhere, "later"):
        fab("deploy", on=both, project=everywhere, check=True)
    done = fab("rollback", on=both, project=everywhere, check=True)
    after = now(server, second)
    assert after == before
    for each, release in zip((server, second), after, strict=True):
        assert re.search(rf"^  {each.name} +release {release} is live$", done.out, re.MULTILINE)


def test_two_names_of_one_server_are_refused(fab: Fab, everywhere: Project, server: Practice) -> None:
    done = fab("deploy", on=f"{server.name},root@{server.name}", project=everywhere)
    assert done.code == 2
    assert f"{server.name} and root@{server.name} are the same server." in done.err

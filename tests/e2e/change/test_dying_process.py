"""A process that dies some seconds after its start is reported: by its deploy, and for as long as it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import shell
from ..kit.project import Project
from ..kit.waiting import until

SITE = "weary"
DYING = "\"echo 'the queue is closed'; sleep 4; exit 3\""


@pytest.fixture(scope="module")
def weary(projects: Callable[[str], Project], server: Practice) -> Project:
    """A site without a database, with a process that stays; live."""
    project = projects(SITE)
    project.write(small.files())
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS="weary.test", DEPLOY_APP=".", SECRET_KEY="hunter2-hunter2", DEPLOY_DATABASE="none",
        DEPLOY_COLLECTSTATIC="off", DEPLOY_PROCESS_GOOD='"while :; do sleep 1; done"',
    )  # fmt: skip
    done = project.deploy()
    assert "keeps exiting" not in done.text
    return project


def test_its_deploy_says_so_last_with_its_log_and_its_command(weary: Project) -> None:
    weary.set(DEPLOY_PROCESS_BAD=DYING)
    done = weary.deploy()
    assert done.code == 0
    last = done.out.splitlines()
    begin = last.index("! The process bad keeps exiting. Its command: echo 'the queue is closed'; sleep 4; exit 3")
    assert set(last[begin + 1 : -1]) == {"    the queue is closed"}
    assert last[-1] == f"  Its log: fab logs --service bad -H {weary.server.name} --env {weary.env}"
    assert "process good" not in done.out


def dies_again(weary: Project) -> None:
    count = "docker inspect --format '{{.RestartCount}}' $(docker ps -aq --filter label=portside.process=bad)"
    until(lambda: int(shell(weary.server, count).split()[0]) >= 2, "its next ends")


def test_an_unchanged_deploy_says_so(weary: Project) -> None:
    dies_again(weary)
    done = weary.deploy()
    assert "nothing to do" in done.out
    assert "! The process bad keeps exiting" in done.out
    assert "    the queue is closed" in done.out
    assert f"fab logs --service bad -H {weary.server.name}" in done.out


def test_status_says_so(weary: Project) -> None:
    done = weary.fab("status", on=weary.server, project=weary, check=True)
    assert "! The process bad keeps exiting: restarted " in done.out
    told = json.loads(weary.fab("status", "--json", on=weary.server, project=weary, check=True).out)
    assert {each["restarts"] > 0 for each in told["processes"] if "bad" in each["name"]} == {True}
    assert [problem for problem in told["problems"] if "process good" in problem] == []


def test_doctor_says_so(weary: Project) -> None:
    done = weary.fab("doctor", on=weary.server, project=weary)
    assert done.code == 1
    assert "✗ site      The process bad keeps exiting: restarted " in done.out
    assert f"fix: fab logs --service bad -H {weary.server.name} --env {weary.env} shows more" in done.out


def test_its_log_can_be_read(weary: Project) -> None:
    done = weary.fab("logs", "--service", "bad", on=weary.server, project=weary, check=True)
    assert "bad      the queue is closed" in done.out


def test_once_it_stays_nothing_is_said(weary: Project) -> None:
    weary.set(DEPLOY_PROCESS_BAD='"while :; do sleep 1; done"')
    assert "keeps exiting" not in weary.deploy().text
    assert "keeps exiting" not in weary.fab("status", on=weary.server, project=weary, check=True).text

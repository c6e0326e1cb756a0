"""What keeps exiting, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploy.cli import status
from deploy.cli.doctor import checks
from deploy.config.settings import Settings
from deploy.core.commandline import words
from deploy.core.facts import Container, Facts, Restarted
from deploy.flows import restarts
from tests import sample
from tests.cli.doctor.test_checks import examined
from tests.sample import Paper

QUEUE = Container("p-queue-1", "running", False, "process", sample.OLD, "", "", process="queue")


def facts(settings: Settings, *found: Restarted, container: Container = QUEUE) -> Facts:
    read = sample.live(settings)
    return replace(read, containers=(*read.containers, container), restarted=found, renewal_timer=True)


def often(seconds: int = 4, name: str = QUEUE.name) -> Restarted:
    return Restarted(name, 3, seconds, ("ImportError: work",), "python work.py")


def fab(task: str, **options: Any) -> str:
    return words(task, options, "srv")


@pytest.mark.parametrize(("seconds", "last"), [(4, "last 4 s ago"), (600, "last 10 min ago"),
                                               (-1, "and will be restarted again")])  # fmt: skip
def test_it_is_told_with_its_log_its_command_and_what_shows_more(seconds: int, last: str, settings: Settings) -> None:
    (found,) = restarts.exiting(facts(settings, often(seconds)))
    assert found.lines(fab) == [
        f"The process queue keeps exiting: restarted 3 times, {last}. Its command: python work.py",
        "    ImportError: work",
        "  Its log: fab logs --service queue -H srv",
    ]


def test_what_ended_once_does_not_keep_ending(settings: Settings) -> None:
    (found,) = restarts.exiting(facts(settings, replace(often(18), count=1)))
    assert found.text == "The process queue exited and was restarted 18 s ago. Its command: python work.py"


def test_what_has_run_for_long_since_is_not_told(settings: Settings) -> None:
    assert restarts.exiting(facts(settings, often(restarts.RECENTLY))) == []


def test_of_another_release_nothing_is_told(settings: Settings) -> None:
    older = replace(QUEUE, release=sample.OLDER)
    assert restarts.exiting(facts(settings, often(), container=older)) == []


def test_a_web_container_or_the_database_is_told_too(settings: Settings) -> None:
    for container in sample.live(settings).containers:
        (found,) = restarts.exiting(facts(settings, often(name=container.name)))
        assert found.text.startswith(f"The container {container.name} keeps exiting")
        assert found.service == container.role


def test_it_is_a_problem_of_status(settings: Settings) -> None:
    run = sample.run(
        settings, Paper(facts(settings, often(-1), container=replace(QUEUE, state="restarting"))), "status"
    )
    run.look()
    told = status.summary(run)
    assert told["processes"][0]["restarts"] == 3
    (problem,) = [each for each in told["problems"] if "queue" in each]
    assert "keeps exiting" in problem
    assert "fab logs --service queue -H server.example" in problem


def test_it_is_a_finding_of_doctor(settings: Settings) -> None:
    it = examined(settings, containers=(QUEUE,), restarted=(often(),))
    (found,) = [each for each in checks.of_server(it) if "queue" in each.text]
    assert found.level == "fault"
    assert "ImportError: work" in found.text
    assert found.fix == "fab logs --service queue -H srv shows more"


def test_facts_are_read() -> None:
    line = 'container.restarted\t3 -1 p-queue-1 SW1wb3J0RXJyb3IKCng= ["sh","-c","exec python work.py"]'
    (found,) = Facts.parse(line).restarted
    assert found == Restarted("p-queue-1", 3, -1, ("ImportError", "x"), "python work.py")
    (found,) = Facts.parse("container.restarted\t1 5 p-db-1  null").restarted
    assert (found.log, found.command) == ((), "")

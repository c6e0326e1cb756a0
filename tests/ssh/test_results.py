"""A run of steps, followed through lines of text. tests/ssh/test_server.py follows real ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.core.errors import Locked, PortsideError, StepFailed
from deploy.core.report import Report
from deploy.core.steps import folder
from deploy.ssh.results import BUSY, FENCED, LOST, CommandFailed, ResultReader


def follow(lines: list[str], status: int = 0) -> None:
    """Reads these lines as those of two steps."""

    def come() -> Iterator[str]:
        yield from lines
        if status:
            raise CommandFailed(status)

    ResultReader("server.example", Report(quiet=True), [folder("/a"), folder("/b")], "test", "@@n ").follow(come())


def test_a_lost_connection_says_so() -> None:
    with pytest.raises(PortsideError, match=r"The connection to server\.example was lost in the stage “test”"):
        follow(["@@n begin 1", "@@n ended 1 changed"], status=LOST)


def test_a_server_that_others_keep_busy_is_told_as_locked() -> None:
    with pytest.raises(Locked, match="busy for 15 minutes"):
        follow([], status=BUSY)


def test_a_run_that_ends_early_is_a_failure_without_an_error_too() -> None:
    with pytest.raises(StepFailed, match="Folder /b"):
        follow(["@@n begin 1", "@@n ended 1 changed", "@@n begin 2"])


def test_a_run_whose_lock_is_somebody_elses_is_told_as_locked() -> None:
    with pytest.raises(Locked, match="Another machine has taken the lock") as caught:
        follow(["@@n begin 1", "@@n ended 1 changed", "@@n exit 77"], status=FENCED)
    assert caught.value.exit_code == 3


def test_a_detached_run_tells_its_exit_code_in_its_log() -> None:
    with pytest.raises(Locked, match="busy for 15 minutes"):
        follow([f"@@n exit {BUSY}"])
    with pytest.raises(StepFailed, match="exit code 9"):
        follow(["@@n begin 1", "@@n exit 9"])


def test_sudo_that_refuses_is_told_as_such() -> None:
    with pytest.raises(PortsideError, match=r"No root on server\.example: sudo: a password is required"):
        follow(["sudo: a password is required"], status=1)


def test_sudo_in_a_steps_own_words_is_that_steps_failure() -> None:
    with pytest.raises(StepFailed, match="sudo: not found"):
        follow(["@@n begin 1", "sudo: not found", "@@n failed 1 127"], status=1)

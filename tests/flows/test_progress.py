"""How far a run has come, and what undoes it."""

from __future__ import annotations

from collections.abc import Callable

from deploy.core.errors import PortsideError, StepFailed
from deploy.flows.progress import Progress, Undo, in_a_line


def noting(notes: list[str], name: str, error: PortsideError | None = None) -> Callable[[str], None]:
    def act(stage: str) -> None:
        notes.append(f"{name} after {stage}")
        if error:
            raise error

    return act


def test_the_latest_is_undone_first() -> None:
    notes: list[str] = []
    undo = Undo()
    undo.push(noting(notes, "discard"))
    undo.push(noting(notes, "revert"))
    undo.push_of_database(noting(notes, "close"))
    undo.push_of_database(noting(notes, "apply again"))
    undo.run("start")
    assert notes == ["revert after start", "discard after start", "apply again after start", "close after start"]
    assert (undo.actions, undo.failures) == ([], [])


def test_a_failure_of_one_keeps_no_other_from_being_tried() -> None:
    notes: list[str] = []
    undo = Undo()
    undo.push(noting(notes, "discard"))
    failed = StepFailed("server.example", "migrations", "Revert migrations", 1, ["no", "it broke "])
    undo.push(noting(notes, "revert", failed))
    undo.run("start")
    assert notes == ["revert after start", "discard after start"]
    assert undo.failures == ["Revert migrations: it broke"]


def test_an_error_is_a_line() -> None:
    assert in_a_line(PortsideError("It failed.")) == "It failed."
    assert in_a_line(StepFailed("server.example", "start", "Start", 7, [])) == "Start: exit code 7"


def test_changes_are_counted() -> None:
    progress = Progress(changed=[{"stage": "build", "step": "Build"}] * 2)
    assert (progress.changes, Progress().changes) == (2, 0)

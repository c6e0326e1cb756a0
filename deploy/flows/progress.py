"""Progress: how far a run has come, what it changed, and how to undo that."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from ..core.errors import PortsideError, StepFailed

if TYPE_CHECKING:
    from .losses import Loss


class Phase(Enum):
    """What a failure means for the site.

    UNTOUCHED: nothing of a new release is on the server. CANDIDATE: a new release is on the server, without visitors.
    HANDED_OVER: the server finishes the switch on its own. LIVE: visitors get the new release.
    """

    UNTOUCHED = auto()
    CANDIDATE = auto()
    HANDED_OVER = auto()
    LIVE = auto()


@dataclass
class Undo:
    """The actions that undo a run, latest first. ``failures``: the actions that failed, a line each.

    ``of_database``: the actions that follow once the candidate is removed: its containers may hold locks in the
    database.
    """

    actions: list[Callable[[str], None]] = field(default_factory=list)
    of_database: list[Callable[[str], None]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def push(self, action: Callable[[str], None]) -> None:
        """Add an action that undoes a change. Its argument is the name of the stage that failed."""
        self.actions.append(action)

    def push_of_database(self, action: Callable[[str], None]) -> None:
        """Add an action that undoes a change of the database."""
        self.of_database.append(action)

    def run(self, stage: str) -> None:
        """Undo the run, after a failure in ``stage``. If one action fails, the others still run."""
        for actions in (self.actions, self.of_database):
            while actions:
                self.attempt(actions.pop(), stage)

    def attempt(self, action: Callable[[str], None], stage: str) -> None:
        """Run an action. Its failure is recorded, not raised."""
        try:
            action(stage)
        except PortsideError as error:
            self.failures.append(in_a_line(error))


def in_a_line(error: PortsideError) -> str:
    """Return the failure in one line."""
    if not isinstance(error, StepFailed):
        return error.message
    return f"{error.step}: {error.lines[-1].strip() if error.lines else f'exit code {error.status}'}"


@dataclass
class Progress:
    """How far a run has come.

    ``started``: seconds of the monotonic clock. ``stack``: closed at the end. ``certificate``: the one that Nginx used
    when the run began (PEM). ``changed``: the steps that changed something, with their stages. ``losses``: the losses
    that were reported; None before the first report. ``report_stage``: writes the current stage into the lock.
    ``wait_turn``: with several servers, waits until this one may begin a stage. ``undo``: the actions that undo the
    run. ``result``: what the last stage found out, for the closing lines.
    """

    started: float = field(default_factory=time.monotonic)
    stack: ExitStack = field(default_factory=ExitStack)
    certificate: str = ""
    changed: list[dict[str, str]] = field(default_factory=list)
    losses: tuple[Loss, ...] | None = None
    report_stage: Callable[[str], None] = lambda stage: None
    wait_turn: Callable[[str], None] = lambda stage: None
    undo: Undo = field(default_factory=Undo)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> int:
        """Return the number of steps that changed something."""
        return len(self.changed)

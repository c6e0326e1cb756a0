"""Dry run: a flow's own stages run against a server that only records their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from ...core.errors import Locked
from ...core.facts import Facts
from ...core.paths import Site
from ...core.report import Report
from ...core.steps import Folder, Remove, Script, Step, Write
from ...ssh.results import Result
from ...ssh.server import Server

NEW = "(new)"  # the plan's name for the next release, whose real name has the time of its deploy
ENDED = {"seconds": 0, "left": 0, "working": [], "dying": []}  # the answer after a switch, if all is healthy
ASKED = {"ask", "compare", "start", "visit"}  # scripts whose answer the next steps depend on
_ANSWERS: dict[str, Any] = {
    "finish": ENDED,
    "watch": ENDED,
    "build": {"digest": ""},
    "load": {"digest": ""},
    "gate": {"way": [], "elsewhere": ""},
}


class Unknown(Exception):
    """Raised for a fact that only the deploy itself can find out. The text says why."""


@dataclass(frozen=True)
class Taken:
    """A step that a stage would have run."""

    stage: str
    step: Step


class CollectingReport(Report):
    """Collects warnings. A plan needs no other output of a stage."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        self.warnings.append(line)


class DryRunServer(Server):
    """Stands in for a server. Its facts are that server's at first, and then as the steps would change them.

    ``answer``: returns the answer to a step that asks something. Raises Unknown if it isn't known yet.
    """

    def __init__(self, server: Server, report: Report, answer: Callable[[Step], Any]) -> None:
        self.server, self.report, self.answer = server, report, answer
        self.practice = server.practice
        self.taken: list[Taken] = []
        self.known: Facts | None = None
        self.first: Facts | None = None  # as the server is

    @property
    def target(self) -> str:
        return self.server.target

    def connect(self) -> None:
        self.server.connect()

    def facts(self, site: Site, paths: Sequence[str]) -> Facts:
        self.first = self.first or self.server.facts(site, paths)
        self.known = self.known or self.first
        return self.known

    @contextmanager
    def lock(
        self, site: Site, waiting: Callable[[str], None] | None = None
    ) -> Iterator[tuple[Callable[[str], None], str, bool]]:
        """Take no lock: a plan changes nothing. Raises Locked if another run is in progress, since the server is then
        half changed."""
        if self.known and self.known.held:
            hint = "Wait until it has ended and run the command again."
            raise Locked.by(self.known.held, site.name, self.target, hint)
        yield lambda stage: None, self.known.current if self.known else "", False

    def apply(
        self, steps: Sequence[Step], *, stage: str, lock: str = "", big: bool = False, detached: bool = False
    ) -> list[Result]:
        return [self._take(Taken(stage, step)) for step in steps]

    def _take(self, taken: Taken) -> Result:
        self.taken.append(taken)
        answer = self._answer(taken.step)
        if self.known:
            self.known = taken.step.effect(self.known)
        return Result(taken.step, "changed", "", answer, ())

    def _answer(self, step: Step) -> Any:
        if not is_known(step):
            return Unanswered(step.name)
        if step.script == "pull":
            return {"digest": _pinned(str(step.arguments["image"]))}
        return self.answer(step) if step.script in ASKED else _ANSWERS.get(step.script)


def is_known(step: Step) -> bool:
    """Return whether a plan can tell what the step changes. A script says so by its sign."""
    return step.sign is not None if isinstance(step, Script) else isinstance(step, Folder | Write | Remove)


class Unanswered:
    """Stand in for the answer of a step that the plan doesn't know. Raises Unknown when a stage reads it."""

    def __init__(self, step: str) -> None:
        self._step = step

    def _read(self, *_: object) -> NoReturn:
        raise Unknown(f"The next steps depend on the answer of this one: {self._step}.")

    __getattr__ = __getitem__ = __contains__ = __iter__ = __len__ = __bool__ = _read


def _pinned(reference: str) -> str:
    """Return the digest in an image's reference. Raises Unknown for a tag, which may have moved."""
    _, pinned, digest = reference.partition("@")
    if not pinned:
        raise Unknown(f"Whether {reference} has changed is known once the server pulls it.")
    return digest

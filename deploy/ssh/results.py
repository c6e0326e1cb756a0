"""A run of steps, followed through the lines that come back from the server: what it did, or why it failed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import ConnectionLost, Locked, StepFailed
from ..core.report import Report
from ..core.steps import Step, quote
from .errors import no_root

BUSY, FENCED = 75, 77  # exit codes: a lock doesn't come free; somebody else has our lock
LOST = -1  # paramiko's, where the connection ended before the command
OWN = "\x1f"  # begins a line that a script of ours says, and no program that it runs (lib.sh)
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")  # what a terminal would obey


@dataclass(frozen=True)
class Result:
    """How a step ended. ``state``: changed or unchanged; ``why``: of unchanged; ``answer``: what it was asked for."""

    step: Step
    state: str
    why: str
    answer: Any
    output: tuple[str, ...]


class Said(str):
    """A line of output that is Portside's own."""

    __slots__ = ()


class CommandFailed(Exception):
    """A command ended with another status than 0."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Following:
    """Follows a run of steps through the lines that come back."""

    def __init__(self, target: str, report: Report, steps: Sequence[Step], stage: str, mark: str) -> None:
        """``mark``: what begins the lines that are for us and no output."""
        self.target, self.report = target, report
        self.steps, self.stage, self.mark = steps, stage, mark
        self.results: list[Result] = []
        self.output: list[str] = []
        self.answer: Any = None
        self.status = 0

    def follow(self, lines: Iterator[str]) -> list[Result]:
        """The results of all steps. Raises StepFailed on the first that fails, Lost and Locked where it says so."""
        try:
            for line in lines:
                if line.startswith(self.mark):
                    self._mark(*line.removeprefix(self.mark).split(" ", 2))
                elif line or self.output:
                    said = Said if line.startswith(OWN) else str
                    self.output.append(said(CONTROL.sub("", line)))
                    self.report.output(self.output[-1], own=said is Said)
        except CommandFailed as error:
            self.status = self.status or error.status
        if self.status or len(self.results) < len(self.steps):
            self._give_up(self.status)
        return self.results

    def _mark(self, what: str, number: str, rest: str = "") -> None:
        if what == "exit":
            self.status = int(number)
            return
        step = self.steps[int(number) - 1]
        if what == "begin":
            self.output, self.answer = [], None
            self.report.begin(step.name, small=step.words[0] != "script")
            self.report.command(quote([self._told(word) for word in step.words]))
        elif what == "answer":
            self.answer = json.loads(rest)
        elif what == "ended":
            state, _, why = rest.partition(" ")
            output = tuple(self.output[:-1] if self.output and not self.output[-1] else self.output)
            self.results.append(Result(step, state, why, self.answer, output))
        elif what == "failed":
            raise self._failed(step, int(rest))

    def _told(self, word: str) -> str:
        """A word of a step: one with blanks is a command of somebody's."""
        return self.report.mask(word) if re.search(r"\s", word) else word

    def _failed(self, step: Step, status: int) -> StepFailed:
        mask = self.report.mask
        lines = [mask.own(line) if isinstance(line, Said) else mask(line) for line in self.output if line.strip()]
        return StepFailed(self.target, self.stage, step.name, status, lines)

    def _give_up(self, status: int) -> None:
        """The run ended before its steps did."""
        text = "\n".join(self.output)
        if not self.results and "sudo:" in text:
            raise no_root(text, self.target)
        if status == LOST:
            raise ConnectionLost(
                f"The connection to {self.target} was lost in the stage “{self.stage}”.",
                hint="Type the same command again; it goes on from what it finds.",
            )
        if status == BUSY:
            raise Locked(
                f"Another deploy has kept {self.target} busy for 15 minutes.",
                hint="See what it does there, then type the same command again.",
            )
        if status == FENCED:
            raise Locked(
                f"Somebody else has taken over the lock on {self.target}: this machine was silent for too long.",
                state="Nothing more was changed from here.",
                hint="fab releases shows what is live now.",
            )
        raise self._failed(self.steps[min(len(self.results), len(self.steps) - 1)], status)

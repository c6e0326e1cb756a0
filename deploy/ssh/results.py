"""Reads the results of steps, or why one failed, from the lines that the server sends."""

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

BUSY, FENCED = 75, 77  # exit codes: a lock stays busy; another machine has taken our lock
LOST = -1  # paramiko's exit code if the connection ended before the command
OWN = "\x1f"  # begins a line that Portside's script printed itself, not a program that it runs (lib.sh)
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")  # control characters


@dataclass(frozen=True)
class Result:
    """The result of a step. ``state``: changed or unchanged; ``why``: the reason for unchanged; ``answer``: the data
    that the step returned."""

    step: Step
    state: str
    why: str
    answer: Any
    output: tuple[str, ...]


class OwnLine(str):
    """A line of output that is Portside's own."""

    __slots__ = ()


class CommandFailed(Exception):
    """A command exited with a status other than 0."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ResultReader:
    """Reads the results of steps from the lines that come back."""

    def __init__(self, target: str, report: Report, steps: Sequence[Step], stage: str, mark: str) -> None:
        """``mark``: the prefix of lines that report results and aren't output."""
        self.target, self.report = target, report
        self.steps, self.stage, self.mark = steps, stage, mark
        self.results: list[Result] = []
        self.output: list[str] = []
        self.answer: Any = None
        self.status = 0

    def follow(self, lines: Iterator[str]) -> list[Result]:
        """Return the results of all steps. Raises StepFailed on the first that fails, ConnectionLost or Locked."""
        try:
            for line in lines:
                if line.startswith(self.mark):
                    self._mark(*line.removeprefix(self.mark).split(" ", 2))
                elif line or self.output:
                    said = OwnLine if line.startswith(OWN) else str
                    self.output.append(said(CONTROL.sub("", line)))
                    self.report.output(self.output[-1], own=said is OwnLine)
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
            self.report.begin(step.name, small=not step.script)
            self.report.command(quote([self._printable(word) for word in step.words]))
        elif what == "answer":
            self.answer = json.loads(rest)
        elif what == "ended":
            state, _, why = rest.partition(" ")
            output = tuple(self.output[:-1] if self.output and not self.output[-1] else self.output)
            self.results.append(Result(step, state, why, self.answer, output))
        elif what == "failed":
            raise self._failed(step, int(rest))

    def _printable(self, word: str) -> str:
        """Return a word of a step for printing. A word with blanks is a user's command and is masked."""
        return self.report.mask(word) if re.search(r"\s", word) else word

    def _failed(self, step: Step, status: int) -> StepFailed:
        mask = self.report.mask
        lines = [mask.own(line) if isinstance(line, OwnLine) else mask(line) for line in self.output if line.strip()]
        return StepFailed(self.target, self.stage, step.name, status, lines)

    def _give_up(self, status: int) -> None:
        """Raise the error of a run that ended before its steps did."""
        text = "\n".join(self.output)
        if not self.results and "sudo:" in text:
            raise no_root(text, self.target)
        if status == LOST:
            raise ConnectionLost(
                f"The connection to {self.target} was lost in the stage “{self.stage}”.",
                hint="Run the command again. It continues from the current state.",
            )
        if status == BUSY:
            raise Locked(
                f"Another deploy has kept {self.target} busy for 15 minutes.",
                hint="Check what is running there, then run the command again.",
            )
        if status == FENCED:
            raise Locked(
                f"Another machine has taken the lock on {self.target}, because this one was silent for too long.",
                state="This run changed nothing more.",
                hint="fab releases shows what is live now.",
            )
        raise self._failed(self.steps[min(len(self.results), len(self.steps) - 1)], status)

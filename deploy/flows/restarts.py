"""Restarts: the containers of a site that keep exiting, and the warning about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..core.facts import Container, Facts, Restarted
from ..core.report import count
from .context import Run

RECENTLY = 3600
"""Seconds. A container that has run longer than this since its last restart doesn't keep exiting."""


@dataclass(frozen=True)
class ExitingContainer:
    """A container of the live release, or its database, that keeps exiting. ``service``: its name for ``fab logs``."""

    service: str
    text: str
    log: tuple[str, ...]

    def lines(self, fab: Callable[..., str]) -> list[str]:
        """Return what to print: the fact, the end of its log, and the command that shows more of it."""
        return [self.text, *(f"    {line}" for line in self.log), f"  Its log: {fab('logs', service=self.service)}"]


def exiting(facts: Facts) -> list[ExitingContainer]:
    """Return the containers that keep exiting, by the number of their restarts."""
    containers = [*facts.role("web", facts.current), *facts.role("process", facts.current), *facts.role("db")]
    known = {each.name: each for each in facts.restarted}
    found = ((each, known[each.name]) for each in containers if each.name in known)
    return [_exiting(each, times) for each, times in found if times.seconds < RECENTLY]


def _exiting(container: Container, times: Restarted) -> ExitingContainer:
    what = f"The process {container.service}" if container.role == "process" else f"The container {container.name}"
    ago = f"{_elapsed(times.seconds)} ago" if times.seconds >= 0 else ""
    if times.count == 1 and ago:
        text = f"{what} exited and was restarted {ago}."
    else:
        last = f"last {ago}" if ago else "and will be restarted again"
        text = f"{what} keeps exiting: restarted {count(times.count, 'time')}, {last}."
    return ExitingContainer(container.service, text + _command(container, times.command), times.log)


def _elapsed(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _command(container: Container, command: str) -> str:
    return f" Its command: {command}" if container.role == "process" else ""


def watched(run: Run, names: Iterable[str], output: Sequence[str]) -> list[ExitingContainer]:
    """Return what ``remote/watch.sh`` found: processes that exited, each with the end of its log."""
    mask = run.report.mask
    return [
        ExitingContainer(name, mask(_process_text(run, name)), tuple(map(mask, _log(output, name)))) for name in names
    ]


def _process_text(run: Run, name: str) -> str:
    command = run.settings.processes.get(name, "") if run.request.flow.builds else ""  # a rollback's may be another
    return f"The process {name} keeps exiting." + (f" Its command: {command}" if command else "")


def _log(output: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the lines below the heading of this process."""
    found: list[str] = []
    below = False
    for line in output:
        if line.startswith("The log of ") and line.endswith(" ends:"):
            below = line == f"The log of {name} ends:"
        elif below and line.strip():
            found.append(line)
    return tuple(found)


def warn(run: Run) -> None:
    """Warn of containers that keep exiting, as the last lines of a run."""
    for each in run.health.failing:
        run.report.warn("\n".join(each.lines(run.request.fab)))

"""Portside's errors. Each one says what to do next.

PortsideError          1  something failed
 +- Refused            2  wrong usage or settings: nothing was changed
 +- Locked             3  another deploy holds the lock
 +- ConnectionLost     1  the connection to the server
 +- StepFailed         1  a step failed on the server
"""

from __future__ import annotations

from collections.abc import Callable


class PortsideError(Exception):
    """A failure as the user reads it: what failed, what the state is now, and what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, state: str = "", hint: str = "") -> None:
        """``state``: what the state is now; ``hint``: what to do next. Both are whole sentences or empty."""
        super().__init__(message)
        self.message = message
        self.state = state
        self.hint = hint
        self.warnings: list[str] = []  # possible causes
        self.log = ""  # where the run's log is

    def mask(self, masked: Callable[[str], str]) -> None:
        """Hide secrets in all texts of this error."""
        self.message, self.state, self.hint = masked(self.message), masked(self.state), masked(self.hint)
        self.warnings = [masked(line) for line in self.warnings]

    def __str__(self) -> str:
        log = f"The log of this run: {self.log}" if self.log else ""
        warnings = [f"! {line}" for line in self.warnings]
        return "\n".join(part for part in (self.message, *warnings, self.state, self.hint, log) if part)


class Refused(PortsideError):
    """Wrong usage or settings, found before anything was changed."""

    exit_code = 2


class Locked(PortsideError):
    """Another deploy of the same site is under way."""

    exit_code = 3

    @classmethod
    def by(cls, holder: str, site: str, target: str, hint: str) -> Locked:
        """Return the error. ``holder``: who holds the lock, since when, and at which stage."""
        message = f"Another deploy of {site} is under way on {target}: {holder}."
        return cls(message, state="Nothing was changed.", hint=hint)


class ConnectionLost(PortsideError):
    """The connection to the server was lost."""


class StepFailed(PortsideError):
    """A step that failed on the server, with the last lines it printed."""

    def __init__(
        self, host: str, stage: str, step: str, exit_code: int, lines: list[str], *, state: str = "", hint: str = ""
    ) -> None:
        tail = "\n".join(f"    {line}" for line in lines[-30:])
        head = f"{step}: failed on {host} in the stage “{stage}” (exit code {exit_code})."
        super().__init__(head + (f" It printed:\n{tail}" if tail else ""), state=state, hint=hint)
        self.step = step
        self.lines = lines
        self.status = exit_code


class Stopped(PortsideError):
    """This server was healthy, but another one failed."""

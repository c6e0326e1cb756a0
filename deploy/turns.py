"""Turns: which of several servers may begin a stage. All go on at once until one after the other goes live."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from .errors import PortsideError
from .settings import Settings

LIVE = "live"
OF_A_DATABASE = ("prepare", "migrations")  # where the servers share one, only one at a time changes it


class Stopped(PortsideError):
    """This server was well, but another one failed."""


class Turns:
    """Where each of several servers is. Servers are named in the order in which they go live."""

    def __init__(self, names: Sequence[str], settings: Settings) -> None:
        self.names = tuple(names)
        self._one_by_one = (LIVE, *OF_A_DATABASE * (settings.database == "external"))
        self._at = dict.fromkeys(names, "")
        self._passed: dict[str, set[str]] = {name: set() for name in names}
        self._ended: set[str] = set()
        self._failed: list[str] = []
        self._interrupted = False
        self._moved = threading.Condition()

    def begin(self, name: str, stage: str, waiting: Callable[[str], None]) -> None:
        """Return once it may begin this stage; ``waiting`` is told for whom it waits.

        Raises Stopped if another has failed before this one went live.
        """
        with self._moved:
            self._passed[name].add(self._at[name])
            self._at[name] = stage
            self._moved.notify_all()
            told = ""
            while True:
                self._stop(name, stage)
                before = self._before(name, stage)
                if not before:
                    return
                if before != told:
                    waiting(before)
                told = before
                self._moved.wait()

    def end(self, name: str, *, failed: bool) -> None:
        with self._moved:
            self._ended.add(name)
            if failed:
                self._failed.append(name)
            self._moved.notify_all()

    def interrupt(self) -> None:
        """Wake whoever waits: nobody begins anything more."""
        with self._moved:
            self._interrupted = True
            self._moved.notify_all()

    def _stop(self, name: str, stage: str) -> None:
        if LIVE in self._passed[name]:
            return
        if self._interrupted:
            raise KeyboardInterrupt
        if self._failed:
            raise Stopped(f"Stopped before the stage “{stage}”, since {self._failed[0]} failed.")

    def _before(self, name: str, stage: str) -> str:
        """The server this one has to wait for, or nothing."""
        if stage not in self._one_by_one:
            return ""
        earlier = self.names[: self.names.index(name)]
        behind = [other for other in earlier if not self._is_past(other, stage)]
        if stage == LIVE:
            behind += [other for other in self.names if not self._is_past(other, stage) and self._at[other] != stage]
        return behind[0] if behind else ""

    def _is_past(self, name: str, stage: str) -> bool:
        return name in self._ended or stage in self._passed[name]

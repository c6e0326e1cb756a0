"""Turns: which of several servers may begin a stage. All proceed at once, then go live one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ..config.settings import Settings
from ..core.errors import Stopped

LOCK, SWITCH = "lock", "switch"
READY = "ready"  # all servers wait here before the first goes live
OF_A_DATABASE = ("prepare", "migrations")  # one server at a time, if they share a database


class Turns:
    """The progress of each of several servers. ``names``: in the order in which they go live.

    ``locking``: the order in which their locks are taken. If all runs take them in the same order, no two ever wait for
    each other.
    """

    def __init__(self, names: Sequence[str], settings: Settings, *, locking: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        self._locking = tuple(locking) or self.names
        self._one_by_one = (LOCK, SWITCH, *OF_A_DATABASE * (settings.database == "external"))
        self._at = dict.fromkeys(names, "")
        self._passed: dict[str, set[str]] = {name: set() for name in names}
        self._ended: set[str] = set()
        self._failed: list[str] = []
        self._interrupted = False
        self._moved = threading.Condition()

    def begin(
        self, name: str, stage: str, waiting: Callable[[str], None], check: Callable[[], None] = lambda: None
    ) -> None:
        """Return once this server may begin the stage. ``waiting``: called with the name of the server it waits for.

        ``check``: raises an error if this server can't go live, once all are ready. Raises Stopped if another server
        failed before this one went live.
        """
        if stage == SWITCH:
            self._await(name, READY, waiting)
            check()
        self._await(name, stage, waiting)

    def _await(self, name: str, stage: str, waiting: Callable[[str], None]) -> None:
        with self._moved:
            self._passed[name].add(self._at[name])
            self._at[name] = stage
            self._moved.notify_all()
            reported = ""
            while True:
                self._stop(name, stage)
                before = self._before(name, stage)
                if not before:
                    return
                if before != reported and stage != LOCK:
                    waiting(before)
                reported = before
                self._moved.wait()

    def end(self, name: str, *, failed: bool) -> None:
        with self._moved:
            self._ended.add(name)
            if failed:
                self._failed.append(name)
            self._moved.notify_all()

    def interrupt(self) -> None:
        """Wake all waiting servers: none begins another stage."""
        with self._moved:
            self._interrupted = True
            self._moved.notify_all()

    def _stop(self, name: str, stage: str) -> None:
        if SWITCH in self._passed[name]:
            return
        if self._interrupted:
            raise KeyboardInterrupt
        if self._failed:
            before = SWITCH if stage == READY else stage
            raise Stopped(f"Stopped before the stage “{before}”, because {self._failed[0]} failed.")

    def _before(self, name: str, stage: str) -> str:
        """Return the server this one has to wait for, or an empty string."""
        order = self._locking if stage == LOCK else self.names
        earlier = order[: order.index(name)] if stage in self._one_by_one else ()
        behind = [other for other in earlier if not self._is_past(other, stage)]
        if stage in {READY, SWITCH}:
            behind += [other for other in self.names if not self._is_past(other, stage) and self._at[other] != stage]
        return behind[0] if behind else ""

    def _is_past(self, name: str, stage: str) -> bool:
        return name in self._ended or stage in self._passed[name]

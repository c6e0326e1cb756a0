"""Waiting for a condition instead of a time."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

HANGS = 180
"""Seconds after which what isn't done hangs, on however busy a machine."""


def until(true: Callable[[], object], what: str, seconds: float = HANGS) -> None:
    """Returns as soon as ``true()`` is; fails, naming ``what`` was waited for, once ``seconds`` have passed.

    Looking takes a third of the time at most, since it costs what is waited for its processor.
    """
    limit = time.monotonic() + seconds
    while not (looked := time.monotonic(), true())[1]:
        assert time.monotonic() < limit, f"waited {seconds:.0f} s for {what}"
        time.sleep(max(0.05, 2 * (time.monotonic() - looked)))


def left(look: Callable[[], str]) -> str:
    """What ``look()`` still finds after three minutes, nothing as soon as it finds nothing.

    What ends with our connection ends a moment after it; a dead laptop's, when somebody else comes, within seconds.
    """
    limit = time.monotonic() + HANGS
    while (found := look()) and time.monotonic() < limit:
        time.sleep(0.3)
    return found


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])

"""The log of a run, kept on the laptop: every step, what it printed, when, and how it ended.

Its lines come from the report, which has masked what is secret. Where there is no place for it, a run does without.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

SWITCH = "switch"  # the stage that makes a release live; older versions called it "live"
KEPT = 50  # logs of a site


class RunLog:
    """A file that grows by lines, each with the seconds since it was begun."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._began = time.monotonic()

    def write(self, text: str) -> None:
        """Add these lines. A disk that is full by now ends no deploy."""
        since = time.monotonic() - self._began
        lines = "".join(f"{since:7.1f}  {line}".rstrip() + "\n" for line in text.splitlines() or [""])
        with suppress(OSError):
            self._append(lines)

    def begin(self, title: str) -> None:
        """Make the file, with its first line. Raises OSError where it can't be."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._append(f"{title}\n")

    def _append(self, text: str) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)


def begin(site: str, command: str, target: str) -> RunLog | None:
    """The log of a run that begins now; None where none can be kept, as with a home that is read-only."""
    now, server = datetime.now().astimezone(), re.sub(r"[^\w.@-]", "_", target)
    try:
        folder = folder_of(site)
        log = RunLog(folder / f"{now:%Y%m%d-%H%M%S}-{command}-{server}-{os.getpid()}.log")
        log.begin(f"fab {command} -H {target}, the site {site}, {now:%Y-%m-%d %H:%M:%S %z}")
        for old in sorted(folder.glob("*.log"))[:-KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, RuntimeError):  # the latter: nobody's home is known
        return None
    return log


def deployed_to(site: str) -> tuple[str, ...]:
    """The servers to which the last deploy from here that went live went; none where no log tells of one."""
    try:
        logs = sorted(folder_of(site).glob("*-deploy-*.log"), reverse=True)
        went = [(path.stem.rpartition("-")[2], server) for path in logs if (server := _went_live(path))]
    except (OSError, RuntimeError):
        return ()
    # Of several servers each has a log; the number of the process is the same.
    return tuple(dict.fromkeys(server for process, server in reversed(went) if process == went[0][0]))


def _went_live(path: Path) -> str:
    """The server of a deploy's log, where its last stages were reached; else empty."""
    title, _, text = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    found = re.match(r"fab deploy -H (\S+), the site ", title)
    return found[1] if found and re.search(rf"^ *[0-9.]+  ✓ ({SWITCH}|live)\b", text, re.MULTILINE) else ""


def folder_of(site: str) -> Path:
    """Where a site's logs are, https://specifications.freedesktop.org/basedir-spec/latest/"""
    given = os.environ.get("XDG_STATE_HOME", "")
    state = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return state / "portside" / site

"""The log of a run on the laptop: every step with its output, time and outcome.

Its lines come from the report, which has masked all secrets. If the log can't be written, the run goes on without it.
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
    """A log file. Each line has the seconds since the run began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._began = time.monotonic()

    def write(self, text: str) -> None:
        """Append lines. Errors are ignored: a full disk must not stop a deploy."""
        since = time.monotonic() - self._began
        lines = "".join(f"{since:7.1f}  {line}".rstrip() + "\n" for line in text.splitlines() or [""])
        with suppress(OSError):
            self._append(lines)

    def begin(self, title: str) -> None:
        """Create the file with its first line. Raises OSError if that fails."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._append(f"{title}\n")

    def _append(self, text: str) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)


def begin(site: str, command: str, target: str) -> RunLog | None:
    """Begin the log of a run; return None if it can't be written, for example if the home folder is read-only."""
    now, server = datetime.now().astimezone(), re.sub(r"[^\w.@-]", "_", target)
    try:
        folder = folder_of(site)
        log = RunLog(folder / f"{now:%Y%m%d-%H%M%S}-{command}-{server}-{os.getpid()}.log")
        log.begin(f"fab {command} -H {target}, the site {site}, {now:%Y-%m-%d %H:%M:%S %z}")
        for old in sorted(folder.glob("*.log"))[:-KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: the home folder is unknown
        return None
    return log


def deployed_to(site: str) -> tuple[str, ...]:
    """Return the servers of the last successful deploy from this machine; none if no log has one."""
    try:
        logs = sorted(folder_of(site).glob("*-deploy-*.log"), reverse=True)
        went = [(path.stem.rpartition("-")[2], server) for path in logs if (server := _went_live(path))]
    except (OSError, RuntimeError):
        return ()
    # A deploy to several servers has a log for each, with the same process ID.
    return tuple(dict.fromkeys(server for process, server in reversed(went) if process == went[0][0]))


def _went_live(path: Path) -> str:
    """Return the server of a deploy's log if the release went live there; otherwise empty."""
    title, _, text = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    found = re.match(r"fab deploy -H (\S+), the site ", title)
    return found[1] if found and re.search(rf"^ *[0-9.]+  ✓ ({SWITCH}|live)\b", text, re.MULTILINE) else ""


def folder_of(site: str) -> Path:
    """Return the folder of a site's logs, by https://specifications.freedesktop.org/basedir-spec/latest/"""
    given = os.environ.get("XDG_STATE_HOME", "")
    state = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return state / "portside" / site

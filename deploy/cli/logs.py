"""``fab logs``: the logs of the live release, its database and Nginx by time, secrets masked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ..core.errors import ConnectionLost, PortsideError, Refused
from ..core.files import REMOTE
from ..flows.context import Run
from ..ssh import session
from ..ssh.results import LOST, CommandFailed

TAIL = 100
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
USAGE, NOT_HERE = 2, 3  # exit codes of remote/logs.py


def show(run: Run, options: Mapping[str, Any], *, as_json: bool = False) -> None:
    """Print the lines as they arrive; as JSON a list of objects."""
    asked = query(run, options)
    if as_json and asked["follow"]:
        raise Refused("--json and --follow can't be combined.")
    lines = _lines(run, asked)
    if as_json:
        mask = run.report.mask
        data = [{"time": when, "service": service, "text": mask(text)} for when, service, text in lines]
        run.report.result(data)
        return
    written = False
    try:
        with session.exit_on_closed_output():
            for when, service, text in lines:
                written = True
                _write(run, f"{when}Z {service:<8} {run.report.quoted(text)}")
    except KeyboardInterrupt:
        if not asked["follow"]:  # Ctrl-C is how --follow ends
            raise
    if not written and not asked["follow"]:
        run.report.aside()
        run.report.say(_nothing(run, options))


def query(run: Run, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the query for ``remote/logs.py``. Raises Refused, naming the option."""
    site, since = run.site, _since(str(options.get("since", "")))
    services = [name.strip() for name in str(options.get("service", "")).split(",") if name.strip()]
    if not run.settings.containers and set(services) - {"nginx"}:
        raise Refused(f"{site.name} is a static site: its only service is nginx.")
    return {
        "site": site.name,
        "root": site.root,
        "access": site.access_log,
        "error": site.error_log,
        "services": services,
        "follow": bool(options.get("follow")),
        "since": since,
        "tail": _tail(str(options.get("tail", "")), limited=since is None),
        "grep": _expression(str(options.get("grep", ""))),
    }


def _since(text: str) -> float | None:
    """Return seconds ago as a negative number, or a time as Unix seconds. None for no text."""
    if not text:
        return None
    if found := re.fullmatch(r"(\d{1,9})([smhdw])", text):
        return -float(int(found[1]) * UNITS[found[2]]) or -0.001
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        raise Refused(f"--since: “{text}” should be 90s, 30m, 2h, 3d, or a time such as 2026-11-30T17:00.") from None


def _tail(text: str, *, limited: bool) -> int | None:
    if not text:
        return TAIL if limited else None
    if not re.fullmatch(r"\d{1,9}", text):
        raise Refused(f"--tail: “{text}” should be a number of lines.")
    return int(text)


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise Refused(f"--grep: “{text}” isn't a valid regular expression: {error}.") from None
    return text


def _lines(run: Run, asked: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield time, service and text of each line. Raises PortsideError."""
    script = (REMOTE / "logs.py").read_text(encoding="utf-8")
    words = session.guarded(("python3", "-c", script, json.dumps(asked)))
    errors: list[str] = []
    try:
        for line in run.server.stream(words):
            when, tab, rest = line.partition("\t")
            service, more, text = rest.partition("\t")
            if tab and more:
                yield when, service, text
            else:
                errors.append(line)
    except CommandFailed as error:
        raise _failed(run, error.status, errors) from error


def _failed(run: Run, status: int, errors: list[str]) -> PortsideError:
    if status == LOST:
        return ConnectionLost(f"The connection to {run.server.target} was lost.")
    if status == NOT_HERE:
        where = f"{run.site.name} isn't on {run.server.target}"
        return PortsideError(f"{where}, so it has no logs there.", hint=f"Run {run.fab('deploy')} first.")
    text = "\n".join(run.report.quoted(line) for line in errors[-8:])
    if status == USAGE:
        return Refused(text)
    return PortsideError(f"The logs on {run.server.target} can't be read:\n{text}")


def _write(run: Run, line: str) -> None:
    """Write a line without rich: there may be very many, and they aren't our text."""
    stream = run.report.console.file
    stream.write(f"{line}\n")
    stream.flush()


def _nothing(run: Run, options: Mapping[str, Any]) -> str:
    narrowed = [f"--{name}" for name in ("service", "since", "grep") if options.get(name)]
    because = f" with {', '.join(narrowed)}" if narrowed else ""
    return f"{run.site.name} on {run.server.target}: no lines{because}."

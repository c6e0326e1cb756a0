"""Reads ssh_config as ssh does. paramiko's own reader doesn't support Include and drops quotes."""

from __future__ import annotations

import io
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from getpass import getuser
from pathlib import Path
from typing import Any

import paramiko

DEEPEST = 16  # files that include each other; ssh's own limit
LISTS = {"userknownhostsfile", "globalknownhostsfile"}
SYSTEM = Path("/etc/ssh")


class SSHConfig(paramiko.SSHConfig):
    """An ssh_config with support for Include."""

    def parse(self, file_obj: Iterable[str]) -> None:
        folder = SYSTEM if str(getattr(file_obj, "name", "")).startswith(f"{SYSTEM}/") else Path("~/.ssh").expanduser()
        super().parse(io.StringIO("\n".join(_expanded(file_obj, folder))))


def asked_for(config: Any, host: str, user: str, port: int) -> dict[str, Any]:
    """Return the ssh_config settings of a host for this user and port, which %r and %p stand for."""
    asked: Any = SSHConfig()
    asked._config = [{"host": ["*"], "config": {"user": user, "port": str(port)}}, *config._config]
    return dict(asked.lookup(host))


def words(value: str) -> list[str]:
    """Split a setting that has several words; a word with spaces is in quotes."""
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def path_of(path: str, link: Any) -> str:
    """Return a path from ssh_config with its %-tokens expanded for a connection."""
    tokens = {"%": "%", "d": str(Path.home()), "h": link.host, "i": os.getuid(), "n": link.original_host}
    tokens |= {"k": link.ssh_config.get("hostkeyalias", link.host), "p": link.port, "r": link.user, "u": getuser()}
    return re.sub(r"%(.)", lambda found: str(tokens.get(found[1], found[0])), path)


def _expanded(lines: Iterable[str], folder: Path, outer: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the lines, with Include replaced by the included files. ``outer``: the criteria under which they apply."""
    block = _block(outer)
    for line in lines:
        key, value = _setting(line)
        if key == "include":
            for path in _included(value, folder) if depth < DEEPEST else ():
                yield from _expanded(_lines(path), folder, _criteria(block), depth + 1)
            yield block
        elif key in {"host", "match"}:
            block = _block(f"{outer} {_criteria(line)}") if outer else line
            yield block
        elif key in LISTS:
            yield f"{key} {shlex.join(words(value))}"
        else:
            yield line


def _setting(line: str) -> tuple[str, str]:
    found = re.match(SSHConfig.SETTINGS_REGEX, line.strip())
    return (found[1].lower(), found[2]) if found else ("", "")


def _block(criteria: str) -> str:
    """Return the line that begins a block with these criteria."""
    return f"Match {criteria}" if criteria else "Host *"


def _criteria(block: str) -> str:
    """Return the criteria of a line that begins a block, in the syntax of Match; empty if it always applies."""
    key, value = _setting(block)
    if key == "host":
        return "" if value == "*" else f"originalhost {shlex.quote(','.join(words(value)))}"
    return "" if value.lower() == "all" else value


def _included(value: str, folder: Path) -> Iterator[Path]:
    for pattern in words(value):
        path = folder / Path(pattern).expanduser()
        yield from sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _lines(path: Path) -> Iterator[str]:
    with suppress(OSError):
        yield from path.read_text(encoding="utf-8", errors="replace").splitlines()

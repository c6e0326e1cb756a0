"""The files of an ssh_config as ssh and paramiko are to read them: with what they include, as HOME has it, and with the
settings that are read here in a form which comes back unchanged."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import paramiko

DEEPEST = 16  # files that include each other; ssh's own limit
LISTS = {"userknownhostsfile", "globalknownhostsfile"}
OURS = {*LISTS, "identityfile", "identityagent", "proxycommand"}
"""Settings that are read here, though ssh says which one counts: it prints words without the quotes that part them,
takes ``~`` from the system and not from HOME, and prints its defaults as if a file had set them."""


class Copies:
    """Copies of files in a folder, for ssh: it would look for what they include in a home that isn't HOME."""

    def __init__(self, into: Path) -> None:
        self._into = into
        self._made: dict[Path, Path] = {}
        self._number = 0

    def write(self, text: str, folder: Path) -> Path:
        """Write a copy of a file whose relative paths begin in this folder, and of the files that it includes. Returns
        its path."""
        return self._put(self._new(), text, folder)

    def _new(self) -> Path:
        self._number += 1
        return self._into / str(self._number)

    def _put(self, path: Path, text: str, folder: Path) -> Path:
        lines = "".join(f"{self._line(line, folder)}\n" for line in text.splitlines())
        path.write_text(lines, encoding="utf-8", errors="surrogateescape")
        return path

    def _line(self, line: str, folder: Path) -> str:
        key, value = setting(line)
        if key != "include":
            return _kept(line)
        paths = [self._included(path, folder) for path in _paths(value, folder)]
        return " ".join(("Include", *(f'"{path}"' for path in paths))) if paths else ""

    def _included(self, path: Path, folder: Path) -> Path:
        """One copy of each: of files that include each other it is for ssh to say that it doesn't read them."""
        if path not in self._made:
            self._made[path] = self._new()
            self._put(self._made[path], _text(path), folder)
        return self._made[path]


def inlined(text: str, folder: Path, depth: int = 0) -> Iterator[str]:
    """Yield the lines for paramiko, which knows no Include, with those of included files in their place. Of a file that
    a block includes, blocks of its own don't count: paramiko would have them count for every host."""
    block = ""
    for line in text.splitlines():
        key, value = setting(line)
        if key == "include":
            for path in _paths(value, folder) if depth < DEEPEST else ():
                lines = inlined(_text(path), folder, depth + 1)
                yield from takewhile(lambda line: not _begins_block(line), lines) if block else lines
            yield block or "Host *"
        else:
            block = line if _begins_block(line) else block
            yield _kept(line)


def _begins_block(line: str) -> bool:
    return setting(line)[0] in {"host", "match"}


def original(value: str) -> str | None:
    """Return what a setting of :data:`OURS` was before it was copied; None for a default, which stands in no file."""
    try:
        return bytes.fromhex(value).decode(errors="surrogateescape")
    except ValueError:
        return None


def _kept(line: str) -> str:
    """Return a line with a setting of :data:`OURS` as one word that nothing is done to."""
    key, value = setting(line)
    if key not in OURS or (key == "proxycommand" and value.lower() == "none"):
        return line
    if key not in LISTS and value[0] == value[-1] == '"':
        value = value[1:-1]
    return f"{key} {value.encode(errors='surrogateescape').hex()}"


def setting(line: str) -> tuple[str, str]:
    """Return what a line sets, in small letters, and to what; two empty texts for one that sets nothing."""
    found = re.match(paramiko.SSHConfig.SETTINGS_REGEX, line.strip())
    return (found[1].lower(), found[2]) if found else ("", "")


def words(value: str) -> list[str]:
    """Return the words of a setting that has several; one with spaces is in quotes."""
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def _paths(value: str, folder: Path) -> Iterator[Path]:
    for pattern in words(value):
        path = folder / Path(pattern).expanduser()
        yield from sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    return ""

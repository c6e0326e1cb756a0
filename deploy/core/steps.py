"""Step: an action on the server, as data. This is also the only module that quotes words for a shell.

A step's ``words`` are a verb of ``remote/apply.sh`` and its arguments; everything else that it needs is sent as files.
So a plan can be printed, compared and tested without a server, and several steps are sent as one script. Read a step by
its fields: only the class that makes the words knows their order.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from .facts import Facts

Content = bytes | Path
Argument = str | int | Sequence[str]
Sign = Literal["+", "~", "-", ""]  # new, changed, removed; empty for a check
SECRET_FILES = (".htpasswd", ".proof")  # hidden even if the step's other files are shown
_NAME = re.compile("[a-z_]+")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One action. ``name``: a sentence without a full stop. ``files``: the files that the verb finds in
    ``$PORTSIDE_FILES``, by name.

    ``secret``: the content of ``files`` must not be shown. ``script``: its script in ``remote/``. ``path``: the file or
    folder that it writes or removes. Both are empty for other steps.
    """

    name: str
    files: Mapping[str, Content] = field(default_factory=dict, repr=False)
    secret: bool = False
    script: str = ""
    path: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Return a verb of ``remote/apply.sh`` and its arguments."""
        raise NotImplementedError

    @property
    def arguments(self) -> Mapping[str, Argument]:
        """Return a script's arguments by name."""
        return {}

    def effect(self, facts: Facts) -> Facts:
        """Return the facts after the step, as far as later stages depend on them."""
        return facts

    def line(self, number: int) -> str:
        """Return the step as a line of the script that ``apply.sh`` runs."""
        return f"step {number} {quote(self.words)}"

    def transcript(self, show: Callable[[str, str], list[str]] | None = None) -> str:
        """Return the step as a plan shows it: its name, words and text files, without secrets.

        ``show``: turns a file's name and text into lines; by default all of the text.
        """
        lines = [f"- {self.name}", f"    {quote(self.words)}"]
        for name, content in sorted(self.files.items()):
            if isinstance(content, Path):
                lines.append(f"    {name} <- the project's file")
            elif self.secret or name.endswith(SECRET_FILES):
                lines.append(f"    {name}: [hidden]")
            else:
                lines += (show or whole)(name, content.decode())
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Folder(Step):
    """Create a folder. ``mode``: its permissions. ``owner``: as ``chown`` takes it."""

    mode: int
    owner: str

    @property
    def words(self) -> tuple[str, ...]:
        return ("folder", self.path, f"{self.mode:o}", self.owner)


@dataclass(frozen=True, kw_only=True)
class Write(Step):
    """Write a file with exactly this content. ``mode``, ``owner``: as for a folder."""

    mode: int
    owner: str

    @property
    def content(self) -> bytes:
        content = self.files["content"]
        return content if isinstance(content, bytes) else content.read_bytes()

    @property
    def words(self) -> tuple[str, ...]:
        return ("write", self.path, f"{self.mode:o}", self.owner)


@dataclass(frozen=True, kw_only=True)
class Remove(Step):
    """Remove a file."""

    @property
    def words(self) -> tuple[str, ...]:
        return ("remove", self.path)


@dataclass(frozen=True, kw_only=True)
class Script(Step):
    """Run a script of ``remote/``. The fields that a subclass adds are the script's arguments.

    ``sign``: what a plan prints before the name; None if a plan can't tell what the step changes.
    """

    sign: Sign | None = None

    @property
    def arguments(self) -> Mapping[str, Argument]:
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in given.items() if name not in _OF_EVERY_SCRIPT}

    @property
    def words(self) -> tuple[str, ...]:
        return ("script", self.script, *named(self.arguments))


_OF_EVERY_SCRIPT = {each.name for each in fields(Script)}


@dataclass(frozen=True, kw_only=True)
class _Call(Script):
    """Run a script whose effect no later stage depends on."""

    given: Mapping[str, Argument]

    @property
    def arguments(self) -> Mapping[str, Argument]:
        return self.given


def named(arguments: Mapping[str, Argument]) -> list[str]:
    """Return arguments as ``remote/arguments.sh`` takes them: words NAME=VALUE, one for each value of a list. Raises
    ValueError for a name that a shell variable can't have."""
    words = []
    for name, value in arguments.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name} can't be the name of an argument.")
        values = [value] if isinstance(value, str | int) else value
        words += [f"{name}={one}" for one in values]
    return words


def whole(name: str, text: str) -> list[str]:
    """Return a file as lines of a transcript, with all of its text."""
    return [f"    {name}:", *(f"      | {line}".rstrip() for line in text.splitlines())]


def quote(words: Sequence[str]) -> str:
    """Quote words as one shell line. Every word that reaches a shell goes through this function."""
    return shlex.join(words)


def mode(path: Path) -> int:
    """Return the mode on the server of a file from the laptop. Only the executable bit is kept."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def folder(path: str, mode: int = 0o755, owner: str = "root:root") -> Folder:
    """Return a step that creates a folder with this mode and owner."""
    return Folder(name=f"Folder {path}", path=path, mode=mode, owner=owner)


def write(path: str, content: str, mode: int = 0o644, owner: str = "root:root", *, secret: bool = False) -> Write:
    """Return a step that writes a file with exactly this content, replacing it by a rename."""
    files = {"content": content.encode()}
    return Write(name=f"File {path}", path=path, mode=mode, owner=owner, files=files, secret=secret)


def remove(path: str) -> Remove:
    """Return a step that removes a file."""
    return Remove(name=f"Remove {path}", path=path)


def script(
    name: str,
    script: str,
    /,
    *,
    sign: Sign | None = None,
    files: Mapping[str, Content] | None = None,
    secret: bool = False,
    **arguments: Argument,
) -> Script:
    """Return a step that runs ``deploy/remote/<script>.sh`` with these arguments, which the script names at its top."""
    return _Call(name=name, script=script, sign=sign, files=files or {}, secret=secret, given=arguments)

"""Step: an action on the server, as data. This is also the only module that quotes words for a shell.

A step's ``words`` are a verb of ``remote/apply.sh`` and its arguments; everything else that it needs is sent as files.
So a plan can be printed, compared and tested without a server, and several steps are sent as one script.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Content = bytes | Path
SECRET_FILES = (".htpasswd", ".proof")  # hidden even if the step's other files are shown


@dataclass(frozen=True)
class Step:
    """One action. ``name``: a sentence without a full stop. ``files``: the files that the verb finds in
    ``$PORTSIDE_FILES``, by name.

    ``secret``: the content of ``files`` must not be shown.
    """

    name: str
    words: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict, repr=False)
    secret: bool = False

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


def whole(name: str, text: str) -> list[str]:
    """Return a file as lines of a transcript, with all of its text."""
    return [f"    {name}:", *(f"      | {line}".rstrip() for line in text.splitlines())]


def quote(words: Sequence[str]) -> str:
    """Quote words as one shell line. Every word that reaches a shell goes through this function."""
    return shlex.join(words)


def mode(path: Path) -> int:
    """Return the mode on the server of a file from the laptop. Only the executable bit is kept."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def folder(path: str, mode: int = 0o755, owner: str = "root:root") -> Step:
    """Return a step that creates a folder with this mode and owner."""
    return Step(f"Folder {path}", ("folder", path, f"{mode:o}", owner))


def write(path: str, content: str, mode: int = 0o644, owner: str = "root:root", *, secret: bool = False) -> Step:
    """Return a step that writes a file with exactly this content, replacing it by a rename."""
    return Step(f"File {path}", ("write", path, f"{mode:o}", owner), {"content": content.encode()}, secret=secret)


def remove(path: str) -> Step:
    """Return a step that removes a file."""
    return Step(f"Remove {path}", ("remove", path))


def script(
    name: str, script: str, *args: str, files: Mapping[str, Content] | None = None, secret: bool = False
) -> Step:
    """Return a step that runs ``deploy/remote/<script>.sh`` with these arguments."""
    return Step(name, ("script", script, *args), files or {}, secret=secret)

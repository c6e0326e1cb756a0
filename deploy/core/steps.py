"""Step: what to do on the server, as data. Also the one place that quotes for a shell.

A step's ``words`` are a verb of ``remote/apply.sh`` and its arguments; what it needs besides travels as files. So a
plan can be printed, compared and tested without a server, and a run of steps is shipped as one script.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Content = bytes | Path
SECRET_FILES = (".htpasswd", ".proof")  # of a step that has others to show


@dataclass(frozen=True)
class Step:
    """``name``: a sentence without a full stop. ``files``: what the verb finds in ``$PORTSIDE_FILES``, by name.

    ``secret``: the content of ``files`` must not be shown. ``show``: what a plan prints of them.
    """

    name: str
    words: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict, repr=False)
    secret: bool = False

    def line(self, number: int) -> str:
        """The step as a line of the script that ``apply.sh`` runs."""
        return f"step {number} {quote(self.words)}"

    def transcript(self, show: Callable[[str, str], list[str]] | None = None) -> str:
        """The step as a plan shows it: its name, its words and its text files, without a secret.

        ``show``: how a file's name and text become lines, if not the whole of it.
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
    """A file in a transcript, with all of its text."""
    return [f"    {name}:", *(f"      | {line}".rstrip() for line in text.splitlines())]


def quote(words: Sequence[str]) -> str:
    """Words as one shell line that means exactly them. Every word that reaches a shell passes here."""
    return shlex.join(words)


def mode(path: Path) -> int:
    """The mode that a file of the laptop's has on the server: of its own, only whether it can be run is kept."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def folder(path: str, mode: int = 0o755, owner: str = "root:root") -> Step:
    """A folder that is there, with this mode and owner."""
    return Step(f"Folder {path}", ("folder", path, f"{mode:o}", owner))


def write(path: str, content: str, mode: int = 0o644, owner: str = "root:root", *, secret: bool = False) -> Step:
    """A file with exactly this content, replaced by a rename."""
    return Step(f"File {path}", ("write", path, f"{mode:o}", owner), {"content": content.encode()}, secret=secret)


def remove(path: str) -> Step:
    """No file there."""
    return Step(f"Take {path} away", ("remove", path))


def script(
    name: str, script: str, *args: str, files: Mapping[str, Content] | None = None, secret: bool = False
) -> Step:
    """``deploy/remote/<script>.sh`` with these arguments."""
    return Step(name, ("script", script, *args), files or {}, secret=secret)

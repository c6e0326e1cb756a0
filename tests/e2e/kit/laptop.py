"""The laptop: the real `fab`, and how a run of it ended."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.practice import Practice

if TYPE_CHECKING:
    from .project import Project


CHECKOUT = Path(__file__).resolve().parents[3]


FAB = CHECKOUT / ".venv" / "bin" / "fab"


PRACTICE = CHECKOUT / ".practice"


SECONDS = 400
"""No single command takes longer; what hangs is ended then."""


# What would otherwise win over a project's .env, or answer for the user.
STRIPPED = re.compile(r"(DEPLOY_|DJANGO_|POSTGRES_|PG)\w*|SECRET_KEY|DATABASE_URL|ALLOWED_HOSTS|SSH_AUTH_SOCK")


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def stages(self) -> list[str]:
        """The stages that were told as done, in order."""
        return re.findall(r"^✓ (\w+) +[0-9.]+ s", self.out, re.MULTILINE)

    @property
    def release(self) -> str:
        """The release that was told to be live now."""
        found = re.findall(r"\b\d{8}-\d{6}-[0-9a-f]{7}\b", self.out)
        return found[-1] if found else ""

    @property
    def round_trips(self) -> int:
        """As --verbose counts them."""
        found = re.search(r"^ *(\d+) round trips?$", self.out, re.MULTILINE)
        assert found, "the report doesn't count its round trips"
        return int(found.group(1))


@dataclass
class Running:
    """A `fab` that runs."""

    words: tuple[str, ...]
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def end(self, *, check: bool = False) -> Done:
        """Wait for it. Its output is shown by pytest where the test fails."""
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        done = Done(code, self.out.read_text(errors="replace"), self.err.read_text(errors="replace"))
        print(f"$ fab {' '.join(self.words)}\n{done.out}{done.err}exit code {code}\n")
        assert not check or code == 0, f"fab {self.words[0]} ended with {code}"
        assert not re.search(r"^(Traceback|Exception ignored)", done.err, re.MULTILINE), "a traceback of our own"
        return done


@dataclass
class Fab:
    """The laptop: runs the checkout's `.venv/bin/fab`, a folder keeping what it prints. ``checkout``: this one, or a
    copy of it that is another version."""

    logs: Path
    tell: Callable[[str], None]
    count: int = 0
    checkout: Path = CHECKOUT

    def __call__(self, *words: str, check: bool = False, **more: object) -> Done:
        return self.start(*words, **more).end(check=check)  # type: ignore[arg-type]

    def start(
        self,
        *words: str,
        on: Practice | str | None = None,
        project: Project | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Running:
        """Begin ``fab WORDS``; ``on``: the server after -H; ``project``: whose --env; ``env``: more of the shell's."""
        if on:
            words += ("-H", on if isinstance(on, str) else on.name)
        if project:
            words += ("--env", str(project.env))
        self.count += 1
        self.tell(f"fab {' '.join(words)}")
        out, err = (self.logs / f"{self.count:03}-{words[0].strip('-')}.{kind}" for kind in ("out", "err"))
        shell = {name: value for name, value in os.environ.items() if not STRIPPED.fullmatch(name)}
        shell["XDG_STATE_HOME"] = str(self.logs.with_name(f"{self.logs.name}-state"))
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                (str(FAB), *words),
                cwd=self.checkout,
                env=shell | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        return Running(words, process, out, err)


def lines_of(done: Done, server: Practice) -> list[str]:
    """What was said of a server, without its name."""
    return re.findall(rf"^{re.escape(server.name)} *\| (.*)$", done.text, re.MULTILINE)

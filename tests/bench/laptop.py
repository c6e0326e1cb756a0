"""The laptop of a benchmark: projects in git, and `fab`, timed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


@dataclass
class Timed:
    """How a `fab` ended: seconds, round trips, seconds of each stage, the release; when its gate was passed; whether it
    found nothing to do."""

    began: float
    ended: float = 0
    gate: float = 0
    round_trips: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    release: str = ""
    unchanged: bool = False

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Laptop:
    """A project with its environment file, deployed to one server."""

    env: Path
    server: str

    def fab(self, task: str, *words: str) -> Timed:
        """Run a task. Raises CalledProcessError where it fails, having shown its output."""
        line = (sys.executable, "-m", "fabric", task, "-H", self.server, "--env", str(self.env), "--verbose", *words)
        timed, printed = Timed(time.monotonic()), []
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            line, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            for text in run.stdout or ():
                printed.append(text)
                _note(timed, text)
        timed.ended = time.monotonic()
        if run.returncode:
            sys.stderr.writelines(printed)
            raise subprocess.CalledProcessError(run.returncode, line)
        return timed

    def commit(self, path: str, text: str) -> None:
        """Write a file and commit it."""
        (self.env.parent / path).write_text(text, encoding="utf-8")
        commit(self.env.parent)


def _note(timed: Timed, line: str) -> None:
    if found := re.match(r"✓ (\w+) +([0-9.]+) s", line):
        timed.stages[found[1]] = float(found[2])
        if found[1] == "healthcheck":
            timed.gate = time.monotonic()
    elif found := re.search(r"(\d+) round trips?$", line):
        timed.round_trips = int(found[1])
    elif found := re.search(r"(?:release|back at) (\d{8}-\d{6}-[0-9a-f]{7})", line):
        timed.release = found[1]
    elif ": nothing to do" in line:
        timed.unchanged = True


def project(folder: Path, server: str, files: Mapping[str, str] | None, **settings: str) -> Laptop:
    """A project of its own, in git, with an environment file beside it: these files, or the sample site."""
    if files is None:
        rubbish = shutil.ignore_patterns("media", "static-root", "__pycache__")
        shutil.copytree(CHECKOUT / "app", folder / "app", ignore=rubbish)
    for name, text in (files or {}).items():
        path = folder / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    made = {
        "DEPLOY_APP": "app",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        **settings,
    }
    env = folder / ".env"
    env.write_text("".join(f"{name}={value}\n" for name, value in made.items()), encoding="utf-8")
    (folder / ".gitignore").write_text(".env\n", encoding="utf-8")
    git(folder, "init", "-q")
    commit(folder)
    return Laptop(env, server)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "a change")


def git(folder: Path, *words: str) -> None:
    subprocess.run(("git", "-C", str(folder), *words), check=True, env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull})

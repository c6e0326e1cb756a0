"""What a deploy costs: seconds and round trips of each kind, on a practice server of its own, in one run.

Ratios are against a plain ``ssh server true`` of the same minute, since seconds alone say more of the machine than of
us. Run with ``make bench``.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy import practice
from deploy.practice import Practice

CHECKOUT = Path(__file__).parent.parent.parent
NAME = "bench"
REPEATS = 3


def main() -> int:
    console = Console()
    with tempfile.TemporaryDirectory(prefix="portside-bench-") as folder:
        server = practice.up(NAME, say=lambda line: console.print(f"  {line}", highlight=False))
        try:
            project = _project(Path(folder))
            table = _measure(server, project, console)
        finally:
            server.remove()
    console.print(table)
    return 0


def _project(folder: Path) -> Path:
    """A project of its own, in git, with an environment file beside it. Returns that file."""
    shutil.copytree(
        CHECKOUT / "app", folder / "app", ignore=shutil.ignore_patterns("media", "static-root", "__pycache__")
    )
    env = folder / ".env"
    lines = {
        "DEPLOY_SITE": NAME,
        "DEPLOY_DOMAINS": "bench.localhost",
        "DEPLOY_HEALTH_PATH": "/healthz",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
    }
    env.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
    (folder / ".gitignore").write_text(".env\n", encoding="utf-8")
    _git(folder, "init", "-q")
    _commit(folder, "first")
    return env


def _measure(server: Practice, env: Path, console: Console) -> Table:
    table = Table("what", "seconds", "round trips", "times ssh true")

    def row(what: str, measured: list[tuple[float, int]]) -> None:
        seconds = statistics.median(second for second, _ in measured)
        ssh = statistics.median(_ssh_true(server) for _ in range(REPEATS))
        table.add_row(what, f"{seconds:.2f}", str(measured[-1][1]), f"{seconds / ssh:.1f}")
        console.print(f"  {what}: {seconds:.2f} s, {measured[-1][1]} round trips")

    row("first deploy, bare server", [_fab("deploy", env)])
    row("no-change deploy", [_fab("deploy", env) for _ in range(REPEATS)])
    row("no-change provision", [_fab("provision", env) for _ in range(REPEATS)])
    row("code-change deploy", [_change(env, number) for number in range(REPEATS)])
    return table


def _change(env: Path, number: int) -> tuple[float, int]:
    style = env.parent / "app" / "static" / "site.css"
    style.write_text(style.read_text(encoding="utf-8") + f"/* {number} */\n", encoding="utf-8")
    _commit(env.parent, f"change {number}")
    return _fab("deploy", env)


def _fab(task: str, env: Path) -> tuple[float, int]:
    """Seconds and round trips of a task. Raises CalledProcessError where it fails, having shown its output."""
    words = (sys.executable, "-m", "fabric", task, "-H", NAME, "--env", str(env), "--verbose")
    seconds, done = _timed(lambda: subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False))
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
    done.check_returncode()
    found = re.search(r"(\d+) round trips?$", done.stdout, re.MULTILINE)
    if not found:
        raise RuntimeError("the report doesn't say how many round trips there were")
    return seconds, int(found.group(1))


def _ssh_true(server: Practice) -> float:
    words = ("ssh", "-F", str(server.ssh_config), server.name, "true")
    seconds, done = _timed(lambda: subprocess.run(words, check=True, capture_output=True, text=True))
    done.check_returncode()
    return seconds


def _timed(
    work: Callable[[], subprocess.CompletedProcess[str]],
) -> tuple[float, subprocess.CompletedProcess[str]]:
    started = time.monotonic()
    done = work()
    return time.monotonic() - started, done


def _commit(folder: Path, message: str) -> None:
    _git(folder, "add", "-A")
    _git(folder, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", message)


def _git(folder: Path, *words: str) -> None:
    subprocess.run(("git", "-C", str(folder), *words), check=True, env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull})


if __name__ == "__main__":
    sys.exit(main())

"""Seconds and round trips of each kind of task."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from deploy.practice import Practice

from .laptop import Laptop, Timed

REPEATS = 3
STYLE = "app/static/site.css"


def measure(server: Practice, laptop: Laptop, console: Console) -> Table:
    """The table of tasks. The site is live afterwards."""
    table = Table("what", "seconds", "round trips", "times ssh true", "promised")

    def row(what: str, once: Callable[[], Timed], repeats: int = REPEATS, promised: str = "") -> None:
        console.print(f"  {what}: {repeats} times")
        measured = [once() for _ in range(repeats)]
        seconds = statistics.median(each.seconds for each in measured)
        ssh = statistics.median(_ssh_true(server) for _ in range(REPEATS))
        table.add_row(what, f"{seconds:.2f}", str(measured[-1].round_trips), f"{seconds / ssh:.1f}", promised)
        console.print(f"  {what}: {seconds:.2f} s, {measured[-1].round_trips} round trips")

    row("first deploy, bare server", lambda: laptop.fab("deploy"), 1)
    row("no-change deploy", lambda: laptop.fab("deploy"), promised="1 s, 4 round trips")
    row("no-change provision", lambda: laptop.fab("provision"))
    row("code-change deploy", lambda: change(laptop))
    return table


def change(laptop: Laptop) -> Timed:
    """Deploy a change of the code that leaves the dependencies as they are."""
    style = (laptop.env.parent / STYLE).read_text(encoding="utf-8")
    laptop.commit(STYLE, style + f"/* {time.time_ns()} */\n")
    return laptop.fab("deploy")


def _ssh_true(server: Practice) -> float:
    words = ("ssh", "-F", str(server.ssh_config), server.name, "true")
    began = time.monotonic()
    subprocess.run(words, check=True, capture_output=True)
    return time.monotonic() - began

"""One site deployed beside ever more others: what it costs must not grow with them."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy import practice
from deploy.practice import Practice

from .laptop import Laptop, Timed, project
from .site import FILES, SETTINGS

ALONE, AMONG = "bench-alone", "bench-among"
CROWDS = (1, 10, 50)
ROUNDS = 3
# A Django site has two containers, three with a release that is kept; here they are stopped, or the machine would be.
STOPPED = """\
image=$(docker images -q | head -n 1)
for role in web web db; do
    docker create --label portside.site="$1" --label portside.role=$role "$image" true >/dev/null
done
"""


def measure(folder: Path, console: Console) -> list[Table]:
    """The table: a site among ever more, beside one that stays alone on a server of its own, in turn."""
    console.print(f"  two servers, each with a site, and {CROWDS[-1] - 1} more on one of them")
    servers = [practice.up(name, say=lambda line: console.print(f"  {line}")) for name in (ALONE, AMONG)]
    try:
        return [_table(servers, folder, console)]
    finally:
        for server in servers:
            server.remove()


def _table(servers: list[Practice], folder: Path, console: Console) -> Table:
    title = f"One of so many sites (medians of {ROUNDS} rounds, in turn with a site alone on its server)"
    table = Table("sites", "deploy", "among them, s", "alone, s", "times alone", "promised", title=title)
    alone, among = (project(folder / server.name, server.name, FILES, **SETTINGS) for server in servers)
    for laptop in (alone, among):
        laptop.fab("deploy")
    there = 1
    for crowd in CROWDS:
        for number in range(there, crowd):
            _settle(servers[1], folder / f"other-{number}", number)
        there = crowd
        console.print(f"  {crowd} sites on {AMONG}")
        for what, once in (("no change", _again), ("a small change", _changed)):
            pairs = [(once(among).seconds, once(alone).seconds) for _ in range(ROUNDS)]
            seconds = [statistics.median(each) for each in zip(*pairs, strict=True)]
            ratio = statistics.median(first / second for first, second in pairs)
            table.add_row(str(crowd), what, *(f"{each:.2f}" for each in seconds), f"{ratio:.2f}", "at most 1.2")
            console.print(f"  {crowd} sites, {what}: {seconds[0]:.2f} s, alone {seconds[1]:.2f} s")
    return table


def _settle(server: Practice, folder: Path, number: int) -> None:
    """Another site: a folder of files, and the containers of a Django site that is stopped."""
    name = f"other-{number}"
    settings = {"DEPLOY_SITE": name, "DEPLOY_KIND": "static", "DEPLOY_DOMAINS": f"{name}.test"}
    project(folder, server.name, {"index.html": f"<h1>{name}</h1>\n"}, **settings).fab("deploy")
    server.exec(("sh", "-c", STOPPED, "stopped", name))


def _again(laptop: Laptop) -> Timed:
    return laptop.fab("deploy")


def _changed(laptop: Laptop) -> Timed:
    laptop.commit("app/counter/version.py", f"VERSION = {time.time_ns()}\n")
    return laptop.fab("deploy")

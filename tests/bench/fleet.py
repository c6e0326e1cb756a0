"""Eight servers provisioned side by side, and one alone; near, and far away."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy import practice
from deploy.practice import Practice
from deploy.practice.images import discard

from .distance import Distance, away
from .laptop import CHECKOUT, Laptop, project

NAME = "bench-fleet"
SIZE = 8
ROUNDS = 3
MILLISECONDS = (0, 200)


@dataclass(frozen=True)
class Sample:
    """A run: its seconds, and the seconds of processor it took, here and on the servers."""

    seconds: float
    processor: float


def measure(folder: Path, console: Console) -> list[Table]:
    """The table. The eight are copies of one that was provisioned, so nothing is to be done on them."""
    settings = {"DEPLOY_SITE": "bench", "DEPLOY_DOMAINS": "bench.test"}
    env = project(folder / "fleet", NAME, {"manage.py": ""}, **settings).env
    servers: list[Practice] = []
    snapshot = ""
    try:
        servers.append(practice.up(NAME, say=lambda line: console.print(f"  {line}")))
        Laptop(env, NAME).fab("provision")
        snapshot = servers[0].snapshot("fleet")
        for number in range(2, SIZE + 1):
            servers.append(practice.up(f"{NAME}-{number}", image=snapshot, say=lambda line: None))
            console.print(f"  {number} servers")
        return [_table(servers, env, console)]
    finally:
        for server in servers:
            server.remove()
        if snapshot:
            discard(servers[0].engine, snapshot)


def _table(servers: list[Practice], env: Path, console: Console) -> Table:
    cores = os.cpu_count() or 1
    title = f"Nothing to do on {SIZE} servers (medians of {ROUNDS} rounds in turn; {cores} cores for all of them)"
    table = Table(
        "distance",
        "one, s",
        f"{SIZE}, s",
        "times one",
        "the cores alone, s",
        "times what they allow",
        "promised",
        title=title,
    )
    for milliseconds in MILLISECONDS:
        with ExitStack() as stack:
            distances = [stack.enter_context(away(server)) for server in servers]
            pairs = [
                (
                    _provision(servers[:1], distances[:1], env, milliseconds),
                    _provision(servers, distances, env, milliseconds),
                )
                for _ in range(ROUNDS)
            ]
        one = statistics.median(first.seconds for first, _ in pairs)
        all_of_them = statistics.median(second.seconds for _, second in pairs)
        least = statistics.median(second.processor for _, second in pairs) / cores
        table.add_row(
            f"{milliseconds} ms", f"{one:.2f}", f"{all_of_them:.2f}", f"{all_of_them / one:.1f}", f"{least:.2f}",
            f"{all_of_them / max(one, least):.2f}", "at most 1.5",
        )  # fmt: skip
        console.print(f"  {milliseconds} ms: one {one:.2f} s, {SIZE} {all_of_them:.2f} s, cores {least:.2f} s")
    return table


def _provision(servers: list[Practice], distances: list[Distance], env: Path, milliseconds: int) -> Sample:
    """All of the servers at once. Raises CalledProcessError where one fails."""
    for distance in distances:
        distance.begin(milliseconds / 1000)
    before, began = _processor(servers), time.monotonic()
    line = (sys.executable, "-m", "fabric", "provision", "--quiet", "--env", str(env), "-H")
    running = [subprocess.Popen((*line, distance.name), cwd=CHECKOUT) for distance in distances]
    for run in running:
        if run.wait():
            raise subprocess.CalledProcessError(run.returncode, line)
    seconds = time.monotonic() - began
    return Sample(seconds, _processor(servers) - before)


def _processor(servers: list[Practice]) -> float:
    """Seconds of processor so far: of the programs started here that have ended, and of everything on the servers."""
    here = resource.getrusage(resource.RUSAGE_CHILDREN)
    there = sum(
        server.engine.containers.get(server.container).stats(stream=False, one_shot=True)["cpu_stats"]["cpu_usage"][
            "total_usage"
        ]
        for server in servers
    )
    return here.ru_utime + here.ru_stime + there / 1e9

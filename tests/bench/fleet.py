"""Eight servers provisioned by one ``fab provision -H a,b,...``, beside one alone: bare, and with nothing to do."""

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
from deploy.practice import Practice, snapshots
from deploy.practice.engine import connect

from . import rivals
from .distance import Distance, away
from .laptop import CHECKOUT, project

NAME = "bench-fleet"
SIZE = 8
ROUNDS = 3
MILLISECONDS = (0, 200)


@dataclass(frozen=True)
class Sample:
    """A run: its seconds, and the seconds of processor it took, here and on the servers."""

    seconds: float
    processor: float


@dataclass
class Fleet:
    """The servers, each behind a relay."""

    env: Path
    servers: list[Practice]
    distances: list[Distance]

    def provision(self, milliseconds: int, *which: int) -> Sample:
        """Those of the servers, by one command. Raises CalledProcessError where it fails."""
        for distance in self.distances:
            distance.begin(milliseconds / 1000)
        hosts = ",".join(self.distances[number].name for number in which)
        line = (sys.executable, "-m", "fabric", "provision", "--quiet", "--env", str(self.env), "-H", hosts)
        before, began = self._processor(), time.monotonic()
        subprocess.run(line, cwd=CHECKOUT, check=True)
        seconds = time.monotonic() - began
        return Sample(seconds, self._processor() - before)

    def _processor(self) -> float:
        """Seconds of processor so far: of the programs started here that have ended, and of all on the servers."""
        here = resource.getrusage(resource.RUSAGE_CHILDREN)
        there = sum(_used(server) for server in self.servers)
        return here.ru_utime + here.ru_stime + there


def measure(folder: Path, console: Console) -> list[Table]:
    """The table. All of the servers are copies of a bare one that has the packages on its disk."""
    settings = {"DEPLOY_SITE": "bench", "DEPLOY_DOMAINS": "bench.test"}
    env = project(folder / "fleet", NAME, {"manage.py": ""}, **settings).env
    servers: list[Practice] = []
    try:
        servers.append(practice.up(NAME, say=lambda line: console.print(f"  {line}")))
        rivals.download(servers[0], env)
        servers[0].snapshot("fleet")
        servers[0].start()
        for number in range(1, SIZE + 1):
            servers.append(practice.up(f"{NAME}-{number}", snapshot="fleet", say=lambda line: None))
            console.print(f"  {number} servers, and one to be alone")
        with ExitStack() as stack:
            distances = [stack.enter_context(away(server)) for server in servers]
            return [_table(Fleet(env, servers, distances), console)]
    finally:
        for server in servers:
            server.remove()
        snapshots.remove(connect(), "fleet")


def _table(fleet: Fleet, console: Console) -> Table:
    cores = os.cpu_count() or 1
    title = f"{SIZE} servers provisioned at once ({cores} cores for all; no change: medians of {ROUNDS} rounds in turn)"
    allowed = ("the cores alone, s", "times what they allow", "promised")
    table = Table("", "distance", "one, s", f"{SIZE}, s", "times one", *allowed, title=title)
    for what, milliseconds, rounds in (("bare", 0, 1), *(("no change", each, ROUNDS) for each in MILLISECONDS)):
        pairs = [
            (fleet.provision(milliseconds, 0), fleet.provision(milliseconds, *range(1, SIZE + 1)))
            for _ in range(rounds)
        ]
        one = statistics.median(first.seconds for first, _ in pairs)
        all_of_them = statistics.median(second.seconds for _, second in pairs)
        least = statistics.median(second.processor for _, second in pairs) / cores
        table.add_row(
            what, f"{milliseconds} ms", f"{one:.2f}", f"{all_of_them:.2f}", f"{all_of_them / one:.1f}", f"{least:.2f}",
            f"{all_of_them / max(one, least):.2f}", "at most 1.5",
        )  # fmt: skip
        console.print(f"  {what}, {milliseconds} ms: one {one:.2f} s, {SIZE} {all_of_them:.2f} s, cores {least:.2f} s")
    return table


def _used(server: Practice) -> float:
    stats = server.engine.containers.get(server.container).stats(stream=False, one_shot=True)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9

"""Visitors of every kind through many deploys and rollbacks, and through the tutorials' redeploy for comparison.

All of them come to the practice server's own addresses: some from this machine, wrk and h2load on the server itself.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.practice import Practice

from . import site
from .laptop import Timed, project
from .visitors import Address, Visit, Visits, coming, posting, staying

A_SECOND, POSTS_A_SECOND, STAYING = 50, 5, 20
BEFORE = 20
"""Seconds of the same load with nothing going on, to compare with."""
REDEPLOYS = 3
TOOLS = "DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends wrk nghttp2-client >/dev/null"
# Both take the time that nobody else wants, until they are told to stop, for an hour or two at most. wrk tells its sums
# when it is interrupted; h2load only at the end of a round.
WRK = """\
exec nice -n 19 wrk -t 1 -c 8 -d 3600s --timeout 20s -H "Host: $1" http://127.0.0.1/ >/run/wrk.log 2>&1
"""
H2LOAD = """\
: >/run/h2load.log
for _ in $(seq 3600); do
    ! rm /run/h2load.stop 2>/dev/null || exit 0
    nice -n 19 h2load -D 2 -c 4 -m 4 -H ":authority: $1" "https://127.0.0.1:8443/" >>/run/h2load.log 2>&1
done
"""


@dataclass
class Tool:
    """What wrk or h2load counted: answers, and what wasn't one or wasn't a good one."""

    answered: int
    lost: int


@dataclass
class Loaded:
    """All that came while something was done again and again, and before it began."""

    visits: dict[str, Visits]
    tools: dict[str, Tool]
    runs: list[Timed]
    began: float
    missing: int
    doubled: int

    def late(self, kind: str, during: bool) -> float:
        """The 99th percentile of the milliseconds from when a visitor was due until he had his answer."""
        times = [v.milliseconds for v in self.visits[kind].all if not v.lost and (v.due >= self.began) == during]
        return statistics.quantiles(times, n=100)[98] if len(times) > 1 else 0


def measure(server: Practice, folder: Path, times: int, console: Console) -> Table:
    """The table of visitors."""
    laptop = project(folder / "counter", server.name, site.FILES, **site.SETTINGS)
    console.print("  load: a first deploy")
    releases = [laptop.fab("deploy").release]
    site.install(server, folder / "counter")
    server.exec(("sh", "-c", TOOLS))

    def ours() -> Iterator[Timed]:
        for number in range(times):
            laptop.commit("app/counter/version.py", f"VERSION = {number + 1}\n")
            yield laptop.fab("deploy")
            yield laptop.fab("rollback")

    def tutorials() -> Iterator[Timed]:
        for number in range(min(times, REDEPLOYS)):
            yield site.redeploy(server, number + 1)

    portside = _under_load(server, site.OURS, ours(), 2 * times, console)
    tutorial = _under_load(server, site.THEIRS, tutorials(), min(times, REDEPLOYS), console)
    columns = ("visitors", "asked", "lost", "too early", "p99 before, ms", "p99 during, ms")
    table = Table(*columns, title=_title(portside, tutorial, times))
    _rows(table, "Portside", portside, _too_early(releases[0], portside))
    table.add_section()
    _rows(table, "tutorials", tutorial, None)
    return table


def _title(portside: Loaded, tutorial: Loaded, times: int) -> str:
    kinds = (portside.runs[::2], portside.runs[1::2], tutorial.runs)
    deploys, rollbacks, redeploys = (f"{statistics.median(run.seconds for run in runs):.1f} s" for runs in kinds)
    return (
        f"Visitors through {times} deploys ({deploys}) and {times} rollbacks ({rollbacks}), and through "
        f"{len(tutorial.runs)} of the tutorials' redeploys ({redeploys})"
    )


def _under_load(server: Practice, which: site.Reached, work: Iterator[Timed], steps: int, console: Console) -> Loaded:
    """Visitors come all the while: first with nothing going on, then while the work is done."""
    address = Address(server.ip, 80, which.host)
    with ExitStack() as stack:
        visits = {
            "new connections, 50 a second": stack.enter_context(coming(address, A_SECOND)),
            "idle connections": stack.enter_context(staying(address, STAYING, 10)),
            "POSTs that count": stack.enter_context(posting(address, POSTS_A_SECOND)),
        }
        tools: dict[str, Tool] = {}
        stack.enter_context(_wrk(server, which.host, tools))
        stack.enter_context(_h2load(server, which.host, tools))
        console.print(f"  load: {which.host}, {BEFORE} s with nothing going on")
        time.sleep(BEFORE)
        began, runs = time.monotonic(), []
        for number, run in enumerate(work, 1):
            runs.append(run)
            asked, lost = (
                sum(map(len, each)) for each in zip(*((v.all, v.lost) for v in visits.values()), strict=True)
            )
            so_far = f"{number} of {steps} in {run.seconds:.1f} s; {asked} asked, {lost} lost"
            console.print(f"  load: {which.host}, {so_far}")
    found = site.counted(server, which)
    missing = sum(visit.token not in found for visit in visits["POSTs that count"].all if not visit.lost)
    return Loaded(visits, tools, runs, began, missing, sum(times > 1 for times in found.values()))


def _too_early(first: str, loaded: Loaded) -> dict[str, int]:
    """Answers that name a release which neither was live while the visitor waited nor had passed its gate."""
    return {
        kind: sum(not _may_answer(visit, first, loaded.runs) for visit in visits.all if not visit.lost)
        for kind, visits in loaded.visits.items()
    }


def _may_answer(visit: Visit, first: str, runs: Sequence[Timed]) -> bool:
    live = first
    for run in runs:
        # Between its gate and its end a run may switch at any moment.
        if visit.due < run.ended and visit.release == live:
            return True
        if visit.over < run.gate:
            return False
        live = run.release
    return visit.release == live or not runs


def _rows(table: Table, who: str, loaded: Loaded, early: dict[str, int] | None) -> None:
    for kind, visits in loaded.visits.items():
        times = [f"{loaded.late(kind, during):.0f}" for during in (False, True)]
        early_of_it = str(early[kind]) if early else ""
        table.add_row(f"{who}: {kind}", str(len(visits.all)), str(len(visits.lost)), early_of_it, *times)
    for name, tool in loaded.tools.items():
        table.add_row(f"{who}: {name}", str(tool.answered + tool.lost), str(tool.lost), "", "", "")
    table.add_row(f"{who}: POSTs missing, doubled", "", f"{loaded.missing}, {loaded.doubled}", "", "", "")


@contextmanager
def _wrk(server: Practice, host: str, tools: dict[str, Tool]) -> Iterator[None]:
    with _running(server, "bench-wrk", WRK, host, stop="systemctl kill --signal INT bench-wrk"):
        yield
    log = server.exec(("cat", "/run/wrk.log"))
    bad = _sum(r"Non-2xx or 3xx responses: (\d+)", log)
    broken = sum(_sum(rf"Socket errors:.*{kind} (\d+)", log) for kind in ("connect", "read", "write", "timeout"))
    tools["wrk, 8 connections at full speed"] = Tool(_sum(r"(\d+) requests in", log) - bad, bad + broken)


@contextmanager
def _h2load(server: Practice, host: str, tools: dict[str, Tool]) -> Iterator[None]:
    with _running(server, "bench-h2load", H2LOAD, host, stop="touch /run/h2load.stop"):
        yield
    log = server.exec(("cat", "/run/h2load.log"))
    answered = _sum(r"requests: .* (\d+) succeeded", log)
    tools["h2load, HTTP/2, 4 connections"] = Tool(answered, _sum(r"requests: .* (\d+) failed", log))


@contextmanager
def _running(server: Practice, unit: str, script: str, host: str, *, stop: str) -> Iterator[None]:
    """A tool on the server, under systemd, as long as the block runs."""
    quietly = ("systemd-run", "--quiet", "--collect", "--expand-environment=no", "--unit", unit)
    server.exec((*quietly, "sh", "-c", script, "sh", host))
    try:
        yield
    finally:
        server.exec(("sh", "-c", f"{stop}; while systemctl -q is-active {unit}; do sleep 0.1; done"))


def _sum(pattern: str, log: str) -> int:
    return sum(int(number) for number in re.findall(pattern, log))

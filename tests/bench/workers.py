"""What it costs that each worker loads the application itself, beside DEPLOY_PRELOAD=on: memory, start, deploy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.practice import Practice

from . import cost
from .laptop import Laptop, Timed, project

WORKERS = 5
STAGES = ("build", "prepare", "start", "healthcheck", "switch")

# Prints the container's memory (kB, what processes share divided among them) and the processor's time so far (ms).
LOOK = r"""
pids=$(docker top "$1" -eo pid | tail -n +2)
ticks=$(getconf CLK_TCK)
for pid in $pids; do sed -n 's/^Pss: *\([0-9]*\) kB/memory \1/p' "/proc/$pid/smaps_rollup"; done
for pid in $pids; do awk -v ticks="$ticks" '{ print "processor", ($14 + $15) * 1000 / ticks }' "/proc/$pid/stat"; done
"""

# Starts the container anew and prints the milliseconds until it answers.
START = r"""
port=$(sed -n 's/^PORTSIDE_PORT_1=//p' "/srv/portside/$2/current/.env")
docker stop -t 10 "$1" >/dev/null
began=$(date +%s%3N)
docker start "$1" >/dev/null
until curl -s -o /dev/null --max-time 30 -H "Host: $2.test" "http://127.0.0.1:$port/healthz"; do sleep 0.02; done
echo "answers $(($(date +%s%3N) - began))"
"""
VISIT = 'for _ in $(seq 60); do curl -s -o /dev/null -H "Host: $1.test" http://127.0.0.1/ & done; wait'


@dataclass
class Site:
    """The sample site in one of the two ways, and what was measured of it."""

    name: str
    laptop: Laptop
    deploys: list[Timed] = field(default_factory=list)
    found: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        self.found.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        return statistics.median(self.found[name])

    def stage(self, name: str) -> float:
        return statistics.median(each.stages.get(name, 0) for each in self.deploys)


def measure(server: Practice, folder: Path, rounds: int, console: Console) -> Table:
    """The table of both ways. They take turns on one server, so that the machine's load is the same for both."""
    sites = [_site(server, folder, name, preload) for name, preload in {"loaded": "off", "preloaded": "on"}.items()]
    for site in sites:
        site.laptop.fab("deploy")
    for number in range(rounds):
        for site in sites if number % 2 else reversed(sites):
            site.deploys.append(cost.change(site.laptop))
            _look(server, site)
        console.print(f"  workers: round {number + 1} of {rounds}")
    return _table(sites)


def _site(server: Practice, folder: Path, name: str, preload: str) -> Site:
    settings = {"DEPLOY_SITE": name, "DEPLOY_DOMAINS": f"{name}.test", "DEPLOY_HEALTH_PATH": "/healthz"}
    settings |= {"DEPLOY_PRELOAD": preload, "DEPLOY_WORKERS": str(WORKERS), "DEPLOY_KEEP": "2"}
    return Site(name, project(folder / name, server.name, None, **settings))


def _look(server: Practice, site: Site) -> None:
    """Memory after visits, and then a start of the same container."""
    label = ("--filter", f"label=portside.site={site.name}", "--filter", "label=portside.role=web")
    (container,) = server.exec(("docker", "ps", "-q", *label)).split()
    server.exec(("sh", "-c", VISIT, "sh", site.name))
    site.note("memory", _sum(server.exec(("sh", "-c", LOOK, "sh", container)))["memory"] / 1024)
    site.note("answers", _sum(server.exec(("sh", "-c", START, "sh", container, site.name)))["answers"] / 1000)
    time.sleep(5)  # until the last of the workers has loaded: nothing tells
    site.note("processor", _sum(server.exec(("sh", "-c", LOOK, "sh", container)))["processor"] / 1000)


def _sum(text: str) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for name, value in (line.split() for line in text.splitlines()):
        found[name] = found.get(name, 0) + float(value)
    return found


def _table(sites: list[Site]) -> Table:
    table = Table(f"{WORKERS} workers", *(f"DEPLOY_PRELOAD={way}" for way in ("off", "on")))
    table.add_row("memory, MB", *(f"{site.median('memory'):.0f}" for site in sites))
    table.add_row("start: until it answers, s", *(f"{site.median('answers'):.2f}" for site in sites))
    table.add_row("start: processor of all, s", *(f"{site.median('processor'):.2f}" for site in sites))
    for name in STAGES:
        table.add_row(f"code-change deploy: {name}, s", *(f"{site.stage(name):.1f}" for site in sites))
    totals = (statistics.median(each.seconds for each in site.deploys) for site in sites)
    table.add_row("code-change deploy, s", *(f"{total:.2f}" for total in totals))
    return table

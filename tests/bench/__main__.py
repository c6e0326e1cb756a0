"""What a deploy costs, and what visitors notice of it; on a practice server of its own, in one run.

Eight parts: seconds and round trips of each kind of task, with ratios against a plain ``ssh server true`` of the same
minute, since seconds alone say more of the machine than of us; where the time goes, stage by stage; Nginx as it is
configured here beside others; what Gunicorn's workers cost, by DEPLOY_PRELOAD; visitors of every kind through many
deploys and rollbacks; the same server converged by Portside, pyinfra and Ansible, near and far away; a site beside 49
others; and eight servers at once. Run with ``make bench``; fewer: ``make bench BENCH="--load 3"``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy import practice

from . import converge, cost, edge, fleet, load, neighbours, stages, workers
from .laptop import project

NAME = "bench-load"
ON_ONE_SERVER = ("cost", "stages", "edge", "workers", "load")
PARTS = (*ON_ONE_SERVER, "converge", "neighbours", "fleet")


def main() -> int:
    given = _arguments()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(f"About {_minutes(given)} minutes: {', '.join(given.parts)}.")
    with tempfile.TemporaryDirectory(prefix="portside-bench-") as folder:
        tables = _on_one_server(given, Path(folder), console) if set(ON_ONE_SERVER) & set(given.parts) else []
        if "converge" in given.parts:
            tables += converge.measure(Path(folder), given.rounds, given.chart, console)
        if "neighbours" in given.parts:
            tables += neighbours.measure(Path(folder), console)
        if "fleet" in given.parts:
            tables += fleet.measure(Path(folder), console)
    for table in tables:
        console.print()
        console.print(table)
    return 0


def _on_one_server(given: argparse.Namespace, folder: Path, console: Console) -> list[Table]:
    server = practice.up(NAME, say=lambda line: console.print(f"  {line}"))
    tables = []
    try:
        if {"cost", "stages"} & set(given.parts):
            settings = {"DEPLOY_SITE": "bench", "DEPLOY_DOMAINS": "bench.test", "DEPLOY_HEALTH_PATH": "/healthz"}
            sample = project(folder / "sample", server.name, None, **settings)
        if "cost" in given.parts:
            tables.append(cost.measure(server, sample, console))
        if "stages" in given.parts:
            tables += stages.measure(server, sample, console)
        if "edge" in given.parts:
            tables.append(edge.measure(server, folder, console))
        if "workers" in given.parts:
            tables.append(workers.measure(server, folder, given.rounds, console))
        if "load" in given.parts:
            tables.append(load.measure(server, folder, given.load, console))
    finally:
        server.remove()
    return tables


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which of {', '.join(PARTS)}; all of them if none")
    parser.add_argument("--load", type=int, default=20, metavar="N", help="so many deploys and rollbacks (20)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="so many rounds of converge and workers (3)")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw what converge found")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    given.parts = given.parts or list(PARTS)
    return given


def _minutes(given: argparse.Namespace) -> int:
    seconds = {"cost": 90, "stages": 90, "edge": 360, "load": 240 + 35 * given.load}
    seconds |= {
        "workers": 90 + 45 * given.rounds,
        "converge": 240 + 150 * given.rounds,
        "neighbours": 600,
        "fleet": 180,
    }
    return round(sum(seconds[part] for part in given.parts) / 60) + 1


if __name__ == "__main__":
    sys.exit(main())

"""Where the time goes: the seconds of each stage, and apart from them what the application itself takes to start."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from deploy.flows import flow
from deploy.practice import Practice

from .cost import change
from .laptop import Laptop, Timed

REPEATS = 5
# A kept release's container, from its start to its first good answer, in milliseconds; stopped again afterwards.
OWN_START = """\
kept() { docker ps -aq --filter label=portside.site=bench --filter label=portside.role=web --filter status=exited; }
id=$(kept | head -n 1)
docker start "$id" >/dev/null
port=$(docker port "$id" 8000 | sed 's/.*://')
since=$(date -d "$(docker inspect -f '{{.State.StartedAt}}' "$id")" +%s%3N)
until curl -sf -o /dev/null --max-time 5 -H "Host: bench.test" "http://127.0.0.1:$port/healthz"; do sleep 0.01; done
echo $(($(date +%s%3N) - since))
docker stop -t 10 "$id" >/dev/null
"""


def measure(server: Practice, laptop: Laptop, console: Console) -> list[Table]:
    """The tables of stages and of what is left without build and application."""
    console.print(f"  stages: {REPEATS} deploys and rollbacks")
    laptop.fab("deploy")
    deploys, rollbacks = [], []
    for number in range(REPEATS):
        deploys.append(change(laptop))
        rollbacks.append(laptop.fab("rollback"))
        console.print(f"  {number + 1}: deploy {deploys[-1].seconds:.1f} s, rollback {rollbacks[-1].seconds:.1f} s")
    own = statistics.median(int(server.exec(("sh", "-c", OWN_START))) for _ in range(REPEATS)) / 1000
    return [_by_stage(deploys, rollbacks), _apart(deploys, rollbacks, own)]


def _by_stage(deploys: Sequence[Timed], rollbacks: Sequence[Timed]) -> Table:
    table = Table("stage, seconds", "code-change deploy", "rollback", title="Where the time goes (medians)")
    for name in dict.fromkeys((*flow.DEPLOY.stages, *flow.ROLLBACK.stages)):
        cells = (_median([each.stages[name] for each in runs if name in each.stages]) for runs in (deploys, rollbacks))
        table.add_row(name, *cells)
    table.add_row("all of it, with fab's own start", _median(_seconds(deploys)), _median(_seconds(rollbacks)))
    return table


def _apart(deploys: Sequence[Timed], rollbacks: Sequence[Timed], own: float) -> Table:
    """What the promises are about: less than 8 s and less than 3 s of our own."""
    table = Table("", "seconds", "promised", title="Apart from what isn't ours")
    build = statistics.median(each.stages["build"] for each in deploys)
    deploy, rollback = statistics.median(_seconds(deploys)), statistics.median(_seconds(rollbacks))
    table.add_row("the application's own start", f"{own:.1f}", "")
    table.add_row("the build, dependencies cached", f"{build:.1f}", "")
    table.add_row("code-change deploy without both", f"{deploy - build - own:.1f}", "8")
    table.add_row("rollback without the application's start", f"{rollback - own:.1f}", "3")
    return table


def _seconds(runs: Sequence[Timed]) -> list[float]:
    return [each.seconds for each in runs]


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}" if values else ""

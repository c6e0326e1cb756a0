"""``fab releases``: the releases on the server, which one is live, and which one a rollback would choose."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from ..core.errors import Locked, PortsideError
from ..core.facts import Facts
from ..core.report import Stage
from ..flows import migrations, versions
from ..flows.context import Run
from ..flows.stages import lock
from ..releases import history
from ..releases import record as release_record
from ..releases.history import age


def show(run: Run, *, as_json: bool) -> None:
    """Print the releases, newest first; as JSON a list of objects."""
    if as_json:
        run.report.aside()
    run.look()
    versions.check(run)
    if not versions.is_newer(run.facts) and (history.leftovers(run.facts) or migrations.is_behind(run.facts)):
        _put_right(run)
    rows = listed(run.facts)
    if as_json:
        run.report.result(rows)
        return
    if not rows:
        run.report.say(f"{run.site.name} has no release on {run.server.target}.")
        return
    run.report.say(f"{run.site.name} on {run.server.target}:", style="bold")
    table = Table("release", "commit", "age", "state", box=None, pad_edge=False)
    for row in rows:
        note = ", next for rollback" if row["rollback"] else ""
        cells = (row["id"], row["commit"][:7] or "-", row["age"], row["state"] + note)
        table.add_row(*(Text(run.report.shown(cell)) for cell in cells))
    run.report.console.print(table)


def _put_right(run: Run) -> None:
    """Clean up after an interrupted run, unless another run holds the lock. A failure is only a warning."""
    try:
        with run.progress.stack, run.server.quietly():
            lock.lock(run, Stage("lock"))
    except Locked as error:
        run.report.warn(error.message)
    except PortsideError as error:
        run.report.warn(f"Portside couldn't clean up after an interrupted run. {error}")


def listed(facts: Facts) -> list[dict[str, Any]]:
    """Return one object a release: id, commit, age, state (live, kept, unfinished), and whether rollback would choose
    it."""
    chosen = history.target(facts)
    return [
        {
            "id": identity,
            "commit": record.get("commit", ""),
            "age": age(identity, facts.clock),
            "state": _state(identity, record, facts),
            "rollback": identity == chosen,
        }
        for identity, record in sorted(facts.releases.items(), reverse=True)
    ]


def _state(identity: str, record: dict[str, Any], facts: Facts) -> str:
    without = "" if history.can_start(facts, identity) else ", without its image"
    if identity == facts.current:
        running = facts.running("web", identity) > 0 or not release_record.routes(record).replicas
        return ("live" if running else "live, but stopped") + without
    return f"kept{without}" if record else "unfinished"

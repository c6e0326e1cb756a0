"""The switch: make “current” the new release, between the generations of Nginx's files that this needs; and what
follows it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core import server_paths
from ..core.errors import PortsideError, StepFailed
from ..core.facts import Facts
from ..core.report import Stage, count
from ..core.steps import Script, Sign, Step, script, write
from ..nginx import generation, hostnames, routing
from ..nginx import site as nginx_site
from ..nginx.generation import Generation
from ..nginx.routing import Edge, Routes
from ..releases import healthcheck, history
from ..releases import record as release_record
from ..ssh.results import Result
from . import losses, restarts
from .context import Run


@dataclass(frozen=True, kw_only=True)
class Switch(generation.OfNginx):
    """Rename ``current`` to a release and check it through Nginx. ``remote/switch.sh`` describes the arguments."""

    script: str = "switch"
    root: str
    site: str
    id: str
    old: str
    status_port: int = server_paths.STATUS_PORT
    page: str
    before: str
    bridge: str
    final: str
    scheme: str
    host: str
    health_path: str
    static_url: str
    seconds: int
    reading: int

    @property
    def generations(self) -> tuple[str, ...]:
        return tuple(name for name in (self.bridge, self.final) if name)

    def effect(self, facts: Facts) -> Facts:
        return replace(super().effect(facts), current=self.id)


@dataclass(frozen=True, kw_only=True)
class Finish(Script):
    """Finish a switch. ``seconds``: the time limit for connections and jobs of the previous release, ``old``."""

    script: str = "finish"
    sign: Sign | None = "~"
    root: str
    site: str
    id: str
    old: str
    seconds: int
    processes: tuple[str, ...]

    def effect(self, facts: Facts) -> Facts:
        content = self.files["release.json"]
        record = json.loads(content) if isinstance(content, bytes) else {}
        pending = {name: value for name, value in facts.pending.items() if name != self.id}
        return replace(facts, releases=facts.releases | {self.id: record}, pending=pending)


def apply_plan(run: Run, stage: Stage, plan: Callable[[], list[Step]]) -> list[Result]:
    """Apply a plan that changes Nginx's files, to its end. Plan again if another deploy has changed them in between."""
    for _ in range(5):
        try:
            return run.apply(stage, plan(), detached=True)
        except StepFailed as error:
            if error.status != generation.STALE:
                raise
        run.look()
    raise PortsideError("Other deploys keep changing Nginx's files.", hint="Run the command again.")


def update_nginx(run: Run, routes: Routes) -> list[Step]:
    """Return the steps that make Nginx serve a live release: none if it already does."""
    final = routing.final(routes, history.kept(run.facts), run.settings.upstream)
    return generation.steps(_files(run, final), run.facts, f"the site {run.site.name}")


def open_https(run: Run, routes: Routes, before: str) -> list[Step]:
    """Return the steps that make Nginx answer by HTTPS for names that are new since the certificate ``before``, while
    nothing redirects to them yet."""
    opened = replace(routing.final(routes, history.kept(run.facts), run.settings.upstream), opened_from=before)
    return generation.steps(_files(run, opened), run.facts, "HTTPS, before anything redirects to it")


def rename(run: Run, routes: Routes) -> list[Step]:
    """Return the step that records the live release's new names: none if they are already recorded."""
    record, names = history.live(run.facts), routes.names
    if names is None or names.redirects is None or hostnames.noted(names).items() <= record.items():
        return []
    path = run.site.release(run.facts.current).record
    return [write(path, release_record.as_json(record | hostnames.noted(names), indent=2))]


def update_nginx_with_event(run: Run, routes: Routes) -> list[Step]:
    """Return the same steps as ``update_nginx``, with an event for the history, for a command that changes nothing
    else."""
    steps = update_nginx(run, routes)
    files = event(run, "settings", run.facts.current)
    return [*steps, script("Record the change", "note", sign="", root=run.site.root, files=files)] if steps else []


def switch(run: Run, identity: str, routes: Routes, old: str, *, patience: int = 0) -> Switch:
    """Return the switch to a release, as one transaction. ``patience``: seconds in which it may still be starting."""
    settings = run.settings
    visited = healthcheck.of(routes, settings, run.facts)
    bridge, final = _generations(run, routes, old if old == run.facts.current else "")
    made = [generation for generation in (bridge, final) if generation]
    through = " and ".join(generation.name for generation in made)
    return Switch(
        name=f"Switch to {identity}" + (f", through Nginx generation {through}" if made else ""),
        root=run.site.root,
        site=run.site.name,
        id=identity,
        old=old,
        page=made[0].page if made else "",
        before=run.facts.nginx_generation,
        bridge=bridge.name if bridge else "",
        final=final.name if final else "",
        scheme=visited.address.partition(":")[0],
        host=visited.canonical,
        health_path=settings.health_path,
        static_url=routes.static_url if routes.replicas else "",  # a folder of files: the health check's path is one
        seconds=patience,
        reading=_reading_seconds(run, routes, old),
        files={
            **{name: content for generation in made for name, content in generation.payload().items()},
            **healthcheck.files(settings, visited),
        },
    )


def _generations(run: Run, new: Routes, live: str) -> tuple[Generation | None, Generation | None]:
    """Return the bridge and the final generation, or None for one that equals the live generation at that moment."""
    kept, upstream = history.kept(run.facts), run.settings.upstream
    final = generation.wanted(_files(run, routing.final(new, kept, upstream)), run.facts)
    if not live:
        return None, final
    before = release_record.routes(run.facts.releases.get(live, {}))
    bridge = generation.wanted(_files(run, routing.bridge(before, new, kept, upstream)), run.facts)
    if final and bridge and final.name == bridge.name:
        return bridge, None
    if bridge and not final:  # back to what is live now
        final = generation.generation(_files(run, routing.final(new, kept, upstream)), run.facts)
    return bridge, final


def _reading_seconds(run: Run, new: Routes, old: str) -> int:
    """Return the seconds to wait for requests that Nginx's old workers are still reading: 0 if they find the
    application in the same place, whichever release is live."""
    before = release_record.routes(run.facts.releases.get(old, {}))
    same = before.protocol == new.protocol and run.settings.upstream == "socket"
    return 0 if same or not old else run.settings.drain


def _files(run: Run, wanted: Edge) -> dict[str, str]:
    """Return Nginx's base and this site's file. Raises Refused if that would remove a protection by accident."""
    losses.refuse(run)
    own = nginx_site.site_file(run.settings, run.site, wanted, run.facts)
    return generation.base(run.facts, own) | own


def finish(run: Run, identity: str, old: str, record: dict[str, Any], *, what: str = "") -> Finish:
    """Return the step that follows a proved switch. ``what``: the event's name in the history, if not the command's."""
    return Finish(
        name="Wait for open connections to the old release" if old else "Record the release",
        root=run.site.root,
        site=run.site.name,
        id=identity,
        old=old,
        seconds=run.settings.drain,
        processes=tuple(release_record.processes(record)),
        files={
            "release.json": release_record.as_json(record, indent=2).encode(),
            **event(run, "live", identity, what=what, who=str(record.get("who", "")) if what else ""),
        },
    )


def event(run: Run, result: str, *identities: str, what: str = "", who: str = "") -> dict[str, bytes]:
    """Return lines for the site's history, as a file for a script: who did what, when (the server's clock, UTC), with
    what result, in how many seconds."""
    seconds = round(time.monotonic() - run.progress.started, 1)
    common = {"result": result, "who": who or release_record.who(), "when": run.facts.clock, "seconds": seconds}
    before = run.facts.current
    lines = [
        release_record.as_json({"event": what or run.request.command, "release": one, **common, "before": before})
        for one in identities
    ]
    return {"event": "".join(lines).encode()}


def start_processes(run: Run) -> list[Step]:
    """Return the steps that start the live release's stopped processes: none if all run."""
    current = run.facts.current
    if not release_record.idle(run.facts):
        return []
    processes = release_record.processes(run.facts.releases[current])
    site = run.site
    start = script(
        "Start the processes", "revive", sign="~", root=site.root, site=site.name, id=current, processes=processes
    )
    return [start, *watch(run, current, processes)]


def watch(run: Run, identity: str, processes: Sequence[str]) -> list[Step]:
    """Return the step that checks whether the processes of a new live release keep running: none if it has no
    process."""
    what = f"Watch the processes for 15 s: {', '.join(processes)}"
    step = script(what, "watch", sign="", site=run.site.name, id=identity, processes=processes)
    return [step] if processes else []


def warn_after_switch(run: Run, results: Iterable[Result]) -> None:
    """Print the warnings of the steps after the switch. Containers that keep exiting are reported last."""
    for result in results:
        answer = result.answer if result.step.script in _WARNING else {}
        _warn_of_old(run, answer)
        run.health.failing += restarts.watched(run, answer.get("dying", []), result.output)


_WARNING = {"finish", "watch"}


def _warn_of_old(run: Run, answer: Mapping[str, Any]) -> None:
    old = run.facts.current
    if answer.get("left"):
        many, were = count(answer["left"], "connection"), "was" if answer["left"] == 1 else "were"
        run.report.warn(f"{many} to the old release {were} closed after {run.settings.drain} s.")
    if working := answer.get("working"):
        run.report.warn(_still_running(working, old, run.settings.drain))


def _still_running(processes: Sequence[str], release: str, seconds: int) -> str:
    names = ", ".join(f'"{name}"' for name in processes)
    if len(processes) == 1:
        return (
            f"Process {names} of {release} is still running after {seconds} s. It will finish its current job and exit."
        )
    after = f"still running after {seconds} s. They will finish their current jobs and exit."
    return f"Processes {names} of {release} are {after}"

"""The stages: each plans steps from settings and facts, ships them, and leaves what the next one needs in the run.

Their names are the headings on the screen and in docs/deploy.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import containers, host, image, nginx, release, source
from . import site as names
from .containers import Answer
from .errors import PortsideError, Refused
from .facts import Facts
from .nginx import Served
from .report import Report, Stage, count
from .server import Result, Server
from .settings import Settings
from .site import ReleasePaths, Site
from .source import Source
from .steps import Step, script, write

ASK = Path(__file__).parent / "remote" / "ask.py"


@dataclass
class Run:
    """One run of a flow against one server: what is given, and what its stages found out."""

    settings: Settings
    site: Site
    server: Server
    report: Report
    command: str
    ref: str = ""
    started: float = field(default_factory=time.monotonic)
    stack: ExitStack = field(default_factory=ExitStack)
    facts: Facts = field(init=False)
    source: Source = field(init=False)
    release: ReleasePaths | None = None
    answer: Answer = field(init=False)
    served: Served = field(default_factory=Served)
    record: dict[str, Any] = field(default_factory=dict)
    begun: bool = False  # the release has something on the server
    switched: bool = False
    unchanged: bool = False
    changes: int = 0
    tell: Callable[[str], None] = lambda stage: None  # tells the holder of the lock where we are

    @property
    def new(self) -> ReleasePaths:
        if self.release is None:
            raise PortsideError("There is no new release in this run.")
        return self.release

    def look(self) -> None:
        """Read the server's facts, again if need be."""
        paths = [*host.watched(), self.site.data_compose, f"{self.site.data_secrets}/password", self.site.record]
        self.facts = self.server.facts(self.site, paths)

    def apply(self, stage: Stage, steps: list[Step], *, lock: str = "", big: bool = False) -> list[Result]:
        results = self.server.apply(steps, stage=stage.name, lock=lock, big=big)
        self.changes += sum(result.state == "changed" for result in results)
        return results


def preflight(run: Run, stage: Stage) -> None:
    """Settings, project, connection and facts; refuse here what can be refused."""
    if run.command == "deploy":
        run.source = source.find(run.settings, run.ref, run.stack)
        _say_source(run)
        image.build(run.settings, run.source, run.site.release("00000000-000000-0000000"))
    run.server.connect()
    run.look()
    host.check(run.settings, run.facts)
    _check_owner(run)
    facts = run.facts
    stage.note(f"{facts.os_name}, {facts.cores} cores, {facts.disk_mb // 1024} GB free")


def _say_source(run: Run) -> None:
    project = run.source
    if not project.commit:
        run.report.warn(f"{project.root} isn't in git, or has no commit: all of its files are deployed.")
    elif project.changed:
        run.report.warn(f"Not committed, deployed as it is here: {_some(project.changed)}.")
    if project.untracked:
        run.report.warn(f"Not in git, so not in the release: {_some(project.untracked)}.")


def _some(paths: tuple[str, ...]) -> str:
    rest = len(paths) - 4
    return ", ".join(paths[:4]) + (f" and {rest} more" if rest > 0 else "")


def _check_owner(run: Run) -> None:
    """A name belongs to the project that deployed first under it; a domain to one site."""
    domains = set(run.settings.domains + run.settings.redirect_domains)
    owned = set(run.facts.record.get("domains", []))
    if owned and not owned & domains:
        raise Refused(
            f"The site name {run.site.name} on {run.server.target} is another site's: {', '.join(sorted(owned))}.",
            state="Nothing was changed.",
            hint="Give this one a name of its own: DEPLOY_SITE in .env.",
        )
    for other, theirs in run.facts.other_sites.items():
        if both := sorted(domains & theirs):
            raise Refused(
                f"{', '.join(both)} belongs to the site {other} on {run.server.target}.",
                state="Nothing was changed.",
                hint="A domain can be served by one site only: take it out of one of the two.",
            )
    if run.settings.own_database:
        _check_database(run)


def _check_database(run: Run) -> None:
    containers.refuse_other_major(run.settings, run.facts)
    before = run.facts.record.get("postgres", {})
    wanted = _database_identity(run)
    changed = [name for name in before if before[name] != wanted.get(name)]
    if changed:
        raise Refused(
            f"{', '.join(changed)} differ from those the database was made with "
            f"({', '.join(f'{name}={before[name]}' for name in changed)}).",
            state="Nothing was changed.",
            hint="Set them back; renaming a database or its owner is done in psql first.",
        )


def _database_identity(run: Run) -> dict[str, str]:
    return {
        "POSTGRES_USER": containers.database_user(run.settings, run.site),
        "POSTGRES_DB": containers.database_name(run.settings, run.site),
    }


def lock(run: Run, stage: Stage) -> None:
    """The site's lock, held until the end of the run."""
    run.tell = run.stack.enter_context(run.server.lock(run.site))
    _ = stage


def provision(run: Run, stage: Stage) -> None:
    """Packages, Docker, Nginx's base, firewall: nothing to do is the usual answer."""
    before = run.changes
    packages = host.packages(run.settings, run.facts)
    if packages:
        run.apply(stage, packages, lock=host.LOCK)
        run.look()
    run.apply(stage, host.rest(run.settings, run.facts), lock=host.LOCK)
    _serve(run, stage, "base settings and catch-all", lambda: nginx.base(run.facts))
    if run.changes > before:
        run.look()
    stage.note(count(run.changes - before, "change") if run.changes > before else "nothing to do")


def build(run: Run, stage: Stage) -> None:
    """The image of this source; a release is named. Where it is live already, the rest has nothing to do."""
    if release.is_live(run.facts, run.settings, run.source):
        run.unchanged = True
        stage.note(f"{run.facts.current} is live with exactly this")
        return
    run.release = run.site.release(release.identity(run.facts, run.source))
    run.begun = True
    claim = {"domains": sorted(set(run.settings.domains + run.settings.redirect_domains))}
    owner = run.facts.record | claim
    if run.settings.own_database:
        owner |= {"database": run.settings.database, "postgres": _database_identity(run)}
    steps = [write(run.site.record, release.as_json(owner)), image.build(run.settings, run.source, run.new)]
    results = run.apply(stage, steps, big=True)
    run.record["digest"] = results[-1].answer["digest"]
    stage.note(run.new.id)


def data(run: Run, stage: Stage) -> None:
    """Data services up and healthy."""
    results = run.apply(stage, containers.data_steps(run.settings, run.site, run.facts))
    stage.note(run.settings.database if results else "nothing to do")


def prepare(run: Run, stage: Stage) -> None:
    """Ask the new image what it needs; check, collect static files, migrate."""
    if run.unchanged:
        stage.skipped = True
        run.served = release.served(run.facts.releases[run.facts.current])
        return
    settings, facts = run.settings, run.facts
    module = run.source.settings_module()
    below = run.source.manage
    ask = script("Ask Django what it needs", "ask", run.new.compose, below, files={"ask.py": ASK})
    *_, result = run.apply(stage, [*containers.release_steps(settings, run.new, facts, module), ask])
    run.answer = Answer.parse(result.answer)
    run.served = containers.served(settings, run.answer)
    if run.answer.debug:
        run.report.warn("DEBUG is on: Django shows its insides to every visitor.")
    steps = containers.release_steps(settings, run.new, facts, module, run.answer)
    *_, prepared = run.apply(stage, [*steps, _prepare_step(run)])
    for line in prepared.output:
        if re.match(r"\S+: \(\S+\.W\d+\)", line):
            run.report.warn(line)
    pending = run.answer.pending
    stage.note(f"{count(len(pending), 'migration')} applied" if pending else "no migrations")


def _prepare_step(run: Run) -> Step:
    answer, settings = run.answer, run.settings
    dump = bool(answer.pending and answer.applied and settings.own_database)
    migrations = f", migrate ({len(answer.pending)})" if answer.pending else ""
    return script(
        f"Check, collect static files{migrations}" if settings.collectstatic else f"Check{migrations}",
        "prepare",
        run.new.compose,
        answer.manage,
        run.new.static if settings.collectstatic else "",
        "yes" if answer.pending else "no",
        settings.before or "",
        run.site.data_compose if dump else "",
        f"{run.site.root}/backups/before-{run.new.id}.dump",
    )


def start(run: Run, stage: Stage) -> None:
    """The release's containers, beside the live ones."""
    if run.unchanged:
        stage.skipped = True
        return
    first, last = run.settings.port_range
    step = script(
        "Start the new release",
        "start",
        run.new.compose,
        f"{run.new.run}/web-1.sock",
        str(first),
        str(last),
        str(run.settings.health_timeout),
    )
    (result,) = run.apply(stage, [step])
    stage.note(f"on 127.0.0.1:{result.answer['port']}")


def gate(run: Run, stage: Stage) -> None:
    """Ask the new release as a visitor comes. One that isn't well never gets a visitor."""
    if run.unchanged:
        stage.skipped = True
        return
    settings = run.settings
    step = script(
        f"Ask the new release for {settings.health_path}",
        "gate",
        run.new.compose,
        settings.canonical,
        settings.health_path,
        "http",
        str(settings.health_timeout),
    )
    run.apply(stage, [step])
    stage.note(f"{settings.health_path} is well")


def live(run: Run, stage: Stage) -> None:
    """Edge, switch, drain."""
    if not run.unchanged and not run.facts.current:
        # On a first deploy Nginx must find something behind "current" before it is told of the site.
        run.apply(stage, [_switch(run, prove=False)])
    edge = _serve(run, stage, f"the site {run.site.name}", lambda: _all_files(run))
    if run.unchanged:
        stage.note("Nginx has new settings" if edge else "nothing to do")
        return
    run.apply(stage, [_switch(run, prove=True)])
    run.switched = True
    (result,) = run.apply(stage, [_finish(run)])
    _say_drained(run, stage, result)
    if run.settings.after:
        after = script("Run DEPLOY_AFTER", "after", run.new.compose, run.settings.after)
        run.apply(stage, [after])


def _all_files(run: Run) -> dict[str, str]:
    """Nginx's base and this site's file."""
    return nginx.base(run.facts) | nginx.site_file(run.settings, run.site, run.served, run.facts)


def _serve(run: Run, stage: Stage, why: str, files: Callable[[], dict[str, str]]) -> bool:
    """Make Nginx serve these files; planned again where another deploy's came in between. Returns whether it had to."""
    for _ in range(5):
        results = run.apply(stage, nginx.steps(files(), run.facts, why), lock=host.LOCK)
        if not any(result.answer and result.answer.get("stale") for result in results):
            return bool(results)
        run.look()
    raise PortsideError("Other deploys change Nginx's files all the time.", hint="Type the same command again.")


def _switch(run: Run, *, prove: bool) -> Step:
    settings = run.settings
    return script(
        f"Switch to {run.new.id}" if prove else "Point current at the first release",
        "switch",
        run.site.root,
        run.new.id,
        run.site.name,
        str(names.STATUS_PORT),
        "yes" if prove else "no",
        settings.canonical,
        settings.health_path,
        run.served.static_url,
    )


def _finish(run: Run) -> Step:
    digest = run.record.get("digest", "")
    record = release.record(run.new.id, run.settings, run.source, run.facts, run.answer, run.served, digest)
    record["seconds"] = round(time.monotonic() - run.started, 1)
    event = {"event": "deploy", "release": run.new.id, "result": "live", "who": record["who"]}
    event |= {"when": run.facts.clock, "seconds": record["seconds"], "before": run.facts.current}
    return script(
        "Let the old connections end" if run.facts.current else "Note the release",
        "finish",
        run.site.root,
        run.site.name,
        run.new.id,
        run.facts.current,
        str(run.settings.drain),
        files={
            "release.json": release.as_json(record, indent=2).encode(),
            "event": release.as_json(event).encode(),
        },
    )


def _say_drained(run: Run, stage: Stage, result: Result) -> None:
    if result.answer and result.answer["left"]:
        run.report.warn(
            f"After {run.settings.drain} s {count(result.answer['left'], 'connection')} to the old release were cut."
        )
    if run.facts.current:
        stage.note(f"{run.facts.current} is stopped and kept")


def prune(run: Run, stage: Stage) -> None:
    """Releases beyond DEPLOY_KEEP, and what interrupted deploys left."""
    if run.unchanged:
        stage.skipped = True
        return
    step = script("Take old releases away", "prune", run.site.root, run.site.name, str(run.settings.keep))
    (result,) = run.apply(stage, [step])
    stage.note(result.why if result.state == "unchanged" else "old releases taken away")


def discard(run: Run) -> None:
    """After a failure: what the new release left on the server."""
    step = script("Take the failed release away", "discard", run.site.root, run.site.name, run.new.id)
    with run.server.quietly():
        run.server.apply([step], stage="discard")

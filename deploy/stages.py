"""The stages: each plans steps from settings and facts, ships them, and leaves what the next one needs in the run.

Their names are the headings on the screen and in docs/deploy.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import containers, host, image, nginx, owner, release, source
from . import site as names
from .containers import Answer
from .errors import Lost, PortsideError, Refused, StepFailed
from .report import Stage, count
from .run import Run
from .server import Result
from .steps import Step, script, write

ASK = Path(__file__).parent / "remote" / "ask.py"


def preflight(run: Run, stage: Stage) -> None:
    """Settings, project, connection and facts; refuse here what can be refused."""
    if run.command == "deploy":
        run.source = source.find(run.settings, run.ref, run.stack)
        _say_source(run)
        image.build(run.settings, run.source, run.site.release("00000000-000000-0000000"))
    run.server.connect()
    run.look()
    host.check(run.settings, run.facts)
    _check_nginx(run)
    owner.check(run)
    facts = run.facts
    stage.note(f"{facts.os_name}, {facts.cores} cores, {facts.disk_mb // 1024} GB free")


def _check_nginx(run: Run) -> None:
    """What somebody else has broken is told before anything is changed. A rollback mustn't wait for its mending."""
    broken = nginx.broken(run.facts)
    if broken and run.command in {"deploy", "provision"}:
        raise PortsideError(broken, state="Nothing was changed.", hint="Then type the same command again.")
    if broken:
        run.report.warn(broken)


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


def lock(run: Run, stage: Stage) -> None:
    """The site's lock, held until the end of the run; then what an interrupted run left is put right."""
    holders: list[str] = []

    def waiting(holder: str) -> None:
        holders.append(holder)
        run.report.say(f"  waiting for another deploy to end: {holder}")

    run.tell, current, busy = run.stack.enter_context(run.server.lock(run.site, waiting if run.wait else None))
    as_seen = current == run.facts.current and not busy and not holders
    if as_seen and not release.leftovers(run.facts) and not release.strays(run.facts):
        return
    # Under the lock, looking waits for what goes on there by itself on behalf of a laptop that is gone.
    run.look()
    left, unfinished, strays = release.leftovers(run.facts), release.unfinished(run.facts), release.strays(run.facts)
    if unfinished:
        run.report.warn(f"{unfinished} was switched to, but not finished: finishing it.")
        run.apply(stage, [_finish_interrupted(run, unfinished)], detached=True)
    if left := [identity for identity in left if identity != unfinished]:
        run.report.warn(f"An interrupted run left {', '.join(left)}: taken away.")
        run.apply(stage, [script("Take away what was left", "discard", run.site.root, run.site.name, "no", *left)])
    if strays := [identity for identity in strays if identity not in left and not unfinished]:
        run.report.warn(f"An interrupted run left {', '.join(strays)} running beside the live release: stopped.")
        run.apply(stage, [script("Stop what was left running", "stop", run.site.name, *strays)])
    if unfinished or left or strays:
        stage.note("put right")
        run.look()


def _finish_interrupted(run: Run, identity: str) -> Step:
    record = run.facts.pending[identity]
    event = {"event": "finish", "release": identity, "result": "live", "who": release.who(), "when": run.facts.clock}
    return _finish_step(run, identity, str(record.get("previous", "")), record, event)


def provision(run: Run, stage: Stage) -> None:
    """Packages, Docker, Nginx's base, firewall: nothing to do is the usual answer. Never left half installed."""
    before = run.changes
    packages = host.packages(run.settings, run.facts)
    if packages:
        run.apply(stage, packages, lock=host.LOCK, detached=True)
        run.look()
    run.apply(stage, host.rest(run.settings, run.facts), lock=host.LOCK, detached=True)
    _planned(run, stage, lambda: nginx.steps(nginx.base(run.facts), run.facts, "base settings and catch-all"))
    if run.changes > before:
        run.look()
    stage.note(count(run.changes - before, "change") if run.changes > before else "nothing to do")


def choose(run: Run, stage: Stage) -> None:
    """The release to go back to, and what going back doesn't undo."""
    wanted = release.target(run.facts, run.to)
    if not wanted:
        raise Refused(
            "There is no release to go back to.",
            state=f"{run.facts.current or 'Nothing'} is live.",
            hint="fab releases shows what there is.",
        )
    run.release = run.site.release(wanted)
    if run.new.image not in run.facts.images:
        raise PortsideError(f"The image of {wanted} is gone from the server.", hint="Choose another with --to ID.")
    run.record = run.facts.releases[wanted]
    run.served = release.served(run.record)
    kept = release.not_undone(run.facts, wanted)
    if kept:
        run.report.warn(
            f"The database stays as it is: {count(len(kept), 'migration')} not undone ({_some(tuple(kept))})."
        )
    stage.note(wanted)


def build(run: Run, stage: Stage) -> None:
    """The image of this source; a release is named. Where it is live already, the rest has nothing to do."""
    if release.is_live(run.facts, run.settings, run.source):
        run.unchanged = True
        run.apply(stage, owner.claim(run))
        stage.note(f"{run.facts.current} is live with exactly this")
        return
    run.release = run.site.release(release.identity(run.facts, run.source))
    run.begun = True
    steps = [*owner.claim(run), image.build(run.settings, run.source, run.new)]
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
    _warn(run)
    steps = containers.release_steps(settings, run.new, facts, module, run.answer)
    pending = write(run.new.pending, release.as_json(_record(run), indent=2))
    *_, prepared = run.apply(stage, [*steps, pending, _prepare_step(run)])
    run.migrated = run.answer.pending
    for line in prepared.output:
        if re.match(r"\S+: \(\S+\.W\d+\)", line):
            run.report.warn(line)
    migrations = run.answer.pending
    stage.note(f"{count(len(migrations), 'migration')} applied" if migrations else "no migrations")


def _warn(run: Run) -> None:
    """What works, but not as its owner may believe."""
    answer = run.answer
    if answer.debug:
        run.report.warn("DEBUG is on: Django shows its insides to every visitor.")
    code = answer.folder.removesuffix(run.source.manage).rstrip("/")
    static = answer.static_root if run.settings.collectstatic else ""
    for name, root in (("STATIC_ROOT", static), ("MEDIA_ROOT", answer.media_root)):
        below = f"{root}/".removeprefix(f"{code}/")
        if any(path.startswith(below) for path in run.source.files):
            run.report.warn(f"{name} ({root}) has files that git tracks: the server's own folder hides them.")


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
    module = str(run.facts.releases.get(run.new.id, {}).get("settings_module", ""))
    present = [containers.made_environment_step(run.settings, run.new, module)] if run.command == "rollback" else []
    *_, result = run.apply(stage, [*present, step])
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
    """Edge, switch, drain: one run that reaches its end without us."""
    if run.unchanged:
        edge = _planned(run, stage, lambda: _edge(run))
        stage.note("Nginx has new settings" if edge else "nothing to do")
        return
    run.unattended = True
    try:
        *_, result = _planned(run, stage, lambda: _live_steps(run))
    except Lost:
        raise
    except PortsideError as error:
        run.unattended = False
        # Only that step comes after the switch is proved.
        run.switched = isinstance(error, StepFailed) and error.step == _finish(run).name
        raise
    run.unattended, run.switched = False, True
    _say_drained(run, stage, result)
    if run.command == "deploy" and run.settings.after:
        after = script("Run DEPLOY_AFTER", "after", run.new.compose, run.settings.after)
        run.apply(stage, [after])


def _live_steps(run: Run) -> list[Step]:
    # On a first deploy Nginx must find something behind "current" before it is told of the site.
    first = [] if run.facts.current else [_switch(run, prove=False)]
    return [*first, *_edge(run), _switch(run, prove=True), _finish(run)]


def _edge(run: Run) -> list[Step]:
    return nginx.steps(_all_files(run), run.facts, f"the site {run.site.name}")


def _all_files(run: Run) -> dict[str, str]:
    """Nginx's base and this site's file."""
    return nginx.base(run.facts) | nginx.site_file(run.settings, run.site, run.served, run.facts)


def _planned(run: Run, stage: Stage, plan: Callable[[], list[Step]]) -> list[Result]:
    """Run a plan that touches Nginx to its end; planned again where another deploy's files came in between."""
    current = run.facts.current
    for _ in range(5):
        try:
            return run.apply(stage, plan(), detached=True)
        except StepFailed as error:
            if error.status != nginx.STALE:
                raise
        run.look()
        # A first release that "current" points at, and that Nginx isn't told of yet, isn't live.
        run.facts = replace(run.facts, current=current)
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
    seconds = round(time.monotonic() - run.started, 1)
    record = run.record if run.command == "rollback" else _record(run) | {"seconds": seconds}
    event: dict[str, Any] = {"event": run.command, "release": run.new.id, "result": "live", "who": release.who()}
    event |= {"when": run.facts.clock, "seconds": seconds, "before": run.facts.current}
    return _finish_step(run, run.new.id, run.facts.current, record, event)


def _finish_step(run: Run, identity: str, old: str, record: dict[str, Any], event: dict[str, Any]) -> Step:
    return script(
        "Let the old connections end" if old else "Note the release",
        "finish",
        run.site.root,
        run.site.name,
        identity,
        old,
        str(run.settings.drain),
        files={
            "release.json": release.as_json(record, indent=2).encode(),
            "event": release.as_json(event).encode(),
        },
    )


def _record(run: Run) -> dict[str, Any]:
    digest = run.record.get("digest", "")
    return release.record(run.new.id, run.settings, run.source, run.facts, run.answer, run.served, digest)


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


def stop(run: Run) -> None:
    """After a failed rollback: its containers, which stay for another try."""
    step = script("Stop the release again", "stop", run.site.name, run.new.id)
    with run.server.quietly():
        run.server.apply([step], stage="stop")


def discard(run: Run) -> None:
    """After a failure: what the new release left on the server."""
    first = "no" if run.facts.current else "yes"
    step = script("Take the failed release away", "discard", run.site.root, run.site.name, first, run.new.id)
    with run.server.quietly():
        run.server.apply([step], stage="discard")

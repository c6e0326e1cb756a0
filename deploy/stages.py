"""The stages: each plans steps from settings and facts, ships them, and leaves what the next one needs in the run.

Their names are the headings on the screen and in docs/deploy.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from . import (
    acme_dns,
    causes,
    certifying,
    certs,
    containers,
    database,
    gone,
    host,
    hosts,
    http3,
    image,
    kept,
    lacking,
    losses,
    mending,
    migrating,
    nginx,
    owner,
    project,
    recovery,
    release,
    removing,
    renewal,
    restarts,
    room,
    shipping,
    source,
    static,
    switching,
    tracked,
    versions,
    visiting,
    wellbeing,
)
from .certifying import edge, issue, prove  # noqa: F401 - stages too
from .containers import Answer
from .errors import Lost, PortsideError, Refused, StepFailed
from .facts import Facts
from .following import Result
from .removing import confirm, remove  # noqa: F401 - and these
from .report import Stage, count
from .run import Run
from .steps import Content, Step, script, write

WORTH_ASKING = 1_000_000
"""Bytes of a project. To ask which of them the server has costs a round trip, in which a smaller one has travelled."""


def preflight(run: Run, stage: Stage) -> None:
    """Settings, project, connection and facts; refuse here what can be refused."""
    if run.command == "deploy":
        run.source = source.find(run.settings, run.ref, run.stack)
        run.report.say(f"  {run.settings.canonical}: {source.described(run.source, run.settings)}")
        _say_source(run)
        _check_source(run)
    if run.command in {"deploy", "certs"}:
        certs.check_own(run.settings)
        acme_dns.check(run.settings)
    if run.command == "certs":
        certs.check_names(run.settings)
        run.authority = certs.authority(run.settings, practice=run.server.practice, staging=run.staging)
    if run.command == "remove":
        removing.check_asked(run)
    run.server.connect()
    run.look()
    versions.check(run)
    run.certificate = run.facts.certificate
    if run.command == "remove":
        removing.check(run)
        _check_nginx(run)
        return
    host.check(run.settings, run.facts)
    _check_nginx(run)
    _check_site(run)
    if run.command in {"deploy", "rollback"}:
        gone.check(run)
    shipping.check(run)
    room.check(run, stage)
    facts = run.facts
    crowd = containers.too_many_connections(run.settings, facts)
    if crowd and run.command == "deploy":
        run.report.warn(crowd)
    small = host.little_memory(run.settings, facts)
    if small and (run.command == "provision" or (run.command == "deploy" and run.settings.build == "server")):
        run.report.warn(small)
    for fault in renewal.faults(facts) if run.command == "deploy" else ():
        run.report.warn(fault)
    run.unchanged = run.command == "certs" and not run.staging and certifying.is_done(run)
    stage.note(f"{facts.os_name}, {facts.cores} cores, {facts.disk_mb // 1024} GB free")


def _check_site(run: Run) -> None:
    """Whose the site is, and what of it these settings would let go."""
    owner.check(run)
    if run.command in losses.DROPPING and not run.staging:
        losses.check(run)


def _check_nginx(run: Run) -> None:
    """What somebody else has broken is told before anything is changed. A rollback mustn't wait for its mending."""
    broken = nginx.broken(run.facts)
    if broken and run.command in {"deploy", "provision", "certs", "remove"}:
        raise PortsideError(broken, state="Nothing was changed.", hint="Then type the same command again.")
    if broken:
        run.report.warn(broken)


def _check_source(run: Run) -> None:
    """Raises Refused where no release can be made of the source as it is."""
    if run.settings.containers:
        image.build(run.settings, run.source, run.site.release("00000000-000000-0000000"))
        project.check_settings_module(run.settings, run.source)
    else:
        static.check(run.source, run.settings.fallback)


def _say_source(run: Run) -> None:
    project = run.source
    if project.pulled:
        return
    if not project.commit:
        run.report.warn(f"{project.root} isn't in git, or has no commit: all of its files are deployed.")
    if project.commit and project.changed:
        run.report.warn(f"Not committed, deployed as it is here: {tracked.some(project.changed)}.")
    if project.deleted:
        run.report.warn(f"Deleted here, so not in the release: {tracked.some(project.deleted)}.")
    if project.untracked:
        run.report.warn(f"Not in git, so not in the release: {tracked.some(project.untracked)}.")


def lock(run: Run, stage: Stage) -> None:
    """The site's lock, held until the end of the run; then what an interrupted run left is put right."""
    if run.unchanged:
        stage.skipped = True
        return
    holders: list[str] = []

    def waiting(holder: str) -> None:
        holders.append(holder)
        run.report.say(f"  waiting for another deploy to end: {holder}")

    run.tell, current, busy = run.stack.enter_context(run.server.lock(run.site, waiting if run.wait else None))
    if run.command == "remove" or run.facts.removing:
        removing.look_again(run)
        return
    as_seen = current == run.facts.current and not busy and not holders
    if as_seen and not recovery.is_due(run.site, run.facts):
        return
    # Under the lock, looking waits for what goes on there by itself on behalf of a laptop that is gone.
    run.look()
    versions.check(run)
    _check_site(run)  # of somebody else by now, as far as they came meanwhile
    recovery.put_right(run, stage)
    _check_site(run)  # and with what an interrupted run had begun


def provision(run: Run, stage: Stage) -> None:
    """Packages, Docker, Nginx's base, firewall: nothing to do is the usual answer. Never left half installed."""
    if run.unchanged:
        stage.skipped = True
        return
    before = run.changes
    packages = host.packages(run.settings, run.facts)
    if packages:
        run.apply(stage, packages, lock=host.LOCK, detached=True)
        run.look()
    run.apply(stage, host.rest(run.settings, run.facts), lock=host.LOCK, detached=True)
    switching.planned(run, stage, lambda: nginx.steps(nginx.base(run.facts), run.facts, "base settings and catch-all"))
    if run.command == "deploy" or (run.command == "certs" and not run.staging):
        renewed = certs.install(run.settings, run.site, run.facts)
        run.apply(stage, [*acme_dns.refresh(run.settings, run.site, run.facts), *renewed], detached=True)
    if run.changes > before:
        run.look()
    if lacking := http3.unable(run.settings, run.facts):
        run.report.warn(lacking)
    stage.note(count(run.changes - before, "change") if run.changes > before else "nothing to do")


def choose(run: Run, stage: Stage) -> None:
    """The release to go back to, and what going back doesn't undo; or the live one, to be started anew."""
    wanted = release.target(run.facts, run.to)
    if not wanted:
        raise Refused(
            "There is no release to go back to.",
            state=f"{run.facts.current or 'Nothing'} is live.",
            hint="fab releases shows what there is.",
        )
    run.record = run.facts.releases[wanted]
    run.unchanged = wanted == run.facts.current
    run.anew = run.unchanged and run.settings.containers and not _is_again(run.facts)
    # The live one is started as it was deployed, another with the present settings.
    run.served = release.served(run.record) if run.unchanged else release.renamed(run.record, run.settings)
    if not release.can_start(run.facts, wanted):
        raise _without_image(run, wanted)
    if not run.unchanged:
        run.release = run.site.release(wanted)
    for loss in losses.of_going_back(run):
        run.report.warn(f"{loss.name} isn't in {wanted}: {loss.meant}.")
    how = ", which is live: it is started anew" if run.anew else ", which is live already" if run.unchanged else ""
    stage.note(f"{wanted}{how}")


def _is_again(facts: Facts) -> bool:
    """Whether a rollback that has just come to its end is typed again, and the release is healthy."""
    return release.went_back_just_now(facts) and not wellbeing.parts(facts) and not wellbeing.is_doubtful(facts)


def _without_image(run: Run, identity: str) -> Refused:
    """Why a release can't be gone back to, and how to have it all the same."""
    commit = str(run.facts.releases[identity].get("commit", ""))
    way = f"{run.fab('deploy', ref=commit)} builds that commit anew." if commit else "Deploy its files anew."
    return Refused(f"The image of {identity} is gone from the server.", state="Nothing was changed.", hint=way)


def build(run: Run, stage: Stage) -> None:
    """The image of this source; a release is named. Where it is live already, the rest has nothing to do."""
    if run.settings.pulls:
        _pull(run, stage)
    if is_live(run, stage):
        return
    if run.settings.build == "local":
        begin(run, stage)
        results = shipping.make(run, stage)
    else:
        results = _build_there(run, stage)
    run.record["digest"] = results[-1].answer["digest"]


def _build_there(run: Run, stage: Stage) -> list[Result]:
    """The image, built on the server of what is sent and of what the last one was built of, too."""
    begin(run, stage)
    files, there = image.recipe(run.settings, run.source, run.new).files, set[str]()
    if run.facts.current and lacking.size(files) >= WORTH_ASKING:
        there = has(run, stage, run.site.context, files)
        stage.note(f"{len(files) - len(there)} of {count(len(files), 'file')} sent")
    step = image.build(run.settings, run.source, run.new, there)
    try:
        return run.apply(stage, [*owner.claim_name(run), step], big=True)
    except StepFailed as error:
        raise _build_failed(run, error) if error.step == step.name else error from None


def _build_failed(run: Run, error: StepFailed) -> StepFailed:
    """The failure with its cause, and what helps where that is known."""
    own = bool(not run.settings.pulls and image.own_dockerfile(run.settings, run.source))
    way = causes.hint_for_build(error.lines, own_dockerfile=own)
    lines = causes.of_build(error.lines)
    told = StepFailed(run.server.target, "build", error.step, error.status, lines)
    told.hint = f"{way}\nThen type {run.again()} again." if way else ""
    return told


def has(run: Run, stage: Stage, folder: str, files: Mapping[str, Content]) -> set[str]:
    """Which of the files are in the server's folder already."""
    (compared,) = run.apply(stage, [lacking.compare(folder, files)])
    return lacking.there(files, compared.answer)


def _pull(run: Run, stage: Stage) -> None:
    """What DEPLOY_BUILD names now: of a tag, only whoever pulls it knows whether it has moved. A digest that is live
    stays what it is."""
    run.source = source.of_image(run.settings, run.settings.build.partition("@")[2])
    if release.is_live(run.facts, run.settings, run.source):
        return
    (pulled,) = run.apply(stage, [image.pull(run.settings, run.site)])
    run.source = source.of_image(run.settings, pulled.answer["digest"])
    stage.note(f"{run.settings.build} is {run.source.digest[:12]}")


def is_live(run: Run, stage: Stage) -> bool:
    """Whether exactly this is live: the rest of the run has nothing to do then, but for what its settings ask for."""
    if not release.is_live(run.facts, run.settings, run.source):
        if why := release.made_again(run.facts, run.settings, run.source):
            run.report.warn(why)
        return False
    if not run.settings.containers and wellbeing.fault(run):  # files that are gone are put there again
        return False
    run.unchanged = True
    run.served = release.renamed(release.live(run.facts), run.settings)
    stage.note(f"{run.facts.current} is live with exactly this")
    return True


def begin(run: Run, stage: Stage) -> None:
    """Name the new release. From here on it may have something on the server."""
    if moved := run.source.moved_on():
        raise PortsideError(f"Changed on this machine since the deploy began: {tracked.some(moved)}.")
    run.release = run.site.release(release.identity(run.facts, run.source))
    run.begun = True
    stage.note(run.new.id)


def data(run: Run, stage: Stage) -> None:
    """Data services up and healthy."""
    run.two_passwords = run.settings.own_database and database.beside(run.settings, run.site, run.facts)
    results = run.apply(stage, database.steps(run.settings, run.site, run.facts))
    run.database_restarted = database.restarts(run.settings, run.facts) if run.settings.own_database else ""
    stage.note(run.settings.database if results else "nothing to do")


def prepare(run: Run, stage: Stage) -> None:
    """Ask the new image what it needs; check, collect static files, migrate."""
    if run.unchanged:
        stage.skipped = True
        return
    settings, facts = run.settings, run.facts
    module = run.source.settings_module()
    below = run.source.manage
    live = migrating.Other.of(run, facts.current)
    ask = migrating.ask(run.new, below, live, settings.application)
    check = migrating.ask(run.new, below, live, settings.application, check=True)
    *_, asked = run.apply(stage, [*containers.release_steps(settings, run.new, facts, module), check])
    run.answer = Answer.parse(asked.answer).masked(run.report.mask)
    _judge(run, stage, asked)
    run.served = replace(containers.served(settings, run.answer), names=project.names(settings, run.answer))
    _warn(run)
    migrating.check(run, run.answer)
    steps = containers.release_steps(settings, run.new, facts, module, run.answer)
    if not module:
        steps.append(containers.made_environment_step(settings, run.new, run.answer.settings_module))
    pending = write(run.new.pending, release.as_json(_record(run), indent=2))
    listing = write(run.new.listing, run.source.listing, 0o600)
    steps += [pending, listing, *_collect(run), *migrating.forward(run, run.new, run.answer)]
    results = [asked, *_migrated(run, stage, ask, steps)]
    for line in dict.fromkeys(line for result in results for line in result.output):
        if re.match(r"\S+: \(\S+\.W\d+\)", line):
            run.report.warn(run.report.mask(line))


def _migrated(run: Run, stage: Stage, ask: Step, steps: list[Step]) -> list[Result]:
    """Run steps that end with migrations. Of a failure, the database tells how far they came."""
    try:
        results = run.apply(stage, steps)
    except StepFailed as error:
        if run.answer.pending and error.step == steps[-1].name:
            _see_how_far(run, stage, ask)
        raise
    except (KeyboardInterrupt, Lost):
        run.broken_in = True
        raise
    pending = run.answer.pending
    run.migrated = pending
    again = "migrate was run all the same" if migrating.is_due(run, run.answer) else "no migrations"
    stage.note(f"{count(len(pending), 'migration')} applied" if pending else again)
    return results


def _see_how_far(run: Run, stage: Stage, ask: Step) -> None:
    with suppress(PortsideError), run.server.quietly():
        (result,) = run.apply(stage, [ask])
        left = Answer.parse(result.answer).pending
        run.migrated = tuple(name for name in run.answer.pending if name not in left)
        run.broke_off = left[0] if left else ""


def _judge(run: Run, stage: Stage, asked: Result) -> None:
    """Go on only with a project that starts, and that uses what this site has for it."""
    answer = run.answer
    try:
        project.check(run.settings, run.site, answer)
    except Refused as error:
        error.hint = f"{error.hint}\nThen type {run.again()} again.".lstrip()
        raise
    except PortsideError as error:
        error.hint = f"{error.hint}\nThen type {run.again()} again.".lstrip()
        if project.is_clear(answer):
            raise
        lines = [run.report.mask(line) for line in asked.output if line.strip()]
        failed = StepFailed(run.server.target, stage.name, asked.step.name, 1, lines)
        failed.message, failed.hint = f"{failed.message}\n{error.message}", error.hint
        raise failed from None


def _warn(run: Run) -> None:
    """What works, but not as its owner may believe."""
    answer = run.answer
    if answer.applied and not run.facts.current:
        before = f"{count(answer.applied, 'migration')} {'is' if answer.applied == 1 else 'are'} applied in it already"
        run.report.warn(f"The database isn't new, though no release is live: {before}.")
    for line in project.warnings(run.settings, answer):
        run.report.remind(line)
    if others := project.other_databases(answer):
        run.report.say(f"  databases that Portside doesn't look after: {others}")
    code = answer.folder.removesuffix(run.source.manage).rstrip("/")
    static = answer.static_root if run.settings.collectstatic else ""
    for name, root in (("STATIC_ROOT", static), ("MEDIA_ROOT", answer.media_root)):
        below = f"{root}/".removeprefix(f"{code}/")
        if any(path.startswith(below) for path in run.source.files):
            run.report.warn(f"{name} ({root}) has files that git tracks: the server's own folder hides them.")


def _collect(run: Run) -> list[Step]:
    """Static files and DEPLOY_BEFORE, if there is either."""
    settings = run.settings
    names = ["Collect static files"] * settings.collectstatic + ["Run DEPLOY_BEFORE"] * bool(settings.before)
    static = run.new.static if settings.collectstatic else ""
    args = (run.new.compose, run.answer.manage, static, run.site.live_static, settings.before or "")
    return [script(", ".join(names), "prepare", *args)] if names else []


def migrations(run: Run, stage: Stage) -> None:
    """What going back means for the database: nothing, or taking migrations back, or applying them again."""
    if run.unchanged:
        stage.skipped = True
        return
    facts, record = run.facts, run.record
    live = facts.releases.get(facts.current, {})
    known = "knowledge" if "knowledge" in record and "knowledge" in live else "leaves"
    if record.get(known) == live.get(known):
        stage.skipped = not run.migrations
        stage.note("nothing to take back")
        return
    if run.migrations and "leaves" not in record:
        raise PortsideError(f"Which migrations {run.new.id} knows isn't recorded, so they can't be taken back to it.")
    paths, wanted = run.site.release(facts.current), migrating.Other.of(run, run.new.id)
    asked = migrating.questions(run, paths, live, wanted) if live else []
    steps = [*asked, *migrating.questions(run, run.new, record, migrating.Other.of(run, facts.current))]
    answers = [Answer.parse(result.answer) for result in run.apply(stage, steps) if result.answer]
    for failed in (answer for answer in answers if answer.failed):
        raise project.failure(run.settings, failed)
    run.answer = answers[-1]
    if live:
        _go_back(run, stage, answers[0])
    if run.answer.pending:
        migrating.check_pending(run, run.answer)
        _migrated(run, stage, steps[-1], migrating.forward(run, run.new, run.answer))


def _go_back(run: Run, stage: Stage, answer: Answer) -> None:
    """Take back what the release doesn't know: before it starts if it can't work else, and else once it is live.

    ``answer``: of the live release.
    """
    unable = bool(answer.ahead_breaking or run.answer.lacking)
    migrating.refuse_unable(run, answer, run.answer)
    if not answer.ahead:
        return
    if not run.migrations:
        migrating.tell_kept(run, answer)
        return
    wanted = migrating.Other.of(run, run.new.id)
    assert wanted  # noqa: S101 - a rollback has a release
    live = run.facts.releases[run.facts.current]
    steps = migrating.back(run, run.site.release(run.facts.current), live, wanted)
    if not unable:
        run.afterwards = steps
        stage.note(f"{count(len(answer.ahead), 'migration')} to take back after the switch")
        return
    run.report.warn(f"{run.facts.current} may err from now on until the switch, since its migrations are taken back.")
    run.behind = True
    run.afterwards = [migrating.told_behind(run, False)]
    again = migrating.questions(run, run.new, run.record, migrating.Other.of(run, run.facts.current))
    *_, asked = run.apply(stage, [migrating.told_behind(run, True), *steps, *again])
    run.answer = Answer.parse(asked.answer)
    migrating.refuse_lacking(run, run.answer)
    stage.note(f"{count(len(answer.ahead), 'migration')} taken back")


def start(run: Run, stage: Stage) -> None:
    """The release's containers, beside the live ones; or those of the live one anew, where it isn't healthy."""
    if run.unchanged:
        (mending.everything if run.anew else mending.mend)(run, stage)
        return
    step = mending.start(run, run.new.id)
    module = str(run.facts.releases.get(run.new.id, {}).get("settings_module", ""))
    present = [containers.made_environment_step(run.settings, run.new, module)] if run.command == "rollback" else []
    *_, result = run.apply(stage, [*present, step])
    run.served = replace(run.served, ports=tuple(result.answer["ports"]))
    stage.note(f"on {', '.join(f'127.0.0.1:{port}' for port in run.served.ports)}")


def gate(run: Run, stage: Stage) -> None:
    """Visit the new release. One that isn't healthy never gets a visitor."""
    if run.unchanged:
        stage.skipped = True
        return
    # One that was live and good before has shown that it doesn't die by itself.
    again = 0 if run.command == "rollback" else 2
    (result,) = run.apply(stage, [visiting.gate(run.settings, run.new, run.served, run.facts, again=again)])
    stage.note(visiting.note(run.settings, result.answer))


def live(run: Run, stage: Stage) -> None:
    """Edge, switch, drain: one run that reaches its end without us."""
    if run.unchanged:
        edge = switching.planned(run, stage, lambda: switching.resettle(run, run.served))
        renamed = [*owner.claim(run, run.served.names), *switching.rename(run, run.served)]
        noted = run.apply(stage, [*renamed, *_close(run), *kept.steps(run)])
        mending.see(run)
        revived = run.apply(stage, switching.revive(run))
        switching.tell(run, revived)
        run.ending = run.ending or restarts.ending(run.facts)
        kept_anew = any(result.step.words[1] == run.site.settings for result in noted)
        notes = ["Nginx has new settings"] * bool(edge) + ["the new .env is kept"] * (kept_anew and not edge)
        notes += ["processes started"] * bool(revived)
        stage.note(", ".join(notes) or "nothing to do")
        return
    run.unattended = True
    try:
        results = switching.planned(run, stage, lambda: _live_steps(run))
    except Lost:
        raise
    except PortsideError as error:
        run.unattended = False
        afterwards = [step.name for step in run.afterwards]
        failed = error.step if isinstance(error, StepFailed) else ""
        proved = [step.name for step in [_finish(run), *_close(run), *_claim(run), *_watch(run)]]
        run.switched = failed in {*proved, *afterwards}  # only these come after the switch is proved
        if failed in afterwards:
            migrating.explain_afterwards(run, error)
        raise
    run.unattended, run.switched = False, True
    switching.tell(run, results)
    if run.facts.current:
        stage.note(f"{run.facts.current} is {'stopped and ' * bool(run.served.replicas)}kept")
    if run.afterwards and not run.behind:
        stage.note("migrations taken back")
    if run.command == "deploy" and run.settings.after:
        after = script("Run DEPLOY_AFTER", "after", run.new.compose, run.settings.after)
        run.apply(stage, [after])


def _live_steps(run: Run) -> list[Step]:
    pending = _record(run) | {"instead_of": run.facts.current}
    return [
        write(run.new.pending, release.as_json(pending, indent=2)),
        switching.switch(run, run.new.id, run.served, run.facts.current),
        _finish(run),
        *_close(run),
        *run.afterwards,
        *_claim(run),
        *_watch(run),
    ]


def _claim(run: Run) -> list[Step]:
    """The site's domains and database, as the release that goes live has them; of a first one they are noted. And the
    environment file of a deploy."""
    return [*(owner.claim(run) if run.facts.current else []), *kept.steps(run)]


def _close(run: Run) -> list[Step]:
    return [database.close(run.site)] if run.two_passwords else []


def _watch(run: Run) -> list[Step]:
    return switching.watch(run, run.new.id, release.processes(_record(run)))


def _finish(run: Run) -> Step:
    seconds = round(time.monotonic() - run.started, 1)
    record = _record(run) if run.command == "rollback" else _record(run) | {"seconds": seconds}
    return switching.finish(run, run.new.id, run.facts.current, record)


def _record(run: Run) -> dict[str, Any]:
    """The release's record: of one that was good before, its own with the ports it has now."""
    if run.command == "rollback":
        names = hosts.noted(run.served.names) if run.served.names else {}
        started = {"ports": list(run.served.ports), **names}
        return run.record | started | release.of_database(getattr(run, "answer", None))
    made = {}
    if run.settings.containers:
        dependencies = image.dependencies(run.settings, run.source)
        compose = containers.release_compose(run.settings, run.new, run.facts, run.answer)
        made = release.of_application(run.answer, run.record["digest"], dependencies, compose)
    return release.record(run.new.id, run.settings, run.source, run.facts, run.served, made)


def prune(run: Run, stage: Stage) -> None:
    """Releases beyond DEPLOY_KEEP, and what interrupted deploys left."""
    if run.unchanged:
        stage.skipped = True
        return
    (result,) = run.apply(stage, [room.prune(run)])
    stage.note(result.why if result.state == "unchanged" else room.pruned(result.answer or {}))

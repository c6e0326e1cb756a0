"""Stages of a rollback: choose the release, and revert or apply migrations."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ...core.errors import PortsideError, Refused
from ...core.facts import Facts
from ...core.report import Stage, count
from ...releases import django_errors, history, record
from ...releases.answer import Answer
from .. import losses, recovery, site_health
from .. import migrations as database_migrations
from ..context import Run
from . import prepare


def choose(run: Run, stage: Stage) -> None:
    """Choose the release to roll back to, and warn of what a rollback doesn't undo. The live release itself is
    restarted."""
    wanted = history.target(run.facts, run.request.to)
    if not wanted:
        raise Refused(
            "There is no release to roll back to.",
            state=f"{run.facts.current or 'Nothing'} is live.",
            hint="Run fab releases to list the releases.",
        )
    new = run.candidate
    new.record = run.facts.releases[wanted]
    new.unchanged = wanted == run.facts.current
    run.health.restart_all = new.unchanged and run.settings.containers and not _is_repeated(run.facts)
    # The live release starts as it was deployed, another one with the present settings.
    new.routes = record.routes(new.record) if new.unchanged else record.renamed(new.record, run.settings)
    if not history.can_start(run.facts, wanted):
        raise _without_image(run, wanted)
    if not new.unchanged:
        new.release = run.site.release(wanted)
        run.request = replace(run.request, to=wanted)  # a repeated command must choose the same release
        recovery.begin(run, partial(recovery.stop, run))
    for loss in losses.of_rollback(run):
        run.report.warn(f"{loss.name} isn't in {wanted}: {loss.meant}.")
    live = ", which is live: restarting it" if run.health.restart_all else ", which is live already"
    how = live if new.unchanged else ""
    stage.note(f"{wanted}{how}")


def _is_repeated(facts: Facts) -> bool:
    """Return whether a rollback was repeated just after it succeeded, and the release is healthy."""
    return (
        history.went_back_just_now(facts)
        and not site_health.unhealthy_parts(facts)
        and not site_health.may_be_failing(facts)
    )


def _without_image(run: Run, identity: str) -> Refused:
    """Return why a rollback to this release isn't possible, and how to deploy it instead."""
    commit = str(run.facts.releases[identity].get("commit", ""))
    fix = f"{run.fab('deploy', ref=commit)} rebuilds that commit." if commit else "Deploy its files again."
    return Refused(f"The image of {identity} is missing on the server.", state="Nothing was changed.", hint=fix)


def migrations(run: Run, stage: Stage) -> None:
    """Revert migrations, apply them again, or do nothing, as the release requires."""
    facts, new, record = run.facts, run.candidate, run.candidate.record
    live = facts.releases.get(facts.current, {})
    known = "knowledge" if "knowledge" in record and "knowledge" in live else "leaves"
    if record.get(known) == live.get(known):
        stage.skipped = not run.request.migrations
        stage.note("nothing to revert")
        return
    if run.request.migrations and "leaves" not in record:
        raise PortsideError(
            f"The migrations of {new.paths.id} aren't recorded, so the database can't be reverted to it."
        )
    paths, wanted = run.site.release(facts.current), database_migrations.Other.of(run, new.paths.id)
    asked = database_migrations.questions(run, paths, live, wanted) if live else []
    steps = [
        *asked,
        *database_migrations.questions(run, new.paths, record, database_migrations.Other.of(run, facts.current)),
    ]
    answers = [Answer.parse(result.answer) for result in run.apply(stage, steps) if result.answer]
    for failed in (answer for answer in answers if answer.failed):
        raise django_errors.failure(run.settings, failed)
    new.django = answers[-1]
    if live:
        _revert(run, stage, answers[0])
    if new.answer.pending:
        database_migrations.check_pending(run, new.answer)
        prepare.migrate(run, stage, steps[-1], database_migrations.apply(run, new.paths, new.answer))


def _revert(run: Run, stage: Stage, answer: Answer) -> None:
    """Revert what the release doesn't have: before it starts if it can't work otherwise, else once it is live.

    ``answer``: of the live release.
    """
    unable = bool(answer.ahead_breaking or run.candidate.answer.lacking)
    database_migrations.check_rollback(run, answer, run.candidate.answer)
    if not answer.ahead:
        return
    if not run.request.migrations:
        database_migrations.warn_not_reverted(run, answer)
        return
    wanted = database_migrations.Other.of(run, run.candidate.paths.id)
    assert wanted  # noqa: S101 - a rollback has a release
    live = run.facts.releases[run.facts.current]
    steps = database_migrations.revert(run, run.site.release(run.facts.current), live, wanted)
    if not unable:
        run.database.after_switch = steps
        stage.note(f"{count(len(answer.ahead), 'migration')} to revert after the switch")
        return
    run.report.warn(f"{run.facts.current} may fail until the switch, because its migrations are being reverted.")
    run.database.reverted = True
    run.progress.undo.push_of_database(partial(recovery.reapply, run))
    run.database.after_switch = [database_migrations.record_behind(run, False)]
    again = database_migrations.questions(
        run, run.candidate.paths, run.candidate.record, database_migrations.Other.of(run, run.facts.current)
    )
    *_, asked = run.apply(stage, [database_migrations.record_behind(run, True), *steps, *again])
    run.candidate.django = Answer.parse(asked.answer)
    database_migrations.refuse_incompatible(run, run.candidate.answer)
    stage.note(f"{count(len(answer.ahead), 'migration')} reverted")

"""prepare: check the project, collect static files, migrate."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from functools import partial

from ...core.errors import ConnectionLost, PortsideError, Refused, StepFailed
from ...core.report import Stage, count
from ...core.steps import Step, script, write
from ...releases import compose, django, django_errors, environment, record, routes
from ...releases.answer import Answer
from ...ssh.results import Result
from .. import migrations, recovery
from .. import record as run_record
from ..context import Run


def prepare(run: Run, stage: Stage) -> None:
    """Ask the new image what it needs. Check that, collect static files, and apply migrations."""
    settings, facts, new = run.settings, run.facts, run.candidate
    module = new.source.settings_module()
    below = new.source.manage
    live = migrations.Other.of(run, facts.current)
    ask = migrations.ask(new.paths, below, live, settings.application)
    check = migrations.ask(new.paths, below, live, settings.application, check=True)
    *_, asked = run.apply(stage, [*compose.release_steps(settings, new.paths, facts, module), check])
    new.django = Answer.parse(asked.answer).masked(run.report.mask)
    _check_answer(run, stage, asked)
    new.routes = replace(routes.of(settings, new.answer), names=django.names(settings, new.answer))
    _report_findings(run)
    migrations.check(run, new.answer)
    steps = compose.release_steps(settings, new.paths, facts, module, new.answer)
    if not module:
        steps.append(environment.made_environment_step(settings, new.paths, new.answer.settings_module))
    pending = write(new.paths.pending, record.as_json(run_record.of_run(run), indent=2))
    listing = write(new.paths.listing, new.source.listing, 0o600)
    steps += [pending, listing, *_collect(run), *migrations.apply(run, new.paths, new.answer)]
    results = [asked, *migrate(run, stage, ask, steps)]
    for line in dict.fromkeys(line for result in results for line in result.output):
        if re.match(r"\S+: \(\S+\.W\d+\)", line):
            run.report.warn(run.report.mask(line))


def migrate(run: Run, stage: Stage, ask: Step, steps: list[Step]) -> list[Result]:
    """Run steps that end with migrations. After a failure, ask the database how far they came."""
    run.progress.undo.push(partial(recovery.revert, run))
    try:
        results = run.apply(stage, steps)
    except StepFailed as error:
        if run.candidate.answer.pending and error.step == steps[-1].name:
            _find_applied(run, stage, ask)
        raise
    except (KeyboardInterrupt, ConnectionLost):
        run.database.unknown = True
        raise
    pending = run.candidate.answer.pending
    run.database.applied = pending
    again = "migrate ran anyway" if migrations.must_migrate(run, run.candidate.answer) else "no migrations"
    stage.note(f"{count(len(pending), 'migration')} applied" if pending else again)
    return results


def _find_applied(run: Run, stage: Stage, ask: Step) -> None:
    with suppress(PortsideError), run.server.quietly():
        (result,) = run.apply(stage, [ask])
        left = Answer.parse(result.answer).pending
        run.database.applied = tuple(name for name in run.candidate.answer.pending if name not in left)
        run.database.failed_at = left[0] if left else ""


def _check_answer(run: Run, stage: Stage, asked: Result) -> None:
    """Continue only if the project starts and uses the site's database and other services."""
    answer = run.candidate.answer
    try:
        django.check(run.settings, run.site, answer)
    except Refused as error:
        error.hint = f"{error.hint}\nThen run {run.again()} again.".lstrip()
        raise
    except PortsideError as error:
        error.hint = f"{error.hint}\nThen run {run.again()} again.".lstrip()
        if django_errors.is_clear(answer):
            raise
        lines = [run.report.mask(line) for line in asked.output if line.strip()]
        failed = StepFailed(run.server.target, stage.name, asked.step.name, 1, lines)
        failed.message, failed.hint = f"{failed.message}\n{error.message}", error.hint
        raise failed from None


def _report_findings(run: Run) -> None:
    """Warn of what works, but perhaps not as intended."""
    answer = run.candidate.answer
    if answer.applied and not run.facts.current:
        before = f"it already has {count(answer.applied, 'applied migration')}"
        run.report.warn(f"No release is live, but the database isn't new: {before}.")
    for line in django.warnings(run.settings, answer):
        run.report.remind(line)
    if others := django.other_databases(answer):
        run.report.say(f"  databases that Portside doesn't manage: {others}")
    code = answer.folder.removesuffix(run.candidate.source.manage).rstrip("/")
    static = answer.static_root if run.settings.collectstatic else ""
    for name, root in (("STATIC_ROOT", static), ("MEDIA_ROOT", answer.media_root)):
        below = f"{root}/".removeprefix(f"{code}/")
        if any(path.startswith(below) for path in run.candidate.source.files):
            run.report.warn(f"{name} ({root}) has files tracked by git. The server's own folder hides them.")


def _collect(run: Run) -> list[Step]:
    """Return the step for static files and DEPLOY_BEFORE, if there is either."""
    settings = run.settings
    names = ["Collect static files"] * settings.collectstatic + ["Run DEPLOY_BEFORE"] * bool(settings.before)
    static = run.candidate.paths.static if settings.collectstatic else ""
    step = script(
        ", ".join(names),
        "prepare",
        sign="+",
        compose=run.candidate.paths.compose,
        manage=run.candidate.answer.manage,
        static=static,
        pool=run.site.live_static,
        before=settings.before or "",
    )
    return [step] if names else []

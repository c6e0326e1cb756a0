"""build: build or pull the image of the new release, unless exactly this is live."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ...build import delta, image, source, tracked
from ...build import errors as build_errors
from ...core.errors import PortsideError, StepFailed
from ...core.report import Stage, count
from ...core.steps import Content
from ...releases import history, record
from ...ssh.results import Result
from .. import ownership, recovery, ship_image, site_health
from ..context import Run

WORTH_ASKING = 1_000_000
"""Bytes of a project. Asking which files the server has costs a round trip. A smaller project is sent sooner."""


def build(run: Run, stage: Stage) -> None:
    """Build the image of this source and name the release. If exactly this is live, the later stages have nothing to
    do."""
    if run.settings.pulls:
        _pull(run, stage)
    if is_live(run, stage):
        return
    if run.settings.build == "local":
        begin(run, stage)
        results = ship_image.make(run, stage)
    else:
        results = _build_on_server(run, stage)
    run.candidate.record["digest"] = results[-1].answer["digest"]


def _build_on_server(run: Run, stage: Stage) -> list[Result]:
    """Build the image on the server, from the files that are sent and those that the last build left there."""
    begin(run, stage)
    files, there = image.recipe(run.settings, run.candidate.source, run.candidate.paths).files, set[str]()
    if run.facts.current and delta.size(files) >= WORTH_ASKING:
        there = files_on_server(run, stage, run.site.context, files)
        stage.note(f"{len(files) - len(there)} of {count(len(files), 'file')} sent")
    step = image.build(run.settings, run.candidate.source, run.candidate.paths, there)
    try:
        return run.apply(stage, [*ownership.claim_name(run), step], big=True)
    except StepFailed as error:
        raise _build_failed(run, error) if error.step == step.name else error from None


def _build_failed(run: Run, error: StepFailed) -> StepFailed:
    """Return the failure with its cause, and the fix if it is known."""
    own = bool(not run.settings.pulls and image.own_dockerfile(run.settings, run.candidate.source))
    fix = build_errors.hint_for_build(error.lines, own_dockerfile=own)
    lines = build_errors.of_build(error.lines)
    failed = StepFailed(run.server.target, "build", error.step, error.status, lines)
    failed.hint = f"{fix}\nThen run {run.again()} again." if fix else ""
    return failed


def files_on_server(run: Run, stage: Stage, folder: str, files: Mapping[str, Content]) -> set[str]:
    """Return which of the files the server's folder already has."""
    (compared,) = run.apply(stage, [delta.compare(folder, files)])
    return delta.there(files, compared.answer)


def _pull(run: Run, stage: Stage) -> None:
    """Pull the image of DEPLOY_BUILD. Only a pull shows whether a tag has moved. A digest that is live isn't pulled
    again."""
    run.candidate.project = source.of_image(run.settings, run.settings.build.partition("@")[2])
    if record.is_live(run.facts, run.settings, run.candidate.source):
        return
    (pulled,) = run.apply(stage, [image.pull(run.settings, run.site)])
    run.candidate.project = source.of_image(run.settings, pulled.answer["digest"])
    stage.note(f"{run.settings.build} is {run.candidate.source.digest[:12]}")


def is_live(run: Run, stage: Stage) -> bool:
    """Return whether exactly this is live. The later stages then only apply changed settings."""
    if not record.is_live(run.facts, run.settings, run.candidate.source):
        if why := record.made_again(run.facts, run.settings, run.candidate.source):
            run.report.warn(why)
        return False
    if not run.settings.containers and site_health.fault(run):  # a new release restores missing files
        return False
    run.candidate.unchanged = True
    run.candidate.routes = record.renamed(history.live(run.facts), run.settings)
    stage.note(f"{run.facts.current} is live and up to date")
    return True


def begin(run: Run, stage: Stage) -> None:
    """Name the new release. It may have something on the server from now on."""
    if moved := run.candidate.source.moved_on():
        raise PortsideError(f"These files changed on this machine during the deploy: {tracked.some(moved)}.")
    run.candidate.release = run.site.release(history.identity(run.facts, run.candidate.source))
    recovery.begin(run, partial(recovery.discard, run))
    stage.note(run.candidate.paths.id)

"""The stages of a static site that are others than an application's: build and gate."""

from __future__ import annotations

from ...core.report import Stage, count
from ...releases import static_site
from .. import ownership
from ..context import Run
from . import build as stages_build


def build(run: Run, stage: Stage) -> None:
    """The release's files, sent as far as the live release hasn't got them, and compressed."""
    if stages_build.is_live(run, stage):
        return
    files = static_site.served_files(run.candidate.source)
    there = stages_build.files_on_server(run, stage, run.site.live_static, files) if run.facts.current else set()
    stages_build.begin(run, stage)
    run.candidate.routes = static_site.routes(run.settings)
    placed = static_site.place(run.candidate.paths, run.candidate.source, there)
    run.apply(stage, [*ownership.claim_name(run), *placed], big=True)
    stage.note(count(len(files), "file"))


def healthcheck(run: Run, stage: Stage) -> None:
    """The health check's path shows something. A release in which it doesn't never gets a visitor."""
    run.apply(stage, [static_site.gate(run.candidate.paths, run.settings.health_path, run.settings.fallback)])
    stage.note(f"{run.settings.health_path} is there")

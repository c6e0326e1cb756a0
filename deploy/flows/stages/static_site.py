"""The stages of a static site that differ from an application's: build and healthcheck."""

from __future__ import annotations

from ...core.report import Stage, count
from ...releases import static_site
from .. import ownership
from ..context import Run
from . import build as stages_build


def build(run: Run, stage: Stage) -> None:
    """Send the release's files that the live release doesn't have, and compress them."""
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
    """Check that the health check's path shows something. Otherwise, the release never gets a visitor."""
    run.apply(stage, [static_site.gate(run.candidate.paths, run.settings.health_path, run.settings.fallback)])
    stage.note(f"{run.settings.health_path} exists")

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
    files = static_site.served_files(run.source)
    there = stages_build.has(run, stage, run.site.live_static, files) if run.facts.current else set()
    stages_build.begin(run, stage)
    run.served = static_site.served(run.settings)
    run.apply(stage, [*ownership.claim_name(run), *static_site.place(run.new, run.source, there)], big=True)
    stage.note(count(len(files), "file"))


def gate(run: Run, stage: Stage) -> None:
    """The health check's path shows something. A release in which it doesn't never gets a visitor."""
    if run.unchanged:
        stage.skipped = True
        return
    run.apply(stage, [static_site.gate(run.new, run.settings.health_path, run.settings.fallback)])
    stage.note(f"{run.settings.health_path} is there")

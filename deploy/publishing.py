"""The stages of a static site that are others than an application's: build and gate."""

from __future__ import annotations

from . import owner, stages, static
from .report import Stage, count
from .run import Run


def build(run: Run, stage: Stage) -> None:
    """The release's files, sent as far as the live release hasn't got them, and compressed."""
    if stages.is_live(run, stage):
        return
    files = static.served_files(run.source)
    there = stages.has(run, stage, run.site.live_static, files) if run.facts.current else set()
    stages.begin(run, stage)
    run.served = static.served(run.settings)
    run.apply(stage, [*owner.claim_name(run), *static.place(run.new, run.source, there)], big=True)
    stage.note(count(len(files), "file"))


def gate(run: Run, stage: Stage) -> None:
    """The health check's path shows something. A release in which it doesn't never gets a visitor."""
    if run.unchanged:
        stage.skipped = True
        return
    run.apply(stage, [static.gate(run.new, run.settings.health_path, run.settings.fallback)])
    stage.note(f"{run.settings.health_path} is there")


STAGES = {"build": build, "gate": gate}

"""The release's record, as far as this run knows it."""

from __future__ import annotations

from typing import Any

from ..build import image
from ..nginx import hostnames
from ..releases import compose as compose_file
from ..releases import record
from .context import Run


def of_run(run: Run) -> dict[str, Any]:
    """The release's record: of one that was good before, its own with the ports it has now."""
    if run.command == "rollback":
        names = hostnames.noted(run.served.names) if run.served.names else {}
        started = {"ports": list(run.served.ports), **names}
        return run.record | started | record.of_database(getattr(run, "answer", None))
    made = {}
    if run.settings.containers:
        dependencies = image.dependencies(run.settings, run.source)
        compose = compose_file.release_compose(run.settings, run.new, run.facts, run.answer)
        made = record.of_application(run.answer, run.record["digest"], dependencies, compose)
    return record.record(run.new.id, run.settings, run.source, run.facts, run.served, made)

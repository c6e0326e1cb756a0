"""The release's record, as far as this run knows it."""

from __future__ import annotations

from typing import Any

from ..build import image
from ..nginx import hostnames
from ..releases import compose as compose_file
from ..releases import record
from .context import Run


def of_run(run: Run) -> dict[str, Any]:
    """Return the release's record. For an existing release it is its own record with its present ports."""
    if not run.request.flow.builds:
        names = hostnames.noted(run.candidate.routes.names) if run.candidate.routes.names else {}
        started = {"ports": list(run.candidate.routes.ports), **names}
        return run.candidate.record | started | record.of_database(run.candidate.django)
    made = {}
    if run.settings.containers:
        dependencies = image.dependencies(run.settings, run.candidate.source)
        compose = compose_file.release_compose(run.settings, run.candidate.paths, run.facts, run.candidate.answer)
        made = record.of_application(run.candidate.answer, run.candidate.record["digest"], dependencies, compose)
    new = run.candidate
    return record.record(new.paths.id, run.settings, new.source, run.facts, new.routes, made)

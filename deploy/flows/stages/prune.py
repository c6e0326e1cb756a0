"""prune: remove old releases."""

from __future__ import annotations

from ...core.report import Stage
from .. import disk_space
from ..context import Run


def prune(run: Run, stage: Stage) -> None:
    """Remove releases beyond DEPLOY_KEEP and what interrupted deploys left."""
    (result,) = run.apply(stage, [disk_space.prune(run)])
    stage.note(result.why if result.state == "unchanged" else disk_space.pruned(result.answer or {}))

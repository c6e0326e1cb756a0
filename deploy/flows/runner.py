"""The runner: run the stages of a flow in order, under one report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ..config.settings import Settings
from ..core import logfile
from ..core.errors import ConnectionLost, PortsideError, Stopped
from ..core.report import Stage
from . import migrations, outcome, recovery
from .context import Run
from .flow import Flow
from .progress import Phase
from .stages.registry import STAGES


def stages_of(flow: Flow, settings: Settings) -> tuple[str, ...]:
    """Return the stages of a flow that apply to a site of this kind."""
    return tuple(name for name in flow.stages if settings.containers or not STAGES[name].containers)


def follow(run: Run) -> None:
    """Run the stages of the request's flow. Undo and explain a failure."""
    run.report.log = logfile.begin(run.site.name, run.request.command, run.server.target)
    with run.progress.stack, _logged(run):
        for name in stages_of(run.request.flow, run.settings):
            try:
                run.progress.report_stage(name)
                run.progress.wait_turn(name)
                with run.report.stage(name) as stage:
                    do(run, stage)
            except PortsideError as error:
                if not isinstance(error, ConnectionLost):
                    _undo(run, f"another server, before {name}" if isinstance(error, Stopped) else name)
                outcome.explain(run, error)
                raise
            except KeyboardInterrupt:
                if name != "migrations" and (run.database.reverted or migrations.breaking_live(run)):
                    _undo(run, name)
                raise outcome.interrupted(run, name) from None


def do(run: Run, stage: Stage) -> None:
    """Run one stage, unless exactly this is live and the stage has nothing to do then."""
    definition = STAGES[stage.name]
    if run.candidate.unchanged and not definition.when_unchanged:
        stage.skipped = True
        return
    definition.of(run.settings)(run, stage)


def _undo(run: Run, stage: str) -> None:
    """Undo the run, unless the server finishes it on its own or the release is live."""
    if run.phase is Phase.CANDIDATE:
        run.progress.undo.run(stage)
        run.progress.undo.attempt(partial(recovery.check_live, run), stage)


@contextmanager
def _logged(run: Run) -> Iterator[None]:
    """Write a failure to the log as its last line, and add the log's path to the error."""
    try:
        yield
    except PortsideError as error:
        error.mask(run.report.mask.own)
        run.report.note(str(error))
        error.log = str(run.report.log.path) if run.report.log else ""
        raise

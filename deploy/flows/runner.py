"""Flows: a task is a tuple of stage names, run one after the other under one report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..config.settings import Settings
from ..core import logfile
from ..core.errors import Lost, PortsideError, Stopped
from ..core.report import Stage
from . import migrations, outcome, recovery
from .context import Run
from .stages.registry import OF_STATIC_SITES, STAGES

OF_CONTAINERS = ("data", "prepare", "migrations", "start")  # a folder of files has none of these


def stages_of(flow: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    """The stages of a flow that a site of this kind goes through."""
    return flow if settings.containers else tuple(name for name in flow if name not in OF_CONTAINERS)


def follow(flow: tuple[str, ...], run: Run) -> None:
    """Run the stages. A failure takes away what the new release left, and says what is so now."""
    run.report.log = logfile.begin(run.site.name, run.command, run.server.target)
    with run.stack, _logged(run):
        for name in stages_of(flow, run.settings):
            try:
                run.tell(name)
                run.turn(name)
                with run.report.stage(name) as stage:
                    stage_of(name, run.settings)(run, stage)
            except PortsideError as error:
                if not isinstance(error, Lost):
                    _undo(run, f"another server, before {name}" if isinstance(error, Stopped) else name)
                outcome.explain(run, error)
                raise
            except KeyboardInterrupt:
                if name != "migrations" and (run.behind or migrations.disturbing(run)):
                    _undo(run, name)
                raise outcome.interrupted(run, name) from None


@contextmanager
def _logged(run: Run) -> Iterator[None]:
    """What fails inside is the log's last line, and says where that is."""
    try:
        yield
    except PortsideError as error:
        error.mask(run.report.mask.own)
        run.report.note(str(error))
        error.log = str(run.report.log.path) if run.report.log else ""
        raise


def stage_of(name: str, settings: Settings) -> Callable[[Run, Stage], None]:
    """The stage of this name, for a site of this kind."""
    return STAGES[name] if settings.containers else OF_STATIC_SITES.get(name, STAGES[name])


def _undo(run: Run, stage: str) -> None:
    """Take away what the run has begun. Failures of that are reported, and the next run clears them.

    A release that was good once is only stopped; one whose migrations couldn't be taken back stays too, since it alone
    can do that.
    """
    if not run.release or run.switched or run.unattended:
        return
    kept = not _undone(run, recovery.take_back, run) or not run.begun
    _undone(run, recovery.stop if kept else recovery.discard, run, stage)
    _undone(run, recovery.forward_again, run)
    _undone(run, recovery.close, run)
    _undone(run, recovery.ask_live, run)


def _undone(run: Run, act: Callable[..., None], *arguments: Any) -> bool:
    """Whether one part of that came to its end."""
    try:
        act(*arguments)
    except PortsideError as error:
        run.not_undone.append(recovery.why(error))
        return False
    return True

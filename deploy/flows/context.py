"""Run: one run of a flow against one server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..config.settings import Settings
from ..core.facts import Facts
from ..core.paths import Site
from ..core.report import Report, Stage
from ..core.steps import Step
from ..ssh.results import Result
from ..ssh.server import Server
from .candidate import Candidate
from .database_change import DatabaseChange
from .progress import Phase, Progress
from .request import Request

if TYPE_CHECKING:
    from .restarts import ExitingContainer


@dataclass
class Health:
    """The health of the live release. ``fault``: the error that visitors get, or empty; ``restart_all``: restart all of
    its containers; ``failing``: containers that keep exiting."""

    fault: str = ""
    restart_all: bool = False
    failing: list[ExitingContainer] = field(default_factory=list)


@dataclass
class Run:
    """One run of a flow against one server: the request, and what its stages have found out and done."""

    request: Request
    settings: Settings
    server: Server
    report: Report
    facts: Facts = field(default_factory=lambda: Facts.parse(""))
    candidate: Candidate = field(default_factory=Candidate)
    database: DatabaseChange = field(default_factory=DatabaseChange)
    health: Health = field(default_factory=Health)
    phase: Phase = Phase.UNTOUCHED
    progress: Progress = field(default_factory=Progress)

    @property
    def site(self) -> Site:
        """Return the site's names and paths on the server."""
        return Site(self.settings.site)

    @property
    def watched(self) -> list[str]:
        """Return the files of the server that the facts describe."""
        from ..host import provision  # noqa: PLC0415 - a run starts to connect before everything is imported

        site = self.site
        own = [site.settings, site.data_compose, site.data_password, site.data_ready, site.data_open, site.record]
        return [*provision.watched(), *own, site.acme_dns(), site.live_compose]

    def fab(self, task: str, **options: object) -> str:
        """Return the command of another task for this site on this server."""
        return self.request.fab(task, **options)

    def again(self, **more: object) -> str:
        """Return the command that repeats this one."""
        return self.request.again(**more)

    def look(self) -> None:
        """Read the server's facts."""
        self.facts = self.server.facts(self.site, self.watched).masked(self.report.mask)

    def apply(
        self, stage: Stage, steps: list[Step], *, lock: str = "", big: bool = False, detached: bool = False
    ) -> list[Result]:
        """Apply steps on the server, and record what they changed."""
        results = self.server.apply(steps, stage=stage.name, lock=lock, big=big, detached=detached)
        changed = [result.step.name for result in results if result.state == "changed"]
        self.progress.changed += [{"stage": stage.name, "step": name} for name in changed]
        return results

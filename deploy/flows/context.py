"""Run: one run of a flow against one server."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..config.settings import Settings
from ..core.commandline import words
from ..core.errors import PortsideError
from ..core.facts import Facts
from ..core.paths import ReleasePaths, Site
from ..core.report import Report, Stage
from ..core.steps import Step
from ..nginx.routing import Served
from ..ssh.results import Result
from ..ssh.server import Server

if TYPE_CHECKING:
    from ..build.source import Source
    from ..certs.acme import Authority
    from ..releases.answer import Answer
    from .losses import Loss
    from .restarts import Ending


@dataclass
class Run:
    """One run of a flow against one server: what is given, and what its stages found out."""

    settings: Settings
    site: Site
    server: Server
    report: Report
    command: str
    ref: str = ""
    to: str = ""
    wait: bool = False  # for another's lock
    allow_breaking: bool = False  # migrations that break the live release, or the one to go back to
    migrations: bool = False  # a rollback takes back those that its release doesn't know
    drop: str = ""  # comma-separated: what the last deploy had, and may fall away
    yes: bool = False  # nobody need be asked before a site is taken away
    only_told: bool = False  # nothing is done, on this machine neither
    staging: bool = False  # a certificate that only proves it could be issued
    env: str = ".env"
    name: str = ""  # of several servers, this one's
    hosts: tuple[str, ...] = ()  # all servers of the command, for the last of them to tell
    started: float = field(default_factory=time.monotonic)
    stack: ExitStack = field(default_factory=ExitStack)
    facts: Facts = field(init=False)
    source: Source = field(init=False)
    authority: Authority = field(init=False)
    release: ReleasePaths | None = None
    answer: Answer = field(init=False)
    served: Served = field(default_factory=Served)
    record: dict[str, Any] = field(default_factory=dict)
    begun: bool = False  # the release has something on the server
    unattended: bool = False  # the server is going live by itself
    switched: bool = False
    unchanged: bool = False
    certificate: str = ""  # that Nginx showed when the run began (PEM)
    database_restarted: str = ""  # what for
    two_passwords: bool = False  # the new release has another for the database than the live one
    anew: bool = False  # the live release is started anew
    migrated: tuple[str, ...] = ()
    losses: tuple[Loss, ...] | None = None  # what falls away by this run; None before anybody has looked
    broke_off: str = ""  # the migration that failed
    broken_in: bool = False  # interrupted, or the connection lost: nobody knows how far they came
    ending: list[Ending] = field(default_factory=list)  # containers that keep ending
    not_undone: list[str] = field(default_factory=list)  # what failed at taking away what the run had begun
    live_fault: str = ""  # what visitors of the live release got after that, if it isn't well
    behind: bool = False  # migrations of the live release are taken back
    afterwards: list[Step] = field(default_factory=list)  # what a rollback does to the database after the switch
    changes: int = 0
    changed: list[dict[str, str]] = field(default_factory=list)  # the steps that changed something: stage and step
    tell: Callable[[str], None] = lambda stage: None  # tells the holder of the lock where we are
    turn: Callable[[str], None] = lambda stage: None  # waits, of several servers, until this one may begin a stage

    @property
    def new(self) -> ReleasePaths:
        if self.release is None:
            raise PortsideError("There is no new release in this run.")
        return self.release

    @property
    def options(self) -> dict[str, Any]:
        """With which options this would be done again. A rollback names its release, since the one before the live one
        may be another by then."""
        names = ("env", "ref", "to", "wait", "allow_breaking", "migrations", "drop", "yes", "staging")
        chosen: dict[str, Any] = {"to": self.release.id} if self.command == "rollback" and self.release else {}
        if self.only_told:  # a plan allows itself to look further
            chosen["allow_breaking"] = False
        return {name: getattr(self, name) for name in names} | chosen

    def again(self, **more: Any) -> str:
        """What to type to do this again."""
        return self.fab(self.command, **self.options | more)

    def fab(self, task: str, **options: Any) -> str:
        """What to type for another task for this site on this server: without -H where it goes there anyway."""
        target = self.server.target
        return words(task, {"env": self.env} | options, *(() if self.settings.hosts == (target,) else (target,)))

    @property
    def watched(self) -> list[str]:
        """Files of the server whose state is a fact."""
        from ..host import provision  # noqa: PLC0415 - as above

        site = self.site
        own = [
            site.settings,
            site.data_compose,
            site.data_password,
            site.data_ready,
            site.data_open,
            site.record,
            site.acme_dns(),
            site.live_compose,
        ]
        return [*provision.watched(), *own]

    def look(self) -> None:
        """Read the server's facts, again if need be."""
        self.facts = self.server.facts(self.site, self.watched).masked(self.report.mask)

    def apply(
        self, stage: Stage, steps: list[Step], *, lock: str = "", big: bool = False, detached: bool = False
    ) -> list[Result]:
        results = self.server.apply(steps, stage=stage.name, lock=lock, big=big, detached=detached)
        changed = [result.step.name for result in results if result.state == "changed"]
        self.changes += len(changed)
        self.changed += [{"stage": stage.name, "step": name} for name in changed]
        return results

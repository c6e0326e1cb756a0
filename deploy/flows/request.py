"""Request: what a user asked for, and the command that repeats it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.commandline import words
from .flow import FLOWS, NONE, TRIAL, Flow

REPEATED = ("env", "ref", "to", "wait", "allow_breaking", "migrations", "drop", "yes", "staging")
"""Options that a command keeps when it is repeated."""


@dataclass(frozen=True)
class Request:
    """A command, its options and its server.

    ``ref``: the commit to deploy. ``to``: the release to roll back to. ``wait``: wait for another deploy to release the
    lock. ``allow_breaking``: run migrations that break the live release. ``migrations``: revert those that the older
    release doesn't have. ``drop``: comma-separated, what the last deploy had and this one may remove. ``yes``: don't
    ask before a removal. ``staging``: order a test certificate only. ``dry_run``: change nothing, on this machine
    neither. ``name``: the server's name in the output, if there are several. ``hosts``: all servers of the command, in
    the request of the last one. ``target``: the server as -H takes it; empty if ``.env`` sets it.
    """

    command: str
    ref: str = ""
    to: str = ""
    wait: bool = False
    allow_breaking: bool = False
    migrations: bool = False
    drop: str = ""
    yes: bool = False
    staging: bool = False
    dry_run: bool = False
    env: str = ".env"
    name: str = ""
    hosts: tuple[str, ...] = ()
    target: str = ""

    @property
    def flow(self) -> Flow:
        """Return the flow of this command."""
        return TRIAL if self.command == "certs" and self.staging else FLOWS.get(self.command, NONE)

    @property
    def options(self) -> dict[str, Any]:
        """Return the options that repeat this command. A plan's own --allow-breaking isn't the user's."""
        return {name: getattr(self, name) for name in REPEATED} | ({"allow_breaking": False} if self.dry_run else {})

    def again(self, **more: Any) -> str:
        """Return the command that repeats this one."""
        return self.fab(self.command, **self.options | more)

    def fab(self, task: str, **options: Any) -> str:
        """Return the command of another task for this site on this server."""
        return words(task, {"env": self.env} | options, *([self.target] if self.target else []))

"""Registry of stages: the name of each, its heading on the screen and in docs/deploying.md, and when it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...config.settings import Settings
from ...core.report import Stage
from ..context import Run
from . import (
    build,
    certs,
    database,
    healthcheck,
    lock,
    preflight,
    prepare,
    provision,
    prune,
    remove,
    rollback,
    start,
    static_site,
    switch,
)

Function = Callable[[Run, Stage], None]


@dataclass(frozen=True)
class Definition:
    """A stage.

    ``static``: its replacement for a static site. ``when_unchanged``: whether it runs although exactly this is live.
    ``containers``: whether static sites skip it.
    """

    function: Function
    static: Function | None = None
    when_unchanged: bool = False
    containers: bool = False

    def of(self, settings: Settings) -> Function:
        """Return the function for a site of this kind."""
        return self.function if settings.containers else self.static or self.function


STAGES: dict[str, Definition] = {
    "preflight": Definition(preflight.preflight),
    "lock": Definition(lock.lock),
    "provision": Definition(provision.provision),
    "build": Definition(build.build, static=static_site.build),
    "database": Definition(database.database, when_unchanged=True, containers=True),
    "prepare": Definition(prepare.prepare, containers=True),
    "start": Definition(start.start, when_unchanged=True, containers=True),
    "healthcheck": Definition(healthcheck.healthcheck, static=static_site.healthcheck),
    "switch": Definition(switch.switch, when_unchanged=True),
    "prune": Definition(prune.prune),
    "choose": Definition(rollback.choose),
    "migrations": Definition(rollback.migrations, containers=True),
    "issue": Definition(certs.issue),
    "edge": Definition(certs.edge),
    "prove": Definition(certs.prove),
    "confirm": Definition(remove.confirm),
    "remove": Definition(remove.remove),
}

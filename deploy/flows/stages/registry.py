"""Every stage by its name: the heading on the screen and in docs/deploy.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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

STAGES: dict[str, Function] = {
    "preflight": preflight.preflight,
    "lock": lock.lock,
    "provision": provision.provision,
    "build": build.build,
    "data": database.data,
    "prepare": prepare.prepare,
    "start": start.start,
    "gate": healthcheck.gate,
    "live": switch.live,
    "prune": prune.prune,
    "choose": rollback.choose,
    "migrations": rollback.migrations,
    "issue": certs.issue,
    "edge": certs.edge,
    "prove": certs.prove,
    "confirm": remove.confirm,
    "remove": remove.remove,
}
OF_STATIC_SITES: Mapping[str, Function] = {"build": static_site.build, "gate": static_site.gate}
"""The stages that a folder of files has in place of an application's."""

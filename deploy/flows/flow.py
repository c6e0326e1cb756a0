"""Flows: what distinguishes the tasks from each other, as data. Stages read a flow, and never a task's name."""

from __future__ import annotations

from dataclasses import dataclass

COMMON_CHECKS = ("version", "host")
"""Checks of every flow that depends on the server's state."""


@dataclass(frozen=True)
class Flow:
    """The stages of a task, and what distinguishes it. Stages and checks have the names of ``stages/registry.py``.

    ``early_checks``: checks before the connection to the server. ``checks``: checks of the server's state. ``builds``:
    makes a release of the project, instead of choosing an existing one. ``installs_certificate``: installs
    DEPLOY_TLS_CERT, or the renewal's settings, on the server. ``reports_losses``: reports what it removes, and refuses
    to remove the site's protections. ``takes_drop``: accepts --drop, which allows that. ``removes``: removes the site,
    so an interrupted run isn't recovered first. ``room_mb``: free space that it needs, in MB; a flow that builds needs
    what its release takes. ``uses_reserve``: continues with little space, and uses the reserve.
    """

    stages: tuple[str, ...]
    early_checks: tuple[str, ...] = ()
    checks: tuple[str, ...] = COMMON_CHECKS
    builds: bool = False
    installs_certificate: bool = False
    reports_losses: bool = False
    takes_drop: bool = False
    removes: bool = False
    room_mb: int = 0
    uses_reserve: bool = False


DISK_NEEDED_MB = 1024
"""Free space on the server that its packages need, in MB."""
ROLLBACK_MB = 64
"""Free space on the server that a rollback needs, in MB. It starts containers, but pulls and builds nothing."""

PROVISION = Flow(
    ("preflight", "provision"),
    checks=(*COMMON_CHECKS, "nginx", "site", "room", "memory", "described"),
    room_mb=DISK_NEEDED_MB,
)
DEPLOY = Flow(
    ("preflight", "lock", "provision", "build", "database", "prepare", "start", "healthcheck", "switch", "prune"),
    early_checks=("project", "own_certificate"),
    checks=(*COMMON_CHECKS, "nginx", "site", "data", "engine", "room", "connections", "memory", "renewal", "described"),
    builds=True,
    installs_certificate=True,
    reports_losses=True,
    takes_drop=True,
)
ROLLBACK = Flow(
    ("preflight", "lock", "choose", "database", "migrations", "start", "healthcheck", "switch"),
    checks=(*COMMON_CHECKS, "nginx_may_be_broken", "site", "data", "room", "described"),
    reports_losses=True,
    takes_drop=True,
    room_mb=ROLLBACK_MB,
    uses_reserve=True,
)
CERTS = Flow(
    ("preflight", "lock", "provision", "issue", "edge", "prove"),
    early_checks=("own_certificate", "certificate_names"),
    checks=(*COMMON_CHECKS, "nginx", "site", "room", "certificate_done", "described"),
    installs_certificate=True,
    reports_losses=True,
    takes_drop=True,
    room_mb=DISK_NEEDED_MB,
)
TRIAL = Flow(
    ("preflight", "lock", "provision", "issue"),
    early_checks=("own_certificate", "certificate_names"),
    checks=(*COMMON_CHECKS, "nginx", "site", "room", "described"),
    room_mb=DISK_NEEDED_MB,
    takes_drop=True,
)
ABORT = Flow(("preflight", "lock"), checks=(*COMMON_CHECKS, "nginx_may_be_broken", "site", "described"))
REMOVE = Flow(
    ("preflight", "confirm", "lock", "remove"),
    early_checks=("terminal",),
    checks=("version", "removal", "nginx"),
    removes=True,
)
NONE = Flow(())
"""The flow of a command that changes no release, such as logs."""

FLOWS = {
    "provision": PROVISION,
    "deploy": DEPLOY,
    "rollback": ROLLBACK,
    "certs": CERTS,
    "abort": ABORT,
    "remove": REMOVE,
}

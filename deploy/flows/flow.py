"""Flows: what sets one task apart from another, as data. Stages read it, and never the name of the task."""

from __future__ import annotations

from dataclasses import dataclass

COMMON_CHECKS = ("version", "host")
"""Checks of every flow that goes by what the server has."""


@dataclass(frozen=True)
class Flow:
    """A task's stages, and what sets it apart. Stages and checks are named as in ``stages/registry.py``.

    ``early_checks``: checks before the server is reached. ``checks``: checks of what the server is like.
    ``builds``: makes a release of the project, in place of choosing one that is there.
    ``installs_certificate``: puts the certificate of DEPLOY_TLS_CERT, or its renewal's settings, on the server.
    ``reports_losses``: reports what falls away, and refuses what protects the site. ``takes_drop``: unless --drop
    names it.
    ``removes``: removes the site, so that nothing of an interrupted run is recovered.
    ``room_mb``: free space that it needs; a flow that builds needs what its release takes.
    ``uses_reserve``: goes on with little space, and uses the reserve.
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
"""Free space on the server that its packages need."""
ROLLBACK_MB = 64
"""Free space on the server that a rollback needs: it starts containers, and pulls or builds nothing."""

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
"""Of a command that changes no release, such as logs."""

FLOWS = {
    "provision": PROVISION,
    "deploy": DEPLOY,
    "rollback": ROLLBACK,
    "certs": CERTS,
    "abort": ABORT,
    "remove": REMOVE,
}

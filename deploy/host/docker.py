"""The Docker Engine of the server."""

from __future__ import annotations

import json

from ..core import server_paths
from ..core.facts import Facts, version

COMPOSE_NEEDED = (2, 20)


def engine_silent(facts: Facts) -> list[str]:
    """An engine that is installed and stopped isn't replaced by another."""
    installed = facts.packages & {"docker.io", "docker-ce"}
    if facts.docker_version or not installed:
        return []
    return [f"{', '.join(sorted(installed))} is installed but doesn't answer: systemctl status docker says why."]


def no_engine(facts: Facts) -> list[str]:
    """Why there can't be an engine as we need it."""
    reasons = engine_silent(facts)
    if facts.swarm not in {"", "inactive"}:
        reasons.append(
            "Docker is in swarm mode here, and wouldn't start after the next boot with live-restore, which Portside "
            "switches on. Use another server; or, if nothing of the swarm is needed: docker swarm leave --force."
        )
    if facts.os_id == "debian" and facts.os_version == "12" and version(facts.compose_version) < COMPOSE_NEEDED:
        reasons.append(
            f"{facts.os_name} has Docker Compose v1 only, which is no longer maintained. Upgrade to Debian 13, or "
            "install docker-ce, docker-compose-plugin and docker-buildx-plugin from Docker's own repository."
        )
    if facts.daemon_json and merged_daemon_json(facts) is None:
        reasons.append(
            f"{server_paths.DAEMON_JSON} is no JSON object, so nothing can be merged into it: mend it by hand."
        )
    return reasons


def merged_daemon_json(facts: Facts) -> str | None:
    """The engine's settings with ours in them; None where they can't be read."""
    try:
        present = json.loads(facts.daemon_json or "{}")
    except ValueError:
        return None
    if not isinstance(present, dict):
        return None
    if present.get("live-restore") is True:
        return facts.daemon_json
    return json.dumps(present | {"live-restore": True}, indent=4) + "\n"

"""The server's Docker Engine."""

from __future__ import annotations

import json

from ..core import server_paths
from ..core.facts import Facts, version

COMPOSE_NEEDED = (2, 20)


def engine_silent(facts: Facts) -> list[str]:
    """Return a sentence if the engine is installed but doesn't answer; none otherwise. It isn't replaced by another."""
    installed = facts.packages & {"docker.io", "docker-ce"}
    if facts.docker_version or not installed:
        return []
    return [f"{', '.join(sorted(installed))} is installed but doesn't answer. systemctl status docker shows why."]


def no_engine(facts: Facts) -> list[str]:
    """Return why the server can't run the engine that Portside needs, one sentence for each reason."""
    reasons = engine_silent(facts)
    if facts.swarm not in {"", "inactive"}:
        reasons.append(
            "Docker is in swarm mode on this server. Portside enables live-restore, with which such a Docker doesn't "
            "start at boot. Use another server or, if the swarm isn't needed, run docker swarm leave --force."
        )
    if facts.os_id == "debian" and facts.os_version == "12" and version(facts.compose_version) < COMPOSE_NEEDED:
        reasons.append(
            f"{facts.os_name} has Docker Compose v1 only, which is no longer maintained. Upgrade to Debian 13, or "
            "install docker-ce, docker-compose-plugin and docker-buildx-plugin from Docker's own repository."
        )
    if facts.daemon_json and merged_daemon_json(facts) is None:
        reasons.append(
            f"{server_paths.DAEMON_JSON} isn't a JSON object, so Portside can't add its settings. Fix the file."
        )
    return reasons


def merged_daemon_json(facts: Facts) -> str | None:
    """Return the engine's settings with Portside's added; None if they can't be parsed."""
    try:
        present = json.loads(facts.daemon_json or "{}")
    except ValueError:
        return None
    if not isinstance(present, dict):
        return None
    if present.get("live-restore") is True:
        return facts.daemon_json
    return json.dumps(present | {"live-restore": True}, indent=4) + "\n"

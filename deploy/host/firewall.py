"""The firewall."""

from __future__ import annotations

from ..config.settings import Settings
from ..core.facts import Facts
from ..core.steps import Step, script
from ..nginx import http3


def firewall(settings: Settings, facts: Facts) -> list[Step]:
    if not settings.firewall:
        return []
    # If it is active, it already allows our SSH connection, perhaps by a stricter rule, which is kept.
    ports = [80, 443] if facts.ufw == "active" else [facts.ssh_port, 80, 443]
    missing = [port for port in ports if facts.ufw != "active" or f"allow {port}/tcp" not in facts.ufw_rules]
    words = [f"{port}/tcp" for port in missing]
    shown = f"TCP port{'s' * (len(missing) > 1)} {', '.join(map(str, missing))}"
    steps = [script(f"Open {shown} in the firewall", "firewall", sign="~", what="open", ports=words)] if missing else []
    return steps + http3.firewall(settings, facts)

"""The firewall."""

from __future__ import annotations

from ..config.settings import Settings
from ..core.facts import Facts
from ..core.steps import Step, script
from ..nginx import http3


def firewall(settings: Settings, facts: Facts) -> list[Step]:
    if not settings.firewall:
        return []
    # Where it is active it lets us in already, perhaps us alone: that rule is its owner's.
    ports = [80, 443] if facts.ufw == "active" else [facts.ssh_port, 80, 443]
    missing = [port for port in ports if facts.ufw != "active" or f"allow {port}/tcp" not in facts.ufw_rules]
    shown, words = ", ".join(map(str, missing)), [f"{port}/tcp" for port in missing]
    steps = [script(f"Firewall: {shown} open", "firewall", "open", *words)] if missing else []
    return steps + http3.firewall(settings, facts)

"""HTTP/3: whether the server supports it, and its UDP port 443 in the firewall."""

from __future__ import annotations

from collections.abc import Iterable

from ..config.settings import Settings
from ..core import server_paths
from ..core.facts import Facts, Listener, version
from ..core.paths import Site
from ..core.steps import Step, script

PORT = 443
OPENED = f"allow {PORT}/udp comment 'Portside: HTTP/3'"  # as ufw prints the rule that firewall.sh adds


def supported(facts: Facts) -> bool:
    """Whether the server's Nginx was built with HTTP/3."""
    return "--with-http_v3_module" in facts.nginx_version


def unable(settings: Settings, facts: Facts) -> str:
    """Return a warning if the site wants HTTP/3 but the server doesn't support it; otherwise empty."""
    if not settings.http3 or supported(facts) or not facts.nginx_version:
        return ""
    found = ".".join(map(str, version(facts.nginx_version)))
    return (
        f"DEPLOY_HTTP3: this server's Nginx {found} was built without HTTP/3 (Debian 13's has it). Visitors use "
        "HTTP/2 and HTTP/1.1, as without the setting."
    )


def port_conflicts(settings: Settings, listeners: Iterable[Listener]) -> list[str]:
    """Return which other programs use the port if the site needs it, one sentence for each."""
    if not settings.http3:
        return []
    return [
        f"UDP port {PORT}, which DEPLOY_HTTP3 needs, is used by {other.process or 'another program'}. Stop it, or "
        "remove DEPLOY_HTTP3."
        for other in listeners
        if is_port(other) and other.process != "nginx"
    ]


def is_port(listener: Listener) -> bool:
    return (listener.protocol, listener.port) == ("udp", PORT)


def firewall(settings: Settings, facts: Facts) -> list[Step]:
    """Return the step that opens the port if any site of the server wants it, or closes it once none does. Only
    Portside's own rule is removed."""
    wanted = supported(facts) and (settings.http3 or others(Site(settings.site), facts))
    there = facts.ufw == "active" and any(rule.startswith(f"allow {PORT}/udp") for rule in facts.ufw_rules)
    if wanted and not there:
        name = f"Open UDP port {PORT} in the firewall"
        return [script(name, "firewall", sign="~", what="open", ports=[f"{PORT}/udp"])]
    return [] if wanted else _close(facts)


def firewall_without(site: Site, facts: Facts) -> list[Step]:
    """Return the step that closes the port if this site was the last with HTTP/3."""
    return [] if others(site, facts) else _close(facts)


def others(site: Site, facts: Facts) -> bool:
    """Whether another site of the server has HTTP/3."""
    return any(path.endswith(server_paths.NGINX_HTTP3) and path != site.nginx_http3 for path in facts.nginx_files)


def _close(facts: Facts) -> list[Step]:
    """Return the step that removes the rule, even if the firewall is off: enabling it would open the port again."""
    ours = OPENED in facts.ufw_rules
    name, ports = f"Close UDP port {PORT} in the firewall", [f"{PORT}/udp"]
    return [script(name, "firewall", sign="~", what="close", ports=ports)] if ours else []

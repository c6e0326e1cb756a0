"""HTTP/3: where it can be had, and what it needs of the host: UDP port 443, which TCP's rules don't open."""

from __future__ import annotations

from collections.abc import Iterable

from ..config.settings import Settings
from ..core import server_paths
from ..core.facts import Facts, Listener, version
from ..core.paths import Site
from ..core.steps import Step, script

PORT = 443
OPENED = f"allow {PORT}/udp comment 'Portside: HTTP/3'"  # as ufw tells of the rule that firewall.sh makes


def able(facts: Facts) -> bool:
    """Whether the server's Nginx was built with it."""
    return "--with-http_v3_module" in facts.nginx_version


def unable(settings: Settings, facts: Facts) -> str:
    """What to tell whoever wants it of a server that hasn't got it; else empty."""
    if not settings.http3 or able(facts) or not facts.nginx_version:
        return ""
    found = ".".join(map(str, version(facts.nginx_version)))
    return (
        f"DEPLOY_HTTP3: this server's Nginx {found} was built without HTTP/3 (Debian 13's has it). Visitors come by "
        "HTTP/2 and HTTP/1.1, as they do without the setting."
    )


def taken(settings: Settings, listeners: Iterable[Listener]) -> list[str]:
    """Whoever else has the port where the site wants it, one sentence each."""
    if not settings.http3:
        return []
    return [
        f"UDP port {PORT}, which DEPLOY_HTTP3 needs, is taken by {other.process or 'another program'}: stop it, or "
        "take DEPLOY_HTTP3 out."
        for other in listeners
        if is_port(other) and other.process != "nginx"
    ]


def is_port(listener: Listener) -> bool:
    return (listener.protocol, listener.port) == ("udp", PORT)


def firewall(settings: Settings, facts: Facts) -> list[Step]:
    """The port opened where a site of this server wants it, and closed again where none does any more. A rule of
    somebody else's stays."""
    wanted = able(facts) and (settings.http3 or others(Site(settings.site), facts))
    there = facts.ufw == "active" and any(rule.startswith(f"allow {PORT}/udp") for rule in facts.ufw_rules)
    if wanted and not there:
        return [script(f"Firewall: UDP port {PORT} open", "firewall", "open", f"{PORT}/udp")]
    return [] if wanted else _close(facts)


def firewall_without(site: Site, facts: Facts) -> list[Step]:
    """The port closed with the last site that wanted it."""
    return [] if others(site, facts) else _close(facts)


def others(site: Site, facts: Facts) -> bool:
    """Whether another site of the server has it."""
    return any(path.endswith(server_paths.NGINX_HTTP3) and path != site.nginx_http3 for path in facts.nginx_files)


def _close(facts: Facts) -> list[Step]:
    """Also where the firewall is off: it would be open again once somebody switches it on."""
    ours = OPENED in facts.ufw_rules
    return [script(f"Firewall: UDP port {PORT} closed", "firewall", "close", f"{PORT}/udp")] if ours else []

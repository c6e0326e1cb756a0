"""Provisions the host, shared by all sites: packages, Docker, firewall, folders, Nginx's base."""

from __future__ import annotations

from ..config.settings import Settings
from ..core import server_paths
from ..core.errors import PortsideError
from ..core.facts import Facts, Listener
from ..core.steps import Step
from ..nginx import generation, http3
from . import docker, files, firewall

SUPPORTED = {"debian": (12,), "ubuntu": (22, 4)}
MEMORY_NEEDED_MB = 950
"""Including swap space. Servers sold with 1 GB have about 960 MB."""
LOCK = "server.lock"


def watched() -> list[str]:
    """Return the files and folders of the host that a plan compares."""
    return [
        server_paths.NGINX_CONF,
        server_paths.DAEMON_JSON,
        server_paths.GUARD_SCRIPT,
        server_paths.GUARD_UNIT,
        server_paths.HOME,
        server_paths.ACME_ROOT,
        server_paths.TMPFILES,
        server_paths.NGINX_UNIT,
        server_paths.CERTIFICATE_SCRIPT,
        server_paths.RENEWAL_HOOK,
        server_paths.NGINX_CACHE,
    ]


def check(settings: Settings, facts: Facts) -> None:
    """Check that Portside can use this server. Raises PortsideError with every reason why it can't."""
    if found := reasons(settings, facts):
        raise PortsideError("\n".join(found), state="Nothing was changed.", hint="Fix this and run the command again.")


def reasons(settings: Settings, facts: Facts) -> list[str]:
    """Return why Portside can't use this server, one sentence for each reason."""
    return [
        *_unsupported(facts),
        *(docker.no_engine(facts) if settings.containers else []),
        *_ports_taken(facts),
        *http3.port_conflicts(settings, facts.listeners),
        *generation.conflicts(facts),
        *_not_closed(settings, facts),
    ]


def little_memory(settings: Settings, facts: Facts) -> str:
    """Return a warning about too little memory; empty if there is enough, or if no application runs."""
    if not settings.containers or not facts.memory_mb or facts.memory_mb + facts.swap_mb >= MEMORY_NEEDED_MB:
        return ""
    return (
        f"The server has {facts.memory_mb} MB of memory and {facts.swap_mb} MB of swap space. A build, or two releases "
        "side by side, may need more. Add swap space on the server: fallocate -l 1G /swapfile && chmod 600 /swapfile "
        "&& mkswap /swapfile && swapon /swapfile. A line in /etc/fstab keeps it after a reboot. "
        "DEPLOY_BUILD=local builds on your machine instead."
    )


def rest(settings: Settings, facts: Facts) -> list[Step]:
    """Return the host's steps after its packages, except for Nginx's base, which is a separate transaction."""
    return [
        *files.note(facts),
        *files.own_folder(facts, server_paths.HOME),
        *files.own_folder(facts, server_paths.ACME_ROOT),
        *files.own_folder(facts, server_paths.NGINX_CACHE),
        *(files.guard(facts) if settings.containers else []),
        *files.tmpfiles(facts),
        *files.units(settings, facts),
        *files.renewal(facts),
        *files.timer(facts),
        *firewall.firewall(settings, facts),
    ]


def _unsupported(facts: Facts) -> list[str]:
    oldest = SUPPORTED.get(facts.os_id)
    if oldest is None or tuple(int(part) for part in facts.os_version.split(".") if part.isdigit()) < oldest:
        known = "Debian 12 or newer, or Ubuntu 22.04 or newer"
        return [f"Portside doesn't support {facts.os_name or 'this system'}. It supports {known}."]
    if not facts.systemd:
        return ["The server doesn't run systemd, which Portside needs."]
    return []


def _ports_taken(facts: Facts) -> list[str]:
    ours = {80, 443, server_paths.STATUS_PORT}
    taken = {x.port: x.process or "another program" for x in facts.listeners if x.protocol == "tcp" and x.port in ours}
    return [
        f"Port {port} is used by {process}, but Nginx needs it. Stop and disable that program."
        for port, process in sorted(taken.items())
        if process != "nginx"
    ]


def _not_closed(settings: Settings, facts: Facts) -> list[str]:
    """Return which other services the firewall would block once it is enabled."""
    if not settings.firewall or facts.ufw == "active":
        return []
    others = sorted({_described(x) for x in facts.listeners if x.public and not expected(x, facts)})
    if not others:
        return []
    return [
        f"The firewall would block these services: {', '.join(others)}. Let them listen on 127.0.0.1, stop them, or "
        "set DEPLOY_FIREWALL=off."
    ]


def expected(listener: Listener, facts: Facts) -> bool:
    """Whether a public listener is Portside's, sshd, a DHCP client or systemd-resolved."""
    if listener.protocol == "udp":
        ours = http3.is_port(listener) and listener.process == "nginx"
        return ours or listener.port in {68, 546} or _resolves_locally(listener)  # a DHCP client's own
    return listener.port in {facts.ssh_port, 80, 443} or _resolves_locally(listener)


def _resolves_locally(listener: Listener) -> bool:
    """Whether it is systemd-resolved, by the 15 letters that ss shows, on the ports of LLMNR or mDNS. Debian's cloud
    images enable these, and a server on the internet doesn't need them."""
    return listener.process == "systemd-resolve" and listener.port in {5353, 5355}


def _described(listener: Listener) -> str:
    return f"{listener.process or 'a program'} on {listener.protocol} port {listener.port}"

"""The host itself: packages, Docker, firewall, folders, Nginx's base. What belongs to the whole server."""

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
"""With swap space. What is sold as 1 GB has some 960 MB."""
LOCK = "server.lock"


def watched() -> list[str]:
    """Files and folders of the host whose state the plan compares."""
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
    """Refuse a server we can't serve, before anything is touched. Raises PortsideError naming every reason."""
    if found := reasons(settings, facts):
        raise PortsideError("\n".join(found), state="Nothing was changed.", hint="Then type the same command again.")


def reasons(settings: Settings, facts: Facts) -> list[str]:
    """Why this server can't be served as it is, one sentence each."""
    return [
        *_unsupported(facts),
        *(docker.no_engine(facts) if settings.containers else []),
        *_ports_taken(facts),
        *http3.taken(settings, facts.listeners),
        *generation.conflicts(facts),
        *_not_closed(settings, facts),
    ]


def little_memory(settings: Settings, facts: Facts) -> str:
    """What a small server needs, in words; empty where there is memory enough, or where no application runs."""
    if not settings.containers or not facts.memory_mb or facts.memory_mb + facts.swap_mb >= MEMORY_NEEDED_MB:
        return ""
    return (
        f"The server has {facts.memory_mb} MB of memory and {facts.swap_mb} MB of swap space: a build, or two releases "
        "side by side, may need more. On the server, fallocate -l 1G /swapfile && chmod 600 /swapfile && mkswap "
        "/swapfile && swapon /swapfile gives it more until the next boot, a line in /etc/fstab for ever. "
        "DEPLOY_BUILD=local builds on the laptop."
    )


def rest(settings: Settings, facts: Facts) -> list[Step]:
    """The host's steps once its packages are there, but for Nginx's base, which is a transaction of its own."""
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
        return [f"This is {facts.os_name or 'an unknown system'}; Portside knows {known}."]
    if not facts.systemd:
        return ["The server doesn't run systemd, which Portside's services need."]
    return []


def _ports_taken(facts: Facts) -> list[str]:
    ours = {80, 443, server_paths.STATUS_PORT}
    taken = {x.port: x.process or "another program" for x in facts.listeners if x.protocol == "tcp" and x.port in ours}
    return [
        f"Port {port} is taken by {process}: stop it and keep it from starting again, so that Nginx can have the port."
        for port, process in sorted(taken.items())
        if process != "nginx"
    ]


def _not_closed(settings: Settings, facts: Facts) -> list[str]:
    """Before the firewall is switched on: whom it would cut off."""
    if not settings.firewall or facts.ufw == "active":
        return []
    others = sorted({_described(x) for x in facts.listeners if x.public and not expected(x, facts)})
    if not others:
        return []
    return [
        f"The firewall would cut off what listens beyond this machine: {', '.join(others)}. Let it listen on "
        "127.0.0.1, stop it, or set DEPLOY_FIREWALL=off."
    ]


def expected(listener: Listener, facts: Facts) -> bool:
    """Whether something that listens beyond the machine does so on Portside's account, or a DHCP client's."""
    if listener.protocol == "udp":
        ours = http3.is_port(listener) and listener.process == "nginx"
        return ours or listener.port in {68, 546} or _resolves_locally(listener)  # a DHCP client's own
    return listener.port in {facts.ssh_port, 80, 443} or _resolves_locally(listener)


def _resolves_locally(listener: Listener) -> bool:
    """Whether it is systemd-resolved, by the 15 letters that ss shows, at LLMNR or mDNS. Debian's cloud images have
    that on, and a server on the internet loses nothing by not answering there."""
    return listener.process == "systemd-resolve" and listener.port in {5353, 5355}


def _described(listener: Listener) -> str:
    return f"{listener.process or 'a program'} on {listener.protocol} port {listener.port}"

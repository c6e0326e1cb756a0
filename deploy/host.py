"""The host itself: packages, Docker, firewall, folders, Nginx's base. What belongs to the whole server."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from . import acme_dns, http3, nginx, versions
from . import site as names
from .errors import PortsideError
from .facts import Facts, Listener, version
from .settings import Settings
from .steps import Step, folder, script, write

SUPPORTED = {"debian": (12,), "ubuntu": (22, 4)}
COMPOSE_NEEDED = (2, 20)
DISK_NEEDED_MB = 1024
MEMORY_NEEDED_MB = 950
"""With swap space. What is sold as 1 GB has some 960 MB."""
LOCK = "server.lock"

# Alternatives are tried in this order; a name that ends in ? is left out where the distribution hasn't got it.
BASE_PACKAGES = ("nginx", "certbot", "curl", "iptables", "logrotate")
# Only beside the distribution's own Nginx, which is the one that fits.
BROTLI_PACKAGES = ("brotli?", f"{nginx.BROTLI_MODULE}?")
ENGINE_PACKAGES = ("docker.io", "docker-cli?")
COMPOSE_PACKAGES = ("docker-compose-v2|docker-compose",)
BUILDX_PACKAGES = ("docker-buildx",)

_FILES = Path(__file__).parent / "remote" / "host"


def watched() -> list[str]:
    """Files and folders of the host whose state the plan compares."""
    return [
        names.NGINX_CONF, names.DAEMON_JSON, names.GUARD_SCRIPT, names.GUARD_UNIT, names.HOME, names.ACME_ROOT,
        names.TMPFILES, names.NGINX_UNIT, names.CERTIFICATE_SCRIPT, names.RENEWAL_HOOK, names.NGINX_CACHE,
    ]  # fmt: skip


def check(settings: Settings, facts: Facts) -> None:
    """Refuse a server we can't serve, before anything is touched. Raises PortsideError naming every reason."""
    if found := reasons(settings, facts):
        raise PortsideError("\n".join(found), state="Nothing was changed.", hint="Then type the same command again.")


def reasons(settings: Settings, facts: Facts) -> list[str]:
    """Why this server can't be served as it is, one sentence each."""
    return [
        *_unsupported(facts),
        *(_no_engine(facts) if settings.containers else []),
        *_ports_taken(facts),
        *http3.taken(settings, facts.listeners),
        *nginx.conflicts(facts),
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


def packages(settings: Settings, facts: Facts) -> list[Step]:
    """What must be installed before the rest can be planned: versions decide directives."""
    merged = _merged_daemon_json(facts) or ""
    missing = _missing_packages(settings, facts)
    shown = ", ".join(name.rpartition("|")[2].strip("?") for name in missing)
    install = [script(f"Install {shown}", "packages", *missing)] if missing else []
    if not settings.containers:
        return install
    merge = [] if merged == facts.daemon_json else [write(names.DAEMON_JSON, merged)]
    unread = not facts.live_restore and facts.docker_version
    return [*merge, *install, *([script("Docker takes its new settings", "docker-reload")] if unread else [])]


def rest(settings: Settings, facts: Facts) -> list[Step]:
    """The host's steps once its packages are there, but for Nginx's base, which is a transaction of its own."""
    return [
        *versions.note(facts),
        *_folder(facts, names.HOME),
        *_folder(facts, names.ACME_ROOT),
        *_folder(facts, names.NGINX_CACHE),
        *(_guard(facts) if settings.containers else []),
        *_tmpfiles(facts),
        *_units(settings, facts),
        *_renewal(facts),
        *_timer(facts),
        *_firewall(settings, facts),
    ]


def _missing_packages(settings: Settings, facts: Facts) -> list[str]:
    missing = [name for name in BASE_PACKAGES if name not in facts.packages]
    if "nginx" in missing:
        missing += BROTLI_PACKAGES
    missing += [name for name in acme_dns.packages(settings) if name not in facts.packages]
    if settings.firewall and not facts.ufw:
        missing.append("ufw")
    return missing + (_missing_of_engine(facts) if settings.containers else [])


def _missing_of_engine(facts: Facts) -> list[str]:
    missing: list[str] = []
    if not facts.docker_version:
        missing += ENGINE_PACKAGES
    if version(facts.compose_version) < COMPOSE_NEEDED:
        missing += COMPOSE_PACKAGES
    if not facts.buildx_version:
        missing += BUILDX_PACKAGES
    return missing


def _unsupported(facts: Facts) -> list[str]:
    oldest = SUPPORTED.get(facts.os_id)
    if oldest is None or tuple(int(part) for part in facts.os_version.split(".") if part.isdigit()) < oldest:
        known = "Debian 12 or newer, or Ubuntu 22.04 or newer"
        return [f"This is {facts.os_name or 'an unknown system'}; Portside knows {known}."]
    if not facts.systemd:
        return ["The server doesn't run systemd, which Portside's services need."]
    return []


def engine_silent(facts: Facts) -> list[str]:
    """An engine that is installed and stopped isn't replaced by another."""
    installed = facts.packages & {"docker.io", "docker-ce"}
    if facts.docker_version or not installed:
        return []
    return [f"{', '.join(sorted(installed))} is installed but doesn't answer: systemctl status docker says why."]


def _no_engine(facts: Facts) -> list[str]:
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
    if facts.daemon_json and _merged_daemon_json(facts) is None:
        reasons.append(f"{names.DAEMON_JSON} is no JSON object, so nothing can be merged into it: mend it by hand.")
    return reasons


def _ports_taken(facts: Facts) -> list[str]:
    ours = {80, 443, names.STATUS_PORT}
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


def _merged_daemon_json(facts: Facts) -> str | None:
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


def _folder(facts: Facts, path: str) -> list[Step]:
    present = facts.files.get(path)
    return [] if present and (present.mode, present.owner) == (0o755, "0:0") else [folder(path)]


def _guard(facts: Facts) -> list[Step]:
    """The rule that keeps a container's port from being reached past Nginx, kept by a unit after Docker."""
    wanted = [
        (names.GUARD_SCRIPT, (_FILES / "guard-containers.sh").read_text(encoding="utf-8"), 0o755),
        (names.GUARD_UNIT, (_FILES / "portside-guard.service").read_text(encoding="utf-8"), 0o644),
    ]
    steps = [write(path, text, mode) for path, text, mode in wanted if not _same(facts, path, text, mode)]
    return [*steps, script("Containers are reached through Nginx only", "guard-enable")] if steps else []


def _tmpfiles(facts: Facts) -> list[Step]:
    text = (_FILES / "tmpfiles.conf").read_text(encoding="utf-8")
    return [] if _same(facts, names.TMPFILES, text, 0o644) else [write(names.TMPFILES, text)]


def _units(settings: Settings, facts: Facts) -> list[Step]:
    """Nginx comes back when it dies, and what the site needs starts at each boot."""
    text = (_FILES / "nginx.conf").read_text(encoding="utf-8")
    steps = [] if _same(facts, names.NGINX_UNIT, text, 0o644) else [write(names.NGINX_UNIT, text)]
    units = dict.fromkeys([*(["nginx.service"] * len(steps)), *disabled(settings, facts)])
    return [*steps, script(f"Start {', '.join(units)} at each boot", "enable", *units)] if units else []


def disabled(settings: Settings, facts: Facts) -> list[str]:
    """Units that wouldn't start at the next boot, and that the site needs."""
    of_containers = {"docker.service", "portside-guard.service"}
    return [unit for unit in facts.disabled if settings.containers or unit not in of_containers]


def _renewal(facts: Facts) -> list[Step]:
    """What puts a renewed certificate in place: certbot's timer renews it, whoever asked for it."""
    wanted = {names.CERTIFICATE_SCRIPT: "certificate.sh", names.RENEWAL_HOOK: "renewal-hook.sh"}
    texts = {path: (_FILES / file).read_text(encoding="utf-8") for path, file in wanted.items()}
    return [write(path, text, 0o755) for path, text in texts.items() if not _same(facts, path, text, 0o755)]


def _timer(facts: Facts) -> list[Step]:
    """The distribution starts it with certbot; somebody may have stopped it."""
    stopped = "certbot" in facts.packages and not facts.renewal_timer
    return [script("certbot.timer renews certificates", "timer")] if stopped else []


def _same(facts: Facts, path: str, text: str, mode: int) -> bool:
    present = facts.files.get(path)
    return present is not None and (present.mode, present.sha256) == (mode, sha256(text.encode()).hexdigest())


def _firewall(settings: Settings, facts: Facts) -> list[Step]:
    if not settings.firewall:
        return []
    # Where it is active it lets us in already, perhaps us alone: that rule is its owner's.
    ports = [80, 443] if facts.ufw == "active" else [facts.ssh_port, 80, 443]
    missing = [port for port in ports if facts.ufw != "active" or f"allow {port}/tcp" not in facts.ufw_rules]
    shown, words = ", ".join(map(str, missing)), [f"{port}/tcp" for port in missing]
    steps = [script(f"Firewall: {shown} open", "firewall", "open", *words)] if missing else []
    return steps + http3.firewall(settings, facts)

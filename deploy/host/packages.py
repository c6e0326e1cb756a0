"""The host's packages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..certs import dns01
from ..config.settings import Settings
from ..core import server_paths
from ..core.facts import Facts, version
from ..core.steps import Script, Sign, Step, script, write
from ..nginx import templates
from . import docker

# Alternatives are tried in order. A name that ends in ? is skipped if the distribution doesn't have it.
BASE_PACKAGES = ("nginx", "certbot", "curl", "iptables", "logrotate")
# Only with the distribution's own Nginx, because the module must match its version.
BROTLI_PACKAGES = ("brotli?", f"{templates.BROTLI_MODULE}?")
ENGINE_PACKAGES = ("docker.io", "docker-cli?")
COMPOSE_PACKAGES = ("docker-compose-v2|docker-compose",)
BUILDX_PACKAGES = ("docker-buildx",)


@dataclass(frozen=True, kw_only=True)
class Install(Script):
    """Packages that are installed. ``packages``: names, alternatives among them."""

    script: str = "packages"
    sign: Sign | None = "+"
    packages: tuple[str, ...]

    def effect(self, facts: Facts) -> Facts:
        """New packages bring their distribution's files; their versions stay unknown."""
        there = facts.packages | {name.partition("|")[0].rstrip("?") for name in self.packages}
        firewall = "inactive" if "ufw" in self.packages else facts.ufw
        timer = facts.renewal_timer or "certbot" in self.packages  # whose package starts it
        known = replace(facts, packages=there, ufw=firewall, renewal_timer=timer)
        if "nginx" not in self.packages:
            return known
        return replace(known, nginx_conf="distribution", nginx_default="distribution")


def packages(settings: Settings, facts: Facts) -> list[Step]:
    """Return the steps that must run before the rest can be planned, because directives depend on versions."""
    merged = docker.merged_daemon_json(facts) or ""
    missing = _missing_packages(settings, facts)
    shown = ", ".join(name.rpartition("|")[2].strip("?") for name in missing)
    install: list[Step] = [Install(name=f"Install {shown}", packages=tuple(missing))] if missing else []
    if not settings.containers:
        return install
    merge = [] if merged == facts.daemon_json else [write(server_paths.DAEMON_JSON, merged)]
    unread = not facts.live_restore and facts.docker_version
    return [*merge, *install, *([script("Reload Docker's settings", "docker-reload", sign="~")] if unread else [])]


def _missing_packages(settings: Settings, facts: Facts) -> list[str]:
    missing = [name for name in BASE_PACKAGES if name not in facts.packages]
    if "nginx" in missing:
        missing += BROTLI_PACKAGES
    missing += [name for name in dns01.packages(settings) if name not in facts.packages]
    if settings.firewall and not facts.ufw:
        missing.append("ufw")
    return missing + (_missing_of_engine(facts) if settings.containers else [])


def _missing_of_engine(facts: Facts) -> list[str]:
    missing: list[str] = []
    if not facts.docker_version:
        missing += ENGINE_PACKAGES
    if version(facts.compose_version) < docker.COMPOSE_NEEDED:
        missing += COMPOSE_PACKAGES
    if not facts.buildx_version:
        missing += BUILDX_PACKAGES
    return missing

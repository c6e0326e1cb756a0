"""Files and units on the host that all sites share."""

from __future__ import annotations

from hashlib import sha256

from .. import VERSION
from ..config.settings import Settings
from ..core import server_paths
from ..core.facts import Facts
from ..core.files import HOST
from ..core.steps import Step, folder, script, write


def own_folder(facts: Facts, path: str) -> list[Step]:
    present = facts.files.get(path)
    return [] if present and (present.mode, present.owner) == (0o755, "0:0") else [folder(path)]


def guard(facts: Facts) -> list[Step]:
    """Return the steps that block direct access to containers' ports, by a unit that starts after Docker."""
    wanted = [
        (server_paths.GUARD_SCRIPT, (HOST / "guard-containers.sh").read_text(encoding="utf-8"), 0o755),
        (server_paths.GUARD_UNIT, (HOST / "portside-guard.service").read_text(encoding="utf-8"), 0o644),
    ]
    steps = [write(path, text, mode) for path, text, mode in wanted if not _same(facts, path, text, mode)]
    guard = script("Block access to containers except through Nginx", "guard-enable", sign="~")
    return [*steps, guard] if steps else []


def tmpfiles(facts: Facts) -> list[Step]:
    text = (HOST / "tmpfiles.conf").read_text(encoding="utf-8")
    return [] if _same(facts, server_paths.TMPFILES, text, 0o644) else [write(server_paths.TMPFILES, text)]


def units(settings: Settings, facts: Facts) -> list[Step]:
    """Return the steps that restart Nginx if it crashes, and start the units that the site needs at boot."""
    text = (HOST / "nginx.conf").read_text(encoding="utf-8")
    steps = [] if _same(facts, server_paths.NGINX_UNIT, text, 0o644) else [write(server_paths.NGINX_UNIT, text)]
    units = dict.fromkeys([*(["nginx.service"] * len(steps)), *disabled(settings, facts)])
    enable = script(f"Start {', '.join(units)} at boot", "enable", sign="~", units=list(units))
    return [*steps, enable] if units else []


def disabled(settings: Settings, facts: Facts) -> list[str]:
    """Return the units that the site needs but that don't start at boot."""
    of_containers = {"docker.service", "portside-guard.service"}
    return [unit for unit in facts.disabled if settings.containers or unit not in of_containers]


def renewal(facts: Facts) -> list[Step]:
    """Return the steps that write the hook which installs a certificate after certbot has renewed it."""
    wanted = {server_paths.CERTIFICATE_SCRIPT: "certificate.sh", server_paths.RENEWAL_HOOK: "renewal-hook.sh"}
    texts = {path: (HOST / file).read_text(encoding="utf-8") for path, file in wanted.items()}
    return [write(path, text, 0o755) for path, text in texts.items() if not _same(facts, path, text, 0o755)]


def timer(facts: Facts) -> list[Step]:
    """Return the step that starts certbot's timer, if it was stopped after its installation."""
    stopped = "certbot" in facts.packages and not facts.renewal_timer
    return [script("Start certbot.timer", "timer", sign="~")] if stopped else []


def _same(facts: Facts, path: str, text: str, mode: int) -> bool:
    present = facts.files.get(path)
    return present is not None and (present.mode, present.sha256) == (mode, sha256(text.encode()).hexdigest())


def note(facts: Facts) -> list[Step]:
    """Return the step that records this version on the host; none if it is recorded already."""
    return [] if facts.portside == VERSION else [write(server_paths.VERSION, f"{VERSION}\n")]

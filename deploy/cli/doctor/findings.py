"""Findings of ``fab doctor``, and the data that its checks read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ...config.settings import Settings
from ...core.commandline import words
from ...core.facts import Facts
from ...core.paths import Site


@dataclass(frozen=True)
class Finding:
    """``check``: its subject; ``level``: fault, warning or ok; ``fix``: a command to run, or what to do."""

    check: str
    level: str
    text: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def fault(check: str, text: str, fix: str) -> Finding:
    return Finding(check, "fault", text, fix)


def warning(check: str, text: str, fix: str) -> Finding:
    return Finding(check, "warning", text, fix)


def fine(check: str, text: str) -> Finding:
    return Finding(check, "ok", text)


@dataclass(frozen=True)
class ServerState:
    """The state of a server, as ``remote/doctor.sh`` reports it.

    ``units``: name -> active and enabled, as in systemd; ``disks``: used percent, free MB and folder; ``inodes``: used
    percent and folder; ``containers``: all of the server's.
    """

    units: Mapping[str, tuple[str, str]]
    failed: tuple[str, ...]
    addresses: tuple[str, ...]
    disks: tuple[tuple[int, int, str], ...]
    inodes: tuple[tuple[int, str], ...]
    reboot: bool
    passwords: bool
    containers: tuple[Mapping[str, Any], ...]

    @classmethod
    def parse(cls, lines: Iterable[str]) -> ServerState:
        many: dict[str, list[str]] = {}
        for key, found, value in (line.partition("\t") for line in lines):
            if found:
                many.setdefault(key, []).append(value)
        units = (line.split(" ", 2) for line in many.get("unit", []))
        disks = (line.split(" ", 2) for line in many.get("disk", []))
        inodes = (line.split(" ", 1) for line in many.get("inodes", []))
        return cls(
            units={name: (active, enabled) for name, active, enabled in units},
            failed=tuple(many.get("failed", [])),
            addresses=tuple(many.get("address", [])),
            disks=tuple((int(used), int(free), folder) for used, free, folder in disks),
            inodes=tuple((int(used), folder) for used, folder in inodes),
            reboot="reboot" in many,
            passwords=many.get("password") == ["yes"],
            containers=tuple(json.loads(line) for line in many.get("container", [])),
        )

    def publisher(self, port: int) -> str:
        """Return the container that publishes a port, or an empty string."""
        for container in self.containers:
            published = (at for there in (container["ports"] or {}).values() for at in there or ())
            if any(at["HostPort"] == str(port) for at in published):
                return str(container["name"]).lstrip("/")
        return ""


@dataclass(frozen=True)
class Examined:
    """One server and one site on it. ``target``: the value for -H; ``ssh``: the command to reach it without Portside;
    ``here``: this machine's clock."""

    settings: Settings
    site: Site
    target: str
    ssh: str
    facts: Facts
    state: ServerState
    here: datetime
    env: str = ".env"
    fault: str = ""  # why visitors get an error

    def on_server(self, command: str) -> str:
        return f"{self.ssh} sudo {command}"

    def fab(self, task: str, **options: Any) -> str:
        hosts = () if self.settings.hosts == (self.target,) else (self.target,)
        return words(task, {"env": self.env} | options, *hosts)

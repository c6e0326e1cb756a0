"""A practice server: a container that behaves as a rented Debian machine does, and what one does to such a machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from docker import DockerClient
from docker.models.containers import Container

from deploy.practice import access, snapshots
from deploy.practice.engine import (
    FILES,
    LABEL,
    PracticeError,
    checked,
    containers,
    power_off,
    run,
    take_away,
    watch,
)
from deploy.practice.internet import Acme
from deploy.practice.network import LOOPBACK, free_port

NAME, ADDRESS, PORTS = f"{LABEL}.name", f"{LABEL}.address", f"{LABEL}.ports"
BOOT = 90
"""Seconds a server may take until it lets people in."""


@dataclass(frozen=True)
class Ports:
    """The ports of this machine that lead to a server's 22, 80 and 443."""

    ssh: int
    http: int
    https: int

    @classmethod
    def choose(cls, taken: set[int]) -> Ports:
        """Free ones; 80 and 443 themselves where they are. ``taken``: those that stopped servers come back to."""
        return cls(
            free_port(range(2201, 2300), taken),
            free_port((80, *range(8081, 8100)), taken),
            free_port((443, *range(8441, 8500)), taken),
        )


@dataclass(frozen=True)
class Practice:
    """A practice server and what a test does to one. Every method raises PracticeError."""

    name: str
    ip: str
    ports: Ports
    acme: Acme
    engine: DockerClient = field(repr=False, compare=False)

    @property
    def container(self) -> str:
        """The container's name in the engine."""
        return container_name(self.name)

    @property
    def ssh_port(self) -> int:
        return self.ports.ssh

    @property
    def http_port(self) -> int:
        return self.ports.http

    @property
    def https_port(self) -> int:
        return self.ports.https

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F``: this server by its name."""
        return access.SSH_CONFIG

    def exec(self, argv: Sequence[str], check: bool = True) -> str:
        """Runs a command on the server as root, not through SSH; its standard output. ``check=False``: may fail."""
        return checked(self._it, argv) if check else run(self._it, argv).out

    def restart(self) -> None:
        """A reboot; returns once the server lets people in again."""
        self._it.restart(timeout=60)
        self.wait()

    def kill(self) -> None:
        """A power cut."""
        power_off(self._it)

    def start(self) -> None:
        """Power again after ``kill``; returns once the server lets people in."""
        self._it.start()
        self.wait()

    def disconnect(self) -> None:
        """Pulls the network cable: connections hang, they don't close."""
        self.exec(("ip", "link", "set", "eth0", "down"))

    def connect(self) -> None:
        """Plugs the network cable in again; connections that still wait go on."""
        self.exec(("ip", "link", "set", "eth0", "up"))
        self.exec(("ip", "route", "replace", "default", "via", f"{self.ip.rpartition('.')[0]}.1"))

    def snapshot(self, tag: str) -> None:
        """Shuts the server down and keeps its disks as they are, for ``up(name, snapshot=tag)``."""
        snapshots.take(self.engine, self._it, volume_name(self.name), tag)

    def remove(self) -> None:
        """Takes the server and its volume away for good."""
        remove(self.engine, self.name, self.ssh_port)

    def wait(self) -> None:
        """Returns once SSH answers and systemd has started everything."""
        watch(self._lets_in, BOOT, self._never_ready)

    def _lets_in(self) -> bool:
        if self._it.status == "exited":
            raise self._never_ready()
        # SSH is asked last, and so but once: it shuts out who comes again and again without logging in (OpenSSH's
        # PerSourcePenalties, since 9.8).
        booted = ("timeout", str(BOOT), "systemctl", "is-system-running", "--wait")
        up = run(self._it, booted).out.strip() in ("running", "degraded")
        return up and greets(self.ssh_port)

    def _never_ready(self) -> PracticeError:
        state = run(self._it, ("systemctl", "--no-pager", "list-jobs")).out
        logs = self._it.logs(tail=20).decode(errors="replace")
        return PracticeError(
            f"The server {self.name} did not come up (it has {BOOT} s).\n{logs}{state}",
            hint="Begin anew: fab practice --down, then fab practice.",
        )

    @property
    def _it(self) -> Container:
        return self.engine.containers.get(self.container)


def container_name(name: str) -> str:
    return f"portside-server-{name}"


def volume_name(name: str) -> str:
    return f"portside-server-{name}-docker"


def servers(engine: DockerClient, acme: Acme) -> dict[str, Practice]:
    """Every practice server by name, running or not."""
    ours = [found for found in containers(engine).values() if found.labels[LABEL] == "server"]
    return {found.labels[NAME]: practice(engine, found.labels, acme) for found in ours}


def practice(engine: DockerClient, labels: dict[str, str], acme: Acme) -> Practice:
    return Practice(labels[NAME], labels[ADDRESS], ports(labels), acme, engine)


def ports(labels: dict[str, str]) -> Ports:
    """The ports that a server's labels note."""
    return Ports(*json.loads(labels[PORTS]))


def remove(engine: DockerClient, name: str, ssh_port: int) -> None:
    """Takes a server, its volume and what is known of it away: first that, since another may have its port at once."""
    with access.exclusive(lambda _: None):
        access.forget(name, ssh_port)
    take_away(engine.containers.get(container_name(name)))
    engine.volumes.get(volume_name(name)).remove(force=True)


def greets(port: int) -> bool:
    """Whether an SSH server speaks at a port of loopback."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as caller:
            return caller.recv(4) == b"SSH-"
    except OSError:
        return False


def admit(practice: Practice) -> None:
    """Lets this checkout's key in, and writes the server into this checkout's ssh files."""
    script = (FILES / "authorize.sh").read_text()
    host_keys = practice.exec(("sh", "-c", script, "authorize.sh", access.public_key()))
    access.introduce(practice.name, practice.ssh_port, host_keys)

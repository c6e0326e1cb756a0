"""A practice server: a container that behaves like a rented Debian machine, with operations for tests."""

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
    remove_container,
    run,
    watch,
)
from deploy.practice.internet import Acme
from deploy.practice.network import LOOPBACK, free_port

NAME, ADDRESS, PORTS = f"{LABEL}.name", f"{LABEL}.address", f"{LABEL}.ports"
BOOT = 90
"""Seconds to wait until a server accepts SSH connections."""


@dataclass(frozen=True)
class Ports:
    """The ports of this machine that are forwarded to a server's 22, 80 and 443."""

    ssh: int
    http: int
    https: int

    @classmethod
    def choose(cls, taken: set[int]) -> Ports:
        """Choose free ports, preferably 80 and 443 themselves. ``taken``: ports of stopped servers."""
        return cls(
            free_port(range(2201, 2300), taken),
            free_port((80, *range(8081, 8100)), taken),
            free_port((443, *range(8441, 8500)), taken),
        )


@dataclass(frozen=True)
class Practice:
    """A practice server and operations for tests. Every method raises PracticeError."""

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
        """The ssh_config with this server, for ``ssh -F``."""
        return access.SSH_CONFIG

    def exec(self, argv: Sequence[str], check: bool = True) -> str:
        """Run a command on the server as root, not through SSH; return its standard output. ``check=False``: it may
        fail."""
        return checked(self._it, argv) if check else run(self._it, argv).out

    def restart(self) -> None:
        """Reboot the server, and wait until it accepts connections."""
        self._it.restart(timeout=60)
        self.wait()

    def kill(self) -> None:
        """Cut the power."""
        power_off(self._it)

    def start(self) -> None:
        """Restore the power after ``kill``, and wait until the server accepts connections."""
        self._it.start()
        self.wait()

    def disconnect(self) -> None:
        """Pull the network cable. Connections hang; they aren't closed."""
        self.exec(("ip", "link", "set", "eth0", "down"))

    def connect(self) -> None:
        """Plug the network cable in again. Connections that still wait continue."""
        self.exec(("ip", "link", "set", "eth0", "up"))
        self.exec(("ip", "route", "replace", "default", "via", f"{self.ip.rpartition('.')[0]}.1"))

    def snapshot(self, tag: str) -> None:
        """Shut the server down and save its disks, for ``up(name, snapshot=tag)``."""
        snapshots.take(self.engine, self._it, volume_name(self.name), tag)

    def remove(self) -> None:
        """Remove the server and its volume."""
        remove(self.engine, self.name, self.ssh_port)

    def wait(self) -> None:
        """Wait until SSH answers and systemd has started everything."""
        watch(self._lets_in, BOOT, self._never_ready)

    def _lets_in(self) -> bool:
        if self._it.status == "exited":
            raise self._never_ready()
        # SSH is tried last and only once: it blocks clients that connect repeatedly without logging in (OpenSSH's
        # PerSourcePenalties, since 9.8).
        booted = ("timeout", str(BOOT), "systemctl", "is-system-running", "--wait")
        up = run(self._it, booted).out.strip() in ("running", "degraded")
        return up and greets(self.ssh_port)

    def _never_ready(self) -> PracticeError:
        state = run(self._it, ("systemctl", "--no-pager", "list-jobs")).out
        logs = self._it.logs(tail=20).decode(errors="replace")
        return PracticeError(
            f"The server {self.name} didn't start within {BOOT} s.\n{logs}{state}",
            hint="Start over: fab practice --down, then fab practice.",
        )

    @property
    def _it(self) -> Container:
        return self.engine.containers.get(self.container)


def container_name(name: str) -> str:
    return f"portside-server-{name}"


def volume_name(name: str) -> str:
    return f"portside-server-{name}-docker"


def servers(engine: DockerClient, acme: Acme) -> dict[str, Practice]:
    """Return every practice server by name, running or not."""
    ours = [found for found in containers(engine).values() if found.labels[LABEL] == "server"]
    return {found.labels[NAME]: practice(engine, found.labels, acme) for found in ours}


def practice(engine: DockerClient, labels: dict[str, str], acme: Acme) -> Practice:
    return Practice(labels[NAME], labels[ADDRESS], ports(labels), acme, engine)


def ports(labels: dict[str, str]) -> Ports:
    """Return the ports recorded in a server's labels."""
    return Ports(*json.loads(labels[PORTS]))


def remove(engine: DockerClient, name: str, ssh_port: int) -> None:
    """Remove a server with its volume and ssh entries. The entries go first, because another server may get its port
    at once."""
    with access.exclusive(lambda _: None):
        access.forget(name, ssh_port)
    remove_container(engine.containers.get(container_name(name)))
    engine.volumes.get(volume_name(name)).remove(force=True)


def greets(port: int) -> bool:
    """Whether an SSH server answers at a port on loopback."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as caller:
            return caller.recv(4) == b"SSH-"
    except OSError:
        return False


def authorize(practice: Practice) -> None:
    """Authorize this checkout's key on the server, and add the server to this checkout's ssh files."""
    script = (FILES / "authorize.sh").read_text()
    host_keys = practice.exec(("sh", "-c", script, "authorize.sh", access.public_key()))
    access.add_server(practice.name, practice.ssh_port, host_keys)

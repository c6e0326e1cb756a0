"""One plain container with the real Nginx, for tests that need no more of a server: up in a second.

No systemd, no SSH, no Docker: what would take those is proved on practice servers. Its image is kept in the engine like
theirs, and built again only when what it is built of changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from deploy.core.steps import Step
from deploy.practice import access
from deploy.practice.engine import LABEL, Progress, Say, archive, checked, connect, containers, remove_container, run
from deploy.practice.images import Image, ensure, is_current
from deploy.practice.network import LOOPBACK, network
from deploy.ssh.payload import pack
from tests import renderings

from .laptop import CHECKOUT

STEPS = "/steps"
APPLY = """
sh "$1/remote/apply.sh" folder="$1" nonce=step site= token= how=detached
code=$?
rm -rf "${1:?}"/*
exit "$code"
"""


@dataclass(frozen=True)
class NginxImage(Image):
    """Debian's Nginx, on one of the practice's images; ``version``: of Nginx."""

    version: str = ""

    @property
    def folder(self) -> Path:
        return Path(__file__).parent / "nginx"

    def files(self) -> dict[str, bytes]:
        """Also the builds that the tests ask for: an image may be older than a mended Nginx."""
        mended = repr(sorted(renderings.BACKPORTED[self.version].items()))
        requirements = (CHECKOUT / "app" / "requirements.txt").read_bytes()
        return {**super().files(), "requirements.txt": requirements, "mended": mended.encode()}


IMAGES = {
    "bookworm": NginxImage("nginx:bookworm", "debian:bookworm-slim", official=False, version="1.22.1"),
    "trixie": NginxImage("nginx:trixie", "python:3.13-slim", official=False, version="1.26.3"),
}


@dataclass(frozen=True)
class Edge:
    """The container, seen from outside and inside. ``kit.ask``, ``kit.shell`` and their like take it as they take a
    practice server."""

    container: Container

    @property
    def http_port(self) -> int:
        return self._port("80/tcp")

    @property
    def https_port(self) -> int:
        return self._port("443/tcp")

    def _port(self, inside: str) -> int:
        return int(self.container.ports[inside][0]["HostPort"])

    @property
    def gateway(self) -> str:
        """Where these tests come from, as Nginx sees it."""
        return str(self.container.attrs["NetworkSettings"]["Gateway"])

    def exec(self, argv: Sequence[str], check: bool = True) -> str:
        """Runs a command as root; its standard output. ``check=False``: may fail."""
        return checked(self.container, argv) if check else run(self.container, argv).out

    def succeeds(self, argv: Sequence[str]) -> bool:
        return run(self.container, argv).code == 0

    def put(self, files: Mapping[str, bytes]) -> None:
        """Files by their paths, without the first slash; root's, for all to read."""
        self.container.put_archive("/", archive(files))

    def apply(self, steps: Sequence[Step]) -> str:
        """Has steps run by Portside's own scripts, as on a server; what they print."""
        stream = BytesIO()
        pack(steps, stream)
        self.container.put_archive(STEPS, stream.getvalue())
        return self.exec(("sh", "-c", APPLY, "sh", STEPS))

    def start(self, argv: Sequence[str], log: str) -> Started:
        """Starts a program that goes on by itself. ``log``: the file that has what it prints."""
        api: Any = self.container.client.api  # type: ignore[union-attr]
        words = ("sh", "-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, *argv)
        command = api.exec_create(self.container.id, list(words))["Id"]
        api.exec_start(command, detach=True)
        return Started(self, command, log)


@dataclass(frozen=True)
class Started:
    """A program in the container that goes on by itself."""

    edge: Edge = field(repr=False)
    id: str
    log: str

    @property
    def running(self) -> bool:
        api: Any = self.edge.container.client.api  # type: ignore[union-attr]
        return bool(api.exec_inspect(self.id)["Running"])

    @property
    def said(self) -> str:
        return self.edge.exec(("cat", self.log))


@contextmanager
def edges(name: str, say: Say) -> Iterator[Callable[..., Edge]]:
    """Brings up containers, a Debian each, named by this; all of them are taken away at the end."""
    with ExitStack() as keep:

        def up(debian: str = "trixie") -> Edge:
            return keep.enter_context(_container(f"portside-{name}-{debian}", IMAGES[debian], Progress(say)))

        yield up


@contextmanager
def _container(name: str, image: NginxImage, progress: Progress) -> Iterator[Edge]:
    engine = connect()
    _ensure(image, progress)
    if left := containers(engine).get(name):  # by a run that was killed
        remove_container(left)
    made = engine.containers.create(
        image.tag,
        name=name,
        hostname="edge",
        init=True,
        labels={LABEL: "edge"},
        # A generation is tested in a mount namespace of its own.
        cap_add=["SYS_ADMIN"],
        security_opt=["apparmor=unconfined"],
        ports={"80/tcp": (LOOPBACK, None), "443/tcp": (LOOPBACK, None)},
    )
    try:
        made.start()
        made.reload()
        yield Edge(made)
    finally:
        remove_container(made)


def _ensure(image: NginxImage, progress: Progress) -> None:
    engine = connect()
    if not is_current(engine, image):
        with access.exclusive(progress):
            network(engine)
            ensure(engine, image, progress)

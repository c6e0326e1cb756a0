"""The Docker Engine of this machine: the SDK takes images out of it. They are built by the docker
command, since the SDK can't speak to BuildKit, which build secrets need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO

from docker import DockerClient
from docker.errors import DockerException

from ..core.errors import PortsideError, Refused
from ..core.server_paths import LABEL_SITE
from ..core.steps import Content
from ..ssh.payload import add
from . import errors as build_errors
from .endpoint import client as endpoint_client
from .endpoint import endpoints, in_use
from .image import PORTSIDE_DOCKERFILE, Recipe

A_DAY = 86_400
OLDER = "--keep-storage"  # the name of buildx's option before 0.17
BUILD = "Or set DEPLOY_BUILD=server to build the image on the server."


class Engine:
    """An engine that answered, and the docker command, which uses the same engine."""

    def __init__(self, client: DockerClient, endpoint: Mapping[str, str]) -> None:
        self.client, self.endpoint = client, endpoint

    @property
    def platform(self) -> str:
        """The engine's own platform, such as linux/amd64."""
        return f"linux/{self.client.version()['Arch']}"

    def check(self, platform: str) -> None:
        """Check that the engine can build for this platform with BuildKit. Raises Refused if it can't."""
        if not shutil.which("docker"):
            raise _refused("the docker command isn't installed on this machine", "Install Docker's command line")
        if self._docker("build", "--help").returncode:
            raise _refused("the docker command can't use BuildKit", "Install its buildx plugin (package docker-buildx)")
        if platform not in {self.platform, *self._emulated()}:
            raise _refused(
                f"the server is {platform}, but Docker on this machine builds only for {self.platform}",
                "Install QEMU's emulation (package qemu-user-static) and restart Docker",
            )

    def _emulated(self) -> list[str]:
        """Return all platforms that buildx lists. It marks some with an asterisk."""
        printed = self._docker("buildx", "inspect", "default").stdout
        lines = [line.partition(":")[2] for line in printed.splitlines() if line.startswith("Platforms:")]
        return [word.strip(" *") for line in lines for word in line.split(",")]

    def _docker(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(("docker", *words), env=self._environment(), capture_output=True, text=True, check=False)

    def _environment(self) -> dict[str, str]:
        # The image of one platform without attestations, because only that is shipped.
        ours = {"DOCKER_BUILDKIT": "1", "BUILDX_BUILDER": "default", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        return {**os.environ, **ours, **self.endpoint}

    def build(
        self, recipe: Recipe, tag: str, platform: str, say: Callable[[str], None], mask: Callable[[str], str]
    ) -> None:
        """Build an image. Values never appear on a command line. Raises PortsideError with the build's last lines,
        masked."""
        words = ["docker", "build", "--progress", "plain", "--platform", platform, "--tag", tag]
        words += [word for name, value in recipe.labels.items() for word in ("--label", f"{name}={value}")]
        words += [word for name in sorted(recipe.arguments) for word in ("--build-arg", name)]
        with _as_files(recipe.secrets) as secrets:
            words += [word for name, path in secrets.items() for word in ("--secret", f"id={name},src={path}")]
            self._run((*words, "--file", recipe.dockerfile, "-"), recipe, say, mask)

    def _run(
        self, words: Sequence[str], recipe: Recipe, say: Callable[[str], None], mask: Callable[[str], str]
    ) -> None:
        lines: deque[str] = deque(maxlen=5000)
        with subprocess.Popen(
            words,
            env={**self._environment(), **recipe.arguments},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            try:
                feeder = Thread(target=_feed, args=(process.stdin, recipe.files), daemon=True)
                feeder.start()
                for line in process.stdout or ():
                    lines.append(line.decode(errors="replace").rstrip())
                    say(lines[-1])
                feeder.join()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            printed = "\n".join(f"    {mask(line)}" for line in build_errors.of_build(list(lines)))
            own = recipe.dockerfile != PORTSIDE_DOCKERFILE
            way = build_errors.hint_for_build(list(lines), own_dockerfile=own)
            raise PortsideError(f"Building the image on this machine failed. Docker printed:\n{printed}", hint=way)

    def save(self, tag: str, sink: IO[bytes]) -> None:
        """Write the image to ``sink`` as a tar archive, in chunks."""
        for piece in self.client.api.get_image(tag):
            sink.write(piece)
        sink.seek(0)

    def bound_cache(self, size: str) -> None:
        """Prune Docker's build cache to a size or a share of the disk, least recently used entries first."""
        offered = self._docker("builder", "prune", "--help").stdout
        option = "--reserved-space" if "--reserved-space" in offered else OLDER
        self._docker("builder", "prune", "--force", option, str(_bytes(size)) if size.endswith("%") else size)

    def forget_nameless(self, site: str) -> None:
        """Remove the site's untagged images, whose tag moved to the image with DEPLOY_FILES."""
        with suppress(DockerException):
            self.client.images.prune({"dangling": True, "label": f"{LABEL_SITE}={site}"})

    def forget(self, tag: str) -> None:
        """Remove an image's tag. Its layers stay in Docker's build cache."""
        with suppress(DockerException):
            self.client.images.remove(tag)

    def forget_older(self, tag: str) -> None:
        """Remove similar tags that interrupted runs left more than a day ago. Each begins with a time."""
        repository, _, now = tag.partition(":")
        for image in self.client.images.list(name=repository):
            for other in image.tags:
                made = re.fullmatch(rf"{re.escape(repository)}:(\d+)-\w+", other)
                if made and int(now.partition("-")[0]) - int(made[1]) > A_DAY:
                    self.forget(other)

    def close(self) -> None:
        self.client.close()


def _bytes(share: str) -> int:
    """Convert a share of the disk, such as 10%, to bytes."""
    return shutil.disk_usage("/").total * int(share.rstrip("%")) // 100


def _refused(why: str, what: str) -> Refused:
    return Refused(f"DEPLOY_BUILD=local: {why}.", state="Nothing was changed.", hint=f"{what}. {BUILD}")


def _feed(sink: IO[bytes], files: Mapping[str, Content]) -> None:
    """Write the build's context. If the build ends early, the rest isn't sent; its own output says why."""
    with suppress(BrokenPipeError), sink, tarfile.open(fileobj=sink, mode="w|") as archive:
        for name, content in files.items():
            add(archive, name, content)


@contextmanager
def _as_files(secrets: Mapping[str, Content]) -> Iterator[dict[str, Path]]:
    """Yield the paths of build secrets, as files that no other user can read."""
    with tempfile.TemporaryDirectory(prefix="portside-") as folder:
        paths = {}
        for number, (name, content) in enumerate(secrets.items()):
            paths[name] = content if isinstance(content, Path) else Path(folder, str(number))
            if isinstance(content, bytes):
                paths[name].write_bytes(content)
        yield paths


def find(timeout: int = 60, *, here: bool = False) -> Engine | None:
    """Return the first engine that answers, or None. ``timeout``: in seconds. ``here``: see ``endpoints``."""
    for endpoint in endpoints(here=here):
        with suppress(DockerException, OSError):
            client = endpoint_client(endpoint, timeout)
            client.ping()
            return Engine(client, endpoint)
    return None


def needed() -> Engine:
    """Return the engine that builds images. Raises Refused if none answers."""
    # Of a large image, nothing is heard before Docker has put all of it together.
    if engine := find(timeout=600):
        return engine
    what = "Start it, or choose another one (docker context ls)" if in_use() else "Install and start Docker"
    raise _refused(f"no Docker Engine answers {where()}", what)


def where() -> str:
    """Return where an engine was looked for, as it ends a sentence."""
    return f"in Docker's context “{name}”" if (name := in_use()) else "on this machine"

"""The practice server: a complete server on this machine, to try Portside out and for every end-to-end test.

``up`` starts a bare Debian server with a small internet beside it; ``down`` removes all of it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from docker import DockerClient
from docker.errors import APIError, DockerException

from deploy.practice import access, create, internet, registry, server
from deploy.practice.engine import (
    FOLDER,
    LABEL,
    NoEngine,
    PracticeError,
    Progress,
    Say,
    connect,
    containers,
    remove_container,
)
from deploy.practice.images import IMAGES, PUBLISHED, REPOSITORY
from deploy.practice.internet import Acme
from deploy.practice.network import network
from deploy.practice.server import Practice

__all__ = ["Acme", "NoEngine", "Practice", "PracticeError", "down", "down_only", "up"]

NAMES = re.compile(r"[a-z][a-z0-9-]{0,30}")
AGAIN = "Run the command again. If that doesn't help, start over: fab practice --down, then fab practice."


def up(name: str = "practice", debian: str = "trixie", *, snapshot: str | None = None, say: Say = print) -> Practice:
    """Start a server and the small internet, or those parts that aren't running.

    ``debian``: trixie or bookworm. ``snapshot``: the tag of a snapshot to start from. ``say`` gets a line when an
    operation begins, and about one a second while it runs. Raises PracticeError.
    """
    if not NAMES.fullmatch(name) or f"server:{debian}" not in IMAGES:
        raise PracticeError(
            f"No practice server can be {name!r} on {debian!r}.",
            hint="A name consists of a-z, 0-9 and -. Debian is trixie or bookworm.",
        )
    engine, progress = connect(), Progress(say)
    with _explained():
        with access.exclusive(progress):
            net = network(engine)
            services = internet.start(engine, net, progress)
            acme = internet.authority(services)
            publishing = [partial(registry.publish, services["registry"], IMAGES[each], progress) for each in PUBLISHED]
            with _meanwhile(progress, *publishing):
                practice = create.start(create.Wanted(name, debian, snapshot), engine, net, acme, progress)
        practice.wait()  # without the lock, so that other servers can start meanwhile
        with access.exclusive(lambda _: None):
            server.authorize(practice)
    return practice


def down(*, say: Say = print) -> None:
    """Remove every server, snapshot and image, the small internet, and this checkout's keys. Raises PracticeError."""
    engine, progress = connect(), Progress(say)
    with access.exclusive(progress), _explained():
        for name, found in containers(engine).items():
            progress(f"removing {name}")
            remove_container(found)
        for volume in engine.volumes.list(filters={"label": LABEL}):
            volume.remove(force=True)
        for net in engine.networks.list(filters={"label": LABEL}):
            net.remove()
        progress("removing the images")
        _remove_images(engine)
        shutil.rmtree(FOLDER)


def down_only(name: str, *, say: Say = print) -> None:
    """Remove one server. The others and the small internet stay. Raises PracticeError if there is no such server."""
    engine, progress = connect(), Progress(say)
    found = containers(engine).get(server.container_name(name))
    if not found:
        raise PracticeError(f"There is no practice server {name}.", hint="fab practice --down removes all of them.")
    with _explained():
        progress(f"removing {name}")
        server.remove(engine, name, server.ports(found.labels).ssh)


def _remove_images(engine: DockerClient) -> None:
    for found in engine.images.list(filters={"reference": f"{REPOSITORY}/*"}):
        for tag in found.tags:
            if tag.startswith(f"{REPOSITORY}/"):
                engine.images.remove(tag, force=True)
    engine.images.prune(filters={"dangling": True, "label": LABEL})


@contextlib.contextmanager
def _meanwhile(progress: Progress, *jobs: Callable[[], None]) -> Iterator[None]:
    """Run jobs in parallel with the block. The first error, or Ctrl-C, ends all of them."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(job) for job in jobs]
        try:
            yield
            for job in running:
                job.result()
        except BaseException:
            progress.cancel()
            raise


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn the engine's own errors into PracticeError."""
    try:
        yield
    except APIError as error:
        raise PracticeError(f"Docker reported an error: {error.explanation or error}", hint=AGAIN) from error
    except (DockerException, OSError) as error:
        raise PracticeError(str(error), hint=AGAIN) from error

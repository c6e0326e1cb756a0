"""The practice server: a whole production on this machine, for the first five minutes and for every end-to-end test.

``up`` brings up a bare Debian server with a small internet beside it; ``down`` takes all of it away.
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

from deploy.practice import access, birth, internet, registry, server
from deploy.practice.engine import FOLDER, LABEL, NoEngine, PracticeError, Say, Voice, connect, containers, take_away
from deploy.practice.images import IMAGES, PUBLISHED, REPOSITORY
from deploy.practice.internet import Acme
from deploy.practice.network import network
from deploy.practice.server import Practice

__all__ = ["Acme", "NoEngine", "Practice", "PracticeError", "down", "down_only", "up"]

NAMES = re.compile(r"[a-z][a-z0-9-]{0,30}")
AGAIN = "Run it again; if that doesn't help, begin anew: fab practice --down, then fab practice."


def up(name: str = "practice", debian: str = "trixie", *, snapshot: str | None = None, say: Say = print) -> Practice:
    """Brings up a server and the small internet, or whatever of it is missing; all there: nothing to do.

    ``debian``: trixie or bookworm. ``snapshot``: the tag of one to begin from. ``say`` gets a line whenever something
    begins, and about one a second while it lasts. Raises PracticeError.
    """
    if not NAMES.fullmatch(name) or f"server:{debian}" not in IMAGES:
        raise PracticeError(f"No practice server can be {name!r} on {debian!r}: a-z, 0-9 and -; trixie or bookworm.")
    engine, voice = connect(), Voice(say)
    with _explained():
        with access.exclusive(voice):
            net = network(engine)
            services = internet.start(engine, net, voice)
            acme = internet.authority(services)
            publishing = [partial(registry.publish, services["registry"], IMAGES[each], voice) for each in PUBLISHED]
            with _meanwhile(voice, *publishing):
                practice = birth.start(birth.Wanted(name, debian, snapshot), engine, net, acme, voice)
        practice.wait()  # in which others may begin
        with access.exclusive(lambda _: None):
            server.admit(practice)
    return practice


def down(*, say: Say = print) -> None:
    """Removes every server, snapshot and image, the small internet, and this checkout's keys."""
    engine, voice = connect(), Voice(say)
    with access.exclusive(voice), _explained():
        for name, found in containers(engine).items():
            voice(f"removing {name}")
            take_away(found)
        for volume in engine.volumes.list(filters={"label": LABEL}):
            volume.remove(force=True)
        for net in engine.networks.list(filters={"label": LABEL}):
            net.remove()
        voice("removing the images")
        _remove_images(engine)
        shutil.rmtree(FOLDER)


def down_only(name: str, *, say: Say = print) -> None:
    """Takes one server away. The others and the small internet stay. Raises PracticeError where there is none."""
    engine, voice = connect(), Voice(say)
    found = containers(engine).get(server.container_name(name))
    if not found:
        raise PracticeError(f"There is no practice server {name}.", hint="fab practice --down takes all of them away.")
    with _explained():
        voice(f"removing {name}")
        server.remove(engine, name, server.ports(found.labels).ssh)


def _remove_images(engine: DockerClient) -> None:
    for found in engine.images.list(filters={"reference": f"{REPOSITORY}/*"}):
        for tag in found.tags:
            if tag.startswith(f"{REPOSITORY}/"):
                engine.images.remove(tag, force=True)
    engine.images.prune(filters={"dangling": True, "label": LABEL})


@contextlib.contextmanager
def _meanwhile(voice: Voice, *jobs: Callable[[], None]) -> Iterator[None]:
    """Runs jobs beside the block. Whatever fails first, or Ctrl-C, ends all of them."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(job) for job in jobs]
        try:
            yield
            for job in running:
                job.result()
        except BaseException:
            voice.cut()
            raise


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """The engine's own errors, as ours."""
    try:
        yield
    except APIError as error:
        raise PracticeError(f"Docker said: {error.explanation or error}", hint=AGAIN) from error
    except (DockerException, OSError) as error:
        raise PracticeError(str(error), hint=AGAIN) from error

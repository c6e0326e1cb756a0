"""The disk fills up: what was live stays live, what no release needs makes room, and a rollback works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy.practice import Practice

from ..kit.inside import shell
from ..kit.project import Project
from ..kit.tiny import DOCKERFILE, Tiny, make, nobody_lost

pytestmark = pytest.mark.begins("bare")

CACHED = """\
FROM python:3.13-slim AS cached
RUN head -c 400M /dev/urandom >/cached && sha256sum /cached >/sum
"""
"""Of which Docker's build cache has 400 MB, and the image nothing."""


@pytest.fixture(scope="module")
def full(server: Practice, projects: Callable[[str], Project]) -> Tiny:
    """The tiny site on a server whose engine has a small disk."""
    shell(server, "mkdir -p /var/lib/docker && mount -t tmpfs -o size=2600m tmpfs /var/lib/docker")
    return make(projects("full"))


@contextmanager
def free(server: Practice, megabytes: int) -> Iterator[None]:
    """While the block runs, so much of the engine's disk is free."""
    shell(
        server,
        "cd /var/lib/docker && fallocate -l $(($(df -Pk . | awk 'NR == 2 {print $4}') / 1024 - $1))M fills"
        ' && if [ "$1" -eq 0 ]; then ! cat /dev/zero >>fills 2>/dev/null; fi',
        str(megabytes),
    )
    try:
        yield
    finally:
        shell(server, "rm /var/lib/docker/fills")


def test_the_disk_fills_up_while_it_builds(full: Tiny) -> None:
    fills = DOCKERFILE + "RUN dd if=/dev/zero of=/filled bs=1M\n"
    done = full.fails({"app/Dockerfile": fills}, "build")
    assert "No space left on device" in done.err


def test_the_build_cache_goes_before_a_deploy_is_refused(full: Tiny) -> None:
    full.project.write({"app/Dockerfile": CACHED + DOCKERFILE + "COPY --from=cached /sum /sum\n"})
    full.change()
    with full.project.with_settings(DEPLOY_BUILD_CACHE="90%"):  # a tenth of so small a disk wouldn't have them
        full.deploy()
    full.change()
    with free(full.project.server, 900), nobody_lost(full):
        done = full.project.deploy()
        assert "of the build cache" in done.out
    full.check_whole()


def test_a_deploy_without_room_is_refused_before_anything_is_changed(full: Tiny) -> None:
    before, old = full.live, full.answers()
    full.change()
    with free(full.project.server, 300), nobody_lost(full):
        done = full.project.deploy(check=False)
    assert done.code == 1
    assert "The disk is nearly full" in done.err
    assert "1024 MB needed" in done.err
    assert (full.live, full.answers()) == (before, old)


def test_a_rollback_works_on_a_full_disk(full: Tiny) -> None:
    kept = full.project.fab("releases", on=full.project.server, project=full.project, check=True)
    assert "next for rollback" in kept.out
    before = full.live
    with free(full.project.server, 0), nobody_lost(full):
        done = full.project.fab("rollback", on=full.project.server, project=full.project, check=True)
        assert "the reserve for a rollback" in done.out
        assert full.live != before
        assert full.left() == ""
    with nobody_lost(full):
        full.deploy()

"""The disk fills up: what was live stays live, and the next deploy works."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy.practice import Practice

from ..kit.inside import shell
from ..kit.project import Project
from ..kit.tiny import DOCKERFILE, make

pytestmark = pytest.mark.begins("bare")


def test_the_disk_fills_up_while_it_builds(server: Practice, projects: Callable[[str], Project]) -> None:
    """On a server whose engine has a small disk."""
    shell(server, "mkdir -p /var/lib/docker && mount -t tmpfs -o size=1800m tmpfs /var/lib/docker")
    site = make(projects("full"))
    fills = DOCKERFILE + "RUN dd if=/dev/zero of=/filled bs=1M\n"
    done = site.fails({"app/Dockerfile": fills}, "build")
    assert "No space left on device" in done.err

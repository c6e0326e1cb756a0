"""The clock jumps and ports are taken: what a release is told by is its history, and a free port is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.practice import Practice

from ..kit.inside import listening, shell
from ..kit.tiny import Tiny, nobody_lost

pytestmark = pytest.mark.begins("tiny")

CLOCK = """\
#!/bin/sh
exec /usr/bin/date -d "$(cat /run/clock-jumped)" "$@"
"""


def test_a_port_of_the_range_is_taken(tiny: Tiny) -> None:
    server, ports = tiny.project.server, {"DEPLOY_PORTS": "8400-8401"}
    with listening(server, 8400), nobody_lost(tiny):
        tiny.change()
        assert "on 127.0.0.1:8401" in tiny.deploy(**ports).out
        before, old = tiny.live, tiny.version
        tiny.change()
        with tiny.project.with_settings(**ports):
            done = tiny.project.deploy(check=False)
        assert done.code == 1
        assert "DEPLOY_PORTS" in done.err
        assert (tiny.live, tiny.answers()) == (before, old)
        assert tiny.left() == ""
    with nobody_lost(tiny):
        assert "on 127.0.0.1:8400" in tiny.deploy(**ports).out


# The clock


@contextmanager
def clock(server: Practice, when: str) -> Iterator[None]:
    """What asks `date` on the server is told another time. The kernel's clock is the machine's, and stays."""
    shell(server, 'printf "%s" "$1" >/usr/local/sbin/date && chmod 755 /usr/local/sbin/date', CLOCK)
    shell(server, 'echo "$1" >/run/clock-jumped', when)
    try:
        yield
    finally:
        shell(server, "rm -f /usr/local/sbin/date /run/clock-jumped")


def test_the_clock_jumps(tiny: Tiny) -> None:
    """A release from the future is as good as any: what comes after it, and what is gone back to, goes by history."""
    server = tiny.project.server
    with nobody_lost(tiny):
        with clock(server, "next year"):
            tiny.change()
            future = tiny.deploy().release
        tiny.inside('find "/srv/portside/$1/current/" -maxdepth 1 -exec touch -d "next year" {} +')
        tiny.change()
        present = tiny.deploy().release
        assert future > present
        tiny.project.fab("rollback", on=server, project=tiny.project, check=True)
        assert tiny.live == future
        for _ in range(4):
            tiny.change()
            tiny.deploy()
        before = tiny.live
        tiny.change()
        tiny.deploy()
        tiny.project.fab("rollback", on=server, project=tiny.project, check=True)
        assert tiny.live == before
        assert tiny.left() == ""


def test_the_clock_jumps_while_it_deploys(tiny: Tiny) -> None:
    for when in ("1 hour ago", "1 hour"):
        tiny.change()
        with nobody_lost(tiny), clock(tiny.project.server, "now"):
            run = tiny.start("deploy")
            tiny.reached(run, "healthcheck")
            shell(tiny.project.server, 'echo "$1" >/run/clock-jumped', when)
            assert run.end().code == 0
        tiny.check_whole()

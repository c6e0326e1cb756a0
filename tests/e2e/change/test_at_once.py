"""More than one deploy at once, of one site or of two."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..kit.inside import shell
from ..kit.project import Project
from ..kit.tiny import Tiny, make, nobody_lost
from ..kit.visitors import ask

pytestmark = pytest.mark.begins("tiny")


def test_two_deploys_of_one_site(tiny: Tiny) -> None:
    tiny.change()
    with nobody_lost(tiny):
        runs = [tiny.start("deploy") for _ in range(3)]
        codes = sorted(run.end().code for run in runs)
    assert codes[0] == 0
    assert set(codes) <= {0, 3}
    tiny.check_whole()


def test_two_sites_from_two_laptops(tiny: Tiny, projects: Callable[[str], Project]) -> None:
    """Both change Nginx's files, upon each other's."""
    other = make(projects("release-too"))
    for body in ("11m", "12m", "13m"):
        for each in (tiny, other):
            each.change()
            each.project.set(DEPLOY_MAX_BODY=body)
        with nobody_lost(tiny, reloaded=True), nobody_lost(other, reloaded=True):
            runs = [each.start("deploy") for each in (tiny, other)]
            assert [run.end().code for run in runs] == [0, 0]
        for each in (tiny, other):
            each.check_whole()
            assert body in shell(each.project.server, f"cat /etc/nginx/portside/sites/{each.project.name}.conf")
            assert ask(each.project.server, each.project.domain).status == 200

"""The server goes down and comes up: every site is back by itself."""

from __future__ import annotations

import pytest

from deploy.practice import Practice

from ..kit.inside import live, shell, sql
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

pytestmark = [pytest.mark.core, pytest.mark.begins("portfolio")]

HOW = {
    "a reboot": lambda server: server.restart(),
    "a power cut": lambda server: (server.kill(), server.start()),
}


def well(site: Project) -> bool:
    try:
        return ask(site.server, site.domain, "/healthz").text == "ok"
    except OSError:
        return False


@pytest.mark.parametrize("how", HOW)
def test_the_site_is_back_by_itself(site: Project, server: Practice, how: str) -> None:
    rows, release = sql(server, site.name, "select count(*) from portfolio_work"), live(server, site.name)
    HOW[how](server)
    until(lambda: well(site), f"the site after {how}")
    assert ask(server, site.domain).release == release
    assert sql(server, site.name, "select count(*) from portfolio_work") == rows
    assert "Status: active" in shell(server, "ufw status")
    until(lambda: "DROP" in shell(server, "iptables -S DOCKER-USER", check=False), "the rule that guards containers")


def test_nothing_is_to_do_afterwards(site: Project) -> None:
    before = live(site.server, site.name)
    assert site.fab("provision", "--verbose", on=site.server, project=site, check=True).round_trips == 1
    assert "nothing to do" in site.deploy().out
    assert live(site.server, site.name) == before


def test_only_live_releases_run(site: Project) -> None:
    """What was stopped and kept for a rollback stays stopped."""
    running = shell(site.server, 'docker ps --format \'{{.Label "portside.site"}} {{.Label "portside.release"}}\'')
    for line in running.splitlines():
        name, _, release = line.partition(" ")
        assert release in {"", live(site.server, name)}

"""A site closed for a while."""

from __future__ import annotations

import pytest

from deploy.cli import maintenance
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from tests import sample
from tests.sample import Paper

SCRIPT = ("script", "maintenance", "root=/srv/portside/portfolio", "file=sites/portfolio.conf")


def words(settings: Settings, *, closed: bool, allow: str = "") -> tuple[str, ...]:
    paper = Paper(sample.live(settings))
    run = sample.run(settings, paper, "maintenance")
    run.report.quiet = False
    maintenance.switch(run, closed=closed, allow=allow)
    (step,) = paper.steps
    return step.words


def test_it_is_closed_but_for_addresses(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = (*SCRIPT, "state=closed", "addresses=192.0.2.1", "addresses=2001:db8::1")
    assert words(settings, closed=True, allow="2001:DB8:0::1, 192.0.2.1") == wanted
    told = capsys.readouterr().out
    assert "is closed on server.example: visitors except 192.0.2.1, 2001:db8::1 get the maintenance page" in told
    assert "fab maintenance --off -H server.example" in told


def test_it_is_opened(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert words(settings, closed=False) == (*SCRIPT, "state=open")
    assert "portfolio.localhost is open on server.example." in capsys.readouterr().out


def test_an_address_that_is_none_is_refused_before_the_server_is_touched(settings: Settings) -> None:
    paper = Paper(sample.live(settings))
    with pytest.raises(Refused, match=r"--allow: '192\.0\.2\.0/24'"):
        maintenance.switch(sample.run(settings, paper, "maintenance"), closed=True, allow="192.0.2.0/24")
    assert not paper.connected
    with pytest.raises(Refused, match="names an interface"):
        maintenance.switch(sample.run(settings, paper, "maintenance"), closed=True, allow="fe80::1%/../../x")


def test_a_site_that_is_not_live_can_not_be_closed(settings: Settings) -> None:
    paper = Paper(sample.facts("debian-13-bare"))
    with pytest.raises(Refused, match="isn't live"):
        maintenance.switch(sample.run(settings, paper, "maintenance"), closed=True)

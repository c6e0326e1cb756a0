"""Drift: what was changed on the server by hand, named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploy import drift
from deploy.differing import Item
from deploy.settings import Settings
from tests import sample

CONF = "/etc/nginx/portside/sites/portfolio.conf"


def found(settings: Settings, *items: Item, **changed: Any) -> list[str]:
    facts = replace(sample.live(settings), containers=(sample.web(sample.OLD),), live_restore=True)
    record = sample.recorded(facts.current)
    facts = replace(facts, current=sample.OLD, releases={sample.OLD: record})
    return drift.found(replace(facts, **changed), items)


def test_a_server_as_it_was_left_has_none(settings: Settings) -> None:
    assert found(settings) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"nginx_active": False}, "Nginx is stopped."),
        ({"nginx_files": {"nginx.conf": "0"}}, "Nginx's files were changed by hand: those of another site."),
        ({"containers": (sample.web(sample.OLD, "exited"),)},
         f"The container portfolio-{sample.OLD}-web-1-1 is exited."),
        ({"containers": ()}, f"1 web container of {sample.OLD} missing."),
        ({"live_restore": False},
         "Docker doesn't keep containers while it restarts: live-restore is off (/etc/docker/daemon.json)."),
        ({"current": "", "nginx_active": False}, ""),
    ],
)  # fmt: skip
def test_each_is_named(changed: dict[str, Any], told: str, settings: Settings) -> None:
    assert found(settings, **changed) == ([told] if told else [])


def test_files_are_named_that_differ(settings: Settings) -> None:
    item = Item("live", "Nginx generation", "~", diffs={CONF: ""})
    (told,) = found(settings, item, nginx_files={"nginx.conf": "0"})
    assert told == f"Nginx's files were changed by hand: {CONF}."


def test_files_of_the_host_are_named(settings: Settings) -> None:
    gone, other = Item("provision", "File /etc/x", "+", path="/etc/x"), Item("provision", "x", "~", path="/etc/y")
    closed, elsewhere = Item("provision", "Firewall: 80 open", "~"), Item("build", "File /z", "+", path="/z")
    assert found(settings, gone, other, closed, elsewhere) == [
        "/etc/x is gone.", "/etc/y isn't as Portside leaves it.",
        "The firewall isn't as Portside leaves it: 80 open is to be.",
    ]  # fmt: skip

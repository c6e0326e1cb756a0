"""Bare servers, several of them in one command."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from deploy.practice import Practice

from ..kit.laptop import Fab, lines_of
from ..kit.project import Project

pytestmark = pytest.mark.begins("bare")


def test_both_are_provisioned_at_once(
    fab: Fab, projects: Callable[[str], Project], server: Practice, bring_up: Callable[..., Practice]
) -> None:
    project, second = projects("greeting"), bring_up("second")
    project.set(DEPLOY_DOMAINS="greeting.test", SECRET_KEY="k" * 50, DEPLOY_DATABASE="none")
    done = fab("provision", on=f"{server.name},{second.name}", project=project, check=True)
    for each in (server, second):
        assert [line for line in lines_of(done, each) if line.startswith("✓ provision")]
        assert re.search(rf"^  {each.name} +done$", done.out, re.MULTILINE)
    order = [re.match(rf"({server.name}|{second.name}) *\|", line) for line in done.out.splitlines()]
    names = [found.group(1) for found in order if found]
    assert names != sorted(names, key=names.index), "one didn't wait for the other"

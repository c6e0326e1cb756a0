"""The practice server itself, as its user sees it."""

from __future__ import annotations

import pytest

from deploy.practice import Practice

from ..kit.laptop import Fab


def test_again_there_is_nothing_to_do(fab: Fab, server: Practice) -> None:
    container = server.engine.containers.get(server.container)
    done = fab("practice", "--name", server.name, check=True)
    assert f"fab deploy -H {server.name}" in done.out
    again = server.engine.containers.get(server.container)
    assert (again.id, again.attrs["State"]["StartedAt"]) == (container.id, container.attrs["State"]["StartedAt"])


def test_odd_names_are_refused(fab: Fab) -> None:
    done = fab("practice", "--name", "Not A Name")
    assert done.code == 1
    assert "No practice server can be" in done.err


def test_down_leaves_nothing(fab: Fab, server: Practice, clean_machine: bool) -> None:
    if not clean_machine:
        pytest.skip("there were practice servers before these tests, which it would take away")
    engine = server.engine
    fab("practice", "--down", check=True)
    label = {"label": "portside.practice"}
    assert engine.containers.list(all=True, filters=label) == []
    assert engine.volumes.list(filters=label) == []
    assert engine.networks.list(filters=label) == []

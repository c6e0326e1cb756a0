"""What a user runs in the live release."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke.exceptions import Exit

from deploy import live
from deploy.errors import PortsideError, Refused
from deploy.facts import Facts
from deploy.settings import Settings
from tests import sample
from tests.sample import Paper


class Terminal(Paper):
    """Notes what is run, and ends it with ``code``."""

    code = 0
    words: tuple[str, ...] = ()

    def interactive(self, words: tuple[str, ...]) -> int:
        self.words = words
        return self.code


def manage(settings: Settings, facts: Facts, command: str, code: int = 0) -> tuple[str, ...]:
    terminal = Terminal(facts)
    terminal.code = code
    live.manage(sample.run(settings, terminal, "manage"), command)
    return terminal.words


def test_a_command_runs_in_a_container_of_the_live_release(settings: Settings) -> None:
    assert manage(settings, sample.live(settings), "createsuperuser --email 'a b@c'") == (
        "docker", "compose", "-f", f"/srv/portside/portfolio/releases/{sample.OLD}/compose.yaml",
        "run", "--rm", "--no-deps", "manage", "python", "/app/manage.py", "createsuperuser", "--email", "a b@c",
    )  # fmt: skip


def test_the_commands_exit_code_is_ours(settings: Settings) -> None:
    with pytest.raises(Exit) as caught:
        manage(settings, sample.live(settings), "check", code=7)
    assert caught.value.code == 7


def test_a_command_that_can_not_be_read_is_refused(settings: Settings) -> None:
    with pytest.raises(Refused, match="can't be read"):
        manage(settings, sample.live(settings), "say 'open")


def test_a_site_that_is_not_live_says_what_to_type(settings: Settings) -> None:
    with pytest.raises(PortsideError, match="isn't live on server") as caught:
        manage(settings, sample.provisioned(), "check")
    assert caught.value.hint == "Type fab deploy first."


def test_a_static_site_has_nothing_to_manage(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is a static site"):
        manage(sample.settings(tmp_path, sample.STATIC), sample.provisioned(), "check")

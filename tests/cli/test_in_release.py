"""What a user runs in the live release."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit

from deploy.cli import in_release
from deploy.config.settings import Settings
from deploy.core.errors import PortsideError, Refused
from deploy.core.steps import script
from deploy.flows.context import Run
from deploy.ssh import session
from deploy.ssh.results import Result
from tests import sample
from tests.sample import Paper

COMPOSE = f"/srv/portside/portfolio/releases/{sample.OLD}/compose.yaml"


class Attended(Paper):
    """Notes what is run, and ends it with ``code``; of the site it tells which release is live."""

    def __init__(self, code: int = 0, current: str = sample.OLD, owner: str = "portfolio.localhost") -> None:
        super().__init__(sample.bare())
        self.code, self.live, self.owner = code, current, owner
        self.words: tuple[str, ...] = ()
        self.how: dict[str, Any] = {}

    def apply(self, steps: Any, **how: Any) -> list[Result]:
        record, owned = (
            base64.b64encode(json.dumps(told).encode()).decode()
            for told in ({"manage": "/app/manage.py"}, {"domains": [self.owner]})
        )
        told = (
            (f"site.current\t{self.live}", f"release\t{self.live} {record}", f"site.record\t{owned}")
            if self.live
            else ()
        )
        return [Result(script("x", "live"), "changed", "", None, told)]

    def interactive(self, words: tuple[str, ...], given: Any, out: Any, errors: Any, **how: Any) -> int:
        self.words, self.how = words, how
        return self.code


@pytest.fixture(params=[False, True], ids=["piped", "terminal"])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a user sits at a terminal."""
    monkeypatch.setattr(session, "terminal", lambda: request.param)
    return bool(request.param)


def run(settings: Settings, at: Paper, task: str = "manage") -> Run:
    return sample.run(settings, at, task)


def ran(at: Attended) -> tuple[str, ...]:
    """The words, without what sees to it that nothing is left behind."""
    assert at.words[0:2] == ("sh", "-c")
    assert at.words[5] in at.words[6:], "the container it is told to end is the one that is made"
    return tuple("NAME" if word == at.words[5] else word for word in at.words[6:])


def in_container(*words: str, terminal: bool) -> tuple[str, ...]:
    start = ("docker", "compose", "--progress", "quiet", "-f", COMPOSE, "run", "--rm", "--no-deps", "--name", "NAME")
    return (*start, *(() if terminal else ("--no-TTY",)), "manage", *words)


def test_a_command_runs_in_a_container_of_the_live_release(settings: Settings, terminal: bool) -> None:
    at = Attended()
    in_release.manage(run(settings, at), "createsuperuser --email 'a b@c'")
    words = ("python", "/app/manage.py", "createsuperuser", "--email", "a b@c")
    assert ran(at) == in_container(*words, terminal=terminal)
    assert at.how == {"terminal": terminal, "root": True}


def test_a_shell_line_is_one(settings: Settings, terminal: bool) -> None:
    at = Attended()
    in_release.command(run(settings, at, "run"), "ls $HOME | wc -l; exit 3")
    assert ran(at) == in_container("sh", "-c", "ls $HOME | wc -l; exit 3", terminal=terminal)


def test_a_shell_asks_a_user_and_runs_what_is_piped(settings: Settings, terminal: bool) -> None:
    at = Attended()
    in_release.shell(run(settings, at, "shell"))
    words = ("shell",) if terminal else ("shell", "-v", "0", "-c", in_release.PIPED)
    assert ran(at) == in_container("python", "/app/manage.py", *words, terminal=terminal)


def test_psql_has_the_password_on_no_command_line(settings: Settings, terminal: bool) -> None:
    at = Attended()
    in_release.psql(run(settings, at, "psql"), "select 1")
    words = ran(at)
    assert "correct-horse-battery" not in " ".join(at.words)
    assert ("--tty" in words, "ON_ERROR_STOP=1" in words) == (terminal, not terminal)
    assert words[-8:] == ("-c", "select 1", "-h", "db", "-U", "portfolio", "-d", "portfolio")
    assert "portside-portfolio" in words
    assert f"PGOPTIONS={in_release.CHECKED}" in words


def test_an_older_database_is_not_asked_for_what_it_does_not_know(tmp_path: Path, terminal: bool) -> None:
    at = Attended()
    in_release.psql(run(sample.settings(tmp_path, DEPLOY_DATABASE="postgres:13"), at), "")
    assert f"PGOPTIONS={in_release.CHECKED}" not in ran(at)


def test_a_dump_is_written_by_the_databases_own_program(settings: Settings, terminal: bool) -> None:
    at = Attended()
    in_release.psql(run(settings, at, "psql"), "", dump=True)
    assert ran(at)[-7:] == ("pg_dump", "-h", "db", "-U", "portfolio", "-d", "portfolio")


def test_an_external_database_is_asked_through_the_application(tmp_path: Path, terminal: bool) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE="external", DATABASE_URL="postgres://a@b/c")
    at = Attended()
    in_release.psql(run(settings, at), "select 1")
    given = ("-c", "select 1") if terminal else ("-v", "ON_ERROR_STOP=1", "-c", "select 1")
    assert ran(at) == in_container("python", "/app/manage.py", "dbshell", "--", *given, terminal=terminal)
    with pytest.raises(Refused, match="pg_dump with its DATABASE_URL"):
        in_release.psql(run(settings, at), "", dump=True)


def test_a_shell_on_the_server_is_the_users_own(settings: Settings, terminal: bool) -> None:
    at = Attended()
    in_release.ssh(run(settings, at, "ssh"))
    assert (at.words[-1], at.how["root"]) == ("/srv/portside/portfolio", False)


def test_the_commands_exit_code_is_ours(settings: Settings, terminal: bool) -> None:
    with pytest.raises(Exit) as caught:
        in_release.manage(run(settings, Attended(code=7)), "check")
    assert caught.value.code == 7


def test_a_command_that_can_not_be_read_is_refused(settings: Settings) -> None:
    with pytest.raises(Refused, match="can't be read"):
        in_release.manage(run(settings, Attended()), "say 'open")


def test_a_site_that_is_not_live_says_what_to_type(settings: Settings) -> None:
    for use in (lambda it: in_release.manage(it, "check"), lambda it: in_release.psql(it, ""), in_release.shell):
        with pytest.raises(PortsideError, match="isn't live on server") as caught:
            use(run(settings, Attended(current="")))
        assert caught.value.hint == "Run fab deploy -H server.example first."


def test_a_static_site_has_nothing_to_run(tmp_path: Path) -> None:
    it = run(sample.settings(tmp_path, sample.STATIC), Attended())
    for use in (
        lambda: in_release.manage(it, "check"),
        lambda: in_release.command(it, "ls"),
        lambda: in_release.shell(it),
    ):
        with pytest.raises(Refused, match="is a static site: it has no application"):
            use()
    with pytest.raises(Refused, match="is a static site: it has no database"):
        in_release.psql(it, "")


def test_a_site_without_a_database_has_no_psql(tmp_path: Path) -> None:
    it = run(sample.settings(tmp_path, DEPLOY_DATABASE="none"), Attended())
    with pytest.raises(Refused, match=r"has no database \(DEPLOY_DATABASE=none\)"):
        in_release.psql(it, "")


def test_no_command_is_run_in_another_projects_release(settings: Settings) -> None:
    at = Attended(owner="theirs.example")
    for use in (lambda it: in_release.manage(it, "flush"), lambda it: in_release.psql(it, ""), in_release.shell):
        with pytest.raises(Refused, match=r"is already in use on .* \(by theirs\.example"):
            use(run(settings, at))
    assert at.words == ()

"""A site taken off its server: who may, what is asked, what is planned, what is said."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import PortsideError, Refused, StepFailed
from deploy.core.facts import Facts
from deploy.core.steps import Step
from deploy.flows import runner, tasks
from deploy.flows.context import Run
from deploy.flows.stages import remove
from deploy.nginx import http3
from deploy.ssh.results import Result
from tests import sample
from tests.goldens import Texts, transcript
from tests.sample import Paper

FOLDER = "/var/lib/portside/backups/portfolio/20261120-192010"


class Removing(Paper):
    """One on which a backup is made."""

    def _answer(self, script: str, step: Step) -> Any:
        made = {"folder": FOLDER, "kilobytes": 2048, "parts": ["database.dump"]}
        return made if script == "backup" else super()._answer(script, step)


def begun(settings: Settings, paper: Paper, **given: Any) -> Run:
    run = sample.run(settings, paper, "remove", **{"yes": True, **given})
    run.report.quiet = False
    return run


def gone() -> Facts:
    return replace(sample.provisioned(), there=False, kept=("/b/1", "/b/2"))


def test_the_whole_removal(settings: Settings, steady: None, texts: Texts, golden: Callable[[str, str], None]) -> None:
    paper = Removing(sample.live(settings))
    tasks.remove(begun(settings, paper))
    golden("remove.txt", transcript(paper, texts))


def test_it_says_where_the_backup_is_and_how_to_bring_it_back(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks.remove(begun(settings, Removing(sample.live(settings))))
    told = capsys.readouterr().out
    assert "portfolio was removed from server.example." in told
    assert f"{FOLDER}, on the server (2.0 MB, readable only by root)" in told
    assert f"pg_restore --clean --if-exists --no-owner -U portfolio -d portfolio <{FOLDER}/database.dump" in told
    assert "files.tar" not in told, "there is none"


def test_what_only_it_had_of_the_firewall_goes_too(settings: Settings) -> None:
    facts = replace(sample.live(settings), ufw_rules=(http3.OPENED,))
    paper = Removing(facts)
    tasks.remove(begun(settings, paper))
    assert paper.scripts == ["backup", "unplug", "firewall", "remove"]
    paper = Removing(facts)
    tasks.remove(begun(settings.model_copy(update={"firewall": False}), paper))
    assert paper.scripts == ["backup", "unplug", "remove"]


@pytest.mark.parametrize("kept", [(), ("/b/1", "/b/2")])
def test_what_is_not_there_is_nothing_to_take_away(
    kept: tuple[str, ...], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = Paper(replace(gone(), kept=kept))
    tasks.remove(begun(settings, paper))
    told = capsys.readouterr().out
    assert "portfolio isn't on server.example: there is nothing to remove." in told
    assert ("Its last backup: /b/2" in told) is bool(kept)
    assert (paper.steps, paper.stages) == ([], [])


def test_what_somebody_else_has_taken_away_by_then_is_not_taken_away_twice(settings: Settings) -> None:
    paper = Paper(sample.live(settings), gone())
    tasks.remove(begun(settings, paper))
    assert paper.steps == []


@pytest.mark.parametrize(
    "left",
    [{"there": True}, {"certificate": "PEM"}, {"issued": "PEM"}, {"images": ("portside/portfolio:x",)}],
)
def test_whatever_is_there_is_taken_away(left: dict[str, Any], settings: Settings) -> None:
    paper = Removing(replace(gone(), **left))
    tasks.remove(begun(settings, paper))
    assert paper.scripts == ["backup", "remove"], "Nginx knows nothing of it"


def asked(settings: Settings, monkeypatch: pytest.MonkeyPatch, typed: str | None) -> Paper:
    """What is done once this is typed; None: there is no terminal."""
    terminal = io.StringIO(typed or "")
    monkeypatch.setattr(terminal, "isatty", lambda: typed is not None)
    monkeypatch.setattr("sys.stdin", terminal)
    paper = Removing(sample.live(settings))
    run = begun(settings, paper, yes=False)
    try:
        tasks.remove(run)
    except Refused as error:
        assert error.state == "Nothing was changed."
        assert paper.scripts == []
    return paper


def test_it_is_done_once_the_name_was_typed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(settings, monkeypatch, "portfolio\n").scripts == ["backup", "unplug", "remove"]
    assert f"portfolio.localhost, release {sample.OLD} is live, its database." in capsys.readouterr().out


@pytest.mark.parametrize("typed", ["", "\n", "yes\n", "portfolio-2\n", "Portfolio\n"])
def test_anything_else_that_is_typed_changes_nothing(
    typed: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(settings, monkeypatch, typed).scripts == []


def test_without_a_terminal_the_server_is_not_even_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not asked(settings, monkeypatch, None).connected


@pytest.mark.parametrize("current", [sample.OLD, ""])
def test_another_projects_site_is_refused_live_or_not(current: str, settings: Settings) -> None:
    facts = replace(sample.live(settings), record={"domains": ["b.example"]}, current=current)
    paper = Removing(facts)
    with pytest.raises(Refused, match=r'"portfolio" is already in use on server\.example \(by b\.example'):
        tasks.remove(begun(settings, paper))
    assert paper.steps == []


def test_an_engine_that_does_not_answer_is_told_first(settings: Settings) -> None:
    facts = replace(sample.live(settings), docker_version="", packages=frozenset({"docker.io"}))
    with pytest.raises(PortsideError, match="is installed but doesn't answer"):
        tasks.remove(begun(settings, Removing(facts)))


def test_an_interrupted_deploy_is_not_put_right_first(settings: Settings) -> None:
    facts = sample.with_releases(sample.live(settings), sample.OLD, {sample.OLD: {}, sample.NEW: {}})
    paper = Removing(facts)
    tasks.remove(begun(settings, paper))
    assert paper.scripts == ["backup", "unplug", "remove"]


@pytest.mark.parametrize("command", ["deploy", "rollback", "abort", "certs"])
def test_what_is_half_taken_away_can_only_be_taken_away(command: str, settings: Settings, project: Path) -> None:
    facts = replace(sample.live(settings), removing=FOLDER, current="")
    paper = Paper(facts)
    with pytest.raises(Refused) as caught:
        runner.follow(sample.run(settings, paper, command))
    assert caught.value.hint == "Finish it with fab remove -H server.example. Then the site can be deployed again."
    assert FOLDER in caught.value.state
    assert paper.steps == []


@pytest.mark.parametrize(
    ("script", "lines", "state", "goes_on"),
    [
        ("backup", ["No room.", "Nothing was removed."], f"Release {sample.OLD} is live, as before.", False),
        ("unplug", ["Nginx refuses.", "Nothing was removed. The backup stays, in /b."], "as before.", False),
        ("remove", ["network has active endpoints"], "a part of its data is still there.", True),
    ],
)
def test_a_failure_says_what_is_so_now(
    script: str, lines: list[str], state: str, goes_on: bool, settings: Settings
) -> None:
    class Failing(Removing):
        def _result(self, step: Step, stage: str) -> Result:
            if step.script == script:
                raise StepFailed(self.target, stage, step.name, 1, lines)
            return super()._result(step, stage)

    with pytest.raises(StepFailed) as caught:
        tasks.remove(begun(settings, Failing(sample.live(settings))))
    assert caught.value.state.endswith(state)
    assert caught.value.hint.endswith("It continues where it stopped.") is goes_on
    assert "fab remove --yes -H server.example" in caught.value.hint


def test_once_it_has_begun_the_server_goes_on_by_itself(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    run = begun(settings, Removing(sample.live(settings)))
    monkeypatch.setattr(remove.switch, "apply_plan", pressed)
    with pytest.raises(PortsideError) as caught:
        tasks.remove(run)
    assert caught.value.state == "The server is finishing the removal on its own, unless it is down."


def test_the_backup_explains_itself_and_tells_no_secret(settings: Settings) -> None:
    run = begun(settings, Removing(sample.live(settings)))
    run.look()
    (step, *_) = remove.steps(run)
    text = b"".join(part for part in step.files.values() if isinstance(part, bytes)).decode()
    assert '"domains": [' in text
    assert "pg_restore --clean --if-exists --no-owner -U portfolio -d portfolio <" in text
    assert not [value for value in settings.env.values() if value.reveal() in text]

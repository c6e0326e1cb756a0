"""The log of a run: for its owner alone, the last ones kept, and none where there is no place for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.config.settings import Settings
from deploy.core import logfile
from deploy.core.errors import PortsideError
from deploy.core.report import Report
from deploy.core.secret import Secret
from deploy.flows import flow, tasks
from tests import sample
from tests.sample import Paper


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "portside"


def test_a_log_is_its_owners_alone_and_grows_by_lines(state: Path) -> None:
    log = logfile.begin("portfolio", "deploy", "ann@server.example:2222")
    assert log
    log.write("one\ntwo")
    assert log.path.parent == state / "portfolio"
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert log.path.parent.stat().st_mode & 0o777 == 0o700
    assert log.path.name.endswith(f"-deploy-ann@server.example_2222-{os.getpid()}.log")
    title, *lines = log.path.read_text().splitlines()
    assert title.startswith("fab deploy -H ann@server.example:2222, the site portfolio, 20")
    assert [line.split(maxsplit=1)[1] for line in lines] == ["one", "two"]


def test_the_last_ones_are_kept(state: Path) -> None:
    for number in range(logfile.KEPT + 2):
        sample.files(state / "portfolio", {f"20200101-0000{number:02}-deploy-a-1.log": ""})
    log = logfile.begin("portfolio", "deploy", "a")
    left = sorted(path.name for path in (state / "portfolio").iterdir())
    assert (len(left), left[0]) == (logfile.KEPT, "20200101-000003-deploy-a-1.log")
    assert log
    assert left[-1] == log.path.name


@pytest.mark.parametrize("home", ["/dev/null", "", "/proc/1/nothing"])
def test_where_there_is_no_place_there_is_none(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", home or os.devnull)
    assert logfile.begin("portfolio", "deploy", "a") is None


def test_a_home_that_is_there_has_it_in_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert logfile.folder_of("portfolio") == tmp_path / ".local/state/portside/portfolio"


def test_it_has_what_quiet_hides_and_no_secret(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(quiet=True)
    report.hide([Secret("hunter2-hunter2")])
    report.log = log = logfile.begin("portfolio", "deploy", "a")
    with report.stage("build") as stage:
        report.begin("Build the image")
        report.command("script build hunter2-hunter2")
        report.output("its output")
        stage.note("done")
    report.say("said")
    report.warn("warned")
    assert log
    lines = [line[9:] for line in log.path.read_text().splitlines()[1:]]
    step = ["  build: Build the image", "    $ script build [hidden]", "    its output", "✓ build  done"]
    assert lines == [*step, "said", "! warned"]
    assert capsys.readouterr().out == "! warned\n"


def test_a_run_that_fails_says_where_its_log_is(state: Path, settings: Settings) -> None:
    run = sample.run(settings, Paper(sample.bare(), fails="packages"), "provision")
    with pytest.raises(PortsideError) as caught:
        tasks.provision(run)
    assert run.report.log
    assert str(caught.value).splitlines()[-1] == f"The log of this run: {run.report.log.path}"
    assert "failed on server.example in the stage “provision”" in run.report.log.path.read_text()


def deployed(site: str, server: str, process: int, second: int, *lines: str) -> None:
    folder = logfile.folder_of(site)
    folder.mkdir(parents=True, exist_ok=True)
    title = f"fab deploy -H {server}, the site {site}, 2026-11-20 19:20:{second:02} +0000"
    path = folder / f"20261120-1920{second:02}-deploy-{server}-{process}.log"
    path.write_text("\n".join([title, *lines]) + "\n")


def test_the_last_deploy_that_went_live_tells_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert logfile.deployed_to("shop") == ()
    deployed("shop", "old", 5, 1, "    1.0  ✓ live  done")
    deployed("shop", "web-1", 7, 2, "    1.0  ✓ live  done")
    deployed("shop", "web-2", 7, 3, "    1.0  ✓ live  done")
    deployed("shop", "mistyped", 9, 4, "    1.0  ✗ preflight")
    deployed("other", "elsewhere", 11, 5, "    1.0  ✓ live")
    assert logfile.deployed_to("shop") == ("web-1", "web-2")


def test_the_stage_that_a_log_is_read_for_is_the_flows() -> None:
    assert logfile.SWITCH in flow.DEPLOY.stages

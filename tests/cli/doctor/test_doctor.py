"""``fab doctor`` as a whole, without a server: what it prints, how it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from deploy.cli.doctor import doctor
from deploy.cli.doctor.findings import Examined, ServerState, fault, fine, warning
from deploy.config.settings import Settings
from deploy.core.errors import PortsideError
from deploy.core.report import Report
from tests import sample
from tests.sample import Paper

ALL = [fine("tls", "good"), warning("disk", "low", "tidy up"), fault("ports", "open", "shut it")]


def shown(capsys: pytest.CaptureFixture[str], *, quiet: bool = False, as_json: bool = False) -> tuple[int, str]:
    try:
        doctor.show(Report(quiet=quiet), ALL, server="srv", as_json=as_json)
    except Exit as ended:
        return ended.code, capsys.readouterr().out
    return 0, capsys.readouterr().out


def test_each_finding_is_a_line_with_its_fix(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = shown(capsys)
    fixes = ["            fix: tidy up", "            fix: shut it"]
    lines = ["✓ tls       good", "! disk      low", fixes[0], "✗ ports     open", fixes[1]]
    assert out.splitlines() == [*lines, "srv: 1 fault, 1 warning."]
    assert code == 1


def test_quiet_leaves_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, quiet=True)[1].splitlines()[0] == "! disk      low"


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = shown(capsys, as_json=True)
    told = json.loads(out)
    assert (code, told["server"], told["ok"]) == (1, "srv", False)
    assert told["findings"][2] == {"check": "ports", "level": "fault", "text": "open", "fix": "shut it"}


def test_warnings_are_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.show(Report(), ALL[:2], server="srv", as_json=False)
    doctor.show(Report(), ALL[:1], server="srv", as_json=False)
    assert "srv: no problems found." in capsys.readouterr().out


def test_settings_that_are_refused_are_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sample.write_env(tmp_path / ".env", {"DEPLOY_DOMAINS": "a b"})
    with pytest.raises(Exit):
        doctor.check(Context(), env=str(path), as_json=True, verbose=False, quiet=False)
    found = json.loads(capsys.readouterr().out)["findings"]
    texts = [each["text"] for each in found if each["level"] == "fault"]
    assert len(texts) == 3
    assert "SECRET_KEY is missing" in texts[0]


def test_a_server_that_is_not_reached_is_a_fault(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(self: Paper) -> None:
        raise PortsideError("No SSH server answers.", hint="Try ssh srv.")

    monkeypatch.setattr(Paper, "connect", nobody)
    run = sample.run(settings, Paper(sample.bare()), "doctor")
    assert doctor.examine(run) == [fault("server", "No SSH server answers.", "Try ssh srv.")]


@pytest.mark.parametrize(
    ("target", "practice", "typed"),
    [
        ("ann@srv:2222", False, "ssh -p 2222 ann@srv"),
        ("srv", False, "ssh srv"),
        ("practice", True, "ssh -F .practice/ssh_config practice"),
    ],
)
def test_how_to_come_to_the_server(
    target: str, practice: bool, typed: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper(sample.bare())
    monkeypatch.setattr(paper, "target", target, raising=False)
    monkeypatch.setattr(paper, "practice", practice, raising=False)
    assert doctor._ssh(sample.run(settings, paper, "doctor")) == typed


@pytest.mark.parametrize(
    ("practice", "peer", "address"),
    [
        (False, "192.0.2.1", "192.0.2.1"),
        (False, "", ""),
        (False, "127.0.0.1", ""),
        (False, "fe80::1%eth0", "fe80::1%eth0"),
        (True, "127.0.0.1", "10.1.0.2"),
    ],
)
def test_where_a_visitor_would_ask(
    practice: bool, peer: str, address: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper(sample.bare())
    monkeypatch.setattr(paper, "practice", practice, raising=False)
    monkeypatch.setattr(paper, "peer", peer, raising=False)
    state = ServerState.parse(["address\t10.1.0.2", "address\t2001:db8::1"])
    it = Examined(settings, sample.SITE, "srv", "ssh srv", sample.bare(), state, datetime.now(UTC))
    assert doctor._address(sample.run(settings, paper, "doctor"), it) == address

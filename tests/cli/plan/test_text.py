"""A plan as a person reads it."""

from __future__ import annotations

import pytest

from deploy.cli.plan.plan import Plan
from deploy.cli.plan.text import Text
from deploy.core.report import Report
from tests.cli.plan.test_diff import NOTHING


def text(verbose: bool = False) -> Text:
    plan = Plan(None, None, [], {}, NOTHING, "", [], [], str)  # type: ignore[arg-type]
    return Text(Report(verbose=verbose), plan, {})


def test_a_new_file_is_one_line_unless_all_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    diff = "--- /dev/null\n+++ /etc/x\n@@ -0,0 +1,2 @@\n+a\n+b\n"
    text()._diff(diff)
    assert capsys.readouterr().out == "      /etc/x: 2 lines\n"
    text(verbose=True)._diff(diff)
    assert "      +a\n      +b\n" in capsys.readouterr().out


def test_a_changed_file_is_its_diff(capsys: pytest.CaptureFixture[str]) -> None:
    text()._diff("--- /etc/x\n+++ /etc/x\n@@ -1 +1 @@\n-a\n+b\n")
    assert capsys.readouterr().out.splitlines()[-2:] == ["      -a", "      +b"]


def test_many_files_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    told = text()
    told._files("~", [f"f{number}" for number in range(14)])
    assert capsys.readouterr().out.splitlines()[-1] == "      ~ and 2 more"

"""The report: plain lines without a terminal, secrets masked in one place."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest

from deploy.config.dotenv import for_compose
from deploy.core import logfile
from deploy.core.report import Report, count
from deploy.core.secret import Secret
from deploy.core.steps import quote


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def report(*secrets: str, verbose: bool = False, quiet: bool = False) -> Report:
    made = Report(verbose=verbose, quiet=quiet)
    made.hide(Secret(value) for value in secrets)
    return made


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("hunter2", "a hunter2 b"),
        ("p@ss/word", "postgres://user:p%40ss%2Fword@db"),
        ("first line\nsecond line", "it says: second line"),
        ("a+b c=d", "a%2Bb%20c%3Dd"),
        ("hunter$2hunter", "exec work --token 'hunter$$2hunter'"),
        ('it"s\\a$b', '["sh", "-c", "work --token \'it\\"s\\\\a$$b\'"]'),
        ("p\xe4sswort", '"p\\u00e4sswort"'),
        ("first line\n  second line", '{"key": "first line\\n  second line"}'),
        ("it's-secret", quote(("work", "it's-secret"))),
        ('it"s\\a$b', for_compose({"A": 'it"s\\a$b'})),
        ("caf\udce9-secret", "caf%E9-secret"),
    ],
)
def test_a_secret_is_masked_in_every_form(secret: str, text: str) -> None:
    masked = report(secret).mask(text)
    assert "[hidden]" in masked
    assert not [line for line in secret.splitlines() if line in masked]
    assert not [word for word in ("hunter", "sswort", "line", "secret", "it\\") if word in masked]


@pytest.mark.parametrize("before", ["", "a:", "an:", "ann:", "anna:"])
@pytest.mark.parametrize("after", ["", "!", "!!"])
def test_a_secret_is_masked_in_base64(before: str, after: str) -> None:
    secret = "correct-\xff\xfe-horse"
    text = f"{before}{secret}{after}".encode()
    for encoded in (base64.b64encode(text), base64.urlsafe_b64encode(text)):
        left = report(secret).mask(f"Basic {encoded.decode()}").removeprefix("Basic ")
        assert len(left.replace("[hidden]", "")) <= 13, "what stands around it, and no more than its ends"


def test_lines_that_say_nothing_are_no_secret() -> None:
    made = report('{\n  "key": {\n    "id": "0123456789"\n    },\n}')
    text = json.dumps({"a": {"b": {"c": 1}, "d": 2}}, indent=2)
    assert made.mask(text) == text
    assert made.mask('"id": "0123456789"') == "[hidden]"


def test_a_result_is_json_whatever_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    secret = '{\n    "a": {\n    },\n}'
    strange = "\udcff\x1b[2J"
    report("swordfish", "changes", secret, '": [], ').result(
        {"swordfish": ["its changes: swordfish", ("a", 1)], "b": secret, "c": strange}
    )
    told = capsys.readouterr().out
    assert json.loads(told) == {"swordfish": ["its changes: [hidden]", ["a", 1]], "b": "[hidden]", "c": strange}
    assert told.isascii()


@pytest.mark.usefixtures("state")
def test_a_terminal_has_nothing_to_obey(capsys: pytest.CaptureFixture[str]) -> None:
    made = report("hunter2\x1bhunter2", verbose=True)
    made.log = logfile.begin("portfolio", "deploy", "a")
    text = "a\x1b[2J b\r \x9b31m \u202e caf\udce9 \x7f hunter2\x1bhunter2"
    plain = r"a\x1b[2J b\r \x9b31m \u202e caf\udce9 \x7f [hidden]"
    with made.stage("build") as stage:
        made.begin(text)
        made.output(text)
        stage.note(text)
    for say in (made.say, made.detail, made.warn, made.fail):
        say(text)
    told = capsys.readouterr()
    assert (told.out + told.err).count(plain) == 7
    assert made.log
    assert made.log.path.read_text().count(plain) == 6, "a failure is noted by who raises it"


def test_a_public_name_is_left_whole() -> None:
    made = Report()
    made.hide([Secret("shop-of-ann")], ["www.shop-of-ann.example"])
    assert made.mask("http://www.shop-of-ann.example/ shop-of-ann") == "http://www.shop-of-ann.example/ [hidden]"


def test_a_secret_that_holds_another_is_masked_as_a_whole() -> None:
    assert report("secret", "secret-and-more").mask("secret-and-more") == "[hidden]"


def test_everything_that_is_printed_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    made = report("hunter2-hunter2", verbose=True)
    with made.stage("build") as stage:
        made.begin("hunter2-hunter2")
        made.output("hunter2-hunter2")
        stage.note("hunter2-hunter2")
    for say in (made.say, made.detail, made.warn, made.fail):
        say("hunter2-hunter2")
    made.result(["hunter2-hunter2"])
    told = capsys.readouterr()
    assert (told.out + told.err).count("[hidden]") == 8
    assert "hunter2" not in told.out + told.err


def test_without_a_terminal_lines_are_plain_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    made = report()
    with made.stage("build") as stage:
        made.begin("Build the image")
        made.output("not shown")
        stage.note("20261120-170501-ab12cd3")
    made.say(long, style="bold red")
    stage_line, step_line, said = sorted(capsys.readouterr().out.splitlines(), key=len, reverse=True)[::-1][:3]
    assert {stage_line, step_line} == {"  build: Build the image", "✓ build         0.0 s  20261120-170501-ab12cd3"}
    assert said == long


def test_markup_in_a_line_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    report().say("[bold]not markup[/] [/nothing]")
    assert capsys.readouterr().out == "[bold]not markup[/] [/nothing]\n"


def test_a_stage_that_fails_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="broken"), report().stage("gate"):
        raise ValueError("broken")
    assert capsys.readouterr().out.startswith("✗ gate ")


def test_a_stage_that_was_skipped_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with report().stage("gate") as stage:
        stage.skipped = True
    assert capsys.readouterr().out == ""


def test_quiet_leaves_warnings_results_and_failures(capsys: pytest.CaptureFixture[str]) -> None:
    made = report(quiet=True)
    with made.stage("build"):
        made.begin("step")
        made.output("output")
    made.say("said")
    made.warn("warned")
    made.result({})
    made.fail("failed")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("! warned\n{}\n", "failed\n")


def test_verbose_shows_steps_output_and_details(capsys: pytest.CaptureFixture[str]) -> None:
    made = report(verbose=True)
    with made.stage("build"):
        made.begin("Folder /x", small=True)
        made.output("its output")
        made.detail("round trip 1")
    assert capsys.readouterr().out.splitlines()[:3] == ["  build: Folder /x", "    its output", "  round trip 1"]


def test_small_steps_are_no_line_unless_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    report().begin("Folder /x", small=True)
    report().detail("round trip 1")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("number", "text"), [(0, "0 changes"), (1, "1 change"), (2, "2 changes")])
def test_a_count_is_singular_or_plural(number: int, text: str) -> None:
    assert count(number, "change") == text


def test_aside_only_results_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    made = report()
    made.aside()
    made.say("said")
    made.warn("warned")
    made.result([1])
    told = capsys.readouterr()
    assert (told.out, told.err) == ("[\n  1\n]\n", "said\n! warned\n")


@pytest.mark.parametrize(("typed", "answer"), [("art \n", "art"), ("\n", ""), ("", "")])
def test_what_is_typed_is_the_answer(
    typed: str, answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert report(quiet=True).ask("Which? ") == answer
    assert capsys.readouterr().out == "Which? "

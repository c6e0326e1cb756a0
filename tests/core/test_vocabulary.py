"""Vocabulary: Portside's own words stay readable whatever the secrets are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from deploy.config.settings import Settings
from deploy.core import vocabulary
from deploy.core.errors import PortsideError
from deploy.core.facts import Facts
from deploy.core.report import Report
from deploy.core.secret import Secret
from deploy.core.steps import script
from deploy.flows import tasks
from deploy.ssh.results import OWN, ResultReader
from tests import sample
from tests.sample import Paper

SAID = Path(vocabulary.__file__).parents[1]
WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:['’-][^\W\d_]+)*(?!\w)")


@pytest.mark.parametrize(
    "text",
    ["closed", "It is", "the site is closed for visitors", "Nothing was changed.", "nothing to do", "live", "LIVE",
     "db", "1", "8101", "0.5", "serves visitors until", "Switch to",
     "The database didn't become healthy.", "listen 80;",
     "  nothing   to do "],
)  # fmt: skip
def test_what_portside_says_is_its_own(text: str) -> None:
    assert vocabulary.has(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "swordfish", "nothin", "losed", "hunter2", "p@ss", "correct-horse-battery", "x7Gq2lPz9rT4uVwX",
     "123456789", "closed swordfish", "s3cr", "a+b c=d&e"],
)  # fmt: skip
def test_what_it_does_not_say_is_not(text: str) -> None:
    assert not vocabulary.has(text)


def deploy(settings: Settings, *facts: Facts, fails: str, hide: set[str]) -> None:
    """Deploy with these secrets, and print all that there is to say."""
    run = sample.run(settings, Paper(*facts, fails=fails))
    run.report = Report(verbose=True)
    run.report.hide(map(Secret, sorted(hide)))
    try:
        tasks.deploy(run)
    except PortsideError as error:
        run.report.fail(str(error))


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize("kind", [sample.LINES, sample.STATIC])
@pytest.mark.parametrize("fails", ["", "build place", "gate look", "switch"])
def test_a_deploy_says_the_same_whatever_word_of_it_is_a_secret(
    kind: dict[str, str], fails: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample.repository(tmp_path / "app", sample.PROJECT | {"index.html": "one"})
    settings = sample.settings(tmp_path, kind)

    def told(*secrets: str) -> str:
        deploy(settings, sample.provisioned(), fails=fails, hide=set(secrets))
        printed = capsys.readouterr()
        return re.sub(r" *\d+\.\d s", " 0.0 s", printed.out + printed.err)

    plain = told()
    ours = re.sub(r"it broke|\S*/\S*|\S*\d{8}\S*", " ", plain)  # a program's words, paths, what is named by the time
    words = {word for word in WORD.findall(ours) if word not in {"ABCDEF"}}
    assert len(words) > 30
    assert told(*words) == plain


def test_every_word_of_every_message_is_its_own() -> None:
    files = [path for path in sorted(SAID.rglob("*.py")) if not {"remote", "practice"} & set(path.parts)]
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in files)
    nodes = (node for tree in trees for node in ast.walk(tree))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    sentences = [text for text in texts if " " in text and not re.search(r"[\[\]^$|\\]", text)]
    words = {word for text in sentences for word in WORD.findall(text)}
    assert len(words) > 1500
    assert [word for word in sorted(words) if not vocabulary.has(word)] == []


def failing(report: Report, *lines: str) -> list[str]:
    """What is told of a step that failed after these lines."""
    following = ResultReader(
        "web-1", report, [script("A step", "after", command="python manage.py tell --note closed")], "live", "@@"
    )

    def printed() -> list[str]:
        return ["@@begin 1", *lines, "@@failed 1 1"]

    with pytest.raises(PortsideError) as caught:
        following.follow(iter(printed()))
    return caught.value.message.splitlines()[1:]


@pytest.fixture
def report() -> Report:
    made = Report(verbose=True)
    made.hide([Secret("closed"), Secret("swordfish")])
    return made


def test_a_secret_that_is_a_word_of_ours_is_hidden_in_others_text(
    report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(report, "the token closed was refused") == ["    the token [hidden] was refused"]
    told = capsys.readouterr().out
    assert "    the token [hidden] was refused" in told
    assert "$ script after 'command=python manage.py tell --note [hidden]'" in told


def test_a_script_of_ours_says_its_own_words(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(report, f"{OWN}The site is closed, swordfish.") == ["    The site is closed, [hidden]."]
    assert "    The site is closed, [hidden]." in capsys.readouterr().out


def test_its_own_lines_are_masked_too(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    for say in (report.say, report.warn, report.remind, report.fail, report.detail):
        say("It is closed: swordfish")
    report.result({"closed": "closed", "swordfish": "swordfish"})
    told = capsys.readouterr()
    assert (told.out + told.err).count("It is closed: [hidden]") == 5
    assert '"closed": "closed"' in told.out
    assert '"swordfish": "[hidden]"' in told.out


def test_its_own_lines_are_not_changed_by_a_secret_that_begins_like_one() -> None:
    made = Report()
    made.hide([Secret("nothing to do at all 7"), Secret("Release is live as before 42")])
    assert made.shown("nothing to do") == "nothing to do"
    assert made.quoted("token: nothing to do at all 7") == "token: [hidden]"

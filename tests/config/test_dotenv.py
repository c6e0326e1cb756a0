"""The environment file, read and written back byte for byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.config import dotenv
from deploy.core.errors import Refused
from tests import sample

HARD = [
    "",
    " ",
    "  both ends  ",
    "a@b%c/d#e",
    "word # no comment",
    "#",
    "$HOME",
    "${HOME}",
    "${HOME:-x}",
    "$$",
    "$$$",
    "ends in $",
    "$1 $( ) $(id)",
    "it's",
    'say "hi"',
    "'quoted'",
    '"quoted"',
    "\\",
    "\\\\",
    "\\n is no newline",
    "\\$X",
    '\\"',
    'ends in \\"',
    "C:\\new\\table",
    "`id`",
    "a=b=c",
    "one\ntwo",
    "\nfirst",
    "last\n",
    "one\r\ntwo\r",
    "tab\tin it",
    "grün, 美術, 🎨",
    "\u2028 \u00a0",
    "{{ braces }} {% too %}",
    "a;b&c|d>e<f*?!~",
    "x" * 5000,
]


def read_as_compose(text: str) -> dict[str, str]:
    """NAME="VALUE" lines as Compose 2.26 reads them: to the first quote without a backslash, then escapes, then
    variables, of which there are to be none."""
    values = {}
    while text:
        name, _, text = text.partition('="')
        raw, text = _quoted(text)
        values[name] = _without_variables(re.sub(r'\\([abcfnrtv$"\\]|0\d{0,3})', _escape, raw))
    return values


def _quoted(text: str) -> tuple[str, str]:
    """What stands before the closing quote, with escaped quotes as quotes, and what follows its line."""
    raw, escaped = "", False
    for at, char in enumerate(text):
        if char == '"' and not escaped:
            return raw, text[at + 1 :].removeprefix("\n")
        if escaped and char != '"':
            raw += "\\"
        escaped = char == "\\" and not escaped
        raw += "" if escaped else char
    raise AssertionError("the quote isn't closed")


def _escape(found: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r", "\\": "\\", '"': '"', "$": "$$"}[found[1]]


def _without_variables(value: str) -> str:
    assert "$" not in value.replace("$$", ""), "a variable would be expanded"
    return value.replace("$$", "$")


@pytest.mark.parametrize("value", HARD)
def test_what_compose_reads_is_what_was_written(value: str) -> None:
    given = {"BEFORE": "1", "HARD": value, "ZULU": "2"}
    assert read_as_compose(dotenv.for_compose(given)) == given


@pytest.mark.parametrize(
    ("given", "file"),
    [("staging", ".env.staging"), ("there", "there"), ("other.env", "other.env"), (".env", ".env"), ("../x", "../x")],
)
def test_a_file_is_named_by_its_path_or_by_its_ending(
    given: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").touch()
    assert dotenv.named(given) == file


def test_an_env_file_is_one_line_a_name_in_order() -> None:
    assert dotenv.for_compose({"B": "2", "A": "x\r\ny"}) == 'A="x\\r\\ny"\nB="2"\n'


@pytest.mark.parametrize("value", HARD)
def test_a_value_travels_from_dotenv_to_compose_unchanged(value: str, tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / ".env", {"HARD": value})
    values = {name: secret.reveal() for name, secret in dotenv.read(path, {}).values.items()}
    assert read_as_compose(dotenv.for_compose(values)) == {"HARD": value}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=plain", "plain"),
        ("export A=plain", "plain"),
        ("A = spaced ", "spaced"),
        ("A=word # comment", "word"),
        ("A=word#kept", "word#kept"),
        ("A=", ""),
        ("A=''", ""),
        ("A='${HOME} and $HOME'", "${HOME} and $HOME"),
        ('A="${HOME}"', "${HOME}"),
        ("A=${HOME}", "${HOME}"),
        ('A="one\ntwo"', "one\ntwo"),
        ('A="one\\ntwo"', "one\ntwo"),
        ("A='one\\ntwo'", "one\\ntwo"),
        ("A='it\\'s'", "it's"),
        ("A=first\nA=second", "second"),
        ("A=windows\r", "windows"),
    ],
)
def test_a_line_means_what_python_dotenv_says(line: str, value: str, tmp_path: Path) -> None:
    path = sample.files(tmp_path, {".env": ""}) / ".env"
    path.write_bytes(f"{line}\n".encode())
    assert dotenv.parse(path) == ({"A": value}, [])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("A=1\n\n'odd\nB=2\n", "line 3: can't be read"),
        ("\n\nA='open\n", "line 3: can't be read"),
        ("A=1\nB\n", "line 2: B has no value"),
        ("A-B=1\n", "line 1: “A-B” isn't a valid name"),
        ("1A=1\n", "line 1: “1A” isn't a valid name"),
        ("A=a\0b\n", "line 1: A contains a NUL"),
    ],
)
def test_a_line_at_fault_is_told_with_its_number(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(text)
    _, faults = dotenv.parse(tmp_path / ".env")
    assert [fault in sentence for sentence in faults] == [True]


def test_every_line_at_fault_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A-B=1\nC\nD=1\n1E=2\n")
    assert len(dotenv.read(tmp_path / ".env", {}).faults) == 3


def test_the_shell_wins_over_names_the_file_holds(tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / ".env", {"A": "file", "B": "file"})
    read = dotenv.read(path, {"A": "shell", "B": "file", "C": "shell"})
    assert {name: value.reveal() for name, value in read.values.items()} == {"A": "shell", "B": "file"}
    assert read.overridden == ("A",)


def test_what_every_shell_has_of_its_own_does_not_win(tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / ".env", {"HOME": "/data", "TOKEN": "a"})
    read = dotenv.read(path, {"HOME": "/home/ann", "TOKEN": "b"})
    assert {name: value.reveal() for name, value in read.values.items()} == {"HOME": "/data", "TOKEN": "b"}
    assert read.overridden == ("TOKEN",)


def test_without_a_file_the_names_of_the_example_are_taken_from_the_shell(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("# A comment with words=no\nA=\n#B=1\n# C=1\nA=2\n")
    read = dotenv.read(tmp_path / ".env", {"A": "1", "B": "2", "D": "4"})
    assert {name: value.reveal() for name, value in read.values.items()} == {"A": "1", "B": "2"}


def test_without_file_and_example_it_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="fab init"):
        dotenv.read(tmp_path / ".env", {})


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(Refused, match="can't be read"):
        dotenv.parse(tmp_path / ".env")

"""Steps are data; words are quoted in one place."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.core.steps import Script, Step, folder, named, quote, remove, script, write

WORDS = ["", " ", "a b", "it's", '"', "$HOME", "`id`", "\\", "a\nb", "*", "~", "-n", ";", "&&", "grün", "#", "!"]


@pytest.mark.parametrize("word", WORDS)
def test_a_shell_takes_a_quoted_word_as_it_is(word: str) -> None:
    line = f"printf '%s|' {quote(['before', word, 'after'])}"
    done = subprocess.run(("sh", "-c", line), capture_output=True, check=True)
    assert done.stdout.decode() == f"before|{word}|after|"


def test_a_steps_line_holds_its_number_and_its_quoted_words() -> None:
    assert folder("/a b").line(3) == "step 3 folder '/a b' 755 root:root"


def test_a_folder_says_its_mode_in_octal() -> None:
    assert folder("/x", 0o2750, "10001:33").words == ("folder", "/x", "2750", "10001:33")


def test_a_file_travels_as_a_file() -> None:
    step = write("/x", "text", 0o600)
    assert (step.words, step.files) == (("write", "/x", "600", "root:root"), {"content": b"text"})


def test_what_is_to_be_gone_is_named() -> None:
    assert remove("/x").words == ("remove", "/x")


def test_a_script_takes_arguments_and_files() -> None:
    step = script("Do it", "after", compose="a", number=3, ids=["b", "c"], none=(), command="", files={"f": b"1"})
    words = ("script", "after", "compose=a", "number=3", "ids=b", "ids=c", "command=")
    assert (step.words, step.files) == (words, {"f": b"1"})


@pytest.mark.parametrize("name", ["Path", "a1", "a-b", "", "a b", "PATH"])
def test_the_name_of_an_argument_is_one_of_a_variable(name: str) -> None:
    with pytest.raises(ValueError, match="can't be the name of an argument"):
        named({name: "x"})


def test_a_scripts_own_fields_are_its_arguments() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Ask(Script):
        script: str = "ask"
        compose: str
        ids: tuple[str, ...] = ()

    step = Ask(name="Ask", compose="/c", ids=("1", "2"))
    assert step.arguments == {"compose": "/c", "ids": ("1", "2")}
    assert step.words == ("script", "ask", "compose=/c", "ids=1", "ids=2")


def test_a_transcript_shows_name_words_and_text() -> None:
    step = script("Do it", "after", command="a b", files={"event": b"one\n\n2\n", "src/x": Path("x")})
    assert step.transcript() == (
        "- Do it\n    script after 'command=a b'\n"
        "    event:\n      | one\n      |\n      | 2\n    src/x <- the project's file"
    )


def test_a_secret_step_shows_no_content() -> None:
    step = write("/x", "hunter2", secret=True)
    assert "hunter2" not in step.transcript() + repr(step)
    assert "[hidden]" in step.transcript()


def test_equal_steps_are_equal() -> None:
    assert write("/x", "a") == write("/x", "a") != write("/x", "b")
    assert isinstance(folder("/x"), Step)

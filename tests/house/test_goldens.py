"""The texts that stand in tests/golden once, how others are told by them, and that no golden file is left over."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from deploy.core.steps import Step, script, write
from tests import goldens
from tests.goldens import Texts, Transcript, difference

TEXTS = (
    "compose-data-every-setting.yaml",
    "compose-data.yaml",
    "compose-release-every-setting.yaml",
    "compose-release.yaml",
    "gunicorn.conf.py.txt",
    "healthy.py.txt",
    "nginx-base.txt",
    "nginx-site-every-setting.conf.txt",
    "nginx-site.conf.txt",
)
DIFFERENCES = {
    "compose-release-to-ask-every-setting.txt": "compose-release-every-setting.yaml",
    "compose-release-to-ask.txt": "compose-release.yaml",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text(name: str, texts: Texts, golden: Callable[[str, str], None]) -> None:
    golden(name, goldens.text(texts[name]))


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_text_that_is_nearly_another(name: str, texts: Texts, golden: Callable[[str, str], None]) -> None:
    base = DIFFERENCES[name]
    golden(name, difference(base, goldens.text(texts[base]), goldens.text(texts[name])))


def test_every_golden_file_is_held_by_a_test_and_every_text_by_a_golden_file(texts: Texts) -> None:
    tests = (path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("test_*.py"))
    called = [text for text in tests if "golden(" in text]
    calls = [node for text in called for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    first = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "golden"]
    named = {name.value for name in first if isinstance(name, ast.Constant)}
    assert set(texts) == {*TEXTS, *DIFFERENCES}
    assert named | set(texts) == {path.name for path in goldens.FOLDER.iterdir()}


def made_from(base: str, shown: list[str]) -> str:
    """The text that differs so from the base, as a reader finds it."""
    lines, made, done = base.split("\n"), [], 0
    for part in "\n".join(shown).split("@@\n")[1:]:
        marked = part.removesuffix("\n").split("\n")
        before, gone, new = ([line[1:] for line in marked if (line[:1] or " ") == mark] for mark in " -+")
        places = [at for at in range(len(lines) + 1) if lines[at : at + len(before)] == before] if before else [0]
        place = (places[0] if len(places) == 1 else 0) + len(before)
        assert lines[place : place + len(gone)] == gone
        made += lines[done:place] + new
        done = place + len(gone)
    return "\n".join(made + lines[done:])


LINES = strategies.lists(strategies.sampled_from(["", "a", " a", "b ", "-b"]), max_size=9).map("\n".join)


@settings(derandomize=True, database=None, deadline=None)
@given(base=LINES, other=LINES)
def test_a_difference_is_of_one_text_alone(base: str, other: str) -> None:
    shown = difference("the base", base, other)
    assert shown.startswith("the base, but for\n")
    assert made_from(base, shown.split("\n")[1:-1]) == other


def test_a_difference_stands_below_what_is_found_only_there() -> None:
    base = "server {\n    a;\n}\nserver {\n    b;\n}\n"
    shown = difference("x", base, base.replace("b;\n}", "b;\n    c;\n}"))
    assert shown == "x, but for\n@@\n     b;\n+    c;\n"
    shown = difference("x", base, base + "more\n")
    assert shown == "x, but for\n@@\n     b;\n }\n+more\n"


ONE = "1\n2\n3\n4\n5\n6\n"
BASE = {"nginx.conf": "a\nb\nc\nd\ne\nf\n", "snippets/x.conf": "x\n"}
OLD, NEW = "ba9876543210", "0123456789ab"


def shown(*steps: Step, live: str = "") -> list[str]:
    """A transcript's lines, without its heading."""
    transcript = Transcript({"base.txt": BASE, "one.txt": {"/srv/one": ONE}})
    return transcript([("## x", steps)], live).splitlines()[1:]


def generation(files: Mapping[str, str]) -> Step:
    sent = {f"{NEW}/new/{path}": text.encode() for path, text in files.items()}
    return script(f"Nginx generation {NEW}", "nginx", generation=NEW, before=OLD, files=sent)


def test_a_transcript_names_a_text_that_has_its_own_golden_file() -> None:
    assert shown(write("/srv/one", ONE))[2:] == ["    content: one.txt"]


@pytest.mark.parametrize("text", ["1\n2\n3\n4\n5\n6", "1 \n2\n3\n4\n5\n6\n", ""])
def test_a_transcript_names_nothing_but_the_very_same_text(text: str) -> None:
    assert shown(write("/srv/one", text))[2:3] != ["    content: one.txt"]
    assert shown(write("/srv/another", ONE))[2:3] == ["    content:"]


def test_a_transcript_shows_how_a_text_differs_from_the_one_that_was_there_before() -> None:
    changed = shown(write("/srv/one", ONE.replace("6", "7")))
    assert changed[2:] == ["    content: one.txt, but for", "      @@", "       5", "      -6", "      +7"]
    steps = [write("/srv/a", "1\n2\n3\n4\n5\n6\n7\n"), write("/srv/a", "1\n2\n3\n4\n5\n6\n8\n")]
    assert shown(*steps)[-5:] == ["    content: a before, but for", "      @@", "       6", "      -7", "      +8"]
    assert shown(steps[0], steps[0])[-1] == "    content: a before"


def test_a_golden_file_of_several_texts_is_named_once_where_all_are_sent() -> None:
    assert shown(generation(BASE))[2:] == ["    new-1/new/: base.txt"]
    changed = shown(generation(BASE | {"nginx.conf": "a\nb\nc\nd\ne\ng\n"}))[2:]
    assert changed[:2] == ["    new-1/new/nginx.conf: base.txt, but for", "      @@"]
    assert changed[-1] == "    new-1/new/: base.txt"
    one = shown(generation({"snippets/x.conf": "x\n"}))[2:]
    assert one == ["    new-1/new/snippets/x.conf: base.txt"]


def test_a_transcript_tells_generations_apart_and_not_by_their_content() -> None:
    assert shown(generation(BASE), live=OLD)[:2] == [
        "- Nginx generation new-1",
        "    script nginx generation=new-1 before=live",
    ]
    assert shown(generation(BASE))[1] == "    script nginx generation=new-1 before=new-2"


def test_a_transcript_hides_a_secret() -> None:
    assert shown(write("/srv/one", ONE, secret=True))[2:] == ["    content: [hidden]"]

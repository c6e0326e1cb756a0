"""A script of remote/ is given the arguments that it names at its top: by each step, by each script that calls it."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from functools import cache

import pytest

from deploy.certs import acme
from deploy.core.files import REMOTE
from deploy.core.steps import Script
from deploy.flows import recovery, ship_image, switch
from deploy.host import packages
from deploy.nginx import generation
from tests import sample
from tests.arguments import check, taken
from tests.house.test_house import EVERYTHING, calls, name, typed_steps

TYPED = (
    acme.PutCertificate,
    generation.PutLive,
    packages.Install,
    recovery.Discard,
    recovery.Stop,
    switch.Finish,
    switch.Switch,
)
NOT_GIVEN = {"sign", "files", "secret"}
CALL = re.compile(r'^.*\bsh "\$(?:PORTSIDE|folder)/remote/([a-z-]+)\.sh"(.*)$', re.MULTILINE)


@cache
def made() -> list[tuple[str, str, str, set[str]]]:
    """Every call of script() or alone(): which of the two, the script, where, and the names of what it is given."""
    return [
        (called, call.args[-1].value, f"{name(path)}:{call.lineno}", {str(word.arg) for word in call.keywords})
        for path in EVERYTHING
        for called, call in calls(path)
        if called in {"script", "alone"} and call.args and isinstance(call.args[-1], ast.Constant)
    ]


def others(script: str, called: str, taken: frozenset[str]) -> dict[str, set[str]]:
    """Where a script is given something else than what it takes."""
    given = [(where, names - NOT_GIVEN) for what, named, where, names in made() if (what, named) == (called, script)]
    return {where: names for where, names in given if names != taken}


def scripts() -> list[str]:
    return sorted(path.stem for path in REMOTE.glob("*.sh") if path.stem != "receive-layers")


@pytest.mark.parametrize("script", scripts())
def test_a_step_gives_a_script_what_it_takes(script: str) -> None:
    assert others(script, "script", taken(script)[0]) == {}
    assert others(script, "alone", taken(script, alone=True)[0]) == {}


def test_what_steps_give_is_found() -> None:
    assert len([script for called, script, *_ in made() if called == "script"]) > 40
    assert {script for called, script, *_ in made() if called == "alone"} == {"lock", "receive"}
    assert taken("switch")[0] >= {"root", "health_path", "reading"}
    assert taken("finish") == ({"root", "site", "id", "old", "seconds", "processes"}, "processes")
    assert taken("lock", alone=True)[0] >= {"site", "wait"}


@pytest.mark.parametrize("kind", TYPED)
def test_the_fields_of_a_step_are_what_its_script_takes(kind: type[Script]) -> None:
    own = [each for each in fields(kind) if each.name not in {of.name for of in fields(Script)}]
    names, many = taken(str(next(each.default for each in fields(kind) if each.name == "script")))
    assert {each.name for each in own} == names
    assert {each.name for each in own if str(each.type).startswith("tuple")} == {many} - {""}


def test_every_typed_step_is_one_of_these() -> None:
    assert set(typed_steps()) == set(TYPED)


def test_what_receives_layers_is_told_whose_they_are_besides() -> None:
    step = ship_image.receive(sample.SITE, "Send 1 of 2 layers")
    assert {"nonce", "site", "token", *step.arguments} == taken(step.script, alone=True)[0]


@pytest.mark.parametrize("script", scripts())
def test_a_script_gives_another_what_it_takes(script: str) -> None:
    text = (REMOTE / f"{script}.sh").read_text(encoding="utf-8")
    for called, words in CALL.findall(text):
        if called != "detached":  # which runs its words
            assert set(re.findall(r"(?<![\w$])([a-z_]+)=", words)) == taken(called)[0], called


@pytest.mark.parametrize("script", [*scripts(), "receive-layers"])
def test_a_script_has_no_argument_by_its_place(script: str) -> None:
    """Outside its functions and what it hands to other shells."""
    text = re.sub(
        r"<<'(\w+)'(?s:.*?)^\1$", "", (REMOTE / f"{script}.sh").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    found = re.findall(r"^(?!#|\w+\(\))[^'\s][^'\n]*\$\{?[1-9].*$", text, re.MULTILINE)
    runs_its_words = {"detached": ["folder=$1 nonce=$2"], "session": ["end=$1 container=$2"]}
    assert found == runs_its_words.get(script, [])


def test_a_step_that_gives_too_much_or_too_little_is_found() -> None:
    step = recovery.Stop(name="Stop", root="/srv", site="art", ids=("1",))
    check(step)
    with pytest.raises(AssertionError, match=r"discard\.sh takes .*first"):
        check(recovery.Stop(name="Stop", script="discard", root="/srv", site="art", ids=("1",)))
    with pytest.raises(AssertionError, match=r"stop\.sh takes ids as a list"):
        check(recovery.Stop(name="Stop", root="/srv", site="art", ids="1"))  # type: ignore[arg-type]

"""Errors: what failed, what is so now, what to type next."""

from __future__ import annotations

from deploy.core.errors import Locked, PortsideError, Refused, StepFailed


def test_an_error_says_what_failed_what_is_so_and_what_to_type() -> None:
    error = PortsideError("It broke.", state="Nothing was changed.", hint="Mend it.")
    assert str(error) == "It broke.\nNothing was changed.\nMend it."
    assert str(PortsideError("It broke.")) == "It broke."


def test_exit_codes_are_those_of_the_interface() -> None:
    codes = [error("").exit_code for error in (PortsideError, Refused, Locked)]
    assert [*codes, StepFailed("h", "s", "x", 9, []).exit_code] == [1, 2, 3, 1]


def test_a_failed_step_names_host_stage_step_exit_code_and_output() -> None:
    text = str(StepFailed("server", "build", "Build the image", 7, ["one", "two"]))
    assert text.startswith("Build the image: failed on server in the stage “build” (exit code 7).")
    assert text.endswith("It printed:\n    one\n    two")


def test_a_failed_step_tells_its_last_thirty_lines() -> None:
    text = str(StepFailed("h", "s", "x", 1, [f"line {number}" for number in range(100)]))
    assert "line 70" in text
    assert "line 69" not in text


def test_warnings_that_may_have_to_do_with_it_come_with_an_error() -> None:
    error = PortsideError("It broke.", state="Nothing was changed.")
    error.warnings = ["DEBUG is on."]
    assert str(error) == "It broke.\n! DEBUG is on.\nNothing was changed."


def test_an_error_can_be_masked() -> None:
    error = PortsideError("a secret", state="a secret", hint="a secret")
    error.mask(lambda text: text.replace("secret", "[hidden]"))
    assert str(error) == "a [hidden]\na [hidden]\na [hidden]"

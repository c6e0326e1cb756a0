"""A secret is only read on purpose."""

from __future__ import annotations

from deploy.core.secret import Secret


def test_a_secret_prints_as_hidden_wherever_it_lands() -> None:
    secret = Secret("hunter2")
    assert {str(secret), repr(secret), f"{secret}", f"{secret!r}"} == {"[hidden]"}
    assert repr({"PASSWORD": secret}) == "{'PASSWORD': [hidden]}"


def test_a_secret_reveals_itself_when_asked() -> None:
    assert Secret("hunter2").reveal() == "hunter2"


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")

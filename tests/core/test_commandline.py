"""Command lines for the user to run."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.core.commandline import words


@pytest.mark.parametrize(
    ("task", "options", "typed"),
    [
        ("deploy", {}, "fab deploy -H a,b"),
        ("deploy", {"env": ".env", "ref": "", "wait": False}, "fab deploy -H a,b"),
        ("deploy", {"env": "my site.env", "ref": "v1"}, "fab deploy --ref v1 -H a,b --env 'my site.env'"),
        ("rollback", {"to": "X", "allow_breaking": True}, "fab rollback --to X --allow-breaking -H a,b"),
        ("manage", {"command": "check --deploy"}, "fab manage 'check --deploy' -H a,b"),
    ],
)
def test_what_is_so_anyway_is_not_typed(task: str, options: dict[str, Any], typed: str) -> None:
    assert words(task, options, "a", "b") == typed

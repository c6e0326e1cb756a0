"""Builds a command line that the user can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .steps import quote


def words(task: str, options: Mapping[str, Any], *hosts: str) -> str:
    """``fab deploy --ref v1 -H web-1,web-2 --env staging.env``, without options that have their default."""
    env = options.get("env", ".env")
    where = ("-H", ",".join(hosts)) if hosts else ()
    return quote(("fab", task, *_given(options), *where, *("--env", env) * (env != ".env")))


def _given(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if value and name not in {"env", "command"}:
            yield f"--{name.replace('_', '-')}"
        if value and name != "env" and value is not True:
            yield str(value)

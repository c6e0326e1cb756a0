"""What the scripts of remote/ take, as each names it at its top."""

from __future__ import annotations

import re
from functools import cache

from deploy.core.files import REMOTE
from deploy.core.steps import Step

TAKES = re.compile(r'^(?:list=(?P<list>\w+) )?\. "(?:\$PORTSIDE/remote|\$\{0%/\*\})/arguments\.sh"\n', re.MULTILINE)
ALONE = re.compile(r"^(?P<list>)# shellcheck shell=sh\n", re.MULTILINE)
"""Where a script begins that travels behind arguments.sh."""
NAMES = re.compile(r': (?:"\$\{\w+\?\}"(?: \\\n *| |\n))+')


@cache
def taken(script: str, *, alone: bool = False) -> tuple[frozenset[str], str]:
    """The names that a script takes, and which of them is a list, or empty."""
    text = (REMOTE / f"{script}.sh").read_text(encoding="utf-8")
    found = (ALONE if alone else TAKES).search(text)
    if not found:
        return frozenset(), ""
    many = found["list"] or ""
    names = NAMES.match(text, found.end())
    return frozenset([*re.findall(r"\$\{(\w+)\?\}", names[0] if names else ""), *[many] * bool(many)]), many


def check(step: Step) -> None:
    """Fails unless a script is given what it takes, and a list where it takes one."""
    names, many = taken(step.script) if step.script else (frozenset(), "")
    assert step.arguments.keys() == names, f"{step.script}.sh takes {sorted(names)}, not {sorted(step.arguments)}"
    given = {name for name, value in step.arguments.items() if not isinstance(value, str | int)}
    assert given == {many} - {""}, f"{step.script}.sh takes {many or 'nothing'} as a list, not {given}"

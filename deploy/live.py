"""What a user runs in the live release: in a container of its own, beside those that serve."""

from __future__ import annotations

import shlex

from invoke.exceptions import Exit

from . import owner
from .errors import PortsideError, Refused
from .run import Run


def manage(run: Run, command: str) -> None:
    """Run ``manage.py`` with these words in the live release, with the user's terminal. Exits with its exit code."""
    if not run.settings.containers:
        raise Refused(f"{run.site.name} is a static site: there is no manage.py to run.")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Refused(f"The command can't be read: {error}.") from error
    run.look()
    owner.check_name(run)
    current = run.facts.current
    if not current:
        raise PortsideError(f"{run.site.name} isn't live on {run.server.target}.", hint="Type fab deploy first.")
    path = run.facts.releases[current].get("manage", "manage.py")
    compose = run.site.release(current).compose
    code = run.server.interactive(
        ("docker", "compose", "-f", compose, "run", "--rm", "--no-deps", "manage", "python", str(path), *words)
    )
    if code:
        raise Exit(code=code)

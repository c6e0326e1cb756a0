"""What every task shares: the host it needs, the report, and an error as one clear message with its exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fabric import Connection
from fabric import task as fabric_task
from invoke.context import Context
from invoke.exceptions import Exit

from .errors import PortsideError, Refused
from .report import Report
from .server import Server
from .settings import Settings
from .site import Site
from .stages import Run

# Names whose values are no secret: hiding them would only make the report unreadable.
PUBLIC = {"ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DJANGO_SETTINGS_MODULE", "POSTGRES_USER", "POSTGRES_DB"}

HELP = {
    "env": "the site's environment file (default: .env)",
    "verbose": "show every command and what it prints",
    "quiet": "only warnings and errors",
    "ref": "deploy this commit instead of the files as they are here",
    "down": "take the practice server away",
    "name": "another practice server beside the first",
}


def task(body: Callable[..., Any]) -> Any:
    """A Fabric task whose failures are told, not traced back."""

    @functools.wraps(body)
    def told(context: Context, *args: Any, **kwargs: Any) -> None:
        try:
            body(context, *args, **kwargs)
        except PortsideError as error:
            Report().fail(str(error))
            raise Exit(code=error.exit_code) from error
        except KeyboardInterrupt:
            raise Exit("Interrupted.", code=1) from None

    known = {name: text for name, text in HELP.items() if name in body.__code__.co_varnames}
    return fabric_task(help=known, auto_shortflags=False)(told)


def run(context: Context, command: str, *, env: str, verbose: bool, quiet: bool, ref: str = "") -> Run:
    """A run against the server that -H names. Raises Refused without one: nothing ever runs on the laptop."""
    if not isinstance(context, Connection):
        raise Refused(f"Which server? Type fab {command} -H user@host")
    settings = Settings.load(Path(env))
    report = Report(verbose=verbose, quiet=quiet)
    report.hide(value for name, value in settings.env.items() if name not in PUBLIC)
    if settings.dotenv.overridden:
        report.warn(f"The environment of this shell wins over {env} for {', '.join(settings.dotenv.overridden)}.")
    return Run(settings, Site(settings.site), Server(context, report), report, command, ref)

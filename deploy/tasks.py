"""What every task shares: the host it needs, the report, and an error as one clear message with its exit code."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, overload

from fabric import Connection, Executor
from fabric import task as fabric_task
from fabric.main import program
from invoke.context import Context
from invoke.exceptions import Exit

from . import mask, route
from .command import words
from .errors import PortsideError, Refused
from .report import Report
from .run import Run
from .secret import Secret
from .server import Server
from .settings import Settings
from .several import Body, How, Member, follow, members, named
from .site import Site
from .ssh_config import SSHConfig

LEAST = 6  # characters of what a GitHub job's log hides everywhere

HELP = {
    "env": "the site's environment file (default: .env)",
    "verbose": "show every command and what it prints",
    "quiet": "only warnings and errors",
    "ref": "this commit instead of the files as they are here",
    "staging": "prove that certificates can be issued, and change nothing",
    "to": "the release to go back to; the previous good one if not given",
    "json": "as JSON, for a script to read",
    "off": "open the site again",
    "allow": "addresses that come in all the same, comma-separated",
    "down": "take the practice server away",
    "domains": "the site's host names, comma-separated",
    "command": "manage.py's words, quoted as one",
    "name": "another practice server beside the first; with --down, only this one",
    "allow_breaking": "go on although a migration breaks the release that runs beside this one",
    "migrations": "take back the migrations that the release doesn't know",
    "yes": "don't ask first",
    "wait": "wait until nobody else deploys the site",
}


class Later:
    """The functions of a module of ours that is imported when one is called: by then the server is being reached."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            return getattr(import_module(f"{__package__}.{self._module}"), name)(*args, **options)

        return call


def guard() -> None:
    """Where fab loads the tasks: ssh_config is read our way, and what would go past them is refused."""
    if hasattr(program, "config"):
        program.config._set(base_ssh_config=SSHConfig())
        program.executor_class = _Executor


class _Executor(Executor):  # type: ignore[misc]
    """Fabric's way from the command line to the tasks."""

    def normalize_hosts(self, hosts: Iterable[str] | None) -> list[dict[str, Any]]:
        """A call for each server: Fabric makes one for every entry of -H, also where it is empty or named before."""
        return list(super().normalize_hosts(named(hosts or ())))

    def expand_calls(self, calls: Any, apply_hosts: bool = True) -> Any:
        with _told():
            if self.core.remainder:
                raise Refused(
                    "What follows -- would go past the tasks, over a connection that verifies no host key.",
                    hint="Type ssh user@host and the command.",
                )
            for host in _hosts():
                route.destination(host)
        return super().expand_calls(calls, apply_hosts)


@contextmanager
def _told() -> Iterator[None]:
    """A failure inside is told, not traced back."""
    try:
        yield
    except PortsideError as error:
        Report().fail(str(error))
        raise Exit(code=error.exit_code) from error
    except KeyboardInterrupt:
        raise Exit("Interrupted.", code=1) from None
    except OSError as error:
        Report().fail(f"This machine failed: {error}.")
        raise Exit(code=1) from error


@overload
def task(body: Body) -> Any: ...
@overload
def task(*, several: How) -> Callable[[Body], Any]: ...
def task(body: Body | None = None, *, several: How = How.IN_TURN) -> Any:
    """A Fabric task whose failures are told, not traced back. ``several``: how it goes through several servers."""
    if body is None:
        return functools.partial(task, several=several)

    @functools.wraps(body)
    def told(context: Context, *args: Any, **kwargs: Any) -> None:
        with _told():
            _each(several, body, context, args, kwargs)

    known = {name: text for name, text in HELP.items() if name in body.__code__.co_varnames}
    return fabric_task(help=known, auto_shortflags=False)(told)


def _each(how: How, body: Body, context: Context, args: Any, options: dict[str, Any]) -> None:
    """Fabric calls a task once for each host: the call for the first does the work for all of them."""
    hosts = _hosts()
    if len(hosts) < 2 or not isinstance(context, Connection):
        body(context, *args, **options)
    elif route.typed(context) == route.typed(route.of_hosts(context, hosts[:1])[0]):
        _all(how, body, context, hosts, args, options)


def _all(how: How, body: Body, context: Connection, hosts: list[str], args: Any, options: dict[str, Any]) -> None:
    given = inspect.signature(body).bind(context, *args, **options)
    given.apply_defaults()
    options = {name: value for name, value in given.arguments.items() if value is not context}
    if how is How.HERE:
        body(context, **options)
        return
    try:
        settings = Settings.load(Path(options["env"]))
    except Refused:
        if body.__name__ != "doctor":
            raise
        body(context, **options)  # which tells them as findings of this machine, before it looks at any server
        return
    follow(how, body.__name__, members(context, hosts), settings, body, options)


def _hosts() -> list[str]:
    """What -H names; Fabric itself hands a task one at a time."""
    core = getattr(program, "core", None)
    value = core[0].args.hosts.value if core else None
    return named(str(value).split(",")) if value else []


def _secrets(settings: Settings) -> list[Secret]:
    """Values to mask: what is secret of the application's, and passwords of our own."""
    ours = {"PIP_INDEX": settings.pip_index or ""}
    ours |= {f"BASIC_AUTH_{user}_PASSWORD": password.reveal() for user, password in settings.basic_auth}
    for name in ("acme_eab_hmac_key", "registry_password"):
        value = getattr(settings, name)
        ours[f"{name}_SECRET"] = value.reveal() if value else ""
    values = {name: value.reveal() for name, value in settings.env.items()} | ours
    found = {leaf for name, value in values.items() for leaf in mask.leaves(name, value, _public(settings))}
    return [Secret(leaf) for leaf in sorted(found)]


def _public(settings: Settings) -> tuple[str, ...]:
    """What every visitor knows."""
    return *settings.names, settings.site


def _hide(report: Report, settings: Settings) -> None:
    """Mask what is secret here, and in the log of a GitHub job, which knows only whole values of its own."""
    secrets = _secrets(settings)
    report.hide(secrets, _public(settings))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        lines = {line.strip() for secret in secrets for line in secret.reveal().splitlines()}
        for line in sorted(line for line in lines if len(line) >= LEAST):
            print(f"::add-mask::{line.replace('%', '%25')}", file=sys.stderr, flush=True)


def run(
    context: Context, command: str, *, env: str, verbose: bool, quiet: bool, json: bool = False, **options: Any
) -> Run:
    """A run against the server that -H names; ``options``: of Run, as the task has them. ``json``: what is said goes to
    standard error, and the result alone to standard output.

    Raises Refused without a server: nothing ever runs on the laptop.
    """
    if not isinstance(context, Connection):
        raise Refused(f"Which server? Type {words(command, {'env': env} | options, 'user@host')}")
    settings = Settings.load(Path(env))
    report = Report(verbose=verbose, quiet=quiet)
    member = context.member if isinstance(context, route.OneOfSeveral) else Member("", context)
    member.speak(report)
    if json:
        report.aside()
    _hide(report, settings)
    if settings.dotenv.overridden and command != "doctor":  # which tells it as a finding
        report.warn(f"The environment of this shell wins over {env} for {', '.join(settings.dotenv.overridden)}.")
    server = Server(member.connection, report)
    server.reach()
    return member.adopt(Run(settings, Site(settings.site), server, report, command, env=env, **options))

"""What all tasks share: the server they need, the report, and errors as one clear message with an exit code."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, overload

from fabric import Connection, Executor
from fabric import task as fabric_task
from fabric.main import program
from invoke.context import Context
from invoke.exceptions import Exit

from ..config import dotenv
from ..config.settings import Settings
from ..config.site_name import whereabouts
from ..core import logfile, secret, vocabulary
from ..core.commandline import words
from ..core.errors import PortsideError, Refused
from ..core.report import Report
from ..core.secret import Secret
from ..flows.context import Run
from ..flows.request import Request
from ..ssh import connection
from ..ssh.config import SSHConfig
from ..ssh.server import Server
from .fleet import Body, FleetHost, HostMode, fleet_hosts, follow
from .fleet_output import split_hosts

PACKAGE = (__package__ or "").partition(".")[0]
MIN_MASKED = 6  # length from which a GitHub job's log may mask a value everywhere

HELP = {
    "env": "the site's environment file, or NAME for .env.NAME (default: .env)",
    "verbose": "show every command and its output",
    "quiet": "show only warnings and errors",
    "ref": "use this commit instead of the current files",
    "staging": "test that certificates can be issued, without changing anything",
    "to": "the release to roll back to (default: the previous good one)",
    "json": "print JSON, for scripts",
    "off": "open the site again",
    "allow": "addresses that are let in anyway, comma-separated",
    "down": "remove the practice server",
    "domains": "the site's host names, comma-separated",
    "command": "the whole command, in quotes",
    "follow": "keep printing new lines, until Ctrl-C",
    "service": "only these logs, comma-separated: web, db, nginx, or the name of a process",
    "since": "only newer lines: 90s, 30m, 2h, 3d, or a time such as 2026-11-30T17:00 (by this machine's clock)",
    "tail": "number of lines, the newest (default: 100; with --since, all)",
    "grep": "only lines that match this regular expression",
    "query": "run this SQL instead of standard input",
    "dump": "write a dump of the database, in SQL for psql, to standard output",
    "name": "the name of an additional practice server; with --down, remove only this one",
    "allow_breaking": "continue even if a migration breaks the release that is still running",
    "migrations": "also reverse the migrations that the release doesn't have",
    "yes": "don't ask for confirmation",
    "drop": "a setting of the last deploy that may be removed, such as BASIC_AUTH; comma-separated",
    "pull": "write the .env of the last deploy, from the server, to a new file",
    "site": "the site's name on the server, if it differs from the folder's",
    "wait": "wait until no other deploy of the site is running",
}


REPEATED = ("drop",)
"""Options that may be given more than once. The task gets all values, comma-separated."""

Mode = HostMode | Callable[[dict[str, Any]], HostMode]


class LazyModule:
    """The functions of one of our modules, which is imported at the first call: meanwhile the server is being
    reached."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            return getattr(import_module(f"{PACKAGE}.{self._module}"), name)(*args, **options)

        return call


def guard() -> None:
    """Install our ssh_config reader and executor. Called when fab loads the tasks."""
    if hasattr(program, "config"):
        program.config._set(base_ssh_config=SSHConfig())
        program.executor_class = _Executor


class _Executor(Executor):  # type: ignore[misc]
    """Fabric's executor, which calls the tasks."""

    def normalize_hosts(self, hosts: Iterable[str] | None) -> list[dict[str, Any]]:
        """Return a call for each server. Fabric would make one for every entry of -H, even if empty or repeated."""
        return list(super().normalize_hosts(split_hosts(hosts or ())))

    def expand_calls(self, calls: Any, apply_hosts: bool = True) -> Any:
        with _errors_printed():
            if self.core.remainder:
                raise Refused(
                    "A command after -- would bypass the tasks, over a connection that doesn't verify the host key.",
                    hint="Run ssh user@host COMMAND instead.",
                )
            for host in hosts_given():
                connection.destination(host)
        return super().expand_calls(calls, apply_hosts)


@contextmanager
def _errors_printed() -> Iterator[None]:
    """Print a failure inside as a message, without a traceback."""
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
def task(*, mode: Mode = ..., name: str = ...) -> Callable[[Body], Any]: ...
def task(body: Body | None = None, *, mode: Mode = HostMode.IN_TURN, name: str = "") -> Any:
    """Define a Fabric task whose failures are printed without a traceback. ``mode``: how it treats several servers,
    or a function of its options that returns this. ``name``: the task's name, if it isn't the function's."""
    if body is None:
        return functools.partial(task, mode=mode, name=name)
    body.__name__ = name or body.__name__
    often = [name for name in REPEATED if name in inspect.signature(body).parameters]

    @functools.wraps(body)
    def wrapped(context: Context, *args: Any, **kwargs: Any) -> None:
        if "env" in kwargs:
            kwargs["env"] = dotenv.named(kwargs["env"])
        kwargs |= {name: ",".join(kwargs.get(name) or ()) for name in often}
        with _errors_printed():
            _dispatch(mode, body, context, args, kwargs)

    known = {name: text for name, text in HELP.items() if name in body.__code__.co_varnames}
    return fabric_task(help=known, auto_shortflags=False, iterable=often)(wrapped)


def _dispatch(mode: Mode, body: Body, context: Context, args: Any, options: dict[str, Any]) -> None:
    """Run a task on all its servers. Fabric calls it once for each host: the call for the first does all the work.
    Without -H it uses the site's DEPLOY_HOSTS."""
    mode = mode if isinstance(mode, HostMode) else mode(_given(body, context, args, options))
    if mode is not HostMode.HERE and not isinstance(context, Connection):
        hosts = _hosts_of_the_site(body, context, args, options)
        context = connection.of_hosts(context, hosts[:1])[0] if hosts else context
    else:
        hosts = hosts_given()
    if len(hosts) < 2 or not isinstance(context, Connection):
        body(context, *args, **options)
    elif connection.typed(context) == connection.typed(connection.of_hosts(context, hosts[:1])[0]):
        _all(mode, body, context, hosts, args, options)


def _hosts_of_the_site(body: Body, context: Context, args: Any, options: dict[str, Any]) -> list[str]:
    """Return the servers in DEPLOY_HOSTS. Faulty settings are refused, except for doctor, which reports them."""
    path = Path(_given(body, context, args, options).get("env", ".env"))
    if not whereabouts(path)[0]:
        return []
    try:
        return list(dict.fromkeys(Settings.load(path).hosts))
    except Refused:
        if body.__name__ != "doctor":
            raise
        return []


def _given(body: Body, context: Context, args: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return the task's options, with defaults."""
    given = inspect.signature(body).bind(context, *args, **options)
    given.apply_defaults()
    return {name: value for name, value in given.arguments.items() if value is not context}


def _all(mode: HostMode, body: Body, context: Connection, hosts: list[str], args: Any, options: dict[str, Any]) -> None:
    options = _given(body, context, args, options)
    if mode is HostMode.HERE:
        body(context, **options)
        return
    try:
        settings = Settings.load(Path(options["env"]))
    except Refused:
        if body.__name__ != "doctor":
            raise
        body(context, **options)  # doctor reports them as findings of this machine
        return
    follow(mode, body.__name__, fleet_hosts(context, hosts), settings, body, options)


def hosts_given() -> list[str]:
    """Return the hosts of -H. Fabric itself passes a task one at a time."""
    core = getattr(program, "core", None)
    value = core[0].args.hosts.value if core else None
    return split_hosts(str(value).split(",")) if value else []


def _secrets(settings: Settings) -> list[Secret]:
    """Return the values to mask: the application's secrets, and passwords in Portside's settings."""
    ours = {"PIP_INDEX": settings.pip_index or ""}
    ours |= {f"BASIC_AUTH_{user}_PASSWORD": password.reveal() for user, password in settings.basic_auth}
    given = {name: getattr(settings, name) for name in settings.scopes()}
    ours |= {f"{name}_SECRET": value.reveal() for name, value in given.items() if isinstance(value, Secret)}
    values = {name: value.reveal() for name, value in settings.env.items()} | ours
    found = {leaf for name, value in values.items() for leaf in secret.leaves(name, value, _public(settings))}
    return [Secret(leaf) for leaf in sorted(found)]


def _public(settings: Settings) -> tuple[str, ...]:
    """Return values that every visitor knows, or that the user typed."""
    return *settings.names, settings.site, *settings.hosts, *hosts_given()


def _mask_secrets(report: Report, settings: Settings) -> None:
    """Mask secrets here, and in the log of a GitHub job, which otherwise masks only whole values of its own."""
    secrets = _secrets(settings)
    report.hide(secrets, _public(settings))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        lines = {line.strip() for secret in secrets for line in secret.reveal().splitlines()}
        for line in sorted(line for line in lines if len(line) >= MIN_MASKED and not vocabulary.has(line)):
            print(f"::add-mask::{line.replace('%', '%25')}", file=sys.stderr, flush=True)


def run(
    context: Context,
    command: str,
    *,
    env: str,
    verbose: bool,
    quiet: bool,
    json: bool = False,
    typed: Mapping[str, Any] | None = None,
    **options: Any,
) -> Run:
    """Prepare a run against the server that -H or DEPLOY_HOSTS names.

    ``options``: of Request, as the task has them. ``typed``: the task's other options. ``json``: messages go to
    standard error, and only the result to standard output.

    Raises Refused without a server: nothing ever runs on the laptop.
    """
    if not isinstance(context, Connection):
        raise _no_server(Path(env), command, {"env": env, **options, **(typed or {})})
    settings = Settings.load(Path(env))
    report = Report(verbose=verbose, quiet=quiet)
    host = getattr(context, "fleet_host", None) or FleetHost("", context)
    host.speak(report)
    if json:
        report.aside()
    _mask_secrets(report, settings)
    if settings.dotenv.overridden and command != "doctor":  # doctor reports it as a finding
        report.warn(f"Variables set in your shell override {env}: {', '.join(settings.dotenv.overridden)}.")
    server = Server(host.connection, report)
    server.start_connecting()
    hosts = tuple(hosts_given())
    options |= {"name": host.name, "hosts": hosts if len(hosts) < 2 or host.name == hosts[-1] else ()}
    target = "" if settings.hosts == (server.target,) else server.target
    return host.adopt(Run(Request(command, env=env, target=target, **options), settings, server, report))


def _no_server(path: Path, command: str, options: dict[str, Any]) -> Refused:
    """Return the error for a missing server, with the command to run: on the server of the last deploy from here."""
    site = whereabouts(path)[1]
    last = ",".join(logfile.deployed_to(site))
    asked = f"Which server? Run {words(command, options, last or 'user@host')}"
    if last:
        why = f" (the server of the last deploy of {site} from this machine)"
        return Refused(f"{asked}{why}, or set DEPLOY_HOSTS={last} in {path}")
    return Refused(f"{asked}, or set DEPLOY_HOSTS=user@host in {path}")

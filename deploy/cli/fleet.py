"""Several servers in one command: at once if that is safe, else one after the other."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from enum import Enum
from functools import partial
from itertools import combinations
from typing import Any

from fabric import Connection
from invoke.exceptions import Exit

from ..config.settings import Settings
from ..core.commandline import words
from ..core.errors import PortsideError, Refused, Stopped
from ..core.report import Report
from ..flows.context import Run
from ..ssh import connection as ssh_connection
from ..ssh import session
from ..ssh.sudo import asking
from . import fleet_output
from .fleet_output import Outputs
from .rollout import Turns

Body = Callable[..., Any]


class HostMode(Enum):
    """How a task treats several servers."""

    IN_TURN = "one after the other, until one fails"
    AT_ONCE = "all at once, independently"
    AS_ONE = "all at once until each is ready, then live one after the other, or none"
    ATTENDED = "one after the other, until one fails, each with the user's own input and output"
    LISTED = "all at once, printed one after the other"
    HERE = "once, on this machine"


class FleetHost:
    """One server of a command, and the result there."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name, self.connection = name, connection
        self.endpoint = ssh_connection.Endpoint(frozenset(), ())
        if isinstance(connection, ssh_connection.FleetConnection):
            connection.fleet_host = self
        self.turns: Turns | None = None
        self.run: Run | None = None
        self.outputs: Outputs | None = None
        self.report: Report | None = None
        self.begun = self.interrupted = False
        self.ended = threading.Event()  # joining a thread again after Ctrl-C returns at once (Python 3.11)
        self.error: PortsideError | None = None
        self.crash: BaseException | None = None
        self.code = 0

    def adopt(self, run: Run) -> Run:
        """Make this server's run wait for its turns."""
        self.run = run
        if self.interrupted:
            run.server.interrupt()
        if self.turns:
            run.progress.wait_turn = partial(self._turn, run, self.turns)
        return run

    def _turn(self, run: Run, turns: Turns, stage: str) -> None:
        try:
            turns.begin(
                self.name,
                stage,
                lambda other: run.report.say(f"  ready for “{stage}”; waiting for {other}"),
                run.server.check_link,
            )
        except KeyboardInterrupt:
            run.server.take_interrupt()
            raise

    def speak(self, report: Report) -> Report:
        """Print the report's lines with the server's name."""
        if self.outputs:
            report.console, report.errors, report.results = self.outputs.consoles()
        self.report = report
        return report

    def interrupt(self) -> None:
        self.interrupted = True
        if self.run:
            self.run.server.interrupt()

    def follow(self, body: Body, options: dict[str, Any]) -> None:
        """Run the task on this server, and keep the result."""
        self.begun = True
        try:
            body(self.connection, **options)
        except Exit as ended:
            self.code = int(ended.code or 0)
        except PortsideError as error:
            self._fail(error)
        except KeyboardInterrupt:
            self._fail(PortsideError("Interrupted."))
        except OSError as error:
            self._fail(PortsideError(f"This machine failed: {error}."))
        except BaseException as crash:
            self.code, self.crash = 1, crash
        finally:
            if self.turns:
                self.turns.end(self.name, failed=bool(self.code))
            self.ended.set()

    def _fail(self, error: PortsideError) -> None:
        self.error, self.code = error, error.exit_code
        if isinstance(error, Stopped):
            error.hint = ""
        report = self.report or self.speak(Report())
        report.fail(str(error))


def fleet_hosts(given: Connection, names: list[str]) -> list[FleetHost]:
    """Return the servers of these names. Raises Refused if two of them are the same."""
    found = [
        FleetHost(name, connection)
        for name, connection in zip(names, ssh_connection.of_hosts(given, names), strict=True)
    ]
    for host in found:
        host.endpoint = ssh_connection.endpoint(host.connection)
    for one, other in combinations(found, 2):
        if one.endpoint.is_same_as(other.endpoint):
            raise Refused(
                f"{one.name} and {other.name} are the same server.",
                state="Nothing was changed.",
                hint="Name it once after -H.",
            )
    return found


def follow(
    mode: HostMode, command: str, hosts: list[FleetHost], settings: Settings, body: Body, options: dict[str, Any]
) -> None:
    """Run a task on several servers, and print the result of each. Raises Exit if it failed on any."""
    if mode is HostMode.AS_ONE:
        by_endpoint = sorted(hosts, key=lambda host: host.endpoint.order)
        locking = [host.name for host in by_endpoint]
        turns = Turns([host.name for host in hosts], settings, locking=locking)
        for host in hosts:
            host.turns = turns
    if mode in {HostMode.IN_TURN, HostMode.ATTENDED}:
        heading = mode is HostMode.IN_TURN or session.terminal()
        _in_turn(hosts, body, options, quiet=bool(options.get("quiet")) or not heading)
    else:
        _at_once(mode, hosts, body, options)
    code = _sum_up(mode, command, hosts, options)
    for host in hosts:
        if host.crash:
            raise host.crash
    if code:
        raise Exit(code=code)


def _in_turn(hosts: list[FleetHost], body: Body, options: dict[str, Any], *, quiet: bool) -> None:
    for host in hosts:
        Report(quiet=quiet).say(f"{host.name}:", style="bold")
        host.follow(body, options)
        if host.code:
            return


def _at_once(mode: HostMode, hosts: list[FleetHost], body: Body, options: dict[str, Any]) -> None:
    width, as_json = max(len(host.name) for host in hosts), bool(options.get("json"))
    for host in hosts:
        host.outputs = Outputs(f"{host.name:<{width}} | ", mode is HostMode.LISTED, as_json)
        threading.Thread(target=host.follow, args=(body, options), daemon=True).start()
    try:
        with fleet_output.terminal_as_it_was():
            _await(hosts)
    except KeyboardInterrupt:
        if asking():
            raise  # the thread that waits for a password can't be interrupted
        for host in hosts:
            host.interrupt()
        if hosts[0].turns:
            hosts[0].turns.interrupt()
        _await(hosts)
    if as_json:
        answers = {
            host.name: None if host.crash else json.loads(host.outputs.answer.getvalue() or "null")
            for host in hosts
            if host.outputs
        }
        Report().result(answers)


def _await(hosts: list[FleetHost]) -> None:
    for host in hosts:
        host.ended.wait()
        if host.outputs:
            host.outputs.release()


def _sum_up(mode: HostMode, command: str, hosts: list[FleetHost], options: dict[str, Any]) -> int:
    """Print the result of each server. Returns the exit code of the command."""
    listed = mode is HostMode.LISTED  # such a task's exit code is a finding, not a failure
    failed = [one for one in hosts if one.error or one.crash or not one.begun or (one.code and not listed)]
    width = max(len(host.name) for host in hosts)
    lines = [f"  {host.name:<{width}}  {outcome(host)}" for host in hosts]
    if not failed:
        report = Report(quiet=options.get("quiet") or listed)
        if options.get("json") or mode is HostMode.ATTENDED:
            report.aside()
        report.say("\n" + "\n".join(lines))
        return max(host.code for host in hosts)
    Report().fail("\n".join(["", *lines, f"Fix what failed, then run {again(command, options, failed)}"]))
    codes = {host.code for host in failed if host.begun and not isinstance(host.error, Stopped)}
    return codes.pop() if len(codes) == 1 else 1


def again(command: str, options: dict[str, Any], failed: list[FleetHost]) -> str:
    """Return the command to go on there. If servers roll back to different releases, one command for each."""
    groups: dict[str, list[str]] = {}
    for host in failed:
        to = str(host.run.request.options["to"] if host.run else options.get("to", ""))
        groups.setdefault(to, []).append(host.name)
    return "\nand ".join(words(command, options | {"to": to}, *names) for to, names in groups.items())


def outcome(host: FleetHost) -> str:
    """Describe the result on a server in one line."""
    if not host.begun:
        return "not started"
    if host.error:
        first = host.error.message.splitlines()[0]
        what = first if isinstance(host.error, Stopped) else f"failed: {first}"
        return f"{what} {host.error.state}".rstrip()
    if host.crash:
        return f"failed: {host.crash!r}"
    if host.code:
        return f"exit code {host.code}"
    return _done(host.run)


def _done(run: Run | None) -> str:
    if run is None or run.request.command not in {"deploy", "rollback"}:
        return "done"
    if run.candidate.unchanged:
        return f"nothing to do; release {run.facts.current} is live"
    return f"release {run.candidate.paths.id} is live"

"""``fab doctor``: check the laptop and the server, from both sides, and suggest a fix for each finding."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from fabric import Connection
from invoke.context import Context
from invoke.exceptions import Exit
from rich.text import Text

from ...config.settings import Settings
from ...core.errors import PortsideError, Refused
from ...core.facts import Facts
from ...core.report import Report, count
from ...core.steps import script
from ...flows import site_health
from ...flows.context import Run
from .. import fabric
from . import checks, external, local
from .findings import Examined, Finding, ServerState, fault, fine

SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "fault": ("✗", "red")}


def check(context: Context, *, env: str, as_json: bool, verbose: bool, quiet: bool) -> None:
    """Check this machine and, if -H names one, a server. Print the findings."""
    report = Report(verbose=verbose, quiet=quiet)
    try:
        settings = Settings.load(Path(env))
    except Refused as error:
        show(report, laptop_alone(error, given_key=key_given(context)), server="", as_json=as_json)
        return
    here = laptop_alone(settings, given_key=key_given(context))
    if not isinstance(context, Connection):
        show(report, here, server="", as_json=as_json)
        return
    run = fabric.run(context, "doctor", env=env, verbose=verbose, quiet=quiet or as_json)
    show(run.report, [*here, *examine(run)], server=run.server.target, as_json=as_json)


def laptop_alone(settings: Settings | Refused, *, given_key: bool = False) -> list[Finding]:
    """Return the findings without a server. Refused settings are findings too."""
    if isinstance(settings, Refused):
        refused = [fault("settings", line, settings.hint) for line in settings.message.splitlines()]
        return [*local.machine(given_key=given_key), *refused]
    built_here = [local.engine()] if getattr(settings, "build", "server") == "local" else []
    return [*local.findings(settings, given_key=given_key), *built_here]


def examine(run: Run) -> list[Finding]:
    """Return the findings of a server. A server that can't be reached is a finding."""
    try:
        it = _seen(run)
    except PortsideError as error:
        return [fault("server", error.message, error.hint or error.state)]
    address = _address(run, it)
    exposed = checks.exposed(it)
    if not address:
        listening = [checks.of_listener(it, each, None) for each in exposed]
        return [
            *checks.of_server(it),
            *listening,
            fine("ports", "not checked: the server is behind a jump host or a tunnel"),
        ]
    tcp = [each.port for each in exposed if each.protocol == "tcp"]
    answers = external.reached(address, [80, 443, *tcp])
    listening = [checks.of_listener(it, x, answers.get(x.port) if x.protocol == "tcp" else None) for x in exposed]
    return [
        *checks.of_server(it),
        *(listening or [fine("ports", "only SSH, HTTP and HTTPS listen on public addresses")]),
        *external.of_ports(it, answers),
        # A practice server's names resolve only on itself, and no browser knows its authority.
        *([] if run.server.practice else external.of_names(it, sorted({address, *it.state.addresses}))),
        *(external.of_certificate(it, address, trusted=not run.server.practice) if it.facts.nginx_active else []),
    ]


def _address(run: Run, it: Examined) -> str:
    """Return the address that visitors use; empty if our connection goes through a jump host or tunnel."""
    if run.server.practice:
        return "".join(it.state.addresses[:1])
    peer = run.server.peer
    return "" if not peer or ipaddress.ip_address(peer.partition("%")[0]).is_loopback else peer


def _seen(run: Run) -> Examined:
    """Read the facts and the rest in one round trip, or in two if Nginx's answer is unclear."""
    steps = [
        script("Read the server's facts", "facts", site=run.site.name, paths=run.watched),
        script("Run the checks", "doctor", units=checks.UNITS),
    ]
    run.server.connect()
    with run.server.quietly():
        facts, more = run.server.apply(steps, stage="doctor")
    run.facts = Facts.parse("\n".join(facts.output)).masked(run.report.mask)
    here = datetime.now(UTC)
    state = ServerState.parse(more.output)
    fault = site_health.fault(run)
    return Examined(
        run.settings, run.site, run.server.target, _ssh(run), run.facts, state, here, run.request.env, fault
    )


def _ssh(run: Run) -> str:
    """Return the command to reach the server without Portside."""
    host, colon, port = run.server.target.rpartition(":")
    if run.server.practice:
        return f"ssh -F .practice/ssh_config {run.server.target}"
    return f"ssh -p {port} {host}" if colon and port.isdigit() else f"ssh {run.server.target}"


def show(report: Report, found: Iterable[Finding], *, server: str, as_json: bool) -> None:
    """Print the findings, with --quiet only problems; as JSON one object. Exits with 1 if there is a fault."""
    found = list(found)
    faults, warnings = (sum(each.level == level for each in found) for level in ("fault", "warning"))
    if as_json:
        data = {"server": server or None, "ok": not faults, "findings": [each.as_dict() for each in found]}
        report.result(data)
    else:
        for each in found:
            _print(report, each)
        counts = f"{count(faults, 'fault')}, {count(warnings, 'warning')}"
        summary = counts if faults or warnings else "no problems found"
        report.say(f"{server or 'This machine'}: {summary}.", style="bold")
        if not server:
            report.say("  To check a server: fab doctor -H user@host")
    if faults:
        raise Exit(code=1)


def _print(report: Report, each: Finding) -> None:
    if report.quiet and each.level == "ok":
        return
    sign, colour = SIGNS[each.level]
    line = Text.assemble((f"{sign} ", colour), (f"{each.check:<9}", "bold"), " ", report.shown(each.text))
    report.console.print(line)
    if each.fix:
        report.console.print(Text(report.shown(f"            fix: {each.fix}"), style="dim"))


def key_given(context: Context) -> bool:
    """Return whether -i names a key."""
    return isinstance(context, Connection) and bool(context.connect_kwargs.get("key_filename"))

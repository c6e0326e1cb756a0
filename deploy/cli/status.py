"""``fab status``: what runs, since when, and its problems; certificates, disk, backups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from ..certs import acme, renewal
from ..core.errors import PortsideError
from ..core.facts import Container, Facts
from ..core.report import count
from ..core.x509 import Certificate, clock
from ..flows import restarts, site_health, versions
from ..flows.context import Run
from ..nginx import generation, hostnames
from ..releases.history import age


def show(run: Run, *, as_json: bool) -> None:
    """Print the state of the site; as JSON one object."""
    if as_json:
        run.report.aside()
    run.look()
    versions.check(run)
    found = summary(run, site_health.fault(run))
    if as_json:
        run.report.result(found)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in _lines(found):
        table.add_row(name, Text(run.report.shown(text)))
    run.report.console.print(table)
    for problem in found["problems"]:
        run.report.warn(problem)


def summary(run: Run, fault: str = "") -> dict[str, Any]:
    """Return the state of the site as plain data. ``fault``: why visitors get an error, or empty. ``problems``: one
    line each, with its fix."""
    facts, settings = run.facts, run.settings
    if not facts.current:
        raise PortsideError(f"{run.site.name} isn't live on {run.server.target}.", hint="Run fab deploy first.")
    record = facts.releases.get(facts.current, {})
    containers = {
        "web": facts.role("web", facts.current),
        "processes": facts.role("process", facts.current),
        "database": facts.role("db"),
    }
    certificate = Certificate.parse(facts.certificate)
    return {
        "site": run.site.name,
        "server": run.server.target,
        "address": hostnames.live(settings, facts).address,
        "closed": facts.closed,
        "release": {"id": facts.current, "commit": record.get("commit", ""), "by": record.get("who", "")}
        | {"age": age(facts.current, facts.clock)},
        **{name: [_container(each, facts) for each in found] for name, found in containers.items()},
        "nginx": {"active": facts.nginx_active, "generation": facts.nginx_generation},
        "certificate": {"until": certificate.until, "days": (certificate.ends - clock(facts.clock)).days}
        | {"names": sorted(certificate.names), "kind": facts.certificate_kind}
        if certificate
        else None,
        "disk_free_mb": facts.disk_mb,
        "last_dump": facts.last_dump,
        "problems": _problems(run, fault),
    }


def _container(container: Container, facts: Facts) -> dict[str, Any]:
    restarts = sum(each.count for each in facts.restarted if each.name == container.name)
    return {"name": container.name, "state": container.state, "status": container.status, "restarts": restarts}


def _problems(run: Run, fault: str) -> list[str]:
    facts = run.facts
    found = ["\n".join(each.lines(run.request.fab)) for each in restarts.exiting(facts)]
    found += [str(each) for each in site_health.problems(run, fault)]
    found += [str(each) for each in site_health.without_image(run)]
    if not facts.nginx_active:
        found.append("Nginx isn't running: systemctl status nginx shows why.")
    if facts.closed:
        found.append(f"The site is closed for visitors. Open it: {run.fab('maintenance', off=True)}")
    found += [generation.broken(facts)] * bool(generation.broken(facts))
    return [*found, *renewal.faults(facts), *acme.obsolete_warnings(acme.obsolete_names(run.settings, facts))]


def _lines(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    made = found["release"]
    commit = f", commit {made['commit'][:7]}" if made["commit"] else ""
    yield "site", f"{found['address']}/ on {found['server']}"
    yield "release", f"{made['id']}{commit}, {made['age']} old" + (f", by {made['by']}" if made["by"] else "")
    for name in ("web", "processes", "database"):
        for each in found[name]:
            often = f", restarted {count(each['restarts'], 'time')}" if each["restarts"] else ""
            yield name, f"{each['name']}: {each['status'] or each['state']}{often}"
    yield "nginx", f"{'running' if found['nginx']['active'] else 'stopped'}, generation {found['nginx']['generation']}"
    yield "certificate", _certificate(found["certificate"])
    yield "disk", f"{found['disk_free_mb'] / 1024:.0f} GB free"
    yield "last dump", found["last_dump"] or "none"


def _certificate(certificate: dict[str, Any] | None) -> str:
    if not certificate:
        return "none: fab certs gets one"
    whose = "your own" if certificate["kind"] == "own" else f"renewed by {renewal.TIMER}"
    names = ", ".join(certificate["names"])
    return f"{names}, until {certificate['until']} ({count(certificate['days'], 'day')} left), {whose}"

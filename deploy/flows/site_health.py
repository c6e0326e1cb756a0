"""Site health: whether the live release runs and answers visitors; each problem with its fix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..config.settings import Settings
from ..core.facts import Container, Facts
from ..core.paths import Site
from ..core.report import count
from ..releases import healthcheck, history, record
from . import missing_data
from .context import Run

RUNS = {"running", "restarting"}  # restarts.py reports containers that keep exiting


class Inspected(Protocol):
    """What was found on a server, and how to name a command for it: a Run, or what the doctor examines."""

    @property
    def settings(self) -> Settings: ...
    @property
    def site(self) -> Site: ...
    @property
    def facts(self) -> Facts: ...
    def fab(self, task: str, **options: Any) -> str: ...


@dataclass(frozen=True)
class Problem:
    """A problem of a live site: a sentence, and its fix."""

    text: str
    fix: str

    def __str__(self) -> str:
        return f"{self.text} {self.fix}"


def problems(it: Inspected, fault: str) -> list[Problem]:
    """Return the problems of the live site. ``fault``: why visitors of the health check's page get an error, or
    empty."""
    lost = [Problem(each.text, each.fix) for each in missing_data.found(it.settings, it.site, it.facts)]
    if lost:  # other problems may be a consequence
        return lost
    again = it.fab("deploy")
    found = [
        Problem(_sentence(each), f"{again} starts it; {it.fab('logs', service=each.service)} shows why.")
        for each in unhealthy(it.facts)
    ]
    found += [Problem(text, f"{again} starts it.") for text in missing(it.settings, it.site, it.facts)]
    if fault and not found:  # a reported problem may be the cause, and has the same fix
        fix = "restarts the release" if it.settings.containers else "restores its files"
        found.append(Problem(f"Visitors get an error: {fault}", f"{again} {fix}."))
    return found


def without_image(it: Inspected) -> list[Problem]:
    """Return the releases without an image, which may have been pruned. They can't start, so no rollback to them is
    possible."""
    facts = it.facts
    gone = [name for name in sorted(facts.releases) if facts.releases[name] and not history.can_start(facts, name)]
    if facts.current in gone:
        return [
            Problem(f"The image of the live release {facts.current} is missing.", f"{it.fab('deploy')} rebuilds it.")
        ]
    if not gone:
        return []
    commit = str(facts.releases[gone[-1]].get("commit", ""))[:12] or "COMMIT"
    fix = f"{it.fab('deploy', ref=commit)} deploys {gone[-1]} again; any other new release removes it."
    return [Problem(f"No rollback is possible to releases without an image: {', '.join(gone)}.", fix)]


def of_containers(settings: Settings, site: Site, facts: Facts) -> list[str]:
    """Return the problems of the live site's containers, a sentence each."""
    return [*map(_sentence, unhealthy(facts)), *missing(settings, site, facts)]


def unhealthy(facts: Facts) -> list[Container]:
    """Return the containers of the live release and its database that don't run or are unhealthy."""
    live = [*facts.role("web", facts.current), *facts.role("process", facts.current), *facts.role("db")]
    return [each for each in live if not is_healthy(each)]


def is_healthy(container: Container) -> bool:
    return container.state in RUNS and "(unhealthy)" not in container.status


def _sentence(container: Container) -> str:
    if container.state in RUNS:
        return f"The container {container.name} runs, but is unhealthy."
    return f"The container {container.name} is {container.state}."


def missing(settings: Settings, site: Site, facts: Facts) -> Iterable[str]:
    """Yield a sentence for each kind of container that is missing."""
    live = history.live(facts)
    yield from _missing_containers(
        record.routes(live).replicas - len(facts.role("web", facts.current)), "web", facts.current
    )
    processes = len(facts.role("process", facts.current))
    yield from _missing_containers(len(record.processes(live)) - processes, "process", facts.current)
    if settings.own_database and site.data_compose in facts.files and not facts.role("db"):
        yield "The database's container is missing."


def _missing_containers(number: int, what: str, identity: str) -> Iterable[str]:
    if number > 0:
        verb = "is" if number == 1 else "are"
        yield f"{count(number, f'{what} container')} of {identity} {verb} missing."


def unhealthy_parts(facts: Facts) -> list[str]:
    """Return the live release's web containers that must be restarted: their services in its compose file."""
    wanted = [f"web-{number}" for number in range(1, record.routes(history.live(facts)).replicas + 1)]
    healthy = {each.part for each in facts.role("web", facts.current) if is_healthy(each)}
    return [name for name in wanted if name not in healthy]


def may_be_failing(facts: Facts) -> bool:
    """Return whether Nginx's answer in the facts needs a closer look. Only a closer look follows redirects."""
    return bool(facts.answer) and not facts.answer.startswith("2")


def visit(run: Run, *, patience: int = 0) -> str:
    """Visit the live release through Nginx, as it was deployed: the present settings may have another page or domain.

    ``patience``: seconds that it has to become healthy. Returns the reason why it isn't healthy, or an empty string.
    """
    live = history.live(run.facts)
    settings = healthcheck.as_live(run.settings, live)
    if settings is None:
        return ""
    step = healthcheck.through_nginx(settings, record.routes(live), run.facts, patience)
    with run.server.quietly():
        (asked,) = run.server.apply([step], stage="switch")
    lines: Sequence[str] = str(asked.answer["why"]).splitlines()
    return lines[-1] if lines else ""


def fault(run: Run) -> str:
    """Return why visitors get an error from the live release, or an empty string. The site is visited only if the facts
    leave a doubt, and not if Nginx is stopped: that is reported on its own."""
    return visit(run) if run.facts.nginx_active and may_be_failing(run.facts) else ""

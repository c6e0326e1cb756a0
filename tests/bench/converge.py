"""The same server converged by Portside, by pyinfra and by Ansible, near and far away, beside ``ssh server true``."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy import practice
from deploy.practice import Practice

from . import rivals
from .distance import Distance, Traffic, away
from .laptop import Laptop, project
from .rivals import Ansible, Pyinfra, Rival

NAME = "bench-converge"
MILLISECONDS = (0, 50, 200)
SSH, PORTSIDE, PYINFRA, ANSIBLE = TOOLS = ("ssh server true", "Portside", "pyinfra", "Ansible")
INSTALL = 'DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null'
OF_ANSIBLE = ("python3", "python3-apt")  # it needs them on the server before it can do anything


@dataclass(frozen=True)
class Sample:
    """One run: its seconds, and what went through the relay."""

    seconds: float
    traffic: Traffic


Runs = dict[tuple[int, str], list[Sample]]


def measure(folder: Path, rounds: int, chart: Path | None, console: Console) -> list[Table]:
    """The tables: a bare server, no change, and the promises. ``chart``: where to draw it."""
    programs = rivals.install()
    settings = {"DEPLOY_SITE": "bench", "DEPLOY_DOMAINS": "bench.test"}
    env = project(folder / "converge", NAME, {"manage.py": ""}, **settings).env
    bare: dict[str, Sample] = {}
    others: dict[str, Rival] = {}
    for tool in (PORTSIDE, PYINFRA, ANSIBLE):
        server = _fresh(console)
        try:
            installed = _ready(server, env, tool)
            with away(server) as distance:
                bare[tool] = _sample(distance, 0, _once(tool, env, distance, others))
                console.print(f"  bare server, {tool}: {bare[tool].seconds:.1f} s")
                if tool == PORTSIDE:
                    state = rivals.export(server, rivals.look(server, env), installed, folder / "state")
                    others = {PYINFRA: Pyinfra(PYINFRA, programs, state), ANSIBLE: Ansible(ANSIBLE, programs, state)}
                _prove(env, server, tool)
                if tool == ANSIBLE:
                    runs = _unchanged(env, distance, others, rounds, console)
        finally:
            server.remove()
    if chart:
        _draw(programs, folder / "figures.json", runs, chart)
    return [_bare_table(bare), _table(runs, rounds), promises(runs)]


def _fresh(console: Console) -> Practice:
    return practice.up(NAME, say=lambda line: console.print(f"  {line}"))


def _ready(server: Practice, env: Path, tool: str) -> list[str]:
    """All the packages on the server's disk, none installed but for what Ansible can't begin without."""
    wanted = rivals.download(server, env, *OF_ANSIBLE)
    if tool == ANSIBLE:
        server.exec(("sh", "-c", INSTALL, "install", *OF_ANSIBLE))
    return wanted


def _once(tool: str, env: Path, distance: Distance, others: dict[str, Rival]) -> Callable[[], object]:
    """One run of a tool through the relay."""
    if tool == SSH:
        words = ("ssh", "-F", str(rivals.access.SSH_CONFIG), distance.name, "true")
        return lambda: subprocess.run(words, check=True, capture_output=True)
    if tool == PORTSIDE:
        return lambda: Laptop(env, distance.name).fab("provision")
    return lambda: others[tool].run(distance.name, distance.port)


def _sample(distance: Distance, milliseconds: int, once: Callable[[], object]) -> Sample:
    distance.begin(milliseconds / 1000)
    began = time.monotonic()
    once()
    return Sample(time.monotonic() - began, distance.traffic)


def _prove(env: Path, server: Practice, tool: str) -> None:
    """After any of them, Portside finds nothing to do. Raises ValueError where it does."""
    if not Laptop(env, server.name).fab("provision").unchanged:
        raise ValueError(f"{tool} left the server otherwise than Portside does.")


def _unchanged(env: Path, distance: Distance, others: dict[str, Rival], rounds: int, console: Console) -> Runs:
    """Runs in which nothing is to be done, in turn. Raises ValueError where a rival does something."""
    distance.begin(0)
    for name, rival in others.items():
        rival.run(distance.name, distance.port)
        if changes := rival.changes(rival.run(distance.name, distance.port)):
            raise ValueError(f"{name} still changes something at its second run: {changes}.")
    runs: Runs = {}
    for number in range(rounds):
        for milliseconds in MILLISECONDS:
            for tool in TOOLS:
                sample = _sample(distance, milliseconds, _once(tool, env, distance, others))
                runs.setdefault((milliseconds, tool), []).append(sample)
            seconds = (f"{tool} {runs[milliseconds, tool][-1].seconds:.2f}" for tool in TOOLS)
            console.print(f"  round {number + 1}, {milliseconds} ms: {', '.join(seconds)}")
    return runs


def _seconds(runs: Runs, milliseconds: int, tool: str) -> float:
    return statistics.median(sample.seconds for sample in runs[milliseconds, tool])


def _traffic(sample: Sample) -> tuple[str, str, str]:
    traffic = sample.traffic
    return str(traffic.round_trips), f"{traffic.up / 1000:.0f}", f"{traffic.down / 1000:.0f}"


def _bare_table(bare: dict[str, Sample]) -> Table:
    table = Table("bare server", "seconds", "round trips", "kB up", "kB down", title="From bare to provisioned, 0 ms")
    for tool, sample in bare.items():
        table.add_row(tool, f"{sample.seconds:.1f}", *_traffic(sample))
    return table


def _table(runs: Runs, rounds: int) -> Table:
    title = f"Nothing to do (medians of {rounds} rounds in turn)"
    table = Table(
        "distance", "", "seconds", "round trips", "kB up", "kB down", "times ssh", "times Portside", title=title
    )
    for (milliseconds, tool), samples in runs.items():
        seconds = _seconds(runs, milliseconds, tool)
        ratios = (f"{seconds / _seconds(runs, milliseconds, other):.1f}" for other in (SSH, PORTSIDE))
        typical = sorted(samples, key=lambda sample: sample.seconds)[len(samples) // 2]
        table.add_row(f"{milliseconds} ms", tool, f"{seconds:.2f}", *_traffic(typical), *ratios)
    return table


def promises(runs: Runs) -> Table:
    """What is promised, beside what was measured."""
    table = Table("nothing to do", "promised", "measured", title="Promises")
    for rival, share in ((PYINFRA, 5), (ANSIBLE, 12)):
        times = _seconds(runs, 0, rival) / _seconds(runs, 0, PORTSIDE)
        table.add_row(f"0 ms, part of {rival}'s time", f"at most 1/{share}", f"1/{times:.1f}")
    for milliseconds in MILLISECONDS[1:]:
        times = _seconds(runs, milliseconds, PORTSIDE) / _seconds(runs, milliseconds, SSH)
        table.add_row(f"{milliseconds} ms, times ssh server true", "at most 3", f"{times:.1f}")
    return table


def _draw(programs: Path, figures: Path, runs: Runs, chart: Path) -> None:
    seconds = {str(ms): {tool: _seconds(runs, ms, tool) for tool in TOOLS} for ms in MILLISECONDS}
    figures.write_text(json.dumps({"no_change": seconds}), encoding="utf-8")
    words = (str(programs / "python"), str(rivals.FILES / "chart.py"), str(figures), str(chart.resolve()))
    subprocess.run(words, check=True)

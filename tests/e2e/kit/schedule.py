"""How long each test took the last time: files are given out so that the longest begin first.

A run writes what it measured to pytest's cache. ``make durations`` takes that over into durations.json, by which a
fresh clone's first run goes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

KEY = "portside/durations"
TRACKED = Path(__file__).parents[1] / "durations.json"
CACHED = Path(__file__).parents[3] / ".pytest_cache" / "v" / KEY
UNKNOWN = 5.0
"""Seconds that a test is taken to last which was never run."""
SHORTEST = 1.0
"""Seconds below which a test isn't worth a line in durations.json."""


def known(config: pytest.Config) -> dict[str, float]:
    """Seconds by test: as last run here, else as durations.json has them."""
    return _tracked() | (config.cache.get(KEY, {}) if config.cache else {})


def longest_first(items: list[pytest.Item], seconds: Mapping[str, float]) -> None:
    """Puts the files that last longest first. In a file the tests stay in their order, which they rely on."""
    total = Counter[str]()
    for item in items:
        total[_file(item.nodeid)] += seconds.get(item.nodeid, UNKNOWN)
    items.sort(key=lambda item: (-total[_file(item.nodeid)], _file(item.nodeid)))


def record(config: pytest.Config, measured: Mapping[str, float]) -> None:
    """Keeps what was measured beside what other runs have measured."""
    if config.cache and measured:
        config.cache.set(KEY, known(config) | {name: round(seconds, 1) for name, seconds in measured.items()})


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _tracked() -> dict[str, float]:
    return dict(json.loads(TRACKED.read_text())) if TRACKED.exists() else {}


def worth_a_line(seconds: Mapping[str, float], there: Iterable[Path]) -> dict[str, float]:
    """The tests that last, of files that are there."""
    names = {f"tests/e2e/{path.as_posix()}" for path in there}
    return {test: took for test, took in sorted(seconds.items()) if took >= SHORTEST and _file(test) in names}


def main() -> None:
    """Takes the last runs' durations over into the tracked file."""
    here = TRACKED.parent
    there = [path.relative_to(here) for path in here.rglob("test_*.py")]
    lines = worth_a_line(_tracked() | json.loads(CACHED.read_text()), there)
    TRACKED.write_text(json.dumps(lines, indent=0, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

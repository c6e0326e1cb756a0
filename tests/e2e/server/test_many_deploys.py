"""Many deploys, one after the other: what they leave on the server doesn't grow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..kit.tiny import DOCKERFILE, Tiny

pytestmark = pytest.mark.begins("tiny")

GROWS = """\
FROM python:3.13-slim AS grows
COPY hello/__init__.py .
RUN cat __init__.py && head -c 40M /dev/urandom >/grows && sha256sum /grows >/sum
"""
"""Of each build, 40 MB stay in Docker's cache."""

LEFT = """
for what in "ps -a" images "network ls" "volume ls"; do
    printf '%s: ' "$what"
    docker $what -q | wc -l
done
docker system df --format '{{.Type}} {{.Size}}' | sed -n 's/^Build Cache /cache: /p'
echo "dumps: $(find "/srv/portside/$1/backups" -type f 2>/dev/null | wc -l)"
echo "releases: $(ls "/srv/portside/$1/releases" | wc -l)"
"""


def left(tiny: Tiny) -> dict[str, str]:
    """How much there is of each kind."""
    return dict(line.split(": ") for line in tiny.inside(LEFT).splitlines())


def megabytes(size: str) -> float:
    number = size.rstrip("kMGB")
    return float(number) * {"kB": 1e-3, "MB": 1, "GB": 1e3}.get(size.removeprefix(number), 1e-6)


@pytest.fixture(scope="module")
def seen() -> dict[int, dict[str, str]]:
    """What was left after each round."""
    return {}


@pytest.mark.parametrize("number", range(1, 11))
def test_deploys_leave_no_more_than_before(
    number: int, seen: dict[int, dict[str, str]], tiny: Tiny, tell: Callable[[str], None]
) -> None:
    """Ten rounds, each of four deploys, a rollback and a failure. A round is a case, since all of them last long."""
    tiny.project.write({"app/Dockerfile": GROWS + DOCKERFILE + "COPY --from=grows /sum /sum\n"})
    with tiny.project.with_settings(DEPLOY_BUILD_CACHE="150m"):
        for _ in range(3):
            tiny.change()
            tiny.deploy()
            check_cache(left(tiny))
        tiny.project.deploy("--ref", "HEAD~1")
        tiny.project.fab("rollback", on=tiny.project.server, project=tiny.project, check=True)
        with tiny.project.changed({"app/hello/wsgi.py": "raise SystemExit(1)\n"}):
            assert tiny.project.deploy(check=False).code == 1
    seen[number] = now = left(tiny)
    tell(f"after {number} rounds: {now}")
    check_cache(now)
    assert 4 not in seen or now == seen[4], "after four rounds all that is kept is there"


def check_cache(now: dict[str, str]) -> None:
    """It stays below its bound, and what a build and a failed one add before the next prune."""
    assert megabytes(now.pop("cache")) < 150 + 120

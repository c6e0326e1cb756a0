"""A year of deploys on a 20 GB disk: the real prune.sh, on files as large as what was measured of a deploy.

python -m tests.remote.test_disk_year 1095      three deploys a day; prints the disk's use a month
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import sample
from tests.remote import test_scripts

MB = 2**20
DISK = 20_000
# Measured on a practice server, in MB, of an image of 418 MB: 159 of the base image, 47 and 200 of what it installs.
SYSTEM, LOGS = 3_500, 6 * 100  # of a container's log, 100 MB stay
BASES, DATABASE = 159 + 226, 47
CODE, CODE_CACHED = 2, 6  # a deploy of 2 MB that changed: its layer, and what Docker's cache has of the build
DEPENDENCIES = 247  # a deploy that installs anew: a layer, and as much in the cache
DUMP, HISTORY = 25, 174e-6
CACHE = "2g"  # 10 % of the disk
KEEP = 5

DOCKER = """\
#!/bin/sh
# Images, layers and the build cache are files below $STORE; images/ID has the names of its layers.
cd "$STORE" || exit 1
case "$1 $2" in
"images "*) ls images ;;
"image rm")
    rm -f "images/${3##*:}"
    for layer in layers/*; do grep -qxF "${layer#layers/}" images/* || rm -f "$layer"; done ;;
"builder prune")
    case $* in *--help) exit ;; esac
    bound=$((${4%g} * 1024 * 1024 * 1024))
    for oldest in cache/*; do
        [ "$(find cache -type f -printf '%s\\n' | awk '{sum += $1} END {printf "%.0f", sum}')" -gt "$bound" ] || exit 0
        rm "$oldest"
    done ;;
esac
"""


class Server:
    """A server's disk. ``every``: how many deploys have the same dependencies."""

    def __init__(self, folder: Path, every: int, keep: int = KEEP) -> None:
        self.folder, self.every, self.keep, self.deploys, self.live = folder, every, keep, 0, ""
        self.root, self.store = folder / "site", folder / "store"
        for name in ("images", "layers", "cache"):
            (self.store / name).mkdir(parents=True)
        for script in test_scripts.REMOTE.glob("*.sh"):
            text = script.read_text(encoding="utf-8").replace("find /var/tmp /run ", f"find {folder}/room ")
            sample.files(folder / "remote", {script.name: text})
        sample.files(folder, {"bin/docker": DOCKER, "room/x": "", "files/x": ""})
        (folder / "bin/docker").chmod(0o755)

    def deploy(self) -> tuple[float, float]:
        """Another release. MB in use before and after it was pruned."""
        number, identity = self.deploys, f"20260101-{self.deploys:06}-0000000"
        self.deploys += 1
        installed, new = number // self.every, number % self.every == 0
        layers = {f"dependencies-{installed}": DEPENDENCIES, f"code-{number}": CODE}
        for name, size in layers.items():
            _sized(self.store / "layers" / name, size)
        sample.files(self.store / "images", {identity: "\n".join(layers)})
        _sized(self.store / f"cache/{number:06}", CODE_CACHED + DEPENDENCIES * new)
        _sized(self.root / f"backups/before-{identity}.dump", DUMP, number)
        release = self.root / "releases" / identity
        sample.files(release, {"release.json": f'{{\n  "previous": "{self.live}"\n}}\n'})
        os.utime(release / "release.json", (number, number))
        (self.root / "current").unlink(missing_ok=True)
        (self.root / "current").symlink_to(f"releases/{identity}")
        self.live = identity
        before = self.used()
        given = {"root": self.root, "site": "art", "keep": self.keep, "cache": CACHE}
        test_scripts.run(self.root, "prune", **given, env={"STORE": str(self.store)})
        return before, self.used()

    def used(self) -> float:
        files = (path for top in (self.root, self.store) for path in top.rglob("*") if not path.is_symlink())
        sizes = sum(path.stat().st_size for path in files if path.is_file())
        return SYSTEM + LOGS + BASES + DATABASE + self.deploys * HISTORY + sizes / MB


def _sized(path: Path, size: int, when: int | None = None) -> None:
    """A file that looks this large, in MB, and takes nothing of this machine's disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.truncate(size * MB)
    if when is not None:
        os.utime(path, (when, when))


def deploys(server: Server, number: int) -> Iterator[tuple[float, float]]:
    for _ in range(number):
        yield server.deploy()


@pytest.mark.parametrize("every", [10, 1])
def test_what_a_site_takes_does_not_grow(every: int, tmp_path: Path) -> None:
    """Ten days of it, once the cache is full; where each deploy installs anew, too."""
    server = Server(tmp_path, every)
    full = 0 if every == 1 else 90  # builds before, of which the cache has what it may
    for number in range(full):
        _sized(server.store / f"cache/{number:06}", CODE_CACHED + DEPENDENCIES * (number % every == 0))
    server.deploys = full
    seen = list(deploys(server, 30))
    settled = seen[12:]
    assert max(before for before, _ in settled) < DISK - 1024, "a deploy has its room"
    first, second = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    spread = CODE_CACHED + DEPENDENCIES
    assert abs(max(after for _, after in first) - max(after for _, after in second)) <= spread
    assert len(list((server.store / "images").iterdir())) == KEEP
    assert len(list((server.root / "backups").iterdir())) == KEEP


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1095
    for often in (10, 1):
        with tempfile.TemporaryDirectory() as place:
            told = list(deploys(Server(Path(place), often), wanted))
        print(f"new dependencies at each {often}. deploy: at most {max(max(pair) for pair in told):.0f} of {DISK} MB")
        print("  after each month: " + ", ".join(f"{after:.0f}" for _, after in told[89::90]))

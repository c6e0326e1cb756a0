"""What is large: a project and an image of 500 MB travel, and the laptop's memory doesn't grow with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ..kit import small
from ..kit.inside import inside, live, shell
from ..kit.project import Project
from ..kit.waiting import until

LARGE = 500_000_000
MORE = 64_000
"""Kilobytes by which the memory of a large deploy may exceed that of a small one."""


@pytest.fixture(scope="module")
def site(projects: Callable[[str], Project]) -> Project:
    made = projects("large")
    made.write(small.files("app"))
    made.git("config", "core.compression", "0")
    made.git("config", "core.bigFileThreshold", "1m")
    made.commit("Begin")
    made.set(DEPLOY_DOMAINS="large.test", DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", SECRET_KEY="of-the-large")
    return made


def test_only_what_has_changed_is_sent_for_a_build(site: Project) -> None:
    """The release is made of all of it: what is new, what is the same still, and nothing that is gone."""
    large = {f"app/data/{number}.txt": f"{number} " * 100_000 for number in range(20)}
    with site.changed(large | {"app/run.sh": "#!/bin/sh\n", "app/was-a-link/x": "x"}):
        site.deploy()
        (site.root / "app/run.sh").chmod(0o755)
        (site.root / "app/data/7.txt").unlink()
        (site.root / "app/link").symlink_to("data/3.txt")
        site.edit("app/hello/urls.py", "def hello", "# Changed.\ndef hello")
        site.git("add", "--all")
        site.commit("Change little")
        done = site.deploy()
        assert re.search(r"✓ build .*, 2 of \d+ files sent", done.out), done.out
        look = "ls data | wc -l; diff link data/3.txt && ls -l run.sh; cat hello/urls.py"
        found = inside(site.server, site.name, "sh", "-c", look)
        assert "# Changed." in found
        assert found.splitlines()[0] == "19"
        assert "-rwxr-xr-x" in found


def peak(project: Project, env: dict[str, str], **settings: str) -> int:
    """The most memory that `fab` had at any moment of a deploy, in kilobytes."""
    project.set(**settings)
    run = project.fab.start("deploy", on=project.server, project=project, env=env)
    most = [0]

    def ended() -> bool:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{run.process.pid}/status").read_text(), re.MULTILINE)
        most[0] = max(most[0], int(found[1]) if found else 0)
        return run.process.poll() is not None

    until(ended, "the deploy", 400)
    run.end(check=True)
    project.fab.tell(f"at most {most[0] / 1000:.0f} MB of memory")
    return most[0]


def test_memory_does_not_grow_with_what_is_shipped(site: Project, laptop: dict[str, str]) -> None:
    little = peak(site, laptop, DEPLOY_BUILD="local")
    with Path("/dev/urandom").open("rb") as source, (site.root / "app/large.bin").open("wb") as sink:
        for _ in range(LARGE // 10**6):
            sink.write(source.read(10**6))
    site.git("add", "--all")
    shipped = peak(site, laptop, DEPLOY_BUILD="local")
    assert int(shell(site.server, "du -sb /srv/portside/large/layers | cut -f1")) > LARGE
    sent = peak(site, {}, DEPLOY_BUILD="server")
    size = ("docker", "image", "inspect", "--format", "{{.Size}}", f"portside/large:{live(site.server, site.name)}")
    assert int(site.server.exec(size)) > LARGE
    assert shipped < little + MORE
    assert sent < little + MORE

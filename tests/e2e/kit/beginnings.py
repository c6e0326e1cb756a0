"""What a file's server begins as: bare, provisioned, or with a site live; kept as snapshots between runs."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy import practice
from deploy.practice import Practice, snapshots
from deploy.practice.engine import connect
from deploy.practice.images import IMAGES, PUBLISHED, fingerprint

from . import small, tiny
from .laptop import CHECKOUT, Fab
from .names import DOMAIN, PREFIX
from .project import FEW_WORKERS, Project, new_repository, with_sample_app

Say = Callable[[str], None]
KEPT = "/root/project"
"""Where a server has the project whose site it begins with."""
NEWEST = 3
"""Snapshots of one beginning that are kept."""
BASES = ("python:3.13-slim", "postgres:17")
"""What nearly every site's image and data are made from: as on a server that isn't at its first deploy."""


@dataclass(frozen=True)
class Beginning:
    """A state of a server. ``sources``: files and folders that it is made of; ``make``: brings a server there."""

    name: str
    upon: str
    sources: tuple[str, ...]
    make: Callable[[Project], None]

    def tag(self, debian: str) -> str:
        """Changes whenever what it is made of does."""
        digest = hashlib.sha256(f"{debian} {DOMAIN if self.upon else ''}".encode())
        for image in (f"server:{debian}", *PUBLISHED):
            digest.update(fingerprint(IMAGES[image]).encode())
        for path in sorted(_files(*self.sources)):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(CHECKOUT)} {len(content)} ".encode() + content)
        return f"{self.name}-{debian}-{digest.hexdigest()[:12]}"


def _files(*sources: str) -> Iterator[Path]:
    """The files that these are or hold, without what isn't part of them: what Python makes, and the practice."""
    for source in sources:
        path = CHECKOUT / source
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (each for each in found if each.is_file() and not {"__pycache__", "practice"} & set(each.parts))


def _provision(project: Project) -> None:
    project.set(DEPLOY_DOMAINS="provisioned.test", SECRET_KEY="k" * 50, POSTGRES_PASSWORD="p" * 24)
    project.fab("provision", on=project.server, project=project, check=True)
    for image in BASES:
        project.server.exec(("docker", "pull", "--quiet", image))
    for each in (with_sample_app(project), _small(project)):
        _fill_cache(each)


def _small(beside: Project) -> Project:
    project = new_repository(beside.root.parent / "small", beside.fab, beside.server)
    project.write(small.files("app"))
    project.commit("Begin")
    project.set(DEPLOY_DOMAINS="provisioned.test", SECRET_KEY="k" * 50)
    return project


def _fill_cache(project: Project) -> None:
    """Leaves nothing of a site but what building it has left in Docker's cache, for other sites' builds."""
    project.set(DEPLOY_APP="app", DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", DEPLOY_BEFORE="false")
    assert project.deploy(check=False).stages[-1] == "database", "it ends in prepare, once its image is built"
    project.fab("remove", "--yes", on=project.server, project=project, check=True)


def _portfolio(project: Project) -> None:
    with_sample_app(project)
    project.fab("init", "--domains", DOMAIN, "--env", str(project.env), check=True)
    project.set(DEPLOY_WORKERS=FEW_WORKERS)
    project.deploy()


def _tiny(project: Project) -> None:
    tiny.make(project)


KIT = "tests/e2e/kit"
PROVISIONING = (
    "deploy", "nginx_templates", "compose", "fabfile.py", "requirements.txt", "app", f"{KIT}/beginnings.py",
    f"{KIT}/small.py",
)  # fmt: skip
BEGINNINGS = {
    each.name: each
    for each in (
        Beginning("provisioned", "", PROVISIONING, _provision),
        Beginning("portfolio", "provisioned", PROVISIONING, _portfolio),
        Beginning("tiny", "provisioned", (*PROVISIONING, f"{KIT}/tiny.py"), _tiny),
    )
}


def begin(name: str, beginning: str, debian: str, fab: Fab, say: Say) -> Practice:
    """Brings up a server that begins so; makes the snapshot first, unless it is there."""
    tag = _snapshot(BEGINNINGS[beginning], debian, fab, say) if beginning != "bare" else None
    return practice.up(name, debian, snapshot=tag, say=say)


def _snapshot(beginning: Beginning, debian: str, fab: Fab, say: Say) -> str:
    """Its tag; made by one process at a time."""
    engine, tag = connect(), beginning.tag(debian)
    if snapshots.exists(engine, tag):
        return tag
    with _exclusive(tag):
        if not snapshots.exists(engine, tag):
            _make(beginning, debian, tag, fab, say)
    return tag


@contextmanager
def _exclusive(tag: str) -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / f"portside-{tag}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(beginning: Beginning, debian: str, tag: str, fab: Fab, say: Say) -> None:
    say(f"once for all lists: a server that is {beginning.name}")
    name = f"{PREFIX}-{beginning.name}"
    practice.up(name, debian, say=say).remove()  # whatever a run that was ended may have left
    server = begin(name, beginning.upon or "bare", debian, fab, say)
    try:
        with tempfile.TemporaryDirectory() as folder:
            project = new_repository(Path(folder, beginning.name), fab, server)
            beginning.make(project)
            _keep(project)
        server.snapshot(tag)
    finally:
        server.remove()
    _forget(beginning.name)


def _forget(name: str) -> None:
    """Removes snapshots of old states of the files; the newest stay, since other checkouts may be at other states."""
    engine = connect()
    for tag in [tag for tag in snapshots.tags(engine) if tag.startswith(f"{name}-")][NEWEST:]:
        snapshots.remove(engine, tag)


def _keep(project: Project) -> None:
    packed = subprocess.run(("tar", "-c", "-C", str(project.root), "."), stdout=subprocess.PIPE, check=True)
    project.server.exec(("mkdir", "-p", KEPT))
    connect().containers.get(project.server.container).put_archive(KEPT, packed.stdout)


def kept(server: Practice, folder: Path, fab: Fab) -> Project:
    """The project whose site the server began with, put into this folder."""
    stream, _ = connect().containers.get(server.container).get_archive(KEPT)
    folder.mkdir(parents=True)
    unpack = ("tar", "-x", "-C", str(folder), "--strip-components=1")
    subprocess.run(unpack, input=b"".join(stream), check=True)
    return Project(folder, fab, server)

"""The practice servers, the laptop's `fab`, the project, the browser. What is made here is taken away at the end.

Each file has servers of its own, so that files can run side by side; the tests in one run in order. The marker
``begins`` says what its server begins as (kit/beginnings.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from docker import DockerClient
from playwright.sync_api import Browser, sync_playwright

from deploy import practice
from deploy.practice import Practice
from deploy.practice.engine import connect, containers
from deploy.practice.images import IMAGES

from .kit import beginnings, nginx_container, schedule
from .kit.https import Root
from .kit.laptop import Fab
from .kit.names import PREFIX, server_name
from .kit.nginx_container import Edge
from .kit.project import Project, new_repository, with_sample_app
from .kit.tiny import Tiny
from .kit.visitors import status
from .kit.waiting import until

BROWSER = 180_000
"""Milliseconds a browser may take to start on a busy machine."""
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


# The run


@pytest.hookimpl(trylast=True)  # once those that aren't asked for are left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The Docker SDK leaves its sockets to the garbage collector, which is no fault of a test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
    schedule.longest_first(items, schedule.known(config))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Durations(config))


class Durations:
    """Measures each test, with what is set up for it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._measured = config, Counter[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._measured[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        if not hasattr(self._config, "workerinput"):  # those are told on to the process that gives out the tests
            schedule.record(self._config, self._measured)


@pytest.fixture(scope="session")
def alone() -> Iterator[None]:
    """One run of a prefix at a time on this machine: the servers' names are the engine's."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    with (Path(tempfile.gettempdir()) / f"portside-{PREFIX}.lock").open("a+") as lock:
        if not _shared(lock, run):
            pytest.exit("Another run of these tests is under way on this machine.", returncode=2)
        yield


def _shared(lock: IO[str], run: str) -> bool:
    """Holds the lock together with the other processes of this run; whether it is this run's."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(run)
        lock.flush()
    fcntl.flock(lock, fcntl.LOCK_SH)
    lock.seek(0)
    return lock.read() == run


@pytest.fixture(scope="module")
def file(request: pytest.FixtureRequest) -> str:
    """The file's name, which its servers' names are made of."""
    return request.path.stem.removeprefix("test_")


@pytest.fixture(scope="module")
def tell(request: pytest.FixtureRequest, file: str) -> Callable[[str], None]:
    """Says on the terminal what goes on, so that a long wait isn't silent."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    started = time.monotonic()

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            os.write(2, f"  {file} {time.monotonic() - started:4.0f} s  {line}\n".encode())

    return say


# The laptop and the servers


@pytest.fixture(scope="module")
def fab(request: pytest.FixtureRequest, file: str, tell: Callable[[str], None]) -> Fab:
    """The laptop. What each `fab` prints is kept until the next run, in pytest's cache (.pytest_cache/d)."""
    logs = request.config.cache.mkdir(f"{PREFIX}-{file}")
    for old in logs.iterdir():
        old.unlink()
    return Fab(logs, tell)


@pytest.fixture(scope="session")
def clean_machine() -> bool:
    """Whether no practice server was on this machine before the tests."""
    return not any(name.startswith("portside-server-") for name in containers(connect()))


@pytest.fixture(scope="module")
def bring_up(
    file: str, fab: Fab, tell: Callable[[str], None], alone: None, clean_machine: bool
) -> Iterator[Callable[..., Practice]]:
    """Makes a practice server for a purpose, ``begins`` as said; all of them are taken away at the end."""
    made: dict[str, Practice] = {}

    def up(purpose: str = "", debian: str = "trixie", begins: str = "bare") -> Practice:
        known = server_name(file, purpose)
        _remove(known)
        made[known] = beginnings.begin(known, begins, debian, fab, tell)
        return made[known]

    yield up
    for known in made:
        _remove(known)


def _remove(name: str) -> None:
    if f"portside-server-{name}" in containers(connect()):
        practice.down_only(name, say=lambda line: None)


@pytest.fixture(scope="module")
def edges(file: str, alone: None, tell: Callable[[str], None]) -> Iterator[Callable[..., Edge]]:
    """Brings up containers with the real Nginx and no more; those of a module are taken away after its tests."""
    with nginx_container.edges(f"{PREFIX}-{file}", tell) as bring_up:
        yield bring_up


@pytest.fixture(scope="module")
def begins(request: pytest.FixtureRequest) -> str:
    """What the file's server begins as."""
    marker = request.node.get_closest_marker("begins")
    return str(marker.args[0]) if marker else "provisioned"


@pytest.fixture(scope="module")
def server(bring_up: Callable[..., Practice], begins: str) -> Practice:
    """The server that the tests of a file share."""
    return bring_up(begins=begins)


@pytest.fixture(scope="module")
def scratch(bring_up: Callable[..., Practice]) -> Practice:
    """A bare server, for what would hurt the first."""
    return bring_up("bare")


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory, fab: Fab, server: Practice) -> Callable[[str], Project]:
    """Makes an empty project in git, in a folder of this name."""
    folder = tmp_path_factory.mktemp("projects")
    return lambda name: new_repository(folder / name, fab, server)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, fab: Fab, server: Practice, begins: str) -> Project:
    """The project whose site is live from the beginning."""
    assert begins in {"portfolio", "tiny"}, 'the file lacks its marker: pytestmark = pytest.mark.begins("portfolio")'
    return beginnings.kept(server, tmp_path_factory.mktemp("projects") / begins, fab)


@pytest.fixture(scope="module")
def project(projects: Callable[[str], Project]) -> Project:
    """The sample site in a project of its own; as yet without a .env."""
    return with_sample_app(projects("portfolio"))


@pytest.fixture(scope="module")
def site(kept: Project) -> Project:
    """The sample site, live; for files that are marked begins("portfolio")."""
    until(lambda: status(kept.server, kept.domain) == 200, "the sample site")
    return kept


@pytest.fixture(scope="module")
def tiny(kept: Project) -> Iterator[Tiny]:
    """The tiny site, live, with a release before it; for files that are marked begins("tiny")."""
    made = Tiny(kept, version=2)
    until(lambda: made.answers() == made.version, "the tiny site")
    yield made
    made.end()


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """This machine's own engine, with the image that Portside's Dockerfile builds upon."""
    client = connect(timeout=300)
    official = IMAGES["python:3.13-slim"]
    lacking = not client.images.list(name=official.name)
    if lacking:
        client.images.get(official.tag).tag(official.name)
    yield client
    if lacking:
        client.images.remove(official.name)


@pytest.fixture(scope="module")
def laptop(server: Practice, engine: DockerClient) -> dict[str, str]:
    """A shell's environment in which the docker command can use BuildKit: of several, not each one may."""
    for folder in os.get_exec_path():
        words = (str(Path(folder, "docker")), "build", "--help")
        with contextlib.suppress(OSError):
            done = subprocess.run(words, env={**os.environ, "DOCKER_BUILDKIT": "1"}, capture_output=True, check=False)
            if done.returncode == 0:
                return {"PATH": f"{folder}:{os.environ['PATH']}"}
    pytest.skip("no docker command with BuildKit on this machine: install docker-buildx")


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Where a real browser is on this machine."""
    script = Path(__file__).parent / "kit" / "browser.sh"
    found = subprocess.run(("sh", str(script)), capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.split()[-1]


@pytest.fixture(scope="module")
def root(server: Practice, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Whom a visitor by HTTPS trusts: the practice authority."""
    found = Root(tmp_path_factory.mktemp("root") / "root.pem")
    found.trust(server.acme.root())
    return found


@pytest.fixture(scope="module")
def browser(server: Practice, site: Project, browser_path: str) -> Iterator[Browser]:
    """A real browser, to which every name under test is the server."""
    rules = f"MAP {site.domain}:80 127.0.0.1:{server.http_port}"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser_path, args=[*FLAGS, f"--host-resolver-rules={rules}"], timeout=BROWSER
        )
        yield chromium
        chromium.close()

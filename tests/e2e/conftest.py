"""The practice servers, the laptop's `fab`, the project, the browser. What is made here is taken away at the end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker import DockerClient
from playwright.sync_api import Browser, sync_playwright

from deploy import practice
from deploy.practice import Practice
from deploy.practice.engine import connect, containers
from deploy.practice.images import IMAGES

from . import nginx_container
from .https import Root
from .kit import Fab, Project, new_repository, with_sample_app
from .nginx_container import Edge

PREFIX = os.environ.get("PORTSIDE_E2E", "e2e")
"""What the servers' names begin with: with another one, another run goes on beside this one."""
BROWSER = 120_000
"""Milliseconds a browser may take to start on a busy machine."""
DOMAIN = f"portfolio-{PREFIX}.test"
"""Names are one for all servers of this machine, so no two runs have the same."""
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The Docker SDK leaves its sockets to the garbage collector, which is no fault of a test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says on the terminal what goes on, so that a long wait isn't silent."""
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    started = time.monotonic()

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(f"  {time.monotonic() - started:4.0f} s  {line}")

    return say


@pytest.fixture(scope="session")
def fab(request: pytest.FixtureRequest, tell: Callable[[str], None]) -> Fab:
    """The laptop. What each `fab` prints is kept until the next run."""
    logs = request.config.cache.mkdir(PREFIX)
    for old in logs.iterdir():
        old.unlink()
    tell(f"what every fab prints is kept in {logs}")
    return Fab(logs, tell)


@pytest.fixture(scope="session")
def alone() -> Iterator[None]:
    """One run of a prefix at a time on this machine: the servers' names are the engine's."""
    with (Path(tempfile.gettempdir()) / f"portside-{PREFIX}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit("Another run of these tests is under way on this machine.", returncode=2)
        yield


@pytest.fixture(scope="session")
def clean_machine() -> bool:
    """Whether no practice server was on this machine before the tests."""
    return not any(name.startswith("portside-server-") for name in containers(connect()))


@pytest.fixture(scope="session")
def bring_up(tell: Callable[[str], None], alone: None, clean_machine: bool) -> Iterator[Callable[..., Practice]]:
    """Makes a bare practice server for a purpose; all of them are taken away at the end."""
    made: dict[str, Practice] = {}

    def up(purpose: str = "", debian: str = "trixie") -> Practice:
        name = f"{PREFIX}-{purpose}" if purpose else PREFIX
        if _is_there(name):
            practice.up(name, debian, say=tell).remove()
        made[name] = practice.up(name, debian, say=tell)
        return made[name]

    yield up
    for name, server in made.items():
        if _is_there(name):
            server.remove()


def _is_there(name: str) -> bool:
    return f"portside-server-{name}" in containers(connect())


@pytest.fixture(scope="module")
def edges(request: pytest.FixtureRequest, alone: None, tell: Callable[[str], None]) -> Iterator[Callable[..., Edge]]:
    """Brings up containers with the real Nginx and no more; those of a module are taken away after its tests."""
    with nginx_container.edges(f"{PREFIX}-{request.path.stem}", tell) as bring_up:
        yield bring_up


@pytest.fixture(scope="session")
def server(bring_up: Callable[..., Practice]) -> Practice:
    """The server that the tests share: bare at first, then ever more on it."""
    return bring_up()


@pytest.fixture(scope="session")
def scratch(bring_up: Callable[..., Practice]) -> Practice:
    """Another server, for what would hurt the first."""
    return bring_up("used")


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory, fab: Fab, server: Practice) -> Callable[[str], Project]:
    """Makes an empty project in git, in a folder of this name."""
    folder = tmp_path_factory.mktemp("projects")
    return lambda name: new_repository(folder / name, fab, server)


@pytest.fixture(scope="session")
def project(projects: Callable[[str], Project]) -> Project:
    """The project that the tests share: the sample site; as yet without a .env."""
    return with_sample_app(projects("portfolio"))


@pytest.fixture(scope="session")
def site(project: Project) -> Project:
    """The same, live: by the tests before, or, where one file runs alone, by a deploy of its own."""
    if not project.env.exists():
        project.fab("init", "--domains", DOMAIN, "--env", str(project.env), check=True)
        project.deploy()
    return project


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


@pytest.fixture(scope="session")
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
    script = Path(__file__).with_name("browser.sh")
    found = subprocess.run(("sh", str(script)), capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.split()[-1]


@pytest.fixture(scope="module")
def root(server: Practice, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Whom a visitor by HTTPS trusts: the practice authority."""
    found = Root(tmp_path_factory.mktemp("root") / "root.pem")
    found.trust(server.acme.root())
    return found


@pytest.fixture(scope="session")
def browser(server: Practice, site: Project, browser_path: str) -> Iterator[Browser]:
    """A real browser, to which every name under test is the server."""
    rules = f"MAP {site.domain}:80 127.0.0.1:{server.http_port}"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser_path, args=[*FLAGS, f"--host-resolver-rules={rules}"], timeout=BROWSER
        )
        yield chromium
        chromium.close()

"""What all tests share. ``pytest --update-golden`` rewrites tests/golden; a reviewer then reads the diff."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.build.source import Source, find
from deploy.config.settings import Settings
from deploy.flows import switch
from deploy.flows.stages import switch as stage
from deploy.releases import record
from tests import goldens, sample


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden with what is rendered now")


# What a shell starts in the background is deaf to Ctrl-C, and so is what that starts: tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs the tests: no settings in the shell, no colours, no git settings, no clock."""
    strange = ("DEPLOY_", "POSTGRES_", "PG", "GIT_", "DJANGO_", "PORTSIDE_")
    for name in list(os.environ):
        if name.startswith(strange) or name in sample.LINES or name in {"FORCE_COLOR", "DATABASE_URL", "ALLOWED_HOSTS"}:
            monkeypatch.delenv(name)
    for name, value in {**sample.GIT, "XDG_STATE_HOME": os.devnull}.items():  # the latter: no log is kept
        monkeypatch.setenv(name, value)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with tests/golden/NAME."""

    def compare(name: str, text: str) -> None:
        path = goldens.FOLDER / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert text == (path.read_text(encoding="utf-8") if path.exists() else "")

    return compare


@pytest.fixture
def texts(tmp_path: Path) -> goldens.Texts:
    """The texts that stand in tests/golden once, as they are rendered now."""
    (tmp_path / "texts").mkdir()
    return goldens.texts(tmp_path / "texts")


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that tell nothing of who, when and with which version."""
    monkeypatch.setattr(record, "who", lambda: "ann@laptop")
    monkeypatch.setattr(record, "VERSION", "1.0")
    monkeypatch.setattr(record, "fingerprint", lambda settings: "(of the settings)")
    for module in (stage, switch):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 12.3))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The sample site's settings, read from a .env in the test's folder."""
    return sample.settings(tmp_path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The sample site's project, committed, beside its .env."""
    return sample.repository(tmp_path / "app", sample.PROJECT)


@pytest.fixture
def source(settings: Settings, project: Path) -> Iterator[Source]:
    with ExitStack() as keep:
        yield find(settings, "", keep)

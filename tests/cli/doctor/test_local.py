"""What is found on the laptop, in a home and a repository of the test's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.build import engine
from deploy.cli.doctor import local
from deploy.cli.doctor.findings import Finding
from deploy.config.settings import Settings
from tests import sample


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


@pytest.fixture
def kept(settings: Settings) -> Settings:
    """Settings as they should be kept."""
    settings.dotenv.path.chmod(0o600)
    sample.repository(settings.folder, {".gitignore": ".env\n"})
    return settings


def wrong(settings: Settings, *, given_key: bool = True) -> list[Finding]:
    return [each for each in local.findings(settings, given_key=given_key) if each.level != "ok"]


def test_a_laptop_as_it_should_be(kept: Settings) -> None:
    assert wrong(kept) == []


def test_a_key_is_in_the_home_or_given_or_missing(kept: Settings, home: Path) -> None:
    (missing,) = wrong(kept, given_key=False)
    assert (missing.level, missing.fix[:10]) == ("warning", "ssh-keygen")
    sample.files(home, {".ssh/id_ed25519": ""})
    assert wrong(kept, given_key=False) == []


def test_secrets_that_others_can_read(kept: Settings) -> None:
    kept.dotenv.path.chmod(0o644)
    (found,) = wrong(kept)
    assert (found.level, found.fix) == ("fault", f"chmod 600 {kept.dotenv.path}")


def test_secrets_in_git(kept: Settings) -> None:
    sample.git(kept.folder, "add", "--force", ".env")
    (found,) = wrong(kept)
    assert found.level == "fault"
    assert "git rm --cached" in found.fix


def test_secrets_that_git_would_take(kept: Settings) -> None:
    (kept.folder / ".gitignore").write_text("")
    (found,) = wrong(kept)
    assert (found.level, found.fix) == ("warning", "echo .env >> .gitignore")


def test_a_key_of_ones_own_is_a_secret_too(tmp_path: Path) -> None:
    sample.with_own_certificate(tmp_path, *sample.GALLERY)
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    for name, mode in ((".env", 0o600), ("tls.key", 0o644), ("dns.ini", 0o604)):
        (tmp_path / name).chmod(mode)
    assert [each.fix for each in wrong(settings)] == [f"chmod 600 {tmp_path / name}" for name in ("tls.key", "dns.ini")]


def test_a_shell_that_wins_over_the_file(kept: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "another-of-the-same")
    (found,) = wrong(Settings.load(kept.dotenv.path))
    assert (found.level, found.fix) == ("warning", "unset SECRET_KEY")


def test_an_engine_that_is_not_there_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    found = local.engine()
    assert (found.level, found.check) == ("fault", "docker")
    assert found.text == "DEPLOY_BUILD=local needs a Docker Engine, and none answers on this machine."
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONTEXT", "none-such")
    text = local.engine().text
    assert text == "DEPLOY_BUILD=local needs a Docker Engine, and none answers in Docker's context “none-such”."


def test_an_engine_that_is_there_says_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    client = SimpleNamespace(version=lambda: {"Version": "28.1"}, close=lambda: closed.append(True))
    monkeypatch.setattr(engine, "find", lambda timeout: engine.Engine(client, {}))  # type: ignore[arg-type]
    found = local.engine()
    assert (found.level, found.check, found.text) == ("ok", "docker", "Docker 28.1 answers on this machine")
    assert closed == [True]

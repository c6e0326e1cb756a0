"""The tasks, through the real fab: what it refuses and how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fabfile
from deploy import tasks
from tests import sample

CHECKOUT = Path(__file__).parent.parent
NAMES = ["init", "provision", "deploy", "manage", "practice"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o500)
    return folder


def fab(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        (Path(sys.executable).with_name("fab"), *words),
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_every_task_is_listed_with_a_sentence(home: Path) -> None:
    listed = dict(re.findall(r"^  (\w+) +(\S.*)$", fab(home, "--list").stdout, re.MULTILINE))
    defined = {name for name, value in vars(fabfile).items() if isinstance(value, type(fabfile.deploy))}
    assert set(listed) == defined >= set(NAMES)
    assert [sentence[0].isupper() for sentence in listed.values()] == [True] * len(listed)


@pytest.mark.parametrize("words", [("deploy",), ("provision",), ("manage", "check")])
def test_without_a_host_a_task_refuses_and_says_what_to_type(words: tuple[str, ...], home: Path) -> None:
    done = fab(home, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Which server? Type fab {words[0]} -H user@host\n"


def test_settings_at_fault_are_refused_all_at_once(home: Path, tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / "bad.env", {"DEPLOY_SITE": "No", "DEPLOY_PROT": "80", "SECRET_KEY": "hunter2"})
    done = fab(home, "deploy", "-H", "server.invalid", "--env", str(path))
    assert done.returncode == 2
    for name in ("DEPLOY_SITE", "DEPLOY_PROT", "DEPLOY_DOMAINS", "POSTGRES_PASSWORD"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_an_environment_file_that_is_not_there_is_refused(home: Path, tmp_path: Path) -> None:
    done = fab(home, "deploy", "-H", "server.invalid", "--env", str(tmp_path / "none.env"))
    assert done.returncode == 2
    assert "fab init" in done.stderr


def test_init_writes_a_file_that_deploy_can_read(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.env"
    assert fab(home, "init", "--domains", "a.example", "--env", str(path)).returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    again = fab(home, "init", "--env", str(path))
    assert (again.returncode, again.stderr.splitlines()[0]) == (2, f"{path} is there already, and is left as it is.")


def test_every_option_of_a_task_is_explained() -> None:
    for name in NAMES:
        task = getattr(fabfile, name)
        options = set(task.body.__wrapped__.__annotations__) - {"c", "return"}
        assert options - set(task.help) <= {"domains", "command"}, name


def test_names_that_are_no_secret_stay_readable() -> None:
    assert {"ALLOWED_HOSTS", "POSTGRES_USER"} <= tasks.PUBLIC
    assert not {"SECRET_KEY", "POSTGRES_PASSWORD", "DATABASE_URL"} & tasks.PUBLIC

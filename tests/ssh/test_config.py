"""ssh_config, read as ssh reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.ssh.config import SSHConfig, words

FILES = {
    "config": """
Include conf.d/*.conf "with space"
Host web
    Port 2222
    Include part
    User late
Host *.inner
    Include nested
Include missing none/*
Match host db
    Include part
Host *
    Port 2022
    User ann
""",
    "conf.d/20-late.conf": "Host web\n    HostName late.example\n",
    "conf.d/10-early.conf": "Host web\n    HostName early.example\nHost old\n    HostName 192.0.2.9\n",
    "conf.d/ignored": "Host web\n    HostName never.example\n",
    "with space": "Host spaced\n    HostName spaced.example\n",
    "part": "User of-the-part\n",
    "nested": "Host a.*\n    User a\nHost *\n    HostName 192.0.2.5\nMatch all\n    Port 5\n",
    "loop": "Include loop\nHost x\n    User x\n",
}
HOSTS = ["web", "old", "spaced", "a.inner", "b.inner", "a.outer", "db", "other"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, text in FILES.items():
        path = tmp_path / ".ssh" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / ".ssh"


def read(path: Path, host: str) -> tuple[str, str, str]:
    found = SSHConfig.from_path(str(path)).lookup(host)
    return found["hostname"], found["port"], found["user"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("web", ("early.example", "2222", "of-the-part")),
        ("old", ("192.0.2.9", "2022", "ann")),
        ("spaced", ("spaced.example", "2022", "ann")),
        ("a.inner", ("192.0.2.5", "5", "a")),
        ("b.inner", ("192.0.2.5", "5", "ann")),
        ("a.outer", ("a.outer", "2022", "ann")),
        ("db", ("db", "2022", "of-the-part")),
    ],
)
def test_an_included_file_counts_where_it_is_included(host: str, expected: tuple[str, str, str], home: Path) -> None:
    assert read(home / "config", host) == expected


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh here")
@pytest.mark.parametrize("host", HOSTS)
def test_ssh_itself_reads_the_same(host: str, home: Path) -> None:
    config = home / "config"
    for path in home.rglob("*"):  # ssh takes ~ from the system, not from HOME
        if path.is_file():
            path.write_text(path.read_text().replace("Include ", f"Include {home}/").replace(f'{home}/"', f'"{home}/'))
    config.write_text(config.read_text().replace('conf "with', f'conf "{home}/with').replace("missing n", "n"))
    said = subprocess.run(("ssh", "-G", "-F", config, host), capture_output=True, text=True, check=True).stdout
    settings = dict(line.split(" ", 1) for line in said.splitlines())
    assert read(config, host) == (settings["hostname"], settings["port"], settings["user"])


def test_files_that_include_each_other_come_to_an_end(home: Path) -> None:
    assert SSHConfig.from_path(str(home / "loop")).lookup("x")["user"] == "x"


def test_a_quoted_path_stays_one_word(home: Path) -> None:
    text = 'UserKnownHostsFile "/a b/known"\nHost two\n    GlobalKnownHostsFile "/a b" "/c d" e\n'
    found = SSHConfig.from_text(text).lookup("two")
    assert words(found["userknownhostsfile"]) == ["/a b/known"]
    assert words(found["globalknownhostsfile"]) == ["/a b", "/c d", "e"]
    assert words("an odd 'quote") == ["an", "odd", "'quote"]

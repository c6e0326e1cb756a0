"""ssh_config, read by ssh itself and, where there is none, by paramiko."""

from __future__ import annotations

import shutil
import subprocess
from getpass import getuser
from pathlib import Path

import pytest

from deploy.ssh import config as ssh_config
from deploy.ssh.config import SSHConfig
from deploy.ssh.config_files import words

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


def without_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_config.shutil, "which", lambda name: None)


def by_ssh_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it fail where ssh refuses."""
    monkeypatch.delattr(SSHConfig, "_by_paramiko")


@pytest.fixture(params=["ssh", "paramiko"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who reads."""
    if request.param == "paramiko":
        without_ssh(monkeypatch)
    elif not shutil.which("ssh"):
        pytest.skip("no ssh here")
    else:
        by_ssh_alone(monkeypatch)
    return str(request.param)


def read(path: Path, host: str) -> tuple[str, str, str]:
    found = SSHConfig.from_path(str(path)).lookup(host)
    return found["hostname"], found["port"], found["user"]


EXPECTED = {
    "web": ("early.example", "2222", "of-the-part"),
    "old": ("192.0.2.9", "2022", "ann"),
    "spaced": ("spaced.example", "2022", "ann"),
    "a.inner": ("192.0.2.5", "5", "a"),
    "b.inner": ("192.0.2.5", "5", "ann"),
    "a.outer": ("a.outer", "2022", "ann"),
    "db": ("db", "2022", "of-the-part"),
}
BLOCKS_IN_BLOCKS = {"a.inner", "b.inner"}
"""What blocks are for that stand in a file which a block includes: paramiko has none of them count."""


@pytest.mark.parametrize("host", EXPECTED)
def test_an_included_file_counts_where_it_is_included(host: str, home: Path, reader: str) -> None:
    expected = (host, "2022", "ann") if reader == "paramiko" and host in BLOCKS_IN_BLOCKS else EXPECTED[host]
    assert read(home / "config", host) == expected


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh here")
@pytest.mark.parametrize("host", HOSTS)
def test_ssh_itself_reads_the_same_files_so(host: str, home: Path) -> None:
    """The files as they are, and not our copies of them."""
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


def test_a_quoted_path_stays_one_word(home: Path, reader: str) -> None:
    text = 'UserKnownHostsFile "/a b/known"\nHost two\n    GlobalKnownHostsFile "/a b" "/c d" e\n'
    found = SSHConfig.from_text(text).lookup("two")
    assert words(found["userknownhostsfile"]) == ["/a b/known"]
    assert words(found["globalknownhostsfile"]) == ["/a b", "/c d", "e"]
    assert words("an odd 'quote") == ["an", "odd", "'quote"]


def test_what_nobody_has_set_is_not_there(reader: str) -> None:
    """ssh -G prints what it does by default, too."""
    assert dict(SSHConfig.from_text("Host other\n    Port 2\n").lookup("web")) == {"hostname": "web"}


def test_without_a_file_nothing_is_set() -> None:
    assert dict(SSHConfig().lookup("web")) == {"hostname": "web"}


def test_what_is_set_to_the_default_is_set(reader: str) -> None:
    text = (
        f"Host web\n    User {getuser()}\n    IdentityFile ~/.ssh/id_rsa\n    UserKnownHostsFile ~/.ssh/known_hosts\n"
    )
    found = SSHConfig.from_text(text).lookup("web")
    assert found["user"] == getuser()
    assert found["identityfile"] == ["~/.ssh/id_rsa"]
    assert found["userknownhostsfile"] == "~/.ssh/known_hosts"


def test_what_is_read_here_is_as_it_stands_there(reader: str) -> None:
    text = """
        IdentityFile "~/a key/%r"
        IdentityFile=/b
        IdentityAgent "$SOME_AGENT"
        ProxyCommand nc -X "a b" %h %p
        ForwardAgent /a/socket
    """
    assert dict(SSHConfig.from_text(text).lookup("web")) == {
        "hostname": "web",
        "identityfile": ["~/a key/%r", "/b"],
        "identityagent": "$SOME_AGENT",
        "proxycommand": 'nc -X "a b" %h %p',
    }


def test_a_block_may_ask_for_the_user_and_the_port_that_were_typed(reader: str) -> None:
    text = "Match user eve\n    HostName eves.example\nHost *\n    User ann\n    Port 2222\n"
    config = SSHConfig.from_text(text)
    for user, port, expected in (
        (None, None, ("web", 2222, "ann")),
        ("eve", None, ("eves.example", 2222, "eve")),
        ("bob", 2022, ("web", 2022, "bob")),
        ("bob", 22, ("web", 22, "bob")),
    ):
        found = config.asked(user, port).lookup("web")
        assert (found["hostname"], int(found.get("port", 22)), found["user"]) == expected
    assert config.lookup("web")["user"] == "ann"


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh here")
def test_ssh_is_asked_once_for_each_host_user_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    by_ssh_alone(monkeypatch)
    asked: list[str] = []
    run = subprocess.run
    monkeypatch.setattr(
        ssh_config.subprocess, "run", lambda words, **more: (asked.append(" ".join(words[4:])), run(words, **more))[1]
    )
    config = SSHConfig.from_text("Host *\n    Port 2\n")
    for one in (config, config.asked(None, None), config.asked("ann", 2222), config.asked("ann", 2222)):
        assert one.lookup("web")["hostname"] == "web"
    assert asked == ["-- web", "-l ann -p 2222 -- web"]


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh here")
def test_what_only_ssh_knows_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_ssh_alone(monkeypatch)
    text = f"""
        Match exec "test -e {tmp_path}/here && test %h = web"
            HostName in-the-office.example
        Match final host *.example
            HostKeyAlias found-last
        Host web
            ConnectTimeout 1m
            ProxyJump bob@[2001:db8::1]:2222,gate
    """
    found = SSHConfig.from_text(text).lookup("web")
    assert (found["hostname"], found["connecttimeout"]) == ("web", "60")
    assert found["proxyjump"] == "bob@[2001:db8::1]:2222,gate"
    (tmp_path / "here").touch()
    found = SSHConfig.from_text(text).lookup("web")
    assert (found["hostname"], found["hostkeyalias"]) == ("in-the-office.example", "found-last")


@pytest.mark.parametrize("line", ["UseKeychain yes", "ProxyJump gate,ssh://inner", "NoSuchSetting 1"])
def test_files_that_ssh_refuses_are_read_nevertheless(line: str) -> None:
    found = SSHConfig.from_text(f"{line}\nHost web\n    Port 2222\n    User ann\n").lookup("web")
    assert (found["port"], found["user"]) == ("2222", "ann")


def test_a_home_of_its_own_counts_and_not_that_of_the_system(home: Path, reader: str) -> None:
    (home / "config").write_text("Include ~/.ssh/mine other\n")
    (home / "mine").write_text("Host web\n    Port 2\n")
    (home / "other").write_text("Host web\n    User ann\n")
    assert read(home / "config", "web") == ("web", "2", "ann")

"""The way to a server: sudo that wants a password, jump hosts, and host keys that nobody has accepted yet."""

from __future__ import annotations

import os
import pty
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest
from fabric import Config, Connection
from paramiko.common import MSG_CHANNEL_DATA

from deploy.core.report import Report
from deploy.practice import Practice, access
from deploy.ssh import connection
from deploy.ssh.server import Server
from deploy.ssh.session import Input, to_stream

from ..kit.inside import shell
from ..kit.laptop import CHECKOUT, FAB, STRIPPED, Done, Fab
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

USER, PASSWORD, DOMAIN = "ann", "correct horse battery", "hello.test"
ADD_USER = """
useradd --create-home --shell /bin/bash "$1"
echo "$1:$2" | chpasswd
install -d -m 0700 -o "$1" -g "$1" "/home/$1/.ssh"
install -m 0600 -o "$1" -g "$1" /home/deploy/.ssh/authorized_keys "/home/$1/.ssh/"
echo "$1 ALL=(ALL) ALL" >"/etc/sudoers.d/$1"
"""


@pytest.fixture(scope="module")
def hello(projects: Callable[[str], Project], server: Practice) -> Project:
    """A page, as yet not live."""
    project = projects("hello")
    project.write({"site/index.html": "<!doctype html><title>Hello</title>"})
    project.commit("Begin")
    project.set(DEPLOY_KIND="static", DEPLOY_APP="site", DEPLOY_DOMAINS=DOMAIN)
    return project


@pytest.fixture(scope="module")
def ann(server: Practice) -> str:
    """What follows -H for a user whose sudo wants a password."""
    shell(server, ADD_USER, USER, PASSWORD)
    return f"{USER}@{server.name}"


# A sudo password


@pytest.mark.core
def test_without_a_terminal_it_is_said_where_to_put_the_password(fab: Fab, hello: Project, ann: str) -> None:
    done = fab("deploy", on=ann, project=hello)
    assert done.code == 1
    assert f"No root on {ann}: sudo requires {USER}'s password, and there is no terminal to ask on." in done.err
    assert "Nothing was changed." in done.err
    assert "FABRIC_SUDO_PASSWORD" in done.err


def test_a_wrong_password_is_told_and_tried_once(fab: Fab, server: Practice, hello: Project, ann: str) -> None:
    done = fab("deploy", on=ann, project=hello, env={"FABRIC_SUDO_PASSWORD": "wrong guess"})
    assert done.code == 1
    assert f"sudo on {ann} rejected this password for {USER}." in done.err
    assert "wrong guess" not in done.text
    assert "1 incorrect password attempt" in shell(server, "journalctl --no-pager -t sudo", check=False)


@pytest.mark.core
def test_a_deploy_with_a_password(fab: Fab, server: Practice, hello: Project, ann: str) -> None:
    done = fab("deploy", "--verbose", on=ann, project=hello, env={"FABRIC_SUDO_PASSWORD": PASSWORD}, check=True)
    assert ask(server, DOMAIN).status == 200
    assert PASSWORD not in done.text
    seen = shell(
        server, 'journalctl --no-pager | grep -cF "$1"; grep -rlF "$1" /srv /run /var/log', PASSWORD, check=False
    )
    assert seen == "0\n"


def on_a_terminal(project: Project, destination: str, *typed: str) -> Done:
    """`fab provision`, with these lines typed whenever it asks."""
    ours, theirs = pty.openpty()
    words = (str(FAB), "provision", "-H", destination, "--env", str(project.env))
    environment = {name: value for name, value in os.environ.items() if not STRIPPED.fullmatch(name)}
    fab = subprocess.Popen(
        words, cwd=CHECKOUT, env=environment, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs,
        start_new_session=True, text=True,
    )  # fmt: skip
    os.close(theirs)
    said, limit = "", time.monotonic() + 200
    lines = list(typed)
    while time.monotonic() < limit and fab.poll() is None:
        if select.select([ours], [], [], 0.2)[0]:
            said += _read(ours)
        if lines and said.count("password for") > len(typed) - len(lines):
            os.write(ours, f"{lines.pop(0)}\n".encode())
    out = fab.communicate(timeout=60)[0]
    said += _read(ours) if select.select([ours], [], [], 0)[0] else ""
    os.close(ours)
    print(out, said)
    return Done(fab.returncode, out, said)


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 65536).decode()
    except OSError:  # nobody has it open any more
        return ""


@pytest.mark.core
def test_on_a_terminal_it_is_asked_for_once(hello: Project, ann: str) -> None:
    done = on_a_terminal(hello, ann, PASSWORD)
    assert done.code == 0
    assert "nothing to do" in done.out
    assert done.err.count(f"sudo's password for {USER} on {ann}: ") == 1
    assert PASSWORD not in done.text


def given(host: str, **overrides: object) -> Server:
    return Server(Connection(host, config=Config(overrides=overrides)), Report())


@pytest.mark.core
def test_who_needs_no_password_pays_no_round_trip(server: Practice) -> None:
    for user in ("root", "deploy"):
        at = given(f"{user}@{server.name}", sudo={"password": PASSWORD})
        assert list(at.stream(("id", "-un"))) == ["root"]
        assert at.round_trips == 1
        at.close()


def test_a_command_with_the_users_own_terminal(server: Practice, ann: str, capfd: pytest.CaptureFixture[str]) -> None:
    at = given(ann, sudo={"password": PASSWORD})
    assert list(at.stream(("id", "-un"))) == ["root"]
    assert at.interactive(("sh", "-c", "id -un; exit 7"), Input(), to_stream(sys.stdout), to_stream(sys.stderr)) == 7
    at.close()
    assert "root" in capfd.readouterr().out


def test_a_user_who_may_not_use_sudo(fab: Fab, server: Practice, hello: Project, ann: str) -> None:
    shell(server, f"rm /etc/sudoers.d/{USER}")
    try:
        done = fab("provision", on=ann, project=hello, env={"FABRIC_SUDO_PASSWORD": PASSWORD})
    finally:
        shell(server, f'echo "{USER} ALL=(ALL) ALL" >/etc/sudoers.d/{USER}')
    assert done.code == 1
    assert f"No root on {ann}: " in done.err
    assert "is not in the sudoers file" in done.err


# Jump hosts and host keys


@pytest.fixture(scope="module")
def second(bring_up: Callable[..., Practice]) -> Practice:
    """Another server, in the same network."""
    return bring_up("second")


class Laptop:
    """A laptop with an ssh_config of its own, that knows no host keys and names its key itself."""

    def __init__(self, folder: Path, server: Practice, second: Practice) -> None:
        self.known, self.config = folder / "known_hosts", folder / "config"
        common = f"User deploy\nUserKnownHostsFile {self.known}\n"
        self.config.write_text(
            f"Host gate\nHostName 127.0.0.1\nPort {server.ssh_port}\n{common}"
            f"Host inner\nHostName {second.ip}\nProxyJump gate\n{common}"
            f"Host innermost\nHostName {server.ip}\nProxyJump gate,inner\n{common}"
            f"Host nobody\nHostName {second.ip}\nPort 9\nProxyJump gate\n{common}"
        )

    def knows(self, *lines: str) -> None:
        self.known.write_text("".join(f"{line}\n" for line in lines), errors="surrogateescape")

    def releases(self, fab: Fab, host: str, project: Project) -> Done:
        words = ("--ssh-config", str(self.config), "-i", str(access.KEY), "releases")
        return fab(*words, on=host, project=project)


def host_key(server: Practice, name: str) -> str:
    """A server's own key, as known_hosts has it under this name."""
    kind, key, *_ = shell(server, "cat /etc/ssh/ssh_host_ed25519_key.pub").split()
    return f"{name} {kind} {key}"


def shown(server: Practice) -> str:
    """The fingerprint that the server's own console shows."""
    return shell(server, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]


@pytest.fixture
def laptop(tmp_path: Path, server: Practice, second: Practice) -> Laptop:
    return Laptop(tmp_path, server, second)


def accept(said: str) -> None:
    """Type the line that accepts the host key."""
    line = said.strip().splitlines()[-1].strip()
    assert line.startswith("echo '"), line
    subprocess.run(("sh", "-c", line), check=True)


@pytest.mark.core
def test_an_unknown_host_key_is_shown_and_accepted_by_the_line_that_is_told(
    fab: Fab, hello: Project, laptop: Laptop, server: Practice, second: Practice
) -> None:
    refused = laptop.releases(fab, "inner", hello)
    assert refused.code == 1
    assert "The host key of 127.0.0.1 (a jump host on the way to inner) isn't known" in refused.err
    assert f"ssh-ed25519 {shown(server)}" in refused.err
    assert not laptop.known.exists(), "nothing is accepted silently"
    accept(refused.err)
    refused = laptop.releases(fab, "inner", hello)
    assert f"The host key of {second.ip} isn't known" in refused.err
    assert f"ssh-ed25519 {shown(second)}" in refused.err
    accept(refused.err)
    done = laptop.releases(fab, "inner", hello)
    assert (done.code, done.out) == (0, "hello has no release on inner.\n")


@pytest.mark.core
def test_a_jump_host_of_a_jump_host(
    fab: Fab, hello: Project, laptop: Laptop, server: Practice, second: Practice
) -> None:
    laptop.knows(
        host_key(server, f"[127.0.0.1]:{server.ssh_port}"), host_key(second, second.ip), host_key(server, server.ip)
    )
    done = laptop.releases(fab, "innermost", hello)
    assert done.code == 0
    assert re.search(r"^\d{8}-\d{6}-[0-9a-f]{7} .* live", done.out, re.MULTILINE)


@pytest.mark.core
def test_a_host_key_that_changed_is_refused(
    fab: Fab, hello: Project, laptop: Laptop, server: Practice, second: Practice
) -> None:
    laptop.knows(host_key(server, f"[127.0.0.1]:{server.ssh_port}"), host_key(server, second.ip))
    done = laptop.releases(fab, "inner", hello)
    assert done.code == 1
    assert f"The host key of {second.ip} has changed" in done.err
    assert f"ssh-keygen -R {second.ip}" in done.err


def test_a_host_key_is_judged_as_ssh_judges_it(
    fab: Fab, hello: Project, laptop: Laptop, server: Practice, second: Practice
) -> None:
    settings = laptop.config.with_name("included")
    settings.write_text(f"Host inner\n    HostKeyAlias the-second\n{laptop.config.read_text()}")
    laptop.config.write_text(f'Include "{settings}"\n')
    gate = host_key(server, f"[127.0.0.1]:{server.ssh_port}")
    lines = (f"@cert-authority {host_key(server, '*')}", "\udcff broken", gate, host_key(server, "the-*"))
    laptop.knows(*lines, host_key(second, "the-second"))
    done = laptop.releases(fab, "inner", hello)
    assert (done.code, done.out) == (0, "hello has no release on inner.\n")
    laptop.knows(*lines)
    done = laptop.releases(fab, "inner", hello)
    assert f"remove line 4 from {laptop.known}" in done.err
    laptop.knows(gate, host_key(second, "the-second"), f"@revoked {host_key(second, '*')}")
    done = laptop.releases(fab, "inner", hello)
    assert f"The host key of {second.ip} is revoked in {laptop.known}, line 3" in done.err


def test_a_server_that_does_not_answer_its_jump_host(
    fab: Fab, hello: Project, laptop: Laptop, server: Practice, second: Practice
) -> None:
    laptop.knows(host_key(server, f"[127.0.0.1]:{server.ssh_port}"))
    done = laptop.releases(fab, "nobody", hello)
    assert done.code == 1
    gate = f"deploy@127.0.0.1:{server.ssh_port}"
    assert f"No SSH server answers at {second.ip}, port 9, tried from the jump host {gate}." in done.err
    assert f"ssh -J {gate} -p 9 deploy@{second.ip}" in done.err


def test_every_hop_is_lively(laptop: Laptop, server: Practice, second: Practice) -> None:
    laptop.knows(host_key(server, f"[127.0.0.1]:{server.ssh_port}"), host_key(second, second.ip))
    key = {"authentication": {"identities": [access.KEY]}, "connect_kwargs": {"key_filename": [str(access.KEY)]}}
    config = Config(ssh_config=paramiko.SSHConfig.from_path(str(laptop.config)), overrides=key)
    at = Server(Connection("inner", config=config), Report())
    at.connect()
    first, last = connection.links(at._connection)
    assert first.transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert first.transport.packetizer._Packetizer__keepalive_interval == 10
    assert last.transport.packetizer._Packetizer__keepalive_interval == 10
    at.close()


def test_what_is_sent_to_a_command_that_has_just_ended_costs_no_connection(server: Practice) -> None:
    at = given(f"root@{server.name}")
    at.connect()
    transport = at._connection.transport
    channel = transport.open_session()
    channel.exec_command("true")
    until(lambda: channel.closed, "the command's end")
    late = paramiko.Message()
    late.add_byte(bytes([MSG_CHANNEL_DATA]))
    late.add_int(channel.remote_chanid)
    late.add_string(b"late")
    transport._send_user_message(late)  # as of a thread that saw the channel open a moment before
    assert list(at.stream(("id", "-un"))) == ["root"]
    at.close()

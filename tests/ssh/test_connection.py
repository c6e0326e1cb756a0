"""The way to a server, as ssh_config has it."""

from __future__ import annotations

import shutil
import socket
from getpass import getuser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest
from fabric import Config, Connection

from deploy.core.errors import Refused
from deploy.ssh import config as ssh_config
from deploy.ssh import connection, known_hosts
from deploy.ssh.config import SSHConfig
from deploy.ssh.errors import UnknownHostKey

CONFIG = """
Host web
    HostName 192.0.2.10
    User ann
    Port 2222
    ProxyJump outer,bob@inner:2022
    IdentityFile /keys/web
Host outer
    HostName 192.0.2.1
    ProxyJump gate
Host gate
    HostName gate.example
    ProxyJump none
Host other
    ProxyJump outer
Host wild *.wild
    ProxyJump wild
Host by-command
    ProxyCommand nc %h %p %r
Host by-exec
    ProxyCommand exec nc %h %p
Host by-none
    ProxyCommand none
Host front
    HostName 192.0.2.20
    Port 2222
    ProxyJump 192.0.2.20
Host itself
    HostName 192.0.2.21
    ProxyJump me@192.0.2.21
Host behind-v6
    ProxyJump bob@[2001:db8::1]:2222,[2001:db8::2]
"""
LOOP = "wild"
"""A host whose jump host it is itself: ssh refuses it."""


@pytest.fixture(params=["ssh", "paramiko"], autouse=True)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads ssh_config; ssh does it alone here but for what it refuses."""
    if request.param == "paramiko":
        monkeypatch.setattr(ssh_config.shutil, "which", lambda name: None)
        return
    if not shutil.which("ssh"):
        pytest.skip("no ssh here")
    by_paramiko = SSHConfig._by_paramiko

    def only_what_ssh_refuses(self: SSHConfig, host: str, *typed: Any) -> dict[str, Any]:
        assert host == LOOP or not self._files or "ssh://" in self._files[0][0], f"ssh didn't read {host}"
        return by_paramiko(self, host, *typed)

    monkeypatch.setattr(SSHConfig, "_by_paramiko", only_what_ssh_refuses)


def given(host: str, text: str = CONFIG, **overrides: object) -> Connection:
    config = Config(ssh_config=SSHConfig.from_text(text), overrides=overrides)
    return Connection(host, config=config)


def way(host: str, **overrides: object) -> list[str]:
    links = connection.links(connection.reconnected(given(host, **overrides)))
    return [f"{link.user}@{link.host}:{link.port}" for link in links]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("plain.example", ["me@plain.example:22"]),
        ("eve@plain.example:2200", ["eve@plain.example:2200"]),
        ("gate", ["me@gate.example:22"]),
        ("other", ["me@gate.example:22", "me@192.0.2.1:22", "me@other:22"]),
        ("web", ["me@gate.example:22", "me@192.0.2.1:22", "bob@inner:2022", "ann@192.0.2.10:2222"]),
        ("a.wild", ["me@wild:22", "me@a.wild:22"]),
        ("wild", ["me@wild:22"]),
        ("by-command", ["me@by-command:22"]),
        ("front", ["me@192.0.2.20:22", "me@192.0.2.20:2222"]),
        ("itself", ["me@192.0.2.21:22"]),
        ("itself:2222", ["me@192.0.2.21:22", "me@192.0.2.21:2222"]),
        ("behind-v6", ["bob@2001:db8::1:2222", "me@2001:db8::2:22", "me@behind-v6:22"]),
        ("[2001:db8::3]", ["me@2001:db8::3:22"]),
        ("2001:db8::3", ["me@2001:db8::3:22"]),
        ("eve@[2001:db8::3]:2222", ["eve@2001:db8::3:2222"]),
    ],
)
def test_jump_hosts_are_passed_in_the_order_that_ssh_takes_them(host: str, expected: list[str]) -> None:
    assert way(host, user="me") == expected


def test_a_jump_host_may_be_an_address_of_its_own_kind() -> None:
    """In a list ssh itself takes none."""
    text = CONFIG.replace("2222,[2001:db8::2]", "2222,ssh://[2001:db8::2]")
    links = connection.links(connection.reconnected(given("behind-v6", text, user="me")))
    assert [f"{link.user}@{link.host}:{link.port}" for link in links] == [
        "bob@2001:db8::1:2222", "me@2001:db8::2:22", "me@behind-v6:22",
    ]  # fmt: skip


def test_what_counts_for_the_user_typed_counts_all_along(tmp_path: Path) -> None:
    (tmp_path / "eve").touch()
    text = (
        f"Match user eve\n    HostName eves.example\n    ConnectTimeout 7\n    IdentityFile {tmp_path}/%r\n"
        "Host *\n    User ann\n    ProxyJump %s\n"
    )
    found = connection.reconnected(given("eve@web", text.replace("%s", "none")))
    assert (found.host, found.user, found.connect_timeout) == ("eves.example", "eve", 7)
    assert found.connect_kwargs["key_filename"] == [f"{tmp_path}/eve"]
    found = connection.reconnected(given("web", text.replace("%s", "eve@gate")))
    assert [(link.host, link.user) for link in connection.links(found)] == [("eves.example", "eve"), ("web", "ann")]


def test_a_user_set_to_who_we_are_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"Host web\n    User {getuser()}\n"
    assert connection.reconnected(given("web", text, user="me")).user == getuser()
    assert connection.reconnected(given("other", text, user="me")).user == "me"


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ("by-command", "nc by-command 22 me"),
        ("eve@by-command:2022", "nc by-command 2022 eve"),
        ("by-exec", "nc by-exec 22"),
        ("by-none", None),
    ],
)
def test_a_command_that_connects_is_told_the_port_and_the_user_asked_for(host: str, command: str | None) -> None:
    assert connection.reconnected(given(host, user="me")).gateway == command


@pytest.mark.parametrize(
    "text", ["", "web:abc", "web:0", "web:65536", "web:-1", "[2001:db8::1", "[2001:db8::1]x", "[2001:db8::1]:x", "ann@"]
)
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="isn't a host"):
        connection.destination(text)


def line(hosts: str, key: paramiko.PKey) -> str:
    return f"{hosts} {key.get_name()} {key.get_base64()}\n"


def judged(host: str, config: str, key: paramiko.PKey) -> None:
    """Have a server show this key, as paramiko asks."""
    client = connection.reconnected(given(host, config)).client
    client._policy.missing_host_key(client, "as-paramiko-names-it", key)


def test_every_link_verifies_host_keys_and_paramiko_knows_none_by_itself(tmp_path: Path) -> None:
    key = paramiko.ECDSAKey.generate()
    (tmp_path / "known").write_text(line("192.0.2.1", key))
    text = f"{CONFIG}Host *\n    UserKnownHostsFile {tmp_path}/known\n    GlobalKnownHostsFile none\n"
    accepted = []
    for link in connection.links(connection.reconnected(given("web", text))):
        assert not len(link.client.get_host_keys()) + len(link.client._system_host_keys)
        try:
            link.client._policy.missing_host_key(link.client, "x", key)
        except UnknownHostKey as error:
            assert error.key == key
        else:
            accepted.append(link.host)
    assert accepted == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("host", "setting", "named"),
    [
        ("web.example", "", "web.example"),
        ("Web.example", "", "web.example"),
        ("web.example:2222", "", "[web.example]:2222"),
        ("web.example:2222", "", "web.example"),
        ("web.example:2222", "HostKeyAlias the-web", "the-web"),
        ("[2001:db8::1]:2222", "", "[2001:db8::1]:2222"),
        ("web.example", "HostName 192.0.2.1", "192.0.2.1"),
    ],
)
def test_a_host_key_is_looked_for_under_the_name_that_ssh_uses(
    host: str, setting: str, named: str, tmp_path: Path
) -> None:
    key = paramiko.ECDSAKey.generate()
    (tmp_path / "known").write_text(line(named, key))
    judged(host, f"Host *\n    UserKnownHostsFile {tmp_path}/known\n    {setting}\n", key)


FOLDERS = {"UserKnownHostsFile": "u", "GlobalKnownHostsFile": "g"}


@pytest.mark.parametrize("setting", FOLDERS)
def test_known_host_keys_are_read_where_ssh_config_says_and_nowhere_else(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, key = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    for name, shown in (("usual", usual), ("a known", key)):
        (tmp_path / name).write_text(line("web.example", shown))
    monkeypatch.setattr(known_hosts, "FILES", (f"{tmp_path}/usual",) if setting.startswith("User") else ())
    monkeypatch.setattr(known_hosts, "GLOBAL_FILES", () if setting.startswith("User") else (f"{tmp_path}/usual",))
    judged("web.example", "", usual)
    text = f'Host *\n    {setting} {tmp_path}/none "{tmp_path}/a known"\n'
    judged("web.example", text, key)
    with pytest.raises(paramiko.SSHException):
        judged("web.example", text, usual)


@pytest.mark.parametrize(
    ("setting", "file"),
    [
        ("", "~/.ssh/known_hosts"),
        ("UserKnownHostsFile /dev/null", "~/.ssh/known_hosts"),
        ("UserKnownHostsFile none", "~/.ssh/known_hosts"),
        ("UserKnownHostsFile /a /b", "/a"),
        ('UserKnownHostsFile "/a b/c"', "/a b/c"),
        ("UserKnownHostsFile ~/k/%n-%h-%p-%r-%k%%", "~/k/alias-192.0.2.1-2222-ann-kept%"),
    ],
)
def test_a_host_key_is_accepted_in_a_file_that_keeps_it(setting: str, file: str) -> None:
    text = f"Host alias\n    HostName 192.0.2.1\n    HostKeyAlias kept\n    Port 2222\n    User ann\n    {setting}\n"
    assert connection.hop([connection.reconnected(given("alias", text))], "alias", last=True).known_hosts == file


def test_a_server_is_asked_first_for_a_key_of_a_type_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "known").write_text(line("web.example", paramiko.RSAKey.generate(1024)))
    made = connection.reconnected(given("web.example", f"Host *\n    UserKnownHostsFile {tmp_path}/known\n"))
    transport = made.connect_kwargs["transport_factory"](SimpleNamespace(settimeout=lambda seconds: None))
    wanted = transport.get_security_options().key_types
    assert wanted[:3] == ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519")


def test_the_keys_given_serve_every_hop_and_are_offered_once(tmp_path: Path) -> None:
    here = tmp_path / "web"
    here.touch()
    text = CONFIG.replace("/keys/web", f"{here}\n    IdentityFile {tmp_path}/absent")
    keys = {"identities": [Path("/keys/mine")]}
    links = connection.links(
        connection.reconnected(given("web", text, authentication=keys, connect_kwargs={"key_filename": ["/keys/mine"]}))
    )
    assert [link.connect_kwargs.get("key_filename") for link in links] == [
        *[["/keys/mine"]] * 3,
        ["/keys/mine", str(here)],
    ]


def test_a_login_password_goes_to_the_server_alone() -> None:
    *hops, last = connection.links(connection.reconnected(given("web", connect_kwargs={"password": "hunter2"})))
    assert last.connect_kwargs["password"] == "hunter2"
    assert not [hop for hop in hops if "password" in hop.connect_kwargs]


@pytest.mark.parametrize(("given_seconds", "seconds"), [({}, 15), ({"timeout": 5}, 5)])
def test_no_hop_is_waited_for_longer_than_asked(given_seconds: dict[str, int], seconds: int) -> None:
    links = connection.links(connection.reconnected(given("web", connect_kwargs=given_seconds)))
    assert {link.connect_timeout for link in links} == {seconds}
    assert not [link for link in links if "timeout" in link.connect_kwargs]


def test_ssh_config_says_how_long_to_wait_where_the_command_does_not() -> None:
    text = "Host web\n    ProxyJump gate\n    ConnectTimeout 40\nHost gate\n    ConnectTimeout 5\n"
    for given_seconds, seconds in (({}, [5, 40]), ({"timeout": 7}, [7, 7])):
        links = connection.links(connection.reconnected(given("web", text, connect_kwargs=given_seconds)))
        assert [link.connect_timeout for link in links] == seconds
        assert [connection.hop([link], "web", last=True).seconds for link in links] == seconds


def test_a_lost_connection_is_not_opened_again() -> None:
    made = connection.reconnected(given("plain.example"))
    one, other = socket.socketpair()
    with one, other:
        made.transport = paramiko.Transport(one)
        made.open()
        with pytest.raises(paramiko.SSHException):
            made.create_session()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1", "ann@127.0.0.1", True),
        ("127.0.0.1", "localhost4", True),
        ("127.0.0.1", "127.0.0.1:2222", False),
        ("127.0.0.1", "127.0.0.2", False),
        ("web", "192.0.2.10:2222", False),
    ],
)
def test_two_names_of_one_server_lead_to_the_same_place(one: str, other: str, same: bool) -> None:
    text = f"{CONFIG}\nHost localhost4\n    HostName 127.0.0.1\n"
    assert connection.endpoint(given(one, text)).is_same_as(connection.endpoint(given(other, text))) is same


ADDRESSES = {"both": ["192.0.2.1", "2001:db8::1"], "four": ["192.0.2.1"], "six": ["2001:db8::1"]}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("both", "four", True),
        ("both", "six", True),
        ("four", "six", False),
        ("both", "four:2222", False),
        ("east", "west", False),
        ("east", "ann@east", True),
    ],
)
def test_one_address_in_common_is_the_same_place_and_another_way_is_not(
    one: str, other: str, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(f"Host {name}\n    HostName web\n    ProxyCommand nc {name} 22\n" for name in ("east", "west"))
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *_, **__: [(0, 0, 0, "", (address, 0)) for address in ADDRESSES[host]]
    )
    assert connection.endpoint(given(one, text)).is_same_as(connection.endpoint(given(other, text))) is same


def test_a_name_that_can_not_be_looked_up_is_a_place_of_its_own() -> None:
    assert not connection.endpoint(given("a..b")).is_same_as(connection.endpoint(given("c..d")))


def test_the_door_of_a_hop_names_the_jumps_before_it() -> None:
    links = connection.links(connection.reconnected(given("web", user="me")))
    assert connection.hop(links[:1], "web", last=False).jumps == ()
    assert connection.hop(links[:3], "web", last=False).ssh == (
        "ssh -J me@gate.example:22,me@192.0.2.1:22 -p 2022 bob@inner"
    )


def test_the_door_behind_an_ipv6_address_puts_it_in_brackets() -> None:
    links = connection.links(connection.reconnected(given("behind-v6", user="me")))
    assert connection.hop(links, "behind-v6", last=True).ssh == (
        "ssh -J bob@[2001:db8::1]:2222,me@[2001:db8::2]:22 -p 22 me@behind-v6"
    )

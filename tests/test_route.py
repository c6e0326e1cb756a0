"""The way to a server, as ssh_config has it."""

from __future__ import annotations

import io
from pathlib import Path

import paramiko
import pytest
from fabric import Config, Connection

from deploy import route
from deploy.connecting import UnknownHostKey

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
    ProxyCommand nc %h %p
"""


def given(host: str, text: str = CONFIG, **overrides: object) -> Connection:
    config = Config(ssh_config=paramiko.SSHConfig.from_file(io.StringIO(text)), overrides=overrides)
    return Connection(host, config=config)


def way(host: str, **overrides: object) -> list[str]:
    links = route.links(route.reconnected(given(host, **overrides)))
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
    ],
)
def test_jump_hosts_are_passed_in_the_order_that_ssh_takes_them(host: str, expected: list[str]) -> None:
    assert way(host, user="me") == expected


def test_a_command_that_connects_is_kept() -> None:
    assert route.reconnected(given("by-command")).gateway == "nc by-command 22"


def test_every_link_refuses_a_host_key_that_is_not_known_and_shows_it() -> None:
    key = paramiko.ECDSAKey.generate()
    for link in route.links(route.reconnected(given("web"))):
        with pytest.raises(UnknownHostKey) as caught:
            link.client._policy.missing_host_key(link.client, "[192.0.2.10]:2222", key)
        assert (caught.value.name, caught.value.key) == ("[192.0.2.10]:2222", key)


def test_known_host_keys_are_read_where_ssh_config_says(tmp_path: Path) -> None:
    key = paramiko.ECDSAKey.generate()
    (tmp_path / "known").write_text(f"web.example {key.get_name()} {key.get_base64()}\n")
    made = route.reconnected(given("web.example", f"Host *\n    UserKnownHostsFile {tmp_path}/none {tmp_path}/known\n"))
    assert made.client._system_host_keys.lookup("web.example")[key.get_name()] == key
    assert route.door([made], "web.example", last=True).known_hosts == f"{tmp_path}/none"


def test_the_keys_given_serve_every_hop_and_are_offered_once() -> None:
    keys = {"identities": [Path("/keys/mine")]}
    links = route.links(
        route.reconnected(given("web", authentication=keys, connect_kwargs={"key_filename": ["/keys/mine"]}))
    )
    assert [link.connect_kwargs.get("key_filename") for link in links] == [
        *[["/keys/mine"]] * 3,
        ["/keys/mine", "/keys/web"],
    ]


def test_a_login_password_goes_to_the_server_alone() -> None:
    *hops, last = route.links(route.reconnected(given("web", connect_kwargs={"password": "hunter2"})))
    assert last.connect_kwargs["password"] == "hunter2"
    assert not [hop for hop in hops if "password" in hop.connect_kwargs]


@pytest.mark.parametrize(("given_seconds", "seconds"), [({}, 15), ({"timeout": 5}, 5)])
def test_no_hop_is_waited_for_longer_than_asked(given_seconds: dict[str, int], seconds: int) -> None:
    links = route.links(route.reconnected(given("web", connect_kwargs=given_seconds)))
    assert {link.connect_timeout for link in links} == {seconds}
    assert not [link for link in links if "timeout" in link.connect_kwargs]


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
    assert (route.place(given(one, text)) == route.place(given(other, text))) is same


def test_the_door_of_a_hop_names_the_jumps_before_it() -> None:
    links = route.links(route.reconnected(given("web", user="me")))
    assert route.door(links[:1], "web", last=False).jumps == ()
    assert route.door(links[:3], "web", last=False).ssh == (
        "ssh -J me@gate.example:22,me@192.0.2.1:22 -p 2022 bob@inner"
    )

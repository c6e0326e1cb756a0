"""The ssh-agent that ssh_config names."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from fabric import Config, Connection

from deploy.ssh.agent import Agent, of
from deploy.ssh.config import SSHConfig
from deploy.ssh.connection import reconnected


def given(host: str, text: str = "") -> Connection:
    return Connection(host, config=Config(ssh_config=SSHConfig.from_text(text)))


@pytest.mark.parametrize("setting", ["IdentityAgent {}", 'IdentityAgent "{}"', "IdentityAgent $THE_AGENT"])
def test_the_agent_is_the_one_that_ssh_config_names(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "an agent"
    monkeypatch.setenv("THE_AGENT", str(path))
    monkeypatch.setattr(Agent, "_connect", lambda self, found: found.close())
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(180)
        assert of(reconnected(given("x", f"Host *\n    {setting.format(path)}\n")))
        listening.accept()[0].close()


def test_without_an_agent_none_is_asked() -> None:
    made = reconnected(given("x", "Host *\n    IdentityAgent none\n"))
    assert (made.connect_kwargs["allow_agent"], of(made)) == (False, None)
    assert of(reconnected(given("x"))) is None
    gone = of(reconnected(given("x", "Host *\n    IdentityAgent ~/none-here\n")))
    assert gone
    assert gone.get_keys() == ()

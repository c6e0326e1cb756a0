"""Uses the ssh-agent that ssh_config names (IdentityAgent). paramiko itself knows only SSH_AUTH_SOCK."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import paramiko
from paramiko.agent import AgentSSH

from .config import path_of


class Agent(paramiko.Agent):
    """An ssh-agent at a given socket."""

    def __init__(self, path: str) -> None:
        AgentSSH.__init__(self)
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.connect(path)
        except OSError:
            found.close()
        else:
            self._connect(found)  # type: ignore[attr-defined]


def of(link: Any) -> Agent | None:
    """Return the ssh-agent that ssh_config names for a connection; None for that of the environment."""
    named = str(link.ssh_config.get("identityagent", "none"))
    path = os.environ.get(named[1:], "") if named.startswith("$") else path_of(named, link)
    return None if named in {"none", "SSH_AUTH_SOCK"} else Agent(str(Path(path).expanduser()))

"""ssh_config, as ssh itself reads it (``ssh -G``). If ssh isn't there or refuses the files, paramiko reads them."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from copy import copy
from getpass import getuser
from pathlib import Path
from typing import Any

import paramiko

from .config_files import OURS, Copies, inlined, original

SYSTEM = Path("/etc/ssh")
UNSET = {"user": "portside-unset", "port": "22", "connecttimeout": "none", "forwardagent": "no"}
"""What ssh prints of these if no file sets them. The user's is ours: it would print who we are."""
WANTED = {*OURS, *UNSET, "hostname", "hostkeyalias", "proxyjump"}


class SSHConfig(paramiko.SSHConfig):
    """The files read into it. Paths and commands keep their ``~`` and %-tokens: see :func:`path_of`."""

    def __init__(self) -> None:
        super().__init__()
        self._files: list[tuple[str, Path]] = []
        self._found: dict[tuple[str, str, int], dict[str, Any]] = {}
        self._asked: tuple[str, int] = ("", 0)

    def parse(self, file_obj: Iterable[str]) -> None:
        """Take a file in. What an earlier one sets counts before what a later one does."""
        folder = SYSTEM if str(getattr(file_obj, "name", "")).startswith(f"{SYSTEM}/") else Path("~/.ssh").expanduser()
        self._files.append(("".join(file_obj), folder))

    def asked(self, user: str | None, port: int | None) -> SSHConfig:
        """Return the same for a user and a port that were typed, which count before those of the files."""
        same = copy(self)
        same._asked = (user or "", port or 0)
        return same

    def lookup(self, hostname: str) -> paramiko.SSHConfigDict:
        """Return what counts for a host. ssh is started once for each host, user and port."""
        key = (hostname, *self._asked)
        if key not in self._found:
            self._found[key] = _read_back(self._by_ssh(*key) or self._by_paramiko(*key))
        return paramiko.SSHConfigDict(self._found[key])

    def get_hostnames(self) -> set[str]:
        """Return the names and patterns that the files have a block for."""
        return set(self._reader().get_hostnames())

    def _by_ssh(self, host: str, user: str, port: int) -> dict[str, Any]:
        """Return what ssh says; nothing if there is no ssh, or it refuses the files or the host."""
        if not self._files or not shutil.which("ssh"):
            return {}
        typed = [*(("-l", user) if user else ()), *(("-p", str(port)) if port else ())]
        with tempfile.TemporaryDirectory(prefix="portside-") as folder:
            copies = Copies(Path(folder))
            paths = [copies.write(*file) for file in self._files]
            first = Path(folder, "config")
            last = f"Host *\n    User {UNSET['user']}\n"
            first.write_text("".join(f'Include "{path}"\n' for path in paths) + last, encoding="utf-8")
            words = ("ssh", "-G", "-F", first, *typed, "--", host)
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return {} if done.returncode else _told(done.stdout.decode(errors="replace"))

    def _by_paramiko(self, host: str, user: str, port: int) -> dict[str, Any]:
        reader: Any = self._reader()
        typed = {"user": user} if user else {}
        typed |= {"port": str(port)} if port else {}
        reader._config.insert(0, {"host": ["*"], "config": typed})
        return dict(reader.lookup(host))

    def _reader(self) -> paramiko.SSHConfig:
        reader = paramiko.SSHConfig()
        for file in self._files:
            reader.parse(io.StringIO("\n".join(inlined(*file))))
        return reader


def asked_for(config: paramiko.SSHConfig, user: str | None, port: int | None) -> paramiko.SSHConfig:
    """Return an ssh_config for a user and a port that were typed; paramiko's own takes none."""
    return config.asked(user, port) if isinstance(config, SSHConfig) else config


def _told(printed: str) -> dict[str, Any]:
    """Return what the files set, of what ``ssh -G`` prints."""
    found: dict[str, Any] = {}
    for line in printed.splitlines():
        key, _, value = line.partition(" ")
        if key == "identityfile":
            found.setdefault(key, []).append(value)
        elif key in WANTED and UNSET.get(key) != value:
            found[key] = value
    return found


def _read_back(found: dict[str, Any]) -> dict[str, Any]:
    """Return the same with our settings as they stand in the files, without those that stand in none."""
    keys = [file for each in found.pop("identityfile", []) if (file := original(each))]
    if found.get("forwardagent") not in {"yes", "no"}:  # a socket: Fabric can forward no agent but the environment's
        found.pop("forwardagent", None)
    ours = {key: value for key in OURS & set(found) if (value := original(found.pop(key) or ""))}
    return found | ours | ({"identityfile": keys} if keys else {})


def path_of(text: str, link: Any) -> str:
    """Return a path that ssh_config names for a connection, or a command, with what its %-tokens stand for."""
    tokens = {"%": "%", "d": str(Path.home()), "h": link.host, "i": os.getuid(), "n": link.original_host}
    tokens |= {"k": link.ssh_config.get("hostkeyalias", link.host), "p": link.port, "r": link.user, "u": getuser()}
    return re.sub(r"%(.)", lambda found: str(tokens.get(found[1], found[0])), text)


def command_of(link: Any) -> str:
    """Return the command that ssh_config connects by; empty if it names none. No shell will read it."""
    command = str(link.ssh_config.get("proxycommand") or "").removeprefix("exec ")
    return path_of(re.sub(r"(?<!\S)~(?=/)", lambda _: str(Path.home()), command), link)


def keys_of(link: Any) -> list[str]:
    """Return the files of keys that ssh_config names."""
    named = link.ssh_config.get("identityfile", [])
    return [str(Path(path_of(file, link)).expanduser()) for file in named]

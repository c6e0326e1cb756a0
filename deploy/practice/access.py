"""This checkout's SSH access to the practice servers: a key, host keys, an ssh_config. All in ``.practice/``."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from deploy.practice.engine import FOLDER, Say
from deploy.practice.network import LOOPBACK

KEY, KNOWN_HOSTS, SSH_CONFIG = FOLDER / "id_ed25519", FOLDER / "known_hosts", FOLDER / "ssh_config"


@contextmanager
def exclusive(say: Say) -> Iterator[None]:
    """Hold this checkout's lock. Also creates the folder."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another fab practice of this checkout")
            fcntl.flock(lock, fcntl.LOCK_EX)
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        yield


def public_key() -> str:
    """Return this checkout's public key as a line for authorized_keys. The first call creates the key."""
    public = KEY.with_suffix(".pub")
    if not public.exists():
        key = Ed25519PrivateKey.generate()
        line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        write(KEY, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode())
        write(public, f"{line} portside practice\n")
    return public.read_text().strip()


def add_server(name: str, port: int, host_keys: str) -> None:
    """Add a server to ssh_config and known_hosts. ``host_keys``: its public keys, one a line."""
    write(KNOWN_HOSTS, without_port(_text(KNOWN_HOSTS), port) + known_lines(port, host_keys))
    write(SSH_CONFIG, without_host(_text(SSH_CONFIG), name) + entry(name, port))


def forget(name: str, port: int) -> None:
    """Remove a server from ssh_config and known_hosts."""
    write(KNOWN_HOSTS, without_port(_text(KNOWN_HOSTS), port))
    write(SSH_CONFIG, without_host(_text(SSH_CONFIG), name))


def entry(name: str, port: int) -> str:
    """Return a server's block in ssh_config. Paths are quoted, because a checkout's path may contain spaces."""
    lines = (
        f"Host {name}",
        f"HostName {LOOPBACK}",
        f"Port {port}",
        "User deploy",
        f'IdentityFile "{KEY}"',
        "IdentitiesOnly yes",
        f'UserKnownHostsFile "{KNOWN_HOSTS}"',
        "StrictHostKeyChecking yes",
    )
    return "\n    ".join(lines) + "\n"


def without_host(config: str, name: str) -> str:
    """Return an ssh_config without one server's block."""
    return "".join(part for part in re.split(r"(?m)^(?=Host )", config) if part.splitlines()[:1] != [f"Host {name}"])


def known_lines(port: int, host_keys: str) -> str:
    """Return host keys as lines for known_hosts, without their comments."""
    keys = (line.split()[:2] for line in host_keys.splitlines() if line.strip())
    return "".join(f"[{LOOPBACK}]:{port} {kind} {key}\n" for kind, key in keys)


def without_port(known: str, port: int) -> str:
    """Return a known_hosts without the keys of the server at a port."""
    lines = known.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(f"[{LOOPBACK}]:{port} "))


def write(path: Path, content: str) -> None:
    """Replace a file atomically, unless it has this content already. Only its owner can read it."""
    if _text(path) == content:
        return
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    new.replace(path)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""

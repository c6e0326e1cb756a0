"""known_hosts: verifies host keys by the same rules as ssh.

paramiko's own reader stops at an invalid line, keeps only one key of each type and ignores revoked keys.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from .config import path_of
from .config_files import words
from .errors import ChangedHostKey, RevokedHostKey, UnknownHostKey

FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
NOWHERE = {"none", "/dev/null"}  # used as a file name to store no host keys
REVOKED = "@revoked"


@dataclass(frozen=True)
class Line:
    """A line with a key. ``hosts``: as written in the file: patterns or a hash."""

    file: str
    number: int
    marker: str
    hosts: str
    kind: str
    key: bytes

    def names(self, host: str) -> bool:
        """Whether the line is for this host."""
        if self.hosts.startswith("|1|"):
            return _is_hash_of(host, self.hosts)
        patterns = self.hosts.split(",")
        if any(_matches(pattern[1:], host) for pattern in patterns if pattern.startswith("!")):
            return False
        return any(_matches(pattern, host) for pattern in patterns)

    @property
    def by_pattern(self) -> bool:
        """Whether the hosts are patterns, which ssh-keygen -R doesn't remove."""
        return bool(set("*?!") & set(self.hosts))


class KnownHosts:
    """The keys that these files have for one host. ``host``: its name in them; ``other``: an alternative name, used if
    there is no key for ``host``."""

    def __init__(self, files: Iterable[str], host: str, other: str = "") -> None:
        self.host = host
        lines = [line for file in files for line in read(file)]
        accepted = [line for line in lines if not line.marker]
        found = [line for line in accepted if line.names(host)]
        self._own = found
        self._accepted = found or [line for line in accepted if other and line.names(other)]
        names = [name for name in (host, other) if name]
        self._revoked = [line for line in lines if line.marker and any(map(line.names, names))]

    @property
    def kinds(self) -> set[str]:
        """The types of the known keys."""
        return {line.kind for line in self._accepted}

    def verify(self, key: paramiko.PKey) -> None:
        """Check that this key was accepted for the host. Raises HostKeyError if it wasn't."""
        for line in self._revoked:
            if line.key == key.asbytes():
                raise RevokedHostKey(self.host, key, line.file, line.number)
        if any(line.key == key.asbytes() for line in self._accepted):
            return
        for line in self._own:
            if line.kind == key.get_name():
                raise ChangedHostKey(self.host, key, line.file, line.number, by_pattern=line.by_pattern)
        raise UnknownHostKey(self.host, key, {line.kind for line in self._own})


def of(link: Any) -> KnownHosts:
    """Return the known host keys of the server that a connection goes to."""
    host = str(link.ssh_config.get("hostkeyalias", link.host)).lower()
    named = [*files(link), *_named(link, "globalknownhostsfile", GLOBAL_FILES)]
    if link.port == 22 or "hostkeyalias" in link.ssh_config:
        return KnownHosts(named, host)
    return KnownHosts(named, f"[{host}]:{link.port}", host)


def files(link: Any) -> list[str]:
    """Return the user's files of known host keys. New keys are written to the first."""
    return _named(link, "userknownhostsfile", FILES) or list(FILES)


def _named(link: Any, setting: str, default: tuple[str, ...]) -> list[str]:
    named = words(link.ssh_config[setting]) if setting in link.ssh_config else default
    return [path_of(file, link) for file in named if file not in NOWHERE]


def read(file: str) -> Iterator[Line]:
    """Yield the keys in a file. Lines for a certificate authority and invalid lines are skipped."""
    with suppress(OSError):
        text = Path(file).expanduser().read_bytes().decode(errors="replace")
        for number, line in enumerate(text.split("\n"), 1):
            marker, *words = line.split() if line.lstrip().startswith("@") else ("", *line.split())
            if len(words) >= 3 and marker in {"", REVOKED} and not words[0].startswith("#"):
                hosts, kind, encoded = words[:3]
                key = _decoded(encoded)
                if key.startswith(len(kind).to_bytes(4) + kind.encode()):
                    yield Line(file, number, marker, hosts, kind, key)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


def _is_hash_of(host: str, hashed: str) -> bool:
    _, _, salt, digest = (*hashed.split("|"), "", "")[:4]
    return hmac.compare_digest(hmac.digest(_decoded(salt), host.encode(), "sha1"), _decoded(digest))


def _matches(pattern: str, host: str) -> bool:
    """Whether an ssh pattern matches the host. The only wildcards are * and ?."""
    translated = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(translated, host) is not None

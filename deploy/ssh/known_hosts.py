"""known_hosts: which host keys were accepted, judged as ssh judges them.

paramiko's own reader stops at a line it can't read, keeps one key of a type and passes over a revoked one.
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

from .config import path_of, words
from .errors import ChangedHostKey, RevokedHostKey, UnknownHostKey

FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
NOWHERE = {"none", "/dev/null"}  # named as a file by who wants no host keys kept
REVOKED = "@revoked"


@dataclass(frozen=True)
class Line:
    """A key that a file has for some hosts. ``hosts``: as the file writes them, patterns or a hash."""

    file: str
    number: int
    marker: str
    hosts: str
    kind: str
    key: bytes

    def names(self, host: str) -> bool:
        """Whether the key is this host's."""
        if self.hosts.startswith("|1|"):
            return _is_hash_of(host, self.hosts)
        patterns = self.hosts.split(",")
        if any(_matches(pattern[1:], host) for pattern in patterns if pattern.startswith("!")):
            return False
        return any(_matches(pattern, host) for pattern in patterns)

    @property
    def by_pattern(self) -> bool:
        """Whether the hosts are patterns, which ssh-keygen -R leaves alone."""
        return bool(set("*?!") & set(self.hosts))


class KnownHosts:
    """What these files say of one host. ``host``: as they name it; ``other``: another name under which they may have
    it, looked for where they don't."""

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
        """The types of the keys known."""
        return {line.kind for line in self._accepted}

    def verify(self, key: paramiko.PKey) -> None:
        """Raises HostKeyError unless this key was accepted for the host."""
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
    """What is known of the host keys of the server that a connection leads to."""
    host = str(link.ssh_config.get("hostkeyalias", link.host)).lower()
    named = [*files(link), *_named(link, "globalknownhostsfile", GLOBAL_FILES)]
    if link.port == 22 or "hostkeyalias" in link.ssh_config:
        return KnownHosts(named, host)
    return KnownHosts(named, f"[{host}]:{link.port}", host)


def files(link: Any) -> list[str]:
    """The user's files of known host keys; the first is written to."""
    return _named(link, "userknownhostsfile", FILES) or list(FILES)


def _named(link: Any, setting: str, default: tuple[str, ...]) -> list[str]:
    named = words(link.ssh_config[setting]) if setting in link.ssh_config else default
    return [path_of(file, link) for file in named if file not in NOWHERE]


def read(file: str) -> Iterator[Line]:
    """The keys in a file. Lines of an authority's keys are passed over, and those that aren't such a line at all."""
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
    """Whether a pattern of ssh's names the host: * and ? are wildcards, and nothing else is."""
    translated = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(translated, host) is not None

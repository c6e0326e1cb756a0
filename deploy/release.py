"""Releases: identity and record."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from getpass import getuser
from hashlib import sha256
from pathlib import Path
from typing import Any

from .containers import Answer
from .facts import Facts
from .nginx import Served
from .settings import Settings
from .source import Source

_MADE_FROM = Path(__file__).parent.parent / "compose"


def identity(facts: Facts, source: Source) -> str:
    """The name of a new release: the server's clock in UTC and seven hex digits, ``20261120-170501-ab12cd3``."""
    return f"{facts.clock}-{source.short}"


def fingerprint(settings: Settings) -> str:
    """A hash of all, besides the source, that makes one release differ from another: settings and our own files."""
    total = sha256(settings.fingerprint().encode())
    for path in sorted(_MADE_FROM.rglob("*")):
        if path.is_file() and "practice" not in path.parts and path.suffix != ".pyc":
            total.update(path.read_bytes())
    return total.hexdigest()


def is_live(facts: Facts, settings: Settings, source: Source) -> bool:
    """Whether the live release is made of exactly this, was found well, and runs."""
    record = facts.releases.get(facts.current, {})
    same = (record.get("source"), record.get("settings")) == (source.digest, fingerprint(settings))
    return same and any(c.state == "running" for c in facts.role("web", facts.current))


def who() -> str:
    """Who is at the laptop."""
    return f"{getuser()}@{socket.gethostname()}"


def record(
    identity: str, settings: Settings, source: Source, facts: Facts, answer: Answer, served: Served, digest: str
) -> dict[str, Any]:
    """What the server keeps of a release, as ``release.json``. Holds no secret."""
    return {
        "id": identity,
        "commit": source.commit,
        "uncommitted": list(source.changed),
        "source": source.digest,
        "settings": fingerprint(settings),
        "image": digest,
        "previous": facts.current,
        "who": who(),
        "migrations": list(answer.pending),
        "static_url": served.static_url,
        "media_url": served.media_url,
        "settings_module": answer.settings_module,
        "manage": answer.manage,
    }


def served(record: Mapping[str, Any]) -> Served:
    """What Nginx serves for a release that was recorded."""
    return Served(str(record.get("static_url", "")), str(record.get("media_url", "")))


def as_json(data: Mapping[str, Any], *, indent: int | None = None) -> str:
    return json.dumps(data, indent=indent, ensure_ascii=False) + "\n"

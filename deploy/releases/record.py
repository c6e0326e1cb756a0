"""Releases: identity and record."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import replace
from getpass import getuser
from hashlib import sha256
from typing import Any

from .. import VERSION
from ..build import image
from ..build.source import Source
from ..config import recorded
from ..config.settings import Settings
from ..core.facts import Facts
from ..core.files import COMPOSE
from ..nginx import hostnames
from ..nginx.routing import Names, Routes
from . import history
from .answer import Answer


def fingerprint(settings: Settings) -> str:
    """A hash of all, besides the source, that makes one release differ from another: settings and our own files. A
    folder of files is its source and nothing else."""
    if not settings.containers:
        return settings.kind
    total = sha256(settings.fingerprint().encode())
    for path in image.local_files(settings):
        total.update(path.read_bytes())
    for path in sorted(COMPOSE.rglob("*")):
        if path.is_file() and "practice" not in path.parts and path.suffix != ".pyc":
            total.update(path.read_bytes())
    return total.hexdigest()


def is_live(facts: Facts, settings: Settings, source: Source) -> bool:
    """Whether the live release is made of exactly this and was found healthy, and nothing speaks against keeping it."""
    return _is_of(facts, settings, source) and not made_again(facts, settings, source)


def made_again(facts: Facts, settings: Settings, source: Source) -> str:
    """Why a live release that is made of exactly this gives way to a new one all the same: a sentence, or nothing."""
    if not _is_of(facts, settings, source):
        return ""
    if not history.can_start(facts, facts.current):
        return f"The image of {facts.current} is gone from the server: a new release is made of the same."
    if settings.own_database and facts.data_volume == "new":
        return f"The database was made since {facts.current} went live: a new release looks at its migrations."
    return ""


def _is_of(facts: Facts, settings: Settings, source: Source) -> bool:
    record = facts.releases.get(facts.current, {})
    return (record.get("source"), record.get("settings")) == (source.digest, fingerprint(settings))


def kind(record: Mapping[str, Any]) -> str:
    """What a recorded release is: django or static."""
    return str(record.get("kind", "django"))


def idle(facts: Facts) -> bool:
    """Whether some process of the live release doesn't run."""
    return facts.running("process", facts.current) < len(processes(facts.releases.get(facts.current, {})))


def processes(record: Mapping[str, Any]) -> list[str]:
    """The names of a release's processes (DEPLOY_PROCESS_*)."""
    return [str(name) for name in record.get("processes", [])]


def who() -> str:
    """Who is at the laptop."""
    return f"{getuser()}@{socket.gethostname()}"


def record(
    identity: str, settings: Settings, source: Source, facts: Facts, routes: Routes, made: Mapping[str, Any]
) -> dict[str, Any]:
    """What the server keeps of a release, as ``release.json``. Holds no secret. ``made``: an application's part."""
    return {
        "id": identity,
        "kind": settings.kind,
        "commit": source.commit,
        "uncommitted": sorted({*source.changed, *source.deleted}),
        "source": source.digest,
        **({"pulled": source.pulled} if source.pulled else {}),
        "settings": fingerprint(settings),
        "previous": facts.current,
        "who": who(),
        "version": VERSION,
        "names": recorded.of_release(settings),
        "environment": recorded.of_environment(settings),
        **hostnames.noted(routes.names or Names(settings.domains, settings.redirect_domains)),
        "health_path": settings.health_path,
        "static_url": routes.static_url,
        "media_url": routes.media_url,
        "replicas": routes.replicas,
        "ports": list(routes.ports),
        "protocol": routes.protocol,
        "asynchronous": routes.asynchronous,
        "processes": sorted(settings.processes),
        **made,
    }


def of_application(answer: Answer, digest: str, dependencies: str, compose: str) -> dict[str, Any]:
    """The part of the record that only an application has. ``digest``: of its image; ``compose``: its compose file."""
    return {
        "image": digest,
        "dependencies": dependencies,
        "migrations": list(answer.pending),
        "breaking": {name: "; ".join(phrases) for name, phrases in answer.breaking.items()},
        "leaves": answer.leaves,
        **of_database(answer),
        "settings_module": answer.settings_module,
        "manage": answer.manage,
        "folder": answer.folder,
        "compose": sha256(compose.encode()).hexdigest(),
    }


def of_database(answer: Answer | None) -> dict[str, Any]:
    """The part of the record that is about the database; empty where nobody was asked."""
    if not answer:
        return {}
    return {
        "knowledge": answer.knowledge,
        "aliases": list(answer.aliases),
        "strangers": [*answer.strangers, *answer.stale],
        "lacking": list(answer.lacking),
    }


def routes(record: Mapping[str, Any]) -> Routes:
    """What a release that was recorded wants of Nginx."""
    ports = tuple(int(port) for port in record.get("ports", []))
    static_url, media_url = (str(record.get(name, "")) for name in ("static_url", "media_url"))
    protocol, asynchronous = str(record.get("protocol", "http")), bool(record.get("asynchronous"))
    replicas = int(record.get("replicas", 1))
    return Routes(static_url, media_url, replicas, ports, protocol, asynchronous, hostnames.recorded(record))


def renamed(record: Mapping[str, Any], settings: Settings) -> Routes:
    """What a recorded release wants of Nginx once it has the names of the present settings. A folder of files answers
    to every name; which redirects an application lets in besides was found out when it was deployed."""
    known = hostnames.recorded(record)
    admitted = (known.admitted if known else ()) if settings.containers else settings.redirect_domains
    return replace(routes(record), names=Names(settings.domains, settings.redirect_domains, admitted))


def as_json(data: Mapping[str, Any], *, indent: int | None = None) -> str:
    return json.dumps(data, indent=indent, ensure_ascii=False) + "\n"

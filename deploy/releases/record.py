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
    """Return a hash of everything besides the source that distinguishes releases: settings and Portside's own files.
    A static release depends on its source only."""
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
    """Return whether the live release is made of exactly this and is healthy, and no reason requires a new one."""
    return _is_of(facts, settings, source) and not made_again(facts, settings, source)


def made_again(facts: Facts, settings: Settings, source: Source) -> str:
    """Return why a live release that is made of exactly this must be replaced anyway, as a sentence, or an empty
    string."""
    if not _is_of(facts, settings, source):
        return ""
    if not history.can_start(facts, facts.current):
        return f"The image of {facts.current} is missing on the server, so a new release is built from the same source."
    if settings.own_database and facts.data_volume == "new":
        return f"The database is newer than {facts.current}, so a new release checks its migrations."
    return ""


def _is_of(facts: Facts, settings: Settings, source: Source) -> bool:
    record = facts.releases.get(facts.current, {})
    return (record.get("source"), record.get("settings")) == (source.digest, fingerprint(settings))


def kind(record: Mapping[str, Any]) -> str:
    """Return the kind of a recorded release: django or static."""
    return str(record.get("kind", "django"))


def idle(facts: Facts) -> bool:
    """Return whether any process of the live release isn't running."""
    return facts.running("process", facts.current) < len(processes(facts.releases.get(facts.current, {})))


def processes(record: Mapping[str, Any]) -> list[str]:
    """Return the names of a release's processes (DEPLOY_PROCESS_*)."""
    return [str(name) for name in record.get("processes", [])]


def who() -> str:
    """Return the user and machine that run the command, for records."""
    return f"{getuser()}@{socket.gethostname()}"


def record(
    identity: str, settings: Settings, source: Source, facts: Facts, routes: Routes, made: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the server keeps about a release, as ``release.json``, without secrets. ``made``: the application's
    part."""
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
    """Return the application's part of the record. ``digest``: of the image; ``compose``: the compose file's text."""
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
    """Return the part of the record about the database. Empty without an answer."""
    if not answer:
        return {}
    return {
        "knowledge": answer.knowledge,
        "aliases": list(answer.aliases),
        "strangers": [*answer.strangers, *answer.stale],
        "lacking": list(answer.lacking),
    }


def routes(record: Mapping[str, Any]) -> Routes:
    """Return the routes of a recorded release."""
    ports = tuple(int(port) for port in record.get("ports", []))
    static_url, media_url = (str(record.get(name, "")) for name in ("static_url", "media_url"))
    protocol, asynchronous = str(record.get("protocol", "http")), bool(record.get("asynchronous"))
    replicas = int(record.get("replicas", 1))
    return Routes(static_url, media_url, replicas, ports, protocol, asynchronous, hostnames.recorded(record))


def renamed(record: Mapping[str, Any], settings: Settings) -> Routes:
    """Return the routes of a recorded release with the present settings' names. A static release answers to every
    name. For an application, the deploy recorded which redirect domains it admits."""
    known = hostnames.recorded(record)
    admitted = (known.admitted if known else ()) if settings.containers else settings.redirect_domains
    return replace(routes(record), names=Names(settings.domains, settings.redirect_domains, admitted))


def as_json(data: Mapping[str, Any], *, indent: int | None = None) -> str:
    return json.dumps(data, indent=indent, ensure_ascii=False) + "\n"

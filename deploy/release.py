"""Releases: identity and record."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from getpass import getuser
from hashlib import sha256
from pathlib import Path
from typing import Any

from . import VERSION, hosts, image, noted
from .certificate import clock
from .containers import Answer
from .edge import Names, Served
from .errors import Refused
from .facts import Facts
from .settings import Settings
from .source import Source

JUST_NOW = timedelta(minutes=10)
_MADE_FROM = Path(__file__).parent.parent / "compose"


def identity(facts: Facts, source: Source) -> str:
    """The name of a new release: the server's clock in UTC and seven hex digits, ``20261120-170501-ab12cd3``."""
    return f"{facts.clock}-{source.short}"


def fingerprint(settings: Settings) -> str:
    """A hash of all, besides the source, that makes one release differ from another: settings and our own files. A
    folder of files is its source and nothing else."""
    if not settings.containers:
        return settings.kind
    total = sha256(settings.fingerprint().encode())
    for path in image.local_files(settings):
        total.update(path.read_bytes())
    for path in sorted(_MADE_FROM.rglob("*")):
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
    if not can_start(facts, facts.current):
        return f"The image of {facts.current} is gone from the server: a new release is made of the same."
    if settings.own_database and facts.data_volume == "new":
        return f"The database was made since {facts.current} went live: a new release looks at its migrations."
    return ""


def _is_of(facts: Facts, settings: Settings, source: Source) -> bool:
    record = facts.releases.get(facts.current, {})
    return (record.get("source"), record.get("settings")) == (source.digest, fingerprint(settings))


def live(facts: Facts) -> dict[str, Any]:
    """The live release's record, or an empty one."""
    return facts.releases.get(facts.current, {})


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


def age(identity: str, clock: str) -> str:
    """How long ago a release or another thing was made, by the server's clock: ``5 min``, ``3 h``, ``12 d``."""
    made, now = (datetime.strptime(text[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC) for text in (identity, clock))
    minutes = int((now - made).total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"


def record(
    identity: str, settings: Settings, source: Source, facts: Facts, served: Served, made: Mapping[str, Any]
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
        "names": noted.of_release(settings),
        "environment": noted.of_environment(settings),
        **hosts.noted(served.names or Names(settings.domains, settings.redirect_domains)),
        "health_path": settings.health_path,
        "static_url": served.static_url,
        "media_url": served.media_url,
        "replicas": served.replicas,
        "ports": list(served.ports),
        "protocol": served.protocol,
        "asynchronous": served.asynchronous,
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


def chain(facts: Facts, newest: str) -> list[str]:
    """A release and those that were live before it, as far as they are still there, newest first."""
    found: list[str] = []
    while newest in facts.releases and newest not in found:
        if facts.releases[newest]:
            found.append(newest)
        newest = str(facts.releases[newest].get("previous", ""))
    return found


def leftovers(facts: Facts) -> list[str]:
    """What an interrupted run left: releases that were never found well, and images without a release."""
    images = {image.rpartition(":")[2] for image in facts.images}
    return sorted({name for name in {*facts.releases, *images} if not facts.releases.get(name)})


def unfinished(facts: Facts) -> str:
    """The live release, if a run ended between its switch and its record; else empty."""
    return facts.current if facts.pending.get(facts.current) else ""


def switching_to(facts: Facts) -> list[str]:
    """Releases that aren't live, and whose switch had begun when it was interrupted."""
    return [name for name, record in facts.pending.items() if "instead_of" in record and name != facts.current]


def interrupted(facts: Facts) -> bool:
    """Whether there is something that an interrupted run left."""
    return bool(leftovers(facts) or unfinished(facts) or strays(facts))


def strays(facts: Facts) -> list[str]:
    """Good releases that run beside the live one: an interrupted rollback started them, or a power cut came while
    their last connections ended."""
    running = {c.release for c in facts.role("web") if c.state in {"running", "restarting"}}
    return sorted(name for name in running if name != facts.current and facts.releases.get(name))


def can_start(facts: Facts, identity: str) -> bool:
    """Whether a release's image is there: somebody may have pruned it. A folder of files has none; where Docker
    didn't tell, nobody knows."""
    images = {name.rpartition(":")[2] for name in facts.images}
    return not facts.images_known or not served(facts.releases.get(identity, {})).replicas or identity in images


def went_back_just_now(facts: Facts) -> bool:
    """Whether the live release went live by a rollback within the last minutes: whoever types that again, since the
    connection was lost, doesn't ask for it to be started anew."""
    last = facts.last
    if last.get("release") != facts.current or last.get("event") not in {"rollback", "finish"}:
        return False
    made, now = (clock(text) for text in (str(last["when"]), facts.clock))
    return now - made < JUST_NOW


def target(facts: Facts, wanted: str = "") -> str:
    """The release a rollback makes live: ``wanted``, or the last good one before the live one that can start, or empty
    for none.

    The live one is started anew. Raises Refused where ``wanted`` isn't there or was never found well.
    """
    before = [name for name in chain(facts, facts.current)[1:] if can_start(facts, name)]
    if not wanted:
        return before[0] if before else ""
    if not facts.releases.get(wanted):
        known = ", ".join(name for name, record in facts.releases.items() if record and name != facts.current)
        raise Refused(
            f"There is no good release {wanted} on the server.",
            state="Nothing was changed.",
            hint=f"There are: {known}." if known else "There is no other.",
        )
    return wanted


def served(record: Mapping[str, Any]) -> Served:
    """What a release that was recorded wants of Nginx."""
    ports = tuple(int(port) for port in record.get("ports", []))
    static_url, media_url = (str(record.get(name, "")) for name in ("static_url", "media_url"))
    protocol, asynchronous = str(record.get("protocol", "http")), bool(record.get("asynchronous"))
    replicas = int(record.get("replicas", 1))
    return Served(static_url, media_url, replicas, ports, protocol, asynchronous, hosts.recorded(record))


def renamed(record: Mapping[str, Any], settings: Settings) -> Served:
    """What a recorded release wants of Nginx once it has the names of the present settings. A folder of files answers
    to every name; which redirects an application lets in besides was found out when it was deployed."""
    known = hosts.recorded(record)
    admitted = (known.admitted if known else ()) if settings.containers else settings.redirect_domains
    return replace(served(record), names=Names(settings.domains, settings.redirect_domains, admitted))


def kept(facts: Facts) -> list[Served]:
    """What the good releases on the server want of Nginx, the newest first."""
    return [served(facts.releases[identity]) for identity in sorted(facts.releases, reverse=True)]


def as_json(data: Mapping[str, Any], *, indent: int | None = None) -> str:
    return json.dumps(data, indent=indent, ensure_ascii=False) + "\n"

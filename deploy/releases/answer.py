"""The answer of an image about its Django project (``remote/portside_project.py``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a container of the new image reported about its Django project: see ``remote/ask.py``."""

    folder: str = ""
    manage: str = ""
    settings_module: str = ""
    static_url: str = ""
    static_root: str = ""
    media_url: str = ""
    media_root: str = ""
    wsgi: str = ""  # the application, if it exists
    asgi: str = ""
    missing: dict[str, str] = field(default_factory=dict)  # named but not found: wsgi, asgi or given -> name
    gunicorn: str = ""
    debug: bool = False
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)  # alias -> engine, vendor, host, port, name, ...
    unreachable: dict[str, str] = field(default_factory=dict)  # alias -> why it can't be reached
    key: str = ""  # source of SECRET_KEY: environment, random or fixed
    allowed_hosts: tuple[str, ...] = ()
    csrf_origins: tuple[str, ...] = ()
    csrf_checked: bool = False
    knows_https: bool = False
    places: dict[str, str] = field(default_factory=dict)  # setting -> the file and line that set it
    beside: tuple[str, ...] = ()  # unused settings modules for production
    failed: dict[str, Any] = field(default_factory=dict)  # why the project doesn't start: kind, about, text, where
    # Migrations. If a migration belongs to another database than the default one, its name is followed by the alias.
    aliases: tuple[str, ...] = ()  # the databases that have migrations
    migrate: str = ""  # the app that replaces Django's migrate command
    knowledge: str = ""  # a digest of all migrations in the code
    pending: tuple[str, ...] = ()
    pending_in: tuple[str, ...] = ()  # the databases with pending migrations
    applied: int = 0
    unmigrated: tuple[str, ...] = ()  # apps with models and no migrations
    unwritten: dict[str, list[str]] = field(default_factory=dict)  # app -> what makemigrations would write
    leaves: dict[str, str] = field(default_factory=dict)  # app -> the last migration the code knows
    breaking: dict[str, list[str]] = field(default_factory=dict)  # pending -> why it breaks the other release
    unjudged: dict[str, list[str]] = field(default_factory=dict)  # pending -> why it can't be checked
    loose: tuple[str, ...] = ()  # pending and not atomic: a failure leaves part of it
    ahead: tuple[str, ...] = ()  # applied, and unknown to the other release
    ahead_breaking: dict[str, list[str]] = field(default_factory=dict)
    ahead_unjudged: dict[str, list[str]] = field(default_factory=dict)
    irreversible: dict[str, str] = field(default_factory=dict)  # ahead -> why it can't be reversed
    no_way_back: dict[str, str] = field(default_factory=dict)  # ahead -> another reason against reversing it
    strangers: tuple[str, ...] = ()  # applied, missing here, in the other release
    stale: tuple[str, ...] = ()  # applied, and missing in both releases
    unrecorded: tuple[str, ...] = ()  # squashed, with only the parts recorded
    lacking: tuple[str, ...] = ()  # why this code can't use the tables

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Answer:
        given: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in data.items()}
        return cls(**given)

    def masked(self, mask: Callable[[str], str]) -> Answer:
        """Return a copy in which ``mask`` was applied to everything quoted from the application."""
        failed = self.failed and {**self.failed, "text": mask(str(self.failed["text"]))}
        return replace(self, failed=failed, unreachable={alias: mask(why) for alias, why in self.unreachable.items()})

"""Answer: what an image says of its project (``remote/portside_project.py``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a container of the new image said of its Django project: see ``remote/ask.py``."""

    folder: str = ""
    manage: str = ""
    settings_module: str = ""
    static_url: str = ""
    static_root: str = ""
    media_url: str = ""
    media_root: str = ""
    wsgi: str = ""  # the applications that exist
    asgi: str = ""
    missing: dict[str, str] = field(default_factory=dict)  # those that are named and don't: wsgi, asgi, given
    gunicorn: str = ""
    debug: bool = False
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)  # alias -> engine, vendor, host, port, name, ...
    unreachable: dict[str, str] = field(default_factory=dict)  # of those: alias -> why
    key: str = ""  # where SECRET_KEY is from: environment; else random or fixed
    allowed_hosts: tuple[str, ...] = ()
    csrf_origins: tuple[str, ...] = ()
    csrf_checked: bool = False
    knows_https: bool = False
    places: dict[str, str] = field(default_factory=dict)  # setting -> the file and line that set it
    beside: tuple[str, ...] = ()  # settings modules for production that aren't used
    failed: dict[str, Any] = field(default_factory=dict)  # why the project doesn't start: kind, about, text, where
    # Migrations; those of another database than the default one have its alias behind their names.
    aliases: tuple[str, ...] = ()  # the databases they belong to
    migrate: str = ""  # the app whose own command stands in for Django's migrate
    knowledge: str = ""  # a digest of all that the code has
    pending: tuple[str, ...] = ()
    pending_in: tuple[str, ...] = ()  # the aliases of those
    applied: int = 0
    unmigrated: tuple[str, ...] = ()  # apps with models and no migrations
    unwritten: dict[str, list[str]] = field(default_factory=dict)  # app -> what makemigrations would write
    leaves: dict[str, str] = field(default_factory=dict)  # app -> the last migration the code knows
    breaking: dict[str, list[str]] = field(default_factory=dict)  # of the pending: what breaks the other release
    unjudged: dict[str, list[str]] = field(default_factory=dict)  # of the pending: what nobody can tell of
    loose: tuple[str, ...] = ()  # of the pending: what stays half done when it fails
    ahead: tuple[str, ...] = ()  # what is applied, and the other release doesn't know
    ahead_breaking: dict[str, list[str]] = field(default_factory=dict)
    ahead_unjudged: dict[str, list[str]] = field(default_factory=dict)
    irreversible: dict[str, str] = field(default_factory=dict)  # of those: what can't be taken back
    no_way_back: dict[str, str] = field(default_factory=dict)  # and what can't for another reason
    strangers: tuple[str, ...] = ()  # what is applied, and this code hasn't, but the other release has
    stale: tuple[str, ...] = ()  # and what neither has
    unrecorded: tuple[str, ...] = ()  # squashed migrations that are applied by their parts alone
    lacking: tuple[str, ...] = ()  # why this code can't work with the tables as they are, where there are such

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Answer:
        given: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in data.items()}
        return cls(**given)

    def masked(self, mask: Callable[[str], str]) -> Answer:
        """With the application's own words masked, wherever they are quoted."""
        failed = self.failed and {**self.failed, "text": mask(str(self.failed["text"]))}
        return replace(self, failed=failed, unreachable={alias: mask(why) for alias, why in self.unreachable.items()})

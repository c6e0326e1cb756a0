"""What a deploy records about its settings, for comparison by the next one: names, never values.

A note is a setting's name, such as ``DEPLOY_ALLOW``; or, for a list of harmless parts, ``DEPLOY_VOLUMES=cache``.
"""

from __future__ import annotations

import re

from . import scope
from .names import PREFIX, PROCESS
from .settings import Settings


def _in(group: scope.Scope) -> frozenset[str]:
    """Return the settings of a group, by their names in the environment file."""
    found = Settings.scopes().items()
    return frozenset(f"{PREFIX}{name.upper()}" for name, its in found if its.group == group.group)


OF_NGINX = _in(scope.NGINX)
"""Settings that change only Nginx's files, not the release. They are recorded in the site's Nginx file."""
DOMAIN, VOLUME, PROCESSES = f"{PREFIX}DOMAINS=", f"{PREFIX}VOLUMES=", f"{PREFIX}{PROCESS}"
# Settings about where the project is and where it goes; and those whose parts are recorded.
_OF_THE_LAPTOP = _in(scope.SITE)


def of_nginx(settings: Settings) -> list[str]:
    """Return the notes about the site's Nginx file, without its host names, which belong to the release."""
    return [*sorted(_given(settings) & OF_NGINX), *_volumes(settings)]


def of_release(settings: Settings) -> list[str]:
    """Return the notes about a release, without its host names (hosts.py)."""
    names = _given(settings) - OF_NGINX - _OF_THE_LAPTOP - {VOLUME.rstrip("=")}
    return [*sorted(names), *_volumes(settings)]


def of_environment(settings: Settings) -> list[str]:
    """Return the names of the application's variables."""
    return sorted(settings.env)


def process(name: str) -> str:
    """Return the name of a process's setting, from the name of its container."""
    return f"{PROCESSES}{name}".upper().replace("-", "_")


def key(note: str) -> str:
    """Return a form that is equal for notes with the same meaning: without the prefix, in the same case."""
    name, equals, part = note.partition("=")
    known = re.sub(r"[^A-Z0-9]", "_", name.upper()).removeprefix(PREFIX)
    return f"{known}{equals}{part.lower()}"


def _given(settings: Settings) -> set[str]:
    """Return the settings that have a value, by their names in the environment file."""
    values = settings.dotenv.values.items()
    return {name for name, value in values if name.startswith(PREFIX) and value.reveal().strip()}


def _volumes(settings: Settings) -> list[str]:
    return [f"{VOLUME}{volume.partition(':')[0]}" for volume in settings.volumes]

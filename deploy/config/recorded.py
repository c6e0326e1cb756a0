"""What is noted of a deploy's settings, for the next one to be compared with: names, never values.

A note is a setting's name, ``DEPLOY_ALLOW``; or, of a list whose parts everybody may know, ``DEPLOY_VOLUMES=cache``.
"""

from __future__ import annotations

import re

from .settings import PREFIX, PROCESS, Settings

OF_NGINX = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "ALLOW", "BASIC_AUTH", "BLOCK_AGENTS", "CACHE", "DENY", "HSTS", "HTTP3", "MAX_BODY", "NGINX_INCLUDE",
        "RATE_LIMIT", "REAL_IP",
    )
)  # fmt: skip
"""Settings that Nginx's files follow, and no release: they are noted in the site's file there."""
DOMAIN, VOLUME, PROCESSES = f"{PREFIX}DOMAINS=", f"{PREFIX}VOLUMES=", f"{PREFIX}{PROCESS}"
# Where the project is and where it goes; and those of which the parts are noted.
_OF_THE_LAPTOP = {f"{PREFIX}{name}" for name in ("SITE", "HOSTS", "APP", "KIND", "DOMAINS", "REDIRECT_DOMAINS")}


def of_nginx(settings: Settings) -> list[str]:
    """What the site's Nginx file is made of, but for its names, which follow the release."""
    return [*sorted(_given(settings) & OF_NGINX), *_volumes(settings)]


def of_release(settings: Settings) -> list[str]:
    """What a release is made of, but for its names (hosts.py)."""
    names = _given(settings) - OF_NGINX - _OF_THE_LAPTOP - {VOLUME.rstrip("=")}
    return [*sorted(names), *_volumes(settings)]


def of_environment(settings: Settings) -> list[str]:
    """The application's names."""
    return sorted(settings.env)


def process(name: str) -> str:
    """What a process's setting is called, by the name of its container."""
    return f"{PROCESSES}{name}".upper().replace("-", "_")


def key(note: str) -> str:
    """What is the same of two notes that mean the same: with or without the prefix, in small letters or large ones."""
    name, equals, part = note.partition("=")
    known = re.sub(r"[^A-Z0-9]", "_", name.upper()).removeprefix(PREFIX)
    return f"{known}{equals}{part.lower()}"


def _given(settings: Settings) -> set[str]:
    """The settings that have a value, by their names in the environment file."""
    values = settings.dotenv.values.items()
    return {name for name, value in values if name.startswith(PREFIX) and value.reveal().strip()}


def _volumes(settings: Settings) -> list[str]:
    return [f"{VOLUME}{volume.partition(':')[0]}" for volume in settings.volumes]

"""The site's name, and a check that two environment files don't share one."""

from __future__ import annotations

import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from ..core.errors import Refused
from . import dotenv
from .names import PREFIX


def site_name(path: Path) -> str:
    """Return the site's name if none is set: the folder's name, and the file's too if it isn't .env."""
    folder = re.sub(r"^[^a-z]+", "", _slug(path.parent.resolve().name)) or "site"
    file = _slug(re.sub(r"^\.env\b|\.env$", "", path.name))
    if not file:
        return folder[:31].rstrip("-")
    name = f"{folder}-{file}"
    # Plain truncation would make long names with the same beginning equal.
    return name if len(name) <= 31 else f"{name[:22].rstrip('-')}-{sha256(name.encode()).hexdigest()[:8]}"


def whereabouts(path: Path) -> tuple[bool, str]:
    """Return of a site, before its settings are checked, whether they say where it is, and the site's name."""
    with suppress(Refused):
        values = dotenv.read(path).values
        name = values[f"{PREFIX}SITE"].reveal() if f"{PREFIX}SITE" in values else ""
        hosts = values[f"{PREFIX}HOSTS"].reveal() if f"{PREFIX}HOSTS" in values else ""
        return bool(hosts.strip()), name or site_name(path)
    return False, site_name(path)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def same_name(path: Path) -> list[str]:
    """Return a fault for each other environment file in the folder that would give the same site name."""
    try:
        beside = [other for other in path.parent.iterdir() if other.name != path.name and not other.is_dir()]
    except OSError:
        return []
    return [
        f"DEPLOY_SITE is missing: {path.name} and {other.name}, in the same folder, would both give the site name "
        f"{site_name(path)}."
        for other in sorted(beside)
        if site_name(other) == site_name(path) and _is_environment(other)
    ]


def _is_environment(path: Path) -> bool:
    """Return whether a file is an environment file of ours: a copy with another ending may be anything."""
    try:
        return re.search(r"^(export\s+)?DEPLOY_DOMAINS\s*=", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False

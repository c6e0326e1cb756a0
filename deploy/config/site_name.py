"""The site's name, and whether two names are of one site."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path


def site_name(path: Path) -> str:
    """The site's name where none is set: the folder's, and of another file than .env also the file's."""
    folder = re.sub(r"^[^a-z]+", "", _slug(path.parent.resolve().name)) or "site"
    file = _slug(re.sub(r"^\.env\b|\.env$", "", path.name))
    if not file:
        return folder[:31].rstrip("-")
    name = f"{folder}-{file}"
    # Cut short, names that begin alike would be the same.
    return name if len(name) <= 31 else f"{name[:22].rstrip('-')}-{sha256(name.encode()).hexdigest()[:8]}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def same_name(path: Path) -> list[str]:
    """Another environment file of the folder by which the site's name would be the same."""
    try:
        beside = [other for other in path.parent.iterdir() if other.name != path.name and not other.is_dir()]
    except OSError:
        return []
    return [
        f"DEPLOY_SITE is missing: {path.name} and {other.name}, in one folder, would both name the site "
        f"{site_name(path)}."
        for other in sorted(beside)
        if site_name(other) == site_name(path) and _is_environment(other)
    ]


def _is_environment(path: Path) -> bool:
    """Whether a file is one of ours: a copy with another ending may be any."""
    try:
        return re.search(r"^(export\s+)?DEPLOY_DOMAINS\s*=", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False

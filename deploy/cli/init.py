"""``fab init``: a commented .env with generated secrets, for the Django project it finds."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from ..build.source import RUBBISH
from ..core.errors import Refused
from ..core.files import ENV_EXAMPLE, SAMPLE


def write(path: Path, domains: str, hosts: Sequence[str] = ()) -> None:
    """Write ``path`` from .env.example, with new secrets. Raises Refused if it exists: it never overwrites."""
    lines = ENV_EXAMPLE.read_text(encoding="utf-8").splitlines(keepends=True)
    values = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        "DEPLOY_DOMAINS": domains,
    } | ({"DEPLOY_HOSTS": ",".join(hosts)} if hosts else {})
    if app := find_app(path.parent.resolve()):
        values["DEPLOY_APP"] = app
    text = "".join(_filled(line, values) for line in lines)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(
            f"{path} already exists and was not changed.", hint="Edit it, or name another file with --env FILE."
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def find_app(folder: Path) -> str:
    """Return the folder with manage.py: this one, or the only one at most two levels down; empty if that isn't clear.
    Portside's own sample site doesn't count."""
    found = {path.parent for pattern in ("manage.py", "*/manage.py", "*/*/manage.py") for path in folder.glob(pattern)}
    found = {place for place in found - {SAMPLE} if not RUBBISH & set(place.relative_to(folder).parts)}
    if folder in found:
        return "."
    return str(found.pop().relative_to(folder)) if len(found) == 1 else ""


def _filled(line: str, values: dict[str, str]) -> str:
    name, equals, _ = line.removeprefix("#").partition("=")
    return f"{name}={values[name]}\n" if equals and name in values else line

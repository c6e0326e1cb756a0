"""The copy of the environment file on the server, which ``fab env --pull`` downloads."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256

from ..config import dotenv
from ..config.names import PREFIX
from ..config.settings import Settings
from ..core import server_paths
from ..core.steps import Step, folder, write
from .context import Run

EXCLUDED = (f"{PREFIX}REGISTRY_PASSWORD",)
"""Settings that the copy leaves out. The server has the registry's password only during a pull."""


def steps(run: Run) -> list[Step]:
    """Return the steps that store the environment file on the server after a deploy: none if it is already there."""
    if not run.request.flow.builds:
        return []
    text = content(run.settings)
    there = run.facts.files.get(run.site.settings)
    if there and there.sha256 == sha256(text.encode()).hexdigest():
        return []
    return [folder(server_paths.SETTINGS, 0o700), write(run.site.settings, text, 0o600, secret=True)]


def content(settings: Settings) -> str:
    """Return the environment file and the values of Portside's own settings, for comparison, as JSON. It is in base64,
    so that a glance at the file reveals no values."""
    copy = {"text": dotenv.text_of(settings.dotenv, EXCLUDED), "values": kept_values(settings)}
    return b64encode(json.dumps(copy).encode()).decode() + "\n"


def kept_values(settings: Settings) -> dict[str, str]:
    """Return the values of Portside's own settings that the copy keeps."""
    given = {name: value.reveal() for name, value in settings.dotenv.values.items() if name.startswith(PREFIX)}
    given = {name: value for name, value in given.items() if name not in EXCLUDED}
    return {name: value for name, value in sorted(given.items()) if value}

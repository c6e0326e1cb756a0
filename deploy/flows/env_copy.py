"""The copy of the environment file on the server, which ``fab env --pull`` brings back."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256

from ..config import dotenv
from ..config.settings import PREFIX, Settings
from ..core import server_paths
from ..core.steps import Step, folder, write
from .context import Run

EXCLUDED = (f"{PREFIX}REGISTRY_PASSWORD",)
"""What isn't kept: it is on the server for the time of a pull alone."""


def steps(run: Run) -> list[Step]:
    """What keeps the environment file on the server, after a deploy: nothing where it is there already."""
    if not run.request.flow.builds:
        return []
    text = content(run.settings)
    there = run.facts.files.get(run.site.settings)
    if there and there.sha256 == sha256(text.encode()).hexdigest():
        return []
    return [folder(server_paths.SETTINGS, 0o700), write(run.site.settings, text, 0o600, secret=True)]


def content(settings: Settings) -> str:
    """The environment file, and the values of Portside's own settings for a comparison: JSON, in base64 so that nobody
    sees it who only looks around."""
    told = {"text": dotenv.text_of(settings.dotenv, EXCLUDED), "values": kept_values(settings)}
    return b64encode(json.dumps(told).encode()).decode() + "\n"


def kept_values(settings: Settings) -> dict[str, str]:
    given = {name: value.reveal() for name, value in settings.dotenv.values.items() if name.startswith(PREFIX)}
    given = {name: value for name, value in given.items() if name not in EXCLUDED}
    return {name: value for name, value in sorted(given.items()) if value}

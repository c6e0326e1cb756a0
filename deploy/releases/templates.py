"""Render the Compose templates."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..core import server_paths
from ..core.files import COMPOSE


def render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(values | _LABELS)


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - not HTML
        loader=FileSystemLoader(COMPOSE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["value"] = _yaml_value
    return environment


def _yaml_value(text: str) -> str:
    """Return text as a YAML scalar that Compose takes literally. JSON is valid YAML, except for unprintable characters;
    Compose would expand a $."""
    shown = json.dumps(text, ensure_ascii=False).replace("$", "$$")
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", shown)


# https://yaml.org/spec/1.2.2/#51-character-set; and what YAML 1.1 takes for the end of a line
_UNPRINTABLE = re.compile("[^ -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


_LABELS = {
    "label_site": server_paths.LABEL_SITE,
    "label_release": server_paths.LABEL_RELEASE,
    "label_role": server_paths.LABEL_ROLE,
    "label_process": server_paths.LABEL_PROCESS,
}

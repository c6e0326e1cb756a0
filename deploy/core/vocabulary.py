"""Vocabulary: Portside's own words. A secret may be a plain word, which isn't masked in Portside's own text."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from .files import TOP

TEXTS = ("fabfile.py", "deploy/**/*.py", "deploy/remote/**/*.sh", "compose/*", "nginx_templates/**/*.j2")
JOINT = re.compile(
    r"""["']\s*\n\s*(?:\|\s*)?[rf]{0,2}["']"""
)  # joins the parts of a text that is split over several lines
NUMBER = re.compile(r"[\d.,:]{1,8}")  # of seconds, ports, versions, sizes


@lru_cache(maxsize=1024)
def has(text: str) -> bool:
    """Whether Portside's own texts contain these words in this order, or the text is a number."""
    words = " ".join(text.casefold().split()).strip(" .,:;!?\"'()“”")
    if not words or NUMBER.fullmatch(words):
        return bool(words)
    if words not in _texts():
        return False
    return re.search(rf"(?<![^\W_]){re.escape(words)}(?![^\W_])", _texts()) is not None


@cache
def _texts() -> str:
    """Return all of Portside's texts. They are only read once a secret seems to occur in one."""
    files = sorted({path for pattern in TEXTS for path in TOP.glob(pattern) if path.is_file()})
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)
    return " ".join(JOINT.sub("", text).casefold().split())

"""Vocabulary: what Portside itself says. A secret may be a plain word, and is none where Portside uses it."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from .files import TOP

TEXTS = ("fabfile.py", "deploy/**/*.py", "deploy/remote/**/*.sh", "compose/*", "nginx_templates/**/*.j2")
JOINT = re.compile(r"""["']\s*\n\s*(?:\|\s*)?[rf]{0,2}["']""")  # between the parts of a text that is broken into lines
NUMBER = re.compile(r"[\d.,:]{1,8}")  # of seconds, ports, versions, sizes


@lru_cache(maxsize=1024)
def has(text: str) -> bool:
    """Whether Portside may say this by itself: words that stand in its own texts one after the other, or a number."""
    words = " ".join(text.casefold().split()).strip(" .,:;!?\"'()“”")
    if not words or NUMBER.fullmatch(words):
        return bool(words)
    if words not in _texts():
        return False
    return re.search(rf"(?<![^\W_]){re.escape(words)}(?![^\W_])", _texts()) is not None


@cache
def _texts() -> str:
    """All of Portside's texts. They are read only where a secret seems to stand in one."""
    files = sorted({path for pattern in TEXTS for path in TOP.glob(pattern) if path.is_file()})
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)
    return " ".join(JOINT.sub("", text).casefold().split())

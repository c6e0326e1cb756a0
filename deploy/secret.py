"""A value that must not be seen: it prints as [hidden] wherever it lands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SHORTEST = 8
GUESSES = (
    "admin", "change", "changeit", "changeme", "default", "demo", "dev", "development", "django", "dummy", "example",
    "foobar", "insecure", "key", "letmein", "login", "mypassword", "mysecret", "pass", "passw0rd", "passwd", "password",
    "placeholder", "postgres", "postgresql", "production", "qwerty", "qwertyuiop", "replaceme", "root", "secret",
    "secretkey", "test", "testing", "todo", "user", "welcome", "your", "yourpassword", "yoursecret", "yoursecretkey",
)  # fmt: skip
SEQUENCES = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm")


def weakness(value: str) -> str:
    """What is wrong with a key or password, in words that follow its name; empty if nothing is."""
    if not value:
        return "is missing"
    if len(value) < SHORTEST:
        return f"is too short ({len(value)} characters)"
    lower = value.lower()
    words, digits = re.findall(r"[a-z]+", lower), re.sub(r"[^0-9]", "", value)
    guessed = "".join(words) in GUESSES or (words and all(word in GUESSES for word in words))
    few = len(set(value)) < 4 and len(value) < 24
    row = any(lower in known for known in SEQUENCES)
    if (guessed and len(digits) < SHORTEST) or few or row or value.startswith("django-insecure-"):
        return "can be guessed"
    return ""


@dataclass(frozen=True)
class Secret:
    """Text that is only read on purpose, with :meth:`reveal`."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "[hidden]"

    __str__ = __repr__

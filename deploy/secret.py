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
    plain = re.sub(r"[^a-z0-9]", "", value.lower())
    word = plain.strip("0123456789")
    few = len(set(value)) < 4 and len(value) < 24
    words = re.findall(r"[a-z]+", value.lower())
    guessed = word in GUESSES or (bool(words) and all(each in GUESSES for each in words))
    if guessed or few or value.startswith("django-insecure-") or any(plain in known for known in SEQUENCES):
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

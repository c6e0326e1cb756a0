"""Secret values, which print as [hidden]; and which parts of an environment variable are secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

SHORTEST = 8
GUESSES = (
    "admin", "change", "changeit", "changeme", "default", "demo", "dev", "development", "django", "dummy", "example",
    "foobar", "insecure", "key", "letmein", "login", "mypassword", "mysecret", "pass", "passw0rd", "passwd", "password",
    "placeholder", "postgres", "postgresql", "production", "qwerty", "qwertyuiop", "replaceme", "root", "secret",
    "secretkey", "test", "testing", "todo", "user", "welcome", "your", "yourpassword", "yoursecret", "yoursecretkey",
)  # fmt: skip
SEQUENCES = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm")


def weakness(value: str) -> str:
    """Return what is wrong with a key or password, as words that follow its name; empty if nothing is."""
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
    """A text that only :meth:`reveal` returns."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "[hidden]"

    __str__ = __repr__


# What is secret

PUBLIC = {"ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DJANGO_SETTINGS_MODULE", "POSTGRES_USER", "POSTGRES_DB"}
SECRET = re.compile(
    r"(SECRET|PASS(WORD|WD|PHRASE|CODE)?|PW|PWD|TOKEN|KEY|CREDENTIALS?|PRIVATE|SALT|PIN|OTP|SEED|DSN|WEBHOOK|SIGNATURE|SIG)S?"
    r"|\w*(PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|APIKEY)S?"
)
NAMING = {
    "USER", "USERNAME", "DB", "DATABASE", "NAME", "HOST", "HOSTS", "HOSTNAME", "PORT", "DOMAIN", "DOMAINS", "REGION",
    "ENGINE", "MODULE", "LEVEL", "LANGUAGE", "TIMEZONE", "TZ", "ORIGINS",
}  # fmt: skip
# Numbers, single words, modules, language codes, sizes, plain paths: secret only if the variable's name says so.
HARMLESS = re.compile(
    r"[a-z]+|[A-Z]+|[A-Z][a-z]+|[a-z_]\w*(\.[A-Za-z_]\w*)+|[a-z]{2}[-_][A-Za-z]{2}|[-+]?\d*([.,:]\d+)*[a-zA-Z%]{0,2}"
    r"|\.{0,2}(/[a-z]+)+/?|[A-Z][a-z]+(/[A-Z][a-z]+)+|.{0,2}",
    re.ASCII,
)
PAIR = re.compile(r"""([\w.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;&,]+))""")


def leaves(name: str, value: str, public: Iterable[str] = ()) -> set[str]:
    """Return the secret parts of a variable's value; none if nothing in it is secret. ``public``: names that aren't
    secret, such as the site's."""
    known = {word.lower() for word in public}
    return {leaf for leaf in _leaves(name, value, known) if leaf.strip()}


def _leaves(name: str, value: str, public: set[str]) -> Iterator[str]:
    text = value.strip()
    if not text or text.lower() in public or name.upper() in PUBLIC:
        return
    if text[0] in "{[" and (inside := _json(text)) is not None:
        yield value
        for key, part in _strings(name, inside):
            yield from _leaves(key, part, public)
    elif re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) and not re.search(r"\s", text):
        yield from _of_url(name, text, public)
    elif len(parts := text.split(",")) > 1 and all(re.fullmatch(r"\s*[^\s,]{3,}\s*", part) for part in parts):
        found = [leaf for part in parts for leaf in _leaves(name, part.strip(), public)]
        yield from [value, *found] if len(found) == len(parts) else found
    elif _is_secret(name):
        if text.lower() not in {*GUESSES, "none", "true", "false", "on", "off", "yes", "no", "null"}:
            yield value
            yield from _parts(text)
    elif not HARMLESS.fullmatch(text) and not (_last(name) in NAMING and re.fullmatch(r"[\w.@:-]+", text)):
        yield value
        yield from _parts(text)


def _parts(text: str) -> Iterator[str]:
    """Yield the values in a longer text whose names say that they are secret."""
    yield from (value for key, *values in PAIR.findall(text) if _is_secret(key) and (value := "".join(values)))


def _of_url(name: str, text: str, public: set[str]) -> Iterator[str]:
    """Yield the secret parts of a URL:

    - the password, or the user name if there is no password
    - parameters with a secret name
    - parts of the path that look like keys
    - otherwise all of it, if the variable's name says that it is secret
    """
    try:
        url = urlsplit(text)
        user, password = url.username or "", url.password or ""
    except ValueError:
        yield text
        return
    found = [password, unquote(password)] if password else [user, unquote(user)] * (not HARMLESS.fullmatch(user))
    found += [user] * is_strong(user)
    found += [value for key, value in parse_qsl(url.query) if _is_secret(key) or is_strong(value)]
    found += [part for part in re.split(r"[/#]", f"{url.path}/{url.fragment}") if _is_key(part)]
    if found := [part for part in found if part]:
        yield from found
    elif (url.hostname or "").lower() not in public and _is_secret(name):
        yield text


def _is_key(part: str) -> bool:
    """Whether a part of a path looks like a key: letters mixed with digits."""
    words = re.split(r"[-_.~]", part)
    return len(part) >= 8 and any(re.fullmatch(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9]{6,}", word) for word in words)


def _json(text: str) -> object | None:
    try:
        found: object = json.loads(text)
    except ValueError:
        return None
    return found


def _strings(name: str, found: object) -> Iterator[tuple[str, str]]:
    """Yield the texts of a JSON value, each with its own name."""
    if isinstance(found, str):
        yield name, found
    elif isinstance(found, Mapping):
        for key, value in found.items():
            yield from _strings(str(key), value)
    elif isinstance(found, list):
        for value in found:
            yield from _strings(name, value)


def _words(name: str) -> list[str]:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper().replace("-", "_").replace(".", "_").split("_")


def _last(name: str) -> str:
    return _words(name)[-1]


def _is_secret(name: str) -> bool:
    """Whether a name says that its value is secret."""
    return any(SECRET.fullmatch(word) for word in _words(name))


def is_strong(text: str) -> bool:
    """Whether a text looks generated, so that a part of it can't occur elsewhere by chance."""
    kinds = [any(map(kind, text)) for kind in (str.islower, str.isupper, str.isdigit)]
    plain = re.fullmatch(r"[!-~]+", text) and "://" not in text
    return len(text) >= 12 and bool(plain) and len(set(text)) >= 8 and sum(kinds) >= 2

"""Masking: what of the environment is secret, and where a text tells it, in whatever spelling.

Not the spellings of a secret are listed: the text is read as one that undoes them would read it (percent-encoding,
HTML, escapes and quotes of shells, JSON, SQL and Python, hexadecimal pairs, broken lines), and what is found there is
hidden where it came from. Only what hides its content altogether, base64 and plain hexadecimal, is looked for as it is.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from . import vocabulary
from .secret import GUESSES

HIDDEN = "[hidden]"

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
# Numbers, single words, modules, codes of languages, sizes, plain paths: no secret unless the name says so.
HARMLESS = re.compile(
    r"[a-z]+|[A-Z]+|[A-Z][a-z]+|[a-z_]\w*(\.[A-Za-z_]\w*)+|[a-z]{2}[-_][A-Za-z]{2}|[-+]?\d*([.,:]\d+)*[a-zA-Z%]{0,2}"
    r"|\.{0,2}(/[a-z]+)+/?|[A-Z][a-z]+(/[A-Z][a-z]+)+|.{0,2}",
    re.ASCII,
)
PAIR = re.compile(r"""([\w.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;&,]+))""")


def leaves(name: str, value: str, public: Iterable[str] = ()) -> set[str]:
    """The parts of a variable's value that nobody may see; none where it says nothing that is secret. ``public``: names
    that everybody knows, such as the site's."""
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
    """What of a longer text is a secret by itself: what follows a name that says so."""
    yield from (value for key, *values in PAIR.findall(text) if _is_secret(key) and (value := "".join(values)))


def _of_url(name: str, text: str, public: set[str]) -> Iterator[str]:
    """Password, or a user's name without one; parameters by their names; parts of the path that look like keys; all of
    it where its name says so."""
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
    """Whether a part of a path looks like a key: letters and digits that are no word and no number."""
    words = re.split(r"[-_.~]", part)
    return len(part) >= 8 and any(re.fullmatch(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9]{6,}", word) for word in words)


def _json(text: str) -> object | None:
    try:
        found: object = json.loads(text)
    except ValueError:
        return None
    return found


def _strings(name: str, found: object) -> Iterator[tuple[str, str]]:
    """The texts of a JSON value, each with its own name."""
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
    """Whether a text looks made by a machine, so that a part of it is found nowhere by chance."""
    kinds = [any(map(kind, text)) for kind in (str.islower, str.isupper, str.isdigit)]
    plain = re.fullmatch(r"[!-~]+", text) and "://" not in text
    return len(text) >= 12 and bool(plain) and len(set(text)) >= 8 and sum(kinds) >= 2


# Where it is told

GRAM = 6
"""Characters that are looked up together, at every sixth place of a text: eleven of a secret's are never missed."""


@dataclass(frozen=True)
class Needle:
    """A secret, or how base64 or hexadecimal show it. ``bounded``: it may be a part of other words, and counts only by
    itself; ``part``: so many characters of it are secret anywhere, 0 where they may stand there by chance."""

    text: str
    bounded: bool
    part: int


class Mask:
    """Hides secrets in texts."""

    def __init__(self) -> None:
        self._needles: dict[str, Needle] = {}
        self._grams: dict[str, list[tuple[Needle, int]]] = {}
        self._exact: list[tuple[str, re.Pattern[str]]] = []
        self._public: re.Pattern[str] | None = None

    def add(self, secrets: Iterable[str], public: Iterable[str] = ()) -> None:
        """Hide these from now on, but not inside of a ``public`` name, such as the site's address."""
        for needle in (needle for secret in secrets for needle in _needles(secret)):
            if needle.text not in self._needles:
                self._needles[needle.text] = needle
                self._index(needle)
        if words := sorted((re.escape(word) for word in public if word), key=len, reverse=True):
            self._public = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(words)})(?![A-Za-z0-9])", re.IGNORECASE)

    def _index(self, needle: Needle) -> None:
        places = range(len(needle.text) - GRAM + 1)
        if len(places) < GRAM or len({needle.text[place : place + GRAM] for place in places}) < len(places):
            self._exact.append((needle.text, _pattern(needle)))
        for place in places:
            found = self._grams.setdefault(needle.text[place : place + GRAM], [])
            if len(found) < GRAM:
                found.append((needle, place))

    def __call__(self, text: str) -> str:
        """Others' text without them: what programs print, what files and servers say."""
        return _replaced(text, self._found(text))

    def own(self, text: str) -> str:
        """The same for Portside's own text, which says its own words whatever the secrets are."""
        return _replaced(text, [span for span in self._found(text) if not vocabulary.has(text[slice(*span)])])

    def _found(self, text: str) -> list[tuple[int, int]]:
        spans = list(self._spans(text)) if self._needles else []
        for depth, view in enumerate(_views(text) if self._needles else (), 1):
            if found := list(self._spans(view)):
                starts, ends = _places(text, depth)
                spans += [(starts[start], ends[end - 1]) for start, end in found]
        if spans and self._public:
            known = [found.span() for found in self._public.finditer(text)]
            spans = [span for span in spans if not any(_inside(span, name) for name in known)]
        return spans

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where there is a secret, or a part of one that can't be there by chance."""
        for word, pattern in self._exact:
            if word in text:
                yield from (found.span() for found in pattern.finditer(text))
        grams = self._grams
        for place in range(0, len(text) - GRAM + 1, GRAM):
            if text[place : place + GRAM] in grams:
                yield from _around(text, place, grams[text[place : place + GRAM]])
        for place in _edges(text):
            if text[place : place + GRAM] in grams:
                yield from _around(text, place, grams[text[place : place + GRAM]])


def _needles(secret: str) -> Iterator[Needle]:
    """A secret as it is, as a reader who undoes too much reads it, and in what shows nothing of it."""
    plain = secret.strip()
    lines = [line.strip() for line in plain.splitlines() if sum(map(str.isalnum, line)) >= GRAM]
    for text in dict.fromkeys((plain, plain.replace(" ", "+"), *lines, *_views(plain))):
        if text:
            strong = is_strong(text)
            yield Needle(text, len(text) < GRAM or (text.isalpha() and not strong), _part(text) if strong else 0)
    if len(secret) < GRAM:
        return
    value = secret.encode(errors="surrogateescape")
    for text in (*_in_base64(value), value.hex(), value.hex().upper()):
        yield Needle(text, False, _part(text))


def _part(text: str) -> int:
    """Of sixteen digits, eight in a row stand in every long log."""
    return 16 if re.fullmatch(r"[0-9a-fA-F]+", text) else 8


def _in_base64(value: bytes) -> Iterator[str]:
    """What of its base64 is the same whatever stands around it, as a user's name before a password."""
    for before in range(3):
        encoded = b64encode(bytes(before) + value).decode()
        same = encoded[-(-8 * before // 6) : 8 * (before + len(value)) // 6]
        yield from dict.fromkeys((same, same.replace("+", "-").replace("/", "_")))


def _pattern(needle: Needle) -> re.Pattern[str]:
    text = re.escape(needle.text)
    if len(needle.text) < 3:  # only as a value
        return re.compile(rf"""(?<=[=:"']){text}(?=["'\s,;&@]|$)""")
    return re.compile(rf"(?<![A-Za-z0-9]){text}(?![A-Za-z0-9])" if needle.bounded else text)


# What may stand around what is left of a line that was cut.
BEFORE, AFTER = " \t\"'([{<>|#", " \t\r\"'`)]}>.,…"


def _edges(text: str) -> Iterator[int]:
    """Where the first and the last word of a line begins: it may be what is left of a secret that was cut."""
    if "\n" not in text:
        yield len(text) - len(text.lstrip(BEFORE))
        yield max(len(text.rstrip(AFTER)) - GRAM, 0)
        return
    at = 0
    for line in text.split("\n"):
        yield at + len(line) - len(line.lstrip(BEFORE))
        yield max(at + len(line.rstrip(AFTER)) - GRAM, at)
        at += len(line) + 1


def _around(text: str, place: int, found: Iterable[tuple[Needle, int]]) -> Iterator[tuple[int, int]]:
    """Of what is the same in a text and in needles here, as far as it goes: what counts."""
    for needle, offset in found:
        start, end, first, last = place, place + GRAM, offset, offset + GRAM
        while start and first and text[start - 1] == needle.text[first - 1]:
            start, first = start - 1, first - 1
        while end < len(text) and last < len(needle.text) and text[end] == needle.text[last]:
            end, last = end + 1, last + 1
        if _counts(text, start, end, needle, first == 0, last == len(needle.text)):
            yield start, end


def _counts(text: str, start: int, end: int, needle: Needle, whole_start: bool, whole_end: bool) -> bool:
    if whole_start and whole_end:
        return not needle.bounded or not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())
    if needle.bounded:
        return False
    size = end - start
    if needle.part and size >= needle.part and (size >= 16 or _is_mixed(text[start:end])):
        return True
    begins, ends = _begins(text, start), _ends(text, end)
    cut = (whole_start and ends) or (whole_end and begins) or (begins and ends)
    return cut and size * 4 >= min(len(needle.text), 32) and (bool(needle.part) or not text[start:end].isalpha())


def _is_mixed(text: str) -> bool:
    return any(map(str.isdigit, text)) + any(map(str.islower, text)) + any(map(str.isupper, text)) > 1


def _begins(text: str, start: int) -> bool:
    return not text[text.rfind("\n", 0, start) + 1 : start].strip(BEFORE)


def _ends(text: str, end: int) -> bool:
    return not text[end : text.find("\n", end) if "\n" in text[end:] else len(text)].strip(AFTER)


def _inside(span: tuple[int, int], name: tuple[int, int]) -> bool:
    """Whether a span is a part of a name, and not all of it."""
    return name[0] <= span[0] and span[1] <= name[1] and span != name


def _replaced(text: str, spans: list[tuple[int, int]]) -> str:
    if not spans:
        return text
    told, end = [], 0
    for first, last in sorted(spans):
        if first >= end:
            told += [text[end:first], HIDDEN]
        end = max(end, last)
    return "".join([*told, text[end:]])


# A text as those read it who undo its encodings


_ENCODED = r"""[%&\\'"$](?:
      (?<=%)(?P<percent>[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*)
    | (?<=&)(?P<entity>(?:\#\d{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)
    | (?<=')(?P<quote>"'"'|\\''|') | (?<=["$])(?P<double>(?<=")"|(?<=\$)\$)
    | (?<=\\)(?: (?P<byte>x[0-9A-Fa-f]{2}(?:\\x[0-9A-Fa-f]{2})*) | (?P<octal>[0-3][0-7]{2}(?:\\[0-3][0-7]{2})*)
        | (?P<unit>u[0-9A-Fa-f]{4}(?:\\u[0-9A-Fa-f]{4})*) | (?P<point>U[0-9A-Fa-f]{8}) | (?P<escape>.) )
    )"""
ENCODED = re.compile(_ENCODED, re.VERBOSE | re.DOTALL)
# Slower, and seldom needed: pairs of digits, and lines that were broken.
WHOLLY = re.compile(
    rf"{_ENCODED} | (?P<pairs>\b[0-9A-Fa-f]{{2}}(?:[ :-][0-9A-Fa-f]{{2}}){{5,}}\b) | (?P<broken>[ \t\r]*\n[ \t]*)",
    re.VERBOSE | re.DOTALL,
)
SIGNS = ("%", "&", "\\", "''", '""', "'\"'", "$$")  # told faster than by the expression
PAIRS = re.compile(r"[0-9A-Fa-f]{2}[ :-][0-9A-Fa-f]{2}[ :-][0-9A-Fa-f]{2}[ :-]")
ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "\n": "",
}


def _views(text: str) -> Iterator[str]:
    """A text undone once, twice and three times, as far as there is something to undo: encodings lie in each other."""
    for _ in range(3):
        expression = _expression(text)
        undone = expression.sub(_undone, text) if expression else text
        if undone == text:
            return
        text = undone
        yield text


def _expression(text: str) -> re.Pattern[str] | None:
    """What finds all that is encoded in a text; nothing where there is no sign of it."""
    if "\n" in text or PAIRS.search(text):
        return WHOLLY
    for sign in SIGNS:
        if sign in text:
            return ENCODED
    return None


def _undone(found: re.Match[str]) -> str:
    return "".join(character for character, _ in _decoded(found))


def _places(text: str, depth: int) -> tuple[list[int], list[int]]:
    """Where each character of a text that was undone so many times begins and ends in the text itself."""
    starts, ends = list(range(len(text))), list(range(1, len(text) + 1))
    for _ in range(depth):
        widths: list[tuple[int, int]] = []
        expression, at = _expression(text) or ENCODED, 0
        for found in expression.finditer(text):
            widths += [(place, place + 1) for place in range(at, found.start())]
            at = found.start()
            for character, width in _decoded(found):
                widths += [(at, at + width)] * len(character)
                at += width
            at = found.end()
        widths += [(place, place + 1) for place in range(at, len(text))]
        starts, ends = [starts[first] for first, _ in widths], [ends[last - 1] for _, last in widths]
        text = expression.sub(_undone, text)
    return starts, ends


def _decoded(found: re.Match[str]) -> Iterator[tuple[str, int]]:
    """The characters that an encoded piece stands for, and how wide each is in it."""
    kind, text = str(found.lastgroup), found.group()
    if kind in {"percent", "byte", "octal"}:
        width = 3 if kind == "percent" else 4
        numbers = bytes(
            int(text[at + 1 : at + width].lstrip("x"), 8 if kind == "octal" else 16)
            for at in range(0, len(text), width)
        )
        for character in _of_bytes(numbers, escaped=kind == "byte"):
            yield character, width * (len(character.encode(errors="surrogateescape")) if _is_utf8(numbers, kind) else 1)
    elif kind == "unit":
        units = b"".join(int(text[at + 2 : at + 6], 16).to_bytes(2, "big") for at in range(0, len(text), 6))
        for character in units.decode("utf-16-be", errors="surrogatepass"):
            yield character, 12 if ord(character) > 0xFFFF else 6
    elif kind == "point":
        yield (chr(number) if (number := int(text[2:], 16)) < 0x110000 else text), len(text)
    elif kind == "entity":
        yield html.unescape(text), len(text)
    elif kind in {"quote", "double"}:
        yield text[0], len(text)
    elif kind == "escape":
        yield ESCAPES.get(text[1], text[1]), len(text)
    elif kind == "pairs":
        for at in range(0, len(text), 3):
            yield text[at : at + 2], 2 if at + 2 == len(text) else 3


def _is_utf8(numbers: bytes, kind: str) -> bool:
    return kind != "byte" or _as_utf8(numbers) is not None


def _as_utf8(numbers: bytes) -> str | None:
    try:
        return numbers.decode()
    except UnicodeDecodeError:
        return None


def _of_bytes(numbers: bytes, *, escaped: bool) -> str:
    """Bytes as text; escapes that aren't UTF-8 are those of Python's repr of a text."""
    whole = _as_utf8(numbers)
    if whole is not None:
        return whole
    return numbers.decode("latin-1") if escaped else numbers.decode(errors="surrogateescape")

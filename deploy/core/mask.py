"""Masking: finds secrets in a text and hides them, in any spelling.

The spellings of a secret aren't enumerated. Instead the text is decoded (percent-encoding, HTML, escapes and quotes of
shells, JSON, SQL and Python, hexadecimal pairs, broken lines) and searched; a match is hidden at its position in the
original text. Only base64 and plain hexadecimal, in which nothing of the secret can be recognised, are searched as
such.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from . import secret as core_secret
from . import spellings, vocabulary

HIDDEN = "[hidden]"


# Finding secrets

GRAM = 6
"""Characters looked up together, at every sixth position of a text: eleven characters of a secret are always found."""


@dataclass(frozen=True)
class Needle:
    """A secret, or its base64 or hexadecimal form. ``bounded``: it may occur inside other words, so that only whole
    words count; ``part``: the number of its characters that are hidden anywhere; 0 if a part may occur by chance."""

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
        """Hide these from now on, except inside a ``public`` name, such as the site's address."""
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
        """Return text from elsewhere without secrets: the output of programs, files, servers."""
        return _replaced(text, self._found(text))

    def own(self, text: str) -> str:
        """Return Portside's own text without secrets. Its own words stay, even if a secret is one of them."""
        return _replaced(text, [span for span in self._found(text) if not vocabulary.has(text[slice(*span)])])

    def _found(self, text: str) -> list[tuple[int, int]]:
        spans = list(self._spans(text)) if self._needles else []
        for depth, view in enumerate(spellings.views(text) if self._needles else (), 1):
            if found := list(self._spans(view)):
                starts, ends = spellings.places(text, depth)
                spans += [(starts[start], ends[end - 1]) for start, end in found]
        if spans and self._public:
            known = [found.span() for found in self._public.finditer(text)]
            spans = [span for span in spans if not any(_inside(span, name) for name in known)]
        return spans

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where there is a secret, or a part of one that can't be there by chance."""
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
    """Yield the forms of a secret: as it is, decoded, and in base64 and hexadecimal."""
    plain = secret.strip()
    lines = [line.strip() for line in plain.splitlines() if sum(map(str.isalnum, line)) >= GRAM]
    for text in dict.fromkeys((plain, plain.replace(" ", "+"), *lines, *spellings.views(plain))):
        if text:
            strong = core_secret.is_strong(text)
            yield Needle(text, len(text) < GRAM or (text.isalpha() and not strong), _part(text) if strong else 0)
    if len(secret) < GRAM:
        return
    value = secret.encode(errors="surrogateescape")
    for text in (*_in_base64(value), value.hex(), value.hex().upper()):
        yield Needle(text, False, _part(text))


def _part(text: str) -> int:
    """Return how many characters identify a text. Eight hexadecimal digits in a row occur in every long log."""
    return 16 if re.fullmatch(r"[0-9a-fA-F]+", text) else 8


def _in_base64(value: bytes) -> Iterator[str]:
    """Yield the part of its base64 that doesn't depend on what surrounds it, such as a user name before a password."""
    for before in range(3):
        encoded = b64encode(bytes(before) + value).decode()
        same = encoded[-(-8 * before // 6) : 8 * (before + len(value)) // 6]
        yield from dict.fromkeys((same, same.replace("+", "-").replace("/", "_")))


def _pattern(needle: Needle) -> re.Pattern[str]:
    text = re.escape(needle.text)
    if len(needle.text) < 3:  # only as a value
        return re.compile(rf"""(?<=[=:"']){text}(?=["'\s,;&@]|$)""")
    return re.compile(rf"(?<![A-Za-z0-9]){text}(?![A-Za-z0-9])" if needle.bounded else text)


# Characters that may surround the rest of a truncated line.
BEFORE, AFTER = " \t\"'([{<>|#", " \t\r\"'`)]}>.,…"


def _edges(text: str) -> Iterator[int]:
    """Yield where the first and the last word of each line begin: they may be the rest of a truncated secret."""
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
    """Extend each match of a text with a needle as far as they agree, and yield those that count as secret."""
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
    """Whether a span is a part of a name, but not the whole name."""
    return name[0] <= span[0] and span[1] <= name[1] and span != name


def _replaced(text: str, spans: list[tuple[int, int]]) -> str:
    if not spans:
        return text
    parts, end = [], 0
    for first, last in sorted(spans):
        if first >= end:
            parts += [text[end:first], HIDDEN]
        end = max(end, last)
    return "".join([*parts, text[end:]])

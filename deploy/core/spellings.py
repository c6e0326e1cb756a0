"""Spellings: decodes the ways in which a text can contain a secret, and maps positions back to the text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

# Decoding a text


_ENCODED = r"""[%&\\'"$](?:
      (?<=%)(?P<percent>[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*)
    | (?<=&)(?P<entity>(?:\#\d{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)
    | (?<=')(?P<quote>"'"'|\\''|') | (?<=["$])(?P<double>(?<=")"|(?<=\$)\$)
    | (?<=\\)(?: (?P<byte>x[0-9A-Fa-f]{2}(?:\\x[0-9A-Fa-f]{2})*) | (?P<octal>[0-3][0-7]{2}(?:\\[0-3][0-7]{2})*)
        | (?P<unit>u[0-9A-Fa-f]{4}(?:\\u[0-9A-Fa-f]{4})*) | (?P<point>U[0-9A-Fa-f]{8}) | (?P<escape>.) )
    )"""
ENCODED = re.compile(_ENCODED, re.VERBOSE | re.DOTALL)
# Slower and rarely needed: pairs of digits, and broken lines.
WHOLLY = re.compile(
    rf"{_ENCODED} | (?P<pairs>\b[0-9A-Fa-f]{{2}}(?:[ :-][0-9A-Fa-f]{{2}}){{5,}}\b) | (?P<broken>[ \t\r]*\n[ \t]*)",
    re.VERBOSE | re.DOTALL,
)
SIGNS = ("%", "&", "\\", "''", '""', "'\"'", "$$")  # a quick check before the regular expression
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


def views(text: str) -> Iterator[str]:
    """Yield a text decoded once, twice and three times, while there is something to decode: encodings can be nested."""
    for _ in range(3):
        expression = _expression(text)
        undone = expression.sub(_undone, text) if expression else text
        if undone == text:
            return
        text = undone
        yield text


def _expression(text: str) -> re.Pattern[str] | None:
    """Return the expression that finds everything encoded in a text; None if there is no sign of any."""
    if "\n" in text or PAIRS.search(text):
        return WHOLLY
    for sign in SIGNS:
        if sign in text:
            return ENCODED
    return None


def _undone(found: re.Match[str]) -> str:
    return "".join(character for character, _ in _decoded(found))


def places(text: str, depth: int) -> tuple[list[int], list[int]]:
    """Return where each character of the text, decoded ``depth`` times, begins and ends in the original text."""
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
    """Yield the characters of an encoded piece, each with its width in that piece."""
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
    """Decode bytes; escapes that aren't UTF-8 come from Python's repr of a text."""
    whole = _as_utf8(numbers)
    if whole is not None:
        return whole
    return numbers.decode("latin-1") if escaped else numbers.decode(errors="surrogateescape")

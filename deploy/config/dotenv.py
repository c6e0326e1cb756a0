"""The .env file: read as python-dotenv reads it, written as Compose reads it.

Values travel byte for byte. python-dotenv's own reader warns about a line it can't parse and goes on, and expands
``${X}`` even inside single quotes; so its parser is used, and its two conveniences are not.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import parse_stream

from ..core.errors import Refused
from ..core.secret import Secret

# What every shell has of its own: where .env says one of these, it means the application's.
OF_THE_SHELL = {"HOME", "LOGNAME", "USER", "SHELL", "PATH", "PWD", "OLDPWD", "SHLVL", "TERM", "HOSTNAME", "_"}

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True)
class Dotenv:
    """What an environment file says.

    ``overridden``: names whose value the process environment decided. ``faults``: sentences, one for each line
    that can't be read.
    """

    path: Path
    values: Mapping[str, Secret]
    overridden: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def named(given: str) -> str:
    """The file that ``--env`` names: a path, or the NAME of ``.env.NAME``."""
    short = re.fullmatch(r"[A-Za-z0-9_-]+", given) and not Path(given).exists()
    return f".env.{given}" if short else given


def read(path: Path, process: Mapping[str, str] = os.environ) -> Dotenv:
    """Read ``path``; without it, take the names of the ``.env.example`` beside it from the process environment.

    Raises Refused when there is neither, or the file can't be opened.
    """
    faults: list[str] = []
    process = {name: value for name, value in process.items() if name not in OF_THE_SHELL}
    if path.exists():
        given, faults = parse(path)
        overridden = tuple(name for name in given if name in process and process[name] != given[name])
        values = {name: process.get(name, value) for name, value in given.items()}
    else:
        values = {name: process[name] for name in _example_names(path) if name in process}
        overridden = ()
    return Dotenv(path, {name: Secret(value) for name, value in values.items()}, overridden, tuple(faults))


def parse(path: Path) -> tuple[dict[str, str], list[str]]:
    """Names and values of an environment file, and a sentence for each line at fault, with its number."""
    return parse_text(_text(path), path)


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path} can't be read: {error}") from error


def parse_text(text: str, path: Path) -> tuple[dict[str, str], list[str]]:
    """The same of a text that stands in ``path``, or is to stand there."""
    faults: list[str] = []
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text, newline="")):
        fault = _fault(binding.key, binding.value, binding.error)
        if fault:
            lead = len(binding.original.string) - len(binding.original.string.lstrip("\r\n"))
            line = binding.original.line + binding.original.string[:lead].count("\n")
            faults.append(f"{path}, line {line}: {fault}")
        elif binding.key is not None:
            values[binding.key] = binding.value or ""
    return values, faults


def _fault(key: str | None, value: str | None, error: bool) -> str:
    if error:
        return "can't be read. A line is NAME=value; quote a value that holds quotes, # or a newline."
    if key is None:
        return ""
    if not NAME.match(key):
        return f"“{key}” is no name for an environment variable."
    if value is None:
        return f"{key} has no value. Write {key}= if it is to be empty."
    if "\0" in value:
        return f"{key} holds a NUL character, which no environment variable can."
    return ""


def _example_names(path: Path) -> list[str]:
    example = path.with_name(".env.example")
    if not example.exists():
        raise Refused(f"There is no {path}.", hint="Type fab init to make one.")
    lines = re.findall(r"^#?\s?([A-Za-z_][A-Za-z0-9_]*)=", example.read_text(encoding="utf-8"), re.MULTILINE)
    return list(dict.fromkeys(lines))


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r"})


def for_compose(values: Mapping[str, str]) -> str:
    """An ``env_file`` that Compose 2.26 reads back exactly: double-quoted, with ``\\ " $`` and newlines escaped."""
    return "".join(f'{name}="{value.translate(_ESCAPES)}"\n' for name, value in sorted(values.items()))


FROM_THE_SHELL = "# From the environment of the shell that deployed:"


def text_of(dotenv: Dotenv, without: Collection[str] = ()) -> str:
    """An environment file that says what this one and the shell's environment came to: the file as it is, and what
    stands in it otherwise or not at all at its end, where it wins. ``without``: names whose values aren't told."""
    text = _emptied(_text(dotenv.path), without) if dotenv.path.exists() else ""
    given, _ = parse_text(text, dotenv.path)
    values = {name: value.reveal() for name, value in dotenv.values.items() if name not in without}
    others = {name: value for name, value in values.items() if given.get(name) != value}
    if not others:
        return text
    end = "" if not text or text.endswith(("\n", "\r")) else "\n"
    return f"{text}{end}{FROM_THE_SHELL}\n{for_dotenv(others)}"


def _emptied(text: str, names: Collection[str]) -> str:
    """The text, with nothing behind these names."""
    bindings = parse_stream(io.StringIO(text, newline=""))
    return "".join(f"\n{each.key}=\n" if each.key in names else each.original.string for each in bindings)


def for_dotenv(values: Mapping[str, str]) -> str:
    """Lines that python-dotenv reads back exactly: in single quotes, where it knows two escapes; in double ones where a
    carriage return must be one."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\")
    if "\r" in value:
        escaped = escaped.replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
        return f'"{escaped}"'
    return "'" + escaped.replace("'", "\\'") + "'"

"""The .env file: read like python-dotenv, written for Compose.

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

# Variables that every shell has. A line of .env with one of these names means the application's variable.
OF_THE_SHELL = {"HOME", "LOGNAME", "USER", "SHELL", "PATH", "PWD", "OLDPWD", "SHLVL", "TERM", "HOSTNAME", "_"}

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True)
class Dotenv:
    """The content of an environment file.

    ``overridden``: names whose value the process environment decided. ``faults``: sentences, one for each line
    that can't be read.
    """

    path: Path
    values: Mapping[str, Secret]
    overridden: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def named(given: str) -> str:
    """Return the file that ``--env`` names: a path, or the NAME of ``.env.NAME``."""
    short = re.fullmatch(r"[A-Za-z0-9_-]+", given) and not Path(given).exists()
    return f".env.{given}" if short else given


def read(path: Path, process: Mapping[str, str] = os.environ) -> Dotenv:
    """Read ``path``. Without it, read the names in ``.env.example`` beside it from the process environment.

    Raises Refused if there is neither, or if the file can't be opened.
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
    """Return names and values of an environment file, and a sentence for each faulty line, with its number."""
    return parse_text(_text(path), path)


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path} can't be read: {error}") from error


def parse_text(text: str, path: Path) -> tuple[dict[str, str], list[str]]:
    """Return the same for a text that is, or will be, in ``path``."""
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
        return "can't be read. Write NAME=value, and quote a value that contains quotes, # or a newline."
    if key is None:
        return ""
    if not NAME.match(key):
        return f"“{key}” isn't a valid name for an environment variable."
    if value is None:
        return f"{key} has no value. Write {key}= for an empty value."
    if "\0" in value:
        return f"{key} contains a NUL character, which environment variables can't have."
    return ""


def _example_names(path: Path) -> list[str]:
    example = path.with_name(".env.example")
    if not example.exists():
        raise Refused(f"There is no {path}.", hint="Run fab init to create one.")
    lines = re.findall(r"^#?\s?([A-Za-z_][A-Za-z0-9_]*)=", example.read_text(encoding="utf-8"), re.MULTILINE)
    return list(dict.fromkeys(lines))


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r"})


def for_compose(values: Mapping[str, str]) -> str:
    """Return an ``env_file`` that Compose 2.26 reads back exactly: double-quoted, with ``\\ " $`` and newlines
    escaped."""
    return "".join(f'{name}="{value.translate(_ESCAPES)}"\n' for name, value in sorted(values.items()))


FROM_THE_SHELL = "# From the environment of the shell that deployed:"


def text_of(dotenv: Dotenv, without: Collection[str] = ()) -> str:
    """Return the text of an environment file with the effective values: the file as it is, then the variables that the
    shell overrides or adds, which win at the end. ``without``: names whose values are left out."""
    text = _emptied(_text(dotenv.path), without) if dotenv.path.exists() else ""
    given, _ = parse_text(text, dotenv.path)
    values = {name: value.reveal() for name, value in dotenv.values.items() if name not in without}
    others = {name: value for name, value in values.items() if given.get(name) != value}
    if not others:
        return text
    end = "" if not text or text.endswith(("\n", "\r")) else "\n"
    return f"{text}{end}{FROM_THE_SHELL}\n{for_dotenv(others)}"


def _emptied(text: str, names: Collection[str]) -> str:
    """Return the text, with the values of these names removed."""
    bindings = parse_stream(io.StringIO(text, newline=""))
    return "".join(f"\n{each.key}=\n" if each.key in names else each.original.string for each in bindings)


def for_dotenv(values: Mapping[str, str]) -> str:
    """Return lines that python-dotenv reads back exactly: single-quoted, where it knows two escapes; double-quoted for
    a value with a carriage return."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\")
    if "\r" in value:
        escaped = escaped.replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
        return f'"{escaped}"'
    return "'" + escaped.replace("'", "\\'") + "'"

"""Nginx's own language, read as a tree with its includes spread out. For lints; whether Nginx takes it, Nginx says."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

# https://github.com/nginx/nginx/blob/master/src/core/ngx_conf_file.c
TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)|(?P<mark>[{};])
    |"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'|(?P<word>(?:\$\{[^}]*\}|\\.|[^\s;{}])+)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, eq=False)
class Directive:
    """``name words;`` or ``name words { block }``; ``parents``: the blocks around it, the outermost first."""

    name: str
    words: tuple[str, ...]
    parents: tuple[Directive, ...] = field(repr=False)
    braces: bool = False
    block: list[Directive] = field(default_factory=list, repr=False)

    def __str__(self) -> str:
        return " ".join((self.name, *self.words))

    def walk(self) -> Iterator[Directive]:
        """Itself and everything in it."""
        yield self
        for inner in self.block:
            yield from inner.walk()

    def own(self, name: str) -> list[Directive]:
        """What stands directly in it by this name."""
        return [inner for inner in self.block if inner.name == name]

    def inherited(self, name: str) -> list[Directive]:
        """What is in force in it: its own, or else those of the block around it."""
        for block in (self, *reversed(self.parents)):
            if found := block.own(name):
                return found
        return []


def parse(files: Mapping[str, str], path: str, folder: str) -> Directive:
    """The tree of one of these files. Includes of paths below ``folder`` are spread out, others are left out."""
    root = Directive("main", (), ())
    _read(files, path, folder, root)
    return root


def text(tree: Directive) -> str:
    """The tree as one file again, without comments."""
    return "".join(_lines(inner, "") for inner in tree.block)


def _lines(directive: Directive, indent: str) -> str:
    head = indent + " ".join(map(_quoted, (directive.name, *directive.words)))
    if not directive.braces:
        return f"{head};\n"
    return f"{head} {{\n{''.join(_lines(inner, f'{indent}    ') for inner in directive.block)}{indent}}}\n"


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[^\s;{}\"'#]+", word) else '"' + re.sub(r'(?<!\\)"', r"\"", word) + '"'


def _read(files: Mapping[str, str], path: str, folder: str, block: Directive) -> None:
    stack, words = [block], []
    for found in TOKEN.finditer(files[path]):
        kind, token = found.lastgroup, found.group(found.lastgroup or 0)
        if kind in {"double", "single", "word"}:
            words.append(token)
        elif token == "}":
            stack.pop()
        elif kind == "mark":
            made = Directive(words[0], tuple(words[1:]), (*stack[-1].parents, stack[-1]), token == "{")
            words = []
            if made.name == "include":
                for other in _included(files, made.words[0], folder):
                    _read(files, other, folder, stack[-1])
                continue
            stack[-1].block.append(made)
            if token == "{":
                stack.append(made)
    assert stack == [block], f"{path}: braces don't match"
    assert not words, f"{path}: ends in the middle of {words}"


def _included(files: Mapping[str, str], pattern: str, folder: str) -> list[str]:
    if not pattern.startswith(f"{folder}/"):
        return []
    wanted = pattern.removeprefix(f"{folder}/")
    found = sorted(fnmatch.filter(files, wanted))
    assert found or "*" in wanted, f"{pattern} isn't there"
    return found

"""Git: runs git. No other module does.

A repository's content is untrusted. So nothing that its own files or configuration name is run: no hook, no file system
monitor, no filter, no fetch. If git fails in a repository, it is refused. It is never treated as a folder without git,
because then every file would be sent.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ..core.errors import Refused

SAFE = (
    "safe.bareRepository=explicit",  # a tracked folder shaped like a repository brings its own configuration
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "diff.external=",
    "core.splitIndex=false",  # otherwise our own index would leave files in the repository
    "core.untrackedCache=false",
)
# The location of the user's own configuration. Other GIT_* variables, such as GIT_DIR inside a hook, are dropped.
KEPT = {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"}
ADDED = {
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone fetches what it lacks, with a command that its configuration names
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",  # use only files that are here already
    "LC_ALL": "C",
}
# Written by `git lfs install`: harmless even in a repository's own configuration.
LFS = {
    f"git-lfs {words}"
    for command in ("clean", "smudge", "smudge --skip")
    for words in (f"{command} -- %f", f"{command} %f")
} | {"git-lfs filter-process", "git-lfs filter-process --skip"}


@dataclass(frozen=True)
class Git:
    """A repository, accessed from a folder of its work tree. ``environ``: additional environment variables for git,
    such as another index."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, given: bytes = b"") -> str:
        """Run git and return its output. Raises Refused with git's own message if it fails."""
        done = run(self.folder, *words, given=given, environ=self.environ)
        if done.returncode:
            raise Refused(
                f"git failed in {self.folder}: {_message(done.stderr) or f'exit code {done.returncode}'}",
                state="Nothing was changed.",
                hint="Fix this and run the command again.",
            )
        return _text(done.stdout)

    def split(self, *words: str, given: bytes = b"") -> list[str]:
        """Run git with -z and return the parts of its output."""
        return [part for part in self(*words, given=given).split("\0") if part]

    def knows(self, *words: str) -> bool:
        """Run git and return whether it exits with 0."""
        return run(self.folder, *words, environ=self.environ).returncode == 0

    def commit(self, ref: str = "HEAD") -> str:
        """Return the ID of a commit; empty if there is none of this name."""
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        return _text(run(self.folder, *words, environ=self.environ).stdout).strip()

    def head(self) -> str:
        """Return the commit that is checked out; empty before the first one. Raises Refused if git can't read it."""
        found = self.commit()
        if not found:
            name = self("symbolic-ref", "HEAD").strip()  # fails if HEAD is a missing commit
            place = self.folder / self("rev-parse", "--git-path", name).strip()
            if place.is_file() or self.knows("rev-parse", "--verify", "--quiet", "HEAD"):
                self("cat-file", "-e", "HEAD^{commit}")
        return found

    @cached_property
    def prefix(self) -> str:
        """The folder's path in the repository: empty, or ending with a slash."""
        return self("rev-parse", "--show-prefix").removesuffix("\n")

    @cached_property
    def filters(self) -> dict[str, bool]:
        """The configured filters, and whether each may run. Only those of the user's own configuration may."""
        words = ("config", "-z", "--show-scope", "--get-regexp", r"^filter\.")
        done = run(self.folder, *words, environ=self.environ)
        found: dict[str, bool] = {}
        parts = _text(done.stdout).split("\0")
        for scope, line in zip(parts[::2], parts[1::2], strict=False):
            key, _, value = line.partition("\n")
            name, _, what = key.removeprefix("filter.").rpartition(".")
            trusted = scope in {"global", "system"} or what not in {"clean", "smudge", "process"} or value in LFS
            found[name] = found.get(name, True) and trusted
        return found

    def safe(self) -> Git:
        """Return this repository with the filters of its own configuration disabled."""
        unsafe = [name for name, trusted in self.filters.items() if not trusted]
        pairs = [(f"filter.{name}.{what}", "") for name in unsafe for what in ("clean", "smudge", "process")]
        pairs += [(f"filter.{name}.required", "false") for name in unsafe]
        environ = {"GIT_CONFIG_COUNT": str(len(pairs))}
        for number, (key, value) in enumerate(pairs):
            environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return replace(self, environ={**self.environ, **environ}) if pairs else self


def repository(folder: Path) -> Git | None:
    """Return the repository that contains a folder, or None. Raises Refused if git can't or mustn't read it."""
    places = (folder, *folder.parents)
    top = next((place for place in places if os.path.lexists(place / ".git")), None)
    if top is None:
        return None
    for place in places[: places.index(top) + 1]:
        if all((place / name).exists() for name in ("HEAD", "objects", "refs")):
            raise Refused(
                f"{place} itself looks like a bare git repository, whose configuration could run commands.",
                state="Nothing was changed.",
                hint="Remove HEAD, objects and refs from it, or choose another folder.",
            )
    found = Git(folder)
    found("rev-parse", "--is-inside-work-tree")
    return found.safe()


def run(
    folder: Path, *words: str, given: bytes = b"", environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder with the user's own configuration and settings that keep it from running other commands.

    Raises Refused if git isn't installed.
    """
    options = [word for setting in SAFE for word in ("-c", setting)]
    outer = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in KEPT}
    try:
        return subprocess.run(
            ("git", "--no-pager", *options, "-C", str(folder), *words),
            input=given,
            env=outer | ADDED | dict(environ or {}),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise Refused(
            f"{folder} is in a git repository, and git can't be run here: {error.strerror}.",
            state="Nothing was changed.",
            hint="Install git and run the command again.",
        ) from error


def _message(errors: bytes) -> str:
    return "\n".join(line.removeprefix("fatal: ") for line in _text(errors).strip().splitlines())


def _text(found: bytes) -> str:
    return found.decode(errors="surrogateescape")

"""Git: the one place that runs it.

What a repository holds was written by somebody else. So nothing that its own files or its own configuration name is
run: no hook, no file system monitor, no filter, nothing that would fetch. A repository in which git fails is refused:
it is never taken for a folder without git, from which everything would be sent.
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
    "core.splitIndex=false",  # else an index of ours leaves files in the repository
    "core.untrackedCache=false",
)
# Where the user's own configuration is. All other GIT_* would lead elsewhere, such as GIT_DIR inside a hook.
KEPT = {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"}
ADDED = {
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone fetches what it lacks, with a command that its configuration names
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",  # only what is here already
    "LC_ALL": "C",
}
# What `git lfs install` writes, which is no danger where a repository's own configuration says it.
LFS = {
    f"git-lfs {words}"
    for command in ("clean", "smudge", "smudge --skip")
    for words in (f"{command} -- %f", f"{command} %f")
} | {"git-lfs filter-process", "git-lfs filter-process --skip"}


@dataclass(frozen=True)
class Git:
    """A repository, seen from a folder of its work tree. ``environ``: more of git's environment, such as another
    index."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, given: bytes = b"") -> str:
        """What git prints. Raises Refused with git's own words where it fails."""
        done = run(self.folder, *words, given=given, environ=self.environ)
        if done.returncode:
            raise Refused(
                f"git failed in {self.folder}: {_said(done.stderr) or f'exit code {done.returncode}'}",
                state="Nothing was changed.",
                hint="Make git work there, then run the same command again.",
            )
        return _text(done.stdout)

    def split(self, *words: str, given: bytes = b"") -> list[str]:
        """What git prints with -z."""
        return [part for part in self(*words, given=given).split("\0") if part]

    def knows(self, *words: str) -> bool:
        """Whether git says yes."""
        return run(self.folder, *words, environ=self.environ).returncode == 0

    def commit(self, ref: str = "HEAD") -> str:
        """The commit of this name, or nothing."""
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        return _text(run(self.folder, *words, environ=self.environ).stdout).strip()

    def head(self) -> str:
        """The commit that is checked out, or nothing before the first. Raises Refused where git can't read it."""
        found = self.commit()
        if not found:
            name = self("symbolic-ref", "HEAD").strip()  # fails where HEAD is a commit that isn't there
            place = self.folder / self("rev-parse", "--git-path", name).strip()
            if place.is_file() or self.knows("rev-parse", "--verify", "--quiet", "HEAD"):
                self("cat-file", "-e", "HEAD^{commit}")
        return found

    @cached_property
    def prefix(self) -> str:
        """The folder's path in the repository: empty, or with a slash at its end."""
        return self("rev-parse", "--show-prefix").removesuffix("\n")

    @cached_property
    def filters(self) -> dict[str, bool]:
        """The filters that are configured, and whether they may run: those of the user's own configuration."""
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
        """The same, in which no filter runs that the repository's own configuration names."""
        unsafe = [name for name, trusted in self.filters.items() if not trusted]
        pairs = [(f"filter.{name}.{what}", "") for name in unsafe for what in ("clean", "smudge", "process")]
        pairs += [(f"filter.{name}.required", "false") for name in unsafe]
        environ = {"GIT_CONFIG_COUNT": str(len(pairs))}
        for number, (key, value) in enumerate(pairs):
            environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return replace(self, environ={**self.environ, **environ}) if pairs else self


def repository(folder: Path) -> Git | None:
    """The repository that a folder lies in, or None. Raises Refused if there is one that git can't or mustn't read."""
    places = (folder, *folder.parents)
    top = next((place for place in places if os.path.lexists(place / ".git")), None)
    if top is None:
        return None
    for place in places[: places.index(top) + 1]:
        if all((place / name).exists() for name in ("HEAD", "objects", "refs")):
            raise Refused(
                f"{place} is itself shaped like a git repository, whose configuration may run commands.",
                state="Nothing was changed.",
                hint="Take the files HEAD, objects and refs out of it, or name another folder.",
            )
    found = Git(folder)
    found("rev-parse", "--is-inside-work-tree")
    return found.safe()


def run(
    folder: Path, *words: str, given: bytes = b"", environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder, by nothing but the user's own configuration and what can't run a command."""
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
            hint="Install git, then run the same command again.",
        ) from error


def _said(told: bytes) -> str:
    return "\n".join(line.removeprefix("fatal: ") for line in _text(told).strip().splitlines())


def _text(found: bytes) -> str:
    return found.decode(errors="surrogateescape")

"""Tracked: the files that git lists of a folder, of its work tree or of a commit, submodules included.

A commit's files are those of a fresh checkout, whoever deploys it and from whatever folder. So what git calls unchanged
here but would check out otherwise (line ends, encodings, ``$Id$``, files outside a sparse checkout) is taken from the
commit too. What can't be had is named and refused.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..core.errors import Refused
from . import git
from .git import Git

LINK, MODULE, PROGRAM = "120000", "160000", "100755"  # modes of git's
CONVERTING = ("eol", "filter", "ident", "working-tree-encoding")  # attributes
# The same files come from any laptop: what its owner wants of line ends is for its owner's editor.
AS_COMMITTED = ("core.autocrlf=false", "core.eol=lf", "core.symlinks=true", "core.sparseCheckout=false")


@dataclass
class Tracked:
    """What git lists. ``files``: path below the folder -> where it lies; ``changed``: those that differ from the
    commit; ``deleted``: those of the commit that are gone from the folder; ``untracked``: what git doesn't list."""

    commit: str
    files: dict[str, Path] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)

    def add(self, other: Tracked, below: str) -> None:
        """Take in a submodule's."""
        self.files |= {f"{below}/{name}": path for name, path in other.files.items()}
        for mine, theirs in (
            (self.changed, other.changed),
            (self.deleted, other.deleted),
            (self.untracked, other.untracked),
        ):
            mine += [f"{below}/{name}" if name else below for name in theirs]


@dataclass(frozen=True)
class Entry:
    """A file as git lists it. ``flag``: S outside a sparse checkout, lower case where git doesn't look for changes."""

    mode: str
    oid: str
    flag: str = "H"


def here(repository: Git, keep: ExitStack) -> Tracked:
    """What git lists of a folder, as it is in the folder. Raises Refused where a part of it isn't there."""
    return _here(repository, repository.head(), keep)


def of_commit(repository: Git, ref: str, keep: ExitStack) -> Tracked:
    """The files of a commit, which are there until ``keep`` is closed."""
    commit = repository.commit(ref)
    if not commit:
        raise Refused(
            f"--ref: git knows no commit {ref!r} in {repository.folder}.",
            hint="Run git log to see which there are; in a shallow clone, git fetch --unshallow first.",
        )
    return _of_commit(repository, commit, keep)


def _here(repository: Git, commit: str, keep: ExitStack) -> Tracked:
    root, found, listed = repository.folder, Tracked(commit), _index(repository)
    committed = _tree(repository, commit) if commit else {}
    different = _different(repository, commit, listed) if commit else dict.fromkeys(listed, "A")
    clean, outside = {}, []
    for name, entry in listed.items():
        if entry.mode == MODULE:
            continue
        seen = None if different.get(name) == "D" else _lstat(root / name)
        if seen:
            found.files[name] = root / name
            if name not in different:
                clean[name] = seen
        elif entry.flag.upper() == "S":
            outside.append(name)
        else:
            found.deleted.append(name)
    found.deleted += [name for name in {**committed, **different} if name not in listed]
    found.changed += [name for name in different if name in found.files]
    if unknown := sorted(set(outside) & set(different)):
        raise Refused(
            f"Outside the sparse checkout of {root}, and not as in the commit: {some(unknown)}.",
            hint="Commit them, or bring them here: git sparse-checkout disable.",
        )
    found.files |= _written(repository, commit, [*outside, *_unlike(repository, clean, committed)], keep)
    found.untracked += repository.split("ls-files", "-z", "--others", "--exclude-standard")
    for name, sub in _modules(repository, [name for name, entry in listed.items() if entry.mode == MODULE]).items():
        base = committed[name].oid if name in committed else ""
        theirs = _here(sub, sub.commit(base) if base else "", keep)
        found.add(theirs if theirs.commit else replace(theirs, changed=[""]), name)
    return found


def _of_commit(repository: Git, commit: str, keep: ExitStack) -> Tracked:
    tree = _tree(repository, commit)
    names = [name for name, entry in tree.items() if entry.mode != MODULE]
    found = Tracked(commit, _written(repository, commit, names, keep))
    for name, entry in tree.items():
        if entry.mode == MODULE:
            found.add(_of_commit(_module_of(repository, commit, name, entry.oid, keep), entry.oid, keep), name)
    return found


def _index(repository: Git) -> dict[str, Entry]:
    """What git's index lists of the folder."""
    found, conflicts = {}, set()
    for line in repository.split("ls-files", "-z", "--stage", "-v"):
        about, _, name = line.partition("\t")
        flag, mode, oid, stage = about.split()
        found[name] = Entry(mode, oid, flag)
        if stage != "0":
            conflicts.add(name)
    if conflicts:
        raise Refused(
            f"A merge in {repository.folder} isn't finished: {some(sorted(conflicts))}.",
            hint="Resolve the conflicts and git add the files, or git merge --abort.",
        )
    return found


def _tree(repository: Git, commit: str) -> dict[str, Entry]:
    """What a commit lists of the folder."""
    parts = (line.partition("\t") for line in repository.split("ls-tree", "-r", "-z", commit))
    return {name: Entry(about.split()[0], about.split()[2]) for about, _, name in parts}


def _different(repository: Git, commit: str, listed: Mapping[str, Entry]) -> dict[str, str]:
    """The files that differ from the commit, and how: D where one is gone. Git doesn't look at files with a flag."""
    found = _diff(repository, commit)
    flagged = [name for name, entry in listed.items() if entry.flag != "H" and _lstat(repository.folder / name)]
    if flagged:
        with tempfile.TemporaryDirectory(prefix="portside-") as folder:
            unflagged = replace(repository, environ={**repository.environ, "GIT_INDEX_FILE": f"{folder}/index"})
            unflagged("read-tree", commit)
            found |= _diff(unflagged, commit, *flagged)
    return found


def _diff(repository: Git, commit: str, *names: str) -> dict[str, str]:
    words = ("diff", "--name-status", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--relative")
    told = repository.split("--literal-pathspecs", *words, "--ignore-submodules=all", commit, "--", *names)
    return dict(zip(told[1::2], told[::2], strict=True))


def _unlike(repository: Git, clean: Mapping[str, os.stat_result], committed: Mapping[str, Entry]) -> list[str]:
    """Which of the unchanged files would be others in a fresh checkout."""
    given = "".join(f"{name}\0" for name in clean)
    told = repository.split("check-attr", "-z", "--stdin", *CONVERTING, given=_bytes(given)) if clean else []
    attributes: dict[str, dict[str, str]] = {}
    for name, attribute, value in zip(told[::3], told[1::3], told[2::3], strict=True):
        if value not in {"unspecified", "unset"}:
            attributes.setdefault(name, {})[attribute] = value
    oids = "".join(f"{committed[name].oid}\n" for name in clean)
    sizes = repository("cat-file", "--batch-check=%(objectsize)", given=oids.encode()).splitlines() if clean else []
    return [
        name
        for (name, seen), size in zip(clean.items(), sizes, strict=True)
        if _is_unlike(seen, committed[name].mode, size, attributes.get(name, {}), repository.filters)
    ]


def _is_unlike(
    seen: os.stat_result, mode: str, size: str, attributes: Mapping[str, str], filters: Mapping[str, bool]
) -> bool:
    kind = LINK if stat.S_ISLNK(seen.st_mode) else PROGRAM if seen.st_mode & 0o111 else ""
    same_size = str(seen.st_size) == size
    name = attributes.get("filter", "")
    if name in filters and kind != LINK:
        # What LFS has put here is what its pointer names; a filter that may not run leaves what is here.
        return filters[name] and (name != "lfs" or same_size)
    converted = attributes.get("eol") == "crlf" or bool(attributes.keys() & {"ident", "working-tree-encoding"})
    return converted or not same_size or kind != (mode if mode in {LINK, PROGRAM} else "")


def _written(repository: Git, commit: str, names: list[str], keep: ExitStack) -> dict[str, Path]:
    """These files of a commit, as a fresh checkout has them, in a folder of their own."""
    if not names:
        return {}
    folder = Path(keep.enter_context(tempfile.TemporaryDirectory(prefix="portside-")))
    target = folder / "files"
    target.mkdir()
    places = {"GIT_DIR": repository("rev-parse", "--absolute-git-dir").strip(), "GIT_WORK_TREE": str(target)}
    places["GIT_INDEX_FILE"] = str(folder / "index")
    checkout = Git(target, {**repository.environ, **places})
    paths = [repository.prefix + name for name in names]
    given = _bytes("".join(f"{path}\0" for path in paths))
    try:
        checkout("read-tree", commit)
        _refuse_filtered(repository, checkout, given)
        settings = [word for setting in AS_COMMITTED for word in ("-c", setting)]
        checkout(*settings, "checkout-index", "-z", "--stdin", given=given)
    except Refused as error:
        message = error.message.replace(f"git failed in {target}", f"git can't check out {commit[:7]}")
        raise Refused(
            f"{message}\nThe repository is {repository.folder}.",
            state="Nothing was changed.",
            hint=error.hint if message == error.message else "If it is a partial clone, check that commit out once.",
        ) from error
    return {name: target / path for name, path in zip(names, paths, strict=True)}


def _refuse_filtered(repository: Git, checkout: Git, given: bytes) -> None:
    """Raises Refused where a file is made by a command that the repository's own configuration names."""
    unsafe = {name for name, trusted in repository.filters.items() if not trusted}
    if not unsafe:
        return
    told = checkout.split("check-attr", "--cached", "-z", "--stdin", "filter", given=given)
    if names := [name for name, value in zip(told[::3], told[2::3], strict=True) if value in unsafe]:
        raise Refused(
            f"Made by a filter that only .git/config names, which isn't run: {some(names)}.",
            hint=f"If you trust it, put filter.{min(unsafe)} into your own configuration: git config --global.",
        )


def _modules(repository: Git, names: Iterable[str]) -> dict[str, Git]:
    """The submodules, checked out in the folder."""
    found = {name: _checked_out(repository.folder / name) for name in names}
    if lacking := [name for name, sub in found.items() if not sub]:
        raise Refused(
            f"Submodules that aren't checked out in {repository.folder}: {some(lacking)}.",
            state="Nothing was changed.",
            hint="Run git submodule update --init --recursive; or git rm one that the project doesn't need.",
        )
    return {name: sub for name, sub in found.items() if sub}


def _checked_out(path: Path) -> Git | None:
    if path.is_symlink() or not os.path.lexists(path / ".git"):
        return None
    sub = git.repository(path)
    return sub if sub and not sub.prefix else None  # one that isn't whole is passed over for the repository around it


def _module_of(repository: Git, commit: str, name: str, oid: str, keep: ExitStack) -> Git:
    """A submodule's repository, which has this commit: checked out here, or kept from when it was."""
    sub = _checked_out(repository.folder / name)
    if not sub or not sub.commit(oid):
        sub = _kept(repository, commit, repository.prefix + name, keep)
    if not sub or not sub.commit(oid):
        raise Refused(
            f"--ref: the submodule {name} of {commit[:7]} isn't here at its commit {oid[:7]}.",
            state="Nothing was changed.",
            hint=f"Fetch it: git -C {repository.folder} submodule update --init --recursive, or git fetch in {name}.",
        )
    return sub


def _kept(repository: Git, commit: str, path: str, keep: ExitStack) -> Git | None:
    """The repository of a submodule, which git keeps although the work tree hasn't got it."""
    words = ("config", "-z", "--blob", f"{commit}:.gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    if not repository.knows(*words):
        return None
    keys = [line.partition("\n")[0] for line in repository.split(*words) if line.partition("\n")[2] == path]
    module = keys[0].removeprefix("submodule.").removesuffix(".path") if keys else ".."
    kept = Path(repository("rev-parse", "--git-path", f"modules/{module}").strip())
    kept = kept if kept.is_absolute() else repository.folder / kept
    if ".." in module.split("/") or not kept.is_dir():
        return None
    empty = Path(keep.enter_context(tempfile.TemporaryDirectory(prefix="portside-")))
    return Git(empty, {"GIT_DIR": str(kept), "GIT_WORK_TREE": str(empty)}).safe()


def some(names: list[str] | tuple[str, ...]) -> str:
    """The first of them, and how many more there are."""
    rest = len(names) - 4
    return ", ".join(names[:4]) + (f" and {rest} more" if rest > 0 else "")


def _lstat(path: Path) -> os.stat_result | None:
    """What lies there: a file or a link."""
    try:
        seen = path.lstat()
    except OSError:
        return None
    return seen if stat.S_ISREG(seen.st_mode) or stat.S_ISLNK(seen.st_mode) else None


def _bytes(text: str) -> bytes:
    return os.fsencode(text)

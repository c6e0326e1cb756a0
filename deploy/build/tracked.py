"""Tracked: the files that git lists for a folder, in its work tree or in a commit, including submodules.

A commit's files are those of a fresh checkout, on any machine and from any folder. So files that are unchanged here but
that a checkout would write differently (line ends, encodings, ``$Id$``, files outside a sparse checkout) are taken from
the commit too. Files that aren't available are listed and refused.
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

LINK, MODULE, PROGRAM = "120000", "160000", "100755"  # git's file modes
CONVERTING = ("eol", "filter", "ident", "working-tree-encoding")  # attributes
# Every laptop must produce the same files, whatever line ends its user prefers.
AS_COMMITTED = ("core.autocrlf=false", "core.eol=lf", "core.symlinks=true", "core.sparseCheckout=false")


@dataclass
class Tracked:
    """The files that git lists. ``files``: path below the folder -> path on this machine; ``changed``: files that
    differ from the commit; ``deleted``: files of the commit that are missing in the folder; ``untracked``: other
    files."""

    commit: str
    files: dict[str, Path] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    untracked: list[str] = field(default_factory=list)

    def add(self, other: Tracked, below: str) -> None:
        """Add the files of a submodule."""
        self.files |= {f"{below}/{name}": path for name, path in other.files.items()}
        for mine, theirs in (
            (self.changed, other.changed),
            (self.deleted, other.deleted),
            (self.untracked, other.untracked),
        ):
            mine += [f"{below}/{name}" if name else below for name in theirs]


@dataclass(frozen=True)
class Entry:
    """A file as git lists it. ``flag``: S outside a sparse checkout; lower case if git assumes it unchanged."""

    mode: str
    oid: str
    flag: str = "H"


def here(repository: Git, keep: ExitStack) -> Tracked:
    """Return the files that git lists in a folder, as they are there. Raises Refused if a part is missing."""
    return _here(repository, repository.head(), keep)


def of_commit(repository: Git, ref: str, keep: ExitStack) -> Tracked:
    """Return the files of a commit, which exist until ``keep`` is closed. Raises Refused if a part is missing."""
    commit = repository.commit(ref)
    if not commit:
        raise Refused(
            f"--ref: git knows no commit {ref!r} in {repository.folder}.",
            hint="List commits with git log. In a shallow clone, run git fetch --unshallow first.",
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
            f"Files outside the sparse checkout of {root} differ from the commit: {some(unknown)}.",
            hint="Commit them, or check them out: git sparse-checkout disable.",
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
    """Return the files of the folder in git's index. Raises Refused during a merge."""
    found, conflicts = {}, set()
    for line in repository.split("ls-files", "-z", "--stage", "-v"):
        about, _, name = line.partition("\t")
        flag, mode, oid, stage = about.split()
        found[name] = Entry(mode, oid, flag)
        if stage != "0":
            conflicts.add(name)
    if conflicts:
        raise Refused(
            f"The merge in {repository.folder} has conflicts: {some(sorted(conflicts))}.",
            hint="Resolve them and run git add, or run git merge --abort.",
        )
    return found


def _tree(repository: Git, commit: str) -> dict[str, Entry]:
    """Return the files of the folder in a commit."""
    parts = (line.partition("\t") for line in repository.split("ls-tree", "-r", "-z", commit))
    return {name: Entry(about.split()[0], about.split()[2]) for about, _, name in parts}


def _different(repository: Git, commit: str, listed: Mapping[str, Entry]) -> dict[str, str]:
    """Return the files that differ from the commit, and how: D for a missing one. Files with a flag, which git skips,
    are checked separately."""
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
    output = repository.split("--literal-pathspecs", *words, "--ignore-submodules=all", commit, "--", *names)
    return dict(zip(output[1::2], output[::2], strict=True))


def _unlike(repository: Git, clean: Mapping[str, os.stat_result], committed: Mapping[str, Entry]) -> list[str]:
    """Return the unchanged files that a fresh checkout would write differently."""
    given = "".join(f"{name}\0" for name in clean)
    output = repository.split("check-attr", "-z", "--stdin", *CONVERTING, given=_bytes(given)) if clean else []
    attributes: dict[str, dict[str, str]] = {}
    for name, attribute, value in zip(output[::3], output[1::3], output[2::3], strict=True):
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
        # A file from LFS matches its pointer; if a filter may not run, the file stays as it is.
        return filters[name] and (name != "lfs" or same_size)
    converted = attributes.get("eol") == "crlf" or bool(attributes.keys() & {"ident", "working-tree-encoding"})
    return converted or not same_size or kind != (mode if mode in {LINK, PROGRAM} else "")


def _written(repository: Git, commit: str, names: list[str], keep: ExitStack) -> dict[str, Path]:
    """Check out these files of a commit into a temporary folder. Raises Refused if git can't."""
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
            hint=error.hint if message == error.message else "In a partial clone, check out that commit once.",
        ) from error
    return {name: target / path for name, path in zip(names, paths, strict=True)}


def _refuse_filtered(repository: Git, checkout: Git, given: bytes) -> None:
    """Raise Refused if a file needs a filter that only the repository's own configuration names."""
    unsafe = {name for name, trusted in repository.filters.items() if not trusted}
    if not unsafe:
        return
    output = checkout.split("check-attr", "--cached", "-z", "--stdin", "filter", given=given)
    if names := [name for name, value in zip(output[::3], output[2::3], strict=True) if value in unsafe]:
        raise Refused(
            f"These files need a filter from .git/config, which Portside doesn't run: {some(names)}.",
            hint=f"If you trust it, add filter.{min(unsafe)} to your own configuration: git config --global.",
        )


def _modules(repository: Git, names: Iterable[str]) -> dict[str, Git]:
    """Return the submodules that are checked out in the folder. Raises Refused if one isn't."""
    found = {name: _checked_out(repository.folder / name) for name in names}
    if lacking := [name for name, sub in found.items() if not sub]:
        raise Refused(
            f"Submodules in {repository.folder} aren't checked out: {some(lacking)}.",
            state="Nothing was changed.",
            hint="Run git submodule update --init --recursive, or git rm a submodule that the project doesn't need.",
        )
    return {name: sub for name, sub in found.items() if sub}


def _checked_out(path: Path) -> Git | None:
    if path.is_symlink() or not os.path.lexists(path / ".git"):
        return None
    sub = git.repository(path)
    return sub if sub and not sub.prefix else None  # an incomplete one resolves to the repository around it


def _module_of(repository: Git, commit: str, name: str, oid: str, keep: ExitStack) -> Git:
    """Return a submodule's repository with this commit: checked out here, or kept by git. Raises Refused if there is
    none."""
    sub = _checked_out(repository.folder / name)
    if not sub or not sub.commit(oid):
        sub = _kept(repository, commit, repository.prefix + name, keep)
    if not sub or not sub.commit(oid):
        raise Refused(
            f"--ref: the submodule {name} of {commit[:7]} doesn't have its commit {oid[:7]} on this machine.",
            state="Nothing was changed.",
            hint=f"Fetch it: git -C {repository.folder} submodule update --init --recursive, or git fetch in {name}.",
        )
    return sub


def _kept(repository: Git, commit: str, path: str, keep: ExitStack) -> Git | None:
    """Return the repository of a submodule that git has kept, though it isn't in the work tree."""
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
    """Return the first names, and how many more there are."""
    rest = len(names) - 4
    return ", ".join(names[:4]) + (f" and {rest} more" if rest > 0 else "")


def _lstat(path: Path) -> os.stat_result | None:
    """Return the status of a file or link; None for anything else."""
    try:
        seen = path.lstat()
    except OSError:
        return None
    return seen if stat.S_ISREG(seen.st_mode) or stat.S_ISLNK(seen.st_mode) else None


def _bytes(text: str) -> bytes:
    return os.fsencode(text)

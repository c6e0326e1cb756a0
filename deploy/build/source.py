"""Source: the project's files that go into the image: those that git tracks, as they are on this machine.

Uncommitted changes are deployed too, with a warning. With ``--ref`` the files are exactly those of a fresh checkout of
that commit. Without git they are all files except caches and the like. A ``.env`` is never included, even if it is
tracked.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ..config.settings import Settings
from ..core.errors import Refused
from ..core.files import SAMPLE
from . import git, tracked
from .tracked import Tracked

RUBBISH = {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
PYTHONS = ("3.13", "3.12", "3.14", "3.11", "3.10")  # tried in this order
DEPENDENCY_FILES = (
    "uv.lock",
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/base.txt",
    "pyproject.toml",
)
BLOCK = 65536
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
POINTER = re.compile(rb"version https://(git-lfs|hawser)\.github\.com/spec/v1\n(.+\n)*oid sha256:[0-9a-f]{64}\n(.+\n)*")
SAYS_DEPENDENCIES = re.compile(
    r"(^|/)(requirements/.+|(requirements|constraints)[^/]*\.(txt|in)|(uv|poetry|pdm|Pipfile)\.lock|Pipfile"
    r"|py(project|lock[^/]*)\.toml|setup\.(py|cfg)|environment\.ya?ml)$"
)


@dataclass(frozen=True)
class Source:
    """A project's files.

    - ``files``: path below the project's folder -> path on this machine
    - ``commit``: 40 hex digits, or empty without git
    - ``changed``: tracked files that differ from the commit; ``deleted``: files of the commit that are missing
    - ``untracked``: files that are left out
    - ``manage``: the folder of manage.py below the project's; empty for the same folder, or without a Django project
    - ``sums``: for each file its kind (f: file, x: executable, l: link) and the SHA-256 of its content
    - ``digest``: SHA-256 over all of ``sums``
    - ``pulled``: the image with its digest, if one is pulled; then there are no files
    """

    root: Path
    files: Mapping[str, Path]
    commit: str
    changed: tuple[str, ...]
    untracked: tuple[str, ...]
    manage: str
    sums: Mapping[str, str]
    digest: str
    pulled: str = ""
    deleted: tuple[str, ...] = ()

    @property
    def listing(self) -> str:
        """The record of a release's source on the server: one line for each file."""
        return "".join(listed(name, found) for name, found in self.sums.items())

    @property
    def short(self) -> str:
        """Seven hex digits: of the commit if the files are exactly that, otherwise of the digest."""
        return (self.commit if self.is_commit else self.digest)[:7]

    @property
    def is_commit(self) -> bool:
        """Whether the files are exactly those of the commit."""
        return bool(self.commit) and not self.changed and not self.deleted

    def moved_on(self) -> tuple[str, ...]:
        """Return the files that have changed since they were read."""
        return tuple(name for name, path in self.files.items() if not _exists(path) or _what(path) != self.sums[name])

    def read(self, path: str) -> str:
        return self.files[path].read_text(encoding="utf-8", errors="replace")

    def below_manage(self, path: str) -> str:
        """Convert ``path``, relative to manage.py's folder, to a path below the project's folder."""
        return f"{self.manage}/{path}" if self.manage else path

    def settings_module(self) -> str:
        """Return DJANGO_SETTINGS_MODULE from manage.py, or empty."""
        place = self.below_manage("manage.py")
        text = self.read(place) if place in self.files else ""
        found = re.search(r"""["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""", text)
        return found.group(1) if found else ""

    def has_module(self, module: str) -> bool:
        """Whether the files contain this Python module or package, relative to manage.py's folder."""
        place = self.below_manage(module.replace(".", "/"))
        return any(name.startswith((f"{place}.", f"{place}/")) for name in self.files)

    def lies_here(self, path: str) -> bool:
        """Whether a file exists in manage.py's folder, tracked or not."""
        return (self.root / self.below_manage(path)).is_file()

    def modules_beside(self, module: str) -> tuple[str, ...]:
        """Return the modules of the same package."""
        package = module.rpartition(".")[0]
        place = self.below_manage(package.replace(".", "/"))
        found = (re.fullmatch(rf"{re.escape(place)}/(\w+)\.py", name) for name in self.files)
        return tuple(f"{package}.{each[1]}" for each in found if each and each[1] != "__init__") if package else ()

    def python(self) -> str:
        """Return the Python version that the project requires, such as 3.12, or empty."""
        for name in (".python-version", "runtime.txt"):
            if name in self.files and (found := re.search(r"(3\.\d+)", self.read(name))):
                return found.group(1)
        wanted = self._requires_python()
        newest = (each for each in PYTHONS if wanted.contains(f"{each}.99"))
        exact = (f"{each}.{micro}" for each in PYTHONS for micro in range(98, -1, -1))
        return next(newest, "") or next((each for each in exact if wanted.contains(each)), "")

    def _requires_python(self) -> SpecifierSet:
        """Return the versions that pyproject.toml allows; all if it has no valid requires-python."""
        place = self.below_manage("pyproject.toml")
        try:
            project = tomllib.loads(self.read(place)).get("project", {}) if place in self.files else {}
            return SpecifierSet(project.get("requires-python", ""))
        except (tomllib.TOMLDecodeError, InvalidSpecifier):
            return SpecifierSet()

    def dependencies(self) -> tuple[str, dict[str, Path]]:
        """Return the file that lists the dependencies, and all files that it needs. Raises Refused if there is none."""
        places = [place for name in DEPENDENCY_FILES for place in dict.fromkeys((self.below_manage(name), name))]
        for place in places:
            if place in self.files and (name := place.rpartition("/")[2]):
                if name == "pyproject.toml" and "[project]" not in self.read(place):
                    continue
                return place, {path: self.files[path] for path in self._closure(place)}
        raise Refused(
            f"No dependencies found in {self.root}: no uv.lock, requirements.txt or pyproject.toml with [project].",
            state="Nothing was changed.",
            hint="Add one of them to git, or a Dockerfile of your own.",
        )

    def all_dependencies(self) -> set[str]:
        """Return every file in the project that may list dependencies, and the files that they refer to."""
        return {path for place in self.files if SAYS_DEPENDENCIES.search(place) for path in self._closure(place)}

    def needs_git(self, paths: Iterable[str]) -> bool:
        """Whether a dependency comes from a git repository."""
        return any("git+" in self.read(path) for path in paths if path.endswith((".txt", ".toml", ".lock")))

    def _closure(self, place: str) -> set[str]:
        """Return ``place`` and the files that it refers to: by ``-r`` and ``-c`` lines, the pyproject.toml of a lock
        file, local packages."""
        folder, _, name = place.rpartition("/")
        if name in {"uv.lock", "pyproject.toml"}:
            beside = f"{folder}/pyproject.toml" if folder else "pyproject.toml"
            return {place} | ({beside} & set(self.files))
        found, waiting = set(), [place]
        while waiting:
            path = waiting.pop()
            if path not in found and path in self.files:
                found.add(path)
                text = self.read(path)
                if re.search(r"^\s*(-e|--editable|\.)", text, re.MULTILINE):
                    return set(self.files)  # a local package may need any of the files
                named = re.findall(r"^\s*(?:-[rc]\s*|--(?:requirement|constraint)[ =]\s*)(\S+)", text, re.MULTILINE)
                waiting += [os.path.normpath(f"{path.rpartition('/')[0] or '.'}/{name}") for name in named]
        return found


def find(settings: Settings, ref: str, keep: ExitStack) -> Source:
    """Return the project that the settings name. The files of another commit exist until ``keep`` is closed.

    Raises Refused if there is no project, no manage.py for an application, or no such commit.
    """
    if settings.pulls:
        if ref:
            raise Refused(
                "--ref has no effect here: DEPLOY_BUILD names an image, so no commit is built.",
                hint="Set DEPLOY_BUILD to another image instead.",
            )
        return of_image(settings)
    root = _folder(settings)
    hidden = _secret_files(settings, root)
    found = _listed(settings, root, ref, keep)
    present = {name: path for name, path in sorted(found.files.items()) if not _is_secret(name, hidden)}
    manage = _manage(root, present) if settings.containers else ""
    looked = {name: _look(path) for name, path in present.items()}
    if pointers := [name for name, (_, pointer) in looked.items() if pointer]:
        raise Refused(
            f"{root} has Git LFS pointers instead of the files: {tracked.some(pointers)}.",
            state="Nothing was changed.",
            hint=f"Install git-lfs and run git lfs install, then git lfs {'fetch --all' if ref else 'pull'}.",
        )
    sums = {name: what for name, (what, _) in looked.items()}
    changed, deleted, untracked = (tuple(sorted(each)) for each in (found.changed, found.deleted, found.untracked))
    return Source(root, present, found.commit, changed, untracked, manage, sums, _digest(sums), deleted=deleted)


def _listed(settings: Settings, root: Path, ref: str, keep: ExitStack) -> Tracked:
    """Return the files of a folder: those that git lists, or all of them without git."""
    repository = git.repository(root)
    if ref and not repository:
        raise Refused(f"--ref: {root} isn't in a git repository.", hint="Omit --ref to deploy the folder as it is.")
    if repository:
        found = tracked.of_commit(repository, ref, keep) if ref else tracked.here(repository, keep)
        if found.files:
            return found
        if ref:
            raise Refused(f"--ref: the commit {found.commit[:7]} has no file in {root}.")
        if settings.containers:
            raise Refused(f"git tracks no file in {root}.", hint="Run git add for the project's files.")
    # No git, or a generated folder that git ignores.
    return Tracked("", {name: root / name for name in _walk(root) if _exists(root / name)})


def described(source: Source, settings: Settings) -> str:
    """Return a description of the project in one line: folder, commit and settings module."""
    if source.pulled:
        return f"the image {settings.build}"
    folder = source.root / source.manage
    what = " (Portside's own sample site)" if folder == SAMPLE else ""
    commit = f"commit {source.commit[:7]}" if source.commit else "no commit"
    changes = ", with changes" if source.commit and not source.is_commit else ""
    given = settings.env.get("DJANGO_SETTINGS_MODULE")
    module = given.reveal() if given else source.settings_module()
    module_text = f", settings {module or 'as the image names them'}" if settings.containers else ""
    return f"{folder}{what}, {commit}{changes}{module_text}"


def listed(name: str, found: str) -> str:
    """Return a file as a line of a listing. Its name may contain any character."""
    return f"{found} {json.dumps(name)}\n"


def of_image(settings: Settings, digest: str = "") -> Source:
    """Return the source of an image that is pulled. ``digest``: its digest in the registry, once known."""
    repository = re.sub(r"@.*|:[^/]*$", "", settings.build)
    return Source(settings.folder, {}, "", (), (), "", {}, digest.removeprefix("sha256:"), f"{repository}@{digest}")


def _folder(settings: Settings) -> Path:
    """Return the folder of DEPLOY_APP, relative to the .env file, not to the current folder. Raises Refused if it
    doesn't exist."""
    place = settings.folder / settings.app
    if place.is_dir():
        return place.resolve()
    raise Refused(
        f"DEPLOY_APP: the folder {place} doesn't exist.",
        state="Nothing was changed.",
        hint=f"Set it in {settings.dotenv.path}. It is relative to that file's folder.",
    )


def _manage(root: Path, files: Iterable[str]) -> str:
    every = [name for name in files if name == "manage.py" or name.endswith("/manage.py")]
    found = [name for name in every if root == SAMPLE or root / name != SAMPLE / "manage.py"]
    if "manage.py" in found:
        return ""
    if every and not found:
        raise Refused(
            f"DEPLOY_APP: the only manage.py in {root} belongs to Portside's own sample site.",
            state="Nothing was changed.",
            hint="Set DEPLOY_APP in .env to your project's folder, such as DEPLOY_APP=../mysite. For the sample site, "
            f"use DEPLOY_APP={os.path.relpath(SAMPLE, root)}.",
        )
    if len(found) == 1:
        return found[0].rpartition("/")[0]
    what = f"more than one manage.py ({', '.join(found)})" if found else "no manage.py"
    raise Refused(f"DEPLOY_APP: there is {what} in {root}.", hint="Set it in .env to the Django project's folder.")


def _secret_files(settings: Settings, root: Path) -> set[str]:
    """Return files in the project that settings name and that must not be in an image."""
    named = [settings.folder / path for path in (settings.tls_key, settings.acme_dns_credentials) if path]
    paths = [path.resolve() for path in named]
    return {path.relative_to(root).as_posix() for path in paths if path.is_relative_to(root)}


def _is_secret(name: str, hidden: Set[str] = frozenset()) -> bool:
    """Whether a file must not be in an image: an environment file, even if it is tracked, or a hidden one."""
    base = name.rpartition("/")[2]
    named = name in hidden or base == ".env"
    return named or (base.startswith(".env.") and base not in {".env.example", ".env.sample", ".env.template"})


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _walk(root: Path, leave: Set[str] = RUBBISH) -> list[str]:
    """Return every file and link below ``root``, except folders named in ``leave``."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in leave]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        found += [os.path.relpath(Path(folder, name), root) for name in files + links]
    return [name for name in found if not (leave and name.endswith(".pyc"))]


def _digest(sums: Mapping[str, str]) -> str:
    total = sha256()
    for name, found in sums.items():
        mark, _, content = found.partition(" ")
        total.update(os.fsencode(f"{name}\0{mark}\0{content}\n"))
    return total.hexdigest()


def _what(path: Path) -> str:
    """Return a file's kind and checksum."""
    return _look(path)[0]


def _look(path: Path) -> tuple[str, bool]:
    """Return a file's kind and checksum, and whether it is a Git LFS pointer."""
    if path.is_symlink():
        return f"l {sha256(os.fsencode(path.readlink())).hexdigest()}", False
    total, first = _sum(path)
    return f"{'x' if os.access(path, os.X_OK) else 'f'} {total}", len(first) < 1024 and bool(POINTER.fullmatch(first))


def _sum(path: Path) -> tuple[str, bytes]:
    """Return the SHA-256 of a file, and its first bytes. Raises Refused if it can't be read."""
    try:
        with path.open("rb", buffering=0) as stream:
            first = stream.read(BLOCK)
            if len(first) < BLOCK:
                return sha256(first).hexdigest(), first
            stream.seek(0)
            return file_digest(stream, "sha256").hexdigest(), first
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}.") from error

"""Source: what of the project goes into the image: the files git tracks, as they are here.

A change that isn't committed is deployed with the rest, and said. With ``--ref`` it is exactly that commit, the same
files as where it is checked out. Without git it is every file but the usual rubbish. A ``.env`` never goes along,
tracked or not.
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
    """A project's files. ``files``: path below the project's folder -> where it lies on this machine.

    ``commit``: 40 hex digits, or empty without git; ``changed``: tracked files that differ from it; ``deleted``: those
    of it that are gone; ``untracked``: files left out; ``manage``: the folder of manage.py below the project's, empty
    for the folder itself and where there is no Django project; ``sums``: of each file what it is (f: a file, x: one
    that can be run, l: a link) and the SHA-256 of its content; ``digest``: SHA-256 over all of that; ``pulled``: the
    image that is pulled instead, with its digest: then there are no files.
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
        """What the server keeps of a release's source: a line for each file."""
        return "".join(listed(name, found) for name, found in self.sums.items())

    @property
    def short(self) -> str:
        """Seven hex digits that name it: the commit's if it is exactly that, else the content's."""
        return (self.commit if self.is_commit else self.digest)[:7]

    @property
    def is_commit(self) -> bool:
        """Whether the files are exactly those of the commit."""
        return bool(self.commit) and not self.changed and not self.deleted

    def moved_on(self) -> tuple[str, ...]:
        """The files that by now are others than those it names."""
        return tuple(name for name, path in self.files.items() if not _exists(path) or _what(path) != self.sums[name])

    def read(self, path: str) -> str:
        return self.files[path].read_text(encoding="utf-8", errors="replace")

    def below_manage(self, path: str) -> str:
        """``path`` beside manage.py, as a path below the project's folder."""
        return f"{self.manage}/{path}" if self.manage else path

    def settings_module(self) -> str:
        """DJANGO_SETTINGS_MODULE as manage.py has it, or empty."""
        place = self.below_manage("manage.py")
        text = self.read(place) if place in self.files else ""
        found = re.search(r"""["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""", text)
        return found.group(1) if found else ""

    def has_module(self, module: str) -> bool:
        """Whether the files have this Python module or package, beside manage.py."""
        place = self.below_manage(module.replace(".", "/"))
        return any(name.startswith((f"{place}.", f"{place}/")) for name in self.files)

    def lies_here(self, path: str) -> bool:
        """Whether there is such a file beside manage.py, tracked or not."""
        return (self.root / self.below_manage(path)).is_file()

    def modules_beside(self, module: str) -> tuple[str, ...]:
        """The modules of the same package."""
        package = module.rpartition(".")[0]
        place = self.below_manage(package.replace(".", "/"))
        found = (re.fullmatch(rf"{re.escape(place)}/(\w+)\.py", name) for name in self.files)
        return tuple(f"{package}.{each[1]}" for each in found if each and each[1] != "__init__") if package else ()

    def python(self) -> str:
        """The Python version the project asks for, such as 3.12, or empty."""
        for name in (".python-version", "runtime.txt"):
            if name in self.files and (found := re.search(r"(3\.\d+)", self.read(name))):
                return found.group(1)
        wanted = self._requires_python()
        newest = (each for each in PYTHONS if wanted.contains(f"{each}.99"))
        exact = (f"{each}.{micro}" for each in PYTHONS for micro in range(98, -1, -1))
        return next(newest, "") or next((each for each in exact if wanted.contains(each)), "")

    def _requires_python(self) -> SpecifierSet:
        """What pyproject.toml allows; everything where it doesn't say, or not in words we know."""
        place = self.below_manage("pyproject.toml")
        try:
            project = tomllib.loads(self.read(place)).get("project", {}) if place in self.files else {}
            return SpecifierSet(project.get("requires-python", ""))
        except (tomllib.TOMLDecodeError, InvalidSpecifier):
            return SpecifierSet()

    def dependencies(self) -> tuple[str, dict[str, Path]]:
        """The file that names the dependencies, and all files it needs. Raises Refused if there is none."""
        places = [place for name in DEPENDENCY_FILES for place in dict.fromkeys((self.below_manage(name), name))]
        for place in places:
            if place in self.files and (name := place.rpartition("/")[2]):
                if name == "pyproject.toml" and "[project]" not in self.read(place):
                    continue
                return place, {path: self.files[path] for path in self._closure(place)}
        raise Refused(
            f"{self.root} names no dependencies: no uv.lock, requirements.txt or pyproject.toml with [project].",
            state="Nothing was changed.",
            hint="Add one of them to git, or a Dockerfile of your own.",
        )

    def all_dependencies(self) -> set[str]:
        """Every file that may say what an image is to hold, wherever it lies, and what those name."""
        return {path for place in self.files if SAYS_DEPENDENCIES.search(place) for path in self._closure(place)}

    def needs_git(self, paths: Iterable[str]) -> bool:
        """Whether a dependency comes from a git repository."""
        return any("git+" in self.read(path) for path in paths if path.endswith((".txt", ".toml", ".lock")))

    def _closure(self, place: str) -> set[str]:
        """``place`` and what it refers to: ``-r`` and ``-c`` lines, a lock's pyproject.toml, packages of its own."""
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
                    return set(self.files)  # a package of the project's own: it takes all of it
                named = re.findall(r"^\s*(?:-[rc]\s*|--(?:requirement|constraint)[ =]\s*)(\S+)", text, re.MULTILINE)
                waiting += [os.path.normpath(f"{path.rpartition('/')[0] or '.'}/{name}") for name in named]
        return found


def find(settings: Settings, ref: str, keep: ExitStack) -> Source:
    """The project that the settings name; the files of another commit are there until ``keep`` is closed.

    Raises Refused where there is none, or no manage.py for an application, or no such commit.
    """
    if settings.pulls:
        if ref:
            raise Refused(
                "--ref: DEPLOY_BUILD names an image, and no commit is built.", hint="Name another image there."
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
            f"Pointers of Git LFS in place of the files, in {root}: {tracked.some(pointers)}.",
            state="Nothing was changed.",
            hint=f"Install git-lfs and run git lfs install, then git lfs {'fetch --all' if ref else 'pull'}.",
        )
    sums = {name: what for name, (what, _) in looked.items()}
    changed, deleted, untracked = (tuple(sorted(each)) for each in (found.changed, found.deleted, found.untracked))
    return Source(root, present, found.commit, changed, untracked, manage, sums, _digest(sums), deleted=deleted)


def _listed(settings: Settings, root: Path, ref: str, keep: ExitStack) -> Tracked:
    """The files of a folder: those git lists, or all of them."""
    repository = git.repository(root)
    if ref and not repository:
        raise Refused(
            f"--ref: {root} isn't in a git repository.", hint="Leave --ref out to deploy the folder as it is."
        )
    if repository:
        found = tracked.of_commit(repository, ref, keep) if ref else tracked.here(repository, keep)
        if found.files:
            return found
        if ref:
            raise Refused(f"--ref: the commit {found.commit[:7]} has no file in {root}.")
        if settings.containers:
            raise Refused(f"git tracks no file in {root}.", hint="Run git add for what belongs to the project.")
    # No git; or a folder that a generator fills and git passes over.
    return Tracked("", {name: root / name for name in _walk(root) if _exists(root / name)})


def described(source: Source, settings: Settings) -> str:
    """Which project this is, in one line: its folder, its commit, the settings module that will run."""
    if source.pulled:
        return f"the image {settings.build}"
    folder = source.root / source.manage
    what = " (Portside's own sample site)" if folder == SAMPLE else ""
    commit = f"commit {source.commit[:7]}" if source.commit else "no commit"
    changes = ", with changes" if source.commit and not source.is_commit else ""
    given = settings.env.get("DJANGO_SETTINGS_MODULE")
    module = given.reveal() if given else source.settings_module()
    told = f", settings {module or 'as the image names them'}" if settings.containers else ""
    return f"{folder}{what}, {commit}{changes}{told}"


def listed(name: str, found: str) -> str:
    """A file as a line of a listing, whatever its name holds."""
    return f"{found} {json.dumps(name)}\n"


def of_image(settings: Settings, digest: str = "") -> Source:
    """An image that is pulled in place of a project. ``digest``: by which its registry knows it, once that is told."""
    repository = re.sub(r"@.*|:[^/]*$", "", settings.build)
    return Source(settings.folder, {}, "", (), (), "", {}, digest.removeprefix("sha256:"), f"{repository}@{digest}")


def _folder(settings: Settings) -> Path:
    """DEPLOY_APP, from the folder of the .env file alone: what is current for whoever runs fab may be another's."""
    place = settings.folder / settings.app
    if place.is_dir():
        return place.resolve()
    raise Refused(
        f"DEPLOY_APP: there is no folder {place}.",
        state="Nothing was changed.",
        hint=f"Set it in {settings.dotenv.path}: it starts from that file's folder.",
    )


def _manage(root: Path, files: Iterable[str]) -> str:
    every = [name for name in files if name == "manage.py" or name.endswith("/manage.py")]
    found = [name for name in every if root == SAMPLE or root / name != SAMPLE / "manage.py"]
    if "manage.py" in found:
        return ""
    if every and not found:
        raise Refused(
            f"DEPLOY_APP: the only manage.py in {root} is that of Portside's own sample site.",
            state="Nothing was changed.",
            hint="Say in .env where your project is, such as DEPLOY_APP=../mysite; for the sample site, "
            f"DEPLOY_APP={os.path.relpath(SAMPLE, root)}.",
        )
    if len(found) == 1:
        return found[0].rpartition("/")[0]
    what = f"more than one manage.py ({', '.join(found)})" if found else "no manage.py"
    raise Refused(f"DEPLOY_APP: there is {what} in {root}.", hint="Say in .env which folder is the Django project.")


def _secret_files(settings: Settings, root: Path) -> set[str]:
    """Those that settings name and the server alone may have, where they lie in the project."""
    named = [settings.folder / path for path in (settings.tls_key, settings.acme_dns_credentials) if path]
    paths = [path.resolve() for path in named]
    return {path.relative_to(root).as_posix() for path in paths if path.is_relative_to(root)}


def _is_secret(name: str, hidden: Set[str] = frozenset()) -> bool:
    """An environment file is no part of an image, whoever tracks it."""
    base = name.rpartition("/")[2]
    named = name in hidden or base == ".env"
    return named or (base.startswith(".env.") and base not in {".env.example", ".env.sample", ".env.template"})


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _walk(root: Path, leave: Set[str] = RUBBISH) -> list[str]:
    """Every file below ``root``, and every link, but for what is named in ``leave``."""
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
    """What a file is, and its sum."""
    return _look(path)[0]


def _look(path: Path) -> tuple[str, bool]:
    """What a file is, and its sum; and whether it only stands for one that Git LFS keeps."""
    if path.is_symlink():
        return f"l {sha256(os.fsencode(path.readlink())).hexdigest()}", False
    total, first = _sum(path)
    return f"{'x' if os.access(path, os.X_OK) else 'f'} {total}", len(first) < 1024 and bool(POINTER.fullmatch(first))


def _sum(path: Path) -> tuple[str, bytes]:
    """The SHA-256 of a file, and its first bytes."""
    try:
        with path.open("rb", buffering=0) as stream:
            first = stream.read(BLOCK)
            if len(first) < BLOCK:
                return sha256(first).hexdigest(), first
            stream.seek(0)
            return file_digest(stream, "sha256").hexdigest(), first
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}.") from error

"""Source: what of the project goes into the image: the files git tracks, as they are here.

A change that isn't committed is deployed with the rest, and said. With ``--ref`` it is exactly that commit. Without
git it is every file but the usual rubbish. A ``.env`` never goes along, tracked or not.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Set
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from .errors import Refused
from .settings import Settings

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
SAYS_DEPENDENCIES = re.compile(
    r"(^|/)(requirements/.+|(requirements|constraints)[^/]*\.(txt|in)|(uv|poetry|pdm|Pipfile)\.lock|Pipfile"
    r"|py(project|lock[^/]*)\.toml|setup\.(py|cfg)|environment\.ya?ml)$"
)


@dataclass(frozen=True)
class Source:
    """A project's files. ``files``: path below the project's folder -> where it lies on this machine.

    ``commit``: 40 hex digits, or empty without git; ``changed``: tracked files that differ from it; ``untracked``:
    files left out; ``manage``: the folder of manage.py below the project's, empty for the folder itself and where there
    is no Django project; ``sums``: of each file what it is (f: a file, x: one that can be run, l: a link) and the
    SHA-256 of its content; ``digest``: SHA-256 over all of that; ``pulled``: the image that is pulled instead, with its
    digest: then there are no files.
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

    @property
    def listing(self) -> str:
        """What the server keeps of a release's source: a line for each file."""
        return "".join(listed(name, found) for name, found in self.sums.items())

    @property
    def short(self) -> str:
        """Seven hex digits that name it: the commit's if it is exactly that, else the content's."""
        return (self.commit if self.commit and not self.changed else self.digest)[:7]

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
    if ref:
        target = Path(keep.enter_context(tempfile.TemporaryDirectory(prefix="portside-")))
        commit = _checkout(root, ref, target)
        root, files, changed, untracked = target, _walk(target, leave=set()), [], []
    elif _git(root, "rev-parse", "--git-dir") and ((files := _tracked(root)) or settings.containers):
        if not files:
            raise Refused(f"git tracks no file in {root}.", hint="Type git add for what belongs to the project.")
        commit = _git(root, "rev-parse", "HEAD").strip()
        changed = _split(_git(root, "diff", "-z", "--name-only", "--relative", "HEAD")) if commit else sorted(files)
        untracked = _split(_git(root, "ls-files", "-z", "--others", "--exclude-standard"))
    else:  # no git; or a folder that a generator fills and git passes over
        commit, files, changed, untracked = "", _walk(root), [], []
    present = {name: root / name for name in sorted(files) if not _is_secret(name, hidden) and _exists(root / name)}
    manage = _manage(root, present) if settings.containers else ""
    sums = {name: _what(path) for name, path in present.items()}
    return Source(root, present, commit, tuple(changed), tuple(untracked), manage, sums, _digest(sums))


def listed(name: str, found: str) -> str:
    """A file as a line of a listing, whatever its name holds."""
    return f"{found} {json.dumps(name)}\n"


def of_image(settings: Settings, digest: str = "") -> Source:
    """An image that is pulled in place of a project. ``digest``: by which its registry knows it, once that is told."""
    repository = re.sub(r"@.*|:[^/]*$", "", settings.build)
    return Source(settings.folder, {}, "", (), (), "", {}, digest.removeprefix("sha256:"), f"{repository}@{digest}")


def _tracked(root: Path) -> list[str]:
    return _split(_git(root, "ls-files", "-z", "--recurse-submodules") or _git(root, "ls-files", "-z"))


def _folder(settings: Settings) -> Path:
    """DEPLOY_APP, from the folder of the .env file or else from the current one."""
    places = [settings.folder / settings.app, Path.cwd() / settings.app]
    for place in places:
        if place.is_dir():
            return place.resolve()
    raise Refused(f"DEPLOY_APP: there is no folder {places[0]}.", hint="Say in .env where the project is.")


def _manage(root: Path, files: Iterable[str]) -> str:
    found = [name for name in files if name == "manage.py" or name.endswith("/manage.py")]
    if "manage.py" in found:
        return ""
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
    if path.is_symlink():
        return f"l {sha256(os.fsencode(path.readlink())).hexdigest()}"
    return f"{'x' if os.access(path, os.X_OK) else 'f'} {_sum(path)}"


def _sum(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}.") from error


def _git(root: Path, *words: str) -> str:
    """What git says, or nothing where there is no git or no repository."""
    try:
        done = subprocess.run(("git", "-C", str(root), *words), capture_output=True, check=False)
    except FileNotFoundError:
        return ""
    if b"dubious ownership" in done.stderr:
        raise Refused(done.stderr.decode().strip(), hint="Then type the same command again.")
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else ""


def _split(text: str) -> list[str]:
    return [name for name in text.split("\0") if name]


def _checkout(root: Path, ref: str, target: Path) -> str:
    """The files of a commit, written to ``target``. Returns the commit."""
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").strip()
    if not commit:
        raise Refused(f"--ref: git knows no commit {ref!r} in {root}.", hint="Type git log to see which there are.")
    prefix = _git(root, "rev-parse", "--show-prefix").strip().rstrip("/")
    top = _git(root, "rev-parse", "--show-toplevel").strip()
    words = ("git", "-C", top, "archive", "--format=tar", f"{commit}:{prefix}" if prefix else commit)
    with tempfile.TemporaryFile() as told, subprocess.Popen(words, stdout=subprocess.PIPE, stderr=told) as archive:
        # A large project needn't fit into memory.
        with suppress(tarfile.ReadError), tarfile.open(fileobj=archive.stdout, mode="r|") as tar:
            tar.extractall(target, filter="tar")
        if archive.wait():
            told.seek(0)
            raise Refused(f"--ref: {told.read().decode().strip()}")
    return commit

"""A user's project: a folder in git with a .env, deployed by the laptop's `fab`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.practice import Practice

from .laptop import CHECKOUT, Done, Fab

FEW_WORKERS = "1"
"""A Django site's, where a test makes one: each worker imports all of Django, which isn't what is tested."""


@dataclass
class Project:
    """A user's project: a folder in git with a .env that isn't."""

    root: Path
    fab: Fab = field(repr=False)
    server: Practice = field(repr=False)
    given: str | None = field(default=None, repr=False)
    ours: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def env(self) -> Path:
        return self.root / ".env"

    @property
    def name(self) -> str:
        """The site's name where DEPLOY_SITE doesn't say another."""
        return self.settings().get("DEPLOY_SITE") or self.root.name

    @property
    def domain(self) -> str:
        return self.settings()["DEPLOY_DOMAINS"].split(",")[0]

    def settings(self) -> dict[str, str]:
        """What .env says, of its values without quotes."""
        lines = self.env.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def set(self, **values: str | None) -> None:
        """Make these values stand in .env, written as they are here; None takes one of ours out again."""
        if self.given is None:
            self.given = self.env.read_text() if self.env.exists() else ""
        if {"DEPLOY_DOMAINS", "SECRET_KEY"} <= values.keys():
            values = {"DEPLOY_WORKERS": FEW_WORKERS, **values}
            if (self.root / "app/manage.py").exists():
                values = {"DEPLOY_APP": "app", **values}
        self.ours = {name: value for name, value in {**self.ours, **values}.items() if value is not None}
        lines = (line for line in self.given.splitlines(keepends=True) if line.partition("=")[0] not in self.ours)
        self.env.write_text("".join(lines) + "".join(f"{name}={value}\n" for name, value in self.ours.items()))

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text, f"{path} has no {old!r} to replace"
        (self.root / path).write_text(text.replace(old, new, 1))

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(("git", "-C", str(self.root), *who, *words), capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit everything; the commit's first seven digits."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")[:7]

    @contextmanager
    def with_settings(self, **values: str | None) -> Iterator[None]:
        """The project with these settings; taken back afterwards."""
        ours = self.ours
        self.set(**values)
        try:
            yield
        finally:
            self.set(**{name: ours.get(name) for name in values})

    @contextmanager
    def changed(self, files: Mapping[str, str], **values: str | None) -> Iterator[None]:
        """The project with one more commit, of these files, and with these settings; taken back afterwards."""
        before = self.git("rev-parse", "HEAD")
        self.write(files)
        self.commit(f"Change {', '.join(files)}")
        try:
            with self.with_settings(**values):
                yield
        finally:
            self.git("reset", "--quiet", "--hard", before)

    def deploy(self, *words: str, check: bool = True) -> Done:
        return self.fab("deploy", *words, on=self.server, project=self, check=check)

    def manage(self, command: str, *, check: bool = True) -> Done:
        return self.fab("manage", command, on=self.server, project=self, check=check)


def new_repository(root: Path, fab: Fab, server: Practice) -> Project:
    """An empty project in git, whose .env git passes over."""
    root.mkdir(parents=True)
    project = Project(root, fab, server)
    project.write({".gitignore": ".env\n__pycache__/\n"})
    project.git("init", "--quiet", "--initial-branch", "main")
    return project


def with_sample_app(project: Project) -> Project:
    """The sample site copied into the project and committed."""
    rubbish = shutil.ignore_patterns("__pycache__", "media", "static-root", "*.sqlite3")
    shutil.copytree(CHECKOUT / "app", project.root / "app", ignore=rubbish)
    project.commit("Begin")
    return project

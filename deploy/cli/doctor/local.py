"""The checks of ``fab doctor`` on the laptop, which need no server."""

from __future__ import annotations

import platform
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import paramiko

from ...build import git
from ...build.git import Git
from ...config.settings import Settings
from ...core.errors import Refused
from .findings import Finding, fault, fine, warning

PYTHON = (3, 11)
KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


def findings(settings: Settings, *, given_key: bool) -> list[Finding]:
    """Return the findings about this machine. ``given_key``: whether -i names a key."""
    secret = [settings.dotenv.path, *(settings.folder / path for path in _secret_files(settings))]
    return [
        *machine(given_key=given_key),
        *(finding for path in secret if path.exists() for finding in _kept(path)),
        *_environment(settings),
    ]


def machine(*, given_key: bool) -> list[Finding]:
    """Return the findings that don't depend on the site's settings."""
    return [_python(), _key(given_key=given_key)]


def _python() -> Finding:
    if sys.version_info < PYTHON:
        return fault("python", f"Python {platform.python_version()} is too old.", "make PYTHON=python3.13 setup")
    return fine("python", f"Python {platform.python_version()}")


def _key(*, given_key: bool) -> Finding:
    """Check whether there is an SSH key. Only a server can tell whether it accepts the key."""
    files = [name for name in KEYS if (_home() / ".ssh" / name).exists()]
    loaded = len(_agent_keys())
    if given_key or files or loaded:
        have = ["-i"] * given_key + [f"{loaded} in the agent"] * bool(loaded) + files
        return fine("ssh", f"SSH keys: {', '.join(have)}")
    return warning(
        "ssh",
        "There is no SSH key in ~/.ssh, and none in an agent.",
        "ssh-keygen -t ed25519, then ssh-copy-id user@host; or name one with -i KEY",
    )


def _agent_keys() -> tuple[object, ...]:
    try:
        agent = paramiko.Agent()
        try:
            return tuple(agent.get_keys())
        finally:
            agent.close()
    except (paramiko.SSHException, OSError):
        return ()


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


def _secret_files(settings: Settings) -> Iterable[str]:
    return (path for path in (settings.tls_key, settings.acme_dns_credentials) if path)


def _kept(path: Path) -> list[Finding]:
    """Check whether only its owner can read a file with secrets, and that git doesn't track it."""
    found = []
    if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        found.append(fault("secrets", f"Every user on this machine can read {path}.", f"chmod 600 {path}"))
    repository = _repository(path)
    if repository and repository.knows("--literal-pathspecs", "ls-files", "--error-unmatch", path.name):
        found.append(
            fault(
                "secrets",
                f"{path} is tracked by git, so everyone with the repository has its secrets.",
                f"git rm --cached {path}, add it to .gitignore, commit, and change the secrets in it",
            )
        )
    elif repository and not repository.knows("check-ignore", "--quiet", path.name):
        found.append(warning("secrets", f"{path} isn't in .gitignore.", f"echo {path.name} >> .gitignore"))
    return found or [fine("secrets", f"only its owner can read {path}, and it isn't in git")]


def _repository(path: Path) -> Git | None:
    """Return the repository of a file's folder, or None if git can't read it."""
    try:
        return git.repository(path.resolve().parent)
    except Refused:
        return None


def _environment(settings: Settings) -> list[Finding]:
    where = settings.dotenv.path
    read = f"{where} is complete" if where.exists() else "the shell's environment has all settings; there is no .env"
    if settings.dotenv.overridden:
        names = ", ".join(settings.dotenv.overridden)
        return [warning("settings", f"Variables set in your shell override {where}: {names}.", f"unset {names}")]
    return [fine("settings", read)]


def engine() -> Finding:
    """Check whether a local Docker Engine answers, for images that are built here."""
    from ...build import engine as found_by  # noqa: PLC0415 - slow, and only needed for this

    found = found_by.find(timeout=10)
    if not found:
        return fault(
            "docker",
            f"DEPLOY_BUILD=local needs a Docker Engine, and none answers {found_by.where()}.",
            "start Docker, or take DEPLOY_BUILD out to build on the server",
        )
    try:
        version = found.client.version()["Version"]
    finally:
        found.close()
    return fine("docker", f"Docker {version} answers {found_by.where()}")

"""What ``fab doctor`` finds on the laptop: before any server is asked."""

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
    """What is so on this machine. ``given_key``: -i names one."""
    secret = [settings.dotenv.path, *(settings.folder / path for path in _secret_files(settings))]
    return [
        *machine(given_key=given_key),
        *(finding for path in secret if path.exists() for finding in _kept(path)),
        *_environment(settings),
    ]


def machine(*, given_key: bool) -> list[Finding]:
    """What is so of it whatever the site's settings are."""
    return [_python(), _key(given_key=given_key)]


def _python() -> Finding:
    if sys.version_info < PYTHON:
        return fault("python", f"Python is {platform.python_version()}, too old.", "make PYTHON=python3.13 setup")
    return fine("python", f"Python {platform.python_version()}")


def _key(*, given_key: bool) -> Finding:
    """Whether there is a key to come with. Whether a server takes it, the server says."""
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
    """Whether a file with secrets is its owner's alone, and no part of the project's history."""
    found = []
    if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        found.append(fault("secrets", f"Everybody on this machine can read {path}.", f"chmod 600 {path}"))
    repository = _repository(path)
    if repository and repository.knows("--literal-pathspecs", "ls-files", "--error-unmatch", path.name):
        found.append(
            fault(
                "secrets",
                f"{path} is tracked by git, so whoever has the repository has its secrets.",
                f"git rm --cached {path}, add it to .gitignore, commit, and change the secrets in it",
            )
        )
    elif repository and not repository.knows("check-ignore", "--quiet", path.name):
        found.append(warning("secrets", f"git doesn't pass over {path}.", f"echo {path.name} >> .gitignore"))
    return found or [fine("secrets", f"{path} is its owner's, and not in git")]


def _repository(path: Path) -> Git | None:
    """That of a file's folder, if git can say anything of it."""
    try:
        return git.repository(path.resolve().parent)
    except Refused:
        return None


def _environment(settings: Settings) -> list[Finding]:
    where = settings.dotenv.path
    read = f"{where} is complete" if where.exists() else "the environment has all settings, without a .env"
    if settings.dotenv.overridden:
        names = ", ".join(settings.dotenv.overridden)
        return [warning("settings", f"The environment of this shell wins over {where} for {names}.", f"unset {names}")]
    return [fine("settings", read)]


def engine() -> Finding:
    """Whether a Docker Engine answers here, for images that are built here."""
    import docker  # noqa: PLC0415 - slow, and only needed for this

    try:
        client = docker.from_env(timeout=10)
        try:
            version = client.version()["Version"]
        finally:
            client.close()
    except docker.errors.DockerException as error:
        return fault(
            "docker",
            f"DEPLOY_BUILD=local, and no Docker Engine answers on this machine: {error}.",
            "start Docker, or take DEPLOY_BUILD out to build on the server",
        )
    return fine("docker", f"Docker {version} answers on this machine")

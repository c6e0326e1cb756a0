"""The address of the Docker Engine that the user chose: DOCKER_HOST, a Docker context, or a socket.

The docker command and the SDK get the same environment, so that they use the same engine.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker
from docker import DockerClient
from docker.context import Context, ContextAPI
from docker.context.config import get_current_context_name

PLAIN = {"DOCKER_TLS": "", "DOCKER_TLS_VERIFY": "", "DOCKER_CERT_PATH": ""}  # empty counts as not set
LOCAL = ("unix://", "npipe://")


def endpoints(*, here: bool = False) -> Iterator[dict[str, str]]:
    """Yield the environments by which an engine may be reached, in the order in which to try them. DOCKER_HOST or a
    context that is in use is the only one then. ``here``: an engine elsewhere counts only if DOCKER_HOST names it."""
    if host := os.environ.get("DOCKER_HOST"):
        yield {"DOCKER_HOST": host}
        return
    if name := in_use():
        found = _of_context(name)
        if not here or found.get("DOCKER_HOST", "").startswith(LOCAL):
            yield from [found] if found else []
            return
    for socket in _sockets():
        if Path(socket).exists():
            yield {"DOCKER_HOST": f"unix://{socket}", **PLAIN}


def client(endpoint: Mapping[str, str], timeout: int) -> DockerClient:
    """Return a client of the engine there. ``timeout``: seconds it may be silent. Raises DockerException, or OSError.
    By SSH it is reached as the docker command reaches it: by the program ssh, with all that ssh_config says."""
    environment = {**os.environ, **endpoint}
    return docker.from_env(timeout=timeout, environment=environment, use_ssh_client=bool(shutil.which("ssh")))


def in_use() -> str:
    """Return the context that DOCKER_CONTEXT or ``docker context use`` has chosen; empty if it is Docker's default, or
    if DOCKER_HOST overrides it."""
    if os.environ.get("DOCKER_HOST"):
        return ""
    name = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    return "" if name == "default" else name


def _of_context(name: str) -> dict[str, str]:
    """Return the environment that stands for a context; an empty one if there is no such context."""
    try:
        context = ContextAPI.get_context(name)
    except Exception:  # the SDK raises bare ones for files that it can't read
        return {}
    if context is None or not context.Host:
        return {}
    return {"DOCKER_HOST": str(context.Host), **PLAIN, **_tls(context)}


def _tls(context: Context) -> dict[str, str]:
    """Return what says how to prove who we are; the SDK knows the files, which have the names that Docker looks for."""
    tls = context.TLSConfig
    if not tls or not tls.cert:
        return {}
    verified = {"DOCKER_TLS_VERIFY": "1"} if tls.verify else {"DOCKER_TLS": "1"}
    return {"DOCKER_CERT_PATH": str(Path(tls.cert[0]).parent), **verified}


def _sockets() -> tuple[str, ...]:
    home, runtime = os.environ.get("HOME", "/"), os.environ.get("XDG_RUNTIME_DIR", "/run")
    places = ("/var/run/docker.sock", f"{runtime}/docker.sock", f"{home}/.docker/run/docker.sock")
    return (*places, f"{home}/.colima/docker.sock")

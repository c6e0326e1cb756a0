"""The rivals: pyinfra and Ansible, and the state they are to bring a server to, read off Portside's own plan."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from fabric import Connection

from deploy.cli import fabric
from deploy.core import server_paths
from deploy.core.facts import Facts
from deploy.core.steps import Folder, Step, Write
from deploy.flows.context import Run
from deploy.host import packages as host_packages
from deploy.host import provision
from deploy.nginx import generation as nginx_generation
from deploy.practice import Practice, access

from .laptop import CHECKOUT

FILES = Path(__file__).parent / "recipes"
HOME = CHECKOUT / ".bench"
"""Where the rivals are installed; git passes over it."""

# Folders that no package brings; Portside's write makes them by the way.
OWN_FOLDERS = sorted({str(Path(path).parent) for path in (server_paths.GUARD_SCRIPT, server_paths.RENEWAL_HOOK)})
# The package lists are as fresh as they need be: nobody reads them again.
CACHE_SECONDS = 7 * 24 * 3600
# Downloaded beforehand, so that the mirror's speed is nobody's merit.
DOWNLOAD = """\
export DEBIAN_FRONTEND=noninteractive
apt-get -qq install -y --download-only --no-install-recommends "$@" >/dev/null
"""
CHOICE = 'for name; do apt-cache policy "$name" | grep -q "^  Candidate: [^(]" && echo "$name"; done; true'


def install() -> Path:
    """The folder of the rivals' programs, in an environment of their own."""
    wanted = FILES / "requirements.txt"
    made = HOME / sha256(wanted.read_bytes()).hexdigest()[:12]
    programs, ready = made / "bin", made / "ready"
    if not ready.exists():
        subprocess.run((sys.executable, "-m", "venv", str(made)), check=True)
        pip = (str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        subprocess.run((*pip, "--require-hashes", "-r", str(wanted)), check=True)
        ready.touch()
    return programs


def look(server: Practice, env: Path) -> Run:
    """A run of `fab provision` that has only looked."""
    run = fabric.run(Connection(server.name), "provision", env=str(env), verbose=False, quiet=True)
    run.look()
    run.server.close()
    return run


def packages(server: Practice, run: Run) -> list[str]:
    """The packages that Portside would install on this bare server, as the distribution names them."""
    steps = host_packages.packages(run.settings, run.facts)
    words = next(step.packages for step in steps if isinstance(step, host_packages.Install))
    wanted = [word.rstrip("?").split("|") for word in words]
    there = set(server.exec(("sh", "-c", CHOICE, "choose", *(name for each in wanted for name in each))).split())
    return [next(name for name in each if name in there) for each in wanted if there & set(each)]


def download(server: Practice, env: Path, *more: str) -> list[str]:
    """Has Portside's packages on the bare server's disk, and ``more``; the names of Portside's own."""
    server.exec(("apt-get", "-qq", "update"))
    wanted = packages(server, look(server, env))
    server.exec(("sh", "-c", DOWNLOAD, "download", *wanted, *more))
    return wanted


def bare(facts: Facts) -> Facts:
    """The facts as if nothing but the packages were there."""
    return replace(
        facts, files={}, ufw="inactive", ufw_rules=(), nginx_generation="", nginx_files={}, nginx_conf="distribution"
    )  # fmt: skip


def export(server: Practice, run: Run, installed: Iterable[str], folder: Path) -> Path:
    """What a provisioned server is like, as files and a description for the rivals. Returns the description."""
    facts = bare(run.facts)
    steps = provision.rest(run.settings, facts)
    made = nginx_generation.generation(nginx_generation.base(facts), facts)
    if made.name != run.facts.nginx_generation:
        raise ValueError(f"The server has Nginx generation {run.facts.nginx_generation}, the plan {made.name}.")
    texts = {**made.files, "generation.conf": server.exec(("cat", f"{server_paths.NGINX_LIVE}/generation.conf"))}
    for path, text in texts.items():
        _put(folder / "generation" / path, text)
    whole = [
        *_written(steps),
        (server_paths.DAEMON_JSON, "644", run.facts.daemon_json),
        (server_paths.NGINX_CONF, "644", nginx_generation.MAIN),
    ]
    for path, _, text in whole:
        _put(folder / "files" / path.lstrip("/"), text)
    generation = f"{server_paths.NGINX_GENERATIONS}/{made.name}"
    state = {
        "packages": sorted(installed),
        "cache_seconds": CACHE_SECONDS,
        "folders": [
            *({"path": step.path, "mode": f"{step.mode:o}"} for step in steps if isinstance(step, Folder)),
            *({"path": path, "mode": "755"} for path in (server_paths.NGINX_GENERATIONS, *OWN_FOLDERS)),
        ],
        "files": [
            {"path": path, "mode": mode, "source": str(folder / "files" / path.lstrip("/"))} for path, mode, _ in whole
        ],
        "generation": {"path": generation, "source": str(folder / "generation")},
        "link": {"path": server_paths.NGINX_LIVE, "target": generation},
        "page": server_paths.NGINX_DEFAULT_PAGE,
        "ports": [port for step in steps if step.script == "firewall" for port in _ports(step)],
        "guard": Path(server_paths.GUARD_UNIT).stem,
        "guard_unit": server_paths.GUARD_UNIT,
        "nginx_conf": server_paths.NGINX_CONF,
        "daemon_json": server_paths.DAEMON_JSON,
    }
    _put(folder / "state.json", json.dumps(state, indent=1))
    return folder / "state.json"


def _written(steps: Iterable[Step]) -> Iterable[tuple[str, str, str]]:
    for step in steps:
        if isinstance(step, Write):
            yield step.path, f"{step.mode:o}", step.content.decode()


def _ports(step: Step) -> Sequence[str]:
    return step.arguments["ports"]  # type: ignore[return-value]


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Rival:
    """A program that brings a server to a state. ``changed``: what its output says where it changed something."""

    name: str
    programs: Path
    state: Path

    def run(self, target: str, port: int) -> str:
        """One run against a server; what it printed. Raises CalledProcessError, with the output on the screen."""
        with tempfile.TemporaryDirectory(prefix="portside-") as folder:
            words, environment = self.command(target, port, Path(folder))
            done = subprocess.run(
                words, check=False, cwd=folder, env=os.environ | environment, capture_output=True, text=True
            )  # fmt: skip
        if done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            done.check_returncode()
        return done.stdout + done.stderr

    def command(self, target: str, port: int, folder: Path) -> tuple[tuple[str, ...], Mapping[str, str]]:
        """The words to run and what they need in their environment. ``folder``: of this run alone."""
        raise NotImplementedError

    def changes(self, printed: str) -> int:
        """How much it says that it changed."""
        raise NotImplementedError


class Pyinfra(Rival):
    def command(self, target: str, port: int, folder: Path) -> tuple[tuple[str, ...], Mapping[str, str]]:
        data: dict[str, Any] = {
            "ssh_hostname": "127.0.0.1",
            "ssh_port": port,
            "ssh_user": "deploy",
            "ssh_key": str(access.KEY),
            "ssh_known_hosts_file": str(access.KNOWN_HOSTS),
            "ssh_strict_host_key_checking": "yes",
            "ssh_allow_agent": False,
            "ssh_look_for_keys": False,
        }
        (folder / "inventory.py").write_text(f"servers = [({target!r}, {data!r})]\n", encoding="utf-8")
        words = (str(self.programs / "pyinfra"), "-y", "inventory.py", str(FILES / "deploy.py"))
        return words, {"PORTSIDE_STATE": str(self.state)}

    def changes(self, printed: str) -> int:
        line = next(line for line in printed.splitlines() if line.strip().startswith("Grand total"))
        return int(line.split()[3].replace("-", "0"))


class Ansible(Rival):
    def command(self, target: str, port: int, folder: Path) -> tuple[tuple[str, ...], Mapping[str, str]]:
        words = ("-i", f"{target},", "-e", f"@{self.state}", str(FILES / "playbook.yaml"))
        return (str(self.programs / "ansible-playbook"), *words), {
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_SSH_COMMON_ARGS": f"-F {access.SSH_CONFIG}",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder),
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_NOCOLOR": "true",
        }

    def changes(self, printed: str) -> int:
        words = printed[printed.rindex("PLAY RECAP") :].split()
        return int(next(word for word in words if word.startswith("changed=")).partition("=")[2])

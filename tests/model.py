"""A model of a server: what each step leaves, as facts. For tests of plans alone; what steps do, a server shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from deploy.core import server_paths
from deploy.core.facts import Container, Facts, FileFact
from deploy.core.steps import Folder, Remove, Step, Write

NGINX = "nginx version: nginx/1.26.3\nbuilt with OpenSSL 3.5.7 9 Jun 2026\nconfigure arguments: --with-http_v3_module\n"


@dataclass
class Model:
    """``facts``: what is so. ``offered``: what its distribution has of packages that may be missing there."""

    facts: Facts
    offered: frozenset[str]

    def apply(self, steps: Iterable[Step]) -> None:
        for step in steps:
            match step:
                case Folder():
                    self._file(step.path, step.mode, step.owner, "-")
                case Write():
                    self._write(step)
                case Remove():
                    self._set(files={path: fact for path, fact in self.facts.files.items() if path != step.path})
                case _:
                    does: Callable[..., None] = getattr(self, "_does_" + step.script.replace("-", "_"))
                    does(step, **step.arguments)

    def _set(self, **changed: object) -> None:
        self.facts = replace(self.facts, **changed)  # type: ignore[arg-type]

    def _file(self, path: str, mode: int, owner: str, hashed: str) -> None:
        numbers = owner.replace("root:root", "0:0")
        self._set(files=self.facts.files | {path: FileFact(mode, numbers, hashed)})

    def _write(self, step: Write) -> None:
        self._file(step.path, step.mode, step.owner, sha256(step.content).hexdigest())
        if step.path == server_paths.VERSION:
            self._set(portside=step.content.decode().strip())
        if step.path == server_paths.DAEMON_JSON:
            self._set(daemon_json=step.content.decode())

    def _does_packages(self, step: Step, packages: Iterable[str]) -> None:
        installed = set()
        for word in packages:
            there = [name for name in word.rstrip("?").split("|") if name in self.offered or not word.endswith("?")]
            installed |= set(there[:1])
        self._set(packages=self.facts.packages | installed)
        if "nginx" in installed:
            # The distribution would start it; packages.sh keeps it from that.
            self._set(nginx_version=NGINX, nginx_conf="distribution", nginx_default="distribution", nginx_active=False)
        if "docker.io" in installed:
            kept = json.loads(self.facts.daemon_json or "{}").get("live-restore") is True
            self._set(docker_version="26.1.5", live_restore=kept)
        if installed & {"docker-compose", "docker-compose-v2"}:
            self._set(compose_version="2.26.1")
        if "docker-buildx" in installed:
            self._set(buildx_version="0.13.1")
        if "certbot" in installed:
            self._set(renewal_timer=True)
        if "ufw" in installed:
            self._set(ufw="inactive")

    def _does_enable(self, step: Step, units: Iterable[str]) -> None:
        assert server_paths.NGINX_UNIT in self.facts.files
        self._set(disabled=tuple(unit for unit in self.facts.disabled if unit not in units))

    def _does_docker_reload(self, step: Step) -> None:
        self._set(live_restore=json.loads(self.facts.daemon_json)["live-restore"])

    def _does_guard_enable(self, step: Step) -> None:
        assert server_paths.GUARD_UNIT in self.facts.files

    def _does_firewall(self, step: Step, what: str, ports: Sequence[str]) -> None:
        before = [rule for rule in self.facts.ufw_rules if rule.split()[1] not in ports]
        added = [f"allow {port}" + " comment 'Portside: HTTP/3'" * port.endswith("udp") for port in ports]
        opens = what == "open"
        self._set(ufw="active" if opens else self.facts.ufw, ufw_rules=(*before, *(added if opens else ())))

    def _does_nginx(self, step: Step, generation: str, before: str, status_port: int, page: str) -> None:
        assert before == self.facts.nginx_generation, "generation.sh refuses what was planned upon another one"
        content = {name: data for name, data in step.files.items() if isinstance(data, bytes)}
        kept = content[f"{generation}/kept"].decode().splitlines()
        start = f"{generation}/new/"
        new = {name.removeprefix(start): data for name, data in content.items() if name.startswith(start)}
        files = {path: self.facts.nginx_files[path] for path in kept}
        files |= {path: sha256(data).hexdigest() for path, data in new.items()}
        self._file(server_paths.NGINX_CONF, 0o644, "0:0", sha256(content["main"]).hexdigest())
        self._set(nginx_files=files, nginx_generation=generation, nginx_active=True, nginx_conf="other")
        if page:
            self._set(nginx_default="")

    def _does_certificate(self, step: Step, site: str, kind: str, folder: str) -> None:
        own = step.files.get("fullchain.pem", b"")
        assert isinstance(own, bytes)
        self._set(certificate=own.decode() if kind == "own" else self.facts.issued, certificate_kind=kind)

    def _does_timer(self, step: Step) -> None:
        self._set(renewal_timer=True)

    def _does_network(self, step: Step, name: str, site: str) -> None:
        pass

    def _does_data(self, step: Step, compose: str, ready: str, **more: str) -> None:
        self._file(ready, 0o644, "0:0", "(when)")
        assert compose in self.facts.files
        self._set(containers=(*self.facts.containers, Container("a-db-1", "running", True, "db", "", "", "")))

"""Dry run: a flow's own stages run against a server that only records their steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from ...core import server_paths
from ...core.errors import Locked
from ...core.facts import Facts, FileFact
from ...core.paths import Site
from ...core.report import Report
from ...core.steps import Step
from ...nginx import generation
from ...ssh.results import Result
from ...ssh.server import Server

NEW = "(new)"  # the plan's name for the next release, whose real name has the time of its deploy
LOOKS = {"ask", "gate", "look", "compare", "watch", "visit", "note"}  # scripts that change nothing
ENDED = {"seconds": 0, "left": 0, "working": [], "dying": []}  # the answer after a switch, if all is healthy


class Unknown(Exception):
    """Raised for a fact that only the deploy itself can find out. The text says why."""


@dataclass(frozen=True)
class Taken:
    """A step that a stage would have run."""

    stage: str
    step: Step

    @property
    def script(self) -> str:
        return self.step.words[1] if self.step.words[0] == "script" else ""


class CollectingReport(Report):
    """Collects warnings. A plan needs no other output of a stage."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        self.warnings.append(line)


class DryRunServer(Server):
    """Stands in for a server. Its facts are that server's at first, and then as the steps would change them.

    ``answer``: returns the answer to a step that asks something. Raises Unknown if it isn't known yet.
    """

    def __init__(self, server: Server, report: Report, answer: Callable[[Step], Any]) -> None:
        self.server, self.report, self.answer = server, report, answer
        self.practice = server.practice
        self.taken: list[Taken] = []
        self.known: Facts | None = None
        self.first: Facts | None = None  # as the server is

    @property
    def target(self) -> str:
        return self.server.target

    def connect(self) -> None:
        self.server.connect()

    def facts(self, site: Site, paths: Sequence[str]) -> Facts:
        self.first = self.first or self.server.facts(site, paths)
        self.known = self.known or self.first
        return self.known

    @contextmanager
    def lock(
        self, site: Site, waiting: Callable[[str], None] | None = None
    ) -> Iterator[tuple[Callable[[str], None], str, bool]]:
        """Take no lock: a plan changes nothing. Raises Locked if another run is in progress, since the server is then
        half changed."""
        if self.known and self.known.held:
            hint = "Wait until it has ended and run the command again."
            raise Locked.by(self.known.held, site.name, self.target, hint)
        yield lambda stage: None, self.known.current if self.known else "", False

    def apply(
        self, steps: Sequence[Step], *, stage: str, lock: str = "", big: bool = False, detached: bool = False
    ) -> list[Result]:
        return [self._take(Taken(stage, step)) for step in steps]

    def _take(self, taken: Taken) -> Result:
        self.taken.append(taken)
        answer = self._answer(taken)
        if self.known:
            self.known = after(self.known, taken.step)
        return Result(taken.step, "changed", "", answer, ())

    def _answer(self, taken: Taken) -> Any:
        if taken.script in {"finish", "watch"}:
            return ENDED
        if taken.script in {"build", "load"}:
            return {"digest": ""}
        if taken.script == "gate":
            return {"way": [], "elsewhere": ""}
        if taken.script == "pull":
            return {"digest": _pinned(taken.step.words[2])}
        return self.answer(taken.step) if taken.script in {"ask", "compare", "start", "visit"} else None


def _pinned(reference: str) -> str:
    """Return the digest in an image's reference. Raises Unknown for a tag, which may have moved."""
    _, pinned, digest = reference.partition("@")
    if not pinned:
        raise Unknown(f"Whether {reference} has changed is known once the server pulls it.")
    return digest


def after(facts: Facts, step: Step) -> Facts:
    """Return the facts after a step, as far as later stages depend on them."""
    words = step.words[1:] if step.words[0] == "script" else ()
    change = _AFTER.get(words[0]) if words else None
    return change(facts, step, words[1:]) if change else facts


def _packages(facts: Facts, step: Step, wanted: Sequence[str]) -> Facts:
    """Add new packages, with the distribution's files. Their versions stay unknown."""
    there = facts.packages | {name.partition("|")[0].rstrip("?") for name in wanted}
    firewall = "inactive" if "ufw" in wanted else facts.ufw
    timer = facts.renewal_timer or "certbot" in wanted  # its package starts it
    known = replace(facts, packages=there, ufw=firewall, renewal_timer=timer)
    return replace(known, nginx_conf="distribution", nginx_default="distribution") if "nginx" in wanted else known


def _generation(facts: Facts, step: Step, name: str) -> Facts:
    digests = {path: sha256(content).hexdigest() for path, content in new_files(step, name).items()}
    kept = {path: facts.nginx_files[path] for path in kept_files(step, name) if path in facts.nginx_files}
    main = FileFact(0o644, "0:0", sha256(generation.MAIN.encode()).hexdigest())
    return replace(
        facts,
        nginx_files=kept | digests,
        nginx_generation=name,
        nginx_active=True,
        answer=facts.answer if facts.nginx_active else "",  # a stopped Nginx says nothing about the site
        nginx_default="" if facts.nginx_default == "distribution" else facts.nginx_default,
        files=facts.files | {server_paths.NGINX_CONF: main},
    )


def generations(step: Step) -> list[str]:
    """Return the generations that a step puts live, in order."""
    words = step.words[2:3] if step.words[1] == "nginx" else step.words[9:11]
    return [name for name in words if name] if step.words[1] in {"nginx", "switch"} else []


def new_files(step: Step, generation: str) -> dict[str, bytes]:
    """Return a generation's own files: path in it -> content."""
    start = f"{generation}/new/"
    return {
        name.removeprefix(start): content
        for name, content in step.files.items()
        if name.startswith(start) and isinstance(content, bytes)
    }


def kept_files(step: Step, generation: str) -> list[str]:
    """Return the paths that a generation copies from the live one."""
    content = step.files[f"{generation}/kept"]
    return content.decode().splitlines() if isinstance(content, bytes) else []


def _nginx(facts: Facts, step: Step, words: Sequence[str]) -> Facts:
    return _generation(facts, step, words[0])


def _switch(facts: Facts, step: Step, words: Sequence[str]) -> Facts:
    for name in generations(step):
        facts = _generation(facts, step, name)
    return replace(facts, current=words[2])


def _finish(facts: Facts, step: Step, words: Sequence[str]) -> Facts:
    identity, content = words[2], step.files["release.json"]
    record = json.loads(content) if isinstance(content, bytes) else {}
    pending = {name: value for name, value in facts.pending.items() if name != identity}
    return replace(facts, releases=facts.releases | {identity: record}, pending=pending)


def _certificate(facts: Facts, step: Step, words: Sequence[str]) -> Facts:
    own = step.files.get("fullchain.pem")
    pem = own.decode(errors="replace") if isinstance(own, bytes) else facts.issued
    return replace(facts, certificate=pem, certificate_kind=words[1])


def _discard(facts: Facts, step: Step, words: Sequence[str]) -> Facts:
    gone = words[3:]
    return replace(
        facts,
        releases={name: record for name, record in facts.releases.items() if name not in gone},
        pending={name: record for name, record in facts.pending.items() if name not in gone},
        images=tuple(image for image in facts.images if image.rpartition(":")[2] not in gone),
    )


def _stop(facts: Facts, step: Step, words: Sequence[str]) -> Facts:
    stopped = tuple(replace(c, state="exited") if c.release in words[2:] else c for c in facts.containers)
    return replace(facts, containers=stopped)


_AFTER: dict[str, Callable[[Facts, Step, Sequence[str]], Facts]] = {
    "packages": _packages,
    "nginx": _nginx,
    "switch": _switch,
    "finish": _finish,
    "certificate": _certificate,
    "discard": _discard,
    "stop": _stop,
}

"""The differences between what a server has and what steps would put there, read in one round trip."""

from __future__ import annotations

import base64
import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice

from ...config.dotenv import for_compose
from ...core import server_paths
from ...core.facts import Facts, FileFact
from ...core.mask import Mask
from ...core.steps import SECRET_FILES, Folder, Remove, Script, Step, Write
from ...nginx.generation import OfNginx, PutLive
from .dry_run import Taken, is_known

UNKNOWN = "?"
USERINFO = re.compile(r"(?<=://)[^/\s\"']+(?=@)")  # user and password in a URL
# Text that users write themselves. It may contain secrets that are in no setting, or no longer: the file that
# DEPLOY_NGINX_INCLUDE names, Docker's settings, and the commands of processes in compose.yaml.
OWN_FILE = re.compile(rf".*\.include|{re.escape(server_paths.DAEMON_JSON)}")
OWN_LINE = re.compile(r'\s*command: \["sh", "-c", ')
NAMED = re.compile(
    r"((?:authorization|token|secret|passw|passphrase|credential|key|\bbasic\b|\bbearer\b)[^\s:=]*[\s:=]+)(\S.*?)(;?)$",
    re.IGNORECASE,
)
HIDDEN = "[hidden]"


@dataclass(frozen=True)
class Present:
    """What exists on the server. ``texts``: the content of files that differ from the wanted one."""

    files: Mapping[str, FileFact] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    image_bytes: int = 0
    surplus: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    listed: bool = False
    new_lines: tuple[str, ...] = ()
    old_lines: tuple[str, ...] = ()

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Present:
        """Read the lines of ``remote/present.sh``."""
        many: dict[str, list[str]] = {}
        for line in lines:
            key, _, value = line.partition("\t")
            many.setdefault(key, []).append(value)
        files = [value.split(" ", 4) for value in many.get("file", [])]
        return cls(
            files={path: FileFact(int(mode, 8), owner, sha) for mode, owner, sha, _, path in files},
            texts={path: _decoded(content) for *_, content, path in files if content != "-"},
            network="network" in many,
            image_bytes=int(many.get("image.size", ["0"])[0] or 0),
            surplus=tuple(many.get("surplus", [])),
            environment=dict(value.split(" ", 1) for value in many.get("env", [])),
            listed="listed" in many,
            new_lines=tuple(many.get("source.new", [])),
            old_lines=tuple(many.get("source.old", [])),
        )


def _decoded(content: str) -> str:
    return base64.b64decode(content).decode(errors="replace")


@dataclass(frozen=True)
class Item:
    """A step of a plan. ``sign``: + new, ~ changed, - removed, ? unknown, empty for one that only checks.
    ``diffs``: path -> its unified diff."""

    stage: str
    name: str
    sign: str
    why: str = ""
    diffs: Mapping[str, str] = field(default_factory=dict)
    path: str = ""


def wanted(taken: Sequence[Taken], facts: Facts) -> dict[str, str]:
    """Return the files to compare: path -> its wanted checksum, or - if its content must not be read."""
    found: dict[str, str] = {}
    for step in (each.step for each in taken):
        if step.path:
            found[step.path] = _sum(step)
        if isinstance(step, OfNginx):
            for generation in step.generations:
                found |= {_live(path): digest for path, digest in _changes(step, generation, facts.nginx_files).items()}
    return found


def _sum(step: Step) -> str:
    return sha256(step.content).hexdigest() if isinstance(step, Write) and not step.secret else "-"


def _changes(step: OfNginx, generation: str, present: Mapping[str, str]) -> dict[str, str]:
    """Return a generation's files that differ from the present ones, and those that it removes."""
    new = {path: sha256(content).hexdigest() for path, content in step.new_files(generation).items()}
    kept = set(step.kept_files(generation))
    gone = {path: "" for path in present if path not in new and path not in kept}
    changed = {path: digest for path, digest in new.items() if present.get(path) != digest}
    return {path: "-" if path.endswith(SECRET_FILES) else digest for path, digest in {**gone, **changed}.items()}


def _live(path: str) -> str:
    return f"{server_paths.NGINX_LIVE}/{path}"


class Differing:
    """Goes through the steps in order, and finds what each would change.

    ``mask``: hides values. ``versions``: whether the versions of programs are known: the content of files depends on
    them. ``surplus``: the releases that a prune removes.
    """

    def __init__(self, facts: Facts, present: Present, mask: Mask, *, versions: bool, surplus: Sequence[str]) -> None:
        self.mask, self.versions, self.surplus = mask, versions, surplus
        self.network = present.network
        self.files = {path: (fact.mode, fact.owner, fact.sha256) for path, fact in present.files.items()}
        self.texts = dict(present.texts)
        self.nginx = dict(facts.nginx_files)

    def items(self, taken: Iterable[Taken]) -> list[Item]:
        return [item for each in taken if (item := self._item(each))]

    def _item(self, taken: Taken) -> Item | None:
        match taken.step:
            case Write() | Folder() as step:
                return self._put(taken.stage, step)
            case Remove() as step:
                return self._remove(taken.stage, step)
            case Script() as step if is_known(step):
                return self._script(taken.stage, step)
        return Item(taken.stage, taken.step.name, UNKNOWN, "what it changes isn't known")

    def _script(self, stage: str, step: Script) -> Item | None:
        script = step.script
        if (script == "network" and self.network) or (script == "prune" and not self.surplus):
            return None
        self.network = self.network or script == "network"
        diffs: dict[str, str] = {}
        if isinstance(step, OfNginx) and step.generations:
            diffs = self._generation(step, step.generations[-1])  # an earlier one is only for the moment of the switch
        return Item(stage, step.name, step.sign or "", self._why(step, diffs), diffs)

    def _why(self, step: Script, diffs: Mapping[str, str]) -> str:
        if step.script == "prune":
            return ", ".join(self.surplus)
        if not isinstance(step, PutLive) or diffs:
            return ""
        return "its files don't change" if self.versions else "its text depends on the installed Nginx"

    def _remove(self, stage: str, step: Remove) -> Item | None:
        if step.path not in self.files:
            return None
        del self.files[step.path]
        return Item(stage, step.name, "-", path=step.path)

    def _put(self, stage: str, step: Write | Folder) -> Item | None:
        """Compare a file or a folder as apply.sh does. Returns None if it needs no change."""
        path = step.path
        digest = sha256(step.content).hexdigest() if isinstance(step, Write) else "-"
        to_be = (step.mode, step.owner.replace("root", "0"), digest)
        before = self.files.get(path)
        if before == to_be:
            return None
        self.files[path] = to_be
        diffs = {}
        if isinstance(step, Write) and self.versions:
            text = step.content.decode(errors="replace")
            diffs = self._diff(path, self.texts.get(path, ""), text, there=bool(before), secret=step.secret)
            self.texts[path] = text
        return Item(stage, step.name, "~" if before else "+", _how(before, to_be), diffs, path)

    def _generation(self, step: OfNginx, generation: str) -> dict[str, str]:
        """Return the diffs of Nginx's files. Empty while the versions aren't known."""
        changes = _changes(step, generation, self.nginx)
        new = step.new_files(generation)
        diffs: dict[str, str] = {}
        for path in sorted(changes):
            text = new[path].decode(errors="replace") if path in new else ""
            before, there = self.texts.get(_live(path), ""), path in self.nginx
            diffs |= self._diff(_live(path), before, text, there=there, secret=changes[path] == "-")
            self.texts[_live(path)] = text
        kept = {path: self.nginx[path] for path in step.kept_files(generation) if path in self.nginx}
        self.nginx = kept | {path: sha256(content).hexdigest() for path, content in new.items()}
        return diffs if self.versions else {}

    def _diff(self, path: str, before: str, text: str, *, there: bool, secret: bool) -> dict[str, str]:
        if secret:
            return {path: f"{HIDDEN}\n"}
        return {path: unified(path, before, text, self.mask, there=there)}


def _how(before: tuple[int, str, str] | None, to_be: tuple[int, str, str]) -> str:
    """Describe what differs besides the content."""
    if before is None or before[:2] == to_be[:2]:
        return ""
    return f"mode {before[0]:o}, owner {before[1]}, should be {to_be[0]:o}, {to_be[1]}"


def unified(path: str, before: str, text: str, mask: Mask, *, there: bool = True) -> str:
    """Return a unified diff without secrets, including former ones."""
    old, new = before.splitlines(), text.splitlines()
    lines = difflib.unified_diff(old, new, path if there else "/dev/null", path if text else "/dev/null", lineterm="")
    head = list(islice(lines, 2))
    return "".join(f"{line}\n" for line in [*head, *(_told(path, line, new, mask) for line in lines)])


def _told(path: str, line: str, new: Sequence[str], mask: Mask) -> str:
    """Return a line of a diff, masked. Removed lines of a user's own text are hidden: they may have former secrets."""
    if not OWN_FILE.fullmatch(path) and not OWN_LINE.match(line[1:]):
        return USERINFO.sub(HIDDEN, mask.own(line))
    masked = USERINFO.sub(HIDDEN, mask(line))
    if line.startswith("-") and line[1:] not in new:
        return f"-{HIDDEN}"
    return NAMED.sub(rf"\1{HIDDEN}\3", masked)


def environment(before: Mapping[str, str], values: Mapping[str, str], nonce: str) -> dict[str, list[str]]:
    """Return the names that are added, changed and removed. ``before``: name -> hash of its line on the server."""
    lines = {name: for_compose({name: value}) for name, value in values.items()}
    hashes = {name: sha256(f"{nonce}{line}".encode()).hexdigest() for name, line in lines.items()}
    return {
        "added": sorted(hashes.keys() - before.keys()),
        "changed": sorted(name for name in hashes if name in before and before[name] != hashes[name]),
        "gone": sorted(before.keys() - hashes.keys()),
    }


def source(present: Present) -> dict[str, list[str]] | None:
    """Return the files that the next release adds, changes and removes. None if the live one's aren't known."""
    if not present.listed:
        return None
    new, old = ({_name(line) for line in lines} for lines in (present.new_lines, present.old_lines))
    return {"added": sorted(new - old), "changed": sorted(new & old), "gone": sorted(old - new)}


def _name(line: str) -> str:
    return str(json.loads(line.split(" ", 2)[2]))

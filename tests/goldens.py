"""What stands in tests/golden, each text once: a changed line of a template is a changed line of one file there.

A transcript names a text that has a golden file of its own, and only where it is the very same, byte for byte. Of
another text it shows the difference to the one that was at its place before, or all of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from deploy.core.paths import Site
from deploy.core.steps import Step, whole
from deploy.nginx import generation
from deploy.nginx import site as nginx_site
from deploy.releases import compose, database
from tests import sample
from tests.sample import Paper

FOLDER = Path(__file__).parent / "golden"
SAMPLES = {"": (sample.LINES, sample.EDGE), "-every-setting": (sample.EVERY_SETTING, sample.EVERY_EDGE)}
RECORDS = {"pending.json", "release.json"}
"""Two names of nearly the same text."""
GENERATION = re.compile(r"\b[0-9a-f]{12}\b")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
Parts = Sequence[tuple[str, Sequence[Step]]]
"""A transcript's headings, each with its steps."""

Texts = Mapping[str, Mapping[str, str]]
"""Golden file -> what it holds, as it is rendered now: path on the server -> text."""


def texts(folder: Path) -> Texts:
    """What transcripts name."""
    facts = sample.facts("debian-13-live")
    found: dict[str, dict[str, str]] = {
        "nginx-base.txt": generation.base(facts),
        "gunicorn.conf.py.txt": {},
        "healthy.py.txt": {},
    }
    for end, (lines, edge) in SAMPLES.items():
        settings = sample.settings(folder, lines)
        site = Site(settings.site)
        release = site.release(sample.NEW)
        steps = {step.path: step for step in compose.release_steps(settings, release, facts, "")}
        for path in (release.gunicorn, release.healthy):
            found[f"{path.rpartition('/')[2]}.txt"][path] = steps[path].files["content"].decode()
        asking, serving = (
            {release.compose: compose.release_compose(settings, release, facts, answer)}
            for answer in (None, sample.answer())
        )
        conf, data = nginx_site.site_file(settings, site, edge, facts), database.files(settings, site, facts)
        found |= {
            f"nginx-site{end}.conf.txt": {site.nginx_file: conf[site.nginx_file]},
            f"compose-data{end}.yaml": {site.data_compose: data[site.data_compose]},
            f"compose-release{end}.yaml": serving,
            f"compose-release-to-ask{end}.txt": asking,
        }
    return found


def text(files: Mapping[str, str]) -> str:
    """The golden file that holds these."""
    if len(set(files.values())) == 1:
        return next(iter(files.values()))
    return "\n".join(f"## {path}\n{content}" for path, content in sorted(files.items()))


def difference(name: str, base: str, other: str) -> str:
    """The golden file of a text that is nearly another one's."""
    return "\n".join([f"{name}, but for", *_differing(base, other)]) + "\n"


def _differing(base: str, other: str) -> list[str]:
    """What differs, below the lines that come before it and only there: with the base, it gives the other."""
    old, new = base.split("\n"), other.split("\n")
    shown = []
    for tag, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            marked = ((" ", _before(old, start)), ("-", old[start:end]), ("+", new[new_start:new_end]))
            shown += ["@@", *(mark + line if line else mark.strip() for mark, lines in marked for line in lines)]
    return shown


def _before(lines: Sequence[str], place: int) -> Sequence[str]:
    """The lines before a place, as many as are found nowhere else."""
    for start in range(place - 1, -1, -1):
        if sum(lines[at : at + place - start] == lines[start:place] for at in range(len(lines))) == 1:
            return lines[start:place]
    return lines[:place]


def transcript(paper: Paper, texts: Texts, release: str = sample.NEW) -> str:
    """What a server of paper was told."""
    return Transcript(texts, release)(paper.parts, paper.last.nginx_generation)


class Transcript:
    """Steps as a golden file shows them. ``release``: the one that is made, where the texts have the sample's."""

    def __init__(self, texts: Texts, release: str = sample.NEW) -> None:
        self.golden = {
            name: {path.replace(sample.NEW, release): text.replace(sample.NEW, release) for path, text in files.items()}
            for name, files in texts.items()
        }
        held = [(name, path, text) for name, files in self.golden.items() for path, text in files.items()]
        self.last = {path: (name, text) for name, path, text in held}
        self.digests = {sample.digest(text): f"(sha256 of {name})" for name, _, text in held}

    def __call__(self, parts: Parts, live: str = "") -> str:
        """A transcript. ``live``: the generation that is in place before."""
        self.generations = [live]
        shown = "\n\n".join("\n".join([heading, *map(self._step, steps)]) for heading, steps in parts) + "\n"
        return DIGEST.sub(lambda found: self.digests.get(found[0], found[0]), shown)

    def _step(self, step: Step) -> str:
        self.named: set[str] = set()
        lines = step.transcript(lambda name, text: self._text(step, name, text)).splitlines()
        shown = [line if line.startswith(6 * " ") else GENERATION.sub(self._generation, line) for line in lines]
        return "\n".join(shown)

    def _text(self, step: Step, name: str, text: str) -> list[str]:
        """The golden file that holds the text, the difference to what was at its place before, or all of it."""
        folder, path = re.fullmatch(r"([0-9a-f]{12}/new/)?(.*)", step.path if name == "content" else name).groups()
        place = "record" if Path(path).name in RECORDS else path
        label, before = self.last.get(place, ("", ""))
        self.last[place] = (f"{Path(path).name} before", text)
        golden = next((golden for golden, files in self.golden.items() if files.get(path) == text), "")
        if golden:
            return self._named(step, name, folder or "", golden)
        if label and text == before:
            return [f"    {name}: {label}"]
        lines = [f"    {name}: {label}, but for", *(f"      {line}".rstrip() for line in _differing(before, text))]
        return min(whole(name, text), lines, key=len)

    def _named(self, step: Step, name: str, folder: str, golden: str) -> list[str]:
        """The golden file's name; for one with several texts once, if the step has them all."""
        texts = [folder + path for path in self.golden[golden]]
        if len(texts) == 1 or not set(texts) <= set(step.files):
            return [f"    {name}: {golden}"]
        line = f"    {folder}: {golden}"
        first = line not in self.named
        self.named.add(line)
        return [line] * first

    def _generation(self, found: re.Match[str]) -> str:
        """A generation's name follows from its files: here it is told apart by when it is first named."""
        if found[0] not in self.generations:
            self.generations.append(found[0])
        return f"new-{self.generations.index(found[0])}" if found[0] != self.generations[0] else "live"

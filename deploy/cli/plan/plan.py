"""``fab plan``: what a deploy would do, found by following its stages before a server that only takes notes.

It takes three round trips at most: the facts; what Django says of the new code, where there is a live release whose
image can run it; and the contents of what differs.
"""

from __future__ import annotations

import inspect
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit

from ...build.source import described
from ...certs import acme
from ...core.errors import Refused
from ...core.facts import Facts
from ...core.mask import Mask
from ...core.report import Stage, count
from ...core.steps import Step, script
from ...core.x509 import Certificate
from ...flows import disk_space, losses, runner
from ...flows import migrations as database_migrations
from ...flows.context import Run
from ...flows.stages.registry import STAGES
from ...releases import compose as compose_file
from ...releases import environment as release_environment
from . import diff, django_check, drift, reasons, text
from .diff import Differing, Item, Present
from .dry_run import NEW, CollectingReport, DryRunServer, Unknown

MB = 1024 * 1024
GENERATION = re.compile(r"(?<=generation )\w{12}")
AFTER_THE_ANSWER = ("build", "prepare", "start", "healthcheck", "switch")


@dataclass
class Plan:
    """What a deploy would do. ``later``: stages of which more is known only once the one before is done, and why;
    ``certs``: what ``fab certs`` would do besides; ``mask``: hides values."""

    run: Run
    facts: Facts
    items: list[Item]
    later: dict[str, str]
    present: Present
    nonce: str
    certs: list[str]
    warnings: list[str]
    mask: Mask

    @property
    def changes(self) -> int:
        """Steps that change something; a stage whose steps aren't known counts as one."""
        return sum(bool(item.sign) for item in self.items) + len(self.later)

    @property
    def makes_release(self) -> bool:
        return self.run.candidate.release is not None


def make(given: Run) -> Plan:
    """Follow the stages of a deploy, and ask the server what it has already of what they would put there.

    The files of another commit (--ref) are there until the run's stack is closed.
    """
    report = CollectingReport()
    request = replace(given.request, command="deploy", allow_breaking=True, dry_run=True)
    run = Run(request, given.settings, given.server, report)
    run.progress.stack = given.progress.stack
    dry_run = DryRunServer(given.server, report, lambda step: _answer(run, given, step))
    run.server = dry_run
    later = _follow(run)
    first = dry_run.first or run.facts
    nonce = secrets.token_hex(16)
    present = _look(given, run, first, dry_run, nonce) if dry_run.taken else Present()
    versions = not any(taken.script == "packages" for taken in dry_run.taken)
    surplus = [name for name in present.surplus if run.facts.releases.get(name)]  # what was left goes before
    mask = given.report.mask
    differ = Differing(first, present, mask, versions=versions, surplus=surplus)
    found = reasons.explained(differ.items(dry_run.taken), dry_run.taken, run, first)
    items = [_told(run, item, mask, versions=versions) for item in found]
    certs_do = certs_steps(run)
    return Plan(run, first, items, later, present, nonce, certs_do, _warnings(run, report), mask)


def _warnings(run: Run, report: CollectingReport) -> list[str]:
    """What the stages would say, but for what isn't so before it is done: a plan says that in its own words."""
    answer = run.candidate.django
    done = database_migrations.borne(run.facts.current, answer) if answer else ""
    return [line for line in report.warnings if line != done]


def _follow(run: Run) -> dict[str, str]:
    """The stages, as far as anybody knows what they will find."""
    later: dict[str, str] = {}
    for name in runner.stages_of(run.request.flow, run.settings):
        if _waits(name, later):
            later[name] = _sentence(name, run)
            continue
        try:
            runner.do(run, Stage(name))
        except Unknown as error:
            later[name] = str(error)
    return later


def _waits(name: str, later: Mapping[str, str]) -> bool:
    """Whether a stage goes by what isn't known: for pruning, whether there is a new release."""
    return (name in AFTER_THE_ANSWER and bool(later.keys() & set(AFTER_THE_ANSWER))) or (
        name == "prune" and "build" in later
    )


def _sentence(name: str, run: Run) -> str:
    return (inspect.getdoc(STAGES[name].of(run.settings)) or "").partition("\n")[0]


def _look(given: Run, run: Run, first: Facts, dry_run: DryRunServer, nonce: str) -> Present:
    """What there is already."""
    paths = diff.wanted(dry_run.taken, first)
    live = run.site.release(first.current)
    if run.candidate.release and first.current and run.settings.containers:
        paths[live.compose] = ""
    lines = "".join(f"{digest} {path}\n" for path, digest in paths.items())
    keep = run.settings.keep - (run.candidate.release is not None)
    words = (run.site.root, first.current, run.site.network, live.image, str(keep), nonce)
    listing = run.candidate.source.listing if run.candidate.release and run.settings.containers else ""
    files = {"paths": lines.encode(), "listing": listing.encode()}
    step = script("See what differs", "present", *words, files=files)
    with given.server.quietly():
        (result,) = given.server.apply([step], stage="plan")
    return Present.parse(result.output)


def _told(run: Run, item: Item, mask: Mask, *, versions: bool) -> Item:
    """An item as a reader is told of it: what is named after its content or its time has no name yet."""
    known = item.name if versions else GENERATION.sub(NEW, item.name)
    identity = run.candidate.release.id if run.candidate.release else NEW
    name, path = (text.replace(identity, NEW) for text in (known, item.path))
    inside = f"/{NEW}/" in path
    return replace(item, name=mask.own(name), path=path, diffs={} if inside else item.diffs)


def _answer(run: Run, given: Run, step: Step) -> Any:
    """What a step that asks is answered with before there is a new release."""
    asks = step.words[1]
    if asks == "compare" and step.words[2] == run.site.context:
        return []  # what travels for a build is no change
    if asks in {"compare", "visit"}:
        with given.server.quietly():
            (result,) = given.server.apply([step], stage="plan")
        return result.answer
    if asks == "start":
        if run.settings.upstream == "port" and not run.candidate.unchanged:
            raise Unknown("Nginx is told the local ports once they are chosen.")
        return {"ports": []}
    if run.candidate.release is None or step.words[2] != run.candidate.release.compose:
        raise Unknown("What an interrupted deploy left is asked what it did to the database.")
    return django_check.ask(run, given.server, step)


def environment(plan: Plan) -> dict[str, list[str]]:
    """The application's names that come, change and go."""
    run = plan.run
    if run.candidate.unchanged or not run.settings.containers:
        return {"added": [], "changed": [], "gone": []}
    made = release_environment.made_environment(run.settings, run.site, NEW, _settings_module(plan))
    values = release_environment.own_environment(run.settings) | made
    own = {"DEPLOY_RELEASE", "PORTSIDE_PROOF"}  # another at every deploy; made of SECRET_KEY
    before = {name: digest for name, digest in plan.present.environment.items() if name not in own}
    wanted = {name: value for name, value in values.items() if name not in own}
    return diff.environment(before, wanted, plan.nonce)


def _settings_module(plan: Plan) -> str:
    """As manage.py has it, or Django says; of an image that isn't there to be asked yet, the live release's."""
    run, live = plan.run, plan.facts.releases.get(plan.facts.current, {})
    answer = run.candidate.django
    recorded = answer.settings_module if answer else live.get("settings_module", "")
    found = run.candidate.source.settings_module() or recorded
    return str(found)


def compose(plan: Plan) -> str:
    """How the next release's compose file differs from the live one's."""
    run, live = plan.run, plan.facts.current
    before = plan.present.texts.get(run.site.release(live).compose, "")
    if not before or not plan.makes_release or not run.candidate.django:
        return ""
    text = compose_file.release_compose(run.settings, run.candidate.paths, run.facts, run.candidate.answer)
    same = [each.replace(name, NEW) for each, name in ((before, live), (text, run.candidate.paths.id))]
    return diff.unified("compose.yaml", same[0], same[1], plan.mask)


def migrations(plan: Plan) -> list[dict[str, Any]]:
    """Those that are pending: what breaks the live release, and what nobody can tell."""
    answer = plan.run.candidate.django
    if not answer:
        return []
    return [
        {"name": name, "breaking": answer.breaking.get(name, []), "unjudged": answer.unjudged.get(name, [])}
        for name in answer.pending
    ]


def source(plan: Plan) -> dict[str, list[str]] | None:
    """The project's files that come, change and go; None where no release is made, or nobody noted the live one's."""
    return diff.source(plan.present) if plan.makes_release else None


def certificate(facts: Facts) -> dict[str, Any] | None:
    """The certificate that Nginx shows."""
    found = Certificate.parse(facts.certificate)
    if not found:
        return None
    return {"names": sorted(found.names), "until": found.until, "kind": facts.certificate_kind}


def certs_steps(run: Run) -> list[str]:
    """What ``fab certs`` would do besides. Where it would refuse, a deploy doesn't: that is a warning."""
    settings, facts = run.settings, run.facts
    if settings.tls_cert or not acme.wanted(settings):
        return []
    try:
        authority = acme.authority(settings, practice=run.server.practice)
        if acme.up_to_date(settings, facts, authority):
            return []
        kept = acme.keeping(settings, facts)
        return [step.name for step in acme.issue(settings, run.site, facts, authority, kept=kept)]
    except Refused as error:
        run.report.warn(f"fab certs would refuse: {error.message}")
        return []


def disk(plan: Plan) -> dict[str, int]:
    """What is free, and what a new release takes at most: an image like the live one's, and the project twice."""
    size = 0
    if plan.makes_release:
        size = plan.present.image_bytes + 2 * sum(_size(path) for path in plan.run.candidate.source.files.values())
    return {
        "free_mb": plan.facts.disk_mb,
        "needed_mb": max(disk_space.needed_mb(plan.run.settings, plan.facts), -(-size // MB))
        if plan.makes_release
        else 0,
    }


def _size(path: Path) -> int:
    return path.lstat().st_size


def _json(plan: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    run, names = plan.run, environment(plan)
    return {
        "site": run.site.name,
        "project": described(run.candidate.source, run.settings),
        "server": run.server.target,
        "live": plan.facts.current,
        "changes": plan.changes,
        "steps": [
            {"stage": item.stage, "name": item.name, "sign": item.sign, "why": item.why, "diffs": item.diffs}
            for item in plan.items
        ],
        "later": plan.later,
        "source": {"files": len(run.candidate.source.files), "differs": source(plan)},
        "environment": names | {"from_shell": list(run.settings.dotenv.overridden)},
        "compose": compose(plan),
        "migrations": migrations(plan),
        "pruned": pruned(plan),
        "losses": [asdict(loss) for loss in losses.found(run)],
        "certificate": certificate(plan.facts),
        "certs": plan.certs,
        "disk": disk(plan),
        "drift": drift.found(run.settings, run.site, plan.facts),
        "warnings": [plan.mask.own(line) for line in plan.warnings],
    }


def pruned(plan: Plan) -> list[str]:
    return [name for item in plan.items if item.sign == "-" for name in item.why.split(", ") if item.stage == "prune"]


def show(run: Run, *, as_json: bool) -> None:
    """Print the plan; as JSON one object. Ends with exit code 10 where a deploy would change something."""
    with run.progress.stack:
        plan = make(run)
        told = _json(plan)
    if as_json:
        run.report.result(told)
    else:
        text.Text(run.report, plan, told).tell()
    run.report.detail(count(run.server.round_trips, "round trip"))
    if plan.changes:
        raise Exit(code=10)

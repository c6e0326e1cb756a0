"""``fab plan``: run the stages of a deploy against a server that only records them, and show what would change.

It takes at most three round trips: the facts; Django's answer about the new code, if a live release has an image that
can run it; and the contents of the files that differ.
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
    """What a deploy would do. ``later``: stage -> why more is known only after the one before; ``certs``: what ``fab
    certs`` would do besides; ``mask``: hides values."""

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
        """The number of steps that change something. A stage with unknown steps counts as one."""
        return sum(bool(item.sign) for item in self.items) + len(self.later)

    @property
    def makes_release(self) -> bool:
        return self.run.candidate.release is not None


def make(given: Run) -> Plan:
    """Run the stages of a deploy without effect, and compare the server with what they would put there.

    The files of another commit (--ref) exist until the run's stack is closed.
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
    versions = not any(taken.step.script == "packages" for taken in dry_run.taken)
    surplus = [name for name in present.surplus if run.facts.releases.get(name)]  # the deploy removes leftovers earlier
    mask = given.report.mask
    differ = Differing(first, present, mask, versions=versions, surplus=surplus)
    found = reasons.explained(differ.items(dry_run.taken), dry_run.taken, run, first)
    items = [_item_shown(run, item, mask, versions=versions) for item in found]
    certs_do = certs_steps(run)
    return Plan(run, first, items, later, present, nonce, certs_do, _warnings(run, report), mask)


def _warnings(run: Run, report: CollectingReport) -> list[str]:
    """Return the stages' warnings, except that breaking migrations were applied: the plan reports these itself."""
    answer = run.candidate.django
    done = database_migrations.breaking_warning(run.facts.current, answer) if answer else ""
    return [line for line in report.warnings if line != done]


def _follow(run: Run) -> dict[str, str]:
    """Run the stages, as far as their steps can be known. Returns the others: stage -> why."""
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
    """Return whether a stage depends on an unknown one. Pruning depends on whether there is a new release."""
    return (name in AFTER_THE_ANSWER and bool(later.keys() & set(AFTER_THE_ANSWER))) or (
        name == "prune" and "build" in later
    )


def _sentence(name: str, run: Run) -> str:
    return (inspect.getdoc(STAGES[name].of(run.settings)) or "").partition("\n")[0]


def _look(given: Run, run: Run, first: Facts, dry_run: DryRunServer, nonce: str) -> Present:
    """Read from the server what exists already."""
    paths = diff.wanted(dry_run.taken, first)
    live = run.site.release(first.current)
    if run.candidate.release and first.current and run.settings.containers:
        paths[live.compose] = ""
    lines = "".join(f"{digest} {path}\n" for path, digest in paths.items())
    keep = run.settings.keep - (run.candidate.release is not None)
    listing = run.candidate.source.listing if run.candidate.release and run.settings.containers else ""
    files = {"paths": lines.encode(), "listing": listing.encode()}
    step = script(
        "Compare with the server",
        "present",
        root=run.site.root,
        live=first.current,
        network=run.site.network,
        image=live.image,
        keep=keep,
        nonce=nonce,
        files=files,
    )
    with given.server.quietly():
        (result,) = given.server.apply([step], stage="plan")
    return Present.parse(result.output)


def _item_shown(run: Run, item: Item, mask: Mask, *, versions: bool) -> Item:
    """Return an item for the reader: a name that depends on content or time is not known yet."""
    known = item.name if versions else GENERATION.sub(NEW, item.name)
    identity = run.candidate.release.id if run.candidate.release else NEW
    name, path = (text.replace(identity, NEW) for text in (known, item.path))
    inside = f"/{NEW}/" in path
    return replace(item, name=mask.own(name), path=path, diffs={} if inside else item.diffs)


def _answer(run: Run, given: Run, step: Step) -> Any:
    """Return the answer for a step that asks something, before the new release exists."""
    asks, given_to = step.script, step.arguments
    if asks == "compare" and given_to["folder"] == run.site.context:
        return []  # the upload for a build isn't a change
    if asks in {"compare", "visit"}:
        with given.server.quietly():
            (result,) = given.server.apply([step], stage="plan")
        return result.answer
    if asks == "start":
        if run.settings.upstream == "port" and not run.candidate.unchanged:
            raise Unknown("Nginx's upstream ports are known once the containers have started.")
        return {"ports": []}
    if run.candidate.release is None or given_to["compose"] != run.candidate.release.compose:
        raise Unknown("The deploy first checks what an interrupted one did to the database.")
    return django_check.ask(run, given.server, step)


def environment(plan: Plan) -> dict[str, list[str]]:
    """Return the application's variables that are added, changed or removed."""
    run = plan.run
    if run.candidate.unchanged or not run.settings.containers:
        return {"added": [], "changed": [], "gone": []}
    made = release_environment.made_environment(run.settings, run.site, NEW, _settings_module(plan))
    values = release_environment.own_environment(run.settings) | made
    own = {"DEPLOY_RELEASE", "PORTSIDE_PROOF"}  # different at every deploy; derived from SECRET_KEY
    before = {name: digest for name, digest in plan.present.environment.items() if name not in own}
    wanted = {name: value for name, value in values.items() if name not in own}
    return diff.environment(before, wanted, plan.nonce)


def _settings_module(plan: Plan) -> str:
    """Return the settings module from manage.py or Django's answer; without an answer yet, the live release's."""
    run, live = plan.run, plan.facts.releases.get(plan.facts.current, {})
    answer = run.candidate.django
    recorded = answer.settings_module if answer else live.get("settings_module", "")
    found = run.candidate.source.settings_module() or recorded
    return str(found)


def compose(plan: Plan) -> str:
    """Return the difference between the live release's compose file and the next one's."""
    run, live = plan.run, plan.facts.current
    before = plan.present.texts.get(run.site.release(live).compose, "")
    if not before or not plan.makes_release or not run.candidate.django:
        return ""
    text = compose_file.release_compose(run.settings, run.candidate.paths, run.facts, run.candidate.answer)
    same = [each.replace(name, NEW) for each, name in ((before, live), (text, run.candidate.paths.id))]
    return diff.unified("compose.yaml", same[0], same[1], plan.mask)


def migrations(plan: Plan) -> list[dict[str, Any]]:
    """Return the pending migrations: what breaks the live release, and what can't be checked."""
    answer = plan.run.candidate.django
    if not answer:
        return []
    return [
        {"name": name, "breaking": answer.breaking.get(name, []), "unjudged": answer.unjudged.get(name, [])}
        for name in answer.pending
    ]


def source(plan: Plan) -> dict[str, list[str]] | None:
    """Return the project's files that are added, changed or removed. None without a new release, or if the live
    release's files weren't recorded."""
    return diff.source(plan.present) if plan.makes_release else None


def certificate(facts: Facts) -> dict[str, Any] | None:
    """Return the certificate that Nginx serves."""
    found = Certificate.parse(facts.certificate)
    if not found:
        return None
    return {"names": sorted(found.names), "until": found.until, "kind": facts.certificate_kind}


def certs_steps(run: Run) -> list[str]:
    """Return what ``fab certs`` would do besides. If it would refuse, add a warning: a deploy wouldn't."""
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
    """Return the free space, and the most that a new release needs: an image like the live one, and the project
    twice."""
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
    """Return the plan as plain data."""
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
    """Print the plan; as JSON one object. Exits with 10 if a deploy would change something."""
    with run.progress.stack:
        plan = make(run)
        data = _json(plan)
    if as_json:
        run.report.result(data)
    else:
        text.Text(run.report, plan, data).print()
    run.report.detail(count(run.server.round_trips, "round trip"))
    if plan.changes:
        raise Exit(code=10)

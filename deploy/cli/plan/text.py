"""The plan as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...core.report import Report, count
from ...flows import runner
from ...flows.migrations import SPLIT
from .diff import Item
from .dry_run import NEW

if TYPE_CHECKING:
    from .plan import Plan


class Text:
    """Prints the plan: stages as headings, with what is added, changed and removed."""

    COLOURS = {"+": "green", "~": "yellow", "-": "red", "?": "cyan"}

    def __init__(self, report: Report, plan: Plan, data: dict[str, Any]) -> None:
        self.report, self.plan, self.data = report, plan, data

    def print(self) -> None:
        self.report.say(f"{self.plan.run.settings.canonical}: {self.data['project']}")
        for stage in runner.stages_of(self.plan.run.request.flow, self.plan.run.settings):
            self._stage(stage)
        self._environment()
        self._certificate()
        self._lines("drift", self.data["drift"], "!")
        for line in self.plan.warnings:
            self.report.warn(line)
        self._end()

    def _heading(self, name: str) -> None:
        self.report.say(name, style="bold")

    def _sign(self, sign: str, text: str) -> None:
        self.report.say(f"  {sign} {text}", style=self.COLOURS.get(sign, ""))

    def _lines(self, heading: str, lines: Iterable[str], sign: str) -> None:
        lines = list(lines)
        if lines:
            self._heading(heading)
        for line in lines:
            self._sign(sign, line)

    def _stage(self, name: str) -> None:
        items = [item for item in self.plan.items if item.stage == name and (item.sign or self.report.verbose)]
        later = self.plan.later.get(name, "")
        if not items and not later:
            return
        self._heading(name)
        inside = {item.path for item in items if f"/{NEW}" in item.path}
        if len(inside) > 1 and not self.report.verbose:
            self._sign("+", f"The release's own folder, with {len(inside)} files and folders")
        for item in items:
            if self.report.verbose or item.path not in inside:
                self._item(item)
        if name == "build":
            self._source()
        if name == "prepare":
            self._diff(self.data["compose"])
            self._migrations()
        if later:
            self._sign("?", later)

    def _item(self, item: Item) -> None:
        self._sign(item.sign or " ", f"{item.name}: {item.why}" if item.why else item.name)
        for diff in item.diffs.values():
            self._diff(diff)

    def _diff(self, diff: str) -> None:
        """Print a diff; a new file in one line, unless --verbose."""
        lines = diff.splitlines()
        if lines[:1] == ["--- /dev/null"] and not self.report.verbose:
            self.report.say(f"      {lines[1].removeprefix('+++ ')}: {count(len(lines) - 3, 'line')}", style="dim")
            return
        for line in lines:
            self.report.say(f"      {line}", style=self.COLOURS.get(line[:1], "dim"))

    def _source(self) -> None:
        differs = self.data["source"]["differs"]
        if not differs:
            return
        for sign, names in (("+", differs["added"]), ("~", differs["changed"]), ("-", differs["gone"])):
            self._files(sign, names)

    def _files(self, sign: str, names: list[str]) -> None:
        rest = [f"and {len(names) - 12} more"] if len(names) > 12 else []
        for name in names[:12] + rest:
            self.report.say(f"      {sign} {name}", style=self.COLOURS[sign])

    def _migrations(self) -> None:
        for migration in self.data["migrations"]:
            self.report.say(f"      + {migration['name']}", style="green")
            for phrase in migration["breaking"]:
                self.report.say(f"        breaks the live release: {phrase}", style="bold red")
            for phrase in migration["unjudged"]:
                self.report.say(f"        can't be checked: {phrase}", style="yellow")

    def _environment(self) -> None:
        names = self.data["environment"]
        signs = (("+", "added"), ("~", "changed"), ("-", "gone"))
        if any(names[kind] for _, kind in signs):
            self._heading("environment")
        for sign, kind in signs:
            for name in names[kind]:
                self._sign(sign, name)

    def _certificate(self) -> None:
        found = self.data["certificate"]
        if found:
            self._lines("certificate", [f"{', '.join(found['names'])}, until {found['until']}"], " ")
        self._lines("fab certs would", self.data["certs"], "·")

    def _end(self) -> None:
        target, disk = self.plan.run.server.target, self.data["disk"]
        if not self.plan.changes:
            live = f"; {self.plan.facts.current} is live" if self.plan.facts.current else ""
            self.report.say(f"{target}: nothing to do{live}.", style="bold green")
            return
        if self.plan.makes_release:
            self.report.say(f"Disk: at most {disk['needed_mb']} MB needed, {disk['free_mb']} MB free.")
        run, changes = self.plan.run, f"{count(self.plan.changes, 'change')} on {target}"
        breaks = any(migration["breaking"] for migration in self.data["migrations"])
        if breaks:
            self.report.say(f"fab deploy refuses this: it breaks {self.plan.facts.current}. {SPLIT}", style="bold red")
            changes = f"{changes}, and visitors may see errors meanwhile"
        drop = ",".join(loss["name"] for loss in self.data["losses"] if loss["needed"])
        if drop:
            self.report.say(f"fab deploy refuses this without --drop {drop}.", style="bold red")
        again = run.fab("deploy", ref=run.request.ref, allow_breaking=breaks, drop=drop)
        self.report.say(f"{changes}. Run {again}", style="bold")

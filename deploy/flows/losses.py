"""Losses: what the last deploy had, from any laptop, and these settings don't have. Reported before anything is
changed.

Each command that writes Nginx's files uses the present settings. Processes, volumes and the application's variables
change only with a deploy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from ..config import recorded
from ..config.names import PREFIX
from ..config.recorded import DOMAIN, OF_NGINX, PROCESSES, VOLUME
from ..config.settings import Settings
from ..core.errors import Refused
from ..core.facts import Facts
from ..core.paths import Site
from ..nginx import hostnames
from ..releases import history
from ..releases import record as release_record
from .context import Run

PROTECTED = (f"{PREFIX}BASIC_AUTH", f"{PREFIX}ALLOW")
"""Settings that are removed only if --drop names them. The same is true of processes."""
CRON = f"{PREFIX}CRON_"
EFFECTS = {
    "BASIC_AUTH": "visitors need no password",
    "ALLOW": "visitors from any address can open the site",
    "DENY": "the denied addresses can open the site",
    "RATE_LIMIT": "requests are no longer limited",
    "BLOCK_AGENTS": "the blocked crawlers get answers",
    "NGINX_INCLUDE": "its lines are no longer in Nginx's file",
    "REAL_IP": "the address of the proxy counts as the visitor's",
}
"""Setting -> the effect of its removal. For all others, their defaults apply."""


@dataclass(frozen=True)
class Loss:
    """``name``: as --drop takes it; ``meant``: the effect of its removal; ``needed``: removed only if --drop names
    it."""

    name: str
    meant: str
    needed: bool = False

    @property
    def key(self) -> str:
        return recorded.key(self.name)


def named(given: Iterable[str]) -> str:
    """Return the names given to --drop, comma-separated, each once."""
    parts = (part.strip() for text in given for part in text.split(","))
    return ",".join(dict.fromkeys(part for part in parts if part))


def found(run: Run) -> list[Loss]:
    """Return what this run removes, the most important first."""
    if not run.facts.current:
        return []
    before, now = in_force(run.site, run.facts), recorded.of_nginx(run.settings)
    environment = list[Loss]()
    if run.request.flow.builds:
        before = [*before, *_of_release(run.facts), *_domains(run.settings, run.facts)]
        now += recorded.of_release(run.settings)
        environment = _of_environment(run.settings, run.facts)
    lost = [_loss(note, run.site) for note in _missing(before, now)]
    return [*sorted(lost, key=lambda loss: (not loss.needed, not loss.meant)), *environment]


def in_force(site: Site, facts: Facts) -> list[str]:
    """Return the settings of the site's Nginx file. A file from an older version doesn't list them; in this case,
    return those that the files beside it show."""
    if facts.nginx_settings:
        return list(facts.nginx_settings)
    files = {site.nginx_passwords: f"{PREFIX}BASIC_AUTH", site.nginx_include: f"{PREFIX}NGINX_INCLUDE"}
    return [name for path, name in files.items() if path in facts.nginx_files]


def of_rollback(run: Run) -> list[Loss]:
    """Return processes and volumes of the live release that the release to roll back to doesn't have."""
    before, now = _of_release(run.facts), _of_record(run.candidate.record)
    mine = (PROCESSES, CRON, VOLUME)
    return [_loss(note, run.site) for note in _missing(before, now) if note.startswith(mine)]


def check(run: Run) -> None:
    """Report what this run removes. Raises Refused if --drop must name some of it, or names something unknown."""
    lost, reported = found(run), run.progress.losses
    if reported is None:
        _check_drop(run, lost)
    run.progress.losses = tuple(lost)
    for line in lines(run, [loss for loss in lost if loss not in (reported or ())]):
        run.report.warn(line)
    refuse(run, state="" if run.progress.changes else "Nothing was changed.")


def refuse(run: Run, *, state: str = "") -> None:
    """Raises Refused if the run removes something that --drop must name, and it doesn't. A plan isn't refused."""
    kept = [] if run.request.dry_run else undropped(run)
    if not kept:
        return
    drop = ",".join([*filter(None, [run.request.drop]), *(loss.name for loss in kept)])
    remove = run.again(drop=drop) if run.request.flow.takes_drop else run.fab("deploy", drop=drop)
    names, (are_not, it), env = ", ".join(loss.name for loss in kept), _verb(kept), run.request.env
    raise Refused(
        f"{names} {are_not} in {env}, and this command would remove {it} from the server{by(run.facts)}.",
        state=state,
        hint=f"Add {it} to {env} again; {run.fab('env')} shows the server's settings. Or remove {it}: {remove}",
    )


def _verb(lost: list[Loss]) -> tuple[str, str]:
    return ("isn't", "it") if len(lost) == 1 else ("aren't", "them")


def undropped(run: Run) -> list[Loss]:
    """Return what --drop must name, but doesn't."""
    dropped = {recorded.key(name) for name in run.request.drop.split(",")}
    return [loss for loss in found(run) if loss.needed and loss.key not in dropped]


def lines(run: Run, lost: list[Loss]) -> list[str]:
    """Return a sentence for each loss. Settings that fall back to their defaults share one sentence, and so do the
    application's variables."""
    who, env = by(run.facts), run.request.env
    sentences = [f"{loss.name} isn't in {env} and will be removed: {loss.meant}{who}." for loss in lost if loss.meant]
    if others := [loss.name for loss in lost if not loss.meant and loss.name.startswith(PREFIX)]:
        sentences.append(f"No longer set in {env}: {', '.join(others)}{who}. Their defaults apply.")
    if names := [loss.name for loss in lost if not loss.meant and not loss.name.startswith(PREFIX)]:
        sentences.append(f"The application had these variables, but {env} doesn't set them: {', '.join(names)}{who}.")
    return sentences


def by(facts: Facts) -> str:
    """Return who changed the site last and how long ago, in parentheses; empty if that isn't recorded."""
    who, when = str(facts.last.get("who", "")), str(facts.last.get("when", ""))
    return f" (last changed by {who}, {history.age(when, facts.clock)} ago)" if who and when else ""


def _check_drop(run: Run, lost: list[Loss]) -> None:
    """Warn of names in --drop that have no effect. Raises Refused if --drop names something unknown."""
    names = [name for name in run.request.drop.split(",") if name]
    if unknown := [name for name in names if not _is_known(run, name, lost)]:
        close = difflib.get_close_matches(unknown[0].upper(), [loss.name for loss in lost], n=1)
        raise Refused(
            f"--drop: unknown name {', '.join(unknown)}." + (f" Did you mean {close[0]}?" if close else ""),
            state="Nothing was changed.",
        )
    for name in names:
        if recorded.key(name) not in {known for loss in lost for known in (loss.key, loss.key.partition("=")[0])}:
            run.report.warn(f"--drop {name} has no effect: this command doesn't remove it.")


def _is_known(run: Run, name: str, lost: list[Loss]) -> bool:
    key = recorded.key(name)
    setting = key.lower() in Settings.known() or f"{PREFIX}{key}".startswith((PROCESSES, CRON))
    return setting or key in {loss.key for loss in lost} or name in {*run.settings.env, *run.settings.names}


def _missing(before: Iterable[str], now: Iterable[str]) -> list[str]:
    there = {recorded.key(note) for note in now}
    return list({recorded.key(note): note for note in before if recorded.key(note) not in there}.values())


def _domains(settings: Settings, facts: Facts) -> list[str]:
    """Return the live release's domains that the settings don't have and that no wildcard of theirs covers."""
    known = hostnames.recorded(history.live(facts))
    served = known.every if known and known.redirects is not None else facts.record.get("domains", ())
    mine = settings.names
    return [f"{DOMAIN}{name}" for name in served if name not in mine and f"*.{name.partition('.')[2]}" not in mine]


def _of_release(facts: Facts) -> list[str]:
    return _of_record(history.live(facts))


def _of_record(record: dict[str, object]) -> list[str]:
    """Return what a recorded release consists of. A record of an older version has only its processes."""
    names = record.get("names")
    given = [str(name) for name in names] if isinstance(names, list) else []
    processes = [recorded.process(name) for name in release_record.processes(record)]
    return [name for name in [*given, *processes] if name not in OF_NGINX]


def _of_environment(settings: Settings, facts: Facts) -> list[Loss]:
    before = history.live(facts).get("environment", [])
    return [Loss(str(name), "") for name in before if name not in settings.env]


def _loss(note: str, site: Site) -> Loss:
    """Return the loss that a note stands for."""
    if note.startswith(DOMAIN):
        host = note.removeprefix(DOMAIN)
        return Loss(host, "its visitors no longer reach this site")
    if note.startswith(VOLUME):
        name = note.removeprefix(VOLUME)
        return Loss(note, f"the application no longer has the folder; its files stay in {site.volume(name)}")
    if note.startswith((PROCESSES, CRON)):
        return Loss(note, "it no longer runs", note.startswith(PROCESSES))
    return Loss(note, EFFECTS.get(note.removeprefix(PREFIX), ""), note in PROTECTED)

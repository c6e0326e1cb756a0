"""Losses: what the last deploy had, by whichever laptop, and these settings haven't. Told before anything is changed.

Nginx's files follow the present settings at every command that writes them; processes, volumes and the application's
names change with a deploy alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from ..config import recorded
from ..config.recorded import DOMAIN, OF_NGINX, PROCESSES, VOLUME
from ..config.settings import PREFIX, Settings
from ..core.errors import Refused
from ..core.facts import Facts
from ..core.paths import Site
from ..nginx import hostnames
from ..releases import history
from ..releases import record as release_record
from .context import Run

PROTECTED = (f"{PREFIX}BASIC_AUTH", f"{PREFIX}ALLOW")
"""Besides processes: what only goes if --drop names it."""
CRON = f"{PREFIX}CRON_"
EFFECTS = {
    "BASIC_AUTH": "visitors need no password",
    "ALLOW": "visitors of every address see the site",
    "DENY": "the addresses that were kept out see the site",
    "RATE_LIMIT": "requests aren't limited",
    "BLOCK_AGENTS": "the crawlers that got no answer get one",
    "NGINX_INCLUDE": "its lines aren't in Nginx's file",
    "REAL_IP": "the proxy in front counts as the visitor",
}
"""What is so once it is gone. Of all others it is that their defaults apply."""


@dataclass(frozen=True)
class Loss:
    """``name``: as --drop takes it; ``meant``: what is so then; ``needed``: it only goes if --drop names it."""

    name: str
    meant: str
    needed: bool = False

    @property
    def key(self) -> str:
        return recorded.key(self.name)


def named(given: Iterable[str]) -> str:
    """What --drop names, comma-separated: each once, as settings are written."""
    parts = (part.strip() for text in given for part in text.split(","))
    return ",".join(dict.fromkeys(part for part in parts if part))


def found(run: Run) -> list[Loss]:
    """What falls away by this run, the gravest first."""
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
    """What the site's Nginx file is made of. One of an older version doesn't say: then what its own files tell."""
    if facts.nginx_settings:
        return list(facts.nginx_settings)
    files = {site.nginx_passwords: f"{PREFIX}BASIC_AUTH", site.nginx_include: f"{PREFIX}NGINX_INCLUDE"}
    return [name for path, name in files.items() if path in facts.nginx_files]


def of_rollback(run: Run) -> list[Loss]:
    """Processes and volumes that the live release has, and the one to go back to hasn't: they change with it."""
    before, now = _of_release(run.facts), _of_record(run.candidate.record)
    mine = (PROCESSES, CRON, VOLUME)
    return [_loss(note, run.site) for note in _missing(before, now) if note.startswith(mine)]


def check(run: Run) -> None:
    """Tell what falls away. Raises Refused where --drop should name some of it, or names what nobody knows."""
    lost, told = found(run), run.progress.losses
    if told is None:
        _check_drop(run, lost)
    run.progress.losses = tuple(lost)
    for line in lines(run, [loss for loss in lost if loss not in (told or ())]):
        run.report.warn(line)
    refuse(run, state="" if run.progress.changes else "Nothing was changed.")


def refuse(run: Run, *, state: str = "") -> None:
    """Raises Refused where something falls away that only goes if --drop names it. A plan only tells of it."""
    kept = [] if run.request.dry_run else undropped(run)
    if not kept:
        return
    drop = ",".join([*filter(None, [run.request.drop]), *(loss.name for loss in kept)])
    go_on = run.again(drop=drop) if run.request.flow.takes_drop else run.fab("deploy", drop=drop)
    falls, env = "falls" if len(kept) == 1 else "fall", run.request.env
    raise Refused(
        f"Refused, since {', '.join(loss.name for loss in kept)} {falls} away{by(run.facts)}: not in {env}.",
        state=state,
        hint=f"Put it into {run.request.env} again; {run.fab('env')} shows what the server has. Or let it go: {go_on}",
    )


def undropped(run: Run) -> list[Loss]:
    """What only goes if --drop names it, and it doesn't."""
    dropped = {recorded.key(name) for name in run.request.drop.split(",")}
    return [loss for loss in found(run) if loss.needed and loss.key not in dropped]


def lines(run: Run, lost: list[Loss]) -> list[str]:
    """A sentence for each loss; those of which their defaults apply, and the application's names, are told together."""
    who, env = by(run.facts), run.request.env
    told = [f"{loss.name} isn't in {env}, and falls away: {loss.meant}{who}." for loss in lost if loss.meant]
    if others := [loss.name for loss in lost if not loss.meant and loss.name.startswith(PREFIX)]:
        told.append(f"Set before{who}, and not in {run.request.env}: {', '.join(others)}. Their defaults apply.")
    if names := [loss.name for loss in lost if not loss.meant and not loss.name.startswith(PREFIX)]:
        told.append(f"The application had these names{who}, and {run.request.env} hasn't: {', '.join(names)}.")
    return told


def by(facts: Facts) -> str:
    """Who changed the site last, and how long ago, in brackets; empty where nobody noted it."""
    who, when = str(facts.last.get("who", "")), str(facts.last.get("when", ""))
    return f" (by {who}, {history.age(when, facts.clock)} ago)" if who and when else ""


def _check_drop(run: Run, lost: list[Loss]) -> None:
    """Raises Refused where --drop names nothing that there is; what doesn't fall away is told."""
    names = [name for name in run.request.drop.split(",") if name]
    if strange := [name for name in names if not _is_known(run, name, lost)]:
        close = difflib.get_close_matches(strange[0].upper(), [loss.name for loss in lost], n=1)
        raise Refused(
            f"--drop: there is nothing called {', '.join(strange)}" + (f"; did you mean {close[0]}?" if close else "."),
            state="Nothing was changed.",
        )
    for name in names:
        if recorded.key(name) not in {known for loss in lost for known in (loss.key, loss.key.partition("=")[0])}:
            run.report.warn(f"--drop {name}: it doesn't fall away.")


def _is_known(run: Run, name: str, lost: list[Loss]) -> bool:
    key = recorded.key(name)
    setting = key.lower() in Settings.known() or f"{PREFIX}{key}".startswith((PROCESSES, CRON))
    return setting or key in {loss.key for loss in lost} or name in {*run.settings.env, *run.settings.names}


def _missing(before: Iterable[str], now: Iterable[str]) -> list[str]:
    there = {recorded.key(note) for note in now}
    return list({recorded.key(note): note for note in before if recorded.key(note) not in there}.values())


def _domains(settings: Settings, facts: Facts) -> list[str]:
    """The live release's names that the settings haven't, nor a wildcard of theirs."""
    known = hostnames.recorded(history.live(facts))
    served = known.every if known and known.redirects is not None else facts.record.get("domains", ())
    mine = settings.names
    return [f"{DOMAIN}{name}" for name in served if name not in mine and f"*.{name.partition('.')[2]}" not in mine]


def _of_release(facts: Facts) -> list[str]:
    return _of_record(history.live(facts))


def _of_record(record: dict[str, object]) -> list[str]:
    """What a recorded release is made of; of one that an older version recorded, its processes."""
    names = record.get("names")
    given = [str(name) for name in names] if isinstance(names, list) else []
    processes = [recorded.process(name) for name in release_record.processes(record)]
    return [name for name in [*given, *processes] if name not in OF_NGINX]


def _of_environment(settings: Settings, facts: Facts) -> list[Loss]:
    before = history.live(facts).get("environment", [])
    return [Loss(str(name), "") for name in before if name not in settings.env]


def _loss(note: str, site: Site) -> Loss:
    """A note as it is told."""
    if note.startswith(DOMAIN):
        host = note.removeprefix(DOMAIN)
        return Loss(host, "its visitors get no answer from this site")
    if note.startswith(VOLUME):
        name = note.removeprefix(VOLUME)
        return Loss(note, f"the application hasn't the folder; its files stay in {site.volume(name)}")
    if note.startswith((PROCESSES, CRON)):
        return Loss(note, "it runs no more", note.startswith(PROCESSES))
    return Loss(note, EFFECTS.get(note.removeprefix(PREFIX), ""), note in PROTECTED)

"""Missing data: data of a site that is no longer on the server, and how to restore its newest copy."""

from __future__ import annotations

from dataclasses import dataclass

from ..config.settings import Settings
from ..core.errors import Refused
from ..core.facts import Facts
from ..core.paths import Site
from ..releases import environment, restore_commands
from .context import Run


@dataclass(frozen=True)
class MissingData:
    """Data that is missing: a sentence; ``copy``: where the newest copy is; ``commands``: what root runs on the
    server."""

    text: str
    copy: str
    commands: tuple[str, ...]

    @property
    def fix(self) -> str:
        """Return the fix in one line."""
        return f"{self.copy} As root on the server: {' && '.join(self.commands)}"


def found(settings: Settings, site: Site, facts: Facts) -> list[MissingData]:
    """Return the missing data of a site that was once live: its database's volume, or folders that its containers
    mount."""
    if not any(facts.releases.values()):
        return []
    lost = [_folder(site, facts, path) for path in facts.data_lacking]
    ready = site.data_ready in facts.files and facts.docker_version  # if Docker is down, it lists no volumes
    if settings.own_database and ready and facts.data_volume in {"", "empty"}:
        lost.append(_volume(settings, site, facts))
    return lost


def check(run: Run) -> None:
    """Raises Refused if data is missing, before anything is created in its place."""
    lost = found(run.settings, run.site, run.facts)
    if not lost:
        return
    hints = [line for each in lost for line in (each.copy, *(f"  {command}" for command in each.commands))]
    raise Refused(
        "\n".join(each.text for each in lost),
        state="Nothing was changed.",
        hint="\n".join([*hints, f"Run these commands as root on the server. Then run {run.again()} again."]),
    )


def _volume(settings: Settings, site: Site, facts: Facts) -> MissingData:
    what = "is empty" if facts.data_volume else "is missing"
    text = f"The database's volume {site.postgres_volume} {what}, although {site.name} was live on this server."
    begin = restore_commands.empty_database(site)
    copy, dump = _newest_dump(site, facts)
    if not dump:
        return MissingData(text, copy, begin)
    user, name = environment.database_user(settings, site), environment.database_name(settings, site)
    return MissingData(text, copy, (*begin, restore_commands.database(site, user, name, dump)))


def _newest_dump(site: Site, facts: Facts) -> tuple[str, str]:
    """Return a sentence about the newest copy of the database, and the copy's path or an empty string."""
    if facts.last_dump:
        when, _, name = facts.last_dump.rpartition(" ")
        path = f"{site.dumps}/{name}"
        return f"The newest dump is {path}, of {when}.", path
    if facts.kept:
        path = f"{facts.kept[-1]}/database.dump"
        return f"The newest copy is {path}, from an earlier removal of the site.", path
    return "There is no dump on the server. Restore the volume from your own backup, or start with an empty one.", ""


def _folder(site: Site, facts: Facts, path: str) -> MissingData:
    text = f"{path} is missing. The live release mounts it."
    if not facts.kept:
        return MissingData(
            text,
            "Restore it from your own backup, or start with an empty one.",
            (restore_commands.empty_folder(path),),
        )
    tar = f"{facts.kept[-1]}/files.tar"
    copy = f"The newest copy is in {tar}, from an earlier removal of the site."
    return MissingData(text, copy, (restore_commands.files(site, tar, path.removeprefix(f"{site.root}/")),))

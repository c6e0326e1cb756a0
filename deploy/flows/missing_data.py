"""Gone: data of a site that isn't on the server any more, and how the newest copy of it is restored."""

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
    """Data that is gone: a sentence; ``copy``: where the newest copy is; ``commands``: what root runs on the server."""

    text: str
    copy: str
    commands: tuple[str, ...]

    @property
    def fix(self) -> str:
        """In one line."""
        return f"{self.copy} As root on the server: {' && '.join(self.commands)}"


def found(settings: Settings, site: Site, facts: Facts) -> list[MissingData]:
    """What a site that was once live has lost: its database's volume, or folders that its containers mount."""
    if not any(facts.releases.values()):
        return []
    lost = [_folder(site, facts, path) for path in facts.data_lacking]
    ready = site.data_ready in facts.files and facts.docker_version  # a Docker that is down knows of no volume
    if settings.own_database and ready and facts.data_volume in {"", "empty"}:
        lost.append(_volume(settings, site, facts))
    return lost


def check(run: Run) -> None:
    """Raises Refused before anything is made in place of data that is gone."""
    lost = found(run.settings, run.site, run.facts)
    if not lost:
        return
    told = [line for each in lost for line in (each.copy, *(f"  {command}" for command in each.commands))]
    raise Refused(
        "\n".join(each.text for each in lost),
        state="Nothing was changed.",
        hint="\n".join([*told, f"These are for root on the server. Then run {run.again()} again."]),
    )


def _volume(settings: Settings, site: Site, facts: Facts) -> MissingData:
    what = "is empty" if facts.data_volume else "is missing"
    text = f"The database's volume {site.postgres_volume} {what}, though {site.name} was live on this server."
    begin = restore_commands.empty_database(site)
    copy, dump = _newest_dump(site, facts)
    if not dump:
        return MissingData(text, copy, begin)
    user, name = environment.database_user(settings, site), environment.database_name(settings, site)
    return MissingData(text, copy, (*begin, restore_commands.database(site, user, name, dump)))


def _newest_dump(site: Site, facts: Facts) -> tuple[str, str]:
    """A sentence about the newest copy of the database, and its path, which is empty where there is none."""
    if facts.last_dump:
        when, _, name = facts.last_dump.rpartition(" ")
        path = f"{site.dumps}/{name}"
        return f"The newest dump is {path}, of {when}.", path
    if facts.kept:
        path = f"{facts.kept[-1]}/database.dump"
        return f"The newest copy is {path}, from when the site was removed before.", path
    return "There is no dump of it here: restore the volume from a backup of your own, or begin with an empty one.", ""


def _folder(site: Site, facts: Facts, path: str) -> MissingData:
    text = f"{path} is missing, which the live release mounts."
    if not facts.kept:
        return MissingData(
            text,
            "Restore it from a backup of your own, or begin with an empty one.",
            (restore_commands.empty_folder(path),),
        )
    tar = f"{facts.kept[-1]}/files.tar"
    copy = f"The newest copy is in {tar}, from when the site was removed before."
    return MissingData(text, copy, (restore_commands.files(site, tar, path.removeprefix(f"{site.root}/")),))

"""A static site's release: a folder of files. Pure: the source in, Steps out."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from ..build.delta import comparable
from ..build.source import Source
from ..config.settings import Settings
from ..core import server_paths
from ..core.errors import Refused
from ..core.paths import ReleasePaths
from ..core.steps import Step, script, write
from ..nginx.routing import Names, Routes

ROUTES = Routes(static_url="/", replicas=0)  # all of it, and nobody to ask


def routes(settings: Settings) -> Routes:
    """What a release wants of Nginx. It answers to every name."""
    return replace(ROUTES, names=Names(settings.domains, settings.redirect_domains, settings.redirect_domains))


def served_files(source: Source) -> dict[str, Path]:
    """What of the source is for visitors: all but what begins with a dot. Nginx wouldn't serve that."""
    return {name: path for name, path in source.files.items() if not any(map(_hidden, name.split("/")))}


def _hidden(part: str) -> bool:
    return part.startswith(".") and part != ".well-known"


def check(source: Source, fallback: str | None = None) -> None:
    """Raises Refused, naming every file that can't be served, or where there is none. ``fallback``: a file that must be
    there."""
    files = served_files(source)
    if not files:
        raise Refused(f"DEPLOY_APP: there is no file to serve in {source.root}.", hint="Which folder is the site's?")
    odd = [json.dumps(name) for name in files if "\\" in name or not name.isprintable()]
    faults = [f"No address leads to a file of such a name: {', '.join(odd)}."] * bool(odd)
    faults += [
        f"{name} is a link to {path.readlink()}, which isn't among the site's files."
        for name, path in files.items()
        if path.is_symlink() and not _leads_to(name, path, files)
    ]
    if fallback and fallback not in files:
        faults.append(f"DEPLOY_FALLBACK: there is no file {fallback} in {source.root}.")
    if faults:
        raise Refused("\n".join(faults), state="Nothing was changed.", hint="Mend it, then type the same again.")


def _leads_to(name: str, link: Path, files: Mapping[str, Path]) -> bool:
    """Whether a link leads to a file of the site, or to a folder with some, on whatever machine it is."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link.readlink()))
    return target in files or any(other.startswith(f"{target}/") for other in files)


def place(release: ReleasePaths, source: Source, there: Collection[str] = ()) -> list[Step]:
    """The release's folder, made of what is sent and of what the live release has too: ``there``."""
    files, regular = served_files(source), comparable(served_files(source))
    sent = {f"new/{name}": path for name, path in files.items() if name not in there}
    same = "".join(f"{name}\n" for name in regular if name in there)
    return [
        write(release.name, release.id + "\n"),
        script(
            f"Put {len(regular) - len(there)} of {len(regular)} files in place",
            "place",
            release.static,
            release.site.live_static,
            files={"same": same.encode(), **sent},
        ),
    ]


def gate(release: ReleasePaths, path: str, fallback: str | None = None) -> Step:
    """Look whether there is what a visitor of this path is shown, and Nginx's own user may read it. ``fallback``: the
    file that is shown where there is nothing else."""
    words = (release.static, path, str(server_paths.WEB_GROUP), fallback or "")
    return script(f"Look for {path} in the new release", "look", *words)

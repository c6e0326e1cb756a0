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

ROUTES = Routes(static_url="/", replicas=0)  # files only, no application


def routes(settings: Settings) -> Routes:
    """Return the routes of a static release. It answers to every name."""
    return replace(ROUTES, names=Names(settings.domains, settings.redirect_domains, settings.redirect_domains))


def served_files(source: Source) -> dict[str, Path]:
    """Return the files for visitors: all but those whose name begins with a dot, which Nginx wouldn't serve."""
    return {name: path for name, path in source.files.items() if not any(map(_hidden, name.split("/")))}


def _hidden(part: str) -> bool:
    return part.startswith(".") and part != ".well-known"


def check(source: Source, fallback: str | None = None) -> None:
    """Raises Refused, naming every file that can't be served, or if there is none. ``fallback``: a file that must
    exist."""
    files = served_files(source)
    if not files:
        message = f"DEPLOY_APP: there is no file to serve in {source.root}."
        raise Refused(message, hint="Set DEPLOY_APP to the site's folder.")
    odd = [json.dumps(name) for name in files if "\\" in name or not name.isprintable()]
    faults = [f"No URL can reach a file with this name: {', '.join(odd)}."] * bool(odd)
    faults += [
        f"{name} is a link to {path.readlink()}, which isn't among the site's files."
        for name, path in files.items()
        if path.is_symlink() and not _leads_to(name, path, files)
    ]
    if fallback and fallback not in files:
        faults.append(f"DEPLOY_FALLBACK: there is no file {fallback} in {source.root}.")
    if faults:
        raise Refused("\n".join(faults), state="Nothing was changed.", hint="Fix this and run the command again.")


def _leads_to(name: str, link: Path, files: Mapping[str, Path]) -> bool:
    """Return whether a link leads to a file of the site, or to a folder with some, on any machine."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link.readlink()))
    return target in files or any(other.startswith(f"{target}/") for other in files)


def place(release: ReleasePaths, source: Source, there: Collection[str] = ()) -> list[Step]:
    """Return the steps that create the release's folder. ``there``: files that are linked from the live release."""
    files, regular = served_files(source), comparable(served_files(source))
    sent = {f"new/{name}": path for name, path in files.items() if name not in there}
    same = "".join(f"{name}\n" for name in regular if name in there)
    return [
        write(release.name, release.id + "\n"),
        script(
            f"Put {len(regular) - len(there)} of {len(regular)} files in place",
            "place",
            sign="+",
            folder=release.static,
            live=release.site.live_static,
            files={"same": same.encode(), **sent},
        ),
    ]


def gate(release: ReleasePaths, path: str, fallback: str | None = None) -> Step:
    """Check that a path shows something and that Nginx's user may read it. ``fallback``: the file that is shown for
    paths that don't exist."""
    return script(
        f"Check {path} on the new release",
        "look",
        sign="",
        folder=release.static,
        path=path,
        group=server_paths.WEB_GROUP,
        fallback=fallback or "",
    )

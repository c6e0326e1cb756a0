"""Rehearsing: what Django says of the new code before there is an image of it, asked in the live release's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import containers, image
from .environment import for_compose
from .errors import StepFailed
from .foresight import Unknown
from .run import Run
from .server import Server
from .steps import Content, Step, script

SMALL = 256 * 1024  # larger files aren't needed to start Django
MUCH = 32 * 1024 * 1024  # for the server's memory, where it is best kept, since the environment comes along


def ask(run: Run, server: Server, step: Step) -> Any:
    """The answer to the step that will ask the new image. Raises Unknown where the live one can't stand in for it."""
    if why := _unable(run, run.facts.releases.get(run.facts.current, {})):
        raise Unknown(_later(why))
    asked = rehearsal(run, step)
    much = sum(content.lstat().st_size for content in asked.files.values() if isinstance(content, Path)) > MUCH
    try:
        with server.quietly():
            (result,) = server.apply([asked], stage="plan", big=much)
    except StepFailed:
        raise Unknown(_later("the new code doesn't start in the live release's image")) from None
    return result.answer


def _later(why: str) -> str:
    return f"What Django needs, and which migrations, is known once the image is built: {why}."


def _unable(run: Run, live: Mapping[str, Any]) -> str:
    if not live:
        return "no release is live"
    if "dependencies" not in live:
        return "an older version of Portside made the live one"
    if live["dependencies"] != image.dependencies(run.settings, run.source):
        return "its dependencies aren't the live one's"
    if run.settings.files:
        return "DEPLOY_FILES are in it"
    if run.site.release(run.facts.current).image not in run.facts.images:
        return "the live one's is gone"
    return ""


def rehearsal(run: Run, asked: Step) -> Step:
    """The step that asks, with nothing of the host in the container but the new code to read."""
    live, module = run.site.release(run.facts.current), run.source.settings_module()
    settings = run.settings.model_copy(update={"volumes": ()})
    made = containers.made_environment(settings, run.site, run.new.id, module)
    made |= {"PGOPTIONS": "-c default_transaction_read_only=on"} if settings.own_database else {}
    files: dict[str, Content] = {
        "compose.yaml": containers.release_compose(settings, live, run.facts, None).encode(),
        "env": for_compose(containers.own_environment(settings)).encode(),
        "env.portside": for_compose(made).encode(),
        **{f"ask/{name}": content for name, content in asked.files.items()},
        **{f"src/{name}": path for name, path in run.source.files.items() if path.lstat().st_size < SMALL},
    }
    return script("Ask Django in advance", "rehearse", live.image, *asked.words[3:5], files=files, secret=True)

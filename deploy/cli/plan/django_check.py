"""What Django reports about the new code before its image exists: it runs in the live release's image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...build import image
from ...config.dotenv import for_compose
from ...core.errors import StepFailed
from ...core.steps import Content, Step, script
from ...flows import migrations
from ...flows.context import Run
from ...releases import answer as project_answer
from ...releases import compose, database, django, environment
from ...ssh.server import Server
from .dry_run import Unknown

SMALL = 256 * 1024  # larger files aren't needed to start Django
SECONDS = 60  # time limit for Django's answer
MUCH = 32 * 1024 * 1024  # a larger upload goes to the disk; memory is safer, since it has secrets


def ask(run: Run, server: Server, step: Step) -> Any:
    """Return the answer to a step that asks the new image. Raises Unknown if the live image can't stand in for it."""
    live = run.facts.releases.get(run.facts.current, {})
    if why := next(_hindrances(run, live), ""):
        raise Unknown(_later(why))
    asked = rehearsal(run, step)
    much = sum(content.lstat().st_size for content in asked.files.values() if isinstance(content, Path)) > MUCH
    try:
        with server.quietly():
            (result,) = server.apply([asked], stage="plan", big=much)
    except StepFailed as error:
        said = error.lines[-1].strip() if error.lines else "no output"
        raise Unknown(_later(f"the new code doesn't start in the live release's image ({said})")) from None
    answer = project_answer.Answer.parse(result.answer).masked(run.report.mask)
    if answer.folder != live["folder"]:
        raise Unknown(_later("the live image has the code in another folder"))
    # A fault in the settings is the same in any image; a failed start may be due to this one.
    if answer.failed and not django.faults(run.settings, run.site, answer):
        said = str(answer.failed["text"]).partition("\n")[0]
        raise Unknown(_later(f"the new code doesn't start in the live release's image ({said})"))
    return result.answer


def _later(why: str) -> str:
    return f"Django can be checked only once the new image exists: {why}."


def _hindrances(run: Run, live: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the live release's image can't stand in for the new one, the plainest reason first."""
    if not live:
        yield "no release is live"
    if run.settings.pulls:
        yield "the image is pulled"
    if migrations.is_behind(run.facts):
        yield "the live release's migrations must be applied again first"
    if database.steps(run.settings, run.site, run.facts):
        yield "the database must be started or changed first"
    if not {"dependencies", "folder"} <= live.keys():
        yield "an older version of Portside made the live release"
    if live["dependencies"] != image.dependencies(run.settings, run.candidate.source):
        yield "its dependencies differ from the live release's"
    if run.settings.files:
        yield "it includes DEPLOY_FILES"
    if run.site.release(run.facts.current).image not in run.facts.images:
        yield "the live release's image is missing"


def rehearsal(run: Run, asked: Step) -> Step:
    """Return the step that asks Django, in a container with nothing of the host but the new code, read-only."""
    live, module = run.site.release(run.facts.current), run.candidate.source.settings_module()
    settings = run.settings.model_copy(update={"volumes": ()})
    made = environment.made_environment(settings, run.site, run.candidate.paths.id, module)
    options = settings.env["PGOPTIONS"].reveal() if "PGOPTIONS" in settings.env else ""
    made["PGOPTIONS"] = f"{options} -c default_transaction_read_only=on".lstrip()
    files: dict[str, Content] = {
        "compose.yaml": compose.release_compose(settings, live, run.facts, None).encode(),
        "env": for_compose(environment.own_environment(settings)).encode(),
        "env.portside": for_compose(made).encode(),
        **{f"ask/{name}": content for name, content in asked.files.items()},
        **{f"src/{name}": path for name, path in run.candidate.source.files.items() if path.lstat().st_size < SMALL},
    }
    given = asked.arguments
    return script(
        "Check the code with Django",
        "rehearse",
        image=live.image,
        seconds=SECONDS,
        manage=given["manage"],
        other=given["other"],
        application=given["application"],
        files=files,
        secret=True,
    )

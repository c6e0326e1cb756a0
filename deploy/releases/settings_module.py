"""The settings module that the project runs with."""

from __future__ import annotations

from ..build.source import Source
from ..config.settings import Settings
from ..core.errors import Refused
from . import django_errors

# Before there is an image


def check_settings_module(settings: Settings, source: Source) -> None:
    """Raises Refused if the settings module isn't among the files and no other source can provide it."""
    module = module_named(settings, source)
    if not module or settings.pulls or _own_dockerfile(settings, source):
        return
    package, _, _ = module.partition(".")
    path = module.replace(".", "/")
    laid_over = any(pair.partition(":")[2].endswith(f"{path}.py") for pair in settings.files)
    if laid_over or source.has_module(module) or not source.has_module(package):
        return
    untracked = next((name for name in (f"{path}.py", f"{path}/__init__.py") if source.lies_here(name)), "")
    why = f" {source.below_manage(untracked)} is in your folder, but git doesn't track it." if untracked else ""
    raise Refused(
        f"The settings module {module} doesn't exist: {source.root} has no {source.below_manage(path)}.py.{why}",
        state="Nothing was changed.",
        hint=f"{django_errors.names_settings(settings)} names it{_others(source.modules_beside(module))}.",
    )


def module_named(settings: Settings, source: Source) -> str:
    """Return DJANGO_SETTINGS_MODULE from .env, or from manage.py. Empty if neither sets it."""
    given = settings.env.get("DJANGO_SETTINGS_MODULE")
    return given.reveal() if given else source.settings_module()


def _own_dockerfile(settings: Settings, source: Source) -> bool:
    return settings.dockerfile != "portside" and bool(settings.dockerfile or "Dockerfile" in source.files)


def _others(modules: tuple[str, ...]) -> str:
    return f". In the same folder: {', '.join(modules)}" if modules else ""

"""Faults of the names in a ``.env``: unknown, without effect for this kind of site, or missing. Each is a sentence.

``steer``: the values of the ``DEPLOY_`` names, without that prefix. :data:`PLANNED` lists the settings of the interface
that this version doesn't support yet. They are refused by name, so that a setting without effect can't go unnoticed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ..core import secret
from ..core.secret import Secret
from .scope import DJANGO_KIND, STATIC_KIND, Scope
from .types import DEFAULT_DATABASE

if TYPE_CHECKING:
    from .settings import Settings

PREFIX = "DEPLOY_"

# Settings that later versions will support, with the one value that has no effect.
PLANNED = {
    "REDIS": "", "NOTIFY": "", "GPUS": "", "BACKUP_SCHEDULE": "", "BACKUP_KEEP": "7",
}  # fmt: skip
PLANNED_FAMILIES = ("CRON_",)
PROCESS = "PROCESS_"
FAMILIES = {"processes": f"{PROCESS}<NAME>"}  # fields that several settings fill: field -> the form of their names
# Values that change nothing, so that either kind of site may set them.
HARMLESS = {"DATABASE": {"none", DEFAULT_DATABASE}, "BUILD": {"server"}}


def unknown(steer: Mapping[str, Secret], known: Iterable[str]) -> list[str]:
    """Return a fault for each name that is no setting. ``known``: the fields that are one."""
    upper = {field.upper() for field in known}
    return [fault for name, value in steer.items() if (fault := _unknown(name, value.reveal(), upper))]


def _unknown(name: str, value: str, known: set[str]) -> str:
    if name.upper() in known:
        return ""
    if name.startswith(PROCESS):
        good = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]{0,30}", name.removeprefix(PROCESS))
        return "" if good else f"DEPLOY_{name}: the name of a process may have letters, digits and _, at most 31."
    if name in PLANNED or name.startswith(PLANNED_FAMILIES):
        ignorable = value in {"", PLANNED.get(name)}
        return "" if ignorable else f"DEPLOY_{name} isn't supported by this version of Portside. Remove it."
    close = difflib.get_close_matches(name, [*known, *PLANNED], n=1)
    return f"DEPLOY_{name} isn't a setting" + (f"; did you mean DEPLOY_{close[0]}?" if close else ".")


def processes(steer: Mapping[str, Secret]) -> dict[str, str]:
    """Return what DEPLOY_PROCESS_<NAME> say: names as containers have them, and shell lines."""
    lines = {_process(name): value.reveal() for name, value in sorted(steer.items()) if name.startswith(PROCESS)}
    return {name: line for name, line in lines.items() if line.strip()}


def _process(name: str) -> str:
    return name.removeprefix(PROCESS).lower().replace("_", "-")


def same_process(steer: Mapping[str, Secret]) -> list[str]:
    """Return a fault for each process that several settings name."""
    named = [_process(name) for name in steer if name.startswith(PROCESS)]
    return [f"Several of DEPLOY_{PROCESS}* define the process {name}." for name in set(named) if named.count(name) > 1]


def of_no_use(steer: Mapping[str, Secret], scopes: Mapping[str, Scope]) -> list[str]:
    """Return a fault for each setting of the other kind of site. ``scopes``: by the fields' names."""
    kind, site = (STATIC_KIND, "static sites") if is_static(steer) else (DJANGO_KIND, "applications")
    useless = {name for name, scope in scopes.items() if scope.only not in {"", kind}}
    return [
        f"DEPLOY_{name} doesn't apply to {site}. Remove it."
        for name, value in steer.items()
        if _field(name) in useless and value.reveal().strip() not in HARMLESS.get(name, set()) | {""}
    ]


def _field(name: str) -> str:
    """Return the field that a setting is, or is a part of."""
    return "processes" if name.startswith(PROCESS) else name.lower()


def is_static(steer: Mapping[str, Secret]) -> bool:
    """Return whether the site is a folder of files."""
    return "KIND" in steer and steer["KIND"].reveal() == STATIC_KIND


def secrets_missing(steer: Mapping[str, Secret], env: Mapping[str, Secret]) -> list[str]:
    """Return a fault for each missing or weak secret: SECRET_KEY, and POSTGRES_PASSWORD for Portside's own database."""
    if is_static(steer):
        return []
    elsewhere = "DATABASE" in steer and steer["DATABASE"].reveal() in {"external", "none"}
    needed = ["SECRET_KEY"] if elsewhere else ["SECRET_KEY", "POSTGRES_PASSWORD"]
    faults = {name: secret.weakness(env[name].reveal()) if name in env else "is missing" for name in needed}
    return [
        f"{name} {fault}: fab init{' --env new.env' * (fault != 'is missing')} creates a .env with a generated one."
        for name, fault in faults.items()
        if fault
    ]


def of_the_build(settings: Settings) -> list[str]:
    """Return a fault for each build argument or secret whose variable is missing."""
    wanted = {"DEPLOY_BUILD_ARGS": settings.build_args, "DEPLOY_BUILD_SECRETS": settings.build_secrets}
    return [
        f"{setting} names {name}, which isn't in the environment file."
        for setting, named in wanted.items()
        for name in named
        if name not in settings.env
    ]


def sentences(details: list[Any], model: type[BaseModel]) -> list[str]:
    """Return what pydantic found of the model's fields, as sentences that begin with a variable's name, each once."""
    return list(dict.fromkeys(_sentence(detail, model) for detail in _first_of_each(details)))


def _first_of_each(details: list[Any]) -> list[Any]:
    """Drop "too short" if the parts themselves are at fault: it would only confuse."""
    at_fault = {detail["loc"][0] for detail in details if len(detail["loc"]) > 1}
    return [d for d in details if not (d["type"] == "too_short" and d["loc"][0] in at_fault)]


def _sentence(detail: Any, model: type[BaseModel]) -> str:
    message = re.sub(r"^Value error, ", "", str(detail["msg"]))
    if not detail["loc"]:
        return f"{message}."
    field = str(detail["loc"][0])
    name = PREFIX + field.upper()
    if detail["type"] == "missing" or detail["type"] == "too_short":
        return f"{name} is missing: {model.model_fields[field].description}."
    return f"{name}: {message}."

"""What a setting belongs to: metadata of its field. Whatever treats some settings unlike the others reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import BaseModel, Field

STATIC_KIND, DJANGO_KIND = "static", "django"


@dataclass(frozen=True)
class Scope:
    """``group``: the part of a deploy, a heading of the reference. ``only``: the one kind of site that has a use for
    the setting, as DEPLOY_KIND names it; empty for every kind. ``makes_release``: whether another value makes another
    release."""

    group: str
    only: str = ""
    makes_release: bool = True


SITE = Scope("The site")
STATIC_SITE = Scope("A static site", only=STATIC_KIND, makes_release=False)
IMAGE = Scope("The image", only=DJANGO_KIND)
BUILD = Scope("The build of the image", only=DJANGO_KIND)
APPLICATION = Scope("The application", only=DJANGO_KIND)
DATABASE = Scope("The database", only=DJANGO_KIND)
RELEASE = Scope("The release")
CERTIFICATES = Scope("Certificates", makes_release=False)
NGINX = Scope("Nginx", makes_release=False)
SERVER = Scope("The whole server", makes_release=False)


def setting(scope: Scope, default: Any, description: str, **more: Any) -> Any:
    """Return a field of Settings. ``default``: ``...`` if there is none. ``more``: constraints of the value, and what
    of the scope this setting has otherwise (``only``, ``makes_release``)."""
    apart = {name: more.pop(name) for name in ("only", "makes_release") if name in more}
    extra: Any = asdict(replace(scope, **apart))
    return Field(default, description=description, json_schema_extra=extra, **more)


def scopes(model: type[BaseModel]) -> dict[str, Scope]:
    """Return the scope of every field that is a setting, by the field's name, in the order of the fields."""
    extras = {name: field.json_schema_extra for name, field in model.model_fields.items()}
    return {name: Scope(**extra) for name, extra in extras.items() if isinstance(extra, dict)}  # type: ignore[arg-type]

"""The settings' reference, docs/settings.md, made from settings.py so that the two can't differ."""

from __future__ import annotations

from pydantic.fields import FieldInfo

from ..core.files import SETTINGS_DOCS
from .settings import FAMILIES, PLANNED, PLANNED_FAMILIES, PREFIX, Settings

_HEAD = """# Settings

A site's settings stand in its `.env`, which `fab init` writes. Portside reads it as python-dotenv does, but expands
nothing: `${X}` stays `${X}`. A value that holds spaces, quotes, `#` or newlines is quoted; in single quotes everything
but `\\'` and `\\\\` means itself. Where the shell that runs `fab` has a name of the file in its environment, that
wins and is said. Without a `.env` (a CI job) the names are those of `.env.example`, the values the environment's.

Names that begin with `DEPLOY_` steer Portside; every other name is the application's environment.

| name | default | meaning |
|---|---|---|
"""

_TAIL = """
Not built yet, and refused by name so that nobody believes they are in force:
{planned}.

## What the application is given besides

Unless `.env` sets them: `DJANGO_SETTINGS_MODULE` as manage.py has it, `ALLOWED_HOSTS` and `CSRF_TRUSTED_ORIGINS` from
`DEPLOY_DOMAINS`, `DEPLOY_RELEASE`, and where Portside runs the database `DATABASE_URL` (percent-encoded), `PGHOST`,
`PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`, `POSTGRES_USER`, `POSTGRES_DB` and `POSTGRES_PASSWORD`. The host of the
database is `db`. `HOME` is `/tmp`, a folder of its own that may be written, and `LOGNAME` is `app`.

`SECRET_KEY` must be there, and `POSTGRES_PASSWORD` unless `DEPLOY_DATABASE` is `external` or `none`.

## What the server keeps of it

A deploy leaves the names of its settings in `release.json` and in the site's Nginx file, so that the next one, from
whichever laptop, can tell what would fall away: see [Two laptops](deploy.md#two-laptops). The whole file, values and
comments included, is kept on the server for root alone, so that `fab env --pull` can
[bring it back](commands.md#the-environment-file). `DEPLOY_REGISTRY_PASSWORD` isn't kept.

A [static site](static.md) has no environment, and takes only the settings that Nginx and certificates know.
"""


def markdown() -> str:
    """The page."""
    shown = Settings.known() | set(FAMILIES)
    rows = "".join(_row(name, field) for name, field in Settings.model_fields.items() if name in shown)
    planned = ", ".join(f"`{PREFIX}{name}`" for name in (*PLANNED, *(f"{family}…" for family in PLANNED_FAMILIES)))
    return _HEAD + rows + _TAIL.format(planned=planned)


def _row(name: str, field: FieldInfo) -> str:
    title = FAMILIES.get(name, name.upper())
    return f"| `{PREFIX}{title}` | {_default(name, field)} | {field.description} |\n"


def _default(name: str, field: FieldInfo) -> str:
    if name == "site":
        return "from the folder's name"
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value in ((), {}):
        return "none"
    return f"`{'on' if value else 'off'}`" if isinstance(value, bool) else f"`{value}`"


if __name__ == "__main__":
    SETTINGS_DOCS.write_text(markdown(), encoding="utf-8")

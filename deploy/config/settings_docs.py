"""The settings' reference, docs/settings.md, generated from settings.py so that the two can't differ."""

from __future__ import annotations

from pydantic.fields import FieldInfo

from ..core.files import SETTINGS_DOCS
from .names import FAMILIES, PLANNED, PLANNED_FAMILIES, PREFIX
from .scope import DJANGO_KIND, Scope
from .settings import Settings

_HEAD = """# Settings

A site's settings are in its `.env`, which `fab init` writes. Portside reads it as python-dotenv does, but without
expansion: `${X}` stays `${X}`. Quote a value that contains spaces, quotes, `#` or newlines. In single quotes
everything is literal, except `\\'` and `\\\\`. A variable set in your shell overrides the same name in `.env`; Portside
prints a warning. Without a `.env` (in a CI job), the names are those of `.env.example`, and the values come from the
environment.

Names that begin with `DEPLOY_` are Portside's settings. Every other name is the application's environment.
"""

_GROUP = """
## {title}

| name | default | meaning |
|---|---|---|
"""

_TAIL = """
## Not built yet

Not available yet, and refused by name so that a setting without effect doesn't go unnoticed:
{planned}.

## Variables that Portside adds for the application

Unless `.env` sets them:

- `DJANGO_SETTINGS_MODULE`, as in manage.py
- `ALLOWED_HOSTS` and `CSRF_TRUSTED_ORIGINS`, from `DEPLOY_DOMAINS`
- `DEPLOY_RELEASE`
- if Portside runs the database: `DATABASE_URL` (percent-encoded), `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`,
  `PGDATABASE`, `POSTGRES_USER`, `POSTGRES_DB` and `POSTGRES_PASSWORD`; the host of the database is `db`
- `HOME`, which is `/tmp`, a writable folder of the container's own, and `LOGNAME`, which is `app`

`SECRET_KEY` is required. So is `POSTGRES_PASSWORD`, unless `DEPLOY_DATABASE` is `external` or `none`.

## What the server keeps

A deploy records the names of its settings in `release.json` and in the site's Nginx file. The next deploy, from any
laptop, can so detect what it would remove: see [Two laptops](deploy.md#two-laptops). The server also keeps the whole
file, with values and comments, readable by root only, so that `fab env --pull` can [bring it
back](commands.md#the-environment-file). `DEPLOY_REGISTRY_PASSWORD` isn't kept.

A [static site](static.md) has no environment, and takes only the settings for Nginx and certificates.
"""


def markdown() -> str:
    """Return the page as Markdown."""
    scopes = Settings.scopes()
    groups = dict.fromkeys(scope.group for scope in scopes.values())
    planned = ", ".join(f"`{PREFIX}{name}`" for name in (*PLANNED, *(f"{family}…" for family in PLANNED_FAMILIES)))
    return _HEAD + "".join(_group(group, scopes) for group in groups) + _TAIL.format(planned=planned)


def _group(group: str, scopes: dict[str, Scope]) -> str:
    """Return a heading and the table of its settings. A group is for one kind of site if all of its settings are."""
    its = {name: scope for name, scope in scopes.items() if scope.group == group}
    alone = all(scope.only == DJANGO_KIND for scope in its.values())
    title = f"{group} (Django only)" if alone else group
    return _GROUP.format(title=title) + "".join(_row(name, scope, marked=not alone) for name, scope in its.items())


def _row(name: str, scope: Scope, *, marked: bool) -> str:
    field = Settings.model_fields[name]
    title = FAMILIES.get(name, name.upper())
    note = " (Django only)" * (marked and scope.only == DJANGO_KIND)
    return f"| `{PREFIX}{title}` | {_default(name, field)} | {field.description}{note} |\n"


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

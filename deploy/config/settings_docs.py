"""The settings' reference, docs/settings.md, generated from settings.py so that the two can't differ."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic.fields import FieldInfo

from ..core.files import SETTINGS_DOCS
from . import scope
from .names import FAMILIES, PLANNED, PLANNED_FAMILIES, PREFIX
from .scope import DJANGO_KIND, Scope
from .settings import Settings

_HEAD = """# Settings

A site's settings are in its `.env`, which `fab init` writes.

- Names that begin with `DEPLOY_` are Portside's settings. Every other name is the application's environment.
- Portside reads the file as python-dotenv does, but expands nothing: `${X}` stays `${X}`.
- Quote a value that holds spaces, quotes, `#` or newlines. In single quotes everything but `\\'` and `\\\\` means
  itself.
- A variable set in your shell overrides the same name in `.env`; Portside prints a warning. Names that every shell has,
  such as `HOME`, don't.
- Without a `.env` (a CI job) the names are those of `.env.example`, and the values come from the environment.

A value that can't be right is refused by its name, all of them at once, before Portside contacts the server.
"""

_TAIL = """
## Not built yet

These names are reserved, and refused so that a setting without effect can't go unnoticed:
{planned}.

## What the application gets besides

Portside sets these in the application's environment, unless `.env` does:

- `DJANGO_SETTINGS_MODULE`, as manage.py has it
- `ALLOWED_HOSTS` and `CSRF_TRUSTED_ORIGINS`, from `DEPLOY_DOMAINS` and `DEPLOY_REDIRECT_DOMAINS`, comma-separated
- `DEPLOY_RELEASE`, the release's ID
- if Portside runs the database: `DATABASE_URL` (percent-encoded), `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`,
  `PGDATABASE`, `POSTGRES_USER`, `POSTGRES_DB` and `POSTGRES_PASSWORD`. The host of the database is `db`
- `HOME`, which is `/tmp`, a writable folder of its own, and `LOGNAME`, which is `app`

`SECRET_KEY` is required, and `POSTGRES_PASSWORD` too unless `DEPLOY_DATABASE` is `external` or `none`.

## What the server keeps of them

A deploy records the names of its settings in `release.json` and in the site's Nginx file. So the next deploy, from any
laptop, knows which are missing from its own `.env`: see [Two laptops](deploying.md#two-laptops).

The whole file, with values and comments, is kept on the server for root alone, so that `fab env --pull` can
[bring it back](commands.md#the-environment-file). `DEPLOY_REGISTRY_PASSWORD` isn't kept.

A [static site](static-sites.md) has no environment, and takes only the settings of Nginx and certificates.
"""


@dataclass(frozen=True)
class Group:
    """The settings of one scope. ``example``: lines that could stand in a .env; ``more``: links to pages."""

    scope: Scope
    example: str
    more: str


GROUPS = (
    Group(
        scope.SITE,
        "DEPLOY_DOMAINS=example.com,www.example.com\nDEPLOY_REDIRECT_DOMAINS=example.org\nDEPLOY_SITE=shop\n"
        "DEPLOY_HOSTS=deploy@203.0.113.7\nDEPLOY_APP=backend",
        "[Connecting to servers](connection.md), [A domain renamed](certificates.md#a-domain-renamed)",
    ),
    Group(
        scope.IMAGE,
        "DEPLOY_BUILD=registry.example.com/shop/web:1.4\nDEPLOY_REGISTRY_USER=robot\n"
        "DEPLOY_REGISTRY_PASSWORD=a-token-of-it",
        "[Where the image comes from](images.md)",
    ),
    Group(
        scope.BUILD,
        "DEPLOY_PYTHON=3.13\nDEPLOY_APT=gettext,libvips42\nDEPLOY_PIP=sentry-sdk\n"
        "DEPLOY_FILES=production.py:/app/production.py\nDEPLOY_BUILD_CACHE=5g",
        "[Where the image comes from](images.md)",
    ),
    Group(
        scope.APPLICATION,
        "DEPLOY_WORKERS=4\nDEPLOY_THREADS=8\nDEPLOY_MEMORY=512m\nDEPLOY_REPLICAS=2\n"
        'DEPLOY_PROCESS_QUEUE="celery -A shop worker"\nDEPLOY_VOLUMES=invoices:/data/invoices',
        "[Processes and replicas](processes.md), [How Nginx and your application speak](protocols.md)",
    ),
    Group(
        scope.DATABASE,
        "DEPLOY_DATABASE=postgres:17\nDEPLOY_DATABASE_PORT=5432",
        "[The database's container](servers.md#the-databases-container), [Migrations](migrations.md)",
    ),
    Group(
        scope.RELEASE,
        'DEPLOY_BEFORE="python manage.py compress"\nDEPLOY_AFTER="python manage.py warm_cache"\n'
        "DEPLOY_HEALTH_PATH=/healthz\nDEPLOY_HEALTH_TIMEOUT=120\nDEPLOY_KEEP=3",
        "[What happens when you deploy](deploying.md)",
    ),
    Group(
        scope.CERTIFICATES,
        "DEPLOY_DOMAINS=example.com,*.example.com\nDEPLOY_ACME_EMAIL=admin@example.com\nDEPLOY_ACME_DNS=cloudflare\n"
        "DEPLOY_ACME_DNS_CREDENTIALS=cloudflare.ini\nDEPLOY_HTTP3=on",
        "[Certificates](certificates.md)",
    ),
    Group(
        scope.NGINX,
        "DEPLOY_MAX_BODY=200m\nDEPLOY_BASIC_AUTH=ann:correct-horse\nDEPLOY_DENY=192.0.2.7\nDEPLOY_RATE_LIMIT=20r/s\n"
        "DEPLOY_CACHE=10s\nDEPLOY_REAL_IP=198.51.100.0/24\nDEPLOY_BLOCK_AGENTS=GPTBot,CCBot",
        "[What Nginx does for a site](edge.md)",
    ),
    Group(scope.STATIC_SITE, "DEPLOY_KIND=static\nDEPLOY_FALLBACK=index.html", "[Static sites](static-sites.md)"),
    Group(scope.SERVER, "DEPLOY_FIREWALL=off", "[Servers](servers.md)"),
)


def markdown() -> str:
    """Return the page as Markdown."""
    scopes = Settings.scopes()
    planned = ", ".join(f"`{PREFIX}{name}`" for name in (*PLANNED, *(f"{family}…" for family in PLANNED_FAMILIES)))
    return _HEAD + "".join(_group(group, scopes) for group in GROUPS) + _TAIL.format(planned=planned)


def _group(group: Group, scopes: dict[str, Scope]) -> str:
    """Return heading, example and table. A group is for one kind of site if all of its settings are."""
    its = {name: each for name, each in scopes.items() if each.group == group.scope.group}
    alone = all(each.only == DJANGO_KIND for each in its.values())
    title = f"{group.scope.group} (Django only)" if alone else group.scope.group
    rows = "".join(_row(name, each, marked=not alone) for name, each in its.items())
    example = "".join(f"    {line}\n" for line in group.example.splitlines())
    head = f"\n## {title}\n\n{example}\n| name | default | meaning |\n|---|---|---|\n"
    return f"{head}{rows}\nMore: {group.more}\n"


def _row(name: str, its: Scope, *, marked: bool) -> str:
    field = Settings.model_fields[name]
    title = FAMILIES.get(name, name.upper())
    note = " (Django only)" * (marked and its.only == DJANGO_KIND)
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

"""The environment of a release's containers: the project's variables and those that Portside sets."""

from __future__ import annotations

from urllib.parse import quote as percent

from ..config.dotenv import for_compose
from ..config.settings import Settings
from ..core.paths import ReleasePaths, Site
from ..core.steps import Step, write
from ..nginx import htpasswd

# The image's user has no entry in its passwd, so programs find no user name and no home folder there.
WHO = {"HOME": "/tmp", "LOGNAME": "app"}


def own_environment(settings: Settings) -> dict[str, str]:
    """Return the application's own variables. A release keeps those it was deployed with."""
    return {name: value.reveal() for name, value in settings.env.items() if not _follows(name)}


def made_environment(settings: Settings, site: Site, release: str, settings_module: str) -> dict[str, str]:
    """Return the variables that Portside derives from the settings, such as hosts and database, unless .env sets them.
    They follow the present settings at every start, a rollback's too: a new password or domain stays in force."""
    hosts = settings.names  # redirect domains too: they are served until HTTPS works for the canonical one
    made = {
        # Django's form of a wildcard. It admits the name itself too.
        "ALLOWED_HOSTS": ",".join(host.removeprefix("*") for host in hosts),
        "CSRF_TRUSTED_ORIGINS": ",".join(f"{scheme}://{host}" for scheme in ("https", "http") for host in hosts),
        "DEPLOY_RELEASE": release,
        "PORTSIDE_PROOF": htpasswd.proof(settings),
    }
    made |= {name: value for name, value in WHO.items() if name not in settings.env}
    if settings_module and "DJANGO_SETTINGS_MODULE" not in settings.env:
        made["DJANGO_SETTINGS_MODULE"] = settings_module
    if settings.own_database:
        made |= _database(settings, site)
    return made | {name: value.reveal() for name, value in settings.env.items() if _follows(name)}


def _follows(name: str) -> bool:
    """Return whether a variable follows the present settings rather than the release."""
    return name in {"ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DATABASE_URL", "REDIS_URL"} or name in _DATABASE_NAMES


def _database(settings: Settings, site: Site) -> dict[str, str]:
    user, name = database_user(settings, site), database_name(settings, site)
    password = settings.env["POSTGRES_PASSWORD"].reveal()
    user_info = f"{percent(user, safe='')}:{percent(password, safe='')}"
    return {
        "DATABASE_URL": f"postgres://{user_info}@db:5432/{percent(name, safe='')}",
        "PGHOST": "db",
        "PGPORT": "5432",
        "PGUSER": user,
        "PGPASSWORD": password,
        "PGDATABASE": name,
        "POSTGRES_USER": user,
        "POSTGRES_DB": name,
        "POSTGRES_PASSWORD": password,
    }


def database_user(settings: Settings, site: Site) -> str:
    return _given(settings, "POSTGRES_USER") or _own_name(site)


def database_name(settings: Settings, site: Site) -> str:
    return _given(settings, "POSTGRES_DB") or _own_name(site)


def _own_name(site: Site) -> str:
    """Return the site's name as PostgreSQL accepts it: PostgreSQL reserves some names."""
    name = site.name.replace("-", "_")
    kept = name.startswith("pg_") or name in {"public", "none", "template0", "template1"}
    return f"{name}_site" if kept else name


_DATABASE_NAMES = {
    "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD",
}  # fmt: skip


def _given(settings: Settings, name: str) -> str:
    value = settings.env.get(name)
    return value.reveal() if value else ""


def made_environment_step(settings: Settings, release: ReleasePaths, settings_module: str) -> Step:
    """Return the step that writes the part of a release's environment that is rewritten at every start."""
    made = made_environment(settings, release.site, release.id, settings_module)
    return write(release.made_env, for_compose(made), 0o600, secret=True)

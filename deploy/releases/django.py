"""The Django project: check what its image reports (``remote/portside_project.py``) against the site's settings.

A fault is refused, all faults at once. A warning is for what works, but perhaps not as expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..config.settings import Settings
from ..core.errors import Refused
from ..core.paths import Site
from ..nginx.routing import Names
from . import django_errors
from .answer import Answer
from .environment import database_name

KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL", "oracle": "Oracle", "none": "no database"}
SCHEMES = {"postgres": "postgresql", "postgis": "postgresql", "pgsql": "postgresql", "psql": "postgresql"}
SCHEMES |= {"postgresql": "postgresql", "timescale": "postgresql", "mysql": "mysql", "sqlite": "sqlite"}
FROM_ENVIRONMENT = (
    "read it from the environment that Portside sets: DATABASE_URL (dj-database-url, django-environ), or PGHOST, "
    "PGPORT, PGUSER, PGPASSWORD and PGDATABASE"
)


# What is refused


def check(settings: Settings, site: Site, answer: Answer) -> None:
    """Raises Refused with every fault in the settings, or PortsideError if the project doesn't start for another
    reason."""
    found = faults(settings, site, answer)
    if found:
        ways = [way for _, way in found]
        raise Refused("\n".join(fault for fault, _ in found), hint="\n".join(dict.fromkeys([*ways, *_beside(answer)])))
    if answer.failed:
        raise django_errors.failure(settings, answer)


def faults(settings: Settings, site: Site, answer: Answer) -> list[tuple[str, str]]:
    """Return the faults, each with its fixes."""
    found = [*_database_faults(settings, site, answer), *_debug_fault(settings, answer)]
    return found if answer.failed else [*found, *_application_faults(settings, answer)]


def _database_faults(settings: Settings, site: Site, answer: Answer) -> Iterator[tuple[str, str]]:
    default = answer.databases.get("default")
    if not default or default["vendor"] == "none":
        return
    if settings.own_database:
        yield from _not_ours(settings, site, answer, default)
    elif settings.database == "external":
        yield from _not_the_external(settings, answer, default)


def _not_ours(settings: Settings, site: Site, answer: Answer, default: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a fault if the default database isn't the one that Portside runs and backs up."""
    where = answer.places.get("DATABASES", "")
    name = database_name(settings, site)
    ours = f"Portside runs {settings.database} for this site (DEPLOY_DATABASE), which would stay unused"
    if default["vendor"] != "postgresql" or not (default["ours"] or default["elsewhere"]):
        fixed = " Its file is part of the image, which is read-only." if default.get("file") == "read-only" else ""
        yield f"The default database is {_described(default)}, set in {where}; {ours}.{fixed}", _ways(answer, default)
    elif default["ours"] and default["name"] != name:
        yield (
            f"The default database is named “{default['name']}”, set in {where}. Portside dumps and backs up only "
            f"its own, “{name}”.",
            f"Read the name from PGDATABASE or DATABASE_URL in {django_errors.settings_file(where)}. Or, before the "
            f"first deploy, set POSTGRES_DB={default['name']} in .env.",
        )


def _not_the_external(settings: Settings, answer: Answer, default: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a fault if the default database isn't the one in DATABASE_URL."""
    url = urlsplit(settings.env["DATABASE_URL"].reveal())
    kind = SCHEMES.get(url.scheme.partition("+")[0], "")
    other_host = (
        url.hostname and kind != "sqlite" and default["host"].lower() != url.hostname and not default.get("elsewhere")
    )
    if not kind or (kind == default["vendor"] and not other_host):
        return
    there = f"{KINDS[kind]} on {url.hostname}" if url.hostname else KINDS[kind]
    where = answer.places.get("DATABASES", "")
    yield (
        f"The default database is {_described(default)}, set in {where}; DATABASE_URL in .env says {there}.",
        f"Make them match: in {django_errors.settings_file(where)}, "
        f"{FROM_ENVIRONMENT.replace(' that Portside sets', '')}. Or set DATABASE_URL to the database you want.",
    )


def _described(database: Mapping[str, Any]) -> str:
    kind = KINDS.get(database["vendor"], "another kind")
    if database["vendor"] == "sqlite":
        return f"{kind} ({database['engine']}, {database['name']})"
    host = database["host"] or "the container itself"
    if host.startswith("/"):
        host = f"the socket {host}"
    hint = ", which inside a container is the container itself" if host in {"localhost", "127.0.0.1", "::1"} else ""
    return f"{kind} ({database['engine']}) on {host}{hint}"


def _ways(answer: Answer, default: Mapping[str, Any]) -> str:
    """Return the fixes for a default database that isn't Portside's, one a line."""
    where, folder = django_errors.settings_file(answer.places.get("DATABASES", "")), answer.folder or "/app"
    ways = [
        f"in {where}, {FROM_ENVIRONMENT}",
        "keep the project unchanged, and add a settings module on top that imports its settings and sets DATABASES: "
        f"DEPLOY_FILES=overlay.py:{folder}/overlay.py and DJANGO_SETTINGS_MODULE=overlay",
    ]
    if default["vendor"] == "sqlite":
        ways += ['keep SQLite: DEPLOY_DATABASE=none, DEPLOY_VOLUMES=data:/data and "NAME": "/data/db.sqlite3"']
    else:
        ways += ["use that database: DEPLOY_DATABASE=external and DATABASE_URL"]
        ways += ["use no database: DEPLOY_DATABASE=none"]
    return "\n".join(["Do one of these:", *(f"  - {way}" for way in ways)])


def _debug_fault(settings: Settings, answer: Answer) -> Iterator[tuple[str, str]]:
    if answer.debug and not settings.allow_debug:
        where = answer.places.get("DEBUG") or answer.settings_module
        yield (
            f"DEBUG is on, set in {where}: Django would show settings and code to every visitor.",
            f"Turn it off in {django_errors.settings_file(where)}, or with the variable in .env that it reads. "
            "DEPLOY_ALLOW_DEBUG=on deploys with it.",
        )


def _beside(answer: Answer) -> list[str]:
    """Return a hint if unused settings for production exist: the likely reason for a fault in the used ones."""
    if not answer.beside:
        return []
    named = " or ".join(f"DJANGO_SETTINGS_MODULE={module}" for module in answer.beside)
    return [f"{answer.settings_module} is in use, but there are settings for production too: set {named} in .env."]


def _application_faults(settings: Settings, answer: Answer) -> Iterator[tuple[str, str]]:
    if given := answer.missing.get("given"):
        yield (
            f"DEPLOY_APPLICATION: there is no {given} in the image.",
            f"There is {answer.wsgi or answer.asgi}: set that, or unset it." if answer.wsgi or answer.asgi else "",
        )
    if settings.application:
        return
    kind, other = ("asgi", "wsgi") if settings.asynchronous else ("wsgi", "asgi")
    found = {"wsgi": answer.wsgi, "asgi": answer.asgi}
    if found[kind]:
        return
    setting, named = f"{kind.upper()}_APPLICATION", answer.missing.get(kind)
    what = f"{setting} names {named}, which doesn't exist" if named else f"the project has no module {kind}"
    yield (
        f"There is no {kind.upper()} application: {what}.",
        _instead(settings, other, found[other]),
    )


def _instead(settings: Settings, kind: str, found: str) -> str:
    other = "Or set DEPLOY_APPLICATION=module:callable."
    if not found:
        return f"Add {'asgi' if kind == 'wsgi' else 'wsgi'}.py to the project. {other}"
    if kind == "asgi":
        return f"{found} is an ASGI application: DEPLOY_WORKER_CLASS=asgi serves it. {other}"
    return f"{found} is a WSGI application: remove DEPLOY_WORKER_CLASS={settings.worker_class}. {other}"


# What is a warning


def warnings(settings: Settings, answer: Answer) -> Iterator[str]:
    """Yield warnings about what works, but perhaps not as expected."""
    if answer.debug:
        yield f"DEBUG is on ({answer.places.get('DEBUG', '')}): Django shows settings and code to every visitor."
    yield from _database_warnings(settings, answer)
    yield from _key_warning(answer)
    yield from _host_warnings(settings, answer)
    if answer.unmigrated:
        apps = ", ".join(answer.unmigrated)
        yield f"The models of {apps} have no migrations, so no tables are created. Run manage.py makemigrations."
    if answer.unwritten:
        changes = "; ".join(f"{app}: {', '.join(described)}" for app, described in answer.unwritten.items())
        yield f"Some model changes have no migration ({changes}). Run manage.py makemigrations."


def _database_warnings(settings: Settings, answer: Answer) -> Iterator[str]:
    default = answer.databases.get("default", {})
    if default.get("vendor") == "none" and settings.own_database:
        yield f"Django uses no database, but {settings.database} runs for it. Set DEPLOY_DATABASE=none to save that."
    state = default.get("file")
    if state == "read-only":
        yield f"{default['name']} is part of the image, so every write to it fails. {django_errors.KEEP_DATA}"
    elif state == "passing":
        name = default["name"] or "The database"
        yield f"{name} is lost when the container is recreated. {django_errors.KEEP_DATA}"
    for alias, why in answer.unreachable.items():
        each = answer.databases[alias]
        where = f" on {each['host']}:{each['port']}" if each["host"] else ""
        yield f"The database “{alias}”{where} can't be reached, so it isn't migrated: {why}."


def other_databases(answer: Answer) -> str:
    """Describe the databases besides the default one, which Portside doesn't manage. Empty if there are none."""
    others = {alias: each for alias, each in answer.databases.items() if alias != "default" and not each.get("ours")}
    named = [f"{alias}: {_described(each)}" for alias, each in others.items()]
    return "; ".join(named)


def _key_warning(answer: Answer) -> Iterator[str]:
    where = answer.places.get("SECRET_KEY", "")
    way = f'Read the variable: SECRET_KEY = os.environ["SECRET_KEY"] in {django_errors.settings_file(where)}.'
    if answer.key == "random":
        yield (
            f"SECRET_KEY ({where}) isn't the one in .env. It is random at each start and in each worker, so visitors "
            f"are logged out at random. {way}"
        )
    elif answer.key == "fixed":
        yield f"SECRET_KEY ({where}) isn't the one in .env. Anyone who reads the code can forge a login. {way}"


def _host_warnings(settings: Settings, answer: Answer) -> Iterator[str]:
    if not answer.databases and not answer.allowed_hosts and answer.failed:
        return
    unknown = [domain for domain in settings.domains if not _allowed(domain, answer.allowed_hosts)]
    if unknown:
        where = answer.places.get("ALLOWED_HOSTS", "")
        yield (
            f"ALLOWED_HOSTS ({where}) lacks {', '.join(unknown)}, so Django answers 400 there. Portside sets the "
            f'variable: os.environ["ALLOWED_HOSTS"].split(",").'
        )
    yield from _origin_warnings(settings, answer)


def names(settings: Settings, answer: Answer) -> Names:
    """Return the site's names as the release knows them."""
    admitted = tuple(name for name in settings.redirect_domains if _allowed(name, answer.allowed_hosts))
    return Names(settings.domains, settings.redirect_domains, admitted)


def _allowed(domain: str, patterns: tuple[str, ...]) -> bool:
    """Return whether ALLOWED_HOSTS admits a host, by Django's rules."""
    host = domain.replace("*", "any", 1)
    return any(
        pattern in {"*", host} or (pattern.startswith(".") and f".{host}".endswith(pattern))
        for pattern in (each.lower() for each in patterns)
    )


def _origin_warnings(settings: Settings, answer: Answer) -> Iterator[str]:
    untrusted = [domain for domain in settings.domains if not _trusted(domain, answer.csrf_origins)]
    if not untrusted:
        return
    setting = f"CSRF_TRUSTED_ORIGINS ({answer.places.get('CSRF_TRUSTED_ORIGINS', '')})"
    names = ", ".join(f"https://{domain}" for domain in untrusted)
    way = 'Portside sets the variable: os.environ["CSRF_TRUSTED_ORIGINS"].split(",").'
    if answer.csrf_checked and not answer.knows_https:
        yield (
            f"{setting} lacks {names}, and SECURE_PROXY_SSL_HEADER isn't set, so over HTTPS Django answers 403 to "
            f"every form. {way}"
        )
    elif answer.csrf_origins and len(untrusted) == len(settings.domains):
        yield f"{setting} has {', '.join(answer.csrf_origins)}, but not {names}. {way}"


def _trusted(domain: str, origins: tuple[str, ...]) -> bool:
    """Return whether CSRF_TRUSTED_ORIGINS trusts a domain, by Django's rules: https://*.example.com is each
    subdomain."""
    host = domain.replace("*", "any", 1)
    trusted = [origin.lower().partition("://")[2] for origin in origins if origin.lower().startswith("https://")]
    return any(host == each or (each.startswith("*.") and host.endswith(each[1:])) for each in trusted)

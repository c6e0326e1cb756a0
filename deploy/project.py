"""The Django project: what its image says of it (``remote/portside_project.py``), judged by what the site needs.

What can't work is refused, all of it at once; what works, but not as its owner may believe, is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from .containers import Answer, database_name
from .edge import Names
from .errors import PortsideError, Refused
from .settings import Settings
from .site import APP_USER, Site
from .source import Source

KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL", "oracle": "Oracle", "none": "no database"}
SCHEMES = {"postgres": "postgresql", "postgis": "postgresql", "pgsql": "postgresql", "psql": "postgresql"}
SCHEMES |= {"postgresql": "postgresql", "timescale": "postgresql", "mysql": "mysql", "sqlite": "sqlite"}
FROM_ENVIRONMENT = (
    "read it from the environment that Portside hands over: DATABASE_URL (dj-database-url, django-environ), or PGHOST, "
    "PGPORT, PGUSER, PGPASSWORD and PGDATABASE"
)


# Before there is an image


def check_settings_module(settings: Settings, source: Source) -> None:
    """Raises Refused where the settings module isn't among the files, and nothing else could bring it."""
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
        hint=f"{_names_it(settings)} names it{_others(source.modules_beside(module))}.",
    )


def module_named(settings: Settings, source: Source) -> str:
    """DJANGO_SETTINGS_MODULE as .env has it, or else manage.py; empty where neither does."""
    given = settings.env.get("DJANGO_SETTINGS_MODULE")
    return given.reveal() if given else source.settings_module()


def _own_dockerfile(settings: Settings, source: Source) -> bool:
    return settings.dockerfile != "portside" and bool(settings.dockerfile or "Dockerfile" in source.files)


def _names_it(settings: Settings) -> str:
    return f"DJANGO_SETTINGS_MODULE in {'.env' if 'DJANGO_SETTINGS_MODULE' in settings.env else 'manage.py'}"


def _others(modules: tuple[str, ...]) -> str:
    return f"; beside it there is {', '.join(modules)}" if modules else ""


# What is refused


def check(settings: Settings, site: Site, answer: Answer) -> None:
    """Raises Refused with every fault that the settings themselves tell, and PortsideError where the project doesn't
    start for another reason."""
    found = faults(settings, site, answer)
    if found:
        ways = [way for _, way in found]
        raise Refused("\n".join(fault for fault, _ in found), hint="\n".join(dict.fromkeys([*ways, *_beside(answer)])))
    if answer.failed:
        raise failure(settings, answer)


def faults(settings: Settings, site: Site, answer: Answer) -> list[tuple[str, str]]:
    """What can't be, and the ways out of it."""
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
    """Where the default database isn't the one that Portside runs, keeps and backs up."""
    where = answer.places.get("DATABASES", "")
    name = database_name(settings, site)
    ours = f"Portside runs {settings.database} for this site (DEPLOY_DATABASE), which would stay empty"
    if default["vendor"] != "postgresql" or not (default["ours"] or default["elsewhere"]):
        fixed = " Its file is part of the image, where every write fails." if default.get("file") == "read-only" else ""
        yield f"The default database is {_described(default)}, set in {where}; {ours}.{fixed}", _ways(answer, default)
    elif default["ours"] and default["name"] != name:
        yield (
            f"The default database is called “{default['name']}”, set in {where}; Portside's is “{name}”, and that is "
            "the one it dumps and backs up.",
            f"Take the name from PGDATABASE or DATABASE_URL in {_file(where)}; or, before the first deploy, set "
            f"POSTGRES_DB={default['name']} in .env.",
        )


def _not_the_external(settings: Settings, answer: Answer, default: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where the default database isn't the one that DATABASE_URL says."""
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
        f"Make both the same: in {_file(where)}, {FROM_ENVIRONMENT.replace(' that Portside hands over', '')}; or set "
        "DATABASE_URL to the one that is meant.",
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
    """The ways out of a default database that isn't Portside's, one a line."""
    where, folder = _file(answer.places.get("DATABASES", "")), answer.folder or "/app"
    ways = [
        f"in {where}, {FROM_ENVIRONMENT}",
        "leave the project as it is, and lay a settings module over it that imports its settings and sets DATABASES: "
        f"DEPLOY_FILES=overlay.py:{folder}/overlay.py and DJANGO_SETTINGS_MODULE=overlay",
    ]
    if default["vendor"] == "sqlite":
        ways += ['keep SQLite: DEPLOY_DATABASE=none, DEPLOY_VOLUMES=data:/data and "NAME": "/data/db.sqlite3"']
    else:
        ways += ["use that database: DEPLOY_DATABASE=external and DATABASE_URL", "no database: DEPLOY_DATABASE=none"]
    return "\n".join(["One of these helps:", *(f"  - {way}" for way in ways)])


def _debug_fault(settings: Settings, answer: Answer) -> Iterator[tuple[str, str]]:
    if answer.debug and not settings.allow_debug:
        where = answer.places.get("DEBUG") or answer.settings_module
        yield (
            f"DEBUG is on, set in {where}: Django would show its insides to every visitor.",
            f"Switch it off in {_file(where)}, or by the variable in .env that it reads; DEPLOY_ALLOW_DEBUG=on goes "
            "live with it.",
        )


def _beside(answer: Answer) -> list[str]:
    """Settings for production that aren't used are the likeliest reason of a fault in those that are."""
    if not answer.beside:
        return []
    named = " or ".join(f"DJANGO_SETTINGS_MODULE={module}" for module in answer.beside)
    return [f"{answer.settings_module} is used, and there are settings for production beside it: {named} in .env."]


def _application_faults(settings: Settings, answer: Answer) -> Iterator[tuple[str, str]]:
    if given := answer.missing.get("given"):
        yield (
            f"DEPLOY_APPLICATION: there is no {given} in the image.",
            f"There is {answer.wsgi or answer.asgi}: name that, or nothing." if answer.wsgi or answer.asgi else "",
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
    other = "Or name the application: DEPLOY_APPLICATION=module:callable."
    if not found:
        return f"Add {'asgi' if kind == 'wsgi' else 'wsgi'}.py to the project. {other}"
    if kind == "asgi":
        return f"{found} is an ASGI application: DEPLOY_WORKER_CLASS=asgi serves it. {other}"
    return f"{found} is a WSGI application: leave out DEPLOY_WORKER_CLASS={settings.worker_class}. {other}"


# What is a warning


def warnings(settings: Settings, answer: Answer) -> Iterator[str]:
    """What works, but not as its owner may believe."""
    if answer.debug:
        yield f"DEBUG is on ({answer.places.get('DEBUG', '')}): Django shows its insides to every visitor."
    yield from _database_warnings(settings, answer)
    yield from _key_warning(answer)
    yield from _host_warnings(settings, answer)
    if answer.unmigrated:
        apps = ", ".join(answer.unmigrated)
        yield f"No table is made for the models of {apps}, without migrations: manage.py makemigrations writes them."
    if answer.unwritten:
        changes = "; ".join(f"{app}: {', '.join(described)}" for app, described in answer.unwritten.items())
        yield f"Changes of models without a migration ({changes}): manage.py makemigrations writes it."


def _database_warnings(settings: Settings, answer: Answer) -> Iterator[str]:
    default = answer.databases.get("default", {})
    if default.get("vendor") == "none" and settings.own_database:
        yield f"Django uses no database, and {settings.database} runs for it: DEPLOY_DATABASE=none spares that."
    state = default.get("file")
    if state == "read-only":
        yield f"{default['name']} is a part of the image, so every write to it fails. {_KEEP}"
    elif state == "passing":
        yield f"{default['name'] or 'The database'} is lost whenever the container is made anew. {_KEEP}"
    for alias, why in answer.unreachable.items():
        each = answer.databases[alias]
        where = f" on {each['host']}:{each['port']}" if each["host"] else ""
        yield f"The database “{alias}”{where} can't be reached, so it isn't migrated: {why}."


_KEEP = 'To keep it: DEPLOY_VOLUMES=data:/data and "NAME": "/data/db.sqlite3".'


def other_databases(answer: Answer) -> str:
    """Those besides the default one, which Portside doesn't look after; empty where there are none."""
    others = {alias: each for alias, each in answer.databases.items() if alias != "default" and not each.get("ours")}
    named = [f"{alias}: {_described(each)}" for alias, each in others.items()]
    return "; ".join(named)


def _key_warning(answer: Answer) -> Iterator[str]:
    where = answer.places.get("SECRET_KEY", "")
    way = f'Take it from there: SECRET_KEY = os.environ["SECRET_KEY"] in {_file(where)}.'
    if answer.key == "random":
        yield (
            f"SECRET_KEY ({where}) is another one at each start and in each worker, not the one in .env: visitors are "
            f"logged out at random. {way}"
        )
    elif answer.key == "fixed":
        yield f"SECRET_KEY ({where}) isn't the one in .env: whoever reads the code can forge a login. {way}"


def _host_warnings(settings: Settings, answer: Answer) -> Iterator[str]:
    if not answer.databases and not answer.allowed_hosts and answer.failed:
        return
    unknown = [domain for domain in settings.domains if not _allowed(domain, answer.allowed_hosts)]
    if unknown:
        where = answer.places.get("ALLOWED_HOSTS", "")
        yield (
            f"ALLOWED_HOSTS ({where}) doesn't have {', '.join(unknown)}: Django answers 400 to whoever comes by that "
            f'name. Portside hands it over: os.environ["ALLOWED_HOSTS"].split(",").'
        )
    yield from _origin_warnings(settings, answer)


def names(settings: Settings, answer: Answer) -> Names:
    """The site's names as the release knows them."""
    admitted = tuple(name for name in settings.redirect_domains if _allowed(name, answer.allowed_hosts))
    return Names(settings.domains, settings.redirect_domains, admitted)


def _allowed(domain: str, patterns: tuple[str, ...]) -> bool:
    """As Django judges a host."""
    host = domain.replace("*", "any", 1)
    return any(
        pattern in {"*", host} or (pattern.startswith(".") and f".{host}".endswith(pattern))
        for pattern in (each.lower() for each in patterns)
    )


def _origin_warnings(settings: Settings, answer: Answer) -> Iterator[str]:
    untrusted = [domain for domain in settings.domains if not _trusted(domain, answer.csrf_origins)]
    if not untrusted:
        return
    said = f"CSRF_TRUSTED_ORIGINS ({answer.places.get('CSRF_TRUSTED_ORIGINS', '')})"
    names = ", ".join(f"https://{domain}" for domain in untrusted)
    way = 'Portside hands it over: os.environ["CSRF_TRUSTED_ORIGINS"].split(",").'
    if answer.csrf_checked and not answer.knows_https:
        yield (
            f"{said} doesn't have {names}, and SECURE_PROXY_SSL_HEADER isn't set: by HTTPS, Django answers 403 to "
            f"every form. {way}"
        )
    elif answer.csrf_origins and len(untrusted) == len(settings.domains):
        yield f"{said} names {', '.join(answer.csrf_origins)}, and not {names}. {way}"


def _trusted(domain: str, origins: tuple[str, ...]) -> bool:
    """As Django judges an origin: https://*.example.com is each name below it."""
    host = domain.replace("*", "any", 1)
    trusted = [origin.lower().partition("://")[2] for origin in origins if origin.lower().startswith("https://")]
    return any(host == each or (each.startswith("*.") and host.endswith(each[1:])) for each in trusted)


def _file(where: str) -> str:
    """The file alone, of a file and line."""
    return where.partition(",")[0] or "the settings"


# Why it doesn't start


def is_clear(answer: Answer) -> bool:
    """Whether the failure's sentence says it all, so that a traceback would only hide it."""
    return answer.failed["kind"] not in {"other", "checks", "module"}


def failure(settings: Settings, answer: Answer) -> PortsideError:
    """The project doesn't start: what it failed at, and what helps."""
    failed = answer.failed
    message, hint = _FAILURES.get(failed["kind"], _other)(settings, answer, str(failed["about"]))
    where = f" ({failed['where']})" if failed.get("where") else ""
    own_words = f"\n    {failed['text']}" if failed["text"] and failed["kind"] != "unreachable" else ""
    return PortsideError(f"{message}{where}.{own_words}", hint=hint)


def _checks(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return "Django's checks found errors, so the new release isn't used", ""


def _other(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return "Django can't be started with these settings", ""


def _no_settings(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return f"The settings module {about} isn't in the image", f"{_names_it(settings)} names it: set the right one."


def _no_module(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    closed = answer.failed.get("closed", {})
    named, homes = closed.get("named", []), closed.get("homes", [])
    missing = "Django isn't in the image" if about == "django" else f"There is no module {about} in the image"
    if named:
        return (
            f"User {APP_USER}, which the image runs as, can't read {', '.join(named)}: there is no {about}",
            _READABLE,
        )
    if homes and not settings.pulls and settings.dockerfile != "portside":
        return missing, (
            f"Is it in its requirements? If it is installed below {' or '.join(homes)} (pip install --user), user "
            f"{APP_USER} can't read it there: {_READABLE[0].lower()}{_READABLE[1:]}"
        )
    return (
        missing,
        f"Add it to the requirements, or DEPLOY_PIP={about.partition('.')[0]} in .env, if it isn't the project's own.",
    )


_READABLE = (
    "Install into a folder that everybody can read: without --user (in a build stage: pip install --prefix=/install, "
    "and COPY --from=builder /install /usr/local), or python -m venv /venv and PATH=/venv/bin:$PATH."
)


def _no_driver(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    package = "psycopg[binary]" if about == "psycopg" else about
    return (
        f"The database's driver isn't in the image: {about}",
        f"Add {package} to the requirements, or DEPLOY_PIP={package} in .env.",
    )


def _no_libpq(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return (
        "psycopg is in the image, but libpq isn't, which it needs",
        "Name psycopg[binary] in the requirements, which brings it; or DEPLOY_APT=libpq5 in .env (in a Dockerfile of "
        "your own: apt-get install libpq5).",
    )


def _no_library(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return (
        f"The library {about} isn't in the image",
        "DEPLOY_APT in .env names Debian packages for it (in a Dockerfile of your own: apt-get install).",
    )


def _no_variable(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return f"The settings ask for the environment variable {about}, which isn't set", f"Set {about} in .env."


def _read_only(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return (
        f"The project writes to {about or 'a file'}, and the image's file system is read-only",
        "Let it write to a folder of DEPLOY_VOLUMES=NAME:/PATH, which stays, or to /tmp, which doesn't; logs belong on "
        "standard error.",
    )


def _forbidden(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return (
        f"User {APP_USER}, which the image runs as, may not use {about or 'a file'}",
        "In the Dockerfile: chmod -R a+rX on what it is to read. What it is to write belongs in DEPLOY_VOLUMES.",
    )


def _unreachable(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    database = answer.databases["default"]
    at = f"{database['host']}:{database['port']}"
    return f"The database at {at} can't be reached: {answer.failed['text']}", _way_to_database(settings, answer)


def _database(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    default = answer.databases.get("default", {})
    if default.get("file") in {"absent", "read-only"}:
        return f"{default['name']} can't be written in the image, which is read-only", _KEEP
    at = f" at {default['host']}:{default['port']}" if default.get("host") else ""
    return f"The database{at} refuses", _way_to_database(settings, answer)


def _way_to_database(settings: Settings, answer: Answer) -> str:
    where = answer.places.get("DATABASES", "")
    if settings.own_database:
        return f"Is all of it taken from DATABASE_URL or PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE in {where}?"
    return (
        f"Is DATABASE_URL in .env right, and does {_file(where)} use it? The server itself must reach it: its firewall "
        "must let the server in, and a name must mean something there (localhost is the container itself)."
    )


_FAILURES = {
    "checks": _checks,
    "settings": _no_settings,
    "django": _no_module,
    "module": _no_module,
    "driver": _no_driver,
    "libpq": _no_libpq,
    "library": _no_library,
    "variable": _no_variable,
    "read-only": _read_only,
    "forbidden": _forbidden,
    "unreachable": _unreachable,
    "database": _database,
}

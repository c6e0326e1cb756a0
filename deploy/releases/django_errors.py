"""Errors at the project's start, each with the setting or file to change."""

from __future__ import annotations

from ..config.settings import Settings
from ..core.errors import PortsideError
from ..core.server_paths import APP_USER
from .answer import Answer


def names_settings(settings: Settings) -> str:
    return f"DJANGO_SETTINGS_MODULE in {'.env' if 'DJANGO_SETTINGS_MODULE' in settings.env else 'manage.py'}"


KEEP_DATA = 'To keep it: DEPLOY_VOLUMES=data:/data and "NAME": "/data/db.sqlite3".'


def settings_file(where: str) -> str:
    """Return the file of a "file, line N"."""
    return where.partition(",")[0] or "the settings"


# The kinds of errors


def is_clear(answer: Answer) -> bool:
    """Return whether the error's sentence is enough, so that a traceback would only distract."""
    return answer.failed["kind"] not in {"other", "checks", "module"}


def failure(settings: Settings, answer: Answer) -> PortsideError:
    """Return the error to raise for a project that doesn't start, with its hint."""
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
    return f"The settings module {about} isn't in the image", f"{names_settings(settings)} names it. Correct it there."


def _no_module(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    closed = answer.failed.get("closed", {})
    named, homes = closed.get("named", []), closed.get("homes", [])
    missing = "Django isn't in the image" if about == "django" else f"There is no module {about} in the image"
    if named:
        return (
            f"The image runs as user {APP_USER}, who can't read {', '.join(named)}, so {about} can't be imported",
            _READABLE,
        )
    if homes and not settings.pulls and settings.dockerfile != "portside":
        return missing, (
            f"Is it in the requirements? If it is installed below {' or '.join(homes)} (pip install --user), user "
            f"{APP_USER} can't read it: {_READABLE[0].lower()}{_READABLE[1:]}"
        )
    return (
        missing,
        f"If it isn't the project's own, add it to the requirements, or set "
        f"DEPLOY_PIP={about.partition('.')[0]} in .env.",
    )


_READABLE = (
    "Install into a folder that every user can read: without --user (in a build stage: pip install --prefix=/install, "
    "and COPY --from=builder /install /usr/local), or python -m venv /venv and PATH=/venv/bin:$PATH."
)


def _no_driver(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    package = "psycopg[binary]" if about == "psycopg" else about
    return (
        f"The database's driver isn't in the image: {about}",
        f"Add {package} to the requirements, or set DEPLOY_PIP={package} in .env.",
    )


def _no_libpq(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return (
        "psycopg needs libpq, which isn't in the image",
        "Put psycopg[binary] in the requirements, which includes it, or set DEPLOY_APT=libpq5 in .env (in a Dockerfile "
        "of your own: apt-get install libpq5).",
    )


def _no_library(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return (
        f"The library {about} isn't in the image",
        "Set DEPLOY_APT in .env to the Debian package that has it (in a Dockerfile of your own: apt-get install).",
    )


def _no_variable(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return f"The settings need the environment variable {about}, which isn't set", f"Set {about} in .env."


def _read_only(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return (
        f"The project writes to {about or 'a file'}, but the image's file system is read-only",
        "Let it write to a folder of DEPLOY_VOLUMES=NAME:/PATH, which is kept, or to /tmp, which isn't. Write logs to "
        "standard error.",
    )


def _forbidden(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    return (
        f"The image runs as user {APP_USER}, who may not use {about or 'a file'}",
        "In the Dockerfile, run chmod -R a+rX on files it reads. Put folders it writes to into DEPLOY_VOLUMES.",
    )


def _unreachable(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    database = answer.databases["default"]
    at = f"{database['host']}:{database['port']}"
    return f"The database at {at} can't be reached: {answer.failed['text']}", _way_to_database(settings, answer)


def _database(settings: Settings, answer: Answer, about: str) -> tuple[str, str]:
    default = answer.databases.get("default", {})
    if default.get("file") in {"absent", "read-only"}:
        return f"{default['name']} can't be written in the image, which is read-only", KEEP_DATA
    at = f" at {default['host']}:{default['port']}" if default.get("host") else ""
    return f"The database{at} refuses the connection", _way_to_database(settings, answer)


def _way_to_database(settings: Settings, answer: Answer) -> str:
    where = answer.places.get("DATABASES", "")
    if settings.own_database:
        return f"Does {where} read all of DATABASE_URL, or of PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE?"
    return (
        f"Is DATABASE_URL in .env right, and does {settings_file(where)} use it? The server itself must reach the "
        "database: its firewall must admit the server, and the server must know its name (localhost is the container)."
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

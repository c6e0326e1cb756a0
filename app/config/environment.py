"""Read settings from environment variables. An error names the invalid variable."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

Environment = Mapping[str, str]

ON = {"1", "on", "true", "yes"}
OFF = {"", "0", "off", "false", "no"}

# Without this, a database host that drops packets blocks a worker for two minutes.
CONNECT_SECONDS = 5


def required(env: Environment, name: str) -> str:
    """Return a variable that has no default."""
    value = env.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. Set it in the environment or in .env.")
    return value


def flag(env: Environment, name: str) -> bool:
    """Return whether a variable is switched on; unset is off."""
    value = env.get(name, "").strip().lower()
    if value not in ON | OFF:
        raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}")
    return value in ON


def words(env: Environment, name: str) -> list[str]:
    """Return the comma-separated parts of a variable."""
    return [word.strip() for word in env.get(name, "").split(",") if word.strip()]


def database(env: Environment, *, debug: bool, base: Path) -> dict[str, Any]:
    """Return Django's settings for DATABASE_URL. With DEBUG on, the default is SQLite."""
    if debug and not env.get("DATABASE_URL"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": base / "db.sqlite3"}
    url = required(env, "DATABASE_URL")
    try:
        settings: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    except ValueError:
        # The original message may contain the password.
        raise ImproperlyConfigured(
            "DATABASE_URL is not an address such as postgres://user:password@host:5432/name "
            "(special characters are percent-encoded)"
        ) from None
    if settings["ENGINE"] == "django.db.backends.postgresql":
        settings["OPTIONS"] = {"connect_timeout": CONNECT_SECONDS, **settings.get("OPTIONS", {})}
    return settings

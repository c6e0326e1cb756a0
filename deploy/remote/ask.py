"""Runs inside a container of the new image and says what the Django project needs: one line of JSON, marked.

Read from standard input by ``python -``, with the folder of manage.py below the working one as its argument.
"""

import importlib.util
import json
import os
import sys

MARK = "portside-answer:"


def main() -> None:
    folder = find_folder(sys.argv[1] if len(sys.argv) > 1 else "")
    os.chdir(folder)
    sys.path[0] = folder
    import django

    django.setup()
    from django.conf import settings

    package = settings.SETTINGS_MODULE.split(".")[0]
    pending, applied = migrations()
    answer = {
        "folder": folder,
        "manage": os.path.join(folder, "manage.py"),
        "settings_module": settings.SETTINGS_MODULE,
        "static_url": settings.STATIC_URL or "",
        "static_root": absolute(settings.STATIC_ROOT),
        "media_url": settings.MEDIA_URL or "",
        "media_root": absolute(settings.MEDIA_ROOT),
        "wsgi": settings.WSGI_APPLICATION or named(package, "wsgi"),
        "asgi": getattr(settings, "ASGI_APPLICATION", None) or named(package, "asgi"),
        "gunicorn": gunicorn_version(),
        "debug": bool(settings.DEBUG),
        "pending": pending,
        "applied": applied,
    }
    print(MARK + json.dumps(answer))


def find_folder(below: str) -> str:
    """The folder of manage.py: the working one, or the one below it."""
    for folder in (os.path.join(os.getcwd(), below), os.getcwd()):
        if os.path.exists(os.path.join(folder, "manage.py")):
            return os.path.abspath(folder)
    sys.exit(f"There is no manage.py in {os.getcwd()} of the image: set its WORKDIR to where manage.py is.")


def absolute(path) -> str:
    return os.path.abspath(path) if path else ""


def named(package: str, kind: str) -> str:
    """``package.wsgi.application``, where there is such a module."""
    return f"{package}.{kind}.application" if importlib.util.find_spec(f"{package}.{kind}") else ""


def gunicorn_version() -> str:
    try:
        import gunicorn
    except ImportError:
        return ""
    return gunicorn.__version__


def migrations():
    """Migrations that aren't applied, as ``app.name``, and how many are."""
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    connection = connections["default"]
    if connection.vendor == "unknown":
        return [], 0
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{step.app_label}.{step.name}" for step, _ in plan], len(executor.loader.applied_migrations)


main()

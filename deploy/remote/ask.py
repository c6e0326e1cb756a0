"""Runs inside a container of a release's image and says what the Django project needs: one line of JSON, marked.

Its arguments: the folder of manage.py, from the working one; and, as JSON, the last migration of each app that another
release knows: the live one before a deploy, the one to go back to before a rollback. Empty where there is none. A
third, "check", runs Django's checks for a deploy as well: they need no second start of the project.
"""

import importlib.util
import json
import os
import re
import sys

MARK = "portside-answer:"
OF_NO_PROJECT = {"proc", "sys", "dev", "site-packages", "node_modules", ".git"}


def main() -> None:
    os.dup2(1, 2)  # what comes by two ways is put together in any order, also in the middle of a line
    folder = find_folder(sys.argv[1] if len(sys.argv) > 1 else "")
    os.chdir(folder)
    sys.path.insert(0, folder)
    name_settings()
    import django

    django.setup()
    from django.conf import settings

    package = settings.SETTINGS_MODULE.split(".")[0]
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
        **migrations(sys.argv[2] if len(sys.argv) > 2 else ""),
    }
    sys.stdout.write(f"\n{MARK}{json.dumps(answer)}\n")  # whatever the project printed before
    sys.stdout.flush()
    if "check" in sys.argv[3:]:
        check()


def check() -> None:
    """``manage.py check --deploy``. Errors end it, warnings are printed."""
    from django.core.management import call_command
    from django.core.management.base import SystemCheckError

    try:
        call_command("check", deploy=True)
    except SystemCheckError as error:
        sys.exit(str(error))


def find_folder(below: str) -> str:
    """The folder of manage.py: the working one, the one below it, or else the only one that has one."""
    here = os.getcwd()
    for folder in (os.path.join(here, below), here):
        if os.path.exists(os.path.join(folder, "manage.py")):
            return os.path.abspath(folder)
    found = search(here)
    if len(found) > 1:
        sys.exit(f"There is more than one manage.py in the image ({', '.join(found)}): set its WORKDIR to where it is.")
    if not found:
        sys.exit(f"There is no manage.py in {here} of the image: set its WORKDIR to where manage.py is.")
    return found[0]


def search(root: str) -> list:
    """The folders with a manage.py, as deep as projects lie: the image may be a whole system."""
    found = []
    for folder, folders, files in os.walk(root):
        depth = os.path.relpath(folder, root).count(os.sep) + 1
        folders[:] = sorted(set(folders) - OF_NO_PROJECT) if depth < 4 else []
        if "manage.py" in files:
            found.append(folder)
    return found


def name_settings() -> None:
    """DJANGO_SETTINGS_MODULE as manage.py has it, unless the environment says it."""
    with open("manage.py", encoding="utf-8") as file:
        said = re.search(r"""["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""", file.read())
    if said:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", said.group(1))


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


def migrations(other: str) -> dict:
    """Those that aren't applied, those that are and the other release doesn't know, and what they do to it."""
    import portside_migrations as about

    executor = about.executor()
    if not executor:
        return {"pending": [], "applied": 0}
    loader = executor.loader
    pending = [step for step, _ in executor.migration_plan(loader.graph.leaf_nodes())]
    known = json.loads(other) if other else None
    ahead = about.ahead(loader, known) if known is not None else []
    breaking, unjudged = about.judged(loader, pending, known, about.applied(loader))
    before = about.applied(loader) - {(step.app_label, step.name) for step in ahead}
    return {
        "pending": [about.label(step) for step in pending],
        "applied": len(loader.applied_migrations),
        "leaves": about.leaves(loader),
        "breaking": breaking,
        "unjudged": unjudged,
        "loose": about.loose(pending),
        "ahead": [about.label(step) for step in ahead],
        "ahead_breaking": about.judged(loader, ahead, known, before)[0],
        "irreversible": about.irreversible(ahead),
    }


if __name__ == "__main__":
    main()

"""Ask the Django project in a release's image what it needs. Runs in a container of that image.

ask.py FOLDER OTHER APPLICATION [look|check]      prints one marked line of JSON
FOLDER: of manage.py, relative to the working folder. OTHER: a file with what another release knows of the database
(``Known`` of portside_migrations.py), or empty: before a deploy that is the live release, before a rollback the one to
go back to. APPLICATION: DEPLOY_APPLICATION, or empty. look: also find model changes without a migration. check: run
Django's deployment checks too, which saves another start of the project.
A second line has what this release knows, for comparison with the next one. If the project doesn't start, the answer
has what is known about it, and why.
"""

import hashlib
import json
import os
import sys
import traceback
from contextlib import suppress

import portside_project as project

KNOWS = "portside-knows:"
NOT_PROJECTS = {"proc", "sys", "dev", "site-packages", "node_modules", ".git"}


def main() -> None:
    os.dup2(1, 2)  # two streams would be mixed, even within a line
    given = dict(enumerate(sys.argv))
    folder = find_folder(given.get(1, ""))
    os.chdir(folder)
    sys.path.insert(0, folder)
    answer = {"folder": folder, "manage": os.path.join(folder, "manage.py")}
    try:
        project.name_settings()
        ask(answer, given.get(2, ""), given.get(3, ""), given.get(4, ""))
    except (Exception, SystemExit) as error:  # whatever a project may raise
        if "failed" not in answer:
            traceback.print_exc()
            answer["failed"] = project.cause(error, folder)
    knows = answer.pop("knows", None)
    sys.stdout.write(f"\n{project.MARK}{json.dumps(answer)}\n")  # whatever the project printed before
    if knows:
        sys.stdout.write(f"{KNOWS}{json.dumps(knows)}\n")
    sys.stdout.flush()


def ask(answer: dict, other: str, application: str, more: str) -> None:
    """Fill in the answer, as far as the project starts."""
    from django.conf import settings

    answer["settings_module"] = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    answer.update(project.settings_report(settings, answer["folder"]))
    project.be_brief(settings)
    answer["unreachable"] = project.unreachable(answer["databases"])
    if "default" in answer["unreachable"]:
        raise unreachable(answer)
    import django

    django.setup()
    answer.update(
        static_url=settings.STATIC_URL or "",
        static_root=absolute(settings.STATIC_ROOT),
        media_url=settings.MEDIA_URL or "",
        media_root=absolute(settings.MEDIA_ROOT),
        gunicorn=gunicorn_version(),
        **applications(settings, application),
        **migrations(other, answer, look=bool(more)),
    )
    if more == "check":
        run_checks(answer)


def unreachable(answer: dict) -> SystemExit:
    """Return the exception to raise, without a traceback: the project itself isn't at fault."""
    answer["failed"] = {"kind": "unreachable", "about": "", "text": answer["unreachable"]["default"]}
    return SystemExit()


def applications(settings, application: str) -> dict:
    """Return the applications that exist, and those that are named but don't exist."""
    module, urls = os.environ.get("DJANGO_SETTINGS_MODULE", ""), getattr(settings, "ROOT_URLCONF", "") or ""
    named = {"wsgi": settings.WSGI_APPLICATION, "asgi": getattr(settings, "ASGI_APPLICATION", None)}
    found = {kind: project.application(name, module, urls, kind) for kind, name in named.items()}
    missing = {kind: name for kind, name in named.items() if name and not found[kind]}
    for kind in missing:  # look in the usual places too
        found[kind] = project.application(None, module, urls, kind)
    there = not application or project.offers(*application.split(":", 1))
    return {**found, "missing": missing if there else {**missing, "given": application}}


def run_checks(answer: dict) -> None:
    """Run ``manage.py check --deploy``. Prints warnings; errors are a failure."""
    from django.core.management import call_command
    from django.core.management.base import SystemCheckError

    try:
        call_command("check", deploy=True)
    except SystemCheckError as error:
        print(error)
        answer["failed"] = {"kind": "checks", "about": "", "text": ""}


def find_folder(below: str) -> str:
    """Return the folder of manage.py: the working folder, the given one below it, or the only one found below it."""
    here = os.getcwd()
    if not os.access(here, os.R_OK | os.X_OK):
        sys.exit(
            f"The image runs as user {os.getuid()}, who can't read its WORKDIR, {here}. Choose one outside /root and "
            "other users' homes, such as /app, or run chmod a+rx on the folders above it in the Dockerfile."
        )
    for folder in (os.path.join(here, below), here):
        if os.path.exists(os.path.join(folder, "manage.py")):
            return os.path.abspath(folder)
    found = search(here)
    if len(found) > 1:
        sys.exit(f"The image has more than one manage.py ({', '.join(found)}). Set its WORKDIR to the right folder.")
    if not found:
        sys.exit(f"The image has no manage.py in {here}. Set its WORKDIR to the folder of manage.py.")
    return found[0]


def search(root: str) -> list:
    """Return the folders with a manage.py, to a limited depth: the image may be a whole system."""
    found = []
    for folder, folders, files in os.walk(root):
        depth = os.path.relpath(folder, root).count(os.sep) + 1
        folders[:] = sorted(set(folders) - NOT_PROJECTS) if depth < 4 else []
        if "manage.py" in files:
            found.append(folder)
    return found


def absolute(path) -> str:
    return os.path.abspath(path) if path else ""


def gunicorn_version() -> str:
    try:
        import gunicorn
    except ImportError:
        return ""
    return gunicorn.__version__


def migrations(other: str, answer: dict, *, look: bool) -> dict:
    """Return, for each database with migrations, those that aren't applied, those that are applied but unknown to the
    other release, and their effect on it."""
    import portside_migrations as about

    known = about.Known.read(other) if other else None
    parts = {alias: part for alias in about.aliases() if (part := of_database(alias, known, answer))}
    found = {"aliases": list(parts), "migrate": about.own_command(), "knows": about.knowledge()}
    found["knowledge"] = hashlib.sha256(json.dumps(found["knows"]["knows"]).encode()).hexdigest()
    for kind in ("pending", "ahead", "strangers", "stale", "lacking", "loose", "unrecorded"):
        found[kind] = [about.named(name, alias) for alias, part in parts.items() for name in part[kind]]
    for kind in ("breaking", "unjudged", "ahead_breaking", "ahead_unjudged", "irreversible", "no_way_back"):
        found[kind] = {about.named(name, alias): what for alias in parts for name, what in parts[alias][kind].items()}
    found["pending_in"] = [alias for alias, part in parts.items() if part["pending"]]
    found["applied"] = parts["default"]["applied"] if "default" in parts else 0
    return {**found, **of_code(answer["folder"], look=look and "default" in parts)}


def of_code(folder: str, *, look: bool) -> dict:
    """Return what doesn't depend on the database. ``look``: also what makemigrations would write."""
    import portside_migrations as about
    from django.db.migrations.loader import MigrationLoader

    loader, unwritten = MigrationLoader(None), {}
    if look:
        with suppress(Exception):  # it is for a warning only, so a failure mustn't end the deploy
            unwritten = about.unwritten(loader, folder)
    return {"leaves": about.leaves(loader), "unmigrated": about.unmigrated(loader), "unwritten": unwritten}


def of_database(alias: str, known, answer: dict) -> dict | None:
    """Return the migrations of one database. None if it can't be reached and isn't the default one."""
    import portside_migrations as about
    from django.db import Error

    if alias in answer["unreachable"]:
        return None
    try:
        history = about.History(alias, known)
    except Error as error:
        if alias == "default":
            raise
        answer["unreachable"][alias] = str(error).strip().partition("\n")[0]
        return None
    return summary(history, about)


def summary(history, about) -> dict:
    """Return the answer's part about one database."""
    pending, ahead = history.pending(), history.ahead()
    breaking, unjudged = history.judged(pending, history.loader, history.applied())
    before = history.applied(history.others) - {(step.app_label, step.name) for step in ahead}
    ahead_breaking, ahead_unjudged = history.judged(ahead, history.others, before)
    strangers, stale = history.strangers()
    way = history.way_back(ahead)
    return {
        "pending": [about.label(step) for step in pending],
        "applied": len(history.names),
        "breaking": breaking,
        "unjudged": unjudged,
        "loose": about.loose(pending, history.alias),
        "ahead": [about.label(step) for step in ahead],
        "ahead_breaking": ahead_breaking,
        "ahead_unjudged": ahead_unjudged,
        "irreversible": about.irreversible(ahead),
        "no_way_back": {about.label(step): way for step in ahead} if isinstance(way, str) else {},
        "strangers": strangers,
        "stale": stale,
        "lacking": history.torn() or (history.lacking() if strangers or stale else []),
        "unrecorded": history.unrecorded(),
    }


if __name__ == "__main__":
    main()

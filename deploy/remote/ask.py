"""Runs inside a container of a release's image and says what the Django project needs: one line of JSON, marked.

Its arguments: the folder of manage.py, from the working one; and a file that says what another release knows of the
database (``Known`` of portside_migrations.py): the live one before a deploy, the one to go back to before a rollback.
Empty where there is none. Then DEPLOY_APPLICATION, or empty. A fourth, "look", looks for changes of models without a
migration too, and "check" runs Django's checks for a deploy besides: they need no second start of the project. What
this release knows is a line of its own, for the next one to be compared with. Where the project doesn't start, the
answer has what can be told of it, and why.
"""

import hashlib
import json
import os
import sys
import traceback
from contextlib import suppress

import portside_project as project

KNOWS = "portside-knows:"
OF_NO_PROJECT = {"proc", "sys", "dev", "site-packages", "node_modules", ".git"}


def main() -> None:
    os.dup2(1, 2)  # what comes by two ways is put together in any order, also in the middle of a line
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
    """Fill in the answer, as far as the project comes."""
    from django.conf import settings

    answer["settings_module"] = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    answer.update(project.said(settings, answer["folder"]))
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
    """What is wrong isn't the project's: nobody needs a traceback."""
    answer["failed"] = {"kind": "unreachable", "about": "", "text": answer["unreachable"]["default"]}
    return SystemExit()


def applications(settings, application: str) -> dict:
    """Those that exist; and of those that are named those that don't."""
    module, urls = os.environ.get("DJANGO_SETTINGS_MODULE", ""), getattr(settings, "ROOT_URLCONF", "") or ""
    named = {"wsgi": settings.WSGI_APPLICATION, "asgi": getattr(settings, "ASGI_APPLICATION", None)}
    found = {kind: project.application(name, module, urls, kind) for kind, name in named.items()}
    missing = {kind: name for kind, name in named.items() if name and not found[kind]}
    for kind in missing:  # there may be one all the same, where they usually are
        found[kind] = project.application(None, module, urls, kind)
    there = not application or project.offers(*application.split(":", 1))
    return {**found, "missing": missing if there else {**missing, "given": application}}


def run_checks(answer: dict) -> None:
    """``manage.py check --deploy``. Warnings are printed; errors are a failure."""
    from django.core.management import call_command
    from django.core.management.base import SystemCheckError

    try:
        call_command("check", deploy=True)
    except SystemCheckError as error:
        print(error)
        answer["failed"] = {"kind": "checks", "about": "", "text": ""}


def find_folder(below: str) -> str:
    """The folder of manage.py: the working one, the one below it, or else the only one that has one."""
    here = os.getcwd()
    if not os.access(here, os.R_OK | os.X_OK):
        sys.exit(
            f"User {os.getuid()}, which the image runs as, can't read its WORKDIR, {here}: choose one that isn't below "
            "/root or in another's home, such as /app, or chmod a+rx the folders above it in the Dockerfile."
        )
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


def absolute(path) -> str:
    return os.path.abspath(path) if path else ""


def gunicorn_version() -> str:
    try:
        import gunicorn
    except ImportError:
        return ""
    return gunicorn.__version__


def migrations(other: str, answer: dict, *, look: bool) -> dict:
    """Those that aren't applied, those that are and the other release doesn't know, and what they do to it; of every
    database that migrations belong to."""
    import portside_migrations as about

    known = about.Known.read(other) if other else None
    parts = {alias: part for alias in about.aliases() if (part := of_database(alias, known, answer))}
    found = {"aliases": list(parts), "migrate": about.own_command(), "knows": about.said()}
    found["knowledge"] = hashlib.sha256(json.dumps(found["knows"]["knows"]).encode()).hexdigest()
    for kind in ("pending", "ahead", "strangers", "stale", "lacking", "loose", "unrecorded"):
        found[kind] = [about.named(name, alias) for alias, part in parts.items() for name in part[kind]]
    for kind in ("breaking", "unjudged", "ahead_breaking", "ahead_unjudged", "irreversible", "no_way_back"):
        found[kind] = {about.named(name, alias): what for alias in parts for name, what in parts[alias][kind].items()}
    found["pending_in"] = [alias for alias, part in parts.items() if part["pending"]]
    found["applied"] = parts["default"]["applied"] if "default" in parts else 0
    return {**found, **of_code(answer["folder"], look=look and "default" in parts)}


def of_code(folder: str, *, look: bool) -> dict:
    """What is so of the code's migrations, whatever is applied; ``look``: for what makemigrations would write."""
    import portside_migrations as about
    from django.db.migrations.loader import MigrationLoader

    loader, unwritten = MigrationLoader(None), {}
    if look:
        with suppress(Exception):  # what only a warning would come of ends no deploy
            unwritten = about.unwritten(loader, folder)
    return {"leaves": about.leaves(loader), "unmigrated": about.unmigrated(loader), "unwritten": unwritten}


def of_database(alias: str, known, answer: dict) -> dict | None:
    """The same of one database; None of another than the default one that can't be asked."""
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
    return told(history, about)


def told(history, about) -> dict:
    """What a database's history comes to."""
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

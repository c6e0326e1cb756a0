"""Runs inside a container of a release's image and says what the Django project needs: one line of JSON, marked.

Its arguments: the folder of manage.py, from the working one; and, as JSON, the last migration of each app that another
release knows: the live one before a deploy, the one to go back to before a rollback. Empty where there is none. Then
DEPLOY_APPLICATION, or empty. A fourth, "check", runs Django's checks for a deploy as well: they need no second start of
the project. Where the project doesn't start, the answer has what can be told of it, and why.
"""

import json
import os
import re
import sys
import traceback

import portside_project as project

MARK = "portside-answer:"
OF_NO_PROJECT = {"proc", "sys", "dev", "site-packages", "node_modules", ".git"}


def main() -> None:
    os.dup2(1, 2)  # what comes by two ways is put together in any order, also in the middle of a line
    given = dict(enumerate(sys.argv))
    folder = find_folder(given.get(1, ""))
    os.chdir(folder)
    sys.path.insert(0, folder)
    answer = {"folder": folder, "manage": os.path.join(folder, "manage.py")}
    try:
        name_settings()
        ask(answer, given.get(2, ""), given.get(3, ""), check=given.get(4) == "check")
    except (Exception, SystemExit) as error:  # whatever a project may raise
        if "failed" not in answer:
            traceback.print_exc()
            answer["failed"] = project.cause(error, folder)
    sys.stdout.write(f"\n{MARK}{json.dumps(answer)}\n")  # whatever the project printed before
    sys.stdout.flush()


def ask(answer: dict, other: str, application: str, *, check: bool) -> None:
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
        **migrations(other),
    )
    if check:
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


def name_settings() -> None:
    """DJANGO_SETTINGS_MODULE as manage.py has it, unless the environment says it."""
    with open("manage.py", encoding="utf-8") as file:
        said = re.search(r"""["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""", file.read())
    if said:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", said.group(1))


def absolute(path) -> str:
    return os.path.abspath(path) if path else ""


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
        "unmigrated": about.unmigrated(loader),
    }


if __name__ == "__main__":
    main()

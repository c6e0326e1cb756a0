"""Reverse the migrations that another release doesn't know. Runs in a container of a release's image.

back.py FOLDER OTHER ONLY      prints one marked line of JSON: what was reversed and what is still applied
FOLDER: of manage.py. OTHER: a file with what the other release knows (``Known`` of portside_migrations.py). ONLY: a
JSON list of the migrations that may be reversed, or empty for all. The database is asked again afterwards.
"""

import json
import os
import sys
import traceback

import portside_lock_timeout
import portside_project as project


def main() -> None:
    os.chdir(sys.argv[1])
    sys.path.insert(0, sys.argv[1])
    project.name_settings()
    portside_lock_timeout.install()
    import django

    django.setup()
    import portside_migrations as about

    known = about.Known.read(sys.argv[2])
    only = json.loads(sys.argv[3]) if sys.argv[3] else None

    before = [about.History(alias, known, only) for alias in about.aliases()]
    names = ahead(about, before)
    done = [take_back(about, history) for history in before if history.ahead()]
    still = ahead(about, [about.History(history.alias, known, only) for history in before])
    answer = {"taken": [name for name in names if name not in still], "left": still}
    sys.stdout.write(f"\n{project.MARK}{json.dumps(answer)}\n")
    if still or not all(done):
        print(f"Still applied: {', '.join(still)}." if still else "All were reversed, but a later command failed.")
        sys.exit(1)


def ahead(about, histories) -> list:
    """Return the names of the migrations that the other release doesn't know."""
    return [about.named(about.label(one), each.alias) for each in histories for one in each.ahead()]


def take_back(about, history) -> bool:
    """Reverse the migrations of one database. Returns whether it worked; nothing is begun unless all can be
    reversed."""
    from django.core.management import call_command

    unheard = history.ahead()
    way = history.way_back(unheard)
    if stuck := about.irreversible(unheard):
        way = "these can't be reversed: " + ", ".join(f"{name} ({what})" for name, what in stuck.items())
    if own := about.own_command():
        way = f"only the migrate command of {own} can do it"
    if isinstance(way, str):
        print(f"No migration was reversed, since {way}.")
        return False
    try:
        for app, name in way:
            call_command("migrate", app, name, database=history.alias, interactive=False)
    except Exception:  # whatever a migration may raise
        traceback.print_exc()
        portside_lock_timeout.print_invalid_indexes()
        return False
    return True


if __name__ == "__main__":
    main()

"""Runs inside a container of a release's image: takes back the migrations that another release has never heard of, and
asks the database afterwards what is so: one line of JSON, marked, with what was taken back and what is still applied.

Its arguments: the folder of manage.py; a file that says what the other release knows (``Known`` of
portside_migrations.py); and the names of the migrations that may be taken back, as JSON, or empty for all of them.
"""

import json
import os
import sys
import traceback

import portside_patience
import portside_project as project


def main() -> None:
    os.chdir(sys.argv[1])
    sys.path.insert(0, sys.argv[1])
    project.name_settings()
    portside_patience.install()
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
        print(f"Still applied: {', '.join(still)}." if still else "All is taken back, and something failed after it.")
        sys.exit(1)


def ahead(about, histories) -> list:
    """The names of what the other release has never heard of."""
    return [about.named(about.label(one), each.alias) for each in histories for one in each.ahead()]


def take_back(about, history) -> bool:
    """Whether it could be done. What can't be taken back whole isn't begun."""
    from django.core.management import call_command

    unheard = history.ahead()
    way = history.way_back(unheard)
    if stuck := about.irreversible(unheard):
        way = "these can't be taken back: " + ", ".join(f"{name} ({what})" for name, what in stuck.items())
    if own := about.own_command():
        way = f"{own} has a migrate command of its own, which alone knows how"
    if isinstance(way, str):
        print(f"Nothing is taken back, since {way}.")
        return False
    try:
        for app, name in way:
            call_command("migrate", app, name, database=history.alias, interactive=False)
    except Exception:  # whatever a migration may raise
        traceback.print_exc()
        portside_patience.tell_invalid_indexes()
        return False
    return True


if __name__ == "__main__":
    main()

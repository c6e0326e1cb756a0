"""Migrate one database to the last migration of a release. Runs in a container of the release's image.

forward.py MANAGE ALIAS      MANAGE: manage.py; ALIAS: the database's alias, or "default"
"""

import os
import runpy
import sys
import traceback

import portside_lock_timeout


def main() -> None:
    manage, alias = sys.argv[1:3]
    portside_lock_timeout.install()
    sys.argv = [manage, "migrate", "--noinput", *(() if alias == "default" else ("--database", alias))]
    sys.path[0] = os.path.dirname(os.path.abspath(manage))  # as python manage.py does
    try:
        runpy.run_path(manage, run_name="__main__")
    except SystemExit as error:
        if error.code:
            portside_lock_timeout.print_invalid_indexes()
        raise
    except Exception:  # whatever a project may raise
        traceback.print_exc()
        portside_lock_timeout.print_invalid_indexes()
        sys.exit(1)


if __name__ == "__main__":
    main()

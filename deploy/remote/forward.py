"""Runs inside a container of a release's image: migrates one database to the end of what the release's code has.

Its arguments: manage.py; and the database's alias, or "default".
"""

import os
import runpy
import sys
import traceback

import portside_patience


def main() -> None:
    manage, alias = sys.argv[1:3]
    portside_patience.install()
    sys.argv = [manage, "migrate", "--noinput", *(() if alias == "default" else ("--database", alias))]
    sys.path[0] = os.path.dirname(os.path.abspath(manage))  # as if manage.py had been called
    try:
        runpy.run_path(manage, run_name="__main__")
    except SystemExit as error:
        if error.code:
            portside_patience.tell_invalid_indexes()
        raise
    except Exception:  # whatever a project may raise
        traceback.print_exc()
        portside_patience.tell_invalid_indexes()
        sys.exit(1)


if __name__ == "__main__":
    main()

"""Runs inside a container of a release's image and asks Django for the page that failed, to print the error's cause.

cause.py REQUEST      a JSON file: the URL and the cookies of the visit that ended there
With DEBUG off, Django's log is silent about a page that raises, unless LOGGING says otherwise. Each line is marked:
what the project itself prints is none of it.
"""

import faulthandler
import json
import logging
import os
import sys
import traceback
from urllib.parse import urlsplit

MARK = "portside-cause:"
SECONDS = 30
LINES = 14  # the last ones


def main(path):
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    with open(path, encoding="utf-8") as stream:
        asked = json.load(stream)
    sys.path.insert(0, os.getcwd())
    import django

    django.setup()
    logging.disable()  # it was logged, and mailed to the admins, when the visit failed
    url = urlsplit(asked["url"])
    target = url.path + (f"?{url.query}" if url.query else "")
    try:
        status = answer(url, target, asked["scheme"], asked["cookie"])
    except BaseException as error:  # a page may call sys.exit() too
        tell(f"The error at {target}, as Django raises it in a container of its own:", *shown(error)[-LINES:])
    else:
        again = "too, and raises nothing" if status >= 500 else "there: the error doesn't come each time"
        tell(f"Asked for {target} in a container of its own, Django answers {status} {again}.")


def shown(error):
    """The traceback's lines: where the project's own code was last, and where the error was raised."""
    found = traceback.TracebackException.from_exception(error)
    own = [frame for frame in found.stack if "/site-packages/" not in frame.filename and frame.filename != __file__]
    found.stack[:] = [frame for frame in found.stack if frame in own[-2:] or frame in found.stack[-2:]]
    return "".join(found.format(chain=False)).splitlines()


def answer(url, target, scheme, cookie):
    from django.test import Client

    given = {
        "HTTP_HOST": url.netloc,
        "HTTP_X_FORWARDED_PROTO": scheme,
        "HTTP_X_FORWARDED_FOR": "127.0.0.1",
        "HTTP_X_REAL_IP": "127.0.0.1",
        "HTTP_USER_AGENT": "Portside",
        "HTTP_ACCEPT": "*/*",
        "SERVER_NAME": url.hostname,
        **({"HTTP_COOKIE": cookie} if cookie else {}),
    }
    return Client(raise_request_exception=True).get(target, secure=scheme == "https", **given).status_code


def tell(*lines):
    # One write: what comes by two ways is put together in any order, also in the middle of a line.
    sys.stdout.write("".join(f"\n{MARK}{line}" for line in lines) + "\n")
    sys.stdout.flush()


main(*sys.argv[1:])

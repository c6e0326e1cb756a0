"""Ask Django for the page that failed, and print the cause of the error. Runs in a container of a release's image.

cause.py REQUEST      a JSON file: the URL and the cookies of the request that failed
With DEBUG off, Django logs nothing about an exception in a page, unless LOGGING says otherwise. Each line of the answer
is marked, to tell it from the project's own output.
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
LINES = 14  # of the traceback's end


def main(path):
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    with open(path, encoding="utf-8") as stream:
        asked = json.load(stream)
    sys.path.insert(0, os.getcwd())
    import django

    django.setup()
    logging.disable()  # the failed visit was logged and mailed to the admins already
    url = urlsplit(asked["url"])
    target = url.path + (f"?{url.query}" if url.query else "")
    try:
        status = answer(url, target, asked["scheme"], asked["cookie"])
    except BaseException as error:  # a page may call sys.exit() too
        print_lines(f"The error at {target}, raised again in a separate container:", *shown(error)[-LINES:])
    else:
        again = "too" if status >= 500 else "there, so the error is intermittent"
        print_lines(f"Requested {target} in a separate container: Django answers {status} {again}.")


def shown(error):
    """Return the lines of the traceback, shortened to the project's last frames and those that raised the error."""
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


def print_lines(*lines):
    # In one write: two streams would be mixed, even within a line.
    sys.stdout.write("".join(f"\n{MARK}{line}" for line in lines) + "\n")
    sys.stdout.flush()


main(*sys.argv[1:])

"""The routes of a release: its URLs, folders and protocol, checked for what wouldn't work."""

from __future__ import annotations

import re

from ..config.settings import Settings
from ..config.types import reserved
from ..core.errors import Refused
from ..core.facts import version
from ..nginx.routing import URL_PATH, Routes
from .answer import Answer

GUNICORN_SINCE = (25, 1)  # has its own ASGI worker and the uwsgi protocol


def of(settings: Settings, answer: Answer) -> Routes:
    """Return the release's routes. Raises Refused, naming every Django setting at fault."""
    faults = []
    if settings.collectstatic:
        faults += _root_fault("STATIC_ROOT", answer.static_root, answer.folder)
        faults += _url_fault("STATIC_URL", answer.static_url)
    if answer.media_root:
        faults += _root_fault("MEDIA_ROOT", answer.media_root, answer.folder)
        faults += _url_fault("MEDIA_URL", answer.media_url)
    if settings.collectstatic and answer.media_root and not faults:
        faults += _overlap(answer)
    if not answer.gunicorn:
        faults.append("The image has no gunicorn, which serves the application: add it to the requirements.")
    elif older := _too_old(settings, answer):
        faults.append(older)
    if faults:
        raise Refused("\n".join(faults), hint="Fix the project's settings and run the command again.")
    return Routes(
        static_url=answer.static_url if settings.collectstatic else "",
        media_url=answer.media_url if answer.media_root else "",
        replicas=settings.replicas,
        protocol=settings.protocol,
        asynchronous=settings.asynchronous,
    )


def _too_old(settings: Settings, answer: Answer) -> str:
    """Return why the image's Gunicorn is too old for the settings, as a sentence, or an empty string."""
    wanted = {"DEPLOY_WORKER_CLASS": settings.worker_class, "DEPLOY_PROTOCOL": settings.protocol}
    new = [f"{name}={value}" for name, value in wanted.items() if value in {"asgi", "uwsgi"}]
    if not new or version(answer.gunicorn) >= GUNICORN_SINCE:
        return ""
    needed = ".".join(map(str, GUNICORN_SINCE))
    return f"{new[0]} needs Gunicorn {needed} or newer; the image has {answer.gunicorn}."


def _root_fault(name: str, path: str, code: str) -> list[str]:
    if not path:
        off = " Or set DEPLOY_COLLECTSTATIC=off." if name == "STATIC_ROOT" else ""
        return [f"Django's {name} isn't set. Set it to the folder for these files.{off}"]
    if not re.fullmatch(r"/[A-Za-z0-9._/@+-]*", path):
        return [f"Django's {name}, {path!r}, isn't an absolute path of letters, digits and . _ @ + -"]
    if reserved(path) or f"{code}/".startswith(f"{path.rstrip('/')}/"):
        return [f"Django's {name}, {path}, holds the code or the system. Choose a folder of its own."]
    return []


def _url_fault(name: str, url: str) -> list[str]:
    if URL_PATH.fullmatch(url):
        return []
    return [f"Django's {name}, {url!r}, should be a path such as /files/, with a slash at both ends."]


def _overlap(answer: Answer) -> list[str]:
    pairs = [("URL", answer.static_url, answer.media_url), ("ROOT", answer.static_root, answer.media_root)]
    return [
        f"Django's STATIC_{what} and MEDIA_{what} overlap: {static} and {media}."
        for what, static, media in pairs
        if f"{static}/".replace("//", "/").startswith(f"{media}/".replace("//", "/"))
        or f"{media}/".replace("//", "/").startswith(f"{static}/".replace("//", "/"))
    ]

"""Compose projects: the data services that stay, and a release's containers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from math import prod
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import access
from . import site as names
from .edge import URL_PATH, Served
from .environment import for_compose
from .errors import Refused
from .facts import Facts, version
from .settings import Settings
from .site import ReleasePaths, Site
from .steps import Step, folder, script, write
from .values import reserved

COMPOSE = Path(__file__).parent.parent / "compose"
START_INTERVAL_SINCE = (25, 0)  # Docker Engine: healthcheck's start_interval
GUNICORN_SINCE = (25, 1)  # its own ASGI worker, its uwsgi protocol
# The image's user has no entry in its passwd, where programs would look for a name and for a folder to write in.
WHO = {"HOME": "/tmp", "LOGNAME": "app"}
MOST_WORKERS, WORKER_MB, OTHERS_MB = 8, 80, 256
"""Of Gunicorn's, unless DEPLOY_WORKERS says more; what one is counted with, and the database and the system."""
DATABASE_CONNECTIONS = 97  # that PostgreSQL has for others than itself, as it comes


@dataclass(frozen=True)
class Answer:
    """What a container of the new image said of its Django project: see ``remote/ask.py``."""

    folder: str = ""
    manage: str = ""
    settings_module: str = ""
    static_url: str = ""
    static_root: str = ""
    media_url: str = ""
    media_root: str = ""
    wsgi: str = ""  # the applications that exist
    asgi: str = ""
    missing: dict[str, str] = field(default_factory=dict)  # those that are named and don't: wsgi, asgi, given
    gunicorn: str = ""
    debug: bool = False
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)  # alias -> engine, vendor, host, port, name, ...
    unreachable: dict[str, str] = field(default_factory=dict)  # of those: alias -> why
    key: str = ""  # where SECRET_KEY is from: environment; else random or fixed
    allowed_hosts: tuple[str, ...] = ()
    csrf_origins: tuple[str, ...] = ()
    csrf_checked: bool = False
    knows_https: bool = False
    places: dict[str, str] = field(default_factory=dict)  # setting -> the file and line that set it
    beside: tuple[str, ...] = ()  # settings modules for production that aren't used
    failed: dict[str, Any] = field(default_factory=dict)  # why the project doesn't start: kind, about, text, where
    # Migrations; those of another database than the default one have its alias behind their names.
    aliases: tuple[str, ...] = ()  # the databases they belong to
    migrate: str = ""  # the app whose own command stands in for Django's migrate
    knowledge: str = ""  # a digest of all that the code has
    pending: tuple[str, ...] = ()
    pending_in: tuple[str, ...] = ()  # the aliases of those
    applied: int = 0
    unmigrated: tuple[str, ...] = ()  # apps with models and no migrations
    unwritten: dict[str, list[str]] = field(default_factory=dict)  # app -> what makemigrations would write
    leaves: dict[str, str] = field(default_factory=dict)  # app -> the last migration the code knows
    breaking: dict[str, list[str]] = field(default_factory=dict)  # of the pending: what breaks the other release
    unjudged: dict[str, list[str]] = field(default_factory=dict)  # of the pending: what nobody can tell of
    loose: tuple[str, ...] = ()  # of the pending: what stays half done when it fails
    ahead: tuple[str, ...] = ()  # what is applied, and the other release doesn't know
    ahead_breaking: dict[str, list[str]] = field(default_factory=dict)
    ahead_unjudged: dict[str, list[str]] = field(default_factory=dict)
    irreversible: dict[str, str] = field(default_factory=dict)  # of those: what can't be taken back
    no_way_back: dict[str, str] = field(default_factory=dict)  # and what can't for another reason
    strangers: tuple[str, ...] = ()  # what is applied, and this code hasn't, but the other release has
    stale: tuple[str, ...] = ()  # and what neither has
    unrecorded: tuple[str, ...] = ()  # squashed migrations that are applied by their parts alone
    lacking: tuple[str, ...] = ()  # why this code can't work with the tables as they are, where there are such

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Answer:
        given: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in data.items()}
        return cls(**given)

    def masked(self, mask: Callable[[str], str]) -> Answer:
        """With the application's own words masked, wherever they are quoted."""
        failed = self.failed and {**self.failed, "text": mask(str(self.failed["text"]))}
        return replace(self, failed=failed, unreachable={alias: mask(why) for alias, why in self.unreachable.items()})


def own_environment(settings: Settings) -> dict[str, str]:
    """The application's own names: a release keeps those it was deployed with."""
    return {name: value.reveal() for name, value in settings.env.items() if not _follows(name)}


def made_environment(settings: Settings, site: Site, release: str, settings_module: str) -> dict[str, str]:
    """What Portside makes of the settings, unless .env says it: hosts and database. At every start, also a rollback's,
    it follows the present settings, so that a changed password or an added domain stays in force."""
    hosts = settings.names  # a redirect's name too: it is asked by HTTPS until the canonical one has a certificate
    made = {
        # Django's word for a wildcard; it lets the name itself in too.
        "ALLOWED_HOSTS": ",".join(host.removeprefix("*") for host in hosts),
        "CSRF_TRUSTED_ORIGINS": ",".join(f"{scheme}://{host}" for scheme in ("https", "http") for host in hosts),
        "DEPLOY_RELEASE": release,
        "PORTSIDE_PROOF": access.proof(settings),
    }
    made |= {name: value for name, value in WHO.items() if name not in settings.env}
    if settings_module and "DJANGO_SETTINGS_MODULE" not in settings.env:
        made["DJANGO_SETTINGS_MODULE"] = settings_module
    if settings.own_database:
        made |= _database(settings, site)
    return made | {name: value.reveal() for name, value in settings.env.items() if _follows(name)}


def _follows(name: str) -> bool:
    """Whether a name follows the present settings rather than the release."""
    return name in {"ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DATABASE_URL", "REDIS_URL"} or name in _DATABASE_NAMES


def _database(settings: Settings, site: Site) -> dict[str, str]:
    user, name = database_user(settings, site), database_name(settings, site)
    password = settings.env["POSTGRES_PASSWORD"].reveal()
    user_info = f"{percent(user, safe='')}:{percent(password, safe='')}"
    return {
        "DATABASE_URL": f"postgres://{user_info}@db:5432/{percent(name, safe='')}",
        "PGHOST": "db",
        "PGPORT": "5432",
        "PGUSER": user,
        "PGPASSWORD": password,
        "PGDATABASE": name,
        "POSTGRES_USER": user,
        "POSTGRES_DB": name,
        "POSTGRES_PASSWORD": password,
    }


def database_user(settings: Settings, site: Site) -> str:
    return _given(settings, "POSTGRES_USER") or _own_name(site)


def database_name(settings: Settings, site: Site) -> str:
    return _given(settings, "POSTGRES_DB") or _own_name(site)


def _own_name(site: Site) -> str:
    """The site's name as PostgreSQL takes it, which keeps some for itself."""
    name = site.name.replace("-", "_")
    kept = name.startswith("pg_") or name in {"public", "none", "template0", "template1"}
    return f"{name}_site" if kept else name


_DATABASE_NAMES = {
    "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD",
}  # fmt: skip


def _given(settings: Settings, name: str) -> str:
    value = settings.env.get(name)
    return value.reveal() if value else ""


def network(site: Site) -> Step:
    """The site's network, for its database and all of its releases."""
    return script(f"Network {site.network}", "network", site.network, site.name)


def release_compose(settings: Settings, release: ReleasePaths, facts: Facts, answer: Answer | None) -> str:
    """The release's compose file; without an answer yet, one that is good enough to ask with."""
    site = release.site
    return render(
        "release.yaml",
        site=site.name,
        release=release.id,
        project=release.project,
        image=release.image,
        owner=names.OWNER,
        application=application(settings, answer) if answer else "",
        folder=answer.folder if answer else "",
        manage=answer.manage if answer else "",
        run=release.run,
        run_inside=release.run_inside,
        sockets=[release.socket_inside(number, settings.protocol) for number in range(1, settings.replicas + 1)],
        protocol=settings.protocol,
        gunicorn=release.gunicorn,
        healthy=release.healthy,
        static=release.static,
        static_root=answer.static_root if answer and settings.collectstatic else "",
        shared=_shared(settings, site, answer),
        worker_class=settings.worker_class,
        workers=workers(settings, facts),
        threads=threads(settings),
        preload=settings.preload,
        replicas=settings.replicas,
        processes={name: in_its_place(line) for name, line in settings.processes.items()},
        memory=settings.memory,
        cpus=settings.cpus,
        network=site.network,
        tmp=release.tmp,
        health_timeout=settings.health_timeout,
        start_interval=start_interval(facts),
    )


def in_its_place(line: str) -> str:
    """A shell line that is one command, with the shell giving way to it: a signal reaches the command, not a shell that
    would end and leave it behind. A line of several commands is its author's to write so."""
    try:
        words = shlex.shlex(line, posix=True, punctuation_chars=";&|()")
        words.whitespace_split, words.commenters = True, ""
        found = list(words)
    except ValueError:
        return line
    if (
        "\n" in line
        or "`" in line
        or not found
        or found[0] == "exec"
        or any(set(word) <= set(";&|()") for word in found)
    ):
        return line
    return f"exec env {line}" if "=" in found[0] else f"exec {line}"


def workers(settings: Settings, facts: Facts) -> int:
    """Gunicorn's workers in one web container: by the cores, and by the memory while two releases run in a switch."""
    fit = (facts.memory_mb - OTHERS_MB) // (2 * WORKER_MB) if facts.memory_mb else MOST_WORKERS
    return settings.workers or max(1, min(2 * facts.cores + 1, MOST_WORKERS, fit) // settings.replicas)


def threads(settings: Settings) -> int:
    """Gunicorn's threads in one of its workers. Other classes than gthread have none, or become gthread by them."""
    return settings.threads or (4 if settings.worker_class == "gthread" else 1)


def too_many_connections(settings: Settings, facts: Facts) -> str:
    """Where all threads at work could ask the database for more connections than it has: a sentence; else empty."""
    factors = (workers(settings, facts), threads(settings), settings.replicas)
    if not settings.own_database or 2 * prod(factors) <= DATABASE_CONNECTIONS:
        return ""
    product = " x ".join(str(factor) for factor in factors)
    return (
        f"DEPLOY_WORKERS x DEPLOY_THREADS x DEPLOY_REPLICAS is {product}, and twice that while one release follows "
        f"another: {2 * prod(factors)} connections, of which the database has {DATABASE_CONNECTIONS}."
    )


def _shared(settings: Settings, site: Site, answer: Answer | None) -> list[tuple[str, str]]:
    """Folders of the host that all releases share: where they lie, where the application finds them."""
    media = [(site.media, answer.media_root)] if answer and answer.media_root else []
    volumes = [volume.split(":", 1) for volume in settings.volumes]
    return media + [(site.volume(name), path) for name, path in volumes]


def shared_folders(settings: Settings, site: Site) -> list[str]:
    return [site.media, *(site.volume(volume.split(":", 1)[0]) for volume in settings.volumes)]


def application(settings: Settings, answer: Answer) -> str:
    """``module:callable`` for Gunicorn. Raises Refused where nothing names it."""
    if settings.application:
        return settings.application
    dotted = answer.asgi if settings.asynchronous else answer.wsgi
    if not dotted:
        kind = "ASGI" if settings.asynchronous else "WSGI"
        raise Refused(f"Django's {kind}_APPLICATION isn't set.", hint="Set it, or DEPLOY_APPLICATION=module:callable.")
    return ":".join(dotted.rsplit(".", 1))


def served(settings: Settings, answer: Answer) -> Served:
    """What Nginx serves itself. Raises Refused, naming every one of Django's settings that can't be."""
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
        faults.append("The image has no gunicorn, which serves the application: add it to its requirements.")
    elif older := _too_old(settings, answer):
        faults.append(older)
    if faults:
        raise Refused("\n".join(faults), hint="Mend the project's settings, then type the same command again.")
    return Served(
        static_url=answer.static_url if settings.collectstatic else "",
        media_url=answer.media_url if answer.media_root else "",
        replicas=settings.replicas,
        protocol=settings.protocol,
        asynchronous=settings.asynchronous,
    )


def _too_old(settings: Settings, answer: Answer) -> str:
    """Where the image's Gunicorn doesn't know what the settings ask of it: a sentence; else empty."""
    wanted = {"DEPLOY_WORKER_CLASS": settings.worker_class, "DEPLOY_PROTOCOL": settings.protocol}
    new = [f"{name}={value}" for name, value in wanted.items() if value in {"asgi", "uwsgi"}]
    if not new or version(answer.gunicorn) >= GUNICORN_SINCE:
        return ""
    needed = ".".join(map(str, GUNICORN_SINCE))
    return f"{new[0]} needs Gunicorn {needed} or newer; the image has {answer.gunicorn}."


def _root_fault(name: str, path: str, code: str) -> list[str]:
    if not path:
        off = " Or set DEPLOY_COLLECTSTATIC=off." if name == "STATIC_ROOT" else ""
        return [f"Django's {name} isn't set: say which folder the files belong in.{off}"]
    if not re.fullmatch(r"/[A-Za-z0-9._/@+-]*", path):
        return [f"Django's {name}, {path!r}, is no absolute path of ordinary characters."]
    if reserved(path) or f"{code}/".startswith(f"{path.rstrip('/')}/"):
        return [f"Django's {name}, {path}, holds the code or the system: choose a folder of its own."]
    return []


def _url_fault(name: str, url: str) -> list[str]:
    if URL_PATH.fullmatch(url):
        return []
    return [f"Django's {name}, {url!r}, should be a path such as /files/, with a slash at both ends."]


def _overlap(answer: Answer) -> list[str]:
    pairs = [("URL", answer.static_url, answer.media_url), ("ROOT", answer.static_root, answer.media_root)]
    return [
        f"Django's STATIC_{what} and MEDIA_{what} lie in one another: {static} and {media}."
        for what, static, media in pairs
        if f"{static}/".replace("//", "/").startswith(f"{media}/".replace("//", "/"))
        or f"{media}/".replace("//", "/").startswith(f"{static}/".replace("//", "/"))
    ]


def release_steps(
    settings: Settings, release: ReleasePaths, facts: Facts, settings_module: str, answer: Answer | None = None
) -> list[Step]:
    """The release's folder and files."""
    gunicorn, healthy = ((COMPOSE / name).read_text(encoding="utf-8") for name in ("gunicorn.conf.py", "healthy.py"))
    compose = write(release.compose, release_compose(settings, release, facts, answer))
    if answer:
        return [compose]
    return [
        *(folder(path, 0o2750, names.OWNER) for path in shared_folders(settings, release.site)),
        network(release.site),
        folder(release.root),
        folder(release.tmp, 0o2770, names.OWNER),
        folder(release.run, 0o2750, names.OWNER),
        folder(release.static, 0o755, names.OWNER),
        write(release.env, for_compose(own_environment(settings)), 0o600, secret=True),
        made_environment_step(settings, release, settings_module),
        write(release.gunicorn, gunicorn),
        write(release.healthy, healthy),
        write(release.name, release.id + "\n"),
        compose,
    ]


def made_environment_step(settings: Settings, release: ReleasePaths, settings_module: str) -> Step:
    """The part of a release's environment that is written anew at every start."""
    made = made_environment(settings, release.site, release.id, settings_module)
    return write(release.made_env, for_compose(made), 0o600, secret=True)


def start_interval(facts: Facts) -> bool:
    return version(facts.docker_version) >= START_INTERVAL_SINCE


def render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(values | _LABELS)


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - not HTML
        loader=FileSystemLoader(COMPOSE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["value"] = _yaml_value
    return environment


def _yaml_value(text: str) -> str:
    """Text as a YAML scalar that Compose takes literally: JSON is YAML but for characters that nobody can see, and $
    would be a variable."""
    shown = json.dumps(text, ensure_ascii=False).replace("$", "$$")
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", shown)


# https://yaml.org/spec/1.2.2/#51-character-set; and what YAML 1.1 takes for the end of a line
_UNPRINTABLE = re.compile("[^ -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


_LABELS = {
    "label_site": names.LABEL_SITE,
    "label_release": names.LABEL_RELEASE,
    "label_role": names.LABEL_ROLE,
    "label_process": names.LABEL_PROCESS,
}

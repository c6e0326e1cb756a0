"""Compose projects: the data services and the containers of a release."""

from __future__ import annotations

import shlex
from math import prod

from ..config.dotenv import for_compose
from ..config.settings import Settings
from ..core import server_paths
from ..core.errors import Refused
from ..core.facts import Facts, version
from ..core.files import COMPOSE
from ..core.paths import ReleasePaths, Site
from ..core.steps import Step, folder, script, write
from . import environment, templates
from .answer import Answer

START_INTERVAL_SINCE = (25, 0)  # Docker Engine: healthcheck's start_interval
MOST_WORKERS, WORKER_MB, OTHERS_MB = 8, 80, 256
"""The default limit of Gunicorn workers; MB of memory per worker; MB for the database and the system."""
DATABASE_CONNECTIONS = 97  # PostgreSQL's default for clients without superuser rights


def network(site: Site) -> Step:
    """Return the step that creates the site's network, for its database and all of its releases."""
    return script(f"Network {site.network}", "network", sign="+", name=site.network, site=site.name)


def release_compose(settings: Settings, release: ReleasePaths, facts: Facts, answer: Answer | None) -> str:
    """Return the release's compose file. Without ``answer`` it is complete enough to ask the image for one."""
    site = release.site
    return templates.render(
        "release.yaml",
        site=site.name,
        release=release.id,
        project=release.project,
        image=release.image,
        owner=server_paths.OWNER,
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
    """Prefix a shell line of one command with ``exec``. A signal then reaches the command itself, not a shell that
    exits and leaves it running. A line of several commands is returned as it is."""
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
    """Return the number of Gunicorn workers in one web container. Depends on the cores and on the memory, of which two
    releases share during a switch."""
    fit = (facts.memory_mb - OTHERS_MB) // (2 * WORKER_MB) if facts.memory_mb else MOST_WORKERS
    return settings.workers or max(1, min(2 * facts.cores + 1, MOST_WORKERS, fit) // settings.replicas)


def threads(settings: Settings) -> int:
    """Return the number of threads per Gunicorn worker. Only gthread has threads; --threads would turn sync into it."""
    return settings.threads or (4 if settings.worker_class == "gthread" else 1)


def too_many_connections(settings: Settings, facts: Facts) -> str:
    """Return a warning if busy threads could open more connections than the database allows, else an empty string."""
    factors = (workers(settings, facts), threads(settings), settings.replicas)
    if not settings.own_database or 2 * prod(factors) <= DATABASE_CONNECTIONS:
        return ""
    product = " x ".join(str(factor) for factor in factors)
    return (
        f"DEPLOY_WORKERS x DEPLOY_THREADS x DEPLOY_REPLICAS is {product}, and two releases run during a switch: "
        f"they may open {2 * prod(factors)} connections, but the database allows {DATABASE_CONNECTIONS}."
    )


def _shared(settings: Settings, site: Site, answer: Answer | None) -> list[tuple[str, str]]:
    """Return the host's folders that all releases share: path on the host, path in the container."""
    media = [(site.media, answer.media_root)] if answer and answer.media_root else []
    volumes = [volume.split(":", 1) for volume in settings.volumes]
    return media + [(site.volume(name), path) for name, path in volumes]


def shared_folders(settings: Settings, site: Site) -> list[str]:
    return [site.media, *(site.volume(volume.split(":", 1)[0]) for volume in settings.volumes)]


def application(settings: Settings, answer: Answer) -> str:
    """Return ``module:callable`` for Gunicorn. Raises Refused if no setting names it."""
    if settings.application:
        return settings.application
    dotted = answer.asgi if settings.asynchronous else answer.wsgi
    if not dotted:
        kind = "ASGI" if settings.asynchronous else "WSGI"
        raise Refused(f"Django's {kind}_APPLICATION isn't set.", hint="Set it, or DEPLOY_APPLICATION=module:callable.")
    return ":".join(dotted.rsplit(".", 1))


def release_steps(
    settings: Settings, release: ReleasePaths, facts: Facts, settings_module: str, answer: Answer | None = None
) -> list[Step]:
    """Return the steps that create the release's folder and files."""
    gunicorn, healthy = ((COMPOSE / name).read_text(encoding="utf-8") for name in ("gunicorn.conf.py", "healthy.py"))
    compose = write(release.compose, release_compose(settings, release, facts, answer))
    if answer:
        return [compose]
    return [
        *(folder(path, 0o2750, server_paths.OWNER) for path in shared_folders(settings, release.site)),
        network(release.site),
        folder(release.root),
        folder(release.tmp, 0o2770, server_paths.OWNER),
        folder(release.run, 0o2750, server_paths.OWNER),
        folder(release.static, 0o755, server_paths.OWNER),
        write(release.env, for_compose(environment.own_environment(settings)), 0o600, secret=True),
        environment.made_environment_step(settings, release, settings_module),
        write(release.gunicorn, gunicorn),
        write(release.healthy, healthy),
        write(release.name, release.id + "\n"),
        compose,
    ]


def start_interval(facts: Facts) -> bool:
    return version(facts.docker_version) >= START_INTERVAL_SINCE

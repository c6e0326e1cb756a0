"""Compose projects: the data services that stay, and a release's containers."""

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
"""Of Gunicorn's, unless DEPLOY_WORKERS says more; what one is counted with, and the database and the system."""
DATABASE_CONNECTIONS = 97  # that PostgreSQL has for others than itself, as it comes


def network(site: Site) -> Step:
    """The site's network, for its database and all of its releases."""
    return script(f"Network {site.network}", "network", site.network, site.name)


def release_compose(settings: Settings, release: ReleasePaths, facts: Facts, answer: Answer | None) -> str:
    """The release's compose file; without an answer yet, one that is good enough to ask with."""
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


def release_steps(
    settings: Settings, release: ReleasePaths, facts: Facts, settings_module: str, answer: Answer | None = None
) -> list[Step]:
    """The release's folder and files."""
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

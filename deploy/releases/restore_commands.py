"""The commands with which root restores data on the server by hand."""

from __future__ import annotations

from ..core.paths import Site
from ..core.server_paths import APP_USER, WEB_GROUP
from ..core.steps import quote


def database(site: Site, user: str, name: str, dump: str) -> str:
    """Return the command that replaces the content of the site's database by a dump. ``dump``: its path."""
    compose = ("docker", "compose", "-f", site.data_compose, "exec", "-T", "db")
    words = (*compose, "pg_restore", "--clean", "--if-exists", "--no-owner", "-U", user, "-d", name)
    return f"{quote(words)} <{quote((dump,))}"


def files(site: Site, archive: str, *folders: str) -> str:
    """Return the command that unpacks uploads and volumes from a final backup's ``archive``, or only its
    ``folders``."""
    return f"{quote(('tar', '-C', site.root, '-xpf', '-', *folders))} <{quote((archive,))}"


def empty_database(site: Site) -> tuple[str, str]:
    """Return the commands that create the site's network if missing, and start the data services with a new volume."""
    network = quote(("docker", "network", "create", "--label", f"portside.site={site.name}", site.network))
    start = quote(("docker", "compose", "-f", site.data_compose, "up", "-d", "--force-recreate", "--wait"))
    return f"docker network inspect {site.network} >/dev/null 2>&1 || {network}", start


def empty_folder(path: str) -> str:
    """Return the command that creates a folder the application may write and Nginx may read."""
    return quote(("install", "-d", "-m", "2750", "-o", str(APP_USER), "-g", str(WEB_GROUP), path))

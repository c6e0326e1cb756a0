"""Restoring: the commands with which root brings data back on the server by hand."""

from __future__ import annotations

from ..core.paths import Site
from ..core.server_paths import APP_USER, WEB_GROUP
from ..core.steps import quote


def database(site: Site, user: str, name: str, dump: str) -> str:
    """What fills the site's database from a dump, whose path is ``dump``, in place of what is in it."""
    compose = ("docker", "compose", "-f", site.data_compose, "exec", "-T", "db")
    words = (*compose, "pg_restore", "--clean", "--if-exists", "--no-owner", "-U", user, "-d", name)
    return f"{quote(words)} <{quote((dump,))}"


def files(site: Site, archive: str, *folders: str) -> str:
    """What unpacks uploads and volumes, or only the ``folders`` of them, from a final backup's ``archive``."""
    return f"{quote(('tar', '-C', site.root, '-xpf', '-', *folders))} <{quote((archive,))}"


def empty_database(site: Site) -> tuple[str, str]:
    """What starts the data services upon a new, empty volume. The network may be gone with it."""
    network = quote(("docker", "network", "create", "--label", f"portside.site={site.name}", site.network))
    start = quote(("docker", "compose", "-f", site.data_compose, "up", "-d", "--force-recreate", "--wait"))
    return f"docker network inspect {site.network} >/dev/null 2>&1 || {network}", start


def empty_folder(path: str) -> str:
    """What makes a folder that the application may write and Nginx may read."""
    return quote(("install", "-d", "-m", "2750", "-o", str(APP_USER), "-g", str(WEB_GROUP), path))

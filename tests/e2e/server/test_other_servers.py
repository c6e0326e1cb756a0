"""Servers that aren't as bare as they should be: what is in the way is named, what isn't ours stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy.practice import Practice

from ..kit.inside import fingerprint, listening, shell
from ..kit.laptop import Done, Fab
from ..kit.project import Project
from ..kit.waiting import until

FOREIGN = "server { listen 127.0.0.1:8081; location / { return 200 'here before you\\n'; } }"
GREEDY = "server { listen 8082 default_server; return 204; }"
PAGE = "curl -s --noproxy '*' http://127.0.0.1:8081/"


@pytest.fixture(scope="module")
def settings(projects: Callable[[str], Project]) -> Project:
    """Settings of a site that nobody has deployed."""
    project = projects("elsewhere")
    project.set(DEPLOY_DOMAINS="elsewhere.test", SECRET_KEY="k" * 50, POSTGRES_PASSWORD="p" * 24)
    return project


@pytest.fixture
def provision(fab: Fab, scratch: Practice, settings: Project) -> Callable[[], Done]:
    """Provision the scratch server."""
    return lambda: fab("provision", on=scratch, project=settings)


def refused(server: Practice, provision: Callable[[], Done]) -> str:
    """Provision it; it is refused and nothing changes. What is said."""
    before = fingerprint(server)
    done = provision()
    assert done.code == 1
    assert "Nothing was changed." in done.err
    assert fingerprint(server) == before
    return done.err


@contextmanager
def file_with(server: Practice, path: str, text: str) -> Iterator[None]:
    """A file with this text instead of its own, and its own again."""
    script = '[ ! -e "$1" ] || cp -p "$1" /run/kept; printf "%s\\n" "$2" >"$1"'
    shell(server, script, path, text)
    try:
        yield
    finally:
        shell(server, 'if [ -e /run/kept ]; then cp -p /run/kept "$1"; rm /run/kept; else rm -f "$1"; fi', path)


@pytest.mark.core
def test_an_unsupported_distribution(scratch: Practice, provision: Callable[[], Done]) -> None:
    with file_with(scratch, "/usr/lib/os-release", 'ID=fedora\nVERSION_ID=44\nPRETTY_NAME="Fedora Linux 44 (Server)"'):
        said = refused(scratch, provision)
    assert "Fedora Linux 44" in said
    assert "Debian 12 or newer" in said


def test_debian_12_says_what_to_do(bring_up: Callable[..., Practice], fab: Fab, settings: Project) -> None:
    server = bring_up("bookworm", "bookworm")
    said = refused(server, lambda: fab("provision", on=server, project=settings))
    assert "Debian GNU/Linux 12 (bookworm)" in said
    assert "Debian 13" in said
    assert "docker-compose-plugin" in said


@pytest.mark.core
def test_a_disk_nearly_full(scratch: Practice, provision: Callable[[], Done]) -> None:
    scratch.exec(("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", "/srv"))
    try:
        said = refused(scratch, provision)
    finally:
        scratch.exec(("umount", "/srv"))
    assert "nearly full: 16 MB free" in said


def test_port_80_taken(scratch: Practice, provision: Callable[[], Done]) -> None:
    with listening(scratch, 80):
        said = refused(scratch, provision)
    assert "Port 80 is used by perl" in said


def test_somebody_the_firewall_would_cut_off(scratch: Practice, provision: Callable[[], Done]) -> None:
    with listening(scratch, 9000):
        said = refused(scratch, provision)
    assert "perl on tcp port 9000" in said
    assert "DEPLOY_FIREWALL=off" in said


def test_a_daemon_json_that_cannot_be_read(scratch: Practice, provision: Callable[[], Done]) -> None:
    with file_with(scratch, "/etc/docker/daemon.json", "{ half"):
        said = refused(scratch, provision)
    assert "/etc/docker/daemon.json" in said


def test_all_that_is_in_the_way_is_named_at_once(scratch: Practice, provision: Callable[[], Done]) -> None:
    with listening(scratch, 80), file_with(scratch, "/etc/docker/daemon.json", "[]"):
        said = refused(scratch, provision)
    assert "Port 80" in said
    assert "daemon.json" in said


# With Nginx there before us


def test_an_edited_nginx_conf(scratch: Practice, provision: Callable[[], Done]) -> None:
    shell(scratch, "apt-get -qq update && apt-get -qqy install --no-install-recommends nginx >/dev/null 2>&1")
    edited = shell(scratch, "sed 's/worker_connections .*/worker_connections 10;/' /etc/nginx/nginx.conf")
    with file_with(scratch, "/etc/nginx/nginx.conf", edited):
        said = refused(scratch, provision)
    assert "/etc/nginx/nginx.conf was changed by hand" in said
    assert "conf.d" in said


def test_another_default_server(scratch: Practice, provision: Callable[[], Done]) -> None:
    with file_with(scratch, "/etc/nginx/sites-enabled/greedy", GREEDY.replace("8082", "80")):
        said = refused(scratch, provision)
    assert "/etc/nginx/sites-enabled/greedy has a default_server" in said


def test_a_site_that_was_there_before_keeps_working(scratch: Practice, provision: Callable[[], Done]) -> None:
    shell(scratch, 'printf "%s\\n" "$1" >/etc/nginx/sites-enabled/theirs && systemctl reload nginx', FOREIGN)
    until(lambda: shell(scratch, PAGE, check=False) == "here before you\n", "their site")
    given = shell(scratch, "cat /etc/docker/daemon.json")
    done = provision()
    assert done.code == 0
    assert shell(scratch, PAGE) == "here before you\n"
    assert shell(scratch, "cat /etc/nginx/sites-enabled/theirs") == FOREIGN + "\n"
    assert shell(scratch, "ls /etc/nginx/sites-enabled") == "theirs\n", "Debian's default page is gone"
    merged = shell(scratch, "cat /etc/docker/daemon.json")
    assert '"live-restore": true' in merged
    assert '"registry-mirrors"' in given
    assert '"registry-mirrors"' in merged, "what was there is kept"


def test_again_nothing_to_do(scratch: Practice, provision: Callable[[], Done]) -> None:
    before = fingerprint(scratch)
    done = provision()
    assert "nothing to do" in done.out
    assert fingerprint(scratch) == before

"""The server, seen from inside: its shell, containers, database and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from deploy.practice import Practice

from .waiting import until


def shell(server: Practice, script: str, *words: str, check: bool = True) -> str:
    """Run a shell script on the server as root, its words as $1 and on; what it prints."""
    return server.exec(("sh", "-c", script, "sh", *words), check=check)


RENEWAL = """
systemctl start certbot.service && exit
journalctl -u certbot.service --no-pager -n 40
tail -n 60 /var/log/letsencrypt/letsencrypt.log
exit 1
"""


def renew(server: Practice) -> None:
    """Have the timer's service run, as the timer would. Where it fails, the error says what certbot said."""
    shell(server, RENEWAL)


def container(server: Practice, site: str, role: str = "web") -> str:
    """The id of the site's running container with this role."""
    labels = ("--filter", f"label=portside.site={site}", "--filter", f"label=portside.role={role}")
    found = server.exec(("docker", "ps", "-q", *labels)).split()
    assert len(found) == 1, f"{site} has {len(found)} containers that are its {role}"
    return found[0]


def inside(server: Practice, site: str, *words: str, role: str = "web") -> str:
    """Run a command in the site's container."""
    return server.exec(("docker", "exec", container(server, site, role), *words))


@contextmanager
def without_the_application(server: Practice, site: str) -> Iterator[None]:
    """The site with its application's container stopped, and well again afterwards."""
    web = container(server, site)
    server.exec(("docker", "stop", web))
    try:
        yield
    finally:
        server.exec(("docker", "start", web))
        healthy = ("docker", "inspect", "--format", "{{.State.Health.Status}}", web)
        until(lambda: server.exec(healthy).strip() == "healthy", "the application")


def sql(server: Practice, site: str, query: str) -> str:
    """Ask the site's database, from within its own container."""
    asked = 'exec psql -tA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"'
    return inside(server, site, "sh", "-c", asked, "sh", query, role="db").strip()


def live(server: Practice, site: str) -> str:
    """The release that `current` names."""
    return shell(server, f"readlink /srv/portside/{site}/current").strip().rpartition("/")[2]


@contextmanager
def listening(server: Practice, port: int) -> Iterator[None]:
    """A program on the server that has a port. Bare servers have Perl, and not much else."""
    program = "use IO::Socket::INET; $taken = IO::Socket::INET->new(LocalPort => shift, Listen => 5) or die; sleep"
    server.exec(("systemd-run", "--quiet", "--unit", "e2e-squatter", "perl", "-e", program, str(port)))
    try:
        until(lambda: f":{port} " in shell(server, "ss -Hltn"), "the squatter")
        yield
    finally:
        server.exec(("systemctl", "stop", "e2e-squatter"))


def fingerprint(server: Practice, *, without: Sequence[str] = ()) -> set[str]:
    """What is on the server, as lines: packages, files of the host and of the sites, containers, images, Nginx.

    ``without``: lines that hold one of these are left out.
    """
    lines = shell(
        server,
        """
        find /etc /srv /usr/local -type f -printf 'file %p %s %m %T@\\n' -o -type l -printf 'link %p %l\\n' | sort
        [ -d /var/lib/portside ] && find /var/lib/portside -printf 'file %p\\n' | sort
        dpkg-query -W -f 'package ${Package}\\n'
        command -v ufw >/dev/null && ufw status | sed 's/^/ufw /'
        command -v docker >/dev/null || exit 0
        docker ps -a --format 'container {{.Names}} {{.Image}} {{.State}}' | sort
        docker images --format 'image {{.Repository}}:{{.Tag}} {{.ID}}' | sort
        docker network ls --format 'network {{.Name}}' | sort
        docker volume ls --format 'volume {{.Name}}' | sort
        """,
    ).splitlines()
    return {line for line in lines if not any(word in line for word in without)}


_TRACES = """
find /etc /srv /var/log /var/lib/portside /var/cache /var/tmp /run /usr/local -path /var/lib/portside/backups -prune \\
    -o -path "/var/cache/nginx/portside-*/*" -prune \\
    -o \\( -name "$1" -o -name "$1.*" -o -name "portside-$1" -o -name "site-$1.*" \\) -print
grep -rlE "(/|portside_)$1([/;. ]|\\$)" /etc/nginx /etc/letsencrypt /etc/portside 2>/dev/null
for what in "ps -a" images "volume ls" "network ls"; do
    docker $what -q --filter "label=portside.site=$1"
done
docker images -q "portside/$1"
docker volume ls -q | grep -x "$1-postgres" || true
"""


def traces(server: Practice, site: str) -> str:
    """What is on the server of a site, besides its final backup: files, containers, images, volumes, networks."""
    return shell(server, _TRACES, site)

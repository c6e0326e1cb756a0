"""A server in its first minutes, as a provider rents it out: what it does by itself is waited for, or known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy.practice import Practice

from ..kit.inside import fingerprint, shell
from ..kit.laptop import Done
from ..kit.project import Project
from ..kit.waiting import until

pytestmark = pytest.mark.begins("bare")

LOCKS = ("/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock", "/var/lib/dpkg/lock-frontend")
# As apt itself locks: by fcntl, the whole file.
HOLD = """
use Fcntl;
sysopen(my $file, $ARGV[0], O_RDWR | O_CREAT, 0640) or die;
my $whole = pack("s s l! l! i", F_WRLCK, 0, 0, 0, 0);
fcntl($file, F_SETLKW, $whole) or die;
open(my $held, ">", "/run/held") or die;
sleep;
"""
# It asks the name server that the machine has asked before.
RESOLVED = """
mkdir -p /etc/systemd/resolved.conf.d
sed -n 's/^nameserver \\(.*\\)/[Resolve]\\nDNS=\\1/p' /etc/resolv.conf >/etc/systemd/resolved.conf.d/asks.conf
apt-get -qq install systemd-resolved >/dev/null 2>&1 && systemctl restart systemd-resolved
"""


@pytest.fixture(scope="module")
def site(server: Practice, projects: Callable[[str], Project]) -> Project:
    project = projects("new")
    project.set(DEPLOY_DOMAINS="new.test", SECRET_KEY="k" * 50, POSTGRES_PASSWORD="p" * 24)
    return project


def provision(site: Project) -> Done:
    return site.fab("provision", on=site.server, project=site)


@contextmanager
def busy(server: Practice, lock: str) -> Iterator[Callable[[], str]]:
    """Another program has one of apt's locks, until the end or until it is told to give it back."""
    server.exec(("systemd-run", "--quiet", "--collect", "--unit", "upgrade", "perl", "-e", HOLD, lock))
    try:
        until(lambda: shell(server, "ls /run/held", check=False), "the lock")
        yield lambda: shell(server, "systemctl stop upgrade")
    finally:
        shell(server, "systemctl stop upgrade; rm -f /run/held", check=False)


def test_docker_in_swarm_mode_is_refused_before_anything_is_changed(server: Practice, site: Project) -> None:
    """With live-restore its Docker wouldn't come up after the next boot."""
    shell(server, "apt-get -qq update && apt-get -qq install docker.io docker-cli >/dev/null 2>&1")
    until(lambda: shell(server, "docker info >/dev/null 2>&1 && echo up", check=False), "Docker")
    server.exec(("docker", "swarm", "init", "--advertise-addr", "127.0.0.1"))
    until(lambda: "docker_gwbridge" in shell(server, "docker network ls"), "the swarm's own network")
    before = fingerprint(server)
    done = provision(site)
    assert done.code == 1
    assert "Docker is in swarm mode on this server" in done.err
    assert "docker swarm leave --force" in done.err
    assert "Nothing was changed." in done.err
    assert fingerprint(server) == before
    server.exec(("docker", "swarm", "leave", "--force"))


def test_a_debian_cloud_image_is_provisioned(server: Practice, site: Project) -> None:
    """It has systemd-resolved, which listens beyond the machine; and it upgrades itself when it comes up first."""
    shell(server, RESOLVED)
    assert "5355" in shell(server, "ss -Hltnup | grep systemd-resolve | grep -v 127.0.0")
    with busy(server, LOCKS[0]) as give_back:
        running = site.fab.start("provision", "--verbose", on=server, project=site)
        until(lambda: "waiting for apt, which is busy: process" in running.out.read_text(), "provision to wait")
        give_back()
        done = running.end()
    assert done.code == 0, done.err
    assert "perl" in done.out
    assert "E: " not in done.out


@pytest.mark.parametrize("lock", LOCKS[1:])
def test_apts_other_locks_are_waited_for(lock: str, server: Practice, site: Project) -> None:
    shell(server, "apt-get -qq remove logrotate >/dev/null 2>&1; apt-get clean")
    with busy(server, lock) as give_back:
        running = site.fab.start("provision", "--verbose", on=server, project=site)
        until(lambda: shell(server, "pgrep -x apt-get || true"), "apt-get")
        give_back()
        done = running.end()
    assert done.code == 0, done.err
    assert "/usr/sbin/logrotate" in shell(server, "command -v logrotate")

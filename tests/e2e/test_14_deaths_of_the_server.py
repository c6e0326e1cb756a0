"""The server may go down at any moment: it comes up with a site that works, and the next deploy puts the rest right."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from deploy.practice import Practice

from .deaths import Tiny, nobody_lost, tiny
from .kit import Project, ask, container, listening, shell, sql, until, visitors

HOW: dict[str, Callable[[Practice], object]] = {
    "a reboot": lambda server: server.restart(),
    "a power cut": lambda server: (server.kill(), server.start()),
}
SLOWLY = {"build": {"PAUSE": "20"}}
WHERE = ("build", "start", "switch", "drain")
BROKEN = "server { listen 8085; no_such_directive; }"
CLOCK = """\
#!/bin/sh
exec /usr/bin/date -d "$(cat /run/clock-jumped)" "$@"
"""


@pytest.fixture(scope="module")
def site(projects: Callable[[str], Project]) -> Tiny:
    return tiny(projects("server"))


@contextmanager
def slow_answer(site: Tiny) -> Iterator[None]:
    """Somebody keeps a connection to the live release open; nobody minds if it breaks."""

    def wait() -> None:
        with suppress(OSError, http.client.HTTPException):
            ask(site.project.server, site.project.domain, "/?seconds=10")

    asking = threading.Thread(target=wait)
    asking.start()
    yield
    asking.join()


def going_on(site: Tiny, where: str, before: str) -> None:
    """Returns once the server is at this point of going live."""
    until(lambda: site.live != before, "the switch")
    if where == "drain":
        until(lambda: site.inside('cat "/srv/portside/$1/current/release.json" 2>/dev/null || true'), "the record")


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("how", HOW)
def test_down_while_it_deploys(site: Tiny, where: str, how: str) -> None:
    server, before, old = site.project.server, site.live, site.answers()
    site.change()
    with site.project.with_settings(**SLOWLY.get(where, {})), slow_answer(site):
        run = site.start("deploy")
        site.reached(run, "live" if where in {"switch", "drain"} else where)
        if where in {"switch", "drain"}:
            going_on(site, where, before)
        HOW[how](server)
        assert run.end().code in {0, 1}
    until(site.answers, f"the site after {how}, by itself", seconds=90)
    assert site.answers() in {old, site.version}
    assert where != "drain" or site.answers() == site.version
    with nobody_lost(site):
        site.deploy()


@pytest.mark.parametrize("how", HOW)
def test_down_while_it_rolls_back(site: Tiny, how: str) -> None:
    target = site.another()
    before = site.live
    with slow_answer(site):
        run = site.start("rollback", "--to", target)
        going_on(site, "switch", before)
        HOW[how](site.project.server)
        run.end()
    until(site.answers, f"the site after {how}, by itself", seconds=90)
    with nobody_lost(site):
        site.roll_back(target)


# What runs on it


def restart_docker(server: Practice) -> None:
    """As an administrator does. Its unit allows three starts a minute, which a quick machine's tests go beyond."""
    shell(server, "systemctl reset-failed docker; systemctl restart docker")


def test_docker_is_restarted(site: Tiny) -> None:
    with nobody_lost(site):
        restart_docker(site.project.server)
        assert site.answers()
    site.change()
    with nobody_lost(site):
        site.deploy()


def test_docker_is_restarted_where_nginx_uses_ports(site: Tiny, tell: Callable[[str], None]) -> None:
    """A port is a process of the engine's, so some may be lost then: they are counted. It is well again by itself."""
    server, domain = site.project.server, site.project.domain
    with site.project.with_settings(DEPLOY_UPSTREAM="port"):
        site.deploy()
        with visitors(server, domain) as seen:
            restart_docker(server)
            until(lambda: site.answers() == site.version, "the site")
        tell(f"docker restarted, by port: {len(seen.lost)} of {seen.answered + len(seen.lost)} lost")
        site.change()
        with nobody_lost(site, reloaded=True):
            site.deploy()
    site.deploy()


@pytest.mark.parametrize("stage", ["build", "gate"])
def test_docker_is_restarted_while_it_deploys(site: Tiny, stage: str) -> None:
    site.change()
    with nobody_lost(site):
        with site.project.with_settings(**({"PAUSE": "5"} if stage == "build" else {})):
            run = site.start("deploy")
            site.reached(run, stage)
            restart_docker(site.project.server)
            run.end()
        site.deploy()


def test_the_database_is_stopped(site: Tiny) -> None:
    """The page doesn't need it; a deploy starts it again."""
    server, name = site.project.server, site.project.name
    with nobody_lost(site):
        server.exec(("docker", "stop", container(server, name, "db")))
        site.change()
        site.deploy()
    assert sql(server, name, "select 1") == "1"


def test_nginx_is_stopped(site: Tiny) -> None:
    shell(site.project.server, "systemctl stop nginx")
    site.change()
    site.deploy()
    with nobody_lost(site):
        assert "nothing to do" in site.deploy().out


def test_nginx_is_stopped_while_it_deploys(site: Tiny) -> None:
    """The switch can't be proved, so the release before stays."""
    before, old = site.live, site.version
    site.change()
    run = site.start("deploy")
    site.reached(run, "gate")
    shell(site.project.server, "systemctl stop nginx")
    done = run.end()
    assert done.code == 1
    assert f"Release {before} is live, as before." in done.err
    shell(site.project.server, "systemctl start nginx")
    assert site.live == before
    assert site.answers() == old
    site.deploy()


@pytest.mark.parametrize("values", [{}, {"DEPLOY_MAX_BODY": "9m"}])
def test_somebody_has_broken_nginx(site: Tiny, values: dict[str, str]) -> None:
    """His file is named before anything is changed. Going back doesn't wait for its mending."""
    server, before = site.project.server, site.live
    site.change()
    theirs = "/etc/nginx/sites-enabled/theirs"
    shell(server, 'printf "%s\\n" "$2" >"$1"', theirs, BROKEN)
    try:
        with nobody_lost(site):
            with site.project.with_settings(**values):
                done = site.project.deploy(check=False)
            assert done.code == 1
            assert "no_such_directive" in done.err
            assert theirs in done.err
            assert "Nothing was changed." in done.err
            assert site.live == before
            assert site.left() == ""
            done = site.project.fab("rollback", on=server, project=site.project, check=True)
            assert theirs in done.out
    finally:
        shell(server, 'rm "$1"', theirs)
    with nobody_lost(site):
        site.deploy()


def test_a_port_of_the_range_is_taken(site: Tiny) -> None:
    server, ports = site.project.server, {"DEPLOY_PORTS": "8400-8401"}
    with listening(server, 8400), nobody_lost(site):
        site.change()
        assert "on 127.0.0.1:8401" in site.deploy(**ports).out
        before, old = site.live, site.version
        site.change()
        with site.project.with_settings(**ports):
            done = site.project.deploy(check=False)
        assert done.code == 1
        assert "DEPLOY_PORTS" in done.err
        assert (site.live, site.answers()) == (before, old)
        assert site.left() == ""
    with nobody_lost(site):
        assert "on 127.0.0.1:8400" in site.deploy(**ports).out


# The clock


@contextmanager
def clock(server: Practice, when: str) -> Iterator[None]:
    """What asks `date` on the server is told another time. The kernel's clock is the machine's, and stays."""
    shell(server, 'printf "%s" "$1" >/usr/local/sbin/date && chmod 755 /usr/local/sbin/date', CLOCK)
    shell(server, 'echo "$1" >/run/clock-jumped', when)
    try:
        yield
    finally:
        shell(server, "rm -f /usr/local/sbin/date /run/clock-jumped")


def test_the_clock_jumps(site: Tiny) -> None:
    """A release from the future is as good as any: what comes after it, and what is gone back to, goes by history."""
    server = site.project.server
    with nobody_lost(site):
        with clock(server, "next year"):
            site.change()
            future = site.deploy().release
        site.inside('find "/srv/portside/$1/current/" -maxdepth 1 -exec touch -d "next year" {} +')
        site.change()
        present = site.deploy().release
        assert future > present
        site.project.fab("rollback", on=server, project=site.project, check=True)
        assert site.live == future
        for _ in range(4):
            site.change()
            site.deploy()
        before = site.live
        site.change()
        site.deploy()
        site.project.fab("rollback", on=server, project=site.project, check=True)
        assert site.live == before
        assert site.left() == ""


def test_the_clock_jumps_while_it_deploys(site: Tiny) -> None:
    for when in ("1 hour ago", "1 hour"):
        site.change()
        with nobody_lost(site), clock(site.project.server, "now"):
            run = site.start("deploy")
            site.reached(run, "gate")
            shell(site.project.server, 'echo "$1" >/run/clock-jumped', when)
            assert run.end().code == 0
        site.check_whole()

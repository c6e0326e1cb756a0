"""What runs on the server is stopped, restarted or broken by somebody: nobody loses anything, or it is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy.practice import Practice

from ..kit.inside import container, shell, sql
from ..kit.laptop import Done
from ..kit.tiny import Tiny, nobody_lost
from ..kit.visitors import visitors
from ..kit.waiting import until

pytestmark = pytest.mark.begins("tiny")

BROKEN = "server { listen 8085; no_such_directive; }"


def restart_docker(server: Practice) -> None:
    """As an administrator does. Its unit allows three starts a minute, which a quick machine's tests go beyond."""
    shell(server, "systemctl reset-failed docker; systemctl restart docker")


@pytest.mark.core
def test_docker_is_restarted(tiny: Tiny) -> None:
    with nobody_lost(tiny):
        restart_docker(tiny.project.server)
        assert tiny.answers()
    tiny.change()
    with nobody_lost(tiny):
        tiny.deploy()


def test_docker_is_restarted_where_nginx_uses_ports(tiny: Tiny, tell: Callable[[str], None]) -> None:
    """A port is a process of the engine's, so some may be lost then: they are counted. It is well again by itself."""
    server, domain = tiny.project.server, tiny.project.domain
    with tiny.project.with_settings(DEPLOY_UPSTREAM="port"):
        tiny.deploy()
        with visitors(server, domain) as seen:
            restart_docker(server)
            until(lambda: tiny.answers() == tiny.version, "the tiny")
        tell(f"docker restarted, by port: {len(seen.lost)} of {seen.answered + len(seen.lost)} lost")
        tiny.change()
        with nobody_lost(tiny, reloaded=True):
            tiny.deploy()
    tiny.deploy()


@pytest.mark.parametrize("stage", ["build", "healthcheck"])
def test_docker_is_restarted_while_it_deploys(tiny: Tiny, stage: str) -> None:
    tiny.change()
    with nobody_lost(tiny):
        with tiny.project.with_settings(**({"PAUSE": "5"} if stage == "build" else {})):
            run = tiny.start("deploy")
            tiny.reached(run, stage)
            restart_docker(tiny.project.server)
            run.end()
        tiny.deploy()


def test_the_database_is_stopped(tiny: Tiny) -> None:
    """The page doesn't need it; a deploy starts it again."""
    server, name = tiny.project.server, tiny.project.name
    with nobody_lost(tiny):
        server.exec(("docker", "stop", container(server, name, "db")))
        tiny.change()
        tiny.deploy()
    assert sql(server, name, "select 1") == "1"


def test_nginx_is_stopped(tiny: Tiny) -> None:
    shell(tiny.project.server, "systemctl stop nginx")
    tiny.change()
    tiny.deploy()
    with nobody_lost(tiny):
        assert "nothing to do" in tiny.deploy().out


def test_nginx_is_killed(tiny: Tiny) -> None:
    """As by the kernel where memory is short. It comes back, however often."""
    server = tiny.project.server

    def main() -> str:
        return shell(server, "systemctl show -p MainPID --value nginx").strip()

    for _ in range(7):
        before = main()
        shell(server, 'kill -9 "$1"', before)
        until(lambda before=before: main() not in {before, "0"}, "Nginx to be back")
        until(lambda: tiny.answers() == tiny.version, "it to answer")


def test_nginx_is_disabled(tiny: Tiny) -> None:
    """The next deploy has it start at each boot again, though nothing else is to be done."""
    server = tiny.project.server
    shell(server, "systemctl disable nginx")
    told = tiny.project.fab("doctor", on=server, project=tiny.project)
    assert "nginx.service doesn't start at boot" in told.out
    with nobody_lost(tiny):
        done = tiny.project.deploy()
    assert "same release" in done.out
    assert shell(server, "systemctl is-enabled nginx").strip() == "enabled"
    assert "nothing to do" in tiny.project.deploy().out


def test_somebody_prunes_images(tiny: Tiny) -> None:
    """Of the kept releases none can start: they are marked, and none is chosen. The next deploy makes good."""
    server, before = tiny.project.server, tiny.live
    gone = tiny.another()

    def fab(*words: str) -> Done:
        return tiny.project.fab(*words, on=server, project=tiny.project)

    with nobody_lost(tiny):
        shell(server, "docker container prune -f && docker image prune -af")
        listed = fab("releases").out.splitlines()
        assert next(line for line in listed if gone in line).rstrip().endswith("kept, without its image")
        assert "next for rollback" not in "".join(listed)
        assert gone in fab("doctor").out.partition("releases without an image: ")[2]
        done = fab("rollback")
        assert (done.code, tiny.live) == (2, before)
        done = fab("rollback", "--to", gone)
        assert (done.code, tiny.live) == (2, before)
        assert "fab deploy --ref" in done.err
        tiny.change()
        tiny.deploy()
        tiny.roll_back(before)
        tiny.deploy()


def test_nginx_is_stopped_while_it_deploys(tiny: Tiny) -> None:
    """The switch can't be proved, so the release before stays."""
    before, old = tiny.live, tiny.version
    tiny.change()
    run = tiny.start("deploy")
    tiny.reached(run, "healthcheck")
    shell(tiny.project.server, "systemctl stop nginx")
    done = run.end()
    shell(tiny.project.server, "systemctl start nginx")
    assert done.code == 1
    assert f"Release {before} is live, but visitors get an error" in done.err
    assert tiny.live == before
    assert tiny.answers() == old
    tiny.deploy()


@pytest.mark.parametrize("values", [{}, {"DEPLOY_MAX_BODY": "9m"}])
def test_somebody_has_broken_nginx(tiny: Tiny, values: dict[str, str]) -> None:
    """His file is named before anything is changed. Going back doesn't wait for its mending."""
    server, before = tiny.project.server, tiny.live
    tiny.change()
    theirs = "/etc/nginx/sites-enabled/theirs"
    shell(server, 'printf "%s\\n" "$2" >"$1"', theirs, BROKEN)
    try:
        with nobody_lost(tiny):
            with tiny.project.with_settings(**values):
                done = tiny.project.deploy(check=False)
            assert done.code == 1
            assert "no_such_directive" in done.err
            assert theirs in done.err
            assert "Nothing was changed." in done.err
            assert tiny.live == before
            assert tiny.left() == ""
            done = tiny.project.fab("rollback", on=server, project=tiny.project, check=True)
            assert theirs in done.out
    finally:
        shell(server, 'rm "$1"', theirs)
    with nobody_lost(tiny):
        tiny.deploy()

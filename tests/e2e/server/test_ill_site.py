"""A live site that is ill: status, doctor and deploy each report it, and the fix that they name fixes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..kit.inside import container, shell
from ..kit.tiny import Tiny
from ..kit.waiting import until

pytestmark = pytest.mark.begins("tiny")


def socket_removed(tiny: Tiny) -> None:
    tiny.inside('rm /srv/portside/"$1"/current/run/*')


def gunicorn_hangs(tiny: Tiny) -> None:
    """Its own processes, and not the init process above them."""
    script = "docker top \"$1\" -eo pid,args | awk '/gunicorn/ && !/init/ {print $1}' | xargs kill -STOP"
    shell(tiny.project.server, script, container(tiny.project.server, tiny.project.name))


def web_removed(tiny: Tiny) -> None:
    tiny.project.server.exec(("docker", "rm", "-f", container(tiny.project.server, tiny.project.name)))


def database_removed(tiny: Tiny) -> None:
    tiny.project.server.exec(("docker", "rm", "-f", container(tiny.project.server, tiny.project.name, "db")))


def database_hangs(tiny: Tiny) -> None:
    tiny.project.server.exec(("docker", "pause", container(tiny.project.server, tiny.project.name, "db")))


ILLS: dict[Callable[[Tiny], None], str] = {
    socket_removed: "Visitors get an error",
    gunicorn_hangs: "Visitors get an error",
    web_removed: "1 web container of",
    database_removed: "The database's container is missing",
    database_hangs: "is paused",
}


@pytest.mark.parametrize(
    "ill",
    [pytest.param(each, marks=[pytest.mark.core] * (each in (socket_removed, database_removed))) for each in ILLS],
    ids=lambda each: each.__name__,
)
def test_it_is_reported_and_the_same_deploy_again_mends_it(ill: Callable[[Tiny], None], tiny: Tiny) -> None:
    project, live = tiny.project, tiny.live
    ill(tiny)
    status = project.fab("status", on=project.server, project=project)
    assert ILLS[ill] in status.out
    assert "fab deploy" in status.out
    doctor = project.fab("doctor", on=project.server, project=project)
    assert doctor.code == 1
    assert ILLS[ill] in doctor.out
    tiny.deploy()
    assert tiny.live == live, "the same release"
    assert project.fab("status", on=project.server, project=project, check=True).out.count("! ") == 0
    assert "nothing to do" in tiny.deploy().out


def test_a_hung_application_is_unhealthy_to_docker_too(tiny: Tiny) -> None:
    server = tiny.project.server
    web = container(server, tiny.project.name)
    script = 'docker inspect --format "{{json .Config.Healthcheck.Test}}" "$1"'
    assert "healthy.py" in shell(server, script, web)
    check = 'docker exec "$1" timeout 60 python -S /portside/healthy.py; echo "ended with $?"'
    assert "ended with 0" in shell(server, check, web)
    gunicorn_hangs(tiny)
    assert "ended with 1" in shell(server, check, web)
    tiny.deploy()


def test_a_rollback_to_the_live_release_starts_it_anew(tiny: Tiny) -> None:
    server, live = tiny.project.server, tiny.live
    before = container(server, tiny.project.name)
    done = tiny.project.fab("rollback", "--to", live, on=server, project=tiny.project, check=True)
    assert "restarted" in done.out
    assert container(server, tiny.project.name) != before
    tiny.check_whole()
    assert tiny.live == live


def test_a_database_that_is_gone_is_restored_by_what_the_refusal_says(tiny: Tiny) -> None:
    project, server = tiny.project, tiny.project.server
    tiny.sql("create table kept (word text)")
    tiny.sql("insert into kept values ('here')")
    tiny.inside(DUMP)
    tiny.inside('docker rm -f "$(docker ps -q --filter label=portside.site="$1" --filter label=portside.role=db)"')
    tiny.inside('docker volume rm "$1-postgres"')
    refused = project.deploy(check=False)
    assert refused.code == 2
    assert "is missing, though" in refused.err
    for task in ("status", "doctor"):
        assert f"{project.name}-postgres is missing" in project.fab(task, on=server, project=project).out
    commands = [line.strip() for line in refused.err.splitlines() if line.startswith("  docker")]
    assert len(commands) == 3
    shell(server, "\n".join(["set -e", *commands]))
    assert tiny.sql("select word from kept") == "here"
    tiny.deploy()  # a new release of the same, whose migrations are looked at
    until(lambda: tiny.answers() == tiny.version, "the site")
    assert "nothing to do" in tiny.deploy().out


# As a deploy dumps before it migrates.
DUMP = """
mkdir -p "/srv/portside/$1/backups"
docker exec "$(docker ps -q --filter label=portside.site="$1" --filter label=portside.role=db)" \\
    sh -c 'pg_dump -Fc -U "$POSTGRES_USER" "$POSTGRES_DB"' >"/srv/portside/$1/backups/before-test.dump"
"""

"""Other sites on the same server, each put up in another way; none disturbs the others."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import container, fingerprint, inside, live, shell, sql, traces
from ..kit.names import DOMAIN
from ..kit.project import Project, with_sample_app
from ..kit.visitors import ask, visitors

pytestmark = pytest.mark.begins("portfolio")

SECRETS = {"SECRET_KEY": "k" * 50, "POSTGRES_PASSWORD": "p" * 24}
OWN = """\
FROM python:3.13-slim
ARG GREETING
RUN --mount=type=secret,id=TOKEN sha256sum /run/secrets/TOKEN | cut -c1-64 >/token.sum && echo "$GREETING" >/greeting
WORKDIR /code
COPY requirements.txt .
RUN pip install --quiet --no-cache-dir -r requirements.txt
COPY . .
ENTRYPOINT ["/bin/false"]
CMD ["never", "run"]
"""
OTHER_WSGI = (
    small.WSGI
    + """\
django = application
def application(environ, start_response):
    return django(environ, lambda status, headers: start_response(status, [*headers, ("X-Other", "yes")]))
"""
)


# A second site


@pytest.fixture(scope="module")
def second(projects: Callable[[str], Project]) -> Project:
    """Another project, the sample site once more; its settings as few as can be."""
    project = with_sample_app(projects("second"))
    project.set(DEPLOY_DOMAINS="second.test", **SECRETS)
    return project


@pytest.mark.core
def test_a_second_site_comes_beside_the_first(site: Project, second: Project) -> None:
    before = live(site.server, site.name), container(site.server, site.name)
    with visitors(site.server, site.domain) as seen:
        second.deploy()
    assert seen.lost == []
    assert ask(site.server, "second.test").release == live(site.server, "second")
    assert (live(site.server, site.name), container(site.server, site.name)) == before
    assert ask(site.server, site.domain).release == before[0]


def test_each_has_its_own_database(site: Project, second: Project) -> None:
    second.manage("sample_works")
    assert sql(site.server, "second", "select count(*) from portfolio_work") == "6"
    assert sql(site.server, site.name, "select count(*) from portfolio_work where title = 'Low tide'") in {"0", "1"}
    assert container(site.server, site.name, "db") != container(site.server, "second", "db")
    tries = "import psycopg, sys; psycopg.connect(host=sys.argv[1], connect_timeout=2)"
    where = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    address = shell(site.server, f"docker inspect -f '{where}' {container(site.server, site.name, 'db')}").split()[0]
    reached = ("docker", "exec", container(site.server, "second"), "python", "-c", f"{tries}; print('in')", address)
    assert site.server.exec(reached, check=False) == "", "its network isn't the other's"


def test_a_change_of_the_second_is_nothing_to_the_first(site: Project, second: Project) -> None:
    second.edit("app/templates/portfolio/about.html", "<h1>About</h1>", "<h1>Second</h1>")
    second.commit("Say which")
    with visitors(site.server, site.domain) as seen:
        second.deploy()
    assert seen.lost == []
    assert "<h1>Second</h1>" in ask(site.server, "second.test", "/about/").text
    assert "<h1>Second</h1>" not in ask(site.server, site.domain, "/about/").text


def test_the_first_is_still_as_its_owner_left_it(site: Project, second: Project) -> None:
    """Each one's deploy keeps the other's part of Nginx's files."""
    assert "nothing to do" in site.deploy().out
    assert "nothing to do" in second.deploy().out


@pytest.mark.core
@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"DEPLOY_SITE": "portfolio", "DEPLOY_DOMAINS": "usurper.test"}, ("portfolio", DOMAIN, "DEPLOY_SITE")),
        ({"DEPLOY_SITE": "third", "DEPLOY_DOMAINS": f"third.test,{DOMAIN}"}, ("portfolio", DOMAIN)),
        ({"DEPLOY_SITE": "third", "DEPLOY_DOMAINS": "third.test", "DEPLOY_REDIRECT_DOMAINS": DOMAIN}, (DOMAIN,)),
    ],
)
def test_names_that_are_taken_are_refused(
    site: Project, second: Project, values: dict[str, str], named: tuple[str, ...]
) -> None:
    before = fingerprint(site.server)
    with second.with_settings(**values):
        done = second.deploy(check=False)
    assert done.code == 2
    assert all(word in done.err for word in named)
    assert fingerprint(site.server) == before


# Without git


def test_a_project_without_git(second: Project) -> None:
    shutil.rmtree(second.root / ".git")
    second.edit("app/templates/portfolio/about.html", "<h1>Second</h1>", "<h1>No git</h1>")
    done = second.deploy()
    assert re.search(r"^! .*isn't in git", done.out, re.MULTILINE)
    assert "<h1>No git</h1>" in ask(second.server, "second.test", "/about/").text


# Its own Dockerfile


@pytest.fixture(scope="module")
def own(projects: Callable[[str], Project]) -> Project:
    project = projects("own")
    project.write(
        {
            "app/Dockerfile": OWN,
            **{
                f"app/{name}": text
                for name, text in small.files(
                    settings=small.DATABASE, requirements="django>=5.2,<5.3\ngunicorn\npsycopg[binary]\n"
                ).items()
            },
        }
    )
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS="own.test",
        DEPLOY_COLLECTSTATIC="off",
        DEPLOY_BUILD_ARGS="GREETING",
        DEPLOY_BUILD_SECRETS="TOKEN",
        GREETING="""'hello $HOME, it\\'s "me"'""",
        TOKEN="a-token-for-the-build",
        **SECRETS,
    )
    return project


def test_a_project_with_its_own_dockerfile(own: Project) -> None:
    own.deploy()
    said = json.loads(ask(own.server, "own.test").text)
    assert said["host"] == "own.test"
    assert said["user"] == 10001


def test_build_arguments_arrive(own: Project) -> None:
    assert inside(own.server, "own", "cat", "/greeting") == """hello $HOME, it's "me"\n"""


def test_build_secrets_arrive_and_dont_stay(own: Project) -> None:
    expected = shell(own.server, "printf a-token-for-the-build | sha256sum").split()[0]
    assert inside(own.server, "own", "cat", "/token.sum").strip() == expected
    image = f"portside/own:{live(own.server, 'own')}"
    assert shell(own.server, 'docker save "$1" | grep -aFc "$2" || true', image, "a-token-for-the-build").strip() == "0"


# Without a database


def test_a_project_without_database_or_static_files(projects: Callable[[str], Project]) -> None:
    """Its manage.py lies below the folder, and is found."""
    project = projects("plain")
    project.write(small.files("code/src/web"))
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS="plain.test",
        DEPLOY_APP="code",
        DEPLOY_DATABASE="none",
        DEPLOY_COLLECTSTATIC="off",
        SECRET_KEY="k" * 50,
    )
    project.deploy()
    assert json.loads(ask(project.server, "plain.test").text)["host"] == "plain.test"
    services = shell(project.server, "docker ps --filter label=portside.site=plain --format '{{.Names}}'").split()
    assert len(services) == 1, "no database runs for it"


# Everything set


@pytest.fixture(scope="module")
def everything(projects: Callable[[str], Project]) -> Project:
    """A site with every setting there is, deployed."""
    project = projects("everything")
    project.write(small.files("code", settings=small.DATABASE + small.STATIC))
    project.write({"code/hello/other.py": OTHER_WSGI, "code/files/a.txt": "static\n", "extra.ini": "[extra]\n"})
    project.commit("Begin")
    project.set(
        DEPLOY_SITE="all-of-it",
        DEPLOY_DOMAINS='"all.test, www.all.test"',
        DEPLOY_REDIRECT_DOMAINS="old.test,older.test",
        DEPLOY_APP="code",
        DEPLOY_PYTHON="3.13",
        DEPLOY_APT="tree",
        DEPLOY_PIP="iniconfig",
        DEPLOY_FILES="extra.ini:/app/extra.ini,extra.ini:/etc/extra/copy.ini",
        DEPLOY_APPLICATION="hello.other:application",
        DEPLOY_WORKER_CLASS="gthread",
        DEPLOY_WORKERS="1",
        DEPLOY_THREADS="3",
        DEPLOY_MEMORY="300m",
        DEPLOY_CPUS="0.5",
        DEPLOY_PORTS="8300-8301",
        DEPLOY_VOLUMES="papers:/papers,more:/var/more",
        DEPLOY_DATABASE="postgres:17",
        DEPLOY_DATABASE_PORT="15432",
        DEPLOY_BEFORE="""'echo "before $DEPLOY_RELEASE" >>/papers/log'""",
        DEPLOY_AFTER="""'echo "after $DEPLOY_RELEASE" >>/papers/log'""",
        DEPLOY_HEALTH_PATH="/healthz?deep=1",
        DEPLOY_HEALTH_TIMEOUT="45",
        DEPLOY_DRAIN="5",
        DEPLOY_KEEP="2",
        DEPLOY_MAX_BODY="1m",
        DEPLOY_FIREWALL="on",
        POSTGRES_USER="painter",
        POSTGRES_DB="paintings",
        **SECRETS,
    )
    project.deploy()
    return project


def test_everything_set_is_a_live_site(everything: Project) -> None:
    for host in ("all.test", "www.all.test"):
        assert json.loads(ask(everything.server, host).text)["release"] == live(everything.server, "all-of-it")


def test_redirect_domains(everything: Project) -> None:
    for host in ("old.test", "older.test"):
        answer = ask(everything.server, host, "/a/b?c=d%20e")
        assert (answer.status, answer.headers["location"]) == (301, "http://all.test/a/b?c=d%20e")
        assert "x-request-id" in answer.headers


def test_packages_of_debian_and_of_python(everything: Project) -> None:
    assert "tree v" in inside(everything.server, "all-of-it", "tree", "--version")
    assert inside(everything.server, "all-of-it", "python", "-c", "import iniconfig; print('here')") == "here\n"


def test_more_files(everything: Project) -> None:
    for path in ("/app/extra.ini", "/etc/extra/copy.ini"):
        assert inside(everything.server, "all-of-it", "cat", path) == "[extra]\n"


def test_another_application(everything: Project) -> None:
    assert ask(everything.server, "all.test").headers["x-other"] == "yes"


def test_workers_and_threads(everything: Project) -> None:
    web = container(everything.server, "all-of-it")
    processes = everything.server.exec(("docker", "top", web, "-o", "pid,args")).splitlines()
    assert sum("gunicorn" in line and "init" not in line for line in processes) == 2, "a master and one worker"
    assert inside(everything.server, "all-of-it", "printenv", "PORTSIDE_THREADS") == "3\n"


def test_limits(everything: Project) -> None:
    """An engine whose kernel has no such control group discards them, so what it was told counts then."""
    web = container(everything.server, "all-of-it")
    asked = ("docker", "inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.CpuQuota}}", web)
    memory, quota = everything.server.exec(asked).split()
    told = shell(everything.server, "cat /srv/portside/all-of-it/current/compose.yaml")
    able = shell(everything.server, "docker info -f '{{.MemoryLimit}} {{.CPUCfsQuota}}'").split()
    assert memory == str(300 * 1024**2) if able[0] == "true" else 'mem_limit: "300m"' in told
    assert quota == "50000" if able[1] == "true" else "cpu_quota: 50000" in told


def test_ports_come_from_the_range(everything: Project) -> None:
    published = everything.server.exec(("docker", "port", container(everything.server, "all-of-it")))
    assert re.search(r"127\.0\.0\.1:830[01]$", published.strip())


def test_volumes_are_the_applications(everything: Project) -> None:
    inside(everything.server, "all-of-it", "sh", "-c", "echo kept >/var/more/kept")
    found = shell(everything.server, "stat -c '%u:%g' /srv/portside/all-of-it/volumes/more/kept")
    assert found.strip() == "10001:33"


def test_commands_before_and_after_the_switch(everything: Project) -> None:
    release = live(everything.server, "all-of-it")
    assert inside(everything.server, "all-of-it", "cat", "/papers/log") == f"before {release}\nafter {release}\n"


def test_the_database_by_its_names_on_a_local_port(everything: Project) -> None:
    assert (
        sql(everything.server, "all-of-it", "select current_user || '@' || current_database()") == "painter@paintings"
    )
    listening = shell(everything.server, "ss -Hltn").split()
    assert "127.0.0.1:15432" in listening
    assert "0.0.0.0:15432" not in listening


def test_the_largest_upload(everything: Project) -> None:
    for size, status in ((2**20, 200), (2**20 + 1, 413)):
        assert ask(everything.server, "all.test", method="POST", body=b"x" * size).status == status


def test_static_files_and_uploads_at_other_addresses(everything: Project) -> None:
    assert ask(everything.server, "all.test", "/files/a.txt").text == "static\n"
    inside(everything.server, "all-of-it", "sh", "-c", "echo up >/uploads/b.txt")
    assert ask(everything.server, "all.test", "/uploads/b.txt").text == "up\n"


def test_volumes_survive_a_release(everything: Project) -> None:
    everything.write({"code/note.txt": "new\n"})
    everything.commit("Add a note")
    done = everything.deploy()
    assert inside(everything.server, "all-of-it", "cat", "/var/more/kept") == "kept\n"
    assert inside(everything.server, "all-of-it", "cat", "/papers/log").count(done.release) == 2


def test_a_database_made_under_other_names_is_refused(everything: Project) -> None:
    before = fingerprint(everything.server)
    with everything.with_settings(POSTGRES_USER="sculptor"):
        done = everything.deploy(check=False)
    assert done.code == 2
    assert "POSTGRES_USER" in done.err
    assert fingerprint(everything.server) == before


def test_all_of_them_answer(server: Practice, everything: Project) -> None:
    for host in (DOMAIN, "second.test", "own.test", "plain.test", "all.test"):
        assert ask(server, host).status == 200


# Gone again


@pytest.mark.core
def test_a_site_that_is_taken_away_leaves_a_backup_and_touches_nobody(site: Project, second: Project) -> None:
    with visitors(site.server, site.domain) as seen:
        done = second.fab("remove", "--yes", on=site.server, project=second, check=True)
    assert seen.lost == []
    assert traces(site.server, "second") == ""
    assert "second was removed from" in done.out
    kept = shell(site.server, "find /var/lib/portside/backups/second -name '*.dump' -size +0 -printf '%m %U\\n'")
    assert kept.split() == ["600", "0"], "only root can read it"
    assert "nothing to do" in site.deploy().out

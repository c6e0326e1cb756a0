"""Commands in the live release, by a user at a terminal and through pipes: as ssh has it, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import shell, sql
from ..kit.laptop import CHECKOUT, FAB, STRIPPED, Done, Fab
from ..kit.project import Project
from ..kit.relay import in_front_of
from ..kit.terminal import terminal
from ..kit.waiting import left, until

SITE = "talk"
APPS = """
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
USERS = '[{"model": "auth.user", "fields": {"username": "%s", "password": "x"}}]'
LEFT = """
docker ps -a --format '{{.Names}} {{.Status}}' | grep -E "^$1-(run|manage|shell|psql)-"
ps -e -o args | grep -E '^(sh -c # Ends|python3 -c .*Prints a site|docker (logs|events|compose.* run) )' | cut -c 1-60
exit 0
"""


@pytest.fixture(scope="module")
def talk(projects: Callable[[str], Project], server: Practice) -> Project:
    """A small site with a database, live."""
    project = projects(SITE)
    project.write(small.files(settings=small.DATABASE + APPS))
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS="talk.test", DEPLOY_APP=".", SECRET_KEY="hunter2-hunter2",
        POSTGRES_PASSWORD="'it is a \"secret\" $1'",
        DEPLOY_COLLECTSTATIC="off", DEPLOY_HOSTS=server.name,
    )  # fmt: skip
    done = project.fab("deploy", project=project, check=True)
    assert f"talk.test is live on {server.name}: release " in done.out
    assert "DEPLOY_HOSTS" not in done.out
    return project


@pytest.fixture(autouse=True)
def nothing_is_left(talk: Project) -> Iterator[None]:
    """After each test there is no container and no program of a session."""
    yield
    assert left(lambda: there(talk)) == ""


def there(talk: Project) -> str:
    return shell(talk.server, LEFT, SITE)


def piped(talk: Project, *words: str, given: bytes | None = b"", on: str = "") -> Done:
    """`fab` with these bytes as its standard input, or with one that nobody closes."""
    clean = {name: value for name, value in os.environ.items() if not STRIPPED.fullmatch(name)}
    where = ("-H", on) if on else ()
    process = subprocess.Popen(
        (str(FAB), *words, *where, "--env", str(talk.env)), cwd=CHECKOUT, env=clean, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    assert process.stderr
    if given is None:
        out, err = process.stdout.read(), process.stderr.read()
        process.stdin.close()
    else:
        out, err = process.communicate(given, timeout=400)
    process.wait(400)
    print(words, process.returncode, out[:2000], err)
    return Done(process.returncode, out.decode(errors="replace"), err.decode())


# Piped


@pytest.mark.core
def test_what_is_piped_in_is_loaded(talk: Project) -> None:
    done = piped(talk, "manage", "loaddata --format json -", given=(USERS % "piped").encode())
    assert (done.code, done.out) == (0, "Installed 1 object(s) from 1 fixture(s)\n")
    assert sql(talk.server, SITE, "select username from auth_user") == "piped"


@pytest.mark.parametrize("given", [b"", None], ids=["ended", "never closed"])
def test_a_command_that_reads_nothing_ends(given: bytes | None, talk: Project) -> None:
    done = piped(talk, "manage", "check", given=given)
    assert (done.code, done.out) == (0, "System check identified no issues (0 silenced).\n")


@pytest.mark.core
def test_bytes_go_both_ways_as_they_are_with_the_exit_code(talk: Project) -> None:
    block = bytes(range(256)) * 4096 * 3
    done = piped(talk, "run", "sha256sum; echo bad >&2; exit 43", given=block)
    assert (done.code, done.err) == (43, "bad\n")
    assert (
        done.out.split()[0]
        == subprocess.run("sha256sum", input=block, capture_output=True, check=True).stdout.decode()[:64]
    )
    done = piped(talk, "run", "head -c 3000000 /dev/zero | tr '\\0' x")
    assert (done.code, len(done.out)) == (0, 3_000_000)


def test_who_reads_no_more_ends_it(talk: Project) -> None:
    words = f"{FAB} run 'yes' --env {talk.env} | head -n 2; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(("bash", "-c", words), cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=400)
    assert (done.returncode, done.stdout, done.stderr) == (141, "y\ny\n", "")


@pytest.mark.core
def test_code_is_piped_into_the_shell(talk: Project) -> None:
    code = b"from django.contrib.auth.models import User\nfor user in User.objects.all():\n    print(user.username)\n"
    assert piped(talk, "shell", given=code).out == "piped\n"
    done = piped(talk, "shell", given=b"1 / 0")
    assert done.code == 1
    assert "ZeroDivisionError" in done.err


@pytest.mark.core
def test_sql_is_piped_into_psql_and_its_first_error_ends_it(talk: Project) -> None:
    done = piped(talk, "psql", given=b"select 40 + 2 as answer;")
    assert (done.code, "42" in done.out) == (0, True)
    done = piped(talk, "psql", given=b"select nothing; select 40 + 2;")
    assert (done.code, "42" in done.out) == (3, False)
    assert 'column "nothing" does not exist' in done.err
    assert piped(talk, "psql", "--query", "select 6 * 7", given=None).code == 0


def test_a_dump_can_be_read_again(talk: Project) -> None:
    dump = piped(talk, "psql", "--dump").out
    assert "COPY public.auth_user" in dump
    again = f"{FAB} psql --dump --env {talk.env} | sed 's/^SET transaction_timeout.*//' >/dev/null"
    assert subprocess.run(("bash", "-c", again), cwd=CHECKOUT, check=False, timeout=400).returncode == 0


def test_a_shell_on_the_server(talk: Project) -> None:
    done = piped(talk, "ssh", given=b"pwd; id -un; exit 5\n")
    assert (done.code, done.out.splitlines()) == (5, ["/srv/portside/talk", "deploy"])


def test_of_several_servers_each_line_says_which_and_each_is_given_all(talk: Project) -> None:
    with in_front_of(talk.server) as relay:
        done = piped(talk, "run", "cat; printf unended", given=b"one\ntwo\n", on=f"{talk.server.name},{relay.name}")
    wide = [f"{name} | {line}" for name in (talk.server.name, relay.name) for line in ("one", "two", "unended")]
    assert (done.code, done.out.splitlines()) == (0, wide)
    assert f"  {relay.name}" in done.err


# On a terminal


def test_a_command_has_the_users_terminal(talk: Project) -> None:
    with terminal(talk, "run", "bash", columns=91, lines=27) as user:
        user.until("$ ")
        user.type("stty size; echo $HOME-$LOGNAME\r")
        user.until("27 91")
        user.until("/tmp-app")
        user.resize(133, 44)
        user.type("sleep 1000\r")
        until(lambda: "sleep" in shell(talk.server, "ps -e -o comm"), "the command")
        user.type("\x03")
        user.type("echo it ended with $?\r")
        user.until("it ended with 130")
        user.type("stty size\r")
        user.until("44 133")
        user.type("exit 9\r")
        assert (user.end(), user.is_as_before) == (9, True)


@pytest.mark.core
def test_an_admin_is_made(talk: Project) -> None:
    with terminal(talk, "manage", "createsuperuser") as user:
        user.until("Username (leave blank to use 'app'): ")
        user.type("\r")
        user.until("Email address: ")
        user.type("ann@example.com\r")
        user.until("Password: ")
        user.type("correct horse battery\r")
        user.until("Password (again): ")
        user.type("correct horse battery\r")
        assert user.end() == 0
        assert "Superuser created successfully." in user.shown
        assert "correct horse" not in user.shown
    assert sql(talk.server, SITE, "select username from auth_user where is_superuser") == "app"


def test_nothing_to_read_ends_on_a_terminal_too(talk: Project) -> None:
    with terminal(talk, "manage", "check") as user:
        assert user.end() == 0
        assert "no issues" in user.shown


def test_django_s_shell_and_psql_on_a_terminal(talk: Project) -> None:
    with terminal(talk, "shell") as user:
        user.until(">>> ")
        user.type("print(6 * 7)\r")
        user.until("42")
        user.type("\x04")
        assert user.end() == 0
    with terminal(talk, "psql") as user:
        user.until("talk=# ")
        user.type("select 40 + 2 as answer;\r")
        user.until("(1 row)")
        user.type("\\q\r")
        assert user.end() == 0


# Ends


def at_work(talk: Project) -> bool:
    return f"{SITE}-run-" in there(talk) and "sleep 5555" in shell(talk.server, "ps -e -o args")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_a_laptop_that_dies_leaves_nothing(how: signal.Signals, talk: Project) -> None:
    with terminal(talk, "run", "sleep 5555") as user:
        until(lambda: at_work(talk), "the command")
        os.kill(user.process.pid, how)
        user.end()
        assert how == signal.SIGKILL or user.is_as_before
        assert left(lambda: there(talk)) == ""


def test_a_query_of_a_laptop_that_dies_ends(talk: Project) -> None:
    with terminal(talk, "psql") as user:
        user.until("talk=# ")
        user.type("select pg_sleep(5555);\r")
        asked = "select count(*) from pg_stat_activity where query like 'select pg_sleep(5555)%'"
        until(lambda: sql(talk.server, SITE, asked) == "1", "the query")
        os.kill(user.process.pid, signal.SIGKILL)
        user.end()
    assert left(lambda: sql(talk.server, SITE, asked).replace("0", "")) == ""


def test_ctrl_c_without_a_terminal_leaves_nothing(talk: Project) -> None:
    running = talk.fab.start("run", "sleep 5555", project=talk)
    until(lambda: at_work(talk), "the command")
    running.process.send_signal(signal.SIGINT)
    assert running.end().code == 1
    assert left(lambda: there(talk)) == ""


@pytest.mark.parametrize("cut", ["reset", "silence"])
def test_a_connection_that_dies_is_told_and_leaves_nothing(cut: str, talk: Project) -> None:
    with in_front_of(talk.server) as relay:
        running = talk.fab.start("run", "sleep 5555", on=relay.name, project=talk)
        until(lambda: at_work(talk), "the command")
        getattr(relay, cut)()
        until(lambda: there(talk) == "", "the end of a link that nobody told of")
        relay.close()
        done = running.end()
    assert (done.code, "was lost" in done.err) == (1, True)


# A password for sudo


def test_sudo_s_password_is_asked_for_before_the_terminal_is_the_commands(talk: Project) -> None:
    add = """
    useradd --create-home --shell /bin/bash bea && echo 'bea:correct horse' | chpasswd
    install -d -m 0700 -o bea -g bea /home/bea/.ssh
    install -m 0600 -o bea -g bea /home/deploy/.ssh/authorized_keys /home/bea/.ssh/
    echo 'bea ALL=(ALL) ALL' >/etc/sudoers.d/bea
    """
    shell(talk.server, add)
    with terminal(talk, "run", "bash", on=f"bea@{talk.server.name}") as user:
        user.until("sudo's password for bea")
        user.type("correct horse\r")
        user.until("$ ")
        user.type("echo $((6 * 7)); exit 4\r")
        user.until("42")
        assert (user.end(), user.is_as_before) == (4, True)
        assert "correct horse" not in user.shown
    done = piped(talk, "run", "cat; echo bad >&2", given=b"out", on=f"bea@{talk.server.name}")
    assert done.code == 1
    assert "FABRIC_SUDO_PASSWORD" in done.err


def test_without_h_and_hosts_it_says_where_the_site_was_deployed_to(fab: Fab, talk: Project) -> None:
    talk.set(DEPLOY_HOSTS=None)
    try:
        done = fab("psql", project=talk)
    finally:
        talk.set(DEPLOY_HOSTS=talk.server.name)
    assert done.code == 2
    assert f"Run fab psql -H {talk.server.name} " in done.err
    assert f"set DEPLOY_HOSTS={talk.server.name} in" in done.err
    assert len(done.err.splitlines()) == 1

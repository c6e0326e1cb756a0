"""What .env says arrives in the application byte for byte, and nowhere else."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..kit.inside import container, inside, live, shell, sql
from ..kit.names import PREFIX
from ..kit.project import FEW_WORKERS, Project
from ..kit.visitors import ask, visitors

pytestmark = pytest.mark.begins("portfolio")

# As they stand in .env -> as the application must see them.
HARD = {
    "V_SIGNS": ("'@ % / # $ ; & | < > ( ) * ? ! ~'", "@ % / # $ ; & | < > ( ) * ? ! ~"),
    "V_QUOTES": (r"""'it\'s "quoted"'""", """it's "quoted\""""),
    "V_BACKSLASHES": (r"'\\ \\n \\t \\x41 \\\\'", r"\ \n \t \x41 \\"),
    "V_BACKTICKS": ("'`id` $(id) $((1+1))'", "`id` $(id) $((1+1))"),
    "V_VARIABLES": ("'${HOME} $HOME ${X:-y} $$ %(x)s {{ x }}'", "${HOME} $HOME ${X:-y} $$ %(x)s {{ x }}"),
    "V_BARE_VARIABLE": ("${X}", "${X}"),
    "V_SPACES": ("'  two before, two after  '", "  two before, two after  "),
    "V_EQUALS": ("a=b==c", "a=b==c"),
    "V_TAB": ("'a\tb'", "a\tb"),
    "V_ESCAPED": (r'"a\tb\nc"', "a\tb\nc"),
    "V_LINES": ("'first\nsecond\n\nfourth'", "first\nsecond\n\nfourth"),
    "V_LAST_NEWLINE": ("'ends with one\n'", "ends with one\n"),
    "V_ONLY_NEWLINE": ("'\n'", "\n"),
    "V_UNICODE": ("Grüße 漢字 🦀", "Grüße 漢字 🦀"),
    "V_EMPTY": ("", ""),
    "V_JSON": ("""'{"a": [1, "\\\\"], "b": "$c"}'""", """{"a": [1, "\\"], "b": "$c"}"""),
    "V_LONG": ("x" * 20_000, "x" * 20_000),
    "V_HASH": ("'a #b'", "a #b"),
    "V_LOOKS_LIKE_A_LINE": ("'one\nINJECTED=yes'", "one\nINJECTED=yes"),
}
PASSWORD = (
    """'p@ss % / # $ \\' " \\\\ `id` ${X} : ? & = ü\ttab\nline'""",
    """p@ss % / # $ ' " \\ `id` ${X} : ? & = ü\ttab\nline""",
)
DUMP = "import json, os, sys; print(json.dumps({k: os.fsencode(v).hex() for k, v in os.environ.items()}))"
TRACKED = f"nobody-may-read-this-{PREFIX}-4711"


@pytest.fixture(scope="module")
def environment(site: Project) -> dict[str, bytes]:
    """The application's environment, after a deploy with the hard values, while visitors come."""
    hard = {name: written for name, (written, _) in HARD.items()}
    site.set(**hard, POSTGRES_PASSWORD=PASSWORD[0], DEPLOY_WORKERS=FEW_WORKERS)
    site.deploy()
    said = json.loads(inside(site.server, site.name, "python", "-c", DUMP))
    return {name: bytes.fromhex(value) for name, value in said.items()}


@pytest.mark.core
@pytest.mark.parametrize("name", HARD)
def test_a_value_arrives_byte_for_byte(environment: dict[str, bytes], name: str) -> None:
    assert environment[name] == HARD[name][1].encode()


@pytest.mark.core
def test_no_value_becomes_another_line(environment: dict[str, bytes]) -> None:
    assert "INJECTED" not in environment


@pytest.mark.core
def test_the_databases_password_arrives(environment: dict[str, bytes]) -> None:
    assert environment["POSTGRES_PASSWORD"] == environment["PGPASSWORD"] == PASSWORD[1].encode()


@pytest.mark.core
def test_a_new_password_is_set_in_the_database(site: Project, environment: dict[str, bytes]) -> None:
    """Through DATABASE_URL, percent-encoded, the page is read from the database; the old password is good no more."""
    assert b"://portfolio:p%40ss%20" in environment["DATABASE_URL"]
    assert ask(site.server, site.domain, "/healthz").text == "ok"
    assert ask(site.server, site.domain, "/api/works/").status == 200
    tries = "import psycopg, sys; psycopg.connect(host='db', password=sys.argv[1]).close(); print('in')"
    assert inside(site.server, site.name, "python", "-c", tries, PASSWORD[1]).strip() == "in"
    wrong = site.server.exec(
        ("docker", "exec", container(site.server, site.name), "python", "-c", tries, "wrong"), check=False
    )
    assert wrong == ""


def test_one_off_commands_see_the_same(site: Project, environment: dict[str, bytes]) -> None:
    said = site.manage("""shell -c "import os; print(os.environ['V_LINES'].encode().hex())" """).out
    assert environment["V_LINES"].hex() in said


@pytest.mark.core
def test_names_that_steer_portside_stay_with_it(environment: dict[str, bytes]) -> None:
    assert {name for name in environment if name.startswith("DEPLOY_")} == {"DEPLOY_RELEASE"}


@pytest.mark.core
def test_portsides_own_names_are_there(site: Project, environment: dict[str, bytes]) -> None:
    expected = {
        "ALLOWED_HOSTS": site.domain,
        "CSRF_TRUSTED_ORIGINS": f"https://{site.domain},http://{site.domain}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DEPLOY_RELEASE": live(site.server, site.name),
        "PGHOST": "db",
        "PGUSER": "portfolio",
        "PGDATABASE": "portfolio",
        "POSTGRES_USER": "portfolio",
        "POSTGRES_DB": "portfolio",
    }
    assert {name: environment[name].decode() for name in expected} == expected


@pytest.mark.core
def test_the_environment_file_is_roots(site: Project) -> None:
    found = shell(site.server, f"stat -c '%a %U:%G' /srv/portside/{site.name}/current/env")
    assert found.strip() == "600 root:root"


def test_the_shell_wins_over_the_file_and_it_is_said(site: Project) -> None:
    done = site.fab("deploy", on=site.server, project=site, env={"V_EQUALS": "from the shell"}, check=True)
    assert re.search(r"^! .*V_EQUALS", done.out, re.MULTILINE)
    assert inside(site.server, site.name, "printenv", "V_EQUALS") == "from the shell\n"


# Nowhere else


@contextmanager
def command_lines(site: Project) -> Iterator[set[str]]:
    """Every command line on the server and on this machine, as long as the block runs."""
    seen: set[str] = set()
    over = threading.Event()
    shell(
        site.server,
        """
        : >/run/watched
        systemd-run --quiet --unit e2e-watch sh -c '
            while [ -e /run/watched ]; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "; echo; done >/run/seen'
        """,
    )

    def here() -> None:
        while not over.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().decode(errors="replace"))
                except OSError:
                    continue

    watcher = threading.Thread(target=here)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
        shell(site.server, "rm /run/watched; systemctl stop e2e-watch 2>/dev/null || true")
        seen.add(shell(site.server, "sort -u /run/seen; rm /run/seen"))


@pytest.fixture(scope="module")
def told(site: Project) -> tuple[str, set[str]]:
    """What was printed, and which command lines were seen, of a deploy with a new secret everywhere."""
    site.set(POSTGRES_PASSWORD=TRACKED, V_SECRET=TRACKED, SECRET_KEY=f"{TRACKED}-{'k' * 50}")
    with command_lines(site) as seen:
        done = site.deploy("--verbose")
    return done.text, seen


@pytest.mark.core
def test_no_secret_is_printed(told: tuple[str, set[str]]) -> None:
    assert TRACKED not in told[0]


@pytest.mark.core
def test_no_secret_is_on_a_command_line(told: tuple[str, set[str]]) -> None:
    everything = "\n".join(told[1])
    assert "docker buildx build" in everything, "the watch saw what went on there"
    assert "fab deploy" in everything.replace("\0", " "), "and here"
    assert TRACKED not in everything


@pytest.mark.core
def test_no_secret_is_in_an_image(site: Project, told: tuple[str, set[str]]) -> None:
    image = f"portside/{site.name}:{live(site.server, site.name)}"
    assert TRACKED not in site.server.exec(("docker", "history", "--no-trunc", image))
    assert TRACKED not in site.server.exec(("docker", "image", "inspect", image))
    assert shell(site.server, 'docker save "$1" | grep -aFc "$2" || true', image, TRACKED).strip() == "0"
    assert told


@pytest.mark.core
def test_no_secret_can_be_read_by_others(site: Project, told: tuple[str, set[str]]) -> None:
    """As nobody, in every file that nobody may read; the same search as root finds it."""
    search = 'grep -rlFs -e "$1" /srv /etc /var /run /tmp /home /usr/local'
    assert (
        shell(site.server, f"setpriv --reuid 65534 --regid 65534 --clear-groups {search}", TRACKED, check=False) == ""
    )
    found = shell(site.server, search.replace(" /var", ""), TRACKED, check=False).split()
    assert f"/srv/portside/{site.name}/data/secrets/password" in found
    assert told


@pytest.mark.core
def test_no_secret_is_in_a_log(site: Project, told: tuple[str, set[str]]) -> None:
    assert TRACKED not in shell(site.server, "journalctl --no-pager -o export")
    assert shell(site.server, 'grep -rlF -e "$1" /var/log || true', TRACKED) == ""
    logs = "for id in $(docker ps -aq); do docker logs $id 2>&1; done"
    assert TRACKED not in shell(site.server, logs)
    assert told


def test_a_new_password_loses_no_visitor(site: Project) -> None:
    """On pages without the database: the old release can't open new connections to it from then until the switch."""
    rows = sql(site.server, site.name, "select count(*) from portfolio_work")
    site.set(POSTGRES_PASSWORD="yet-another-password-0815", **dict.fromkeys([*HARD, "V_SECRET"], None))
    with visitors(site.server, site.domain, "/about/") as seen:
        site.deploy()
    assert seen.lost == []
    assert sql(site.server, site.name, "select count(*) from portfolio_work") == rows

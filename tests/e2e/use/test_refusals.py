"""What can't be is refused: one clear message, the right exit code, the server untouched."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..kit.inside import fingerprint, shell
from ..kit.laptop import PRACTICE, Done, Fab
from ..kit.names import DOMAIN
from ..kit.project import Project
from ..kit.waiting import free_port

pytestmark = [pytest.mark.core, pytest.mark.begins("portfolio")]

USAGE = 2
FAILED = 1


@pytest.fixture(scope="module")
def known() -> list[set[str]]:
    """How the server was at the end of the last test; forgotten by who changes it."""
    return []


@pytest.fixture(autouse=True)
def untouched(site: Project, known: list[set[str]]) -> Iterator[None]:
    """After each test here the server is as it was before."""
    before = known.pop() if known else fingerprint(site.server)
    yield
    known.append(fingerprint(site.server))
    assert known[-1] == before


# Usage


@pytest.mark.parametrize("words", [("deploy",), ("provision",), ("manage", "check")])
def test_without_a_host_nothing_runs_anywhere(site: Project, words: tuple[str, ...]) -> None:
    done = site.fab(*words, project=site)
    assert done.code == USAGE
    assert done.err.count("\n") == 1
    assert f"fab {' '.join(words)} -H" in done.err
    assert done.out == ""


def test_list_is_a_page_a_newcomer_understands(fab: Fab) -> None:
    """Each task with one sentence; more of each with --help."""
    done = fab("--list", check=True)
    for name in ("init", "provision", "deploy", "manage", "practice"):
        assert f"\n  {name} " in done.out
    assert len(done.out.splitlines()) < 60
    assert "--ref" in fab("deploy", "--help", check=True).out


# The way in


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's home that knows the practice servers' host keys."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    shutil.copy(PRACTICE / "known_hosts", tmp_path / ".ssh" / "known_hosts")
    return tmp_path


@pytest.fixture
def key(tmp_path: Path) -> str:
    """A key that opens nothing."""
    path = tmp_path / "id_ed25519"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)), check=True)
    return str(path)


def deploy_as(site: Project, home: Path, key: str, user: str = "deploy", port: int | None = None) -> Done:
    where = f"{user}@127.0.0.1:{port or site.server.ssh_port}"
    return site.fab("deploy", "-i", key, on=where, project=site, env={"HOME": str(home)})


def test_a_plain_address_and_a_key_are_enough(site: Project, home: Path) -> None:
    """So that what is refused below is refused for its own reason."""
    done = deploy_as(site, home, str(PRACTICE / "id_ed25519"))
    assert done.code == 0
    assert "nothing to do" in done.out


def test_an_unknown_host_key(site: Project, home: Path) -> None:
    (home / ".ssh" / "known_hosts").unlink()
    done = deploy_as(site, home, str(PRACTICE / "id_ed25519"))
    assert done.code == FAILED
    assert "host key" in done.err
    assert "SHA256:" in done.err
    assert f"echo '[127.0.0.1]:{site.server.ssh_port} ssh-ed25519 " in done.err


def test_another_host_key(site: Project, home: Path, key: str) -> None:
    known = home / ".ssh" / "known_hosts"
    port = f"[127.0.0.1]:{site.server.ssh_port} "
    others = "".join(line for line in known.read_text().splitlines(keepends=True) if not line.startswith(port))
    known.write_text(others + port + Path(f"{key}.pub").read_text())
    done = deploy_as(site, home, str(PRACTICE / "id_ed25519"))
    assert done.code == FAILED
    assert "host key" in done.err
    assert "ssh-keygen -R" in done.err


def test_a_wrong_key(site: Project, home: Path, key: str) -> None:
    done = deploy_as(site, home, key)
    assert done.code == FAILED
    assert "Permission denied for deploy@" in done.err
    assert "-i KEY" in done.err


def test_nobody_there(site: Project, home: Path) -> None:
    done = deploy_as(site, home, str(PRACTICE / "id_ed25519"), port=free_port())
    assert done.code == FAILED
    assert "No SSH server answers" in done.err


def test_a_name_that_is_no_host(site: Project) -> None:
    done = site.fab("deploy", on="no-such-host.invalid", project=site)
    assert done.code == FAILED
    assert "no-such-host.invalid" in done.err


@pytest.fixture(scope="module")
def visitor(site: Project, known: list[set[str]]) -> Iterator[str]:
    """Somebody who may log in to the server, and nothing else."""
    known.clear()
    key = (PRACTICE / "id_ed25519.pub").read_text().strip()
    script = """
        useradd --create-home --shell /bin/bash visitor
        install -d -m 700 -o visitor -g visitor /home/visitor/.ssh
        echo "$1" | install -m 600 -o visitor -g visitor /dev/stdin /home/visitor/.ssh/authorized_keys
        """
    shell(site.server, script, key)
    yield "visitor"
    shell(site.server, "userdel --remove visitor 2>/dev/null")


def test_a_user_without_sudo(site: Project, home: Path, visitor: str) -> None:
    done = deploy_as(site, home, str(PRACTICE / "id_ed25519"), user=visitor)
    assert done.code == FAILED
    assert "No root" in done.err
    assert "NOPASSWD" in done.err


# Settings


def test_all_faults_are_named_at_once(site: Project, tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(
        "DEPLOY_SITE=My Site\n"
        "DEPLOY_APP=app\n"
        "this is no line\n"
        "DEPLOY_KEEP=many\n"
        "DEPLOY_MEMORY=lots\n"
        "DEPLOY_DOMIANS=a.test\n"
        "DEPLOY_NOTIFY=say\n"
        "UNCLOSED='\n"
    )
    done = site.fab("deploy", "--env", str(env), on=site.server)
    assert done.code == USAGE
    said = ("line 3", "line 8", "did you mean DEPLOY_DOMAINS", "fab init")
    names = ("SITE", "DOMAINS", "KEEP", "MEMORY", "DOMIANS", "NOTIFY")
    for named in (*said, *(f"DEPLOY_{name}" for name in names), "SECRET_KEY", "POSTGRES_PASSWORD"):
        assert named in done.err


def test_no_settings_at_all(site: Project, tmp_path: Path) -> None:
    done = site.fab("deploy", "--env", str(tmp_path / ".env"), on=site.server)
    assert done.code == USAGE
    assert "fab init" in done.err


SIGNS = ("a;b", "a b", "a/b", "$(id)", "`id`", "a'b", 'a"b', "a{b}", "../x", "a\\b", "a\nb", "*", "_", "-a", "ä")


@pytest.mark.parametrize("name", ["DEPLOY_SITE", "DEPLOY_DOMAINS"])
def test_names_that_a_shell_or_nginx_would_read_otherwise(site: Project, name: str) -> None:
    for sign in SIGNS:
        quoted = "'" + sign.replace("\\", "\\\\").replace("'", "\\'") + "'"
        with site.with_settings(**{name: quoted}):
            done = site.deploy(check=False)
        assert done.code == USAGE, f"{name}={quoted}"
        assert name in done.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEPLOY_HEALTH_PATH", "'/x; rm -rf /'"),
        ("DEPLOY_MAX_BODY", "'1m; return 200'"),
        ("DEPLOY_DATABASE", "'postgres:17 ; id'"),
        ("DEPLOY_APT", "'tree -o x'"),
        ("DEPLOY_APPLICATION", "'os:system(1)'"),
        ("DEPLOY_VOLUMES", "'a:/x,../b:/y'"),
        ("DEPLOY_PORTS", "80-90"),
        ("DEPLOY_REDIRECT_DOMAINS", "'a.test; }'"),
        ("DEPLOY_MEMORY", "'1g\n'"),
    ],
)
def test_other_values_that_cannot_be(site: Project, name: str, value: str) -> None:
    with site.with_settings(**{name: value}):
        done = site.deploy(check=False)
    assert done.code == USAGE
    assert name in done.err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DEPLOY_APP", "no-such-folder", "no-such-folder"),
        ("DEPLOY_APP", "app/static", "no manage.py"),
        ("DEPLOY_DOCKERFILE", "Dockerfile.none", "Dockerfile.none"),
        ("DEPLOY_FILES", "no-such.ini:/app/x.ini", "no-such.ini"),
        ("DEPLOY_BUILD_SECRETS", "NOWHERE", "NOWHERE"),
        ("DEPLOY_DATABASE", "external", "DATABASE_URL"),
        ("DEPLOY_DATABASE", "postgres:16", "postgres:17"),
        ("DEPLOY_REDIRECT_DOMAINS", DOMAIN, DOMAIN),
    ],
)
def test_settings_that_lead_nowhere(site: Project, name: str, value: str, said: str) -> None:
    with site.with_settings(**{name: value}):
        done = site.deploy(check=False)
    assert done.code == USAGE
    assert name in done.err
    assert said in done.err


def test_an_unreadable_manage_command(site: Project) -> None:
    assert site.manage('shell -c "unclosed', check=False).code == USAGE

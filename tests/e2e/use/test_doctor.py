"""`fab doctor` finds a healthy server well, names each fault with its fix, and the fix mends it. Deploying without a
.env, and the log of a run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.practice.access import KEY, KNOWN_HOSTS

from ..kit.inside import container, shell
from ..kit.laptop import CHECKOUT, Fab
from ..kit.project import Project
from ..kit.waiting import until

pytestmark = pytest.mark.begins("portfolio")

STRAY = "docker run -d --name stray -e POSTGRES_PASSWORD=x -p 0.0.0.0:5499:5432 postgres:17"
ANSWERS = "docker exec stray pg_isready -q -h 127.0.0.1 && echo yes"
LIVE_RESTORE = (
    'sed -i \'s/"live-restore": true/"live-restore": false/\' /etc/docker/daemon.json && systemctl reload docker'
)


@pytest.fixture(scope="module")
def secure(site: Project) -> Iterator[Project]:
    """The sample site by HTTPS."""
    site.server.acme.point(site.domain, site.server.ip)
    site.fab("certs", on=site.server, project=site, check=True)
    site.env.chmod(0o600)
    yield site
    shell(site.server, "docker rm -f stray >/dev/null 2>&1; rm -f /etc/nginx/conf.d/broken.conf")


def doctor(site: Project, *words: str) -> tuple[int, list[dict[str, str]]]:
    done = site.fab("doctor", "--json", *words, on=site.server, project=site)
    told: dict[str, Any] = json.loads(done.out)
    assert told["ok"] == (done.code == 0)
    return done.code, told["findings"]


def faults(site: Project) -> list[dict[str, str]]:
    code, found = doctor(site)
    wrong = [each for each in found if each["level"] == "fault"]
    assert code == bool(wrong)
    return wrong


def follow(site: Project, fix: str) -> None:
    """Type what a fix says, as a user would in the checkout."""
    command = re.findall(r"(?:^|[ :])((?:ssh -F|fab|chmod|git) [^;,]+)", fix)[0].strip()
    if command.startswith("fab "):
        words = command.split()
        site.fab(*words[1 : words.index("-H")], on=site.server, project=site, check=True)
        return
    done = subprocess.run(command, shell=True, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


@pytest.mark.core
def test_a_healthy_server_has_no_faults_and_is_asked_once(secure: Project) -> None:
    assert faults(secure) == []
    done = secure.fab("doctor", "--verbose", on=secure.server, project=secure, check=True)
    assert re.findall(r"round trip \d", done.out) == ["round trip 1"]
    for said in (
        "serves the certificate, valid until",
        "only SSH, HTTP and HTTPS listen",
        "ufw allows",
        "is live, with 2",
    ):
        assert said in done.out, said


def test_the_laptop_alone_is_looked_at_without_a_host(secure: Project) -> None:
    done = secure.fab("doctor", project=secure, check=True)
    assert "This machine: " in done.out
    assert "fab doctor -H user@host" in done.out


BROKEN = {
    "a timer": ("systemctl stop certbot.timer", "certbot.timer is inactive"),
    "a port": (STRAY, "Anyone can reach container stray on tcp port 5499, past the firewall"),
    "nginx": ("systemctl stop nginx", "nginx.service is inactive, so the site is down"),
    "a boot": ("systemctl disable -q nginx", "nginx.service doesn't start at boot"),
    "a policy": ("docker update --restart no {db}", "-db-1 doesn't start again after a reboot"),
    "the firewall": ("ufw --force disable", "ufw isn't active"),
    "docker": (LIVE_RESTORE, "live-restore is off"),
    "the guard": ("systemctl stop portside-guard", "portside-guard.service is inactive"),
}


@pytest.fixture(scope="module")
def found(secure: Project) -> list[dict[str, str]]:
    """What is found once all that is broken."""
    names = {"db": container(secure.server, secure.name, "db")}
    for what, (command, _) in BROKEN.items():
        if what == "the firewall":
            continue
        shell(secure.server, command.format(**names))
    until(lambda: shell(secure.server, ANSWERS, check=False).strip() == "yes", "the stray database")
    secure.env.chmod(0o644)
    return faults(secure)


@pytest.mark.core
@pytest.mark.parametrize("what", [what for what in BROKEN if what != "the firewall"])
def test_a_fault_is_named_with_its_fix(what: str, found: list[dict[str, str]]) -> None:
    (named,) = [each for each in found if BROKEN[what][1] in each["text"]]
    assert named["fix"]


@pytest.mark.core
def test_nothing_else_is(secure: Project, found: list[dict[str, str]]) -> None:
    said = [text for _, text in BROKEN.values()] + [f"Every user on this machine can read {secure.env}"]
    assert [each for each in found if not any(text in each["text"] for text in said)] == []


@pytest.mark.core
def test_the_fixes_mend_it(secure: Project, found: list[dict[str, str]]) -> None:
    for fix in dict.fromkeys(each["fix"] for each in found):
        follow(secure, fix)
    assert faults(secure) == []


def test_a_firewall_that_is_off_is_a_fault(secure: Project) -> None:
    shell(secure.server, "ufw --force disable")
    (off,) = faults(secure)
    assert BROKEN["the firewall"][1] in off["text"]
    follow(secure, off["fix"])
    assert faults(secure) == []


def test_a_file_of_somebody_elses_that_nginx_refuses_is_named(secure: Project) -> None:
    shell(secure.server, "echo 'nonsense;' >/etc/nginx/conf.d/broken.conf")
    (broken,) = faults(secure)
    assert "/etc/nginx/conf.d/broken.conf" in broken["text"]
    shell(secure.server, "rm /etc/nginx/conf.d/broken.conf")
    assert faults(secure) == []


def test_a_container_that_does_not_run_is_named_and_started(secure: Project) -> None:
    shell(secure.server, "docker stop $1", container(secure.server, secure.name))
    (stopped,) = faults(secure)
    assert re.search(r"portfolio-\S+-web-1-1 is exited", stopped["text"])
    follow(secure, stopped["fix"])
    assert faults(secure) == []


def test_secrets_in_git_are_a_fault(secure: Project) -> None:
    secure.git("add", "--force", ".env")
    try:
        (tracked,) = faults(secure)
        assert "is tracked by git" in tracked["text"]
    finally:
        secure.git("rm", "--quiet", "--cached", "--force", ".env")
    assert faults(secure) == []


# A CI job


@pytest.fixture
def job(secure: Project, tmp_path: Path) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """How a CI job comes: no .env, names in .env.example, values, key and known_hosts from the job's variables."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "known_hosts").write_text(KNOWN_HOSTS.read_text())
    home.chmod(0o500)
    aside = shutil.move(secure.env, tmp_path / "aside")
    example = secure.root / ".env.example"
    values = {}
    for line in Path(aside).read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#") and value:
            values[name] = value.strip("'\"")
    example.write_text("".join(f"{name}=\n" for name in values))
    words = ("-H", f"deploy@127.0.0.1:{secure.server.ssh_port}", "-i", str(KEY), "--env", str(secure.root / ".env"))
    yield words, {**values, "HOME": str(home), "CI": "true"}
    shutil.move(aside, secure.env)
    example.unlink()


def test_a_job_deploys_from_its_environment_alone(fab: Fab, job: tuple[tuple[str, ...], dict[str, str]]) -> None:
    words, env = job
    done = fab("deploy", *words, env={**env, "XDG_STATE_HOME": ""}, check=True)
    assert "nothing to do" in done.out, "the same values make the same release"
    assert "\x1b" not in done.text
    lacking = {name: value for name, value in env.items() if name != "SECRET_KEY"}
    refused = fab("deploy", *words, env=lacking)
    assert (refused.code, "SECRET_KEY is missing" in refused.err) == (2, True)


def test_a_job_that_does_not_know_the_host_refuses_it(fab: Fab, job: tuple[tuple[str, ...], dict[str, str]]) -> None:
    words, env = job
    (Path(env["HOME"]) / ".ssh" / "known_hosts").write_text("")
    done = fab("deploy", *words, env=env)
    assert done.code == 1
    assert "isn't known on this machine" in done.err


# The log of a run


def test_a_failure_says_where_its_log_is(secure: Project) -> None:
    done = secure.fab("rollback", "--to", "20200101-000000-abcdef0", on=secure.server, project=secure)
    assert done.code != 0
    log = Path(done.err.strip().splitlines()[-1].removeprefix("The log of this run: "))
    assert log.stat().st_mode & 0o777 == 0o600
    assert "There is no good release 20200101-000000-abcdef0" in log.read_text()


def test_logs_have_every_step_and_no_secret(secure: Project) -> None:
    secure.write({"app/more.txt": "More.\n"})
    secure.commit("Add more")
    secure.deploy()
    logs = secure.fab.logs.with_name(f"{secure.fab.logs.name}-state") / "portside" / secure.name
    text = "".join(path.read_text() for path in logs.iterdir())
    assert "$ script build " in text
    assert "switch: Switch to " in text
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD"):
        assert secure.settings()[name].strip("'\"") not in text, name


def test_a_home_that_takes_no_log_is_no_failure(secure: Project) -> None:
    done = secure.fab("deploy", on=secure.server, project=secure, env={"XDG_STATE_HOME": "/dev/null"}, check=True)
    assert "The log of this run" not in done.text

"""Two laptops with other settings, and two versions of Portside: whatever would be lost is said before it is."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ..kit.inside import shell
from ..kit.laptop import CHECKOUT, PRACTICE, Done, Fab
from ..kit.project import Project
from ..kit.tiny import Tiny
from ..kit.visitors import ask, status

pytestmark = pytest.mark.begins("tiny")

OF_ANN = {
    "DEPLOY_BASIC_AUTH": "ann:secret-of-ann",
    "DEPLOY_ALLOW": "0.0.0.0/0,::/0",
    "DEPLOY_RATE_LIMIT": "1000r/s",
    "DEPLOY_REDIRECT_DOMAINS": "old.test",
    "DEPLOY_PROCESS_QUEUE": "'while sleep 1; do :; done'",
    "API_TOKEN": "'a #b $HOME ${X} \"q\" it\\'s \\\\'",
    "CERT": "\"line one\nline 'two'  \n\"",
}
SECRETS = ("secret-of-ann", "line one", "a #b")
PASSWORD = {"Authorization": f"Basic {b64encode(b'ann:secret-of-ann').decode()}"}
NEWER = "99.0"


@pytest.fixture(scope="module")
def ann(tiny: Tiny) -> Project:
    """The laptop that the site was deployed from, by now with more settings."""
    project = tiny.project
    project.set(**OF_ANN)
    tiny.change()
    done = project.deploy()
    assert "fall" not in done.text, "nothing is lost"
    return project


@pytest.fixture(scope="module")
def bob(ann: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Another laptop, whose .env has none of these."""
    root = tmp_path_factory.mktemp("bob") / ann.root.name
    shutil.copytree(ann.root, root)
    project = Project(root, ann.fab, ann.server, ann.given, dict(ann.ours))
    project.set(**dict.fromkeys(OF_ANN))
    return project


def edge(site: Project) -> str:
    return shell(site.server, "readlink /etc/nginx/portside; readlink /srv/portside/$1/current", site.name)


def silent(done: Done) -> Done:
    assert not [secret for secret in SECRETS if secret in done.text]
    return done


@pytest.mark.core
def test_every_loss_is_in_the_plan(bob: Project) -> None:
    done = silent(bob.fab("plan", on=bob.server, project=bob))
    assert done.code == 10
    for name in ("DEPLOY_BASIC_AUTH", "DEPLOY_ALLOW", "DEPLOY_PROCESS_QUEUE", "DEPLOY_RATE_LIMIT", "old.test"):
        assert f"{name} isn't in {bob.env} and will be removed" in done.text
    assert "doesn't set them: API_TOKEN, CERT" in done.text
    assert "fab deploy refuses this without --drop DEPLOY_ALLOW,DEPLOY_BASIC_AUTH,DEPLOY_PROCESS_QUEUE" in done.out


@pytest.mark.core
@pytest.mark.parametrize("command", ["deploy", "rollback", "certs"])
def test_the_other_laptop_is_refused(command: str, bob: Project) -> None:
    before = edge(bob)
    done = silent(bob.fab(command, on=bob.server, project=bob))
    assert done.code == 2
    assert "DEPLOY_BASIC_AUTH" in done.err
    assert " ago)" in done.err, "who set it, and when"
    assert "Nothing was changed." in done.err
    assert f"fab {command} --drop DEPLOY_ALLOW,DEPLOY_BASIC_AUTH" in done.err
    assert edge(bob) == before
    assert status(bob.server, bob.domain) == 401


def test_names_and_how_they_differ(bob: Project) -> None:
    done = silent(bob.fab("env", on=bob.server, project=bob, check=True))
    assert "- DEPLOY_BASIC_AUTH   only on the server" in done.out
    with bob.with_settings(DEPLOY_MAX_BODY="3m", PAUSE="1"):
        found = json.loads(silent(bob.fab("env", "--json", on=bob.server, project=bob, check=True)).out)
    assert found["settings"]["here"] == ["DEPLOY_MAX_BODY"]
    assert set(found["settings"]["server"]) == {name for name in OF_ANN if name.startswith("DEPLOY_")}
    assert found["settings"]["differs"] == []
    assert "DEPLOY_DOMAINS" in found["settings"]["same"]
    assert found["environment"]["server"] == ["API_TOKEN", "CERT"]
    assert found["environment"]["differs"] == ["PAUSE"]
    assert {"SECRET_KEY", "POSTGRES_PASSWORD"} <= set(found["environment"]["same"])
    assert "PGHOST" in found["environment"]["made"]
    assert found["deployed"]["who"]


@pytest.mark.core
def test_a_lost_file_comes_back(ann: Project, tmp_path: Path) -> None:
    """Into another clone, whose folder has the site's name: a plan has nothing to do then."""
    root = tmp_path / ann.root.name
    shutil.copytree(ann.root, root)
    there = Project(root, ann.fab, ann.server)
    there.env.unlink()
    names = ann.fab("env", on=ann.server, project=there, check=True)
    assert "    DEPLOY_BASIC_AUTH\n" in names.out
    assert ann.fab("env", "--pull", on=ann.server, project=there).code == 2, "nobody was asked"
    assert not there.env.exists()
    silent(ann.fab("env", "--pull", "--yes", on=ann.server, project=there, check=True))
    assert there.env.read_bytes() == ann.env.read_bytes()
    assert there.env.stat().st_mode & 0o777 == 0o600
    done = ann.fab("plan", on=ann.server, project=there)
    assert (done.code, "nothing to do" in done.out) == (0, True)
    again = ann.fab("env", "--pull", "--yes", on=ann.server, project=there)
    assert (again.code, "was not changed" in again.err) == (2, True)


def test_only_root_reads_what_is_kept(ann: Project) -> None:
    kept = f"/var/lib/portside/settings/{ann.name}"
    assert shell(ann.server, 'stat -c "%a %U" "$1"', kept).split() == ["600", "root"]
    assert (
        shell(ann.server, 'grep -rl "secret-of-ann" /srv/portside /var/lib/portside /etc /run /var/log || true') == ""
    )
    assert "secret-of-ann" in shell(ann.server, 'base64 -d "$1"', kept)


def test_what_is_dropped_falls_away(bob: Project) -> None:
    done = silent(bob.deploy("--drop", "BASIC_AUTH", "--drop", "ALLOW,PROCESS_QUEUE"))
    assert "DEPLOY_BASIC_AUTH isn't in" in done.text
    assert status(bob.server, bob.domain) == 200
    assert shell(bob.server, "docker ps --format '{{.Names}}'").count("queue") == 0
    assert "fall" not in bob.deploy().text, "it is gone by now"


def test_settings_of_nginx_alone_are_not_lost_either(ann: Project, bob: Project) -> None:
    """The same release: only Nginx's files are others."""
    release = edge(bob).split()[1]
    with bob.with_settings(DEPLOY_BASIC_AUTH=OF_ANN["DEPLOY_BASIC_AUTH"]):
        bob.deploy()
    assert (edge(bob).split()[1], status(bob.server, bob.domain)) == (release, 401)
    refused = bob.deploy(check=False)
    assert (refused.code, status(bob.server, bob.domain)) == (2, 401)
    assert "DEPLOY_BASIC_AUTH isn't in" in refused.err
    assert "would remove it from the server (last changed by " in refused.err
    assert ask(bob.server, bob.domain, headers=PASSWORD).status == 200


def test_a_rollback_may_drop_it(bob: Project) -> None:
    bob.fab("rollback", "--drop", "BASIC_AUTH", on=bob.server, project=bob, check=True)
    assert status(bob.server, bob.domain) == 200
    assert bob.deploy(check=False).code == 2, "the process of the release that is live again"
    bob.deploy("--drop", "PROCESS_QUEUE")


@pytest.fixture(scope="module")
def newer(bob: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The same laptop with a newer Portside, which writes a file of the host otherwise."""
    copy = tmp_path_factory.mktemp("newer")
    for name in ("deploy", "compose", "nginx_templates", "app"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("fabfile.py", ".env.example"):
        shutil.copy(CHECKOUT / name, copy / name)
    (copy / PRACTICE.name).symlink_to(PRACTICE)
    version, guard = copy / "deploy/__init__.py", copy / "deploy/remote/host/guard-containers.sh"
    version.write_text(version.read_text().replace('VERSION = "', f'VERSION = "{NEWER}" or "'))
    guard.write_text(guard.read_text() + "# by a newer version\n")
    base = copy / "nginx_templates/nginx.conf.j2"
    base.write_text(base.read_text() + "# by a newer version\n")
    yield replace(bob, fab=Fab(bob.fab.logs, bob.fab.tell, 500, copy))


def test_a_newer_one_says_why_files_differ(newer: Project) -> None:
    done = newer.fab("plan", on=newer.server, project=newer)
    lines = [line for line in done.out.splitlines() if "because this Portside is newer: 99.0, after " in line]
    assert [line for line in lines if "guard-containers.sh" in line]
    assert [line for line in lines if "Nginx generation" in line]
    assert "by hand" not in done.text


def test_an_older_one_refuses_what_it_would_undo(newer: Project, bob: Project) -> None:
    newer.fab("provision", on=newer.server, project=newer, check=True)
    before = edge(bob)
    for command in ("deploy", "provision", "rollback", "certs"):
        done = bob.fab(command, on=bob.server, project=bob)
        assert (done.code, "Upgrade Portside on this machine to 99.0" in done.err) == (2, True), command
    assert edge(bob) == before
    assert newer.fab("deploy", on=newer.server, project=newer).code == 0


def test_what_only_looks_works_and_warns(newer: Project, bob: Project) -> None:
    for command in ("status", "releases", "doctor", "plan"):
        done = bob.fab(command, on=bob.server, project=bob)
        newest = "Portside 99.0 has deployed" if command == "doctor" else "was last managed by Portside 99.0"
        assert newest in done.text, command
        assert "by hand" not in done.text
    assert "because a newer Portside has managed the server: 99.0" in done.out
    assert done.code == 10

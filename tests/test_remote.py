"""Scripts of remote/ run for real on folders of this machine; a program of the test's stands in for Docker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from deploy.stream import REMOTE
from tests import sample

A, B, C = sample.OLDER, sample.OLD, sample.NEW


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A site's folder with three releases, the second live, and a docker that notes what it is told."""
    root = tmp_path / "site"
    for identity in (A, B, C):
        sample.files(root / "releases" / identity, {"compose.yaml": "", "static/x.css": identity})
    (root / "current").symlink_to(f"releases/{B}")
    docker = sample.files(tmp_path, {"bin/docker": '#!/bin/sh\necho "$*" >>"$DOCKER_LOG"\n'}) / "bin/docker"
    docker.chmod(0o755)
    for script in REMOTE.glob("*.sh"):
        text = script.read_text(encoding="utf-8").replace("find /var/tmp /run ", f"find {tmp_path}/room ")
        sample.files(tmp_path / "remote", {script.name: text})
    (tmp_path / "room").mkdir()
    return root


def run(root: Path, name: str, *words: str) -> str:
    """Runs a script as apply.sh would. Returns what it left as its result."""
    top = root.parent
    (top / "result").unlink(missing_ok=True)
    environment = {
        **os.environ, "PATH": f"{top}/bin:{os.environ['PATH']}", "DOCKER_LOG": f"{top}/docker.log",
        "PORTSIDE": str(top), "PORTSIDE_FILES": f"{top}/files", "PORTSIDE_RESULT": f"{top}/result",
        "PORTSIDE_ANSWER": f"{top}/answer",
    }  # fmt: skip
    subprocess.run(
        ("sh", top / f"remote/{name}.sh", *words), env=environment, check=True, capture_output=True, timeout=60
    )
    return (top / "result").read_text().strip() if (top / "result").exists() else ""


def docker(root: Path) -> list[str]:
    log = root.parent / "docker.log"
    return log.read_text().splitlines() if log.exists() else []


def there(root: Path) -> set[str]:
    return {path.name for path in (root / "releases").iterdir()}


def test_releases_are_taken_away_with_containers_and_image(root: Path) -> None:
    run(root, "discard", str(root), "art", "no", A, C)
    assert there(root) == {B}
    for identity in (A, C):
        assert f"compose -p art-{identity} down --remove-orphans --timeout 10" in docker(root)
        assert f"image rm portside/art:{identity}" in docker(root)


def test_the_live_release_is_never_taken_away(root: Path) -> None:
    run(root, "discard", str(root), "art", "no", A, B, C)
    assert there(root) == {B}
    assert not [line for line in docker(root) if B in line]


def test_a_first_release_that_failed_is_not_live_any_more(root: Path) -> None:
    run(root, "discard", str(root), "art", "yes", B)
    assert there(root) == {A, C}
    assert not (root / "current").is_symlink()


def test_a_network_is_made_once(root: Path) -> None:
    assert run(root, "network", "portside-art", "art") == "unchanged it is there"
    absent = root.parent / "bin/docker"
    absent.write_text('#!/bin/sh\necho "$*" >>"$DOCKER_LOG"\n[ "$2" != inspect ]\n')
    assert run(root, "network", "portside-art", "art") == ""
    assert docker(root)[-1] == "network create --label portside.site=art portside-art"


def recorded(root: Path, identity: str, previous: str, age: int) -> None:
    path = root / "releases" / identity / "release.json"
    path.write_text(f'{{\n  "id": "{identity}",\n  "previous": "{previous}"\n}}\n')
    os.utime(path, (1e9 - age, 1e9 - age))


def test_pruning_keeps_the_live_release_the_one_before_and_the_newest(root: Path, tmp_path: Path) -> None:
    oldest = "20261101-000000-0000000"
    sample.files(root / "releases" / oldest, {"compose.yaml": ""})
    for age, (identity, previous) in enumerate([(C, B), (B, oldest), (A, ""), (oldest, "")]):
        recorded(root, identity, previous, age)
    run(root, "prune", str(root), "art", "1")
    assert there(root) == {B, C, oldest}
    assert run(root, "prune", str(root), "art", "1") == "unchanged nothing to take away"


def test_pruning_takes_what_was_never_good(root: Path) -> None:
    recorded(root, A, "", 1)
    recorded(root, B, A, 0)
    run(root, "prune", str(root), "art", "5")
    assert there(root) == {A, B}


def test_pruning_leaves_a_folder_of_another_name_alone(root: Path) -> None:
    sample.files(root / "releases/mine", {"note": ""})
    recorded(root, B, "", 0)
    run(root, "prune", str(root), "art", "5")
    assert there(root) == {B, "mine"}


def test_pruning_keeps_the_static_files_of_the_kept_releases(root: Path) -> None:
    """Also one that a release which goes has too, and whose link in the pool was that one's."""
    for age, identity in enumerate((C, B, A)):
        sample.files(root / "releases" / identity, {f"static/{identity}.css": "", "static/shared.css": identity})
        recorded(root, identity, "", age)
    (root / "static-pool").mkdir()
    for name in ("shared.css", f"{A}.css"):
        os.link(root / f"releases/{A}/static/{name}", root / f"static-pool/{name}")
    run(root, "prune", str(root), "art", "2")
    assert {path.name for path in (root / "static-pool").iterdir()} == {"x.css", "shared.css", f"{B}.css", f"{C}.css"}


def test_pruning_keeps_as_many_dumps_as_releases(root: Path) -> None:
    for age, name in enumerate(["before-3.dump", "before-2.dump", "before-1.dump", "mine.dump"]):
        sample.files(root / "backups", {name: ""})
        os.utime(root / "backups" / name, (1e9 - age, 1e9 - age))
    run(root, "prune", str(root), "art", "2")
    assert {path.name for path in (root / "backups").iterdir()} == {"before-3.dump", "before-2.dump", "mine.dump"}


def test_pruning_takes_what_a_transfer_left_a_day_ago(root: Path) -> None:
    room = root.parent / "room"
    sample.files(room, {"portside.old/x": "", "portside.new/x": "", "other.old/x": ""})
    for name in ("portside.old", "other.old"):
        os.utime(room / name, (1e9, 1e9))
    run(root, "prune", str(root), "art", "5")
    assert {path.name for path in room.iterdir()} == {"portside.new", "other.old"}


def test_a_release_comes_back_after_a_reboot_from_before_its_switch_on(root: Path) -> None:
    """A reboot between the switch and its end must find it."""
    (root.parent / "bin/docker").write_text(
        f'#!/bin/sh\necho "$(readlink {root}/current) $*" >>"$DOCKER_LOG"\n[ "$1" != ps ] || echo c1\n'
    )
    run(root, "switch", str(root), C, "art", "8099", "no", "art.test", "/", "")
    assert docker(root)[-1] == f"releases/{B} update --restart unless-stopped c1"
    assert (root / "current").readlink() == Path(f"releases/{C}")


def test_no_script_waits_by_the_clock() -> None:
    """Somebody may set it meanwhile."""
    assert not [path.name for path in REMOTE.glob("*.sh") if "date +%s" in path.read_text(encoding="utf-8")]


def finished(root: Path, docker_ps: str, old: str = "") -> list[str]:
    """What Docker is told when the live release is finished; ``docker_ps`` tells what it lists."""
    (root.parent / "bin/docker").write_text(f'#!/bin/sh\necho "$*" >>"$DOCKER_LOG"\n[ "$1" != ps ] || {docker_ps}\n')
    sample.files(root / "releases" / B, {"pending.json": "{}"})
    sample.files(root.parent / "files", {"release.json": '{"id": "x"}\n', "event": '{"event": "deploy"}\n'})
    run(root, "finish", str(root), "art", B, old, "0")
    return [line for line in docker(root) if not line.startswith("ps ")]


def test_a_finished_release_is_recorded_and_comes_back_after_a_reboot(root: Path) -> None:
    assert finished(root, "echo c1") == ["update --restart unless-stopped c1", "start c1"]
    assert (root / f"releases/{B}/release.json").read_text() == '{"id": "x"}\n'
    assert (root / "history.jsonl").read_text() == '{"event": "deploy"}\n'
    assert not (root / f"releases/{B}/pending.json").exists()


def test_the_static_files_of_a_finished_release_can_be_found_once_it_is_not_live_any_more(root: Path) -> None:
    finished(root, "echo c1")
    assert (root / "static-pool/x.css").read_text() == B


def test_a_release_that_a_power_cut_stopped_is_finished_too(root: Path) -> None:
    listed = "case $* in *-aq*) echo c1 ;; esac"
    assert finished(root, listed) == ["update --restart unless-stopped c1", "start c1"]


def test_a_release_that_can_not_start_any_more_keeps_nobody_from_deploying(root: Path) -> None:
    assert finished(root, "echo c1; [ $1 != start ]")[-1] == "start c1"
    assert (root / f"releases/{B}/release.json").exists()


def test_a_release_whose_containers_are_gone_is_recorded_all_the_same(root: Path) -> None:
    assert finished(root, "true") == []
    assert (root / f"releases/{B}/release.json").exists()


def test_the_release_before_is_stopped_and_kept(root: Path) -> None:
    told = finished(root, "case $* in *-q*) echo c0 ;; *) echo c1 ;; esac", old=A)
    assert told == ["update --restart unless-stopped c1", "start c1", "stop -t 40 c0"]
    assert '"left": 0}' in (root.parent / "answer").read_text()


def test_a_command_that_is_ended_leaves_no_container(root: Path) -> None:
    log, top = root.parent / "docker.log", root.parent
    (top / "bin/docker").write_text('#!/bin/sh\necho "$*" >>"$DOCKER_LOG"\n[ "$1" != compose ] || exec sleep 60\n')
    environment = {
        **os.environ, "PATH": f"{top}/bin:{os.environ['PATH']}", "DOCKER_LOG": str(log), "PORTSIDE": str(top),
    }  # fmt: skip
    script = '. "$PORTSIDE/remote/lib.sh"; manage c.yaml manage python manage.py migrate'
    run = subprocess.Popen(("sh", "-c", script), env=environment, start_new_session=True)
    while not log.exists():
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGTERM)
    assert run.wait(timeout=20) == 143
    (name,) = re.findall(r"--name (portside-manage-\w+) manage python manage\.py migrate", log.read_text())
    assert docker(root)[-1] == f"rm -f {name}"

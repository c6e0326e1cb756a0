"""What is removed and what stays: the scripts of remote/ that prune, run for real; a program stands in for Docker."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests import sample
from tests.remote import test_scripts
from tests.remote.test_scripts import A, B, C, docker, recorded, run, there

root = test_scripts.root
OLDEST = "20261101-000000-0000000"


def pruned(root: Path, keep: int, cache: str, *reserves: str) -> dict[str, Any]:
    """Runs prune.sh. Its answer."""
    run(root, "prune", root=root, site="art", keep=keep, cache=cache, reserves=reserves)
    answer: dict[str, Any] = json.loads((root.parent / "answer").read_text())
    return answer


def says(root: Path, script: str) -> None:
    """Has Docker note what it is told, and do this."""
    (root.parent / "bin/docker").write_text(f'#!/bin/sh\necho "$*" >>"$DOCKER_LOG"\n{script}\n')


def with_images(root: Path, *identities: str) -> None:
    """Four releases, the third live, of which these have their image."""
    sample.files(root / "releases" / OLDEST, {"compose.yaml": ""})
    for age, (identity, previous) in enumerate([(C, B), (B, A), (A, OLDEST), (OLDEST, "")]):
        recorded(root, identity, previous, age)
    says(root, f'[ "$1" != images ] || printf "%s\\n" {" ".join(identities)}')


@pytest.mark.parametrize(
    ("images", "kept"),
    [
        ((C, B, A, OLDEST), {C, B, A}),  # two, and the one before the live one
        ((B, OLDEST), {C, B, A, OLDEST}),
        ((C, B, OLDEST), {C, B, A}),
        ((C, OLDEST), {C, B, A, OLDEST}),
    ],
)
def test_a_release_without_its_image_does_not_count(images: tuple[str, ...], kept: set[str], root: Path) -> None:
    with_images(root, *images)
    pruned(root, 2, "10%")
    assert there(root) == kept


def test_a_static_release_needs_no_image(root: Path) -> None:
    with_images(root)
    for identity in (C, B, A, OLDEST):
        path = root / "releases" / identity / "release.json"
        when = path.stat().st_mtime
        path.write_text(path.read_text().replace("{", '{\n  "kind": "static",', 1))
        os.utime(path, (when, when))
    pruned(root, 2, "")
    assert there(root) == {C, B, A}


def test_where_docker_does_not_tell_its_images_all_count(root: Path) -> None:
    with_images(root)
    says(root, '[ "$1" != images ]')
    pruned(root, 2, "")
    assert there(root) == {C, B, A}


def test_what_is_removed_is_listed(root: Path) -> None:
    with_images(root, C, B, A, OLDEST)
    says(root, f'case $1 in images) ls {root}/releases ;; builder) printf "Total:\\t1.2GB\\n" ;; esac')
    for age, name in enumerate(["before-3.dump", "before-2.dump", "before-1.dump", "before-1.other.dump"]):
        sample.files(root / "backups", {name: ""})
        os.utime(root / "backups" / name, (1e9 - age, 1e9 - age))
    assert pruned(root, 2, "5g") == {"releases": [OLDEST], "dumps": 1, "cache": "1.2GB"}
    says(root, f'case $1 in images) ls {root}/releases ;; builder) printf "Total:\\t0B\\n" ;; esac')
    assert pruned(root, 2, "5g") == {"releases": [], "dumps": 0, "cache": ""}
    assert (root.parent / "result").read_text() == "unchanged nothing to remove\n"


@pytest.mark.parametrize(
    ("given", "offers", "told"),
    [
        ("5g", "--keep-storage bytes", "builder prune -f --keep-storage 5g"),
        ("5g", "--reserved-space bytes", "builder prune -f --reserved-space 5g"),
        ("0", "--keep-storage bytes", "builder prune -f --keep-storage 0"),
    ],
)
def test_the_build_cache_is_bounded(given: str, offers: str, told: str, root: Path) -> None:
    says(root, f'case $* in *--help) echo "{offers}" ;; esac')
    pruned(root, 2, given)
    assert told in docker(root)


def test_a_share_is_of_dockers_own_disk(root: Path, tmp_path: Path) -> None:
    says(root, f'[ "$1" != info ] || echo {tmp_path}')
    pruned(root, 2, "10%")
    size = os.statvfs(tmp_path)
    wanted = size.f_blocks * size.f_frsize // 10
    (told,) = [line for line in docker(root) if line.startswith("builder prune -f")]
    assert abs(int(told.split()[-1]) - wanted) <= 1024


def test_a_static_site_leaves_the_cache_of_others_alone(root: Path) -> None:
    pruned(root, 2, "")
    assert not [line for line in docker(root) if line.startswith("builder")]


def test_some_space_is_held_where_the_folder_is_there(root: Path) -> None:
    pruned(root, 2, "", str(root / "reserve"), str(root / "nowhere/reserve"))
    assert (root / "reserve").stat().st_size == 16 * 2**20
    assert not (root / "nowhere").exists()


def freed(root: Path, keep: str) -> dict[str, Any]:
    """Runs room.sh with locks of its own. Its answer."""
    script = root.parent / "remote/room.sh"
    script.write_text(sample.script_for("room", root.parent / "locks"))
    (root.parent / "locks").mkdir(exist_ok=True)
    run(root, "room", root=root, site="art", keep=keep, reserves=[f"{root}/reserve"])
    answer: dict[str, Any] = json.loads((root.parent / "answer").read_text())
    return answer


def test_room_is_made_of_cache_and_of_releases_that_are_too_many(root: Path) -> None:
    with_images(root, C, B, A, OLDEST)
    says(root, f'case $1 in images) ls {root}/releases ;; builder) printf "Total reclaimed space: 3GB\\n" ;; esac')
    sample.files(root, {"reserve": "x"})
    assert freed(root, "2") == {"releases": [OLDEST], "cache": "3GB"}
    assert there(root) == {C, B, A}
    assert "builder prune -af" in docker(root)
    assert "image prune -f --filter label=portside.site" in docker(root)
    assert (root / "reserve").exists()


def test_for_a_rollback_the_reserve_goes_and_no_release(root: Path) -> None:
    with_images(root, C, B, A, OLDEST)
    sample.files(root, {"reserve": "x"})
    assert freed(root, "") == {"releases": [], "cache": ""}
    assert not (root / "reserve").exists()
    assert there(root) == {C, B, A, OLDEST}


def test_while_something_is_under_way_no_release_goes(root: Path) -> None:
    with_images(root, C, B, A, OLDEST)
    (root.parent / "locks").mkdir()
    with (root.parent / "locks/site-art.work").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert freed(root, "2")["releases"] == []
    assert there(root) == {C, B, A, OLDEST}

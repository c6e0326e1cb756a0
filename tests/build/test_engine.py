"""The engine of this machine; a program of the test's stands in for the docker command."""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.build import engine
from deploy.build.engine import Engine
from deploy.build.image import Recipe
from deploy.core.errors import PortsideError, Refused
from tests import sample

RECIPE = Recipe(
    {"src/a": b"of a", "Dockerfile": b"FROM x"}, labels={"l": "1"}, arguments={"THEME": "da rk"}, secrets={"s": b"hush"}
)


def docker(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Engine:
    """An engine for amd64, and a docker command that does this."""
    program = sample.files(folder, {"bin/docker": f"#!/bin/sh\n{text}\n"}) / "bin/docker"
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    client: Any = SimpleNamespace(version=lambda: {"Arch": "amd64"})
    return Engine(client, {"DOCKER_HOST": "unix:///the.sock"})


def test_a_command_without_buildkit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="can't use BuildKit") as caught:
        docker(tmp_path, monkeypatch, "exit 1").check("linux/amd64")
    assert "package docker-buildx" in caught.value.hint


def test_no_command_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = docker(tmp_path, monkeypatch, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="the docker command isn't installed on this machine"):
        made.check("linux/amd64")


def test_another_architecture_is_refused_unless_it_is_emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = docker(tmp_path, monkeypatch, "true")
    alone.check("linux/amd64")
    with pytest.raises(
        Refused, match=r"the server is linux/arm64, but Docker on this machine builds only for linux/amd64"
    ) as caught:
        alone.check("linux/arm64")
    assert "emulation" in caught.value.hint
    told = 'if [ "$1" = buildx ]; then echo "Platforms: linux/amd64*, linux/arm64, linux/arm/v7"; fi'
    docker(tmp_path, monkeypatch, told).check("linux/arm64")


def test_a_build_gets_its_context_as_a_stream_and_no_value_on_its_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"""cd {tmp_path}; printf '%s\\n' "$@" >words; echo "$THEME $DOCKER_HOST $DOCKER_BUILDKIT" >environment
    for word in "$@"; do case $word in id=s,*) cat "${{word#*src=}}" >secret ;; esac; done
    cat >context.tar; echo building >&2"""
    lines: list[str] = []
    docker(tmp_path, monkeypatch, text).build(RECIPE, "x:1", "linux/arm64", lines.append, str)
    words = (tmp_path / "words").read_text().split("\n")
    assert words[:7] == ["build", "--progress", "plain", "--platform", "linux/arm64", "--tag", "x:1"]
    assert words[7:12] == ["--label", "l=1", "--build-arg", "THEME", "--secret"]
    assert words[13:16] == ["--file", "Dockerfile", "-"]
    assert (tmp_path / "environment").read_text() == "da rk unix:///the.sock 1\n"
    assert (tmp_path / "secret").read_text() == "hush"
    assert not Path(re.sub(r".*src=", "", words[12])).exists()
    with tarfile.open(tmp_path / "context.tar") as archive:
        assert archive.getnames() == ["src/a", "Dockerfile"]
    assert lines == ["building"]


def test_a_build_that_fails_says_what_it_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        PortsideError, match=r"Building the image on this machine failed. Docker printed:\n    no such thing"
    ):
        docker(tmp_path, monkeypatch, "echo no such thing >&2; exit 1").build(RECIPE, "x:1", "linux/amd64", print, str)


def test_a_build_that_fails_says_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = (
        "#3 [2/2] RUN pip install\\n#3 0.1 pg_config executable not found\\n#3 ERROR: exit code: 1\\n------\\nagain"
    )
    with pytest.raises(PortsideError, match="pg_config") as caught:
        docker(tmp_path, monkeypatch, f"printf '{printed}' >&2; exit 1").build(RECIPE, "x:1", "linux/amd64", print, str)
    assert "again" not in caught.value.message
    assert "psycopg2-binary" in caught.value.hint


def test_an_image_is_taken_out_piece_by_piece() -> None:
    client: Any = SimpleNamespace(api=SimpleNamespace(get_image=lambda tag: iter([tag.encode(), b"-", b"end"])))
    sink = io.BytesIO()
    Engine(client, {}).save("x:1", sink)
    assert sink.read() == b"x:1-end"


def test_none_answers_where_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert engine.find(timeout=5) is None
    with pytest.raises(Refused, match="no Docker Engine answers"):
        engine.needed()


def test_names_that_a_killed_run_left_are_taken_away_after_a_day() -> None:
    gone: list[str] = []
    tags = ["portside-build/art:1000-aa", "portside-build/art:90000-bb", "portside-build/art:mine", "other:1-a"]
    images = SimpleNamespace(list=lambda name: [SimpleNamespace(tags=tags)], remove=gone.append)
    client: Any = SimpleNamespace(images=images)
    Engine(client, {}).forget_older("portside-build/art:100000-cc")
    assert gone == tags[:1]


@pytest.mark.parametrize(("option", "told"), [("--reserved-space", "--reserved-space"), ("", "--keep-storage")])
def test_the_cache_is_bounded_by_the_option_that_buildx_has(
    option: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = f'case $* in *--help) echo "{option}" ;; *) echo "$*" >>{tmp_path}/told ;; esac'
    made = docker(tmp_path, monkeypatch, note)
    made.bound_cache("5g")
    assert (tmp_path / "told").read_text() == f"builder prune --force {told} 5g\n"


def test_a_share_is_of_this_machines_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = docker(tmp_path, monkeypatch, f'echo "$*" >>{tmp_path}/told')
    made.bound_cache("10%")
    assert (tmp_path / "told").read_text().split()[-1] == str(shutil.disk_usage("/").total // 10)


def test_only_the_sites_own_nameless_images_go() -> None:
    asked: list[dict[str, object]] = []
    client: Any = SimpleNamespace(images=SimpleNamespace(prune=asked.append))
    Engine(client, {}).forget_nameless("art")
    assert asked == [{"dangling": True, "label": "portside.site=art"}]

"""What is shipped of an image: which layers, compressed how, and from where on."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from hashlib import sha256
from pathlib import Path
from shutil import copyfileobj
from typing import IO

import pytest

from deploy.build import source
from deploy.build.image import Recipe
from deploy.core.errors import Refused
from deploy.flows import ship_image, tasks
from deploy.flows.ship_image import Blob, Image
from tests import sample
from tests.sample import Paper

ONE, OTHER = b"layer one " * 1000, b"another " * 1000


def name(content: bytes) -> str:
    return sha256(content).hexdigest()


def saved(*layers: bytes) -> tarfile.TarFile:
    """An archive as an old engine saves it: names tell nothing of the content, and the list comes last."""
    diffs = [f"sha256:{name(layer)}" for layer in layers]
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": diffs}}).encode()
    places = [f"{number:064}/layer.tar" for number in range(len(layers))]
    files = dict(zip(places, layers, strict=True)) | {"c.json": config}
    files["manifest.json"] = json.dumps([{"Config": "c.json", "RepoTags": ["x:1"], "Layers": places}]).encode()
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    sink.seek(0)
    return tarfile.open(fileobj=sink)


def blob(content: bytes, offset: int = 0) -> Blob:
    return ship_image.compress(name(content), io.BytesIO(content), io.BytesIO(), offset)


def test_layers_are_known_by_their_content_and_keep_their_order() -> None:
    with saved(ONE, OTHER, ONE) as archive:
        read = Image.read(archive)
    assert read.order == (name(ONE), name(OTHER), name(ONE))
    assert read.names == (name(ONE), name(OTHER))


def test_docker_is_given_each_layer_once_and_in_order() -> None:
    with saved(ONE, OTHER, ONE) as archive:
        read = Image.read(archive)
    release = sample.SITE.release(sample.NEW)
    step = ship_image.load(release, read)
    manifest = step.files["manifest.json"]
    assert isinstance(manifest, bytes)
    assert json.loads(manifest) == [
        {"Config": "config.json", "RepoTags": [release.image], "Layers": [name(ONE), name(OTHER), name(ONE)]}
    ]
    assert step.arguments["names"] == read.names
    assert step.files["config.json"] == read.config


def test_a_layer_is_compressed_to_the_same_bytes_each_time() -> None:
    one, again = blob(ONE), blob(ONE)
    assert (one.sum, one.size) == (again.sum, again.size)
    one.content.seek(0)
    packed = one.content.read()
    assert (gzip.decompress(packed), len(packed), name(packed)) == (ONE, one.size, one.sum)


@pytest.mark.parametrize("content", [gzip.compress(ONE, mtime=0), b"\x28\xb5\x2f\xfd and so on"])
def test_a_layer_that_is_compressed_already_travels_as_it_is(content: bytes) -> None:
    assert blob(content).sum == name(content)


def test_a_transfer_goes_on_where_it_broke_off() -> None:
    whole, rest = io.BytesIO(), io.BytesIO()
    told: list[str] = []
    ship_image.write([blob(ONE)], whole, told.append)
    ship_image.write([blob(ONE, 10)], rest, told.append)
    (line, content), (rest_line, rest_content) = (sink.getvalue().split(b"\n", 1) for sink in (whole, rest))
    size, packed = len(content), name(content)
    assert line.decode() == f"{name(ONE)} 0 {size} {packed}"
    assert rest_line.decode() == f"{name(ONE)} 10 {size - 10} {packed}"
    assert rest_content == content[10:]
    assert told == ["0.1 kB of 0.1 kB"] * 2


def test_what_is_longer_than_the_layer_is_sent_anew() -> None:
    assert blob(ONE, 100_000).offset == 0


@pytest.mark.parametrize(("build", "live"), [("server", False), ("local", True)])
def test_no_engine_is_asked_for_where_nothing_is_built_here(
    build: str, live: bool, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship_image.record, "is_live", lambda *_: live)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    run = sample.run(sample.settings(tmp_path, DEPLOY_BUILD=build), Paper(sample.provisioned()))
    run.facts, run.candidate.project = sample.provisioned(), source.find(run.settings, "", run.progress.stack)
    ship_image.check(run)


def test_without_an_engine_it_is_refused_before_anything_is_told(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    paper = Paper(sample.bare())
    run = sample.run(sample.settings(tmp_path, DEPLOY_BUILD="local"), paper)
    with pytest.raises(Refused, match="no Docker Engine answers on this machine") as caught:
        tasks.deploy(run)
    assert caught.value.state == "Nothing was changed."
    assert "Install and start Docker. Or set DEPLOY_BUILD=server" in caught.value.hint
    assert paper.told == []


class Docker:
    """Stands in for the engine of this machine: its image is of these layers."""

    def __init__(self, *layers: bytes) -> None:
        self.layers, self.done = layers, []  # type: ignore[var-annotated]

    def check(self, platform: str) -> None:
        self.done.append(f"check {platform}")

    def build(self, recipe: Recipe, tag: str, platform: str, say: object, mask: object) -> None:
        self.done.append(f"build {tag} {platform} {recipe.dockerfile}")

    def save(self, tag: str, sink: IO[bytes]) -> None:
        with saved(*self.layers) as archive:
            assert archive.fileobj
            archive.fileobj.seek(0)
            copyfileobj(archive.fileobj, sink)
        sink.seek(0)

    def forget(self, tag: str) -> None:
        self.done.append(f"forget {tag}")

    def forget_nameless(self, site: str) -> None:
        self.done.append(f"nameless {site}")

    def bound_cache(self, size: str) -> None:
        self.done.append(f"bound {size}")

    def forget_older(self, tag: str) -> None:
        self.done.append(f"older {tag}")

    def close(self) -> None: ...


def shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: dict[str, int], **given: str
) -> tuple[Paper, Docker]:
    docker, paper = Docker(ONE, OTHER), Paper(sample.provisioned())
    monkeypatch.setattr(ship_image, "_engine", lambda: docker)
    answer = paper._answer
    monkeypatch.setattr(paper, "_answer", lambda name, step: lacking if name == "layers" else answer(name, step))
    tasks.deploy(sample.run(sample.settings(tmp_path, DEPLOY_BUILD="local", **given), paper))
    return paper, docker


def test_an_image_is_built_here_and_what_is_lacking_sent(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper, docker = shipped(tmp_path, monkeypatch, {name(OTHER): 10})
    assert [done.split()[0] for done in docker.done] == ["check", "older", "build", "forget", "nameless"]
    assert docker.done[2].endswith(" linux/amd64 portside/Dockerfile")
    assert docker.done[2].startswith(f"build portside-build/{sample.SITE.name}:")
    assert paper.scripts[:3] == ["layers", "receive-layers", "load"]
    assert paper.sent.getvalue().startswith(f"{name(OTHER)} 10 ".encode())
    assert name(ONE).encode() not in paper.sent.getvalue()


def test_nothing_is_sent_where_no_layer_is_new(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper, _ = shipped(tmp_path, monkeypatch, {})
    assert paper.scripts[:2] == ["layers", "load"]


def test_the_cache_here_is_bounded_if_its_owner_says_so(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, docker = shipped(tmp_path, monkeypatch, {}, DEPLOY_BUILD_CACHE="5g")
    assert docker.done[-1] == "bound 5g"

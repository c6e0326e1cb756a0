"""Shipping: build an image on this machine, and send the server the layers that it lacks.

An image consists of layers, and most of them are the same as in the image before. The server keeps the layers of a
site's releases, so that a change of code alone sends very little. Layers of an interrupted transfer are kept too.
"""

from __future__ import annotations

import json
import os
import secrets
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from hashlib import sha256
from shutil import copyfileobj
from typing import IO, Any

from ..build import image
from ..core.compression import Gzip, Writer
from ..core.paths import ReleasePaths, Site
from ..core.report import Stage, count
from ..core.steps import Step, script
from ..releases import record
from ..ssh.results import Result
from . import ownership
from .context import Run

LOAD = "Load the image that was built on this machine"
COMPRESSED = (
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
)  # magic numbers of gzip and zstd, which Docker accepts
PIECE = 2**16


def check(run: Run) -> None:
    """Raises Refused if this machine can't build the image that the run needs."""
    if not run.request.flow.builds or run.settings.build != "local":
        return
    if not record.is_live(run.facts, run.settings, run.candidate.source):
        engine = _engine()
        engine.check(run.facts.platform)
        engine.close()


def make(run: Run, stage: Stage) -> list[Result]:
    """Build the release's image on this machine, send the server the layers that it lacks, and load the image there."""
    if run.request.dry_run:
        return run.apply(stage, [*ownership.claim_name(run), _load(run.candidate.paths)])
    with tempfile.TemporaryFile(dir=_temporary_folder()) as spool:
        _build(run, spool)
        with tarfile.open(fileobj=spool, mode="r:") as archive:
            packed = Image.read(archive)
            *_, asked = run.apply(stage, [*ownership.claim_name(run), missing_layers(run.site, packed.names)])
            _send(run, stage, packed, archive, asked.answer)
    return run.apply(stage, [load(run.candidate.paths, packed)])


def _engine() -> Any:
    from ..build import engine  # noqa: PLC0415 - every other task is faster without the Docker SDK

    return engine.needed()


def _build(run: Run, spool: IO[bytes]) -> None:
    """Build the image and write it as an archive. It has a name on this machine only until then; Docker's cache keeps
    its layers."""
    engine, platform, tag = _engine(), run.facts.platform, local_tag(run.site.name)
    engine.forget_older(tag)
    run.report.begin(f"Build the image on this machine for {platform}")
    over = image.overlay(run.settings, tag)
    try:
        for recipe in (image.recipe(run.settings, run.candidate.source, run.candidate.paths), over):
            if recipe:
                engine.build(recipe, tag, platform, run.report.output, run.report.mask)
        run.report.begin("Export the image from Docker")
        engine.save(tag, spool)
    finally:
        engine.forget(tag)
        engine.forget_nameless(run.site.name)
        if run.settings.build_cache:
            engine.bound_cache(run.settings.build_cache)
        engine.close()


def local_tag(site: str) -> str:
    """Return a unique name for an image on this machine, since several servers may be deployed to at once."""
    return f"portside-build/{site}:{time.time():.0f}-{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Image:
    """An image as ``docker save`` writes it. ``layers``: hash of a layer's content -> its path in the archive;
    ``order``: the hashes from bottom to top. A layer may occur twice."""

    config: bytes
    layers: Mapping[str, str]
    order: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.layers)

    @classmethod
    def read(cls, archive: tarfile.TarFile) -> Image:
        (manifest,) = json.loads(_content(archive, "manifest.json").read())
        config = _content(archive, manifest["Config"]).read()
        order = tuple(name.removeprefix("sha256:") for name in json.loads(config)["rootfs"]["diff_ids"])
        return cls(config, dict(zip(order, manifest["Layers"], strict=True)), order)


def _content(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)  # follows links
    if found is None:
        raise OSError(f"Docker's archive of the image has no {name}")
    return found


@dataclass(frozen=True)
class Blob:
    """A layer as it is sent: ``size`` bytes. The server already has the first ``offset`` bytes from an interrupted
    transfer."""

    name: str
    content: IO[bytes]
    size: int
    sum: str
    offset: int

    @property
    def line(self) -> bytes:
        return f"{self.name} {self.offset} {self.size - self.offset} {self.sum}\n".encode()


def compress(name: str, content: IO[bytes], sink: IO[bytes], offset: int = 0) -> Blob:
    """Compress a layer into ``sink``. The same layer gives the same bytes, so that a transfer can resume."""
    begin = content.read(4)
    content.seek(0)
    counted = _Counted(sink)
    if begin.startswith(COMPRESSED):
        copyfileobj(content, counted)
    else:
        with closing(Gzip(counted)) as packed:
            copyfileobj(content, packed)
    return Blob(name, sink, counted.size, counted.sum.hexdigest(), offset if offset < counted.size else 0)


class _Counted:
    """A writable file that records its size and hash."""

    def __init__(self, sink: Writer) -> None:
        self.sink, self.size, self.sum = sink, 0, sha256()

    def write(self, block: bytes, /) -> int:
        self.size += len(block)
        self.sum.update(block)
        self.sink.write(block)
        return len(block)


def missing_layers(site: Site, names: Sequence[str]) -> Step:
    """Return the step that asks which layers the server lacks. It answers with their names and the bytes it already
    has."""
    return script("Check which layers the server has", "layers", sign="", folder=site.layers, names=names)


def receive(site: Site, name: str) -> Step:
    """Return the step that receives layers, as :func:`write` sends them."""
    return script(name, "receive-layers", sign="+", folder=site.layers)


def load(release: ReleasePaths, packed: Image) -> Step:
    """Return the step that assembles Docker's archive from the layers on the server and loads it."""
    manifest = {"Config": "config.json", "RepoTags": [release.image], "Layers": list(packed.order)}
    files = {"config.json": packed.config, "manifest.json": json.dumps([manifest]).encode()}
    return _load(release, packed.names, files)


def _load(release: ReleasePaths, names: Sequence[str] = (), files: Mapping[str, bytes] | None = None) -> Step:
    # A plan must not show the image's environment: it may contain secrets.
    return script(
        LOAD,
        "load",
        sign="+",
        image=release.image,
        folder=release.site.layers,
        listing=release.layers,
        names=names,
        files=files,
        secret=True,
    )


def _send(run: Run, stage: Stage, packed: Image, archive: tarfile.TarFile, lacking: Mapping[str, int]) -> None:
    """Send what the server lacks, in one stream."""
    if not lacking:
        stage.note("no new layers")
        return
    with ExitStack() as files:
        blobs: list[Blob] = []
        for name, offset in lacking.items():
            run.report.begin(f"Compress layer {len(blobs) + 1} of {len(lacking)}")
            sink = files.enter_context(tempfile.TemporaryFile(dir=_temporary_folder()))
            blobs.append(compress(name, _content(archive, packed.layers[name]), sink, offset))
        sent, arrived = sum(blob.size - blob.offset for blob in blobs), sum(blob.offset for blob in blobs)
        many = f"{len(blobs)} of {count(len(packed.names), 'layer')}"
        step = receive(run.site, f"Send {many}, {readable(sent)}")
        run.server.send(step, lambda sink: write(blobs, sink, run.report.output), stage=stage.name)
    before = f" and had {readable(arrived)} of them" if arrived else ""
    stage.note(f"the server lacked {many}{before}: {readable(sent)} sent")


def write(blobs: Iterable[Blob], sink: IO[bytes], report: Callable[[str], None]) -> None:
    """Write blobs in the format that ``receive-layers.sh`` reads."""
    for blob in blobs:
        sink.write(blob.line)
        blob.content.seek(blob.offset)
        reported = 0
        while block := blob.content.read(PIECE):
            sink.write(block)
            done = 10 * blob.content.tell() // blob.size
            if done > reported:
                reported = done
                report(f"{readable(blob.content.tell())} of {readable(blob.size)}")


def readable(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _temporary_folder() -> str | None:
    """Return the folder for large temporary files: on many machines /tmp is in memory."""
    return "/var/tmp" if os.access("/var/tmp", os.W_OK) else None

"""The images of the practice server: pulled from Docker Hub, or, if it doesn't answer, built from Debian's packages.

The engine keeps all of them as ``portside-practice/*``. A built image has the fingerprint of its sources as a label,
and is rebuilt only if they change.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.images import Image as DockerImage

from deploy.practice.engine import FILES, LABEL, PracticeError, Progress, archive, connect, events
from deploy.practice.network import NETWORK

REPOSITORY = "portside-practice"
FINGERPRINT = f"{LABEL}.fingerprint"
SILENCE = 300
"""Seconds without output after which a build is given up."""


@dataclass(frozen=True)
class Image:
    """An image by name and tag. ``base``: the image that it is built on; ``official``: whether Docker Hub has it."""

    name: str
    base: str = ""
    official: bool = True

    @property
    def tag(self) -> str:
        return f"{REPOSITORY}/{self.name}"

    @property
    def folder(self) -> Path:
        return FILES / self.name.partition(":")[0]

    def files(self) -> dict[str, bytes]:
        """Return the files that it is built from, by name."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}


IMAGES = {
    image.name: image
    for image in (
        Image("debian:trixie-slim"),
        Image("debian:bookworm-slim"),
        Image("python:3.13-slim", base="debian:trixie-slim"),
        Image("postgres:17", base="debian:trixie-slim"),
        Image("redis:7", base="debian:trixie-slim"),
        Image("internet:trixie", base="debian:trixie-slim", official=False),
        Image("server:trixie", base="debian:trixie-slim", official=False),
        Image("server:bookworm", base="debian:bookworm-slim", official=False),
    )
}
PUBLISHED = ("debian:trixie-slim", "python:3.13-slim", "postgres:17", "redis:7")
"""Images that the practice registry offers under their official names."""


def ensure(engine: DockerClient, image: Image, progress: Progress) -> None:
    """Pull or build an image unless there is a current one. Raises PracticeError."""
    with progress.turn(image.name):
        if is_current(engine, image) or (image.official and hub_answers() and _pull(engine, image, progress)):
            return
        progress(f"{image.name}: building")
        if image.base:
            ensure(engine, IMAGES[image.base], progress)
            _build(engine, image, IMAGES[image.base].tag, progress)
        else:
            bare = _bootstrap(engine, image, progress)
            _build(engine, image, bare, progress)
            discard(engine, bare)


def is_current(engine: DockerClient, image: Image) -> bool:
    """Whether the engine has a current image. One from Docker Hub has no fingerprint and always counts."""
    found = _found(engine, image.tag)
    return found is not None and found.labels.get(FINGERPRINT) in (None, fingerprint(image))


def fingerprint(image: Image) -> str:
    """Return a hash (16 hex digits) of the image's sources: name, files, the laptop's authorities, base."""
    base = fingerprint(IMAGES[image.base]).encode() if image.base else (FILES / "bootstrap.sh").read_bytes()
    digest = hashlib.sha256(image.name.encode() + base)
    for name, content in sorted(_context(image).items()):
        digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]


@cache
def hub_answers() -> bool:
    """Whether the engine reaches Docker Hub. Checked once, within a few seconds."""
    try:
        connect(timeout=6).images.get_registry_data("debian:trixie-slim")
    except (DockerException, OSError):
        return False
    return True


def _pull(engine: DockerClient, image: Image, progress: Progress) -> bool:
    """Pull an image from Docker Hub; return whether that succeeded. Tags of the user's own images don't change."""
    had_it = _found(engine, image.name)
    repository, _, tag = image.name.partition(":")
    progress(f"{image.name}: pulling")
    try:
        stream = engine.api.pull(repository, tag, stream=True, decode=True)
        progress.follow(image.name, events(stream, f"{image.name} could not be pulled"))
        engine.images.get(image.name).tag(image.tag)
    except (PracticeError, DockerException) as error:
        progress(f"{image.name}: the pull failed, building a substitute ({str(error).splitlines()[0][:80]})")
        return False
    if not had_it:
        discard(engine, image.name)
    return True


def _build(engine: DockerClient, image: Image, base: str, progress: Progress) -> None:
    before = _found(engine, image.tag)
    stream = engine.api.build(
        fileobj=io.BytesIO(archive(_context(image))),
        custom_context=True,
        tag=image.tag,
        buildargs={"BASE": base},
        labels={LABEL: "image", FINGERPRINT: fingerprint(image)},
        network_mode=NETWORK,
        rm=True,
        forcerm=True,
        decode=True,
        timeout=SILENCE,
    )
    progress.follow(image.name, events(stream, f"{image.name} could not be built"))
    if before:
        discard(engine, str(before.id))


def _bootstrap(engine: DockerClient, image: Image, progress: Progress) -> str:
    """Import a Debian built from its packages; return its name. Raises PracticeError with the tool's last lines."""
    suite = image.name.partition(":")[2].removesuffix("-slim")
    argv = ["sh", str(FILES / "bootstrap.sh"), suite]
    with tempfile.TemporaryFile() as tar:
        process = subprocess.Popen(argv, stdout=tar, stderr=subprocess.PIPE, text=True)
        lines = progress.follow(image.name, process.stderr or ())
        if process.wait():
            raise PracticeError("\n    ".join([f"{image.name} could not be built:", *lines]))
        tar.seek(0)
        progress(f"{image.name}: importing")
        engine.api.import_image_from_stream(
            iter(lambda: tar.read(2**20), b""),
            repository=f"{REPOSITORY}/bootstrap",
            tag=suite,
            changes=[f"LABEL {LABEL}=image"],
        )
    return f"{REPOSITORY}/bootstrap:{suite}"


def _found(engine: DockerClient, name: str) -> DockerImage | None:
    try:
        return engine.images.get(name)
    except ImageNotFound:
        return None


def discard(engine: DockerClient, name: str) -> None:
    """Remove a tag or an untagged image, unless it is in use."""
    with contextlib.suppress(APIError):
        engine.images.remove(name)


def _context(image: Image) -> dict[str, bytes]:
    """Return the files of a build, by name."""
    return {**image.files(), "laptop-ca.crt": _authorities()}


@cache
def _authorities() -> bytes:
    """Return the certificate authorities that this machine trusts (PEM), because a network may inspect TLS."""
    named = (os.environ.get(name, "") for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    for path in (*named, ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt"):
        if path and Path(path).is_file():
            return Path(path).read_bytes()
    return b""

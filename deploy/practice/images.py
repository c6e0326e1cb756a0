"""The images of the practice server: pulled from Docker Hub where it answers, else built from Debian's packages.

All are kept in the engine as ``portside-practice/*``. A built one carries the fingerprint of what it was built from,
and is built again only when that changes.
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

from deploy.practice.engine import FILES, LABEL, PracticeError, Voice, archive, connect, events
from deploy.practice.network import NETWORK

REPOSITORY = "portside-practice"
FINGERPRINT = f"{LABEL}.fingerprint"
SILENCE = 300
"""Seconds a build may be silent before we give it up."""


@dataclass(frozen=True)
class Image:
    """An image by name and tag; ``base`` is the one it is built on, and ``official`` whether Docker Hub has it."""

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
        """What it is built of, by name."""
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
"""What the registry beside the servers offers under the official names."""


def ensure(engine: DockerClient, image: Image, voice: Voice) -> None:
    """Pulls or builds an image unless it is there as its files ask for. Raises PracticeError."""
    with voice.turn(image.name):
        if is_current(engine, image) or (image.official and hub_answers() and _pull(engine, image, voice)):
            return
        voice(f"{image.name}: building")
        if image.base:
            ensure(engine, IMAGES[image.base], voice)
            _build(engine, image, IMAGES[image.base].tag, voice)
        else:
            bare = _bootstrap(engine, image, voice)
            _build(engine, image, bare, voice)
            discard(engine, bare)


def is_current(engine: DockerClient, image: Image) -> bool:
    """Whether the engine has it. One from Docker Hub carries no fingerprint and is taken as it is."""
    found = _found(engine, image.tag)
    return found is not None and found.labels.get(FINGERPRINT) in (None, fingerprint(image))


def fingerprint(image: Image) -> str:
    """What the image is made of, as 16 hex digits: its name, its files, the laptop's authorities, its base."""
    base = fingerprint(IMAGES[image.base]).encode() if image.base else (FILES / "bootstrap.sh").read_bytes()
    digest = hashlib.sha256(image.name.encode() + base)
    for name, content in sorted(_context(image).items()):
        digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]


@cache
def hub_answers() -> bool:
    """Whether the engine reaches Docker Hub; asked once, for a few seconds at most."""
    try:
        connect(timeout=6).images.get_registry_data("debian:trixie-slim")
    except (DockerException, OSError):
        return False
    return True


def _pull(engine: DockerClient, image: Image, voice: Voice) -> bool:
    """Whether Docker Hub gave the image. The user's own images keep their names; ours get none but ours."""
    had_it = _found(engine, image.name)
    repository, _, tag = image.name.partition(":")
    voice(f"{image.name}: pulling")
    try:
        stream = engine.api.pull(repository, tag, stream=True, decode=True)
        voice.follow(image.name, events(stream, f"{image.name} could not be pulled"))
        engine.images.get(image.name).tag(image.tag)
    except (PracticeError, DockerException) as error:
        voice(f"{image.name}: Docker Hub refused it, building a stand-in ({str(error).splitlines()[0][:80]})")
        return False
    if not had_it:
        discard(engine, image.name)
    return True


def _build(engine: DockerClient, image: Image, base: str, voice: Voice) -> None:
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
    voice.follow(image.name, events(stream, f"{image.name} could not be built"))
    if before:
        discard(engine, str(before.id))


def _bootstrap(engine: DockerClient, image: Image, voice: Voice) -> str:
    """Imports a Debian made of its packages; its name. Raises PracticeError with the tool's last lines."""
    suite = image.name.partition(":")[2].removesuffix("-slim")
    argv = ["sh", str(FILES / "bootstrap.sh"), suite]
    with tempfile.TemporaryFile() as tar:
        process = subprocess.Popen(argv, stdout=tar, stderr=subprocess.PIPE, text=True)
        lines = voice.follow(image.name, process.stderr or ())
        if process.wait():
            raise PracticeError("\n    ".join([f"{image.name} could not be built:", *lines]))
        tar.seek(0)
        voice(f"{image.name}: importing")
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
    """Takes a name, or an unnamed image, away; what is still in use stays."""
    with contextlib.suppress(APIError):
        engine.images.remove(name)


def _context(image: Image) -> dict[str, bytes]:
    """The files a build gets, by name."""
    return {**image.files(), "laptop-ca.crt": _authorities()}


@cache
def _authorities() -> bytes:
    """The certificate authorities this machine trusts (PEM): a network may inspect TLS with one of its own."""
    named = (os.environ.get(name, "") for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    for path in (*named, ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt"):
        if path and Path(path).is_file():
            return Path(path).read_bytes()
    return b""

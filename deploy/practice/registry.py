"""Pushes images to the practice registry, under the same names as on Docker Hub."""

from __future__ import annotations

import http.client

from docker import DockerClient
from docker.models.containers import Container

from deploy.practice.engine import Progress, connect, events
from deploy.practice.images import IMAGES, Image, discard, ensure, fingerprint
from deploy.practice.internet import PORT
from deploy.practice.network import LOOPBACK

MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
MANIFESTS += ", application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json"


def publish(registry: Container, image: Image, progress: Progress) -> None:
    """Push the current image to the registry, unless it is there. Raises PracticeError.

    Its base is pushed first, because an engine doesn't send layers that the registry already has.
    """
    if image.base:
        publish(registry, IMAGES[image.base], progress)
    with progress.turn(f"{image.name} in the registry"):
        _publish(int(registry.labels[PORT]), image, progress)


def _publish(port: int, image: Image, progress: Progress) -> None:
    repository, _, tag = image.name.partition(":")
    marker = f"practice-{fingerprint(image)}"
    if _offers(port, repository, marker):
        return
    engine = connect()
    ensure(engine, image, progress)
    progress(f"{image.name}: pushing to the registry")
    # The marker comes last: it states that the tag has this fingerprint.
    for name in (tag, marker):
        _push(engine, image, f"{LOOPBACK}:{port}/library/{repository}", name, progress)


def _offers(port: int, repository: str, tag: str) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    connection.request("HEAD", f"/v2/library/{repository}/manifests/{tag}", headers={"Accept": MANIFESTS})
    return connection.getresponse().status == http.HTTPStatus.OK


def _push(engine: DockerClient, image: Image, repository: str, tag: str, progress: Progress) -> None:
    engine.images.get(image.tag).tag(repository, tag)
    try:
        stream = engine.api.push(repository, tag, stream=True, decode=True)
        progress.follow(image.name, events(stream, f"{image.name} could not be pushed to the registry"))
    finally:
        discard(engine, f"{repository}:{tag}")

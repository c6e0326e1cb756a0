"""Putting images into the registry beside the servers, under the names Docker Hub gives them."""

from __future__ import annotations

import http.client

from docker import DockerClient
from docker.models.containers import Container

from deploy.practice.engine import Voice, connect, events
from deploy.practice.images import IMAGES, Image, discard, ensure, fingerprint
from deploy.practice.internet import PORT
from deploy.practice.network import LOOPBACK

MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
MANIFESTS += ", application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json"


def publish(registry: Container, image: Image, voice: Voice) -> None:
    """Has the registry offer the image as its present files make it. Raises PracticeError.

    Its base goes first: of layers that the registry has, an engine sends only the names.
    """
    if image.base:
        publish(registry, IMAGES[image.base], voice)
    with voice.turn(f"{image.name} in the registry"):
        _publish(int(registry.labels[PORT]), image, voice)


def _publish(port: int, image: Image, voice: Voice) -> None:
    repository, _, tag = image.name.partition(":")
    marker = f"practice-{fingerprint(image)}"
    if _offers(port, repository, marker):
        return
    engine = connect()
    ensure(engine, image, voice)
    voice(f"{image.name}: to the registry")
    # The marker last: it says that the tag people use is what the fingerprint names.
    for name in (tag, marker):
        _push(engine, image, f"{LOOPBACK}:{port}/library/{repository}", name, voice)


def _offers(port: int, repository: str, tag: str) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    connection.request("HEAD", f"/v2/library/{repository}/manifests/{tag}", headers={"Accept": MANIFESTS})
    return connection.getresponse().status == http.HTTPStatus.OK


def _push(engine: DockerClient, image: Image, repository: str, tag: str, voice: Voice) -> None:
    engine.images.get(image.tag).tag(repository, tag)
    try:
        stream = engine.api.push(repository, tag, stream=True, decode=True)
        voice.follow(image.name, events(stream, f"{image.name} could not be put into the registry"))
    finally:
        discard(engine, f"{repository}:{tag}")

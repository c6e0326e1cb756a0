"""Snapshots of practice servers: their disks, kept as an image and a volume, from which other servers can start.

Such a server links to the files of image layers in the snapshot's volume, which it mounts read-only.
"""

from __future__ import annotations

import contextlib

from docker import DockerClient
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.volumes import Volume

from deploy.practice.engine import FILES, LABEL, checked
from deploy.practice.images import IMAGES, REPOSITORY, discard

KIND = "snapshot"
SHUTDOWN = 60
"""Seconds to wait for a server to shut down."""
# A copy gets its own identity and name server at its first boot.
FORGET = "rm -f /etc/ssh/ssh_host_* && : >/etc/machine-id && : >/etc/resolv.conf && sync"


def image_name(tag: str) -> str:
    return f"{REPOSITORY}/{KIND}:{tag}"


def volume_name(tag: str) -> str:
    return f"portside-{KIND}-{tag}"


def exists(engine: DockerClient, tag: str) -> bool:
    """Whether a complete snapshot exists. The image is made last."""
    try:
        engine.images.get(image_name(tag))
        engine.volumes.get(volume_name(tag))
    except (ImageNotFound, NotFound):
        return False
    return True


def take(engine: DockerClient, server: Container, disk: str, tag: str) -> None:
    """Shut the server down and save its disks. ``disk``: the volume of its /var/lib/docker. Raises PracticeError."""
    remove(engine, tag)
    checked(server, ("sh", "-c", FORGET))
    server.stop(timeout=SHUTDOWN)
    _copy(engine, "linked", disk, volume(engine, volume_name(tag), KIND))
    server.commit(f"{REPOSITORY}/{KIND}", tag)


def remove(engine: DockerClient, tag: str) -> None:
    """Remove a snapshot, even an incomplete one. Servers that started from it stay."""
    discard(engine, image_name(tag))
    with contextlib.suppress(NotFound, APIError):
        engine.volumes.get(volume_name(tag)).remove(force=True)


def tags(engine: DockerClient) -> list[str]:
    """Return every snapshot's tag, newest first."""
    found = engine.images.list(name=f"{REPOSITORY}/{KIND}")
    newest = sorted(found, key=lambda image: str(image.attrs["Created"]), reverse=True)
    return [name.rpartition(":")[2] for image in newest for name in image.tags if name.startswith(f"{REPOSITORY}/")]


def volume(engine: DockerClient, name: str, kind: str) -> Volume:
    """Create an empty volume of this name, replacing any other."""
    with contextlib.suppress(NotFound):
        engine.volumes.get(name).remove(force=True)
    return engine.volumes.create(name, labels={LABEL: kind})


def lend(engine: DockerClient, tag: str, to: Volume) -> str:
    """Fill an empty volume from the snapshot's; return the mount, ``SOURCE:TARGET:ro``, that its links point to."""
    _copy(engine, "borrowed", volume_name(tag), to)
    return f"{volume_name(tag)}:{_folder(volume_name(tag))}:ro"


def _folder(name: str | None) -> str:
    """Return the path of a volume for the links in the copies. It is the same in every container."""
    return f"/volumes/{name}/_data"


def _copy(engine: DockerClient, how: str, disk: str, to: Volume) -> None:
    """Copy a volume that no engine uses. The container mounts all volumes, because links can't cross a mount."""
    engine.containers.run(
        IMAGES["debian:trixie-slim"].tag,
        ["sh", "-c", (FILES / "copy-docker.sh").read_text(), "copy-docker.sh", how, _folder(disk), _folder(to.name)],
        volumes={f"{engine.info()['DockerRootDir']}/volumes": {"bind": "/volumes", "mode": "rw"}},
        cap_add=["SYS_ADMIN", "MKNOD"],  # for overlayfs' attributes and the device files that mark removed files
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        network_mode="none",
        labels={LABEL: KIND},
        remove=True,
    )

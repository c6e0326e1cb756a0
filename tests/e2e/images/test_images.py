"""Where the image comes from: built on this machine and shipped, or pulled by the server."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest
from docker import DockerClient
from docker.models.containers import Container

from deploy.practice import Practice
from deploy.practice.engine import archive, events
from deploy.practice.images import IMAGES, discard
from deploy.practice.network import LOOPBACK, NETWORK, endpoint
from tests import pki

from ..kit import small
from ..kit.inside import fingerprint, live, shell
from ..kit.laptop import Done
from ..kit.project import Project
from ..kit.visitors import ask
from ..kit.waiting import until

NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
LARGE = 100_000_000
IMAGE = "portside-e2e/shop:1"


def deploy(project: Project, env: dict[str, str], *, check: bool = True) -> Done:
    return project.fab("deploy", on=project.server, project=project, env=env, check=check)


def layers(done: Done) -> tuple[int, int, float]:
    """How many layers the server lacked, of how many, and the megabytes that were sent."""
    found = re.search(r"lacked (\d+) of (\d+) layers.*: ([0-9.]+) ([Mk])B sent", done.out)
    assert found, "the report doesn't say what was sent"
    return int(found[1]), int(found[2]), float(found[3]) / (1 if found[4] == "M" else 1000)


def at(project: Project) -> str:
    """The release that a visitor gets."""
    return str(json.loads(ask(project.server, project.domain).text)["release"])


def cached(project: Project) -> set[str]:
    """What is large in the server's cache of builds."""
    large = "docker buildx du 2>/dev/null | awk '/[0-9]MB/ && !/:/ {print $1}'"
    return set(shell(project.server, large).split())


# Built here


@pytest.fixture(scope="module")
def site(projects: Callable[[str], Project]) -> Project:
    made = projects("local")
    made.write(small.files("app", requirements="django>=5.2,<5.3\n"))  # all of the image is sent
    made.git("config", "core.compression", "0")
    made.commit("Begin")
    made.set(DEPLOY_DOMAINS="local.test", DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", SECRET_KEY="of-local")
    made.set(DEPLOY_BUILD="local")
    return made


@pytest.mark.core
def test_without_an_engine_here_nothing_is_changed(site: Project) -> None:
    before = fingerprint(site.server)
    done = deploy(site, NO_ENGINE, check=False)
    assert done.code == 2
    assert "DEPLOY_BUILD=local: no Docker Engine answers on this machine." in done.err
    assert "Nothing was changed." in done.err
    assert "DEPLOY_BUILD=server" in done.err
    assert fingerprint(site.server) == before


@pytest.mark.core
def test_the_image_is_built_here_and_shipped(site: Project, laptop: dict[str, str]) -> None:
    built = cached(site)
    done = deploy(site, laptop)
    lacked, of, sent = layers(done)
    assert lacked == of >= 3
    assert sent > 10
    assert at(site) == done.release == live(site.server, site.name)
    assert cached(site) == built, "nothing is built there"


@pytest.mark.core
def test_the_same_again_needs_no_engine(site: Project) -> None:
    assert "nothing to do" in deploy(site, NO_ENGINE).out


@pytest.mark.core
def test_of_a_change_of_code_only_its_layers_are_sent(site: Project, laptop: dict[str, str]) -> None:
    site.write({"app/hello/new.py": "NEW = True\n"})
    site.commit("A change of code")
    done = deploy(site, laptop)
    lacked, of, sent = layers(done)
    assert lacked == 1 < of
    assert sent < 0.1
    assert at(site) == done.release


def test_a_transfer_that_was_killed_goes_on_where_it_ended(site: Project, laptop: dict[str, str]) -> None:
    (site.root / "app/large.bin").write_bytes(os.urandom(LARGE))
    site.commit("A large file")
    before = live(site.server, site.name)
    run = site.fab.start("deploy", on=site.server, project=site, env=laptop)
    parts = f"stat -c %s /srv/portside/{site.name}/layers/*.part 2>/dev/null || echo 0"
    until(lambda: int(shell(site.server, parts)) > LARGE // 20, "a part of the layer", 200)
    run.process.kill()
    run.process.wait()
    assert live(site.server, site.name) == before
    arrived = int(shell(site.server, parts))
    assert LARGE // 20 < arrived < LARGE * 1.01, "a part of it; all of it, where the laptop was slower to die"
    done = deploy(site, laptop)
    _, _, sent = layers(done)
    assert "and had " in done.out
    assert sent < (LARGE * 1.01 - arrived) / 1e6 + 1
    assert at(site) == done.release != before
    assert not shell(site.server, f"ls /srv/portside/{site.name}/layers | grep part", check=False)


def test_what_was_shipped_can_be_gone_back_to(site: Project) -> None:
    site.fab("rollback", on=site.server, project=site, check=True)
    assert at(site) == live(site.server, site.name)


def test_nothing_of_it_stays_here(site: Project, engine: DockerClient) -> None:
    tags = [tag for image in engine.images.list() for tag in image.tags]
    # Of the one that was killed its name stays for a day.
    assert len([tag for tag in tags if tag.startswith(f"portside-build/{site.name}:")]) <= 1
    assert not [path for path in Path("/var/tmp").glob("portside-*") if path.stat().st_size > 1e6]


# Pulled


@dataclass
class Registry:
    """A registry that asks for credentials, of which the server trusts the certificate."""

    engine: DockerClient
    container: Container
    host: str
    user: str
    password: str

    def push(self, name: str, tag: str) -> str:
        """Offer an image of this machine's; what the server calls it."""
        self.container.reload()
        port = self.container.ports["5000/tcp"][0]["HostPort"]
        here = f"{LOOPBACK}:{port}/shop"
        self.engine.images.get(name).tag(here, tag)
        who = {"username": self.user, "password": self.password}
        list(events(self.engine.api.push(here, tag, auth_config=who, stream=True, decode=True), "no push"))
        self.engine.images.remove(f"{here}:{tag}")
        return f"{self.host}:5000/shop:{tag}"


@pytest.fixture(scope="module")
def registry(server: Practice, engine: DockerClient) -> Iterator[Registry]:
    host, user, password = f"private-{server.name}", "robot", secrets.token_hex(16)
    own = pki.issued(host)
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    made = engine.containers.create(
        IMAGES["internet:trixie"].tag,
        command=["docker-registry", "serve", "/etc/docker/registry/config.yml"],
        name=f"portside-{host}",
        environment={
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_REALM": "private",
            "REGISTRY_AUTH_HTPASSWD_PATH": "/srv/htpasswd",
            "REGISTRY_HTTP_TLS_CERTIFICATE": "/srv/tls.pem",
            "REGISTRY_HTTP_TLS_KEY": "/srv/tls.key",
        },
        ports={"5000/tcp": (LOOPBACK, None)},
        network=NETWORK,
        networking_config={NETWORK: endpoint(engine, host, "")},
    )
    try:
        files = {"htpasswd": f"{user}:{hashed}\n", "tls.pem": own.chain, "tls.key": own.key}
        made.put_archive("/srv", archive({name: text.encode() for name, text in files.items()}))
        made.start()
        trust = 'mkdir -p "/etc/docker/certs.d/$1:5000" && printf %s "$2" >"/etc/docker/certs.d/$1:5000/ca.crt"'
        shell(server, trust, host, own.root)
        yield Registry(engine, made, host, user, password)
    finally:
        made.remove(force=True, v=True)


DOCKERFILE = f"""\
FROM {IMAGES["python:3.13-slim"].tag}
RUN pip install --quiet --no-cache-dir "django>=5.2,<5.3" gunicorn
WORKDIR /code
COPY . .
"""


def build(engine: DockerClient, dockerfile: str, files: dict[str, str]) -> str:
    """An image on this machine, as a CI job may make it."""
    context = {name: text.encode() for name, text in {**files, "Dockerfile": dockerfile}.items()}
    before = engine.images.list(name=IMAGE)
    stream = engine.api.build(
        fileobj=io.BytesIO(archive(context)), custom_context=True, tag=IMAGE, network_mode=NETWORK, rm=True, decode=True
    )
    list(events(stream, "the image can't be built"))
    for image in before:
        discard(engine, str(image.id))
    return IMAGE


@pytest.fixture(scope="module")
def pushed(registry: Registry, engine: DockerClient) -> Iterator[str]:
    """What the server calls the image that it pulls. Its manage.py lies below its working folder."""
    yield registry.push(build(engine, DOCKERFILE, small.files("web")), "1")
    engine.images.remove(IMAGE, force=True)


@pytest.fixture(scope="module")
def shop(projects: Callable[[str], Project], pushed: str) -> Project:
    """A folder with nothing but a .env."""
    made = projects("shop")
    made.set(DEPLOY_DOMAINS="shop.test", DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", SECRET_KEY="of-the-shop")
    made.set(DEPLOY_BUILD=pushed)
    return made


def record(project: Project) -> dict[str, str]:
    text = shell(project.server, 'cat "/srv/portside/$1/current/release.json"', project.name)
    return dict(json.loads(text))


def test_without_credentials_an_image_is_refused(shop: Project) -> None:
    done = deploy(shop, NO_ENGINE, check=False)
    assert done.code == 1
    assert "The image can't be pulled." in done.err
    assert "DEPLOY_REGISTRY_USER" in done.err
    assert not shell(shop.server, 'ls "/srv/portside/$1/releases"', shop.name, check=False)


def test_an_image_is_pulled_and_no_project_is_needed(shop: Project, registry: Registry) -> None:
    shop.set(DEPLOY_REGISTRY_USER=registry.user, DEPLOY_REGISTRY_PASSWORD=registry.password)
    done = deploy(shop, NO_ENGINE)
    assert at(shop) == done.release
    assert re.fullmatch(rf"{registry.host}:5000/shop@sha256:[0-9a-f]{{64}}", record(shop)["pulled"])
    assert record(shop)["source"] == record(shop)["pulled"].rpartition(":")[2]
    assert registry.password not in done.text


def test_credentials_stay_nowhere(shop: Project, registry: Registry) -> None:
    both = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
    for secret in (registry.password, both):
        where = "/etc /root /home /srv /run /tmp /var"
        found = shell(shop.server, f'grep -rlsF -e "$1" {where} --exclude-dir=overlay2', secret, check=False)
        assert found == ""
        assert shell(shop.server, 'journalctl --no-pager | grep -cF -e "$1"', secret, check=False).strip() == "0"
    assert not shell(shop.server, "ls /root/.docker/config.json /home/*/.docker/config.json 2>/dev/null", check=False)


def test_a_tag_that_did_not_move_is_nothing_to_do(shop: Project) -> None:
    done = deploy(shop, NO_ENGINE)
    assert "nothing to do" in done.out
    assert done.release == at(shop)


def test_a_tag_that_moved_is_a_new_release(shop: Project, registry: Registry, engine: DockerClient) -> None:
    before, old = record(shop), at(shop)
    registry.push(build(engine, DOCKERFILE, small.files("web") | {"web/hello/new.py": ""}), "1")
    done = deploy(shop, NO_ENGINE)
    assert at(shop) == done.release != old
    assert record(shop)["pulled"] != before["pulled"]
    names = shell(shop.server, "docker images --format '{{.Repository}}:{{.Tag}}'").split()
    assert [name for name in names if "shop" in name and "portside/shop:" not in name] == []
    assert not [name for name in names if "<none>" in name]


def test_an_image_that_is_live_by_its_digest_is_not_pulled_again(shop: Project) -> None:
    with shop.with_settings(DEPLOY_BUILD=record(shop)["pulled"]):
        deploy(shop, NO_ENGINE)
        told = shop.fab("plan", on=shop.server, project=shop, check=True)
    assert "nothing to do" in told.out


def test_an_image_without_gunicorn_is_refused_by_name(shop: Project, registry: Registry, engine: DockerClient) -> None:
    old = at(shop)
    bare = DOCKERFILE + "RUN pip uninstall --quiet --yes gunicorn\n"
    with shop.with_settings(DEPLOY_BUILD=registry.push(build(engine, bare, small.files("web")), "bare")):
        done = deploy(shop, NO_ENGINE, check=False)
    assert done.code == 2
    assert "The image has no gunicorn" in done.err
    assert at(shop) == old

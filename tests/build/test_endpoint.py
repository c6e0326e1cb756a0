"""Which engine is used: the contexts are files as the docker command writes them."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from docker.errors import DockerException

from deploy.build import endpoint, engine
from deploy.core.errors import Refused
from deploy.practice import engine as practice
from tests import pki

PLAIN = {"DOCKER_TLS": "", "DOCKER_TLS_VERIFY": "", "DOCKER_CERT_PATH": ""}
PEMS = ("ca.pem", "cert.pem", "key.pem")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing is chosen and no engine has a socket. If the environment names authorities, requests
    would believe those rather than the one that it is told."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", *PLAIN):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def context(
    home: Path, name: str, host: str, *, use: bool = False, tls: Path | None = None, verify: bool = True
) -> Path:
    """Make a context. Returns the folder of its certificates."""
    folder = home / ".docker/contexts"
    key = sha256(name.encode()).hexdigest()
    meta = folder / "meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    docker = {"Host": host, "SkipTLSVerify": not verify}
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": docker}}))
    (home / ".docker/config.json").write_text(json.dumps({"currentContext": name} if use else {}))
    kept = folder / "tls" / key / "docker"
    if tls:
        kept.mkdir(parents=True)
        for pem in PEMS:
            shutil.copy(tls / pem, kept)
    return kept


def found(*, here: bool = False) -> list[dict[str, str]]:
    return list(endpoint.endpoints(here=here))


def sockets(monkeypatch: pytest.MonkeyPatch, home: Path) -> list[dict[str, str]]:
    """Have two usual sockets there; returns what they come to."""
    for name in ("one.sock", "two.sock"):
        (home / name).touch()
    places = (f"{home}/one.sock", f"{home}/none.sock", f"{home}/two.sock")
    monkeypatch.setattr(endpoint, "_sockets", lambda: places)
    return [{"DOCKER_HOST": f"unix://{home}/{name}", **PLAIN} for name in ("one.sock", "two.sock")]


def test_where_nothing_is_chosen_the_usual_sockets_are_tried(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "/var/run/docker.sock" in endpoint._sockets()
    assert f"{home}/run/docker.sock" in endpoint._sockets()
    usual = sockets(monkeypatch, home)
    assert found() == usual
    context(home, "other", "tcp://192.0.2.1:2375")
    assert found() == usual, "it isn't in use"
    (home / ".docker/config.json").write_text('{"currentContext": "default"}')
    assert (found(), endpoint.in_use()) == (usual, "")


def test_docker_host_wins_over_contexts_and_sockets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets(monkeypatch, home)
    context(home, "other", "tcp://192.0.2.1:2375", use=True)
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.9:2375")
    assert found() == found(here=True) == [{"DOCKER_HOST": "tcp://192.0.2.9:2375"}]
    assert endpoint.in_use() == ""
    monkeypatch.setenv("DOCKER_HOST", "")
    assert found() == [{"DOCKER_HOST": "tcp://192.0.2.1:2375", **PLAIN}]


def test_the_context_in_use_is_the_only_one_tried(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets(monkeypatch, home)
    context(home, "used", "unix:///used.sock", use=True)
    assert found() == found(here=True) == [{"DOCKER_HOST": "unix:///used.sock", **PLAIN}]
    context(home, "elsewhere", "tcp://127.0.0.1:1", use=True)
    assert found() == [{"DOCKER_HOST": "tcp://127.0.0.1:1", **PLAIN}]
    with pytest.raises(Refused, match="no Docker Engine answers in Docker's context “elsewhere”") as caught:
        engine.needed()
    assert "docker context ls" in caught.value.hint


def test_docker_context_wins_over_the_one_in_use(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = sockets(monkeypatch, home)
    context(home, "named", "ssh://ann@web.example")
    context(home, "used", "unix:///used.sock", use=True)
    monkeypatch.setenv("DOCKER_CONTEXT", "named")
    assert found() == [{"DOCKER_HOST": "ssh://ann@web.example", **PLAIN}]
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert found() == usual


def test_a_context_that_is_not_there_or_not_to_be_read_is_no_engine(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets(monkeypatch, home)
    context(home, "broken", "unix:///used.sock", use=True)
    monkeypatch.setenv("DOCKER_CONTEXT", "misspelt")
    assert found() == []
    monkeypatch.delenv("DOCKER_CONTEXT")
    next((home / ".docker/contexts/meta").glob("*/meta.json")).write_text("{")
    assert found() == []
    assert engine.find(timeout=5) is None


def test_a_practice_server_is_on_this_machine_whatever_context_is_in_use(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = sockets(monkeypatch, home)
    context(home, "production", "ssh://root@web.example", use=True)
    assert found(here=True) == usual
    asked: list[bool] = []
    monkeypatch.setattr(practice, "find", lambda timeout, *, here: asked.append(here))
    with pytest.raises(practice.NoEngine):
        practice.connect()
    assert asked == [True]


# An engine that asks for a client's certificate


class Answers(BaseHTTPRequestHandler):
    """What an engine says first."""

    def do_GET(self) -> None:
        said = b"OK" if self.path.endswith("/_ping") else b'{"ApiVersion": "1.44", "Version": "28.1", "Arch": "amd64"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root, and a client's certificate and key."""
    folder, client = tmp_path_factory.mktemp("pems"), pki.issued("client.example")
    for name, text in zip(PEMS, (client.root, client.chain, client.key), strict=True):
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def guarded(pems: Path, tmp_path: Path) -> Iterator[str]:
    """The address of an engine that answers only clients with a certificate."""
    server = pki.issued("localhost")
    (tmp_path / "server.pem").write_text(server.chain + server.key)
    asks = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pems / "ca.pem"))
    asks.verify_mode = ssl.CERT_REQUIRED
    asks.load_cert_chain(tmp_path / "server.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        listening.socket = asks.wrap_socket(listening.socket, server_side=True)
        listening.handle_error = lambda *_: None  # type: ignore[method-assign]
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"tcp://localhost:{listening.server_port}"
        listening.shutdown()


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("verify", [True, False])
def test_a_contexts_certificates_are_shown(verify: bool, guarded: str, pems: Path, home: Path) -> None:
    kept = context(home, "guarded", guarded, use=True, tls=pems, verify=verify)
    told = {"DOCKER_TLS": "", "DOCKER_TLS_VERIFY": "1"} if verify else {"DOCKER_TLS": "1", "DOCKER_TLS_VERIFY": ""}
    assert found() == [{"DOCKER_HOST": guarded, "DOCKER_CERT_PATH": str(kept), **told}]
    answers = engine.find(timeout=20)
    assert answers
    assert answers.platform == "linux/amd64"
    assert {name: answers._environment()[name] for name in found()[0]} == found()[0]
    answers.close()


def test_without_them_or_by_another_authority_it_is_no_engine(guarded: str, pems: Path, home: Path) -> None:
    context(home, "bare", guarded, use=True)
    assert engine.find(timeout=20) is None
    kept = context(home, "guarded", guarded, use=True, tls=pems)
    other, *_ = pki._authority.__wrapped__()
    (kept / "ca.pem").write_text(pki._pem(other))
    with pytest.raises(DockerException, match="certificate verify failed"):
        endpoint.client(found()[0], 20).ping()
    assert engine.find(timeout=20) is None


@pytest.mark.skipif(not shutil.which("docker"), reason="no docker command here")
def test_the_docker_command_makes_such_contexts(home: Path, pems: Path) -> None:
    ca, cert, key = (f"{word}={pems / pem}" for word, pem in zip(("ca", "cert", "key"), PEMS, strict=True))
    made = {"plain": "host=unix:///made.sock", "guarded": f"host=tcp://192.0.2.1:2376,{ca},{cert},{key}"}
    for name, words in made.items():
        docker("context", "create", name, "--docker", words)
    docker("context", "use", "plain")
    assert found() == [{"DOCKER_HOST": "unix:///made.sock", **PLAIN}]
    docker("context", "use", "guarded")
    (told,) = found()
    assert told["DOCKER_HOST"] == "tcp://192.0.2.1:2376"
    assert told["DOCKER_TLS_VERIFY"] == "1"
    assert {path.name for path in Path(told["DOCKER_CERT_PATH"]).iterdir()} == set(PEMS)
    docker("context", "use", "default")
    assert endpoint.in_use() == ""


def docker(*words: str) -> None:
    subprocess.run(("docker", *words), env=os.environ, check=True, capture_output=True)


# By SSH


@pytest.mark.parametrize("there", [True, False])
def test_an_engine_behind_ssh_is_reached_by_the_program_ssh_if_there_is_one(
    there: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr("docker.from_env", asked.update)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if there else None)
    context(home, "far", "ssh://ann@web.example:2222", use=True)
    endpoint.client(found()[0], 20)
    assert (asked["use_ssh_client"], asked["timeout"]) == (there, 20)
    assert asked["environment"]["DOCKER_HOST"] == "ssh://ann@web.example:2222"  # type: ignore[index]

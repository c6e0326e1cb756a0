"""What the practice server decides without an engine. That it works is for tests/e2e to show."""

from __future__ import annotations

import json
import struct
import threading
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Network
from pathlib import Path
from socketserver import UnixStreamServer

import pytest
from docker import DockerClient
from docker.models.containers import Container

from deploy.practice import PracticeError, up
from deploy.practice.access import entry, known_lines, without_host, without_port
from deploy.practice.create import COLLISION, choose_address, daemon_json
from deploy.practice.engine import Cancelled, Progress, event_lines, events, run
from deploy.practice.images import IMAGES, fingerprint
from deploy.practice.internet import services
from deploy.practice.network import free_subnet, routes

SUBNET = IPv4Network("10.213.7.0/24")


def test_subnet_avoids_what_is_taken() -> None:
    taken = [IPv4Network("10.213.0.0/23"), IPv4Network("172.17.0.0/16")]
    assert free_subnet(taken) == IPv4Network("10.213.2.0/24")


def test_subnet_refused_where_none_is_free() -> None:
    with pytest.raises(PracticeError, match=r"10\.213"):
        free_subnet([IPv4Network("10.0.0.0/8")])


def test_routes_are_read_from_the_kernels_table(tmp_path: Path) -> None:
    table = tmp_path / "route"
    table.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n"
        "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n"
    )
    assert list(routes(table)) == [(IPv4Network("0.0.0.0/0"), "eth0"), (IPv4Network("172.17.0.0/16"), "docker0")]
    assert list(routes(tmp_path / "absent")) == []


def test_first_server_keeps_the_address_that_names_lead_to() -> None:
    assert choose_address("practice", SUBNET, set()) == "10.213.7.10"
    assert choose_address("scratch", SUBNET, {"10.213.7.11"}) == "10.213.7.12"
    challenges = {service.name: service for service in services(SUBNET)}["challenges"]
    assert challenges.command[-1] == "10.213.7.10"


@pytest.mark.parametrize(
    ("said", "collides"),
    [
        ("Address already in use", True),
        ("driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:8445 failed", True),
        ("cannot expose privileged port 80", True),
        ("Ports are not available: exposing port TCP 127.0.0.1:80", True),
        ("failed to create task for container portside-server-x: no space left on device", False),
    ],
)
def test_a_server_goes_elsewhere_only_where_its_place_is_taken(said: str, collides: bool) -> None:
    assert bool(COLLISION.search(said)) is collides


def test_ssh_config_holds_each_server_once() -> None:
    config = entry("practice", 2201) + entry("scratch", 2202)
    again = without_host(config, "practice") + entry("practice", 2203)
    assert again == entry("scratch", 2202) + entry("practice", 2203)
    assert without_host(entry("practice", 2201), "practice") == ""


def test_known_hosts_forget_one_port_only() -> None:
    known = known_lines(2201, "ssh-ed25519 AAAA root@practice\n") + known_lines(22011, "ssh-rsa BBBB root@other\n")
    assert without_port(known, 2201) == "[127.0.0.1]:22011 ssh-rsa BBBB\n"


def test_engine_settings_fit_the_network_and_the_docker() -> None:
    plain, narrow, old = daemon_json(1500, "trixie"), daemon_json(1400, "trixie"), daemon_json(1400, "bookworm")
    assert json.loads(plain) == {
        "registry-mirrors": ["http://registry:5000"],
        "insecure-registries": ["registry:5000"],
    }
    assert json.loads(narrow)["default-network-opts"]["bridge"] == {"com.docker.network.driver.mtu": "1400"}
    assert json.loads(old)["mtu"] == 1400
    assert "default-network-opts" not in json.loads(old)


def test_a_changed_base_changes_what_is_built_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(IMAGES["server:trixie"])
    assert before == fingerprint(IMAGES["server:trixie"]) != fingerprint(IMAGES["server:bookworm"])
    monkeypatch.setattr("deploy.practice.images._authorities", lambda: b"another authority")
    assert fingerprint(IMAGES["server:trixie"]) != before


def test_an_engines_event_is_told_in_short() -> None:
    assert event_lines({"stream": "\x1b[91mSetting up\x1b[0m\n ---> 2ed1aa3f09d5\n"}) == ["Setting up"]
    moved = {"status": "Pushing", "progressDetail": {"current": 2e6, "total": 9e6}, "progress": "[==>   ]"}
    assert event_lines(moved) == ["pushing 2 of 9 MB"]


def test_an_engines_error_carries_the_lines_before_it() -> None:
    stream = [{"stream": "Step 1/2 : RUN false\n"}, {"error": "returned a non-zero code: 1"}]
    with pytest.raises(PracticeError, match=r"not built: returned a non-zero code: 1\n +Step 1/2"):
        list(events(stream, "not built"))


class OneCommand(BaseHTTPRequestHandler):
    """An engine that runs one command, whose output it sends together with the headers of its answer."""

    inspected = 0

    def log_message(self, *_: object) -> None:
        """To nobody."""

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.rfile.read(length)
        if self.path.endswith("/start"):
            frames = ((1, b"a  b\n"), (2, b"c\n"), (1, b"d" * 100_000))
            told = b"".join(struct.pack(">BxxxL", stream, len(text)) + text for stream, text in frames)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n" + told)
        else:
            self._tell({"Id": "e1"})

    def do_GET(self) -> None:
        """How it ended, which is known only when asked again."""
        type(self).inspected += 1
        running = type(self).inspected == 1
        self._tell({"Running": running, "ExitCode": None if running else 3})

    def _tell(self, what: dict[str, object]) -> None:
        text = json.dumps(what).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)


def test_nothing_of_what_a_command_prints_is_lost(tmp_path: Path) -> None:
    with UnixStreamServer(str(tmp_path / "engine"), OneCommand) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = DockerClient(f"unix://{tmp_path}/engine", version="1.41")
        container = Container({"Id": "c1", "Name": "/c1"}, client)
        assert run(container, ("true",)) == (3, "a  b\n" + "d" * 100_000, "c\n")
        client.close()
        server.shutdown()


def test_a_cut_voice_ends_whoever_follows() -> None:
    progress = Progress(print)
    assert progress.follow("topic", ["one ", "", "two"]) == ["one", "two"]
    progress.cancel()
    with pytest.raises(Cancelled):
        progress.follow("topic", ["one"])


@pytest.mark.parametrize(("name", "debian"), [("Practice", "trixie"), ("a b", "trixie"), ("practice", "sid")])
def test_odd_names_are_refused_before_anything_is_asked(name: str, debian: str) -> None:
    with pytest.raises(PracticeError, match="No practice server"):
        up(name, debian)

"""The SSH transport, against paramiko's own server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EOF

from deploy.ssh.transport import Transport


class Everybody(paramiko.ServerInterface):
    """Lets everybody in, and open sessions."""

    def check_auth_none(self, username: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class Pair:
    """A transport of ours and the server at its other end."""

    def __init__(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        listener.close()
        self.ours, self.theirs = Transport(self.near), paramiko.Transport(far)
        self.theirs.add_server_key(paramiko.ECDSAKey.generate())
        self.theirs.start_server(threading.Event(), Everybody())
        self.ours.start_client()
        self.ours.auth_none("anybody")

    def session(self) -> tuple[paramiko.Channel, paramiko.Channel]:
        ours = self.ours.open_session()
        theirs = self.theirs.accept(10)
        assert theirs
        return ours, theirs


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.ours.close()
    made.theirs.close()


def message(kind: int, number: int, text: bytes = b"") -> paramiko.Message:
    made = paramiko.Message()
    made.add_byte(bytes([kind]))
    made.add_int(number)
    if text:
        made.add_string(text)
    return made


def test_what_is_sent_leaves_at_once(pair: Pair) -> None:
    assert pair.near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_channel_carries_what_is_sent_and_its_end(pair: Pair) -> None:
    ours, theirs = pair.session()
    ours.sendall(b"a" * 100_000)
    ours.shutdown_write()
    assert theirs.makefile("rb").read() == b"a" * 100_000


@pytest.mark.parametrize("late", [(MSG_CHANNEL_DATA, b"late"), (MSG_CHANNEL_EOF, b"")])
@pytest.mark.parametrize("closed_by", ["us", "them"])
def test_nothing_is_sent_to_a_channel_that_is_closed(pair: Pair, closed_by: str, late: tuple[int, bytes]) -> None:
    """As by a thread that saw the channel open and sends once it is closed."""
    ours, theirs = pair.session()
    kind, text = late
    sent: list[int] = []
    send = pair.ours.packetizer.send_message
    pair.ours.packetizer.send_message = lambda data: (sent.append(data.asbytes()[0]), send(data))
    (ours if closed_by == "us" else theirs).close()
    while not (ours.closed and theirs.closed):
        threading.Event().wait(0.01)
    pair.ours._send_user_message(message(kind, ours.remote_chanid, text))
    again, _ = pair.session()
    assert kind not in sent
    again.sendall(b"a")
    assert sent[-1] == MSG_CHANNEL_DATA

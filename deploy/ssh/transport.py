"""The SSH transport: what is sent leaves at once, and nothing leaves for a channel that is closed."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EOF

BROKEN = (OSError, EOFError, paramiko.SSHException)  # what a connection raises that is lost


def close(channel: paramiko.Channel) -> None:
    """Close a channel. Where the connection is lost, to say so fails, and nobody needs to be told."""
    with suppress(*BROKEN):
        channel.close()


class Transport(paramiko.Transport):
    """paramiko's, with two of its habits mended.

    It leaves Nagle's algorithm on, which costs 40 ms a command, and turns of the handshake. And it sees whether a
    channel is open some time before it sends: where the command at the other end ends in between, what is sent comes
    after our own word that the channel is closed, and OpenSSH's server ends the whole connection over that
    (channel_from_packet_id in its channels.c).
    """

    def __init__(self, connected: Any, **options: Any) -> None:
        if isinstance(connected, socket.socket):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(connected, **options)

    def _send_message(self, data: paramiko.Message) -> None:
        """Called with the lock under which the word that a channel is closed is sent, too."""
        if not self._is_late(data):
            super()._send_message(data)  # type: ignore[misc]

    def _is_late(self, data: paramiko.Message) -> bool:
        """Whether it is for a channel that is closed."""
        message = paramiko.Message(data.asbytes()[:5])
        if message.get_byte()[0] not in {MSG_CHANNEL_DATA, MSG_CHANNEL_EOF}:
            return False
        number = message.get_int()
        return not any(
            channel.active and not channel.closed and channel.remote_chanid == number
            for channel in self._channels.values()  # type: ignore[attr-defined]
        )

"""The SSH transport: sends without delay, and never sends to a closed channel."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EOF

BROKEN = (OSError, EOFError, paramiko.SSHException)  # errors of a lost connection


def close(channel: paramiko.Channel) -> None:
    """Close a channel. Errors of a lost connection are ignored."""
    with suppress(*BROKEN):
        channel.close()


class Transport(paramiko.Transport):
    """paramiko's transport with two fixes.

    - paramiko leaves Nagle's algorithm on, which costs 40 ms for each command and slows the handshake.
    - paramiko checks whether a channel is open some time before it sends. If the command on the server ends in
      between, the data follows our own close message, and OpenSSH's server then drops the whole connection
      (channel_from_packet_id in its channels.c).
    """

    def __init__(self, connected: Any, **options: Any) -> None:
        if isinstance(connected, socket.socket):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(connected, **options)

    def _send_message(self, data: paramiko.Message) -> None:
        """Send a message. paramiko calls this with the lock that also covers a channel's close message."""
        if not self._is_late(data):
            super()._send_message(data)  # type: ignore[misc]

    def _is_late(self, data: paramiko.Message) -> bool:
        """Whether a message is for a closed channel."""
        message = paramiko.Message(data.asbytes()[:5])
        if message.get_byte()[0] not in {MSG_CHANNEL_DATA, MSG_CHANNEL_EOF}:
            return False
        number = message.get_int()
        return not any(
            channel.active and not channel.closed and channel.remote_chanid == number
            for channel in self._channels.values()  # type: ignore[attr-defined]
        )

"""The heartbeat of a lock: shows the server that this machine is alive, and detects a dead server."""

from __future__ import annotations

import threading
from contextlib import suppress

import paramiko

from .errors import CONNECT_SECONDS, DEAD_LINK_SECONDS
from .transport import BROKEN

HEARTBEAT_SECONDS = 5


class Heartbeat(threading.Thread):
    """Keeps a lock alive by writing to its holder every few seconds. Closes the connection if no answers come."""

    def __init__(self, channel: paramiko.Channel) -> None:
        super().__init__(daemon=True)
        self.channel = channel
        self.stopped = threading.Event()
        self._listening = threading.Lock()

    def run(self) -> None:
        unanswered, beating = 0, None
        while not self.stopped.wait(HEARTBEAT_SECONDS) and not self.channel.eof_received:
            unanswered = 0 if self._answered() else unanswered + 1
            if unanswered * HEARTBEAT_SECONDS >= DEAD_LINK_SECONDS:
                self._cut()
                return
            # If a link dies during a transfer, a beat blocks. It runs in its own thread so that this one goes on
            # counting.
            if not beating or not beating.is_alive():
                beating = threading.Thread(target=self.beat, args=("",), daemon=True)
                beating.start()

    def _cut(self) -> None:
        """Close the first hop. Closing a later one would have to send data, which blocks on a dead link."""
        transport = self.channel.get_transport()
        while isinstance(transport.sock, paramiko.Channel):
            transport = transport.sock.get_transport()
        transport.close()

    def _answered(self) -> bool:
        answered = False
        with self._listening:
            while self.channel.recv_ready():
                answered = bool(self.channel.recv(4096))
                if not answered:
                    break
        return answered

    def answers(self) -> bool:
        """Send a beat and return whether an answer comes."""
        self._answered()
        with self._listening, suppress(*BROKEN):
            self.channel.settimeout(CONNECT_SECONDS)
            self.channel.sendall(b"\n")
            return bool(self.channel.recv(4096))
        return False

    def beat(self, stage: str) -> None:
        """Send a beat with the current stage."""
        with suppress(*BROKEN):
            self.channel.sendall(f"{stage}\n".encode())

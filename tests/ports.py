"""Ports of this machine for what tests start."""

from __future__ import annotations

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port that is free, below those that the system gives to connections: it stays free until it is used."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port

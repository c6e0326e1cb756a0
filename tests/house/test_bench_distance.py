from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.bench.distance import Distance

ROUND_TRIP = 0.1


@pytest.fixture
def distance() -> Iterator[Distance]:
    """A relay to a server that says each word back in capitals."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            with caller, suppress(OSError):
                while word := caller.recv(100):
                    caller.sendall(word.upper())

    relay = Distance("server-away", int(listener.getsockname()[1]))
    for job in (answer, relay.serve):
        threading.Thread(target=job, daemon=True).start()
    yield relay
    relay.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def ask(relay: Distance, *bursts: tuple[bytes, ...]) -> float:
    """Say each burst's words at once and read the answer before the next; how many seconds that took."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", relay.port), timeout=180) as caller:
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for words in bursts:
            for word in words:
                caller.sendall(word)
            whole = b"".join(words)
            heard = b""
            while len(heard) < len(whole):
                heard += caller.recv(100)
            assert heard == whole.upper()
    return time.monotonic() - began


def test_each_answer_that_is_waited_for_costs_a_round_trip_and_the_connection_one(distance: Distance) -> None:
    distance.begin(ROUND_TRIP)
    assert ask(distance, (b"one",), (b"two",), (b"three",)) >= 4 * ROUND_TRIP
    assert (distance.traffic.round_trips, distance.traffic.up, distance.traffic.down) == (4, 11, 11)


def test_what_is_said_at_once_travels_together(distance: Distance) -> None:
    distance.begin(ROUND_TRIP)
    ask(distance, (b"one", b"two", b"three"))
    assert distance.traffic.round_trips == 2


def test_without_a_distance_round_trips_are_counted_too(distance: Distance) -> None:
    ask(distance, (b"one",), (b"two",))
    assert distance.traffic.round_trips == 3


def test_each_measurement_begins_a_count_of_its_own(distance: Distance) -> None:
    ask(distance, (b"one",))
    distance.begin(0)
    assert distance.traffic.kilobytes == 0

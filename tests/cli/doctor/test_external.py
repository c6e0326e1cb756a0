"""What is asked from here, of servers of the test's own on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.cli.doctor import external
from deploy.cli.doctor.findings import Examined, ServerState
from deploy.config.settings import Settings
from deploy.core.facts import Listener
from tests import pki, sample

HERE = "127.0.0.1"


def examined(settings: Settings, *hosts: str, **changed: object) -> Examined:
    facts = replace(sample.certified(sample.live(settings), *hosts) if hosts else sample.live(settings), **changed)
    return Examined(settings, sample.SITE, "srv", "ssh srv", facts, ServerState.parse([]), datetime.now(UTC))


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind((HERE, 0))
        made.listen()
        yield made


def test_which_ports_answer() -> None:
    with listening() as one, socket.socket() as other:
        other.bind((HERE, 0))
        ports = [one.getsockname()[1], other.getsockname()[1]]
        assert external.reached(HERE, ports) == dict(zip(ports, (True, False), strict=True))


def test_a_bounded_number_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "SECONDS", 0.2)
    assert len(external.reached(HERE, range(1, 500))) == external.MOST_PORTS


def test_what_nginx_listens_for_and_nobody_reaches(settings: Settings) -> None:
    it = examined(settings, listeners=(Listener("tcp", "0.0.0.0", 80, "nginx"), Listener("tcp", "::", 443, "nginx")))
    assert external.of_ports(it, {80: True, 443: True}) == []
    (found,) = external.of_ports(it, {80: True, 443: False})
    assert "port 443, but this machine can't reach it" in found.text


def test_where_names_lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leads = {"a.example": {"192.0.2.1"}, "b.example": {"192.0.2.9"}, "c.example": set(), "d.example": {HERE, "::1"}}
    monkeypatch.setattr(external, "_addresses", leads.__getitem__)

    def said(name: str) -> tuple[str, str]:
        (found,) = external.of_names(examined(sample.settings(tmp_path, DEPLOY_DOMAINS=name)), ["192.0.2.1", HERE])
        return found.level, found.text

    assert said("a.example") == ("ok", "names that point to this server: a.example")
    assert said("b.example") == ("fault", "b.example points to 192.0.2.9, which isn't this server.")
    assert said("c.example") == ("fault", "c.example doesn't resolve on this machine.")
    assert said("d.example") == ("warning", "d.example points to ::1, which isn't this server.")


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pki.Issued]:
    """A server that shows a certificate; port 443 is its."""
    made = pki.issued("portfolio.localhost")
    sample.files(tmp_path, {"chain.pem": made.chain, "key.pem": made.key})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    connect = socket.create_connection
    with listening() as server:
        monkeypatch.setattr(
            external.socket, "create_connection", lambda at, seconds: connect((at[0], server.getsockname()[1]), seconds)
        )

        def serve() -> None:
            while True:
                try:
                    accepted, _ = server.accept()
                except OSError:
                    return
                with accepted:
                    try:
                        context.wrap_socket(accepted, server_side=True).close()
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield made
        server.shutdown(socket.SHUT_RDWR)


def test_the_certificate_that_is_shown(settings: Settings, shown: pki.Issued) -> None:
    it = examined(settings, certificate=shown.chain)
    (found,) = external.of_certificate(it, HERE, trusted=False)
    assert (found.level, "serves the certificate, valid until" in found.text) == ("ok", True)
    (found,) = external.of_certificate(it, HERE)
    assert (found.level, "Browsers don't trust the certificate of" in found.text) == ("fault", True)


def test_another_certificate_than_the_servers(settings: Settings, shown: pki.Issued) -> None:
    (found,) = external.of_certificate(examined(settings, "portfolio.localhost"), HERE, trusted=False)
    assert "serves another certificate" in found.text


def test_nobody_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind((HERE, 0))
        connect, port = socket.create_connection, other.getsockname()[1]
        monkeypatch.setattr(external.socket, "create_connection", lambda at, seconds: connect((at[0], port), seconds))
        (found,) = external.of_certificate(examined(settings, "portfolio.localhost"), HERE)
    assert "doesn't answer by HTTPS from here" in found.text


def test_without_a_certificate_nobody_is_asked(settings: Settings) -> None:
    assert external.of_certificate(examined(settings, certificate=""), HERE) == []

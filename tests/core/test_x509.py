"""Certificates, read and judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.core.x509 import Certificate, clock, own_faults
from tests import pki

HOSTS = ("art.example", "www.art.example")


def read(*hosts: str, **given: float) -> Certificate:
    certificate = Certificate.parse(pki.issued(*hosts, **given).chain)
    assert certificate
    return certificate


def faults(pem: str, key: str) -> list[str]:
    return own_faults(pem.encode(), key.encode(), HOSTS, pki.NOW)


def test_what_is_no_certificate_is_none() -> None:
    assert [Certificate.parse(text) for text in ("", "x", "-----BEGIN CERTIFICATE-----")] == [None] * 3


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        (("a.example",), "a.example", True),
        (("a.example",), "b.example", False),
        (("*.example",), "a.example", True),
        (("*.a.example",), "a.example", False),
        (("*.a.example",), "x.y.a.example", False),
        ((), "a.example", False),
    ],
)
def test_names_are_covered_as_a_browser_sees_it(names: tuple[str, ...], host: str, covered: bool) -> None:
    assert read(*names).covers(host) is covered


@pytest.mark.parametrize(
    ("days", "since", "fresh"),
    [(90, 0, True), (90, 59, True), (90, 61, False), (6, 1, True), (6, 4.5, False), (1000, 900, True), (90, 91, False)],
)
def test_a_certificate_is_fresh_until_a_third_of_its_life_is_left(days: float, since: float, fresh: bool) -> None:
    assert read("a.example", days=days, since=since).fresh(pki.NOW) is fresh


def test_a_certificate_of_tomorrow_is_not_fresh() -> None:
    assert not read("a.example", since=-1).fresh(pki.NOW)


def test_the_servers_clock_is_read() -> None:
    assert clock("20261121-140000") == datetime(2026, 11, 21, 14, tzinfo=UTC)


def test_the_day_it_ends_is_said() -> None:
    assert read("a.example", days=90, since=0).until == f"{pki.NOW + timedelta(days=90):%Y-%m-%d}"


def test_a_good_certificate_of_ones_own_has_no_fault() -> None:
    own = pki.issued(*HOSTS)
    assert faults(own.chain + own.root, own.key) == []


def test_its_key_must_be_its_own() -> None:
    own = pki.issued(*HOSTS)
    (fault,) = faults(own.chain + own.root, pki.issued(*HOSTS).key)
    assert fault.startswith("DEPLOY_TLS_KEY: the key doesn't belong to")


def test_a_key_with_a_passphrase_or_none_is_refused() -> None:
    own, key = pki.issued(*HOSTS), ec.generate_private_key(ec.SECP256R1())
    assert "passphrase" in faults(own.chain + own.root, pki.key_pem(key, b"secret"))[0]
    assert "no private key" in faults(own.chain + own.root, "nothing")[0]


@pytest.mark.parametrize(("days", "since", "said"), [(10, 11, "expired on"), (10, -1, "isn't valid before")])
def test_it_must_be_in_force(days: float, since: float, said: str) -> None:
    own = pki.issued(*HOSTS, days=days, since=since)
    (fault,) = faults(own.chain + own.root, own.key)
    assert said in fault


def test_every_host_must_be_in_it() -> None:
    own = pki.issued(HOSTS[0])
    assert faults(own.chain + own.root, own.key) == [
        "DEPLOY_TLS_CERT: the certificate doesn't cover www.art.example. It covers art.example."
    ]


def test_a_chain_must_be_complete_and_in_order() -> None:
    own = pki.issued(*HOSTS)
    assert "the chain is incomplete" in faults(own.leaf, own.key)[0]
    assert "the chain is incomplete" in faults(own.chain, own.key)[0]
    assert "are in the wrong order" in faults(own.leaf + own.root + own.intermediate, own.key)[0]


def test_what_is_no_pem_is_refused() -> None:
    assert faults("nothing", "nothing") == ["DEPLOY_TLS_CERT: the file contains no certificate in PEM format."]

"""Whether a certificate will be good tomorrow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from deploy.certs import renewal
from deploy.core.facts import Facts
from deploy.core.x509 import Certificate
from tests import sample

DAY = "Sat 2026-11-21 04:12:07 UTC"


def at(days_left: float, kind: str = "issued", **changed: Any) -> Facts:
    """A server whose certificate is good for so many days more."""
    read = sample.certified(sample.facts("debian-13-live"), "portfolio.localhost", kind=kind)
    certificate = Certificate.parse(read.certificate)
    assert certificate
    now = certificate.ends - timedelta(days=days_left)
    return replace(read, clock=f"{now:%Y%m%d-%H%M%S}", **{"renewal_timer": True, **changed})


def life() -> float:
    certificate = Certificate.parse(at(1).certificate)
    assert certificate
    return (certificate.ends - certificate.begins).days


def test_a_certificate_that_is_renewed_in_time_has_no_fault() -> None:
    assert renewal.faults(at(life() * 0.3)) == []


def test_without_a_certificate_nothing_is_renewed() -> None:
    assert renewal.faults(sample.facts("debian-13-bare")) == []


def test_a_timer_that_does_not_run_is_said() -> None:
    assert renewal.faults(at(life() * 0.9, renewal_timer=False)) == [
        "certbot.timer isn't active, so the certificate isn't renewed. Start it with fab certs."
    ]


def test_a_renewal_that_failed_is_said_with_what_is_served_until_then() -> None:
    (fault,) = renewal.faults(at(life() * 0.9, renewal_failed=DAY))
    assert fault.startswith(f"The last renewal failed ({DAY}). The previous certificate stays in use and expires on 20")


def test_one_that_should_have_been_renewed_is_said() -> None:
    (fault,) = renewal.faults(at(life() * 0.2))
    assert "should have been renewed. Run fab certs." in fault


def test_ones_own_is_its_owners_to_renew() -> None:
    assert renewal.faults(at(31, kind="own", renewal_timer=False)) == []
    (fault,) = renewal.faults(at(29, kind="own"))
    assert fault.startswith("Your own certificate expires on 20")

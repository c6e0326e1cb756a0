"""The stages of ``fab certs``, told to a server of paper."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy import flow
from deploy.errors import PortsideError, Refused
from deploy.run import Run
from deploy.settings import Settings
from tests import pki, sample
from tests.sample import Paper

pytestmark = pytest.mark.usefixtures("steady")


def certs(settings: Settings, paper: Paper, **given: Any) -> Run:
    run = sample.run(settings, paper, "certs", **given)
    flow.follow(flow.TRIAL if run.staging else flow.CERTS, run)
    return run


def test_a_certificate_for_a_live_site(settings: Settings, golden: Callable[[str, str], None]) -> None:
    before = sample.live(settings)
    paper = Paper(before, sample.certified(before, settings.canonical))
    certs(settings, paper)
    shown = re.sub(r"names /var/lib/portside/acme \w{32}", "names /var/lib/portside/acme (token)", paper.transcript())
    lines = [line for line in shown.splitlines() if line.startswith(("#", "-", "    script", "    write"))]
    golden("certs.txt", re.sub(r"(generation|nginx) \w{12}( \w{12})?", r"\1", "\n".join(lines) + "\n"))
    assert paper.scripts == ["names", "issue", "nginx", "prove"]


def test_a_certificate_for_a_site_that_was_never_deployed(settings: Settings) -> None:
    before = sample.provisioned()
    paper = Paper(before, sample.certified(before, settings.canonical))
    certs(settings, paper)
    assert paper.scripts == ["names", "issue"]


def test_a_good_certificate_needs_one_look(settings: Settings) -> None:
    paper = Paper(sample.encrypted(settings))
    run = certs(settings, paper)
    assert (run.unchanged, paper.looks, paper.told) == (True, 1, [])


def test_https_is_switched_on_where_only_that_is_missing(settings: Settings) -> None:
    paper = Paper(sample.certified(sample.live(settings), settings.canonical, clock=sample.CLOCK))
    certs(settings, paper)
    assert paper.scripts == ["nginx", "prove"]


def test_a_trial_only_asks(settings: Settings) -> None:
    paper = Paper(sample.encrypted(settings))
    run = certs(settings, paper, staging=True)
    assert (paper.scripts, run.unchanged) == (["names", "issue"], False)
    assert "acme-staging-v02" in paper.transcript()


def test_what_is_in_the_way_is_said_before_the_authority_is_asked(settings: Settings) -> None:
    names = pki.looked([settings.canonical])
    names["names"][settings.canonical]["addresses"] = {}
    paper = Paper(sample.live(settings), names=names)
    with pytest.raises(PortsideError, match="has no address") as caught:
        certs(settings, paper)
    assert "wasn't asked" in caught.value.hint
    assert paper.scripts == ["names"]


def test_a_refusal_of_the_authority_is_explained(settings: Settings) -> None:
    paper = Paper(sample.live(settings), fails="issue")
    with pytest.raises(PortsideError, match="There is no certificate:\n  it broke"):
        certs(settings, paper)


def test_ones_own_certificate_is_not_asked_for(tmp_path: Path) -> None:
    sample.with_own_certificate(tmp_path, *sample.GALLERY)
    sample.files(tmp_path, {"acme.pem": (tmp_path / "tls.pem").read_text()})
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    paper = Paper(replace(sample.provisioned(), clock=sample.CLOCK))
    certs(settings, paper)
    assert paper.scripts == ["certificate"]
    with pytest.raises(Refused, match="DEPLOY_TLS_CERT is set"):
        certs(settings, Paper(sample.provisioned()), staging=True)


def test_a_bad_certificate_of_ones_own_is_refused_before_the_server_is_asked(tmp_path: Path) -> None:
    sample.with_own_certificate(tmp_path, *sample.GALLERY[:1])
    paper = Paper(sample.provisioned())
    with pytest.raises(Refused, match="it isn't for"):
        certs(sample.settings(tmp_path, sample.EVERY_SETTING), paper)
    assert not paper.connected

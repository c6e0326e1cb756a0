"""The stages of ``fab certs``, told to a server of paper."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import PortsideError, Refused
from deploy.flows import runner
from deploy.flows.context import Run
from deploy.nginx import generation
from deploy.nginx import site as nginx_site
from tests import pki, sample
from tests.sample import Paper

pytestmark = pytest.mark.usefixtures("steady")


def certs(settings: Settings, paper: Paper, **given: Any) -> Run:
    run = sample.run(settings, paper, "certs", **given)
    runner.follow(run)
    return run


def test_a_certificate_for_a_live_site(settings: Settings, golden: Callable[[str, str], None]) -> None:
    before = sample.live(settings)
    paper = Paper(before, sample.certified(before, settings.canonical))
    certs(settings, paper)
    shown = re.sub(r" token=\w{32} ", " token=(token) ", paper.transcript())
    lines = [line for line in shown.splitlines() if line.startswith(("#", "-", "    script", "    write"))]
    golden("certs.txt", re.sub(r"(generation[ =]|before=)\w{12}", r"\1(one)", "\n".join(lines) + "\n"))
    assert paper.scripts == ["names", "issue", "nginx", "nginx", "note", "prove"]


def test_a_certificate_for_a_site_that_was_never_deployed(settings: Settings) -> None:
    before = sample.provisioned()
    paper = Paper(before, sample.certified(before, settings.canonical))
    certs(settings, paper)
    assert paper.scripts == ["names", "issue"]


def test_a_good_certificate_needs_one_look(settings: Settings) -> None:
    paper = Paper(sample.encrypted(settings))
    run = certs(settings, paper)
    assert (run.candidate.unchanged, paper.looks, paper.told) == (True, 1, [])


def test_https_is_switched_on_where_only_that_is_missing(settings: Settings) -> None:
    paper = Paper(sample.certified(sample.live(settings), settings.canonical, clock=sample.CLOCK))
    certs(settings, paper)
    assert paper.scripts == ["nginx", "note", "prove"]


def test_a_trial_only_asks(settings: Settings) -> None:
    paper = Paper(sample.encrypted(settings))
    run = certs(settings, paper, staging=True)
    assert (paper.scripts, run.candidate.unchanged) == (["names", "issue"], False)
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
    with pytest.raises(PortsideError, match="certbot got no certificate:\n  it broke"):
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
    with pytest.raises(Refused, match="doesn't cover"):
        certs(sample.settings(tmp_path, sample.EVERY_SETTING), paper)
    assert not paper.connected


def renaming(tmp_path: Path, **lines: str) -> Settings:
    return sample.settings(
        tmp_path, **{"DEPLOY_DOMAINS": "new.example", "DEPLOY_REDIRECT_DOMAINS": "portfolio.localhost", **lines}
    )


def test_a_name_that_the_live_release_does_not_know_yet_is_led_to_one_that_it_knows(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, renamed = sample.encrypted(settings), renaming(tmp_path)
    paper = Paper(before, sample.certified(before, "new.example", "portfolio.localhost"))
    certs(renamed, paper)
    assert paper.scripts == ["names", "issue", "nginx", "nginx", "note", "prove"]
    _, generation = (step for step in paper.steps if step.script == "nginx")
    text = next(content for name, content in generation.files.items() if name.endswith("sites/portfolio.conf"))
    assert isinstance(text, bytes)
    assert text.count(b"return 302 https://portfolio.localhost$request_uri;") == 2
    assert b"301 https://new.example" not in text
    assert paper.steps[-1].arguments["names"] == ["portfolio.localhost", "new.example"], "all are asked for by HTTPS"
    until = "Until fab deploy -H server.example, it redirects temporarily to https://portfolio.localhost."
    assert f"! The live release doesn't know new.example yet. {until}" in capsys.readouterr().out


def test_again_it_is_done(settings: Settings, tmp_path: Path) -> None:
    before, renamed = sample.encrypted(settings), renaming(tmp_path)
    facts = sample.certified(before, "new.example", "portfolio.localhost")
    own = nginx_site.site_file(renamed, sample.SITE, replace(sample.EDGE, names=(sample.KNOWN,)), facts)
    files = generation.base(facts, own) | own
    digests = {path: sample.digest(text) for path, text in files.items()}
    done = replace(facts, nginx_files=digests, nginx_generation=generation.generation(files, facts).name)
    paper = Paper(done)
    assert (certs(renamed, paper).candidate.unchanged, paper.told) == (True, [])


def test_what_the_live_release_serves_stays_the_sites(settings: Settings, tmp_path: Path) -> None:
    before = sample.encrypted(settings)
    paper = Paper(before, sample.certified(before, "new.example", "portfolio.localhost"))
    certs(renaming(tmp_path, DEPLOY_REDIRECT_DOMAINS="more.example,portfolio.localhost"), paper)
    (claim,) = (step for step in paper.steps if step.path.endswith("/site.json"))
    assert json.loads(claim.files["content"])["domains"] == [  # type: ignore[arg-type]
        "more.example", "new.example", "portfolio.localhost"
    ]  # fmt: skip


def test_a_name_that_is_no_longer_the_sites_is_left_out_and_said(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sample.certified(sample.encrypted(settings), settings.canonical, "gone.example")
    paper = Paper(before, sample.encrypted(settings))
    run = sample.run(settings, paper, "certs")
    run.report.quiet = False
    runner.follow(run)
    assert paper.scripts == ["names", "issue", "prove"]
    assert "left out of the certificate: gone.example" in capsys.readouterr().out


@pytest.mark.parametrize("leads_here", [True, False])
def test_a_canonical_name_that_goes_with_the_next_deploy_is_kept_as_long_as_it_leads_here(
    leads_here: bool, settings: Settings, tmp_path: Path
) -> None:
    before = replace(sample.encrypted(settings), record={"domains": ["portfolio.localhost", "more.example"]})
    renamed = renaming(tmp_path, DEPLOY_REDIRECT_DOMAINS="more.example")
    names = pki.looked(["new.example", "more.example", "portfolio.localhost"])
    if not leads_here:
        names["names"]["portfolio.localhost"]["addresses"] = {}
    paper = Paper(before, names=names)
    certs(renamed, paper)
    (issue,) = (step for step in paper.steps if step.script == "issue")
    assert ("portfolio.localhost" in issue.name) is leads_here

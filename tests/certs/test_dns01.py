"""What proves names by DNS: the plugin, and the credentials it writes with."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from deploy.certs import dns01
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from deploy.core.facts import FileFact
from deploy.host import packages
from tests import sample

SECRET = b"dns_rfc2136_secret = key-of-dns\n"
PATH = "/etc/portside/acme-dns/portfolio"
FACTS = replace(sample.provisioned(), issued_how="dns-rfc2136")


@pytest.fixture
def wild(tmp_path: Path) -> Settings:
    (tmp_path / "dns.ini").write_bytes(SECRET)
    return sample.settings(tmp_path, DEPLOY_ACME_DNS="rfc2136", DEPLOY_ACME_DNS_CREDENTIALS="dns.ini")


def with_credentials(content: bytes = SECRET, mode: int = 0o600) -> dict[str, FileFact]:
    return {**FACTS.files, PATH: FileFact(mode, "0:0", sha256(content).hexdigest())}


def test_the_plugin_is_installed_where_it_is_needed(wild: Settings, settings: Settings) -> None:
    (step,) = packages.packages(wild, FACTS)
    assert step.words == ("script", "packages", "packages=python3-certbot-dns-rfc2136")
    assert packages.packages(wild, replace(FACTS, packages=FACTS.packages | {"python3-certbot-dns-rfc2136"})) == []
    assert packages.packages(settings, FACTS) == []


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_credentials_that_are_none_are_refused(content: bytes, wild: Settings) -> None:
    dns01.check(wild)
    (wild.folder / "dns.ini").write_bytes(content)
    with pytest.raises(Refused, match="DEPLOY_ACME_DNS_CREDENTIALS: the file contains no text"):
        dns01.check(wild)
    (wild.folder / "dns.ini").unlink()
    with pytest.raises(Refused, match=r"DEPLOY_ACME_DNS_CREDENTIALS: dns\.ini can't be read: no such file"):
        dns01.check(wild)


def test_changed_credentials_reach_the_server_that_renews_with_them(wild: Settings) -> None:
    (step,) = dns01.refresh(wild, sample.SITE, replace(FACTS, files=with_credentials(b"older")))
    assert step.words == ("write", PATH, "600", "root:root")
    assert step.secret
    assert dns01.refresh(wild, sample.SITE, replace(FACTS, files=with_credentials(mode=0o644))) == [step]
    assert dns01.refresh(wild, sample.SITE, FACTS) == [step]
    assert dns01.refresh(wild, sample.SITE, replace(FACTS, files=with_credentials())) == []
    assert dns01.refresh(wild, sample.SITE, replace(FACTS, issued_how="webroot")) == []


def test_credentials_that_nothing_needs_are_taken_away(wild: Settings, settings: Settings) -> None:
    there = replace(FACTS, files=with_credentials())
    (step,) = dns01.remove_unused(settings, sample.SITE, there)
    assert step.words == ("remove", PATH)
    assert dns01.remove_unused(settings, sample.SITE, FACTS) == []
    assert dns01.remove_unused(wild, sample.SITE, there) == []


def test_without_the_setting_names_are_proved_by_http(settings: Settings) -> None:
    assert dns01.authenticator(settings) == ""
    assert dns01.in_force(settings, replace(FACTS, issued_how="webroot"))
    assert not dns01.in_force(settings, FACTS)

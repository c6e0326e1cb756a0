"""What an authority is asked for, and what must be so before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.certs import acme, certbot_errors, probe
from deploy.certs.acme import LETS_ENCRYPT, LETS_ENCRYPT_STAGING, Authority
from deploy.config.settings import Settings
from deploy.core.errors import Refused, StepFailed
from deploy.core.facts import Facts
from deploy.core.paths import Site
from deploy.nginx.routing import Names
from tests import pki, sample

NOW = f"{pki.NOW:%Y%m%d-%H%M%S}"
FACTS = replace(sample.facts("debian-13-live"), clock=NOW)
HERE = Authority(LETS_ENCRYPT)
NAMES = ("art.example", "www.art.example", "old.example")
GALLERY = ("gallery.example", "www.gallery.example", "old.example", "xn--bcher-kva.example")


@pytest.fixture
def art(tmp_path: Path) -> Settings:
    return sample.settings(
        tmp_path, DEPLOY_DOMAINS="art.example,www.art.example,192.0.2.7", DEPLOY_REDIRECT_DOMAINS="old.example"
    )


def own(folder: Path, *hosts: str) -> Settings:
    sample.with_own_certificate(folder, *hosts)
    return sample.settings(folder, sample.EVERY_SETTING)


# Whom to ask


def test_lets_encrypt_is_asked_unless_another_is_named(settings: Settings, tmp_path: Path) -> None:
    assert acme.authority(settings) == Authority(LETS_ENCRYPT)
    assert acme.authority(settings, staging=True) == Authority(LETS_ENCRYPT_STAGING)
    other = own(tmp_path, *GALLERY)
    assert acme.authority(other, staging=True).directory == "https://acme.example/directory"
    assert acme.authority(other).ca == (tmp_path / "acme.pem").read_text()


def test_a_practice_servers_authority_is_the_one_beside_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.files(tmp_path, {"acme-ca.pem": "a root"})
    monkeypatch.setattr(acme, "PRACTICE_CA", tmp_path / "acme-ca.pem")
    assert acme.authority(settings, practice=True) == Authority("https://acme:14000/dir", "a root")
    assert acme.authority(own(tmp_path, *GALLERY), practice=True).directory == "https://acme.example/directory"


def test_a_bundle_that_is_none_is_refused(tmp_path: Path) -> None:
    for text in ("", "nothing"):
        (tmp_path / "ca.pem").write_text(text)
        with pytest.raises(Refused, match="DEPLOY_ACME_CA"):
            acme.authority(sample.settings(tmp_path, DEPLOY_ACME_CA="ca.pem"))
    with pytest.raises(Refused, match=r"none\.pem can't be read"):
        acme.authority(sample.settings(tmp_path, DEPLOY_ACME_CA="none.pem"))


# What to ask for


def test_every_name_is_asked_for_but_an_address(art: Settings) -> None:
    assert acme.wanted(art) == NAMES


def test_a_site_without_a_name_is_refused(art: Settings, tmp_path: Path) -> None:
    acme.check_names(art)
    with pytest.raises(Refused, match="issued for names, not addresses"):
        acme.check_names(sample.settings(tmp_path, DEPLOY_DOMAINS="192.0.2.7"))


@pytest.mark.parametrize(
    ("hosts", "days", "since", "by", "good"),
    [
        (NAMES, 90, 1, LETS_ENCRYPT, True),
        (NAMES[:2], 90, 1, LETS_ENCRYPT, False),
        ((*NAMES, "gone.example"), 90, 1, LETS_ENCRYPT, False),
        (NAMES, 90, 70, LETS_ENCRYPT, False),
        (NAMES, 90, 1, LETS_ENCRYPT_STAGING, False),
    ],
)
def test_nothing_is_asked_where_the_certificate_is_good(
    art: Settings, hosts: tuple[str, ...], days: float, since: float, by: str, good: bool
) -> None:
    facts = replace(FACTS, issued=pki.issued(*hosts, days=days, since=since).chain, issued_by=by)
    assert acme.up_to_date(art, facts, HERE) is good


def test_without_a_certificate_one_is_asked_for(art: Settings) -> None:
    assert not acme.up_to_date(art, FACTS, HERE)


def test_certbot_is_told_by_a_file(art: Settings, golden: Callable[[str, str], None]) -> None:
    golden("certbot.ini.txt", acme.certbot_settings(art, "art", HERE, again=False, asked=acme.wanted(art)))


def test_an_account_of_the_authoritys_is_in_that_file_alone(tmp_path: Path) -> None:
    settings = own(tmp_path, *GALLERY)
    *_, step = acme.issue(settings, sample.SITE, FACTS, acme.authority(settings))
    told = step.files["certbot.ini"]
    assert isinstance(told, bytes)
    assert b"eab-hmac-key = hmac-key_of-the-account\n" in told
    assert b"email = curator@gallery.example\n" in told
    assert "hmac-key_of-the-account" not in step.transcript() + step.line(1)


def test_another_authority_is_asked_though_the_certificate_is_good(art: Settings) -> None:
    facts = replace(FACTS, issued="x", issued_by="https://other.example")
    for given, said in ((facts, b"force-renewal"), (replace(facts, issued_by=LETS_ENCRYPT), b"keep-until-expiring")):
        (step,) = acme.issue(art, sample.SITE, given, HERE)
        told = step.files["certbot.ini"]
        assert isinstance(told, bytes)
        assert said + b" = true" in told


@pytest.fixture
def renamed(art: Settings) -> Facts:
    """The site was live as was.example, and its certificate has another name that was taken out before."""
    record = sample.recorded(sample.OLD, domain="was.example", domains=["was.example"])
    issued = pki.issued(*NAMES, "was.example", "gone.example").chain
    return sample.with_releases(replace(FACTS, issued=issued, issued_by=LETS_ENCRYPT), sample.OLD, {sample.OLD: record})


def test_the_canonical_name_of_the_live_release_stays_in_the_certificate(art: Settings, renamed: Facts) -> None:
    kept = acme.keeping(art, renamed)
    assert kept == ("was.example",)
    assert acme.wanted(art, kept) == (*NAMES, "was.example")
    (step,) = acme.issue(art, sample.SITE, renamed, HERE, kept=kept)
    assert b"domains = art.example, www.art.example, old.example, was.example\n" in step.files["certbot.ini"]  # type: ignore[operator]
    assert not acme.up_to_date(art, renamed, HERE)
    assert acme.up_to_date(art, replace(renamed, issued=pki.issued(*NAMES, "was.example").chain), HERE)


def test_it_is_not_asked_for_anew(art: Settings, renamed: Facts) -> None:
    assert acme.keeping(art, replace(renamed, issued=pki.issued(*NAMES).chain)) == ()
    assert acme.keeping(art, replace(renamed, current="")) == ()


def test_what_does_not_lead_here_any_more_is_not_kept(art: Settings) -> None:
    answer = pki.looked([*NAMES, "was.example"])
    assert probe.lost(answer, ["was.example"]) == []
    answer["names"]["was.example"]["addresses"] = {"192.0.2.9": "port 80 doesn't answer there"}
    assert probe.lost(answer, ["was.example"]) == ["was.example"]


def test_names_in_the_certificate_that_are_the_sites_no_longer(art: Settings, renamed: Facts, tmp_path: Path) -> None:
    assert acme.obsolete_names(art, renamed) == ("gone.example",)
    assert acme.obsolete_names(art, renamed, Names(("art.example",))) == ("gone.example", "was.example")
    assert acme.obsolete_names(art, replace(renamed, issued="")) == ()
    assert acme.obsolete_names(own(tmp_path, *GALLERY), renamed) == (), "nobody takes a name out of one's own"
    assert acme.obsolete_warnings(()) == []
    (text,) = acme.obsolete_warnings(("a.example", "b.example"))
    assert "a.example, b.example, which no longer belong to the site. Remove them with fab certs: " in text


# By DNS


@pytest.fixture
def wild(tmp_path: Path) -> Settings:
    sample.files(tmp_path, {"dns.ini": "dns_rfc2136_secret = key-of-dns\n"})
    return sample.settings(
        tmp_path, DEPLOY_DOMAINS="art.example,*.art.example,www.art.example,a.b.art.example",
        DEPLOY_REDIRECT_DOMAINS="old.example", DEPLOY_ACME_DNS="rfc2136", DEPLOY_ACME_DNS_CREDENTIALS="dns.ini",
        DEPLOY_ACME_DNS_SECONDS="5",
    )  # fmt: skip


def test_what_a_wildcard_is_for_is_not_asked_for_beside_it(wild: Settings) -> None:
    assert acme.wanted(wild) == ("art.example", "*.art.example", "a.b.art.example", "old.example")


def test_certbot_is_told_of_the_plugin_and_where_its_credentials_are(
    wild: Settings, golden: Callable[[str, str], None]
) -> None:
    *_, put, step = acme.issue(wild, sample.SITE, FACTS, HERE)
    told = step.files["certbot.ini"]
    assert isinstance(told, bytes)
    golden("certbot-dns.ini.txt", told.decode())
    assert put.words == ("write", "/etc/portside/acme-dns/portfolio", "600", "root:root")
    assert put.files == {"content": b"dns_rfc2136_secret = key-of-dns\n"}
    assert "key-of-dns" not in put.transcript() + step.transcript()


def test_a_trial_has_credentials_of_its_own(wild: Settings) -> None:
    put, step = acme.issue(wild, sample.SITE, FACTS, HERE, trial=True)
    assert put.path == "/etc/portside/acme-dns/portfolio.staging"
    assert b"dns-rfc2136-credentials = /etc/portside/acme-dns/portfolio.staging\n" in step.files["certbot.ini"]  # type: ignore[operator]


def test_another_proof_is_another_certificate(wild: Settings, art: Settings) -> None:
    chain = pki.issued(*acme.wanted(wild)).chain
    by_dns = replace(FACTS, issued=chain, issued_by=LETS_ENCRYPT, issued_how="dns-rfc2136")
    assert acme.up_to_date(wild, by_dns, HERE)
    by_http = replace(by_dns, issued_how="webroot")
    assert not acme.up_to_date(wild, by_http, HERE)
    *_, step = acme.issue(wild, sample.SITE, by_http, HERE)
    assert b"force-renewal = true" in step.files["certbot.ini"]  # type: ignore[operator]


def test_a_wildcard_is_asked_for_by_a_name_it_is_for() -> None:
    step = acme.prove(sample.SITE, ["art.example", "*.art.example"])
    assert step.arguments["names"] == ["art.example", "portside-asks.art.example"]


def test_what_is_proved_by_dns_may_lead_anywhere(wild: Settings) -> None:
    answer = pki.looked(acme.wanted(wild))
    for seen_of in answer["names"].values():
        seen_of["addresses"] = None
    assert obstacles(wild, answer) == []
    assert probe.address_warnings(answer) == []


def test_a_proof_that_is_not_there_is_said_in_its_own_words(wild: Settings) -> None:
    message, _ = explained(PROBLEM, wild)
    assert "its name servers don't return the challenge (TXT at _acme-challenge)" in message


def test_a_trial_has_a_name_that_no_site_can_have(art: Settings) -> None:
    (step,) = acme.issue(art, sample.SITE, FACTS, Authority("https://x.example", "a root"), trial=True)
    assert step.arguments == {"name": "portfolio.staging", "site": "", "trial": "portfolio.staging"}
    assert step.files["ca.pem"] == b"a root"


def test_renewals_trust_the_authority_too(art: Settings) -> None:
    ca, drop_in, step = acme.issue(art, sample.SITE, FACTS, Authority("https://x.example", "a root"))
    assert ca.path == "/etc/portside/acme/portfolio.pem"
    assert drop_in.path == "/etc/systemd/system/certbot.service.d/portside.conf"
    assert step.arguments == {"name": "portfolio", "site": "portfolio", "trial": "portfolio.staging"}


# What Nginx reads


def test_a_renewed_certificate_that_is_not_in_place_is_put_there(art: Settings) -> None:
    chain = pki.issued(*NAMES).chain
    (step,) = acme.install(art, sample.SITE, replace(FACTS, issued=chain))
    folder = "/etc/letsencrypt/live/portfolio"
    assert step.words == ("script", "certificate", "site=portfolio", "kind=issued", f"folder={folder}")
    assert acme.install(art, sample.SITE, replace(FACTS, issued=chain, certificate=chain)) == []
    theirs = replace(FACTS, issued=chain, issued_by=LETS_ENCRYPT, certificate_kind="own")
    assert acme.install(art, sample.SITE, theirs) == [step]
    assert acme.install(art, sample.SITE, replace(theirs, issued=pki.issued(*NAMES[:2]).chain)) == []
    assert acme.install(art, sample.SITE, FACTS) == []


def test_ones_own_certificate_is_put_in_place_once(tmp_path: Path) -> None:
    settings = own(tmp_path, *GALLERY)
    (step,) = acme.install(settings, Site("gallery-2"), FACTS)
    assert step.words == ("script", "certificate", "site=gallery-2", "kind=own", "folder=")
    assert "PRIVATE" not in step.transcript()
    there = replace(FACTS, certificate=(tmp_path / "tls.pem").read_text(), certificate_kind="own")
    assert acme.install(settings, Site("gallery-2"), there) == []
    assert acme.up_to_date(settings, there, HERE)


def test_ones_own_certificate_is_checked(tmp_path: Path) -> None:
    acme.check_own(own(tmp_path, *GALLERY))
    with pytest.raises(Refused) as caught:
        acme.check_own(own(tmp_path, *GALLERY[:2]))
    assert "the certificate doesn't cover old.example, xn--bcher-kva.example" in caught.value.message
    (tmp_path / "tls.key").unlink()
    with pytest.raises(Refused, match=r"DEPLOY_TLS_KEY: tls\.key can't be read: no such file"):
        acme.check_own(sample.settings(tmp_path, sample.EVERY_SETTING))


def test_where_none_is_given_none_is_checked(settings: Settings) -> None:
    acme.check_own(settings)


# Before it is asked


def obstacles(settings: Settings, answer: dict[str, Any], here: bool = False) -> list[str]:
    return probe.obstacles(answer, settings, HERE, lambda name: here)


def seen(**changed: Any) -> dict[str, Any]:
    """What is seen where only this differs from how it should be."""
    answer = pki.looked(["art.example"])
    answer["names"]["art.example"] |= {name: value for name, value in changed.items() if name in {"addresses", "caa"}}
    answer["authority"] |= {name: value for name, value in changed.items() if name not in {"addresses", "caa"}}
    return answer


def test_nothing_is_in_the_way_where_all_is_well(art: Settings) -> None:
    assert obstacles(art, pki.looked(NAMES)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"error": "Connection refused"}, "can't be read from the server: Connection refused."),
        ({"external": True}, "DEPLOY_ACME_EAB_KID"),
        ({"addresses": {}}, "art.example has no address. Add a DNS record that points to this server."),
        ({"addresses": {"192.0.2.9": "another server answers there (404)"}}, "192.0.2.9: another server answers"),
        (
            {"caa": ["other.example"], "identities": ["letsencrypt.org"]},
            "doesn't allow letsencrypt.org (allowed: other.example)",
        ),
        ({"caa": [""], "identities": ["letsencrypt.org"]}, "doesn't allow letsencrypt.org (allowed: none)"),
    ],
)
def test_what_is_in_the_way_is_said(art: Settings, changed: dict[str, Any], said: str) -> None:
    (fault,) = obstacles(art, seen(**changed))
    assert said in fault


@pytest.mark.parametrize(
    "changed",
    [
        {"caa": ["letsencrypt.org", "other.example"], "identities": ["LetsEncrypt.org"]},
        {"caa": ["other.example"], "identities": []},
        {"caa": None, "identities": ["letsencrypt.org"]},
        {"addresses": {"2001:db8::1": "port 80 doesn't answer there", "192.0.2.1": ""}},
    ],
)
def test_what_is_not_in_the_way(art: Settings, changed: dict[str, Any]) -> None:
    assert obstacles(art, seen(**changed)) == []


def test_a_name_that_leads_here_for_others_is_well(art: Settings) -> None:
    elsewhere = seen(addresses={"192.0.2.9": "port 80 doesn't answer there: timed out"})
    assert obstacles(art, elsewhere, here=True) == []
    assert len(obstacles(art, elsewhere)) == 1


def test_one_of_several_addresses_that_is_wrong_is_doubted() -> None:
    (doubt,) = probe.address_warnings(seen(addresses={"2001:db8::1": "no answer", "192.0.2.1": ""}))
    assert doubt.startswith("art.example also has the address 2001:db8::1: no answer.")
    assert probe.address_warnings(seen(addresses={"192.0.2.9": "no answer"})) == []


def test_nobody_answers_for_a_name_that_is_none() -> None:
    assert not probe.reached_from_here("no.invalid", "token")
    assert probe.answers_from_here("no.invalid")


# What it said

PROBLEM = """
Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: www.art.example
  Type:   unauthorized
  Detail: 192.0.2.9: Invalid response from http://www.art.example/.well-known/acme-challenge/x: 404

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.
"""
LIMIT = """
Saving debug log to /var/log/letsencrypt/letsencrypt.log
An unexpected error occurred:
Error creating new order :: too many certificates (5) already issued for this exact set of domains in the last week,
retry after 2026-11-23 14:00:00 UTC: see https://letsencrypt.org/docs/rate-limits/
"""


def explained(text: str, settings: Settings) -> tuple[str, str]:
    error = certbot_errors.explained(StepFailed("server", "issue", "Ask", 1, text.strip().splitlines()), settings)
    return error.message, error.hint


def test_the_names_at_fault_are_said_in_plain_words(settings: Settings) -> None:
    message, hint = explained(PROBLEM, settings)
    assert "www.art.example: another server answered. It said: 192.0.2.9: Invalid" in message
    assert "five failed attempts an hour" in hint


def test_when_it_may_be_asked_again_is_said(settings: Settings) -> None:
    message, hint = explained(LIMIT, settings)
    assert "too many certificates (5) already issued" in message
    assert hint.startswith("Run fab certs again after 2026-11-23 14:00:00 UTC.")


def test_whatever_else_it_said_is_shown_without_noise(settings: Settings) -> None:
    message, _ = explained("Saving debug log to /var/log/x\nUnable to register an account", settings)
    assert message == "certbot got no certificate:\n  Unable to register an account"


def test_facts_know_what_there_is(settings: Settings) -> None:
    facts = sample.certified(FACTS, *NAMES)
    assert isinstance(facts, Facts)
    assert acme.install(settings, sample.SITE, facts) == []

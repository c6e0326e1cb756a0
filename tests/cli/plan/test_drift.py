"""Drift: what isn't on the server as it was left there, named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.plan import drift
from deploy.config.settings import Settings
from deploy.core.facts import Facts, FileFact
from deploy.host import provision
from deploy.nginx import generation
from tests import sample

GUARD = "/usr/local/lib/portside/guard-containers.sh"
DB = sample.web("", role="db")
WEB = f"portfolio-{sample.OLD}-web-1-1"


def left(settings: Settings, **record: Any) -> Facts:
    """A server as this version leaves it, with all that it notes. ``record``: of the live release."""
    facts = sample.live(settings)
    files = facts.files | {sample.SITE.live_compose: FileFact(0o644, "0:0", "c0")}
    return replace(
        sample.with_releases(facts, sample.OLD, {sample.OLD: sample.recorded(sample.OLD, compose="c0", **record)}),
        containers=(sample.web(sample.OLD), DB),
        files=files,
        written={path: files[path].sha256 for path in provision.watched() if path in files},
        nginx_written=dict(facts.nginx_files),
        ufw_ours=True,
        ufw="active",
        ufw_rules=("allow 80/tcp", "allow 443/tcp"),
        live_restore=True,
    )


def found(settings: Settings, **changed: Any) -> list[str]:
    return drift.found(settings, sample.SITE, replace(left(settings), **changed))


def test_a_server_as_it_was_left_has_none(settings: Settings) -> None:
    assert found(settings) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"nginx_active": False}, "Nginx is stopped."),
        ({"containers": (sample.web(sample.OLD, "exited"), DB)}, f"The container {WEB} is exited."),
        ({"containers": (DB,)}, f"1 web container of {sample.OLD} is missing."),
        ({"containers": (sample.web(sample.OLD),)}, "The database's container is missing."),
        ({"containers": (replace(sample.web(sample.OLD), status="Up 2 minutes (unhealthy)"), DB)},
         f"The container {WEB} runs, but is unhealthy."),
        ({"live_restore": False},
         "Docker would stop containers when it restarts: live-restore is off (/etc/docker/daemon.json)."),
        ({"disabled": ("nginx.service",)}, "nginx.service is disabled: it doesn't start at the next boot."),
        ({"renewal_timer": False}, "certbot.timer is stopped, so certificates aren't renewed."),
        ({"ufw": "inactive"}, "The firewall is turned off."),
        ({"ufw_rules": ("allow 443/tcp",)}, "The firewall was changed by hand: 80 no longer open."),
        ({"current": "", "nginx_active": False}, ""),
    ],
)  # fmt: skip
def test_each_is_named(changed: dict[str, Any], told: str, settings: Settings) -> None:
    assert found(settings, **changed) == ([told] if told else [])


def test_nginxs_files_that_were_changed_are_named_whoevers_they_are(settings: Settings) -> None:
    facts = left(settings)
    written = facts.nginx_files | {"sites/blog.conf": "1", "sites/gone.conf": "2"}
    facts = replace(facts, nginx_written=written, nginx_files=facts.nginx_files | {"sites/blog.conf": "0"})
    (told,) = drift.found(settings, sample.SITE, facts)
    assert told == (
        "Nginx's files were changed by hand: /etc/nginx/portside/sites/blog.conf, /etc/nginx/portside/sites/gone.conf."
    )
    (told,) = drift.found(settings, sample.SITE, replace(facts, nginx_written={}))
    assert told == "Nginx's files were changed by hand: /etc/nginx/portside.", "nobody noted which"


def test_the_hosts_files_are_compared_with_what_was_written(settings: Settings) -> None:
    """Not with what this version would write: a new version of Portside changes nothing by hand."""
    facts = left(settings)
    newer = replace(facts, files=facts.files | {GUARD: FileFact(0o755, "0:0", "1")}, written={GUARD: "1"})
    assert drift.found(settings, sample.SITE, newer) == []
    edited = replace(newer, written={GUARD: "2"})
    assert drift.found(settings, sample.SITE, edited) == [f"{GUARD} was changed by hand."]
    gone = replace(edited, files={path: fact for path, fact in edited.files.items() if path != GUARD})
    assert drift.found(settings, sample.SITE, gone) == [f"{GUARD} is missing."]


def test_a_firewall_that_nobody_had_switched_on_is_not_missed(settings: Settings) -> None:
    assert found(settings, ufw="", ufw_ours=False, ufw_rules=()) == []


def test_a_setting_that_was_changed_here_is_no_drift(tmp_path: Path, settings: Settings) -> None:
    facts = replace(left(settings), ufw_rules=("allow 80/tcp", "allow 443/tcp"))
    sample.files(tmp_path, {"dns.ini": "secret = another\n"})
    dns = {"DEPLOY_ACME_DNS": "rfc2136", "DEPLOY_ACME_DNS_CREDENTIALS": "dns.ini"}
    changed = sample.settings(tmp_path, DEPLOY_HTTP3="on", DEPLOY_MAX_BODY="3m", **dns)
    acme = {sample.SITE.acme_dns(): FileFact(0o600, "0:0", "0")}
    facts = replace(facts, files=facts.files | acme, issued_how="dns-rfc2136")
    assert drift.found(changed, sample.SITE, facts) == []


def test_processes_are_counted(settings: Settings) -> None:
    facts = left(settings, processes=["beat", "mail"])
    facts = replace(facts, containers=(*facts.containers, sample.web(sample.OLD, role="process")))
    assert drift.found(settings, sample.SITE, facts) == [f"1 process container of {sample.OLD} is missing."]


def test_the_live_compose_file_is_compared_with_what_was_written(settings: Settings) -> None:
    path = sample.SITE.live_compose
    facts = left(settings)
    told = [f"{path} was changed by hand. The next release gets a new one."]
    edited = facts.files | {path: FileFact(0o644, "0:0", "c1")}
    assert drift.found(settings, sample.SITE, replace(facts, files=edited)) == told
    older = {sample.OLD: sample.recorded(sample.OLD)}
    assert drift.found(settings, sample.SITE, replace(facts, files=edited, releases=older)) == []


def test_a_static_site_has_nothing_to_do_with_docker(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, sample.STATIC)
    record = {sample.OLD: sample.recorded(sample.OLD, kind="static", replicas=0)}
    facts = replace(sample.live_static(settings, record), docker_version="26.1", live_restore=False)
    assert drift.found(settings, sample.SITE, facts) == []


def test_what_a_newer_version_wrote_was_not_changed_by_hand(settings: Settings) -> None:
    """Whatever that one names a generation by: nothing differs from what was written."""
    facts = left(settings)
    newer = facts.nginx_files | {"snippets/new.conf": "1"}
    facts = replace(facts, nginx_generation="named-otherwise", nginx_files=newer, nginx_written=newer)
    assert drift.found(settings, sample.SITE, facts) == []
    assert generation.edited(replace(facts, nginx_files=newer | {"snippets/new.conf": "2"}))

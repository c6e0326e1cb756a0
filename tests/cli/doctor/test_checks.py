"""Findings from facts: a healthy server has none that is a fault, and each fault says what mends it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest

from deploy.cli.doctor import checks
from deploy.cli.doctor.findings import Examined, Finding, ServerState
from deploy.config.settings import Settings
from deploy.core import server_paths
from deploy.core.facts import Container, Facts, FileFact, Listener
from deploy.core.x509 import clock
from tests import sample

SEEN = """
unit	nginx.service active enabled
unit	docker.service active enabled
unit	portside-guard.service active enabled
unit	certbot.timer active enabled
unit	ufw.service active enabled
address	192.0.2.10
address	2001:db8::10
disk	40 40000 /
disk	40 40000 /var/lib/docker
inodes	5 /
password	no
"""


def container(name: str, restart: str = "unless-stopped", **ports: str) -> str:
    published = {f"{inside[1:]}/tcp": [{"HostIp": "0.0.0.0", "HostPort": outside}] for inside, outside in ports.items()}
    return "container\t" + json.dumps({"name": f"/{name}", "restart": restart, "labels": {}, "ports": published})


def healthy(settings: Settings) -> Facts:
    record = sample.recorded(sample.OLD)
    web, db = sample.web(sample.OLD), Container("portfolio-data-db-1", "running", True, "db", "", "", "")
    read = sample.certified(
        sample.live(settings), settings.canonical, clock=sample.CLOCK, last_dump="2026-11-20 a.dump"
    )
    return sample.with_releases(read, sample.OLD, {sample.OLD: record}, containers=(web, db))


def examined(settings: Settings, *more: str, seen: str = SEEN, later: int = 0, **changed: Any) -> Examined:
    """That server with something changed: lines of doctor.sh, facts, or this machine's clock (minutes)."""
    facts = replace(healthy(settings), **changed)
    names = [container(each.name) for each in facts.containers]
    lines = [*seen.strip().splitlines(), *names, *more]
    here = clock(sample.CLOCK).astimezone(UTC) + timedelta(minutes=later)
    return Examined(settings, sample.SITE, "srv", "ssh srv", facts, ServerState.parse(lines), here)


def wrong(it: Examined) -> list[Finding]:
    return [each for each in checks.of_server(it) if each.level != "ok"]


def test_a_fix_names_the_environment_file_that_was_given(settings: Settings) -> None:
    (found,) = wrong(replace(examined(settings, closed=True), env="staging.env"))
    assert found.fix == "fab maintenance --off -H srv --env staging.env"


def test_a_healthy_server_has_nothing_wrong(settings: Settings) -> None:
    assert wrong(examined(settings)) == []
    assert checks.exposed(examined(settings)) == []


def test_a_name_in_the_certificate_that_is_no_longer_the_sites_is_found(settings: Settings) -> None:
    it = examined(settings)
    facts = sample.certified(it.facts, settings.canonical, "gone.example")
    (found,) = wrong(replace(it, facts=facts))
    assert (found.check, found.level, found.fix) == ("tls", "warning", "fab certs -H srv")
    assert "gone.example" in found.text


def test_what_was_told_is_read() -> None:
    state = ServerState.parse(
        [*SEEN.strip().splitlines(), "failed\ta.service", "reboot\tyes", container("b", "no", _5432="5499")]
    )
    assert state.units["certbot.timer"] == ("active", "enabled")
    assert state.disks[0] == (40, 40000, "/")
    assert (state.inodes, state.failed, state.reboot, state.passwords) == (((5, "/"),), ("a.service",), True, False)
    assert (state.publisher(5499), state.publisher(80)) == ("b", "")


@pytest.mark.parametrize(
    ("old", "new", "level", "text", "fix"),
    [
        ("certbot.timer active", "certbot.timer inactive", "fault", "aren't renewed", "fab provision -H srv"),
        ("nginx.service active", "nginx.service failed", "fault", "the site is down", "fab provision -H srv"),
        ("nginx.service active enabled", "nginx.service active disabled", "fault", "at boot", "fab deploy -H srv"),
        ("nginx.service active enabled", "nginx.service active masked", "fault", "masked", "systemctl unmask nginx"),
        ("unit	docker.service active enabled\n", "", "fault", "docker.service doesn't exist", "fab provision -H srv"),
        ("disk	40 40000 /var", "disk	99 500 /var", "fault", "500 MB free at /var/lib/docker", "docker system df"),
        ("disk	40 40000 /var", "disk	95 3000 /var", "warning", "95 % of the disk", "docker system df"),
        ("inodes	5", "inodes	97", "warning", "inodes", "du --inodes"),
        ("password	no", "password	yes", "warning", "SSH accepts passwords", "PasswordAuthentication no"),
        ("password	no", "failed	a.service", "warning", "a.service has failed", "journalctl -u a.service"),
        ("password	no", "reboot	yes", "warning", "needs a reboot", "ssh srv sudo reboot"),
    ],
)  # fmt: skip
def test_what_is_seen_is_judged(old: str, new: str, level: str, text: str, fix: str, settings: Settings) -> None:
    assert old in SEEN
    (found,) = wrong(examined(settings, seen=SEEN.replace(old, new)))
    assert found.level == level
    assert text in found.text
    assert fix in found.fix


@pytest.mark.parametrize(
    ("changed", "level", "text", "fix"),
    [
        ({"ufw": "inactive"}, "fault", "ufw isn't active", "fab provision -H srv"),
        ({"ufw_rules": ("allow 22/tcp", "allow 80/tcp")}, "fault", "port 443", "fab provision -H srv"),
        ({"live_restore": False}, "fault", "live-restore", "fab provision -H srv"),
        ({"nginx_broken": "unknown directive in /etc/nginx/conf.d/x.conf:1"}, "fault", "conf.d/x.conf", "nginx -t"),
        ({"closed": True}, "warning", "closed for visitors", "fab maintenance --off -H srv"),
        ({"certificate": ""}, "warning", "no certificate", "fab certs -H srv"),
        ({"renewal_failed": "yesterday"}, "fault", "The last renewal failed", "fab certs -H srv"),
        ({"last_dump": ""}, "warning", "no dump", "fab psql --dump -H srv > database.sql"),
        ({"packages": frozenset()}, "warning", "Install nginx", "fab provision -H srv"),
    ],
)  # fmt: skip
def test_facts_are_judged(changed: dict[str, Any], level: str, text: str, fix: str, settings: Settings) -> None:
    found = [each for each in wrong(examined(settings, **changed)) if each.check != "host" or "packages" in changed]
    assert [each.level for each in found] == [level]
    assert text in found[0].text
    assert fix in found[0].fix


def test_a_container_that_does_not_run_or_come_back(settings: Settings) -> None:
    stopped = sample.web(sample.OLD, "exited")
    (found,) = wrong(examined(settings, containers=(stopped, healthy(settings).containers[1])))
    assert found.text == f"The container {stopped.name} is exited."
    assert found.fix.startswith("fab deploy -H srv")
    (found,) = wrong(examined(settings, container("portfolio-data-db-1", "no")))
    assert found.fix == "ssh srv sudo docker update --restart unless-stopped portfolio-data-db-1"
    (found,) = wrong(examined(settings, containers=healthy(settings).containers[1:]))
    assert found.text == f"1 web container of {sample.OLD} is missing."


def test_drift_is_reported_whatever_else_there_is(settings: Settings) -> None:
    """An upgrade that waits for a reboot, or passwords, once hid it."""
    changed = {"files": {**healthy(settings).files, server_paths.TMPFILES: FileFact(0o644, "0:0", "another")}}
    changed |= {"written": {server_paths.TMPFILES: "as it was"}}
    for more in ((), ("reboot\tyes", "failed\ta.service")):
        told = [each.text for each in wrong(examined(settings, *more, **changed))]
        assert f"The server setup is out of date for this version of Portside: {server_paths.TMPFILES}." in told
        assert f"{server_paths.TMPFILES} was changed by hand." in told
        assert len(told) == 2 + len(more)


def test_releases_without_their_image_are_named(settings: Settings) -> None:
    releases = {sample.OLD: sample.recorded(sample.OLD, sample.OLDER), sample.OLDER: sample.recorded(sample.OLDER)}
    own = tuple(sample.SITE.release(name).image for name in releases)
    (found,) = wrong(examined(settings, releases=releases, images=own[:1]))
    assert (found.level, found.text) == (
        "warning",
        f"No rollback is possible to releases without an image: {sample.OLDER}.",
    )
    assert "fab deploy --ref 5c0ffee5c0ff -H srv deploys" in found.fix
    (found,) = wrong(examined(settings, releases=releases, images=own[1:]))
    assert (found.level, found.fix) == ("fault", "fab deploy -H srv rebuilds it.")


def test_a_disk_is_full_where_a_deploy_has_no_room(settings: Settings) -> None:
    seen = SEEN.replace("disk\t40 40000 /var", "disk\t80 1500 /var")
    assert wrong(examined(settings, seen=seen)) == []
    (found,) = wrong(examined(settings, seen=seen, image_sizes={sample.OLD: 2000}))
    assert "1500 MB free at /var/lib/docker, a deploy needs 2512 MB" in found.text


def test_a_site_that_is_not_live_is_a_fault(settings: Settings) -> None:
    assert [each.fix for each in wrong(examined(settings, current=""))] == ["fab deploy -H srv"]


def test_a_certificate_that_is_not_for_a_name(settings: Settings) -> None:
    it = examined(settings, certificate=sample.certified(healthy(settings), "other.example").certificate)
    assert [each.text for each in wrong(it)] == ["The certificate isn't for portfolio.localhost."]


def test_clocks_that_are_apart(settings: Settings) -> None:
    (found,) = wrong(examined(settings, later=5))
    assert found.text == "The server's clock and this machine's are 300 s apart."


@pytest.mark.parametrize(("reached", "level"), [(True, "fault"), (False, "ok"), (None, "warning")])
def test_what_listens_beyond_the_server(reached: bool | None, level: str, settings: Settings) -> None:
    others = (Listener("tcp", "0.0.0.0", 5499, "docker-proxy"), Listener("tcp", "::", 5499, "docker-proxy"))
    it = examined(settings, container("stray", _5432="5499"), listeners=(*healthy(settings).listeners, *others))
    (listener,) = checks.exposed(it)
    found = checks.of_listener(it, listener, reached)
    assert found.level == level
    assert "container stray on tcp port 5499" in found.text
    assert level == "ok" or found.fix.endswith("ssh srv sudo docker stop stray")


def test_a_program_that_listens_is_named(settings: Settings) -> None:
    found = checks.of_listener(examined(settings), Listener("tcp", "0.0.0.0", 6379, "redis-server"), True)
    assert found.text == "Anyone can reach redis-server on tcp port 6379: it answered this machine."


def test_a_newer_portside_on_the_server_is_a_warning(settings: Settings) -> None:
    (found,) = wrong(examined(settings, portside="99.1"))
    assert (found.check, found.level) == ("host", "warning")
    assert found.text.startswith("Portside 99.1 has deployed to this server. This is ")


def test_files_that_an_older_portside_wrote_are_told_as_that(settings: Settings) -> None:
    facts = healthy(settings)
    written = {server_paths.RENEWAL_HOOK: facts.files[server_paths.RENEWAL_HOOK].sha256}
    (found,) = wrong(examined(settings, portside="0.0.1", written=written))
    assert ", because this Portside is newer: " in found.text

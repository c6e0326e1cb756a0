"""The host: what is missing is planned, what can't be is refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core import server_paths
from deploy.core.errors import PortsideError
from deploy.core.facts import Facts, Listener
from deploy.core.server_paths import VERSION
from deploy.host import packages, provision
from deploy.nginx import generation
from tests import sample
from tests.goldens import Texts, Transcript, difference


def plan(settings: Settings, facts: Facts, texts: Texts | None = None) -> str:
    phases = {
        "packages": packages.packages(settings, facts),
        "rest": provision.rest(settings, facts),
        "nginx": generation.steps(generation.base(facts), facts, "base settings and catch-all"),
    }
    return Transcript(texts or {})(
        [(f"## {name}" if steps else f"## {name}\n(nothing to do)", steps) for name, steps in phases.items()]
    )


def reasons(settings: Settings, facts: Facts) -> str:
    with pytest.raises(PortsideError) as caught:
        provision.check(settings, facts)
    assert caught.value.state == "Nothing was changed."
    return caught.value.message


def test_the_plan_for_a_bare_server(settings: Settings, texts: Texts, golden: Callable[[str, str], None]) -> None:
    provision.check(settings, sample.bare())
    golden("provision-debian-13-bare.txt", plan(settings, sample.bare(), texts))


def test_the_plan_for_a_bare_ubuntu(settings: Settings, golden: Callable[[str, str], None]) -> None:
    facts = sample.facts("ubuntu-24.04-bare")
    provision.check(settings, facts)
    debian, ubuntu = plan(settings, sample.bare()), plan(settings, facts)
    golden("provision-ubuntu-24.04-bare.txt", difference("provision-debian-13-bare.txt", debian, ubuntu))


def test_a_provisioned_server_needs_nothing(settings: Settings, golden: Callable[[str, str], None]) -> None:
    facts = sample.provisioned()
    provision.check(settings, facts)
    golden("provision-debian-13-provisioned.txt", plan(settings, facts))
    assert plan(settings, facts).count("(nothing to do)") == 3


def test_a_server_with_a_live_site_needs_nothing(settings: Settings) -> None:
    facts = sample.live(settings)
    provision.check(settings, facts)
    assert plan(settings, facts).count("(nothing to do)") == 3


def test_a_bare_server_gets_no_firewall_where_it_is_switched_off(tmp_path: Path) -> None:
    text = plan(sample.settings(tmp_path, DEPLOY_FIREWALL="off"), sample.bare())
    assert "ufw" not in text
    assert "script firewall" not in text


def test_sshs_own_port_is_opened(settings: Settings) -> None:
    opened = "script firewall what=open ports=2222/tcp ports=80/tcp ports=443/tcp"
    assert opened in plan(settings, sample.facts("ubuntu-24.04-bare"))


def missing_packages(settings: Settings, facts: Facts) -> tuple[str, ...]:
    steps = packages.packages(settings, facts)
    return next((step.packages for step in steps if isinstance(step, packages.Install)), ())


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"docker_version": ""}, ("docker.io", "docker-cli?")),
        ({"compose_version": "1.29.2"}, ("docker-compose-v2|docker-compose",)),
        ({"buildx_version": ""}, ("docker-buildx",)),
        ({"ufw": ""}, ("ufw",)),
        ({"packages": frozenset(packages.BASE_PACKAGES) - {"curl"}}, ("curl",)),
    ],
)
def test_only_what_is_missing_is_installed(
    changed: dict[str, Any], missing: tuple[str, ...], settings: Settings
) -> None:
    assert missing_packages(settings, replace(sample.provisioned(), **changed)) == missing


def test_the_engines_settings_are_kept(settings: Settings) -> None:
    facts = replace(sample.provisioned(), daemon_json='{"mtu": 1400}', live_restore=False)
    first, second = packages.packages(settings, facts)
    assert json.loads(first.files["content"]) == {"mtu": 1400, "live-restore": True}  # type: ignore[arg-type]
    assert second.words == ("script", "docker-reload")


def test_an_engine_that_has_not_read_its_settings_is_told_to(settings: Settings) -> None:
    (step,) = packages.packages(settings, replace(sample.provisioned(), live_restore=False))
    assert step.words == ("script", "docker-reload")


def test_an_engine_is_told_of_its_settings_beside_new_packages_too(settings: Settings) -> None:
    facts = replace(sample.provisioned(), live_restore=False, packages=frozenset(packages.BASE_PACKAGES) - {"curl"})
    words = [step.words for step in packages.packages(settings, facts)]
    assert words[-2:] == [("script", "packages", "packages=curl"), ("script", "docker-reload")]


@pytest.mark.parametrize(
    ("rules", "opened"),
    [
        (("allow 22/tcp", "allow 80/tcp", "allow 443/tcp"), ()),
        (("allow from 192.0.2.7 to any port 22",), ("80/tcp", "443/tcp")),
        (("allow 22/tcp", "allow 443/tcp"), ("80/tcp",)),
    ],
)
def test_a_firewall_that_is_active_gets_what_visitors_need_alone(
    rules: tuple[str, ...], opened: tuple[str, ...], settings: Settings
) -> None:
    steps = provision.rest(settings, replace(sample.provisioned(), ufw="active", ufw_rules=rules))
    given = {"what": "open", "ports": list(opened)}
    assert [(step.script, step.arguments) for step in steps] == [("firewall", given)] * bool(opened)


@pytest.mark.parametrize("rules", [(), ("allow 22/tcp", "allow 80/tcp", "allow 443/tcp")])
def test_a_firewall_that_is_inactive_lets_ssh_in_first(rules: tuple[str, ...], settings: Settings) -> None:
    (step,) = provision.rest(settings, replace(sample.provisioned(), ufw="inactive", ufw_rules=rules))
    assert step.words == ("script", "firewall", "what=open", "ports=22/tcp", "ports=80/tcp", "ports=443/tcp")


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_engine_settings_that_can_not_be_merged_are_refused(text: str, settings: Settings) -> None:
    assert "daemon.json isn't a JSON object" in reasons(settings, replace(sample.bare(), daemon_json=text))


@pytest.mark.parametrize(
    ("identity", "version", "known"),
    [
        ("debian", "13", True),
        ("ubuntu", "22.04", True),
        ("ubuntu", "26.04", True),
        ("debian", "11", False),
        ("debian", "", False),
        ("ubuntu", "20.04", False),
        ("fedora", "43", False),
    ],
)
def test_old_and_unknown_systems_are_refused(identity: str, version: str, known: bool, settings: Settings) -> None:
    facts = replace(sample.bare(), os_id=identity, os_version=version, os_name="A system")
    if known:
        provision.check(settings, facts)
    else:
        assert "Portside doesn't support A system. It supports Debian 12" in reasons(settings, facts)


def test_debian_12_needs_dockers_own_packages(settings: Settings) -> None:
    facts = replace(sample.bare(), os_version="12")
    assert "docker-compose-plugin" in reasons(settings, facts)
    provision.check(settings, replace(facts, compose_version="2.29.1"))


def test_a_server_without_systemd_is_refused(settings: Settings) -> None:
    assert "systemd" in reasons(settings, replace(sample.bare(), systemd=False))


@pytest.mark.parametrize("package", ["docker.io", "docker-ce"])
def test_an_engine_that_is_silent_is_refused_and_not_replaced(package: str, settings: Settings) -> None:
    facts = replace(sample.provisioned(), docker_version="", packages=frozenset({package, "docker-cli"}))
    assert f"{package} is installed but doesn't answer. systemctl status docker" in reasons(settings, facts)
    provision.check(settings, replace(facts, packages=frozenset({"docker-cli"})))


@pytest.mark.parametrize(("port", "process"), [(80, "apache2"), (443, "caddy"), (8099, "")])
def test_a_taken_port_is_refused_by_whose_it_is(port: int, process: str, settings: Settings) -> None:
    facts = replace(sample.bare(), listeners=(Listener("tcp", "127.0.0.1", port, process),))
    assert f"Port {port} is used by {process or 'another program'}" in reasons(settings, facts)


@pytest.mark.parametrize(
    ("listener", "told"),
    [
        (Listener("tcp", "0.0.0.0", 5432, "postgres"), "postgres on tcp port 5432"),
        (Listener("udp", "0.0.0.0", 5353, "avahi-daemon"), "avahi-daemon on udp port 5353"),
        (Listener("tcp", "::", 9000, ""), "a program on tcp port 9000"),
        (Listener("udp", "0.0.0.0", 443, "openvpn"), "openvpn on udp port 443"),
    ],
)
def test_the_firewall_cuts_nobody_off_unasked(listener: Listener, told: str, tmp_path: Path) -> None:
    facts = sample.bare()
    facts = replace(facts, listeners=(*facts.listeners, listener))
    assert told in reasons(sample.settings(tmp_path), facts)
    provision.check(sample.settings(tmp_path, DEPLOY_FIREWALL="off"), facts)
    provision.check(sample.settings(tmp_path), replace(facts, ufw="active"))


@pytest.mark.parametrize(("protocol", "address", "port"), [("tcp", "::", 5355), ("udp", "0.0.0.0", 5353)])
def test_what_a_cloud_image_listens_with_may_be_cut_off(
    protocol: str, address: str, port: int, settings: Settings
) -> None:
    resolved = Listener(protocol, address, port, "systemd-resolve")
    facts = sample.bare()
    provision.check(settings, replace(facts, listeners=(*facts.listeners, resolved)))
    assert "port 53" in reasons(settings, replace(facts, listeners=(*facts.listeners, replace(resolved, port=53))))


@pytest.mark.parametrize("state", ["active", "locked", "pending", "error"])
def test_a_swarm_is_refused_where_docker_is_needed(state: str, settings: Settings, tmp_path: Path) -> None:
    facts = sample.bare()
    assert "docker swarm leave" in reasons(settings, replace(facts, swarm=state))
    provision.check(settings, replace(facts, swarm="inactive"))
    provision.check(sample.settings(tmp_path, sample.STATIC), replace(facts, swarm=state))


@pytest.mark.parametrize(
    ("memory", "swap", "told"), [(481, 0, True), (481, 1024, False), (960, 0, False), (0, 0, False), (300, 600, True)]
)
def test_a_server_of_little_memory_is_told_of(
    memory: int, swap: int, told: bool, settings: Settings, tmp_path: Path
) -> None:
    facts = replace(sample.bare(), memory_mb=memory, swap_mb=swap)
    said = provision.little_memory(settings, facts)
    assert (f"{memory} MB of memory and {swap} MB of swap" in said) is told
    assert bool(said) is told
    assert provision.little_memory(sample.settings(tmp_path, sample.STATIC), facts) == ""


def test_every_reason_is_told_at_once(settings: Settings) -> None:
    facts = replace(sample.bare(), os_id="fedora", swarm="active", listeners=(Listener("tcp", "*", 80, "apache2"),))
    assert len(reasons(settings, facts).splitlines()) == 3


@pytest.mark.parametrize(
    ("disabled", "started"),
    [
        (("nginx.service",), ("nginx.service",)),
        (("nginx.service", "docker.service"), ("nginx.service", "docker.service")),
    ],
)
def test_what_is_disabled_starts_at_each_boot_again(
    disabled: tuple[str, ...], started: tuple[str, ...], settings: Settings
) -> None:
    (step,) = provision.rest(settings, replace(sample.provisioned(), disabled=disabled))
    assert (step.script, step.arguments) == ("enable", {"units": list(started)})


def test_a_static_site_needs_no_docker_at_a_boot(tmp_path: Path) -> None:
    static = sample.settings(tmp_path, sample.STATIC)
    assert provision.rest(static, replace(sample.provisioned(), disabled=("docker.service",))) == []


def test_what_brings_nginx_back_is_read_by_systemd_at_once(settings: Settings) -> None:
    facts = sample.provisioned()
    files = {path: fact for path, fact in facts.files.items() if path != server_paths.NGINX_UNIT}
    steps = provision.rest(settings, replace(facts, files=files))
    assert [step.words for step in steps] == [
        ("write", server_paths.NGINX_UNIT, "644", "root:root"),
        ("script", "enable", "units=nginx.service"),
    ]


def test_a_changed_guard_is_written_and_started_again(settings: Settings) -> None:
    facts = sample.provisioned()
    files = {path: fact for path, fact in facts.files.items() if "guard" not in path}
    *written, enabled = provision.rest(settings, replace(facts, files=files))
    assert [step.path for step in written] == [server_paths.GUARD_SCRIPT, server_paths.GUARD_UNIT]
    assert enabled.words == ("script", "guard-enable")


def test_what_is_compared_is_watched(settings: Settings) -> None:
    written = [step.path for step in provision.rest(settings, sample.bare()) if step.path]
    assert set(written) - set(provision.watched()) == {VERSION}, "a fact of its own"


@pytest.mark.parametrize("name", ["debian-13-bare", "ubuntu-24.04-bare"])
def test_a_static_site_needs_no_engine(name: str, tmp_path: Path) -> None:
    text = plan(sample.settings(tmp_path, sample.STATIC), sample.facts(name))
    assert "Install nginx, certbot" in text
    assert not [word for word in ("docker", "daemon.json", "portside-guard", "guard-containers") if word in text]


def test_a_static_site_leaves_an_engine_that_is_there_alone(tmp_path: Path) -> None:
    facts = replace(sample.provisioned(), daemon_json="no JSON", live_restore=False)
    settings = sample.settings(tmp_path, sample.STATIC)
    provision.check(settings, facts)
    assert packages.packages(settings, facts) == []


def test_what_is_wrong_with_the_engine_keeps_applications_out_alone(tmp_path: Path) -> None:
    old = {"os_id": "debian", "os_version": "12", "compose_version": "1.29.2", "docker_version": ""}
    facts = replace(sample.provisioned(), **old, daemon_json="no JSON", packages=frozenset({"docker.io"}))  # type: ignore[arg-type]
    said = reasons(sample.settings(tmp_path), facts)
    assert all(reason in said for reason in ("Compose v1 only", "isn't a JSON object", "docker.io is installed but"))
    provision.check(sample.settings(tmp_path, sample.STATIC), facts)

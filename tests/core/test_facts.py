"""Facts: what facts.sh prints, read from captured text."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from deploy.core.facts import Facts, FileFact, Listener, version
from deploy.nginx import http3
from tests import sample

LIVE = sample.facts("debian-13-live")


def parsed(*lines: str) -> Facts:
    return Facts.parse("\n".join(lines))


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_absent_things_are_empty() -> None:
    facts = parsed("os.id\tdebian")
    assert (facts.nginx_version, facts.record, facts.releases, facts.containers) == ("", {}, {}, ())
    assert (facts.cores, facts.ssh_port, facts.ipv6, facts.ufw) == (1, 22, False, "")


def test_the_hosts_facts_are_read() -> None:
    assert (LIVE.os_id, LIVE.os_version, LIVE.cores) == ("debian", "13", 2)
    assert (LIVE.clock, LIVE.ipv6, LIVE.systemd, LIVE.disk_mb) == ("20261120-192259", True, True, 74305)
    assert "docker.io" in LIVE.packages


def test_versions_are_read() -> None:
    assert version(LIVE.docker_version) == (26, 1, 5)
    assert version(LIVE.compose_version) == (2, 26, 1)
    assert version(LIVE.buildx_version) == (0, 13, 1)
    assert version(LIVE.nginx_version) == (1, 26, 3)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("nginx/1.26.3", (1, 26, 3)), ("v2.40.3-ce", (2, 40, 3)), ("", ()), ("unknown", ()), ("0.13.1+ds1", (0, 13, 1))],
)
def test_a_version_is_its_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert version(text) == numbers


def test_nginx_is_read_with_its_live_generation() -> None:
    assert (LIVE.nginx_active, LIVE.nginx_conf, LIVE.nginx_generation) == (True, "other", "2efa9c288cef")
    assert set(LIVE.nginx_files) >= {"nginx.conf", "sites/00-default.conf", "sites/portfolio.conf", "snippets/tls.conf"}


def test_the_firewalls_rules_are_read() -> None:
    assert LIVE.ufw == "active"
    assert LIVE.ufw_rules == ("allow 22/tcp", "allow 80/tcp", "allow 443/tcp")


def test_a_rules_comment_is_read_as_ufw_tells_of_it() -> None:
    facts = Facts.parse("ufw.rule\tallow 443/udp comment=506f7274736964653a20485454502f33\n")
    assert facts.ufw_rules == (http3.OPENED,)


def test_the_engines_settings_are_read() -> None:
    assert LIVE.live_restore
    assert LIVE.daemon_json == '{\n    "live-restore": true\n}\n'


def test_the_sites_releases_are_read() -> None:
    assert LIVE.current == sample.OLD
    assert LIVE.releases[sample.OLD]["commit"].startswith("d899b4d")
    assert LIVE.record["domains"] == ["portfolio.localhost"]


def test_containers_are_known_by_their_labels() -> None:
    (web,), (db,) = LIVE.role("web"), LIVE.role("db")
    assert (web.release, web.state, web.healthy) == (sample.OLD, "running", True)
    assert (db.release, db.image) == ("", "postgres:17")
    assert LIVE.role("web", sample.NEW) == []


def test_files_are_read_with_mode_and_owner() -> None:
    assert LIVE.files["/srv/portside"] == FileFact(0o755, "0:0", "-")
    assert LIVE.files["/srv/portside/portfolio/data/secrets/password"].mode == 0o600


def test_a_path_may_hold_spaces() -> None:
    assert parsed("file\t644 0:0 - /a b").files == {"/a b": FileFact(0o644, "0:0", "-")}


@pytest.mark.parametrize(
    ("line", "listener", "public"),
    [
        ('tcp 0.0.0.0:22 users:(("sshd",pid=1,fd=3))', Listener("tcp", "0.0.0.0", 22, "sshd"), True),
        ('tcp [::]:80 users:(("nginx",pid=1,fd=3),("nginx",pid=2,fd=3))', Listener("tcp", "::", 80, "nginx"), True),
        ("tcp *:2222 ", Listener("tcp", "*", 2222, ""), True),
        ("tcp 127.0.0.1:8100 ", Listener("tcp", "127.0.0.1", 8100, ""), False),
        ("tcp [::1]:5432 ", Listener("tcp", "::1", 5432, ""), False),
        ("tcp [::ffff:127.0.0.1]:8005 ", Listener("tcp", "::ffff:127.0.0.1", 8005, ""), False),
        ("udp 127.0.0.53%lo:53 ", Listener("udp", "127.0.0.53", 53, ""), False),
        ("udp [fe80::1]%eth0:546 ", Listener("udp", "fe80::1", 546, ""), True),
    ],
)
def test_a_listener_is_public_unless_it_is_loopbacks(line: str, listener: Listener, public: bool) -> None:
    assert parsed(f"listener\t{line}").listeners == (listener,)
    assert listener.public is public


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"cut": "sh'])
def test_a_record_cut_short_counts_as_absent(text: str) -> None:
    assert parsed(f"site.record\t{coded(text)}").record == {}


def test_a_release_without_record_is_known_as_unfinished() -> None:
    assert parsed(f"release\t{sample.NEW} ").releases == {sample.NEW: {}}


def test_what_a_release_would_record_is_known_while_it_is_not_live() -> None:
    pending = coded('{"id": "x"}')
    waiting = (f"release.pending\t{sample.NEW} {pending}", f"release.pending\t{sample.OLD} e30")
    facts = parsed(*waiting, f"release\t{sample.NEW} ")
    assert facts.pending == {sample.NEW: {"id": "x"}, sample.OLD: {}}
    assert facts.releases == {sample.NEW: {}}
    assert LIVE.pending == {}


def test_certificates_are_read() -> None:
    given = parsed(f"tls.kind\tissued\ntls.live\t{coded('a')}", f"tls.issued\t{coded('b')}", "tls.authority\thttps://c")
    assert (given.certificate_kind, given.certificate, given.issued, given.issued_by) == (
        "issued",
        "a",
        "b",
        "https://c",
    )
    assert (LIVE.certificate_kind, LIVE.certificate, LIVE.issued) == ("", "", "")


def test_other_sites_are_known_by_their_domains() -> None:
    whole = '==> /srv/portside/blog/site.json <==\n{"domains": ["b.example"]}\n'
    broken = '\n==> /srv/portside/broken/site.json <==\n{"domains": ['
    assert parsed(f"site.others\t{coded(whole + broken)}").other_sites == {"blog": {"b.example"}, "broken": set()}


@pytest.mark.parametrize(
    ("held", "holder", "told"),
    [
        ("lock", "ann@laptop, since 10:00:00 UTC", "ann@laptop, since 10:00:00 UTC"),
        ("work", "", "the server finishes it on its own"),
        ("", "ann@laptop, who is gone", ""),
        ("", "", ""),
    ],
)
def test_who_is_at_work_is_a_fact(held: str, holder: str, told: str, tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    sample.files(locks, {"site-nobodys.lock": "", "site-nobodys.work": "", "site-nobodys.holder": holder})
    text = sample.script_for("facts", locks)
    helpers = {f"remote/{name}.sh": sample.script_for(name, locks) for name in ("lib", "arguments")}
    script = sample.files(tmp_path, {"facts.sh": text, **helpers}) / "facts.sh"
    words = ("flock", str(locks / f"site-nobodys.{held}")) if held else ()
    environment = os.environ | {"PORTSIDE": str(tmp_path)}
    done = subprocess.run(
        (*words, "sh", str(script), "site=nobodys"), env=environment, capture_output=True, text=True, check=True
    )
    assert Facts.parse(done.stdout).held == told


def test_lines_that_are_no_fact_are_passed_over() -> None:
    assert parsed("# a comment", "", "dpkg-query: no packages", "os.id\tubuntu").os_id == "ubuntu"


@pytest.mark.parametrize("name", sorted(path.stem for path in sample.FACTS.glob("*.txt")))
def test_every_captured_text_can_be_read(name: str) -> None:
    assert sample.facts(name).os_id in {"debian", "ubuntu"}


@pytest.mark.parametrize("name", ["mine", "lost+found", "20261121-080000-ab12cd3.bak"])
def test_a_folder_of_another_name_is_no_release(name: str) -> None:
    assert parsed(f"release\t{name} ", f"release.pending\t{name} e30").releases == {}


@pytest.mark.parametrize(
    ("architecture", "platform"), [("amd64", "linux/amd64"), ("arm64", "linux/arm64"), ("armhf", "linux/arm/v7")]
)
def test_an_architecture_is_told_as_docker_calls_it(architecture: str, platform: str) -> None:
    assert parsed(f"arch\t{architecture}").platform == platform


def test_an_image_that_is_no_releases_is_not_ours() -> None:
    assert parsed("image\tportside/art:pulled", f"image\tportside/art:{sample.OLD}").images == (
        f"portside/art:{sample.OLD}",
    )


def test_the_size_of_an_image_is_read_as_docker_prints_it() -> None:
    read = parsed("image.size\tone 206MB", "image.size\ttwo 1.21GB", "image.size\tthree 512kB", "image.size\tfour N/A")
    assert read.image_sizes == {"one": 206, "two": 1210, "three": 0, "four": 0}

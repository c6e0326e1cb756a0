"""Host keys, judged as ssh judges them."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import paramiko
import pytest

from deploy.ssh.errors import ChangedHostKey, HostKeyError, RevokedHostKey, UnknownHostKey
from deploy.ssh.known_hosts import KnownHosts

OURS, OTHER = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
RSA = paramiko.RSAKey.generate(1024)
HOST = "web.example"
SALT = f"|1|{base64.b64encode(b'salt of 20 bytes, so').decode()}|"
"""Of hashed names: a test is called the same each time."""
NAMES = [
    (HOST, HOST, True),
    ("a,web.example,b", HOST, True),
    ("WEB.example", HOST, True),
    ("web.example.org", HOST, False),
    ("webxexample", HOST, False),
    ("*.example", HOST, True),
    ("web.exampl?", HOST, True),
    ("*.example,!web.example", HOST, False),
    ("!db.example,*.example", HOST, True),
    ("!db.example", HOST, False),
    ("[192.0.2.1]:2222", "[192.0.2.1]:2222", True),
    ("[192.0.2.*]:2222", "[192.0.2.1]:2222", True),
    ("192.0.2.1", "[192.0.2.1]:2222", False),
    ("2001:db8::1", "2001:db8::1", True),
    (paramiko.HostKeys.hash_host(HOST, SALT), HOST, True),
    (paramiko.HostKeys.hash_host("[web.example]:2222", SALT), "[web.example]:2222", True),
    (paramiko.HostKeys.hash_host("db.example", SALT), HOST, False),
    ("|1|broken", HOST, False),
]


def line(hosts: str, key: paramiko.PKey = OURS) -> str:
    return f"{hosts} {key.get_name()} {key.get_base64()}"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "known hosts"


def verdict(known: Path, *lines: str, host: str = HOST, other: str = "", key: paramiko.PKey = OURS) -> str:
    """What is said of the key where the file holds these lines."""
    known.write_text("".join(f"{text}\n" for text in lines))
    try:
        KnownHosts([f"{known.parent}/none", str(known)], host, other).verify(key)
    except HostKeyError as error:
        assert (error.name, error.key) == (host, key)
        return type(error).__name__
    return "accepted"


@pytest.mark.parametrize(("hosts", "host", "expected"), NAMES)
def test_a_line_names_hosts_as_ssh_reads_them(hosts: str, host: str, expected: bool, known: Path) -> None:
    assert verdict(known, line(hosts), host=host) == ("accepted" if expected else UnknownHostKey.__name__)


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no ssh-keygen here")
@pytest.mark.parametrize(("hosts", "host", "expected"), NAMES)
def test_ssh_itself_reads_them_so(hosts: str, host: str, expected: bool, known: Path) -> None:
    known.write_text(f"{line(hosts)}\n")
    done = subprocess.run(("ssh-keygen", "-F", host, "-f", known), capture_output=True, check=False)
    assert (done.returncode == 0) is expected


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "# a comment",
        "web.example",
        "web.example ecdsa-sha2-nistp256 AAAA=AAAA",
        "web.example ecdsa-sha2-nistp256 AAAAB3NzaC1yc2E=",
        "web.example ecdsa-sha2-nistp256 \udcff\udcfe",
        line(f"@cert-authority {HOST}", OTHER),
        f"@odd {line(HOST, OTHER)}",
        "@revoked",
    ],
)
def test_a_line_that_says_nothing_of_a_host_hides_none_after_it(broken: str, known: Path) -> None:
    known.write_bytes(f"{broken}\n{line(HOST)}\n".encode(errors="surrogateescape"))
    KnownHosts([str(known)], HOST).verify(OURS)
    with pytest.raises(ChangedHostKey):
        KnownHosts([str(known)], HOST).verify(OTHER)


def test_an_authoritys_key_is_no_hosts_key(known: Path) -> None:
    assert verdict(known, f"@cert-authority {line('*')}") == UnknownHostKey.__name__


@pytest.mark.parametrize("hosts", ["*", HOST, paramiko.HostKeys.hash_host(HOST, SALT)])
def test_a_revoked_key_is_refused_wherever_else_it_stands(hosts: str, known: Path) -> None:
    for lines in ((line(HOST), f"@revoked {line(hosts)}"), (f"@revoked {line(hosts)}", line(HOST))):
        assert verdict(known, *lines) == RevokedHostKey.__name__
    assert verdict(known, f"@revoked {line(hosts, OTHER)}", line(HOST)) == "accepted"


def test_a_key_revoked_under_the_name_without_its_port_is_refused(known: Path) -> None:
    names = {"host": "[192.0.2.1]:2222", "other": "192.0.2.1"}
    lines = (line("[192.0.2.1]:2222"), f"@revoked {line('192.0.2.1')}")
    assert verdict(known, *lines, **names) == RevokedHostKey.__name__


def test_any_of_several_keys_will_do(known: Path) -> None:
    assert verdict(known, line(HOST, OTHER), line(HOST)) == "accepted"
    assert verdict(known, line("*.example", OTHER), line(HOST)) == "accepted"


def test_changed_is_what_has_another_key_of_its_type(known: Path) -> None:
    assert verdict(known, line(HOST, OTHER)) == ChangedHostKey.__name__
    assert verdict(known, line(HOST, RSA)) == UnknownHostKey.__name__
    assert verdict(known) == UnknownHostKey.__name__


def test_a_key_known_without_the_port_is_accepted_where_none_is_known_with_it(known: Path) -> None:
    names = {"host": "[192.0.2.1]:2222", "other": "192.0.2.1"}
    assert verdict(known, line("192.0.2.1"), **names) == "accepted"
    assert verdict(known, line("192.0.2.1", OTHER), **names) == UnknownHostKey.__name__, "another server's, it may be"
    assert verdict(known, line("192.0.2.1"), line("[192.0.2.1]:2222", OTHER), **names) == ChangedHostKey.__name__


def test_the_types_known_are_told(known: Path) -> None:
    known.write_text(f"{line(HOST, RSA)}\n{line('db.example')}\n@revoked {line(HOST)}\n")
    assert KnownHosts([str(known)], HOST).kinds == {"ssh-rsa"}


def test_keys_of_another_type_are_told_with_an_unknown_one(known: Path) -> None:
    known.write_text(line(HOST, RSA))
    with pytest.raises(UnknownHostKey) as caught:
        KnownHosts([str(known)], HOST).verify(OURS)
    assert caught.value.known == "ssh-rsa"


def test_where_another_key_stands_is_told_with_what_takes_it_away(known: Path) -> None:
    host = "[web.example]:2222"
    for hosts, remedy in (
        (host, f"ssh-keygen -R '{host}' -f '{known}'"),
        (paramiko.HostKeys.hash_host(host), f"ssh-keygen -R '{host}' -f '{known}'"),
        ("[*.example]:2222", f"remove line 2 from {known}"),
    ):
        known.write_text(f"\n{line(hosts, OTHER)}\n")
        with pytest.raises(ChangedHostKey) as caught:
            KnownHosts([str(known)], host).verify(OURS)
        assert (caught.value.file, caught.value.number, caught.value.remedy) == (str(known), 2, remedy)

"""What puts a certificate in place, and what asks for names, run for real; the test's programs stand in for Nginx."""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest

from deploy.ssh.payload import REMOTE
from tests import pki, sample

SYSTEMCTL = '#!/bin/sh\necho "$*" >>"$TOP/log"\n'
NGINX = """#!/bin/sh
[ ! -f "$TOP/broken" ] || exit 1
! grep -qs refused "$TOP/certificates/art/live/fullchain.pem"
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name, text in (("systemctl", SYSTEMCTL), ("nginx", NGINX)):
        (sample.files(tmp_path, {f"bin/{name}": text}) / "bin" / name).chmod(0o755)
    for name in ("certificate", "renewal-hook"):
        text = (REMOTE / f"host/{name}.sh").read_text(encoding="utf-8")
        text = text.replace("/usr/local/lib/portside", str(tmp_path)).replace("/etc/portside", str(tmp_path))
        sample.files(tmp_path, {f"{name}.sh": text.replace("/run/portside", str(tmp_path / "run"))})
        (tmp_path / f"{name}.sh").chmod(0o755)
    return tmp_path


def run(top: Path, script: str, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{top}/bin:{os.environ['PATH']}", "TOP": str(top)} | given
    return subprocess.run(
        ("sh", top / f"{script}.sh", *words), env=environment, capture_output=True, text=True, timeout=180, check=False
    )


def made(top: Path, name: str, mark: str = "", key: str = "") -> str:
    """A folder with a new certificate and its key."""
    issued = pki.issued("art.example")
    sample.files(top / name, {"fullchain.pem": issued.chain + mark, "privkey.pem": key or issued.key})
    return str(top / name)


def put(top: Path, folder: str, kind: str = "issued") -> subprocess.CompletedProcess[str]:
    return run(top, "certificate", "art", kind, folder)


def live(top: Path) -> str:
    return (top / "certificates/art/live/fullchain.pem").read_text()


def reloads(top: Path) -> int:
    return (top / "log").read_text().splitlines().count("reload nginx") if (top / "log").exists() else 0


def test_a_certificate_goes_live_with_its_key_for_root_alone(top: Path) -> None:
    folder = made(top, "new")
    assert put(top, folder).returncode == 0
    assert live(top) == (top / "new/fullchain.pem").read_text()
    assert (top / "certificates/art/live/privkey.pem").stat().st_mode & 0o777 == 0o600
    assert (top / "certificates/art").stat().st_mode & 0o777 == 0o700
    assert reloads(top) == 1


def test_the_same_again_is_nothing_to_do(top: Path) -> None:
    folder = made(top, "new")
    put(top, folder)
    assert (put(top, folder).returncode, reloads(top)) == (0, 1)


def test_the_one_before_is_kept_and_no_other(top: Path) -> None:
    for name in ("first", "second", "third"):
        put(top, made(top, name))
    assert len(list((top / "certificates/art").glob("issued-*"))) == 2
    assert live(top) == (top / "third/fullchain.pem").read_text()


def test_a_key_of_another_is_refused(top: Path) -> None:
    put(top, made(top, "good"))
    before = live(top)
    done = put(top, made(top, "bad", key=pki.issued("art.example").key))
    assert (done.returncode, live(top)) == (1, before)
    assert "don't match" in done.stdout


def test_what_nginx_refuses_is_taken_back(top: Path) -> None:
    put(top, made(top, "good"))
    before = live(top)
    done = put(top, made(top, "bad", mark="refused\n"))
    assert (done.returncode, live(top), reloads(top)) == (1, before, 1)
    assert "The previous one is restored" in done.stdout


def test_where_nginx_refuses_something_else_the_new_one_waits(top: Path) -> None:
    put(top, made(top, "good"))
    (top / "broken").touch()
    done = put(top, made(top, "new"))
    assert (done.returncode, live(top)) == (1, (top / "new/fullchain.pem").read_text())
    assert "for another reason" in done.stdout


def test_a_renewal_replaces_what_was_issued_and_nothing_else(top: Path) -> None:
    lineage = made(top, "lineages/art")
    assert run(top, "renewal-hook", RENEWED_LINEAGE=lineage).returncode == 0
    assert not (top / "certificates/art").exists()
    put(top, made(top, "own"), "own")
    before = live(top)
    assert run(top, "renewal-hook", RENEWED_LINEAGE=lineage).returncode == 0
    assert live(top) == before
    put(top, made(top, "issued"))
    assert run(top, "renewal-hook", RENEWED_LINEAGE=lineage).returncode == 0
    assert live(top) == (top / "lineages/art/fullchain.pem").read_text()


@pytest.fixture(scope="module")
def names() -> ModuleType:
    spec = importlib.util.spec_from_file_location("names", REMOTE / "names.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def records(*given: tuple[int, bytes, bytes]) -> tuple[bytes, int]:
    """A name server's answer with these records (type, tag, value), and where its question ends."""
    question = b"\x03art\x07example\0" + struct.pack("!2H", 257, 1)
    head = struct.pack("!6H", 1, 0x8180, 1, len(given), 0, 0)
    answers = b""
    for kind, tag, value in given:
        data = b"\0" + bytes([len(tag)]) + tag + value
        answers += b"\xc0\x0c" + struct.pack("!2HIH", kind, 1, 60, len(data)) + data
    return head + question + answers, len(head + question)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ((), None),
        (((257, b"issue", b"letsencrypt.org"),), [("issue", "letsencrypt.org")]),
        (((257, b"issue", b"A.example; account=1"), (257, b"Issue", b";")), [("issue", "a.example"), ("issue", "")]),
        (((257, b"iodef", b"mailto:me@example.com"),), [("iodef", "mailto:me@example.com")]),
        (((5, b"issue", b"no-caa-at-all"),), None),
    ],
)
def test_caa_records_are_read(names: ModuleType, given: tuple[tuple[int, bytes, bytes], ...], found: object) -> None:
    assert names.records_in(*records(*given)) == found


@pytest.mark.parametrize(
    ("records", "plain", "wildcard"),
    [
        ([("issue", "a.example")], ["a.example"], ["a.example"]),
        ([("issue", "a.example"), ("issuewild", "")], ["a.example"], [""]),
        ([("issuewild", "b.example")], None, ["b.example"]),
        ([("iodef", "mailto:me@example.com")], None, None),
    ],
)
def test_a_wildcard_has_caa_records_of_its_own(
    names: ModuleType, records: list[tuple[str, str]], plain: object, wildcard: object
) -> None:
    assert names.issuers(records, wildcard=False) == plain
    assert names.issuers(records, wildcard=True) == wildcard


def test_the_nearest_caa_records_count(names: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"art.example": [("issuewild", "a.example")], "example": [("issue", "b.example")]}
    monkeypatch.setattr(names, "caa_of", there.get)
    found = {name: names.allowed(name) for name in ("*.art.example", "www.art.example", "other.example", "none.test")}
    assert found == {
        "*.art.example": ["a.example"], "www.art.example": None, "other.example": ["b.example"], "none.test": None,
    }  # fmt: skip


def test_where_names_lead_is_not_asked_without_a_token(names: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "allowed", lambda name: None)
    assert names.look("*.art.example", "") == {"addresses": None, "caa": None}


def test_a_name_leads_here_where_the_token_comes(names: ModuleType, tmp_path: Path) -> None:
    names.leave(str(tmp_path), "the token")

    class Here(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write((tmp_path / self.path.lstrip("/")).read_bytes())

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        assert names.fault("127.0.0.1", "art.example", "the token", port) == ""
        assert "another server answers there" in names.fault("127.0.0.1", "art.example", "another", port)
        server.shutdown()
    assert names.fault("127.0.0.1", "art.example", "the token", port).startswith("port ")


def test_names_of_this_machine_lead_to_it(names: ModuleType) -> None:
    assert names.addresses_of("art.localhost") == ["127.0.0.1"]
    assert names.addresses_of("no.invalid") == []


def test_an_authority_that_is_not_there_is_said(
    names: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTSIDE_FILES", str(tmp_path))
    told = names.authority("https://127.0.0.1:1/dir")
    assert json.loads(json.dumps(told))["error"]


def test_one_that_was_damaged_is_put_in_place_again(top: Path) -> None:
    folder = made(top, "new")
    put(top, folder)
    (top / "certificates/art/live/privkey.pem").write_text("")
    assert (put(top, folder).returncode, reloads(top)) == (0, 2)
    assert (top / "certificates/art/live/privkey.pem").read_text() == (top / "new/privkey.pem").read_text()
    (top / "certificates/art/live/fullchain.pem").unlink()
    (top / "broken").touch()
    assert put(top, folder).returncode == 1
    assert live(top) == (top / "new/fullchain.pem").read_text()


def test_one_is_on_the_disk_before_it_is_live(top: Path) -> None:
    note = '#!/bin/sh\necho $(ls "$TOP/certificates/art") "$*" >>"$TOP/synced"\nexec /bin/sync "$@"\n'
    (sample.files(top, {"bin/sync": note}) / "bin/sync").chmod(0o755)
    put(top, made(top, "new"))
    first, last = (top / "synced").read_text().splitlines()
    home, folder = top / "certificates/art", next(top.glob("certificates/art/issued-*"))
    assert first == f"{folder.name} {folder}/fullchain.pem {folder}/privkey.pem {folder}"
    assert last == f"{folder.name} live {home}"

"""A site that tells what it was asked, and a client that keeps to no rules."""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..kit import small
from ..kit.inside import shell
from ..kit.nginx_container import Edge

DOMAIN = "hostile.test"
SECRET = "lies-beside-and-is-nobodys-business"

SETTINGS = 'ALLOWED_HOSTS = ["*"]\nINSTALLED_APPS = []\nDEBUG = False\n' + small.STATIC
URLS = """\
import json
from django.http import HttpResponse, JsonResponse
from django.urls import re_path

def echo(request):
    told = {name: value for name, value in request.META.items() if isinstance(value, str) and name.startswith("HTTP_")}
    told |= {"host": request.get_host(), "scheme": request.scheme, "path": request.get_full_path()}
    told |= {"address": request.META.get("REMOTE_ADDR"), "body": len(request.body)}
    with open("/data/seen", "a") as seen:
        seen.write(json.dumps([told.get("HTTP_X_REQUEST_ID"), request.method, told["path"]]) + "\\n")
    return JsonResponse(told)

urlpatterns = [re_path("", echo)]
"""
# What the application saw and what Nginx noted: both from the servers' own files, in one look.
LOOK = """
cat /srv/portside/hostile/volumes/shared/seen
echo ---
cat /var/log/nginx/hostile.access.log
"""


@dataclass(frozen=True)
class Heard:
    """What came back, up to the end of the connection or until nothing more came. ``status`` 0: no answer at all."""

    text: str

    @property
    def status(self) -> int:
        return int(self.text.split(" ", 2)[1]) if self.text.startswith("HTTP/") else 0

    @property
    def told(self) -> dict[str, str]:
        """What the application was told, where it answered; of several answers the first."""
        found = re.search(r"^\{.*\}", self.text, re.MULTILINE)
        return dict(json.loads(found.group())) if found else {}


def raw(server: Edge, data: bytes | str, seconds: float = 20) -> Heard:
    """Send these bytes to port 80 over a connection of their own; what comes back until a second is silent."""
    data = data if isinstance(data, bytes) else data.encode("latin-1")
    with socket.create_connection(("127.0.0.1", server.http_port), seconds) as connection:
        with suppress(OSError):  # it may have heard enough
            connection.sendall(data)
        return Heard(b"".join(_chunks(connection)).decode("latin-1"))


def _chunks(connection: socket.socket) -> Iterable[bytes]:
    with suppress(ConnectionError, TimeoutError):
        while chunk := connection.recv(65536):
            yield chunk
            connection.settimeout(1)


def request(*headers: str, line: str = "GET / HTTP/1.1", host: str = f"Host: {DOMAIN}", body: str = "") -> str:
    """A request with these header lines, after which the connection may be closed."""
    lines = [line, *([host] if host else []), *headers, "Connection: close"]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def smuggled(server: Edge) -> list[list[str]]:
    """Requests that the application saw and Nginx knows nothing of."""
    seen, _, logged = shell(server, LOOK).partition("---\n")
    known = {(entry["id"], entry["method"]) for entry in map(json.loads, logged.splitlines())}
    lines = [json.loads(line) for line in seen.splitlines()]
    assert lines, "it has seen something"
    return [line for line in lines if (line[0], line[1]) not in known]


# HTTP/2, as far as attacks need it. https://datatracker.ietf.org/doc/html/rfc9113

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS_FRAME = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4
PLAIN = ((":method", "GET"), (":scheme", "https"), (":authority", DOMAIN), (":path", "/"))


def http2(server: Edge, headers: Sequence[tuple[str, str]], body: bytes = b"") -> str:
    """Ask by HTTP/2 with these headers and no others; the answer's body, up to its end or that of the connection."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)
    with (
        socket.create_connection(("127.0.0.1", server.https_port), 20) as plain,
        context.wrap_socket(plain, server_hostname=DOMAIN) as connection,
    ):
        assert connection.selected_alpn_protocol() == "h2"
        asked = _frame(HEADERS, END_HEADERS | (0 if body else END_STREAM), 1, block)
        asked += _frame(DATA, END_STREAM, 1, body) if body else b""
        connection.sendall(PREFACE + _frame(SETTINGS_FRAME, 0, 0) + asked)
        return b"".join(_answer(connection)).decode("latin-1")


def _answer(connection: ssl.SSLSocket) -> Iterable[bytes]:
    stream = connection.makefile("rb")
    while len(head := stream.read(9)) == 9:
        size, kind, flags, number = int.from_bytes(head[:3]), head[3], head[4], int.from_bytes(head[5:])
        payload = stream.read(size)
        if kind == DATA:
            yield payload
        if number == 1 and (flags & END_STREAM or kind not in {DATA, HEADERS}):
            return


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _text(text: str) -> bytes:
    """A string literal, not compressed. https://datatracker.ietf.org/doc/html/rfc7541#section-5"""
    data = text.encode("latin-1")
    if len(data) < 127:
        return bytes((len(data),)) + data
    rest, size = len(data) - 127, b"\x7f"
    while rest >= 128:
        size, rest = size + bytes((rest % 128 + 128,)), rest // 128
    return size + bytes((rest,)) + data

"""HTTPS as a visitor meets it."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from deploy.practice import Practice

from .visitors import Answer
from .waiting import HANGS


@dataclass
class Root:
    """Whom a visitor trusts."""

    path: Path

    def trust(self, pem: str) -> None:
        self.path.write_text(pem)


def get(server: Practice, root: Root, host: str, path: str = "/", sni: str = "") -> Answer:
    """Ask by HTTPS, as a browser does that trusts this root."""
    context = ssl.create_default_context(cafile=str(root.path))
    with (
        socket.create_connection(("127.0.0.1", server.https_port), HANGS) as plain,
        context.wrap_socket(plain, server_hostname=sni or host) as encrypted,
    ):
        connection = http.client.HTTPConnection(host)
        connection.sock = encrypted
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def certificate(server: Practice, root: Root, host: str) -> bytes:
    """The certificate that a visitor is shown (DER)."""
    context = ssl.create_default_context(cafile=str(root.path))
    with (
        socket.create_connection(("127.0.0.1", server.https_port), HANGS) as plain,
        context.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""


def names(server: Practice, root: Root, host: str) -> set[str]:
    """The names in it."""
    read = x509.load_der_x509_certificate(certificate(server, root, host))
    extension = read.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value.get_values_for_type(x509.DNSName))

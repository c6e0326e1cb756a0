"""Certificates that tests make: an authority's root, an intermediate, and what it issues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Issued:
    """Of a certificate, in PEM: itself, its issuer's, the root's, its key."""

    leaf: str
    intermediate: str
    root: str
    key: str

    @property
    def chain(self) -> str:
        return self.leaf + self.intermediate


def issued(*hosts: str, days: float = 90, since: float = 1) -> Issued:
    """A certificate for these hosts, that began ``since`` days ago and ends after ``days``."""
    root, middle_key, middle = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    begins = NOW - timedelta(days=since)
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    leaf = (
        _builder(_common(hosts), key, middle.subject, middle_key, begins, begins + timedelta(days=days))
        .add_extension(names, critical=False)
        .sign(middle_key, SHA256())
    )
    return Issued(_pem(leaf), _pem(middle), _pem(root), key_pem(key))


def _common(hosts: Sequence[str]) -> str:
    return hosts[0][:64] if hosts else "nobody"


def key_pem(key: Any, password: bytes = b"") -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())


def looked(hosts: Sequence[str], **changed: Any) -> dict[str, Any]:
    """What names.py says where everything is as it should be."""
    authority = {"error": "", "identities": [], "external": False}
    return {"authority": authority, "names": {host: {"addresses": {"192.0.2.1": ""}, "caa": None} for host in hosts}}


@cache
def _authority() -> tuple[x509.Certificate, Any, x509.Certificate]:
    root_key, middle_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    begins, ends = NOW - timedelta(days=400), NOW + timedelta(days=4000)
    name = _name("A test's root")
    root = _as_authority(_builder("A test's root", root_key, name, root_key, begins, ends))
    middle = _as_authority(_builder("A test's intermediate", middle_key, name, root_key, begins, ends))
    return root.sign(root_key, SHA256()), middle_key, middle.sign(root_key, SHA256())


def _as_authority(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    signs = dict.fromkeys(_USES, False) | {"key_cert_sign": True, "crl_sign": True}
    limits = x509.BasicConstraints(ca=True, path_length=None)
    return builder.add_extension(limits, critical=True).add_extension(x509.KeyUsage(**signs), critical=True)


_USES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def _builder(
    name: str, key: Any, issuer: x509.Name, issuer_key: Any, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    """With what Python, since 3.13, wants of every certificate (RFC 5280)."""
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()

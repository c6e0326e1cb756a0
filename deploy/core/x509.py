"""Certificates: their names and dates, and whether a user's own certificate can be used."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

SOON = timedelta(days=30)


@dataclass(frozen=True)
class Certificate:
    """The first certificate of a PEM file."""

    names: frozenset[str]
    begins: datetime
    ends: datetime

    @classmethod
    def parse(cls, pem: str) -> Certificate | None:
        """Parse the first certificate of a PEM text; None if there is none."""
        try:
            found = x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            return None
        return cls(frozenset(_names(found)), found.not_valid_before_utc, found.not_valid_after_utc)

    def covers(self, host: str) -> bool:
        """Whether a browser accepts it for ``host``: by name, or by a wildcard for the first label."""
        return host in self.names or f"*.{host.partition('.')[2]}" in self.names

    def fresh(self, now: datetime) -> bool:
        """Whether it needn't be renewed yet: 30 days are left, or a third of a lifetime below 90 days."""
        return self.begins <= now < self.ends - min(SOON, (self.ends - self.begins) / 3)

    @property
    def until(self) -> str:
        return f"{self.ends:%Y-%m-%d}"


def clock(text: str) -> datetime:
    """Parse the server's clock as given in its facts."""
    return datetime.strptime(text, "%Y%m%d-%H%M%S").replace(tzinfo=UTC)


def own_faults(pem: bytes, key: bytes, hosts: Sequence[str], now: datetime) -> list[str]:
    """Return why a user's own certificate can't be used for these hosts, one sentence for each reason."""
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return ["DEPLOY_TLS_CERT: the file contains no certificate in PEM format."]
    return [*_key_faults(chain[0], key), *_time_faults(chain, now), *_name_faults(pem, hosts), *_chain_faults(chain)]


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    found = extension.value
    return [name.lower() for name in found.get_values_for_type(x509.DNSName)] + [
        str(address) for address in found.get_values_for_type(x509.IPAddress)
    ]


def _key_faults(certificate: x509.Certificate, pem: bytes) -> list[str]:
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        return ["DEPLOY_TLS_KEY: the key has a passphrase, which Nginx can't ask for. Remove it with openssl pkey."]
    except ValueError:
        return ["DEPLOY_TLS_KEY: the file contains no private key in PEM format."]
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form):
        return []
    return ["DEPLOY_TLS_KEY: the key doesn't belong to the first certificate in DEPLOY_TLS_CERT."]


def _time_faults(chain: Iterable[x509.Certificate], now: datetime) -> list[str]:
    faults = []
    for certificate in chain:
        if certificate.not_valid_after_utc <= now:
            faults.append(
                f"DEPLOY_TLS_CERT: {_who(certificate)} expired on {certificate.not_valid_after_utc:%Y-%m-%d}."
            )
        if certificate.not_valid_before_utc > now:
            since = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
            faults.append(f"DEPLOY_TLS_CERT: {_who(certificate)} isn't valid before {since}.")
    return faults


def _name_faults(pem: bytes, hosts: Sequence[str]) -> list[str]:
    certificate = Certificate.parse(pem.decode(errors="replace"))
    missing = [host for host in hosts if not certificate or not certificate.covers(host)]
    if not missing:
        return []
    names = ", ".join(sorted(certificate.names)) if certificate and certificate.names else "no name at all"
    return [f"DEPLOY_TLS_CERT: the certificate doesn't cover {', '.join(missing)}. It covers {names}."]


def _chain_faults(chain: Sequence[x509.Certificate]) -> list[str]:
    """Check that each certificate is followed by its issuer's, and that the last issuer is a known root or itself."""
    for certificate, issuer in pairwise(chain):
        if not _issued(certificate, issuer):
            return [
                f"DEPLOY_TLS_CERT: the certificates are in the wrong order. {_who(certificate)} is followed by "
                f"{_who(issuer)}, which didn't issue it. Put the site's first, then its issuer's, and so on."
            ]
    last = chain[-1]
    if last.issuer == last.subject or last.issuer.public_bytes() in _roots():
        return []
    return [
        f"DEPLOY_TLS_CERT: the chain is incomplete. {_who(last)} was issued by {last.issuer.rfc4514_string()}, but "
        "that certificate is missing. Append it to the file."
    ]


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


@cache
def _roots() -> frozenset[bytes]:
    """Return the subjects of the roots that browsers or this machine trust."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    found = set()
    for root in context.get_ca_certs(binary_form=True):
        # Some widely used roots break rules that a parser may enforce.
        with warnings.catch_warnings(), suppress(ValueError):
            warnings.simplefilter("ignore")
            found.add(x509.load_der_x509_certificate(root).subject.public_bytes())
    return frozenset(found)


def _who(certificate: x509.Certificate) -> str:
    return f"“{certificate.subject.rfc4514_string() or ', '.join(_names(certificate))}”"

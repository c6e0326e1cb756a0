"""The checks of ``fab doctor`` from this machine, as a visitor: ports, DNS names, and the served certificate."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from cryptography import x509

from ...core.x509 import Certificate
from ...nginx import hostnames
from .findings import Examined, Finding, fault, fine, warning

SECONDS = 4
MOST_PORTS = 40


def reached(address: str, ports: Iterable[int]) -> dict[int, bool]:
    """Return which ports answer this machine. Tries each once, and at most some forty; sends nothing."""
    asked = sorted(set(ports))[:MOST_PORTS]

    def answers(port: int) -> bool:
        try:
            with socket.create_connection((address, port), SECONDS):
                return True
        except OSError:
            return False

    with ThreadPoolExecutor(max_workers=MOST_PORTS) as pool:
        return dict(zip(asked, pool.map(answers, asked), strict=True))


def of_ports(it: Examined, found: dict[int, bool]) -> list[Finding]:
    """Check whether visitors can reach the ports that Nginx listens on."""
    listening = {x.port for x in it.facts.listeners if x.protocol == "tcp" and x.public}
    cut = [port for port in (80, 443) if port in listening and found.get(port) is False]
    if not cut:
        return []
    ports = " and ".join(map(str, cut))
    text = f"Nginx listens on port {ports}, but this machine can't reach it."
    return [fault("ports", text, "open it in your provider's firewall, and " + it.fab("provision"))]


def of_names(it: Examined, addresses: Sequence[str]) -> list[Finding]:
    """Check whether the names resolve to the server on this machine. ``addresses``: the server's."""
    names = [name for name in it.settings.names if not name.startswith("*.")]
    with ThreadPoolExecutor() as pool:
        seen = dict(zip(names, pool.map(_addresses, names), strict=True))
    found = []
    for name, leads in seen.items():
        elsewhere = sorted(leads - set(addresses))
        if not leads:
            fix = f"add a record for it (DNS): A {' '.join(a for a in addresses if ':' not in a)}"
            found.append(fault("dns", f"{name} doesn't resolve on this machine.", fix))
        elif elsewhere:
            fix = f"point it to {' or '.join(addresses)}; if a proxy is in front of the server, set DEPLOY_REAL_IP"
            many = warning if it.settings.real_ip or leads & set(addresses) else fault
            found.append(many("dns", f"{name} points to {', '.join(elsewhere)}, which isn't this server.", fix))
    return found or [fine("dns", f"names that point to this server: {', '.join(names)}")]


def _addresses(name: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def of_certificate(it: Examined, address: str, *, trusted: bool = True) -> list[Finding]:
    """Check the certificate that the canonical name serves. ``trusted``: whether browsers know its authority."""
    name = hostnames.live(it.settings, it.facts).canonical
    if not Certificate.parse(it.facts.certificate):
        return []
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    again = it.fab("certs")
    try:
        shown = _shown(address, name, context)
    except OSError as error:
        return [fault("tls", f"{name} doesn't answer by HTTPS from here: {error}.", it.fab("deploy"))]
    certificate = x509.load_der_x509_certificate(shown)
    if certificate != x509.load_pem_x509_certificate(it.facts.certificate.encode()):
        return [fault("tls", f"{name} serves another certificate than the one on the server.", it.fab("deploy"))]
    if trusted and (why := _distrusted(address, name)):
        return [fault("tls", f"Browsers don't trust the certificate of {name}: {why}.", again)]
    return [fine("tls", f"{name} serves the certificate, valid until {certificate.not_valid_after_utc:%Y-%m-%d}")]


def _shown(address: str, name: str, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection((address, 443), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""


def _distrusted(address: str, name: str) -> str:
    """Return why this machine rejects the certificate for this name, or an empty string."""
    try:
        _shown(address, name, ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        return str(error)
    return ""

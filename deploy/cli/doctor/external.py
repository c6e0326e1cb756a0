"""What ``fab doctor`` asks from this machine, as a visitor would: ports, names, and the certificate that is shown."""

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
    """Which of these ports answer from here: at most some forty, each asked once and told nothing."""
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
    """Whether visitors come through, where somebody listens for them."""
    listening = {x.port for x in it.facts.listeners if x.protocol == "tcp" and x.public}
    cut = [port for port in (80, 443) if port in listening and found.get(port) is False]
    if not cut:
        return []
    ports = " and ".join(map(str, cut))
    text = f"Nginx listens on port {ports}, and nothing comes through from here."
    return [fault("ports", text, "open it in your provider's firewall, and " + it.fab("provision"))]


def of_names(it: Examined, addresses: Sequence[str]) -> list[Finding]:
    """Whether the names lead to the server as this machine sees them. ``addresses``: the server's."""
    names = [name for name in it.settings.names if not name.startswith("*.")]
    with ThreadPoolExecutor() as pool:
        seen = dict(zip(names, pool.map(_addresses, names), strict=True))
    found = []
    for name, leads in seen.items():
        elsewhere = sorted(leads - set(addresses))
        if not leads:
            fix = f"add a record for it (DNS): A {' '.join(a for a in addresses if ':' not in a)}"
            found.append(fault("dns", f"{name} has no address, as far as this machine can see.", fix))
        elif elsewhere:
            fix = f"let it lead to {' or '.join(addresses)}; where a proxy stands before the server, set DEPLOY_REAL_IP"
            many = warning if it.settings.real_ip or leads & set(addresses) else fault
            found.append(many("dns", f"{name} leads to {', '.join(elsewhere)}, which isn't this server.", fix))
    return found or [fine("dns", f"{', '.join(names)} lead here")]


def _addresses(name: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def of_certificate(it: Examined, address: str, *, trusted: bool = True) -> list[Finding]:
    """What a visitor is shown who asks for the canonical name. ``trusted``: its authority is one that browsers know."""
    name = hostnames.live(it.settings, it.facts).canonical
    if not Certificate.parse(it.facts.certificate):
        return []
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    again = it.fab("certs")
    try:
        shown = _shown(address, name, context)
    except OSError as error:
        return [fault("tls", f"{name} by HTTPS isn't answered from here: {error}.", it.fab("deploy"))]
    certificate = x509.load_der_x509_certificate(shown)
    if certificate != x509.load_pem_x509_certificate(it.facts.certificate.encode()):
        return [fault("tls", f"{name} is shown another certificate than the one on the server.", it.fab("deploy"))]
    if trusted and (why := _distrusted(address, name)):
        return [fault("tls", f"A browser wouldn't trust {name}: {why}.", again)]
    return [fine("tls", f"{name} shows it by HTTPS, until {certificate.not_valid_after_utc:%Y-%m-%d}")]


def _shown(address: str, name: str, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection((address, 443), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""


def _distrusted(address: str, name: str) -> str:
    """Why this machine doesn't take the certificate for this name; empty where it does."""
    try:
        _shown(address, name, ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        return str(error)
    return ""

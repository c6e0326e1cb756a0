"""The probe before a certificate is requested: checks that the authority can reach the names."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..config.settings import Settings
from .acme import Authority

CHALLENGES = "/.well-known/acme-challenge/"
SECONDS = 6


def obstacles(
    answer: Mapping[str, Any], settings: Settings, authority: Authority, from_here: Callable[[str], bool]
) -> list[str]:
    """Return why the authority would refuse, one sentence for each reason. ``from_here``: whether this machine reaches
    the server by a name, because a server behind another address may not reach itself."""
    directory = answer["authority"]
    if directory["error"]:
        return [f"The authority's directory {authority.directory} can't be read from the server: {directory['error']}."]
    found = []
    if directory["external"] and not settings.acme_eab_kid:
        asked = "DEPLOY_ACME_EAB_KID and DEPLOY_ACME_EAB_HMAC_KEY"
        found.append(f"The authority requires a registered account. Set {asked} to the values that it gave you.")
    lost = [name for name, seen in answer["names"].items() if _fault(name, seen)]
    with ThreadPoolExecutor() as pool:
        reached = dict(zip(lost, pool.map(from_here, lost), strict=True))
    found += [_fault(name, answer["names"][name]) for name in lost if not reached[name]]
    return found + [text for name, seen in answer["names"].items() if (text := _forbidden(name, seen, directory))]


def lost(answer: Mapping[str, Any], kept: Sequence[str]) -> list[str]:
    """Return the ``kept`` names that no longer point to this server. No authority would issue for them."""
    return [name for name in kept if _fault(name, answer["names"][name])]


def address_warnings(answer: Mapping[str, Any]) -> list[str]:
    """Return warnings about names of which only some addresses lead to this server."""
    return [
        f"{name} also has the address {address}: {fault}. The authority may use that address."
        for name, seen in answer["names"].items()
        for address, fault in (seen["addresses"] or {}).items()
        if fault and not _fault(name, seen)
    ]


def reached_from_here(name: str, token: str) -> bool:
    """Whether this machine reaches the server by this name."""
    connection = http.client.HTTPConnection(name, 80, timeout=SECONDS)
    try:
        connection.request("GET", f"{CHALLENGES}portside")
        return connection.getresponse().read(200).decode(errors="replace").strip() == token
    except (OSError, http.client.HTTPException, UnicodeError):
        return False
    finally:
        connection.close()


def answers_from_here(name: str) -> bool:
    """Whether port 443 of this name accepts connections. True if this machine can't resolve the name."""
    try:
        with socket.create_connection((name, 443), SECONDS):
            return True
    except socket.gaierror:
        return True
    except OSError:
        return False


def _fault(name: str, seen: Mapping[str, Any]) -> str:
    """Return what is wrong with a name's addresses; empty if one of them leads to this server."""
    faults = seen["addresses"]
    if faults is None:  # not checked
        return ""
    if not faults:
        return f"{name} has no address. Add a DNS record that points to this server."
    if not all(faults.values()):
        return ""
    return (
        f"{name} doesn't point to this server: "
        + "; ".join(f"{address}: {fault}" for address, fault in faults.items())
        + "."
    )


def _forbidden(name: str, seen: Mapping[str, Any], directory: Mapping[str, Any]) -> str:
    identities = [identity.lower() for identity in directory["identities"]]
    if seen["caa"] is None or not identities or set(seen["caa"]) & set(identities):
        return ""
    allowed = ", ".join(issuer for issuer in seen["caa"] if issuer) or "none"
    return f"{name}: its CAA record doesn't allow {', '.join(identities)} (allowed: {allowed}). Add that one in DNS."

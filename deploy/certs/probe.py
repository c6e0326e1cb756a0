"""The probe before a certificate is ordered: whether the authority will reach the names."""

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


def hindrances(
    answer: Mapping[str, Any], settings: Settings, authority: Authority, from_here: Callable[[str], bool]
) -> list[str]:
    """Why the authority would refuse, one sentence each. ``from_here``: whether a name leads to the server as this
    machine sees it, since a server behind another address may not reach itself by it."""
    told = answer["authority"]
    if told["error"]:
        return [f"The authority's directory {authority.directory} can't be read from the server: {told['error']}."]
    found = []
    if told["external"] and not settings.acme_eab_kid:
        asked = "DEPLOY_ACME_EAB_KID and DEPLOY_ACME_EAB_HMAC_KEY"
        found.append(f"The authority issues to accounts it knows only: set {asked}, which it gave you.")
    lost = [name for name, seen in answer["names"].items() if _fault(name, seen)]
    with ThreadPoolExecutor() as pool:
        reached = dict(zip(lost, pool.map(from_here, lost), strict=True))
    found += [_fault(name, answer["names"][name]) for name in lost if not reached[name]]
    return found + [text for name, seen in answer["names"].items() if (text := _forbidden(name, seen, told))]


def lost(answer: Mapping[str, Any], kept: Sequence[str]) -> list[str]:
    """Those of the ``kept`` names that don't lead here any more: no authority would issue for them."""
    return [name for name in kept if _fault(name, answer["names"][name])]


def doubts(answer: Mapping[str, Any]) -> list[str]:
    """What may hinder the authority: one of several addresses that leads elsewhere."""
    return [
        f"{name} also has the address {address}: {fault}. An authority may ask there."
        for name, seen in answer["names"].items()
        for address, fault in (seen["addresses"] or {}).items()
        if fault and not _fault(name, seen)
    ]


def reached_from_here(name: str, token: str) -> bool:
    """Whether the server answers to this name as this machine sees it."""
    connection = http.client.HTTPConnection(name, 80, timeout=SECONDS)
    try:
        connection.request("GET", f"{CHALLENGES}portside")
        return connection.getresponse().read(200).decode(errors="replace").strip() == token
    except (OSError, http.client.HTTPException, UnicodeError):
        return False
    finally:
        connection.close()


def answers_from_here(name: str) -> bool:
    """Whether anybody answers on port 443 of this name; so too where it isn't known here."""
    try:
        with socket.create_connection((name, 443), SECONDS):
            return True
    except socket.gaierror:
        return True
    except OSError:
        return False


def _fault(name: str, seen: Mapping[str, Any]) -> str:
    """What is wrong with where a name leads; empty if one of its addresses is ours."""
    faults = seen["addresses"]
    if faults is None:  # nobody asked
        return ""
    if not faults:
        return f"{name} has no address: add a record for it (DNS) that leads to this server."
    if not all(faults.values()):
        return ""
    return f"{name} doesn't lead here: " + "; ".join(f"{address}: {fault}" for address, fault in faults.items()) + "."


def _forbidden(name: str, seen: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    identities = [identity.lower() for identity in told["identities"]]
    if seen["caa"] is None or not identities or set(seen["caa"]) & set(identities):
        return ""
    allowed = ", ".join(issuer for issuer in seen["caa"] if issuer) or "nobody"
    return f"{name}: its CAA record lets {allowed} issue, and not {', '.join(identities)}: add that one (DNS)."

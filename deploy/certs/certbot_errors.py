"""Explains certbot's errors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..config.settings import Settings
from ..core.errors import PortsideError, StepFailed


def explained(error: StepFailed, settings: Settings) -> PortsideError:
    """Return an error that says why the authority refused, and when to try again."""
    kinds = _KINDS | (_DNS_KINDS if settings.acme_dns else {})
    text = "\n".join(error.lines)
    problems = re.findall(r"Domain:\s*(\S+)\s*\n\s*Type:\s*(\S+)\s*\n\s*Detail:\s*(.+)", text)
    said = [f"  {domain}: {kinds.get(kind, kind)}. It said: {detail}" for domain, kind, detail in problems]
    limit = re.search(r"(too many .*|.*rateLimited.*)", text)
    if said:
        message = "The certificate authority refused:\n" + "\n".join(said)
    elif limit:
        message = f"The certificate authority's rate limit is reached: {limit.group(1).strip()}"
    else:
        shown = [line.strip() for line in error.lines if line.strip() and not _NOISE.search(line)]
        message = "certbot got no certificate:\n" + "\n".join(f"  {line}" for line in shown[-8:])
    return PortsideError(message, hint=_again(text, problems))


_KINDS = {
    "dns": "the name has no address, or its name servers don't answer",
    "connection": "port 80 can't be reached from outside",
    "unauthorized": "another server answered",
    "caa": "the name's CAA records forbid this authority",
    "tls": "the server that the authority was redirected to has no valid certificate",
    "rateLimited": "it was requested too often",
}
_NO_PROOF = (
    "its name servers don't return the challenge (TXT at _acme-challenge); DEPLOY_ACME_DNS_SECONDS gives them more time"
)
_DNS_KINDS = {"dns": _NO_PROOF, "unauthorized": _NO_PROOF}
_NOISE = re.compile(r"^(Saving debug log|Ask for help|See the logfile|\s*$)|letsencrypt\.log")


def _again(text: str, problems: Sequence[object]) -> str:
    after = re.search(r"retry after ([0-9TZ: -]+(?:UTC)?)", text)
    if after:
        return f"Run fab certs again after {after.group(1).strip()}. Until then the authority refuses."
    if problems:
        return (
            "Fix this and run fab certs again. Let's Encrypt allows five failed attempts an hour for a name; "
            "fab certs --staging doesn't count."
        )
    return ""

"""certbot's errors, explained."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..config.settings import Settings
from ..core.errors import PortsideError, StepFailed


def explained(error: StepFailed, settings: Settings) -> PortsideError:
    """What the authority said, in plain words, and when it may be asked again."""
    kinds = _KINDS | (_DNS_KINDS if settings.acme_dns else {})
    text = "\n".join(error.lines)
    problems = re.findall(r"Domain:\s*(\S+)\s*\n\s*Type:\s*(\S+)\s*\n\s*Detail:\s*(.+)", text)
    said = [f"  {domain}: {kinds.get(kind, kind)}. It said: {detail}" for domain, kind, detail in problems]
    limit = re.search(r"(too many .*|.*rateLimited.*)", text)
    if said:
        message = "The authority didn't issue the certificate:\n" + "\n".join(said)
    elif limit:
        message = f"The authority has had too many requests: {limit.group(1).strip()}"
    else:
        shown = [line.strip() for line in error.lines if line.strip() and not _NOISE.search(line)]
        message = "There is no certificate:\n" + "\n".join(f"  {line}" for line in shown[-8:])
    return PortsideError(message, hint=_again(text, problems))


_KINDS = {
    "dns": "its name has no address, or its name servers don't answer",
    "connection": "port 80 can't be reached from outside",
    "unauthorized": "another server answered, or none of ours",
    "caa": "its CAA records forbid this authority",
    "tls": "the server it was sent to has no good certificate",
    "rateLimited": "it has been asked for too often",
}
_NO_PROOF = (
    "its name servers don't give the proof (TXT at _acme-challenge); DEPLOY_ACME_DNS_SECONDS gives them more time"
)
_DNS_KINDS = {"dns": _NO_PROOF, "unauthorized": _NO_PROOF}
_NOISE = re.compile(r"^(Saving debug log|Ask for help|See the logfile|\s*$)|letsencrypt\.log")


def _again(text: str, problems: Sequence[object]) -> str:
    after = re.search(r"retry after ([0-9TZ: -]+(?:UTC)?)", text)
    if after:
        return f"Type fab certs again after {after.group(1).strip()}; until then the authority refuses."
    if problems:
        return (
            "Mend it, then type fab certs again; --staging proves it without using up tries. Let's Encrypt allows "
            "five failed tries an hour for a name."
        )
    return ""

"""Renewal: whether the site's certificate will be good tomorrow. Authorities write no mails any more."""

from __future__ import annotations

from ..core.facts import Facts
from ..core.x509 import SOON, Certificate, clock

TIMER = "certbot.timer"


def faults(facts: Facts) -> list[str]:
    """What keeps the certificate that Nginx shows from being renewed in time, one sentence each.

    A renewal is due at a third of its life, or 30 days before its end; at a quarter something must be wrong.
    """
    certificate = Certificate.parse(facts.certificate)
    if not certificate:
        return []
    left = certificate.ends - clock(facts.clock)
    if facts.certificate_kind == "own":
        text = f"Your own certificate is good until {certificate.until} only: set DEPLOY_TLS_CERT to a newer one."
        return [text] if left < SOON else []
    found = []
    if not facts.renewal_timer:
        found.append(f"{TIMER} isn't active, so nothing renews the certificate: fab certs starts it.")
    if facts.renewal_failed:
        found.append(
            f"The last renewal failed ({facts.renewal_failed}); the certificate before is served, until "
            f"{certificate.until}. On the server, journalctl -u certbot.service says why."
        )
    if left < (certificate.ends - certificate.begins) / 4:
        found.append(f"The certificate is good until {certificate.until} only and should have been renewed: fab certs.")
    return found

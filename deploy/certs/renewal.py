"""Renewal: checks that the site's certificate is renewed in time. Authorities no longer warn by mail."""

from __future__ import annotations

from ..core.facts import Facts
from ..core.x509 import SOON, Certificate, clock

TIMER = "certbot.timer"


def faults(facts: Facts) -> list[str]:
    """Return what prevents the timely renewal of the certificate that Nginx uses, one sentence for each reason.

    A renewal is due when a third of the lifetime is left, or 30 days. With a quarter left, something must be wrong.
    """
    certificate = Certificate.parse(facts.certificate)
    if not certificate:
        return []
    left = certificate.ends - clock(facts.clock)
    if facts.certificate_kind == "own":
        text = f"Your own certificate expires on {certificate.until}. Set DEPLOY_TLS_CERT to a newer one."
        return [text] if left < SOON else []
    found = []
    if not facts.renewal_timer:
        found.append(f"{TIMER} isn't active, so the certificate isn't renewed. Start it with fab certs.")
    if facts.renewal_failed:
        found.append(
            f"The last renewal failed ({facts.renewal_failed}). The previous certificate stays in use and expires on "
            f"{certificate.until}. On the server, journalctl -u certbot.service shows why."
        )
    if left < (certificate.ends - certificate.begins) / 4:
        found.append(f"The certificate expires on {certificate.until} and should have been renewed. Run fab certs.")
    return found

"""The DNS challenge (DNS-01) by a certbot plugin: its configuration and credentials."""

from __future__ import annotations

from hashlib import sha256

from ..config.settings import Settings, contents
from ..core.errors import Refused
from ..core.facts import Facts
from ..core.paths import Site
from ..core.steps import Step, remove, write

PREFIX = "dns-"  # of certbot's names for such plugins
PACKAGES = "python3-certbot-dns-"


def check(settings: Settings) -> None:
    """Check DEPLOY_ACME_DNS_CREDENTIALS. Raises Refused if the file can't be read or contains no text."""
    try:
        empty = settings.acme_dns_credentials and not contents(settings, "acme_dns_credentials").decode().strip()
    except UnicodeDecodeError:
        empty = True
    if empty:
        raise Refused("DEPLOY_ACME_DNS_CREDENTIALS: the file contains no text.", state="Nothing was changed.")


def packages(settings: Settings) -> list[str]:
    """Return the plugin's package on Debian and Ubuntu; none if no certificate is requested by DNS."""
    return [f"{PACKAGES}{settings.acme_dns}"] if settings.acme_dns and not settings.tls_cert else []


def authenticator(settings: Settings) -> str:
    """Return certbot's name for the plugin; empty for the HTTP challenge."""
    return f"{PREFIX}{settings.acme_dns}" if settings.acme_dns else ""


def in_force(settings: Settings, facts: Facts) -> bool:
    """Whether the present certificate is renewed by the challenge of the settings."""
    present = facts.issued_how if facts.issued_how.startswith(PREFIX) else ""
    return present == authenticator(settings)


def lines(settings: Settings, credentials: str) -> dict[str, str]:
    """Return the plugin's lines of certbot's configuration. ``credentials``: their path on the server."""
    how = authenticator(settings)
    found = {"authenticator": how}
    if settings.acme_dns_credentials:
        found[f"{how}-credentials"] = credentials
    if settings.acme_dns_seconds is not None:
        found[f"{how}-propagation-seconds"] = str(settings.acme_dns_seconds)
    return found


def put(settings: Settings, path: str) -> list[Step]:
    """Return the step that copies the credentials to the server, readable by root only. Each renewal needs them."""
    if not settings.acme_dns_credentials:
        return []
    text = contents(settings, "acme_dns_credentials").decode()
    return [write(path, text, 0o600, secret=True)]


def remove_unused(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    """Return the step that removes credentials that renewals no longer need."""
    needed = settings.acme_dns_credentials or site.acme_dns() not in facts.files
    return [] if needed else [remove(site.acme_dns())]


def refresh(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    """Return the step that updates the credentials on a server that renews with them; none if they are the same."""
    if not settings.acme_dns_credentials or not in_force(settings, facts):
        return []
    present = facts.files.get(site.acme_dns())
    here = sha256(contents(settings, "acme_dns_credentials")).hexdigest()
    return [] if present and (present.sha256, present.mode) == (here, 0o600) else put(settings, site.acme_dns())

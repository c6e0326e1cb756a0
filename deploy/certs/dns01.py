"""Names proved by DNS (DNS-01), by a plugin of certbot's: what it is told, and the credentials it writes with."""

from __future__ import annotations

from hashlib import sha256

from ..config.settings import Settings, contents
from ..core.errors import Refused
from ..core.facts import Facts
from ..core.paths import Site
from ..core.steps import Step, remove, write

PREFIX = "dns-"  # what certbot's names of such plugins begin with
PACKAGES = "python3-certbot-dns-"


def check(settings: Settings) -> None:
    """Raises Refused where DEPLOY_ACME_DNS_CREDENTIALS can't be read, or holds no text."""
    try:
        empty = settings.acme_dns_credentials and not contents(settings, "acme_dns_credentials").decode().strip()
    except UnicodeDecodeError:
        empty = True
    if empty:
        raise Refused("DEPLOY_ACME_DNS_CREDENTIALS: there is no text in it.", state="Nothing was changed.")


def packages(settings: Settings) -> list[str]:
    """The plugin's, as Debian and Ubuntu name it; none where no authority is asked."""
    return [f"{PACKAGES}{settings.acme_dns}"] if settings.acme_dns and not settings.tls_cert else []


def authenticator(settings: Settings) -> str:
    """What certbot calls the plugin; empty where names are proved by HTTP."""
    return f"{PREFIX}{settings.acme_dns}" if settings.acme_dns else ""


def in_force(settings: Settings, facts: Facts) -> bool:
    """Whether renewals of the certificate there is are proved as the settings want."""
    present = facts.issued_how if facts.issued_how.startswith(PREFIX) else ""
    return present == authenticator(settings)


def lines(settings: Settings, credentials: str) -> dict[str, str]:
    """The plugin's lines of certbot's configuration. ``credentials``: where they are on the server."""
    how = authenticator(settings)
    found = {"authenticator": how}
    if settings.acme_dns_credentials:
        found[f"{how}-credentials"] = credentials
    if settings.acme_dns_seconds is not None:
        found[f"{how}-propagation-seconds"] = str(settings.acme_dns_seconds)
    return found


def put(settings: Settings, path: str) -> list[Step]:
    """What brings the credentials to the server, for root alone to read: certbot does at every renewal."""
    if not settings.acme_dns_credentials:
        return []
    text = contents(settings, "acme_dns_credentials").decode()
    return [write(path, text, 0o600, secret=True)]


def take_away(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    """What takes credentials away that no renewal needs any more."""
    needed = settings.acme_dns_credentials or site.acme_dns() not in facts.files
    return [] if needed else [remove(site.acme_dns())]


def refresh(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    """What brings changed credentials to a server that renews with them. Nothing where they are as here."""
    if not settings.acme_dns_credentials or not in_force(settings, facts):
        return []
    present = facts.files.get(site.acme_dns())
    here = sha256(contents(settings, "acme_dns_credentials")).hexdigest()
    return [] if present and (present.sha256, present.mode) == (here, 0o600) else put(settings, site.acme_dns())

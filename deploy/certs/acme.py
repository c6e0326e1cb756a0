"""Certificates: what a site's authority is asked for, and what must be so before it is asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..config.settings import Settings, contents
from ..config.types import is_wildcard
from ..core import server_paths
from ..core.errors import Refused
from ..core.facts import Facts
from ..core.files import PRACTICE_CA, REMOTE
from ..core.paths import Site
from ..core.steps import Content, Step, script, write
from ..core.x509 import Certificate, clock, own_faults
from ..nginx import hostnames
from ..nginx.routing import Names
from . import dns01

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"

_PRACTICE_DIRECTORY = "https://acme:14000/dir"


@dataclass(frozen=True)
class Authority:
    """Whom to ask for a certificate: its ACME directory, and whom else to trust there (PEM), or nothing."""

    directory: str
    ca: str = ""


def authority(settings: Settings, *, practice: bool = False, staging: bool = False) -> Authority:
    """The one that the settings name, else Let's Encrypt; for a practice server, the one beside it.

    Raises Refused where DEPLOY_ACME_CA can't be read or holds no certificate.
    """
    if settings.acme_server or not practice:
        default = LETS_ENCRYPT_STAGING if staging else LETS_ENCRYPT
        ca = contents(settings, "acme_ca").decode(errors="replace") if settings.acme_ca else ""
        if settings.acme_ca and not Certificate.parse(ca):
            raise Refused("DEPLOY_ACME_CA: there is no certificate in PEM form in it.", state="Nothing was changed.")
        return Authority(settings.acme_server or default, ca)
    return Authority(_PRACTICE_DIRECTORY, PRACTICE_CA.read_text(encoding="utf-8"))


def check_own(settings: Settings, now: datetime | None = None) -> None:
    """Raises Refused, with every reason, where a certificate of the user's own (DEPLOY_TLS_CERT) isn't fit to serve."""
    if not settings.tls_cert:
        return
    faults = own_faults(*_own(settings), settings.names, now or datetime.now(UTC))
    if faults:
        raise Refused("\n".join(faults), state="Nothing was changed.")


def wanted(settings: Settings, kept: Sequence[str] = ()) -> tuple[str, ...]:
    """The names to ask for: every domain of the site, and those that are kept besides. No authority issues for an
    address this way, and some refuse a name that a wildcard beside it is for already."""
    found = [name for name in (*settings.names, *kept) if not _is_address(name)]
    return tuple(host for host in found if is_wildcard(host) or f"*.{host.partition('.')[2]}" not in found)


def keeping(settings: Settings, facts: Facts) -> tuple[str, ...]:
    """The live release's canonical name, if the settings don't have it any more: it keeps HTTPS until the next deploy,
    since all others redirect to it."""
    issued, known = Certificate.parse(facts.issued), hostnames.recorded(facts.releases.get(facts.current, {}))
    first = known.domains[0] if known else ""
    return (first,) if issued and first in issued.names and first not in settings.names else ()


def strange(settings: Settings, facts: Facts, known: Names | None = None) -> tuple[str, ...]:
    """The names in certbot's certificate that are the site's no longer. ``known``: by the live release, if it isn't the
    one of the facts."""
    issued = Certificate.parse(facts.issued)
    known = known or hostnames.recorded(facts.releases.get(facts.current, {}))
    if not issued or settings.tls_cert:
        return ()
    return tuple(sorted(issued.names - {*settings.names, *(known.every if known else ())}))


def told_strange(names: Sequence[str]) -> list[str]:
    """A sentence for them, if there are any."""
    if not names:
        return []
    are, them = ("is", "it") if len(names) == 1 else ("are", "them")
    return [
        f"The certificate has {', '.join(names)} too, which {are} no longer the site's: fab certs removes {them}. A "
        "renewal fails once such a name leads to another server."
    ]


def check_names(settings: Settings) -> None:
    """Raises Refused where there is no name to ask for."""
    if not wanted(settings):
        raise Refused(
            f"There is no certificate for {', '.join(settings.names)}: they are issued for names, not addresses.",
            state="Nothing was changed.",
        )


def up_to_date(settings: Settings, facts: Facts, authority: Authority) -> bool:
    """Whether certbot has exactly the certificate that is wanted, for long enough. One's own is always."""
    if settings.tls_cert:
        return True
    issued = Certificate.parse(facts.issued)
    if issued is None or issued.names != set(wanted(settings, keeping(settings, facts))):
        return False
    return _same_way(settings, facts, authority) and issued.fresh(clock(facts.clock))


def _same_way(settings: Settings, facts: Facts, authority: Authority) -> bool:
    """Whether the certificate there is will be renewed as the settings want: by this authority, with this proof."""
    return facts.issued_by == authority.directory and dns01.in_force(settings, facts)


def install(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    """What makes Nginx read the latest certificate there is: the user's own, or certbot's. Nothing where it does."""
    if settings.tls_cert:
        pem, key = _own(settings)
        if facts.certificate_kind == "own" and facts.certificate == pem.decode(errors="replace"):
            return []
        files = {"fullchain.pem": pem, "privkey.pem": key}
        name = "Put your own certificate in place"
        return [script(name, "certificate", site.name, "own", "", files=files, secret=True)]
    if not Certificate.parse(facts.issued) or facts.issued == facts.certificate:
        return []
    # One's own that the settings don't name any more stays until there is another for the same names.
    if facts.certificate_kind == "own" and not up_to_date(settings, facts, Authority(facts.issued_by)):
        return []
    folder = f"{server_paths.LETSENCRYPT_LIVE}/{site.name}"
    return [script("Put the renewed certificate in place", "certificate", site.name, "issued", folder)]


def issue(
    settings: Settings,
    site: Site,
    facts: Facts,
    authority: Authority,
    *,
    trial: bool = False,
    kept: Sequence[str] = (),
) -> list[Step]:
    """What asks the authority, and puts its certificate in place; a ``trial`` is deleted again. ``kept``: names besides
    those of the settings."""
    steps = []
    if authority.ca and not trial:
        steps = [
            write(site.acme_authority, authority.ca),
            write(server_paths.RENEWAL_SETTINGS, (REMOTE / "host/certbot.conf").read_text(encoding="utf-8")),
        ]
    name = site.trial if trial else site.name
    again = bool(facts.issued) and not _same_way(settings, facts, authority) and not trial
    credentials = site.acme_dns(trial=trial)
    asked = wanted(settings, kept)
    told = certbot_settings(settings, name, authority, again=again, credentials=credentials, asked=asked)
    files = {"certbot.ini": told.encode(), **_ca(authority)}
    step = script(
        f"Ask for a certificate for {', '.join(asked)}",
        "issue",
        name,
        "" if trial else site.name,
        site.trial,
        files=files,
        secret=settings.acme_eab_hmac_key is not None,
    )
    outdated = [] if trial else dns01.take_away(settings, site, facts)
    return [*steps, *dns01.put(settings, credentials), step, *outdated]


_BY_HTTP = {"authenticator": "webroot", "webroot-path": server_paths.ACME_ROOT}


def certbot_settings(
    settings: Settings, name: str, authority: Authority, *, again: bool, asked: Sequence[str], credentials: str = ""
) -> str:
    """What certbot is told, as its configuration file. ``again``: though it has a certificate with these names;
    ``asked``: the names to ask for; ``credentials``: where on the server its plugin's are."""
    lines = {
        "server": authority.directory,
        "cert-name": name,
        "domains": ", ".join(asked),
        **(dns01.lines(settings, credentials) if settings.acme_dns else _BY_HTTP),
        "key-type": "ecdsa",
        "agree-tos": "true",
        "renew-with-new-domains": "true",
        "force-renewal" if again else "keep-until-expiring": "true",
    }
    if settings.acme_email:
        lines |= {"email": settings.acme_email, "no-eff-email": "true"}
    else:
        lines["register-unsafely-without-email"] = "true"
    if settings.acme_eab_kid and settings.acme_eab_hmac_key:
        lines |= {"eab-kid": settings.acme_eab_kid, "eab-hmac-key": settings.acme_eab_hmac_key.reveal()}
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def look(authority: Authority, token: str, asked: Sequence[str]) -> Step:
    """The step that asks, on the server, what the authority will ask of these names. Without a ``token`` it doesn't ask
    where they lead: what is proved by DNS may lead anywhere."""
    files = {"names.py": REMOTE / "names.py", **_ca(authority)}
    words = (server_paths.ACME_ROOT, token, authority.directory, *asked)
    return script("Ask for the names as the authority will", "names", *words, files=files)


def prove(site: Site, covered: Sequence[str]) -> Step:
    """The step that asks Nginx for the certificate, by each name; of a wildcard, by one that it is for."""
    files = {"prove.py": REMOTE / "prove.py"}
    return script("Ask Nginx by HTTPS", "prove", site.certificate, *map(instance, covered), files=files)


def instance(name: str) -> str:
    """A name that a visitor may type: of a wildcard, one of those it is for."""
    return name.replace("*", "portside-asks", 1)


def _ca(authority: Authority) -> dict[str, Content]:
    return {"ca.pem": authority.ca.encode()} if authority.ca else {}


def _own(settings: Settings) -> tuple[bytes, bytes]:
    """The user's own certificate and key."""
    return contents(settings, "tls_cert"), contents(settings, "tls_key")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

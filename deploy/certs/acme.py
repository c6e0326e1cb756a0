"""Certificates: the requests to a site's certificate authority, and the checks before them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..config.settings import Settings, contents
from ..config.types import is_wildcard
from ..core import server_paths
from ..core.errors import Refused
from ..core.facts import Facts
from ..core.files import PRACTICE_CA, REMOTE
from ..core.paths import Site
from ..core.steps import Content, Script, Sign, Step, script, write
from ..core.x509 import Certificate, clock, own_faults
from ..nginx import hostnames
from ..nginx.routing import Names
from . import dns01

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"

_PRACTICE_DIRECTORY = "https://acme:14000/dir"


@dataclass(frozen=True)
class Authority:
    """A certificate authority. ``directory``: its ACME directory; ``ca``: a CA bundle (PEM) to trust there, or
    empty."""

    directory: str
    ca: str = ""


def authority(settings: Settings, *, practice: bool = False, staging: bool = False) -> Authority:
    """Return the authority of the settings, by default Let's Encrypt; for a practice server, the practice authority.

    Raises Refused if DEPLOY_ACME_CA can't be read or contains no certificate.
    """
    if settings.acme_server or not practice:
        default = LETS_ENCRYPT_STAGING if staging else LETS_ENCRYPT
        ca = contents(settings, "acme_ca").decode(errors="replace") if settings.acme_ca else ""
        if settings.acme_ca and not Certificate.parse(ca):
            fault = "DEPLOY_ACME_CA: the file contains no certificate in PEM format."
            raise Refused(fault, state="Nothing was changed.")
        return Authority(settings.acme_server or default, ca)
    return Authority(_PRACTICE_DIRECTORY, PRACTICE_CA.read_text(encoding="utf-8"))


def check_own(settings: Settings, now: datetime | None = None) -> None:
    """Check the user's own certificate (DEPLOY_TLS_CERT). Raises Refused with every reason why it can't be used."""
    if not settings.tls_cert:
        return
    faults = own_faults(*_own(settings), settings.names, now or datetime.now(UTC))
    if faults:
        raise Refused("\n".join(faults), state="Nothing was changed.")


def wanted(settings: Settings, kept: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names to request: every domain of the site, and the ``kept`` names. Addresses are left out, because no
    authority issues for them this way; and names that a wildcard already covers, because some authorities refuse
    them."""
    found = [name for name in (*settings.names, *kept) if not _is_address(name)]
    return tuple(host for host in found if is_wildcard(host) or f"*.{host.partition('.')[2]}" not in found)


def keeping(settings: Settings, facts: Facts) -> tuple[str, ...]:
    """Return the live release's canonical name if it is no longer in the settings. It needs HTTPS until the next
    deploy, because all other names redirect to it."""
    issued, known = Certificate.parse(facts.issued), hostnames.recorded(facts.releases.get(facts.current, {}))
    first = known.domains[0] if known else ""
    return (first,) if issued and first in issued.names and first not in settings.names else ()


def obsolete_names(settings: Settings, facts: Facts, known: Names | None = None) -> tuple[str, ...]:
    """Return the names in certbot's certificate that no longer belong to the site. ``known``: the names of the live
    release, if it isn't the one in the facts."""
    issued = Certificate.parse(facts.issued)
    known = known or hostnames.recorded(facts.releases.get(facts.current, {}))
    if not issued or settings.tls_cert:
        return ()
    return tuple(sorted(issued.names - {*settings.names, *(known.every if known else ())}))


def obsolete_warnings(names: Sequence[str]) -> list[str]:
    """Return a warning about such names, if there are any."""
    if not names:
        return []
    belong, them = ("belongs", "it") if len(names) == 1 else ("belong", "them")
    return [
        f"The certificate also covers {', '.join(names)}, which no longer {belong} to the site. Remove {them} with fab "
        "certs: renewals fail once such a name points to another server."
    ]


def check_names(settings: Settings) -> None:
    """Check that there is a name to request. Raises Refused if there is none."""
    if not wanted(settings):
        raise Refused(
            f"No certificate is possible for {', '.join(settings.names)}: they are issued for names, not addresses.",
            state="Nothing was changed.",
        )


def up_to_date(settings: Settings, facts: Facts, authority: Authority) -> bool:
    """Whether certbot has exactly the wanted certificate and it needn't be renewed yet. A user's own always counts."""
    if settings.tls_cert:
        return True
    issued = Certificate.parse(facts.issued)
    if issued is None or issued.names != set(wanted(settings, keeping(settings, facts))):
        return False
    return _same_way(settings, facts, authority) and issued.fresh(clock(facts.clock))


def _same_way(settings: Settings, facts: Facts, authority: Authority) -> bool:
    """Whether the present certificate is renewed by the authority and the challenge of the settings."""
    return facts.issued_by == authority.directory and dns01.in_force(settings, facts)


@dataclass(frozen=True, kw_only=True)
class PutCertificate(Script):
    """Put a certificate where Nginx reads it. ``kind``: own or issued. ``folder``: its folder on the server, or empty
    if the files are sent along."""

    script: str = "certificate"
    sign: Sign | None = "~"
    site: str
    kind: str
    folder: str = ""

    def effect(self, facts: Facts) -> Facts:
        own = self.files.get("fullchain.pem")
        pem = own.decode(errors="replace") if isinstance(own, bytes) else facts.issued
        return replace(facts, certificate=pem, certificate_kind=self.kind)


def install(settings: Settings, site: Site, facts: Facts) -> list[Step]:
    """Return the steps that make Nginx use the latest certificate, the user's own or certbot's; none if it does."""
    if settings.tls_cert:
        pem, key = _own(settings)
        if facts.certificate_kind == "own" and facts.certificate == pem.decode(errors="replace"):
            return []
        files = {"fullchain.pem": pem, "privkey.pem": key}
        name = "Install your own certificate"
        return [PutCertificate(name=name, site=site.name, kind="own", files=files, secret=True)]
    if not Certificate.parse(facts.issued) or facts.issued == facts.certificate:
        return []
    # A user's own certificate that is no longer in the settings stays until there is another for the same names.
    if facts.certificate_kind == "own" and not up_to_date(settings, facts, Authority(facts.issued_by)):
        return []
    folder = f"{server_paths.LETSENCRYPT_LIVE}/{site.name}"
    name = "Install the renewed certificate"
    return [PutCertificate(name=name, site=site.name, kind="issued", folder=folder)]


def issue(
    settings: Settings,
    site: Site,
    facts: Facts,
    authority: Authority,
    *,
    trial: bool = False,
    kept: Sequence[str] = (),
) -> list[Step]:
    """Return the steps that request a certificate and install it; a ``trial`` is deleted again. ``kept``: names in
    addition to those of the settings."""
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
    configuration = certbot_settings(settings, name, authority, again=again, credentials=credentials, asked=asked)
    files = {"certbot.ini": configuration.encode(), **_ca(authority)}
    step = script(
        f"Request a certificate for {', '.join(asked)}",
        "issue",
        name=name,
        site="" if trial else site.name,
        trial=site.trial,
        files=files,
        secret=settings.acme_eab_hmac_key is not None,
    )
    outdated = [] if trial else dns01.remove_unused(settings, site, facts)
    return [*steps, *dns01.put(settings, credentials), step, *outdated]


_BY_HTTP = {"authenticator": "webroot", "webroot-path": server_paths.ACME_ROOT}


def certbot_settings(
    settings: Settings, name: str, authority: Authority, *, again: bool, asked: Sequence[str], credentials: str = ""
) -> str:
    """Return certbot's configuration file. ``again``: renew even if there is a certificate with these names; ``asked``:
    the names to request; ``credentials``: the path of its plugin's credentials on the server."""
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
    """Return the step that checks these names from the server as the authority will. Without a ``token`` it doesn't
    check where they point to, because with a DNS challenge that may be anywhere."""
    files = {"names.py": REMOTE / "names.py", **_ca(authority)}
    return script(
        "Check the names as the authority will",
        "names",
        sign="",
        folder=server_paths.ACME_ROOT,
        token=token,
        directory=authority.directory,
        names=asked,
        files=files,
    )


def prove(site: Site, covered: Sequence[str]) -> Step:
    """Return the step that checks which certificate Nginx sends for each name; for a wildcard, a name that it
    covers."""
    files = {"prove.py": REMOTE / "prove.py"}
    names = [instance(name) for name in covered]
    return script("Check Nginx by HTTPS", "prove", sign="", certificate=site.certificate, names=names, files=files)


def instance(name: str) -> str:
    """Return a concrete name: for a wildcard, one that it covers."""
    return name.replace("*", "portside-asks", 1)


def _ca(authority: Authority) -> dict[str, Content]:
    return {"ca.pem": authority.ca.encode()} if authority.ca else {}


def _own(settings: Settings) -> tuple[bytes, bytes]:
    """Return the user's own certificate and key."""
    return contents(settings, "tls_cert"), contents(settings, "tls_key")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

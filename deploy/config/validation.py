"""What no single setting can check: whether they agree with each other, and with the files that they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from .types import is_wildcard, reserved

if TYPE_CHECKING:
    from .settings import Settings


def check(settings: Settings) -> None:
    """Raises ValueError where they don't agree."""
    _check_names(settings)
    _check_ports(settings)
    _check_volumes(settings)
    _check_pairs(settings)
    _check_application(settings)
    _check_build(settings)
    _check_wildcards(settings)
    _check_dns(settings)
    if settings.nginx_include:
        _check_include(settings.folder / settings.nginx_include)


def _check_names(settings: Settings) -> None:
    twice = sorted({name for name in settings.names if settings.names.count(name) > 1})
    if twice:
        raise ValueError(f"DEPLOY_DOMAINS and DEPLOY_REDIRECT_DOMAINS name {', '.join(twice)} more than once")


def _check_ports(settings: Settings) -> None:
    first, last = settings.port_range
    if not 1024 <= first <= last <= 65535:
        raise ValueError("DEPLOY_PORTS should be a range within 1024-65535, the lower port first")
    if last - first + 1 < 2 * settings.replicas:
        raise ValueError("DEPLOY_PORTS should be two for each of DEPLOY_REPLICAS: for a moment two releases run")


def _check_volumes(settings: Settings) -> None:
    places = [volume.split(":", 1) for volume in settings.volumes]
    for what, given in (("name", [name for name, _ in places]), ("path", [path for _, path in places])):
        if len(set(given)) < len(given):
            raise ValueError(f"DEPLOY_VOLUMES has the same {what} twice")
    if bad := [path for _, path in places if reserved(path)]:
        raise ValueError(f"DEPLOY_VOLUMES: {', '.join(bad)} can't be a folder of data: choose one below /data")


_PAIRS = (("tls_cert", "tls_key"), ("acme_eab_kid", "acme_eab_hmac_key"), ("registry_user", "registry_password"))


def _check_pairs(settings: Settings) -> None:
    for one, other in _PAIRS:
        if bool(getattr(settings, one)) != bool(getattr(settings, other)):
            raise ValueError(f"DEPLOY_{one.upper()} and DEPLOY_{other.upper()} belong together: set both or none")


def _check_application(settings: Settings) -> None:
    if settings.protocol == "uwsgi" and settings.asynchronous:
        raise ValueError("DEPLOY_PROTOCOL=uwsgi can't carry what an ASGI worker is for: leave it at http")
    if settings.database == "external" and not settings.env.get("DATABASE_URL"):
        raise ValueError("DATABASE_URL is missing: DEPLOY_DATABASE=external needs it to say where the database is")


# What says how an image is built, and means nothing to one that is there already.
_OF_A_BUILD = ("dockerfile", "python", "apt", "pip", "build_args", "build_secrets", "build_ca", "pip_index")


def _check_build(settings: Settings) -> None:
    """Raises ValueError where something is set that would have no effect on the image."""
    if settings.pulls:
        useless = [f"DEPLOY_{name.upper()}" for name in _OF_A_BUILD if getattr(settings, name)]
        if useless:
            raise ValueError(f"DEPLOY_BUILD names an image, for which {', '.join(useless)} can do nothing")
    elif settings.registry_user:
        raise ValueError("DEPLOY_REGISTRY_USER is for an image to pull: DEPLOY_BUILD names none")


# Plugins of certbot's that can find credentials on the server, or need none where the machine itself is trusted.
_DNS_BY_ITSELF = {"google", "route53"}


def _check_wildcards(settings: Settings) -> None:
    """Raises ValueError where a wildcard stands that can't: no authority issues one but by DNS."""
    if is_wildcard(settings.canonical):
        raise ValueError(f"DEPLOY_DOMAINS: {settings.canonical} can't be the first, which links and checks name")
    given = [name for name in settings.names if is_wildcard(name)]
    if given and not settings.acme_dns and not settings.tls_cert:
        raise ValueError(f"{', '.join(given)} needs DEPLOY_ACME_DNS: certificates for wildcards are proved by DNS")


def _check_dns(settings: Settings) -> None:
    """Raises ValueError where what the certificate authority's DNS proof needs doesn't belong together."""
    plugin, credentials = settings.acme_dns, settings.acme_dns_credentials
    if not plugin and (credentials or settings.acme_dns_seconds is not None):
        raise ValueError("DEPLOY_ACME_DNS is missing, without which its credentials and seconds mean nothing")
    if plugin and not credentials and plugin not in _DNS_BY_ITSELF:
        raise ValueError(f"DEPLOY_ACME_DNS_CREDENTIALS is missing, which {plugin} needs to write into your DNS")
    if plugin == "route53" and credentials:
        raise ValueError(
            "DEPLOY_ACME_DNS_CREDENTIALS: route53 takes no file; on the server it reads /root/.aws/credentials, or is "
            "trusted by the instance's role"
        )


# Comments and quotes begin where a word does; anywhere else they are letters.
# https://github.com/nginx/nginx/blob/master/src/core/ngx_conf_file.c
NGINX_TOKEN = re.compile(r"""(?<![^\s;{}])(?:\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\$\{|\\.|[{}]""", re.DOTALL)
LISTEN = re.compile(r"(?:^|[;{}])\s*listen\s")


def _check_include(path: Path) -> None:
    """Raises ValueError where the file isn't there, has a brace that would end the server block it stands in, or says
    where Nginx listens: visitors who come to an address that one site names are kept from all the others."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"DEPLOY_NGINX_INCLUDE can't be read: {error}") from None
    depth = 0
    for token in NGINX_TOKEN.findall(text):
        depth += {"{": 1, "${": 1, "}": -1}.get(token, 0)
        if depth < 0:
            break
    if depth:
        raise ValueError(f"DEPLOY_NGINX_INCLUDE: in {path.name} the braces {{ }} don't match")
    if LISTEN.search(NGINX_TOKEN.sub(lambda token: token.group() if token.group() in {"{", "}"} else " ", text)):
        raise ValueError(f"DEPLOY_NGINX_INCLUDE: listen in {path.name} could take other sites' visitors: take it out")

"""Checks of settings against each other, and against the files that they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from .scope import BUILD
from .types import is_wildcard, reserved

if TYPE_CHECKING:
    from .settings import Settings


def check(settings: Settings) -> None:
    """Raises ValueError if settings contradict each other."""
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
        raise ValueError(
            "DEPLOY_PORTS should have two ports for each of DEPLOY_REPLICAS: two releases run during a switch"
        )


def _check_volumes(settings: Settings) -> None:
    places = [volume.split(":", 1) for volume in settings.volumes]
    for what, given in (("name", [name for name, _ in places]), ("path", [path for _, path in places])):
        if len(set(given)) < len(given):
            raise ValueError(f"DEPLOY_VOLUMES uses the same {what} twice")
    if bad := [path for _, path in places if reserved(path)]:
        raise ValueError(f"DEPLOY_VOLUMES: {', '.join(bad)} can't be a data folder. Choose one below /data")


_PAIRS = (("tls_cert", "tls_key"), ("acme_eab_kid", "acme_eab_hmac_key"), ("registry_user", "registry_password"))


def _check_pairs(settings: Settings) -> None:
    for one, other in _PAIRS:
        if bool(getattr(settings, one)) != bool(getattr(settings, other)):
            raise ValueError(f"DEPLOY_{one.upper()} and DEPLOY_{other.upper()} belong together. Set both or none")


def _check_application(settings: Settings) -> None:
    if settings.protocol == "uwsgi" and settings.asynchronous:
        raise ValueError("DEPLOY_PROTOCOL=uwsgi doesn't work with an ASGI worker. Remove it")
    if settings.database == "external" and not settings.env.get("DATABASE_URL"):
        raise ValueError("DATABASE_URL is missing. DEPLOY_DATABASE=external needs it")


def _check_build(settings: Settings) -> None:
    """Raises ValueError if a setting would have no effect on the image."""
    if settings.pulls:
        of_a_build = [name for name, its in settings.scopes().items() if its.group == BUILD.group]
        useless = [f"DEPLOY_{name.upper()}" for name in of_a_build if getattr(settings, name)]
        if useless:
            raise ValueError(f"DEPLOY_BUILD names an image to pull, so {', '.join(useless)} would have no effect")
    elif settings.registry_user:
        raise ValueError("DEPLOY_REGISTRY_USER applies only to an image to pull, but DEPLOY_BUILD names none")


# certbot plugins that find credentials on the server, or need none on a trusted machine.
_DNS_BY_ITSELF = {"google", "route53"}


def _check_wildcards(settings: Settings) -> None:
    """Raises ValueError for a misplaced wildcard, or one without DNS: authorities issue wildcards only by DNS."""
    if is_wildcard(settings.canonical):
        raise ValueError(f"DEPLOY_DOMAINS: {settings.canonical} can't be the first, which is used in links and checks")
    given = [name for name in settings.names if is_wildcard(name)]
    if given and not settings.acme_dns and not settings.tls_cert:
        raise ValueError(
            f"{', '.join(given)} needs DEPLOY_ACME_DNS: authorities issue wildcard certificates only by DNS"
        )


def _check_dns(settings: Settings) -> None:
    """Raises ValueError if the settings for the DNS challenge don't fit together."""
    plugin, credentials = settings.acme_dns, settings.acme_dns_credentials
    if not plugin and (credentials or settings.acme_dns_seconds is not None):
        raise ValueError("DEPLOY_ACME_DNS is missing. Its credentials and seconds have no effect without it")
    if plugin and not credentials and plugin not in _DNS_BY_ITSELF:
        raise ValueError(f"DEPLOY_ACME_DNS_CREDENTIALS is missing: {plugin} needs it to change your DNS")
    if plugin == "route53" and credentials:
        raise ValueError(
            "DEPLOY_ACME_DNS_CREDENTIALS: route53 takes no file. On the server it reads /root/.aws/credentials, or "
            "uses the instance's role"
        )


# Comments and quotes count only at the beginning of a word.
# https://github.com/nginx/nginx/blob/master/src/core/ngx_conf_file.c
NGINX_TOKEN = re.compile(r"""(?<![^\s;{}])(?:\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\$\{|\\.|[{}]""", re.DOTALL)
LISTEN = re.compile(r"(?:^|[;{}])\s*listen\s")


def _check_include(path: Path) -> None:
    """Raises ValueError if the file is missing, has a brace that would end its server block, or has a listen directive:
    if one site listens on an address of its own, other sites get no visitors there."""
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
        raise ValueError(f"DEPLOY_NGINX_INCLUDE: listen in {path.name} could take other sites' visitors. Remove it")

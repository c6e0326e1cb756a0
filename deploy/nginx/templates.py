"""Renders Nginx's templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..core import server_paths
from ..core.facts import Facts, version
from ..core.files import NGINX_TEMPLATES

BROTLI_MODULE = "libnginx-mod-http-brotli-static"
MODULES = {"http": "proxy", "uwsgi": "uwsgi"}  # protocol -> prefix of its directives


def values(facts: Facts) -> dict[str, Any]:
    """Return the templates' variables about the server. Directives depend on versions, not on the distribution."""
    nginx = version(facts.nginx_version)
    return {
        "live": server_paths.NGINX_LIVE,
        "home": server_paths.HOME,
        "acme_root": server_paths.ACME_ROOT,
        "status_port": server_paths.STATUS_PORT,
        "pages_url": server_paths.PAGES,
        "ipv6": facts.ipv6,
        "reject_handshake": nginx >= (1, 19, 4),
        "keepalive_off": nginx >= (1, 29, 7),
        "http2_directive": nginx >= (1, 25, 1),
        "post_quantum": _openssl(facts) >= (3, 5),
        "brotli": BROTLI_MODULE in facts.packages,
    }


def _openssl(facts: Facts) -> tuple[int, ...]:
    """Return the OpenSSL version that Nginx runs with, which may be newer than the one it was built with."""
    found = re.findall(r"(?:built|running) with OpenSSL ([0-9.]+)", facts.nginx_version)
    return version(found[-1]) if found else ()


def render(template: str, values: Mapping[str, Any]) -> str:
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    # Not HTML: the variables are validated by settings.py and the result is tested by nginx -t.
    return Environment(  # noqa: S701
        loader=FileSystemLoader(NGINX_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

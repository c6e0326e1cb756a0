"""Renders a site's Nginx files."""

from __future__ import annotations

import re
from typing import Any

from ..config import recorded
from ..config.settings import Settings
from ..core import server_paths
from ..core.facts import Facts
from ..core.paths import Site
from . import hostnames, htpasswd, http3, templates
from .hostnames import Hosts
from .routing import Edge


def site_file(settings: Settings, site: Site, edge: Edge, facts: Facts) -> dict[str, str]:
    """Return the site's own files: server blocks, its lines of the map that selects responses with HSTS, and, depending
    on the settings, the proof, passwords and included lines."""
    values = _site_values(settings, site, edge, facts)
    files = {
        site.nginx_file: templates.render("site.conf.j2", values),
        site.nginx_hsts: templates.render("site.hsts.j2", values),
    }
    if values["http3"]:
        files[site.nginx_http3] = templates.render("site.http3.j2", values)
    if edge.ports:
        files[site.nginx_proof] = templates.render("site.proof.j2", values | {"proof": htpasswd.proof(settings)})
    if settings.basic_auth:
        files[site.nginx_passwords] = htpasswd.password_file(site.name, settings.basic_auth)
    if settings.nginx_include:
        files[site.nginx_include] = (settings.folder / settings.nginx_include).read_text(encoding="utf-8")
    return files


def _site_values(settings: Settings, site: Site, edge: Edge, facts: Facts) -> dict[str, Any]:
    """Return the variables of the site's templates."""
    served = hostnames.of(edge.names, settings, facts)
    if edge.opened_from is not None:
        served = hostnames.opening(edge.names, settings, facts, edge.opened_from)
    upstream = f"portside_{site.name.replace('-', '_')}"
    return {
        **templates.values(facts),
        **_servers_values(served),
        **_settings_values(settings, site),
        **_paths(site),
        "name": site.name,
        "http3": settings.http3 and http3.supported(facts) and bool(served.names(secure=True)),
        "upstream": upstream,
        "backends": _backends(site, edge, upstream),
        "health": _health(settings, edge),
        "asynchronous": edge.asynchronous,
        "ports": edge.ports,
        "static_routes": edge.static_routes,
    }


def _servers_values(served: Hosts) -> dict[str, Any]:
    shown = [server for server in served.servers if server.shows]
    return {
        "upgraded": served.upgraded,
        "redirects": [server for server in served.servers if not server.shows],
        "shown": shown,
        "https_hosts": [server.names[0] for server in served.servers if server.secure],
        "domains": [name for server in shown for name in server.names],
    }


def _settings_values(settings: Settings, site: Site) -> dict[str, Any]:
    return {
        "hsts": settings.hsts,
        "noted": recorded.of_nginx(settings),
        "max_body": settings.max_body,
        "fallback": settings.fallback,
        "real_ip": settings.real_ip,
        "allow": settings.allow,
        "deny": settings.deny,
        "basic_auth": settings.basic_auth and site.nginx_passwords,
        "rate_limit": settings.rate_limit,
        "rate_burst": (settings.rate_limit or "").partition("r")[0],
        "cache": settings.cache,
        "block_agents": "|".join(map(re.escape, settings.block_agents)).replace(r"\ ", " "),
        "include": settings.nginx_include and site.nginx_include,
        "volumes": [{"name": name, "root": site.volume(name)} for name in _volumes(settings)],
    }


def _paths(site: Site) -> dict[str, str]:
    return {
        "switching": site.switching,
        "certificate": site.certificate,
        "certificate_key": site.certificate_key,
        "cache_folder": site.nginx_cache,
        "maintenance": site.maintenance,
        "private": server_paths.PRIVATE,
        "access_log": site.access_log,
        "error_log": site.error_log,
        "static_root": site.live_static,
        "static_pool": site.static_pool,
        "media_root": site.media,
    }


def _health(settings: Settings, edge: Edge) -> str:
    """Return the health check's location; empty if it is a file."""
    path = settings.health_location
    return "" if any(path.startswith(route.url) for route in edge.static_routes) else path


def _volumes(settings: Settings) -> list[str]:
    return [volume.partition(":")[0] for volume in settings.volumes]


def _backends(site: Site, edge: Edge, upstream: str) -> list[dict[str, Any]]:
    """Return the upstreams: name, servers, and Nginx's module for the protocol; none for static sites. The second one
    is used if the first isn't available. Its name can't be another site's, because those begin with ``portside_``."""
    return [
        {
            "name": name,
            "module": templates.MODULES[protocol],
            "protocol": protocol,
            "servers": _servers(site, edge, protocol),
        }
        for name, protocol in zip((upstream, f"next_{upstream}"), edge.protocols, strict=False)
        if edge.ports or edge.sockets
    ]


def _servers(site: Site, edge: Edge, protocol: str) -> list[str]:
    if edge.ports:
        return [f"127.0.0.1:{port}" for port in edge.ports]
    return [f"unix:{site.live_socket(number, protocol)}" for number in range(1, edge.sockets + 1)]

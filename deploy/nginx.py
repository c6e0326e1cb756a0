"""Nginx: templates -> files -> one generation.

A generation is a folder with every file of ours for every site, named by its content's hash. A new one is the live
one with some files replaced; ``remote/generation.sh`` tests it whole, renames it into place and proves that it serves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import access, hosts, http3, noted
from . import site as names
from .edge import Edge
from .facts import Facts, version
from .settings import Settings
from .site import Site
from .steps import Step, script

STALE = 76  # generation.sh's exit code where another generation came in between
BROTLI_MODULE = "libnginx-mod-http-brotli-static"
MODULES = {"http": "proxy", "uwsgi": "uwsgi"}  # protocol -> what its directives begin with
SHARED = ("snippets", "pages")  # folders of templates that belong to no site
TEMPLATES = Path(__file__).parent.parent / "nginx_templates"
MAIN = f"# Portside's: all of it stands in the live generation.\ninclude {names.NGINX_LIVE}/nginx.conf;\n"


@dataclass(frozen=True)
class Generation:
    """The files of a generation.

    ``kept``: paths taken over from the live one; ``files``: path -> text, ours; ``before``: the generation it was
    planned upon, without which it mustn't be made, since another site's files may have come in between; ``page``: the
    distribution's default page where it is still there, else empty.
    """

    name: str
    kept: tuple[str, ...]
    files: Mapping[str, str]
    before: str
    page: str

    def step(self, why: str) -> Step:
        """The step that puts it live, or leaves the previous one."""
        return script(
            f"Nginx generation {self.name}: {why}",
            "nginx",
            self.name,
            self.before,
            str(names.STATUS_PORT),
            self.page,
            files=self.payload(),
        )

    def payload(self) -> dict[str, bytes]:
        """What ``remote/generation.sh`` makes it of."""
        files = {f"{self.name}/new/{path}": text.encode() for path, text in self.files.items()}
        kept = "".join(f"{path}\n" for path in self.kept)
        return {"main": MAIN.encode(), f"{self.name}/kept": kept.encode()} | files


def base(facts: Facts, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The files that belong to the whole server: path in the generation -> text. They are the same whichever site is
    deployed. ``own``: the new files of a site, if the generation has some; otherwise every site's stay as they are."""
    values = _values(facts) | {"http3": _http3(facts, own or {})}
    shared = [path.relative_to(TEMPLATES) for kind in SHARED for path in TEMPLATES.glob(f"{kind}/*.j2")]
    rendered = {path.with_suffix("").as_posix(): _render(path.as_posix(), values) for path in sorted(shared)}
    return {
        "nginx.conf": _render("nginx.conf.j2", values),
        "sites/00-default.conf": _render("default.conf.j2", values),
        **rendered,
    }


def _http3(facts: Facts, own: Mapping[str, str]) -> bool:
    """Whether some site of a generation has HTTP/3: one with ``own`` files, or another by those it has."""
    replaced = {owner(path) for path in own}
    paths = [*own, *(path for path in facts.nginx_files if owner(path) not in replaced)]
    return http3.able(facts) and any(path.endswith(names.NGINX_HTTP3) for path in paths)


def site_file(settings: Settings, site: Site, edge: Edge, facts: Facts) -> dict[str, str]:
    """The site's own files: its servers, its lines of the map that says which answers carry HSTS, and, where settings
    ask for them, its proof, its passwords and its owner's own lines."""
    values = _site_values(settings, site, edge, facts)
    files = {site.nginx_file: _render("site.conf.j2", values), site.nginx_hsts: _render("site.hsts.j2", values)}
    if values["http3"]:
        files[site.nginx_http3] = _render("site.http3.j2", values)
    if edge.ports:
        files[site.nginx_proof] = _render("site.proof.j2", values | {"proof": access.proof(settings)})
    if settings.basic_auth:
        files[site.nginx_passwords] = access.password_file(site.name, settings.basic_auth)
    if settings.nginx_include:
        files[site.nginx_include] = (settings.folder / settings.nginx_include).read_text(encoding="utf-8")
    return files


def _site_values(settings: Settings, site: Site, edge: Edge, facts: Facts) -> dict[str, Any]:
    """What the templates of a site's files are rendered with."""
    served = hosts.of(edge.names, settings, facts)
    if edge.opened_from is not None:
        served = hosts.opening(edge.names, settings, facts, edge.opened_from)
    upstream = f"portside_{site.name.replace('-', '_')}"
    return _values(facts) | {
        "upgraded": served.upgraded,
        "redirects": [server for server in served.servers if not server.shows],
        "shown": [server for server in served.servers if server.shows],
        "switching": site.switching,
        "certificate": site.certificate,
        "certificate_key": site.certificate_key,
        "hsts": settings.hsts,
        "https_hosts": [server.names[0] for server in served.servers if server.secure],
        "http3": settings.http3 and http3.able(facts) and bool(served.names(secure=True)),
        "name": site.name,
        "noted": noted.of_nginx(settings),
        "upstream": upstream,
        "backends": _backends(site, edge, upstream),
        "domains": [name for server in served.servers if server.shows for name in server.names],
        "max_body": settings.max_body,
        "fallback": settings.fallback,
        "health": _health(settings, edge),
        "asynchronous": edge.asynchronous,
        "real_ip": settings.real_ip,
        "allow": settings.allow,
        "deny": settings.deny,
        "basic_auth": settings.basic_auth and site.nginx_passwords,
        "rate_limit": settings.rate_limit,
        "rate_burst": (settings.rate_limit or "").partition("r")[0],
        "cache": settings.cache,
        "cache_folder": site.nginx_cache,
        "block_agents": "|".join(map(re.escape, settings.block_agents)).replace(r"\ ", " "),
        "include": settings.nginx_include and site.nginx_include,
        "maintenance": site.maintenance,
        "private": names.PRIVATE,
        "volumes": [{"name": name, "root": site.volume(name)} for name in _volumes(settings)],
        "ports": edge.ports,
        "access_log": site.access_log,
        "error_log": site.error_log,
        "places": edge.places,
        "static_root": site.live_static,
        "static_pool": site.static_pool,
        "media_root": site.media,
    }


def _health(settings: Settings, edge: Edge) -> str:
    """The health check's location, unless a file is asked for."""
    path = settings.health_location
    return "" if any(path.startswith(place.url) for place in edge.places) else path


def _volumes(settings: Settings) -> list[str]:
    return [volume.partition(":")[0] for volume in settings.volumes]


def _backends(site: Site, edge: Edge, upstream: str) -> list[dict[str, Any]]:
    """Who is asked: the upstream's name, its servers, and Nginx's module for what they speak. The second is asked where
    the first isn't there; its name is no other site's, since those all begin with ``portside_``. Nobody is
    asked for a folder of files."""
    return [
        {"name": name, "module": MODULES[protocol], "protocol": protocol, "servers": _servers(site, edge, protocol)}
        for name, protocol in zip((upstream, f"next_{upstream}"), edge.protocols, strict=False)
        if edge.ports or edge.sockets
    ]


def _servers(site: Site, edge: Edge, protocol: str) -> list[str]:
    if edge.ports:
        return [f"127.0.0.1:{port}" for port in edge.ports]
    return [f"unix:{site.live_socket(number, protocol)}" for number in range(1, edge.sockets + 1)]


def generation(files: Mapping[str, str], facts: Facts) -> Generation:
    """The live generation with these files in it. Files of other sites are kept; other files of ours go."""
    return _generation(files, facts, replaced={"", *map(owner, files)})


def without(site: Site, facts: Facts) -> Generation | None:
    """The live generation without the site's files: none where it has none of them. All others are as they are, unless
    the site was the last that had HTTP/3: then the server's own are made anew, as by a deploy."""
    others = {path: digest for path, digest in facts.nginx_files.items() if owner(path) != site.name}
    if len(others) == len(facts.nginx_files):
        return None
    if site.nginx_http3 not in facts.nginx_files or http3.others(site, facts):
        return _generation({}, facts, replaced={site.name})
    return _generation(base(replace(facts, nginx_files=others)), facts, replaced={site.name, ""})


def _generation(files: Mapping[str, str], facts: Facts, *, replaced: set[str]) -> Generation:
    """These files, and those of the live generation whose owners aren't among the ``replaced``."""
    kept = {path: digest for path, digest in facts.nginx_files.items() if owner(path) not in replaced}
    digests = kept | {path: sha256(text.encode()).hexdigest() for path, text in files.items()}
    page = names.NGINX_DEFAULT_PAGE if facts.nginx_default == "distribution" else ""
    return Generation(_name(digests, facts), tuple(sorted(kept)), files, facts.nginx_generation, page)


def _name(digests: Mapping[str, str], facts: Facts) -> str:
    """The live one's own name where it has exactly these files, and only there: one that was changed by hand isn't
    written over, since Nginx may be reading it."""
    names = _names(digests)
    if facts.nginx_generation and facts.nginx_files == digests:
        return facts.nginx_generation
    return names[1] if names[0] == facts.nginx_generation else names[0]


def _names(digests: Mapping[str, str]) -> tuple[str, str]:
    """What a generation of these files is called, and what else where that name is taken."""
    lines = "".join(f"{digests[path]} {path}\n" for path in sorted(digests))
    first, second = (sha256(text.encode()).hexdigest()[:12] for text in (lines, f"{lines}again\n"))
    return first, second


def edited(facts: Facts) -> bool:
    """Whether somebody changed files of the live generation by hand: they aren't those that were written, or, where
    nobody noted these, those it is named after."""
    if facts.nginx_written:
        return facts.nginx_written != facts.nginx_files
    return bool(facts.nginx_generation) and facts.nginx_generation not in _names(facts.nginx_files)


def wanted(files: Mapping[str, str], facts: Facts) -> Generation | None:
    """The generation that makes Nginx serve these files: none if it does already."""
    made = generation(files, facts)
    main = facts.files.get(names.NGINX_CONF)
    ours = main is not None and main.sha256 == sha256(MAIN.encode()).hexdigest()
    done = facts.nginx_generation == made.name and ours and facts.nginx_active and facts.nginx_default != "distribution"
    return None if done else made


def steps(files: Mapping[str, str], facts: Facts, why: str) -> list[Step]:
    """What makes Nginx serve these files: nothing if it does already."""
    made = wanted(files, facts)
    return [made.step(why)] if made else []


def conflicts(facts: Facts) -> list[str]:
    """What on the server is another's and in the way, one sentence each."""
    main = facts.files.get(names.NGINX_CONF)
    ours = main is not None and main.sha256 == sha256(MAIN.encode()).hexdigest()
    found = []
    if main and not ours and facts.nginx_conf != "distribution":
        found.append(
            f"{names.NGINX_CONF} was changed by hand. Move what it adds to a file in {names.NGINX_OTHERS} and put the "
            "distribution's back: apt-get install --reinstall -o Dpkg::Options::=--force-confask nginx-common"
        )
    for path in facts.nginx_default_servers:
        if path != names.NGINX_DEFAULT_PAGE or facts.nginx_default != "distribution":
            found.append(f"{path} has a default_server, which Portside's catch-all is: take the word out of it.")
    return found


def broken(facts: Facts) -> str:
    """What is wrong with Nginx's files on disk where it isn't ours, as a sentence: it couldn't be started again."""
    if not facts.nginx_broken or names.NGINX_LIVE in facts.nginx_broken:
        return ""
    return f"Nginx refuses its files as they are on the server: {facts.nginx_broken}. Mend or move that file."


def owner(path: str) -> str:
    """The site that a file of a generation belongs to; empty for the server's own."""
    found = re.fullmatch(r"sites/([a-z][a-z0-9-]*)\..*", path)
    return found.group(1) if found else ""


def _values(facts: Facts) -> dict[str, Any]:
    """What templates know of the server. Versions decide directives, not the distribution's name."""
    nginx = version(facts.nginx_version)
    return {
        "live": names.NGINX_LIVE,
        "home": names.HOME,
        "acme_root": names.ACME_ROOT,
        "status_port": names.STATUS_PORT,
        "pages_url": names.PAGES,
        "ipv6": facts.ipv6,
        "reject_handshake": nginx >= (1, 19, 4),
        "keepalive_off": nginx >= (1, 29, 7),
        "http2_directive": nginx >= (1, 25, 1),
        "post_quantum": _openssl(facts) >= (3, 5),
        "brotli": BROTLI_MODULE in facts.packages,
    }


def _openssl(facts: Facts) -> tuple[int, ...]:
    """The version that Nginx runs with, which may be newer than the one it was built with."""
    found = re.findall(r"(?:built|running) with OpenSSL ([0-9.]+)", facts.nginx_version)
    return version(found[-1]) if found else ()


def _render(template: str, values: Mapping[str, Any]) -> str:
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    # Not HTML: what these templates hold is checked by settings.py and tested by nginx -t.
    return Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

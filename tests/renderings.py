"""Everything that changes what Nginx's files say, and the combinations of it that are tried: any two values together.

tests/nginx/test_rendering.py reads the text; tests/e2e/edge/test_rendering.py hands it to the real Nginx of two
Debians.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.config.settings import Settings
from deploy.core import server_paths
from deploy.core.facts import Facts
from deploy.core.paths import Site
from deploy.core.x509 import Certificate
from deploy.nginx import generation as nginx_generation
from deploy.nginx import site as nginx_site
from deploy.nginx import templates
from deploy.nginx.routing import Edge, Names, Routes, bridge, final
from deploy.releases import static_site
from tests import pairs, pki, sample

NGINX = {
    "1.22.1": "nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.22 25 Aug 2026\n",  # Debian 12
    "1.26.3": "nginx version: nginx/1.26.3\nbuilt with OpenSSL 3.5.7 9 Jun 2026\n"
    "configure arguments: --with-http_v3_module\n",  # Debian 13
}
# CVEs that gixy-ng knows by upstream's versions alone. Debian mends its own builds; here the first, by its changelog.
BACKPORTED = {
    "1.22.1": {
        "CVE-2025-23419": "1.22.1-9+deb12u1",
        "CVE-2026-42934": "1.22.1-9+deb12u7",
        "CVE-2026-9256": "1.22.1-9+deb12u8",
        "CVE-2026-42946": "1.22.1-9+deb12u8",
        "CVE-2026-48142": "1.22.1-9+deb12u9",
    },
    "1.26.3": {
        "CVE-2026-42934": "1.26.3-3+deb13u5",
        "CVE-2026-40460": "1.26.3-3+deb13u5",
        "CVE-2026-9256": "1.26.3-3+deb13u6",
        "CVE-2026-42946": "1.26.3-3+deb13u6",
        "CVE-2026-95101": "1.26.3-3+deb13u10",
        "CVE-2026-48142": "1.26.3-3+deb13u7",
    },
}
NEIGHBOUR = Site("gallery-2")
"""Another site on the server, with every setting there is: what two sites share by accident, Nginx refuses."""

ALL = {"DEPLOY_DOMAINS": "gallery.example,www.gallery.example"}
LONGEST = ".".join(("x" * 63, "y" * 63, "z" * 63, "w" * 61))

SETTINGS: dict[str, dict[str, dict[str, str]]] = {
    "names": {
        "two": {"DEPLOY_SITE": "shop", "DEPLOY_DOMAINS": "shop.example,www.shop.example"},
        "longest": {"DEPLOY_SITE": "s" + "-long" * 6, "DEPLOY_DOMAINS": f"{LONGEST},192.0.2.80"},
    },
    "redirects": {"none": {}, "two": {"DEPLOY_REDIRECT_DOMAINS": "shop-old.example,xn--shp-hna.example"}},
    "auth": {"none": {}, "two": {"DEPLOY_BASIC_AUTH": "ann:correct horse,bob:p@ss:word"}},
    "allow": {"none": {}, "both": {"DEPLOY_ALLOW": "192.0.2.0/24,2001:db8::/32"}},
    "deny": {"none": {}, "one": {"DEPLOY_DENY": "192.0.2.7"}},
    "rate": {"none": {}, "second": {"DEPLOY_RATE_LIMIT": "20r/s"}, "minute": {"DEPLOY_RATE_LIMIT": "1r/m"}},
    "cache": {"none": {}, "10s": {"DEPLOY_CACHE": "10s"}},
    "include": {"none": {}, "file": {"DEPLOY_NGINX_INCLUDE": "extra.conf"}},
    "real ip": {"none": {}, "both": {"DEPLOY_REAL_IP": "198.51.100.0/24,2001:db8:1::/48"}},
    "agents": {"none": {}, "two": {"DEPLOY_BLOCK_AGENTS": "GPTBot,Some Bot/1.0,a-b_c"}},
    "volumes": {"none": {}, "two": {"DEPLOY_VOLUMES": "papers:/data/papers,scans:/data/scans"}},
    "health": {
        "root": {"DEPLOY_HEALTH_PATH": "/"},
        "own": {"DEPLOY_HEALTH_PATH": "/health+z/~x.y?full=1&a=%20"},
        "a file": {"DEPLOY_HEALTH_PATH": "/static/up.txt"},
    },
    "hsts": {"two years": {}, "none": {"DEPLOY_HSTS": "0"}},
    "application": {
        "wsgi": {},
        "asgi": {"DEPLOY_WORKER_CLASS": "asgi", "DEPLOY_APPLICATION": "config.asgi:application"},
        "uwsgi": {"DEPLOY_PROTOCOL": "uwsgi"},
    },
    "http3": {"off": {}, "on": {"DEPLOY_HTTP3": "on"}},
    "body": {"75m": {}, "any": {"DEPLOY_MAX_BODY": "0"}},
    "upstream": {"socket": {"DEPLOY_UPSTREAM": "socket"}, "port": {"DEPLOY_UPSTREAM": "port"}},
    "replicas": {"1": {"DEPLOY_REPLICAS": "1"}, "64": {"DEPLOY_REPLICAS": "64"}},
}
OF_A_FOLDER_ALONE = {"fallback": {"none": {}, "a page": {"DEPLOY_FALLBACK": "app/index.html"}}}
NEW = Routes("/static/", "/media/")
RELEASES: dict[str, tuple[list[Routes], bool]] = {
    "no files": ([Routes()], False),
    "files": ([NEW], False),
    "static alone": ([Routes("/s/")], False),
    "one in the other": ([Routes("/assets/", "/assets/media/")], False),
    "kept ones": ([NEW, Routes("/s/v1/", "/uploads/"), Routes("/media/", "/static/")], False),
    "a bridge": ([NEW, Routes("/s/v1/", "/uploads/")], True),
    "a bridge to none": ([NEW, Routes()], True),
}
"""Name -> the releases that are kept, the live one first, and whether the second of them is about to follow it."""
KNOWN: dict[str, tuple[Names | None, ...]] = {
    "all": (None,),
    "others": (Names(("was.example", "*.was.example"), ("www.shop.example",)),),
    "others first": (Names(("was.example", "www.shop.example"), ("older.example", "shop-old.example")), None),
}
"""Which names the live release knows, and the one that is about to follow it; None: those of the settings."""
SERVER = {"known": tuple(KNOWN), "certificate": ("no", "some", "all"), "ipv6": ("yes", "no"), "brotli": ("yes", "no")}
FACTORS = {
    "releases": tuple(RELEASES), **{name: tuple(values) for name, values in SETTINGS.items()}, **SERVER,
}  # fmt: skip
OF_A_FOLDER = ("names", "redirects", "auth", "allow", "deny", "include", "real ip", "agents", "health", "hsts")
FOLDER_FACTORS = {name: FACTORS[name] for name in (*OF_A_FOLDER, *SERVER)} | {
    name: tuple(values) for name, values in OF_A_FOLDER_ALONE.items()
}
"""What changes the rendering of a static site, which has no use for the rest."""
PROJECTS = [{"kind": "django", **chosen} for chosen in pairs.all_pairs(FACTORS)]
FOLDERS = [{"kind": "static", **chosen} for chosen in pairs.all_pairs(FOLDER_FACTORS)]
COMBINATIONS = [*PROJECTS, *FOLDERS]


@dataclass(frozen=True)
class Rendering:
    """What one combination makes of Nginx's files. ``others``: what they name beside themselves, path -> text."""

    name: str
    chosen: Mapping[str, str]
    settings: Settings
    site: Site
    own: Mapping[str, str]
    files: Mapping[str, str]
    others: Mapping[str, str]


def renderings(folder: Path, nginx_version: str) -> list[Rendering]:
    """All combinations for one Nginx. ``nginx_version``: what ``nginx -V`` says."""
    facts = replace(sample.facts("debian-13-live"), nginx_version=nginx_version)
    return [
        _rendering(_new(folder / f"{number:02}"), f"{number:02}", chosen, facts)
        for number, chosen in enumerate(COMBINATIONS)
    ]


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _rendering(folder: Path, name: str, chosen: Mapping[str, str], facts: Facts) -> Rendering:
    settings = chosen_settings(folder, chosen)
    here = Site(settings.site)
    modules = facts.packages - {templates.BROTLI_MODULE} | (
        {templates.BROTLI_MODULE} if chosen["brotli"] == "yes" else set()
    )
    facts = replace(facts, ipv6=chosen["ipv6"] == "yes", packages=frozenset(modules))
    pem, key = _certificate(settings, chosen["certificate"])
    live = replace(edge(chosen), names=KNOWN[chosen["known"]])
    own = nginx_site.site_file(settings, here, live, replace(facts, certificate=pem))
    theirs = pki.issued(*sample.GALLERY)
    neighbour = sample.settings(_new(folder / "neighbour"), sample.EVERY_SETTING)
    beside = nginx_site.site_file(neighbour, NEIGHBOUR, Edge(3), replace(facts, certificate=theirs.chain))
    generation = {"generation.conf": 'map "" $portside_generation {\n    default "tried";\n}\n'}
    others = {NEIGHBOUR.certificate: theirs.chain, NEIGHBOUR.certificate_key: theirs.key}
    if pem:
        others |= {here.certificate: pem, here.certificate_key: key}
    return Rendering(
        name, chosen, settings, here, own, nginx_generation.base(facts, own) | own | beside | generation, others
    )


def chosen_settings(folder: Path, chosen: Mapping[str, str]) -> Settings:
    known = SETTINGS | OF_A_FOLDER_ALONE
    factors = [factor for factor in known if factor in chosen]
    lines = {name: value for factor in factors for name, value in known[factor][chosen[factor]].items()}
    return sample.settings(folder, {**(sample.STATIC if chosen["kind"] == "static" else sample.LINES), **lines})


def _certificate(settings: Settings, what: str) -> tuple[str, str]:
    """A chain and its key for some of the site's names, as the combination has it."""
    names = {"no": (), "some": settings.names[1:], "all": settings.names}[what]
    if not names:
        return "", ""
    made = pki.issued(*names)
    assert Certificate.parse(made.chain)
    return made.chain, made.key


def edge(chosen: Mapping[str, str]) -> Edge:
    """What the combination's releases want of Nginx, each with as many replicas as the settings say. One that is about
    to follow is the settings' own, after one by HTTP."""
    if chosen["kind"] == "static":
        return final(static_site.ROUTES, [static_site.ROUTES], "socket")
    kept, follows = RELEASES[chosen["releases"]]
    replicas, application = int(chosen["replicas"]), chosen["application"]
    releases = [replace(routes, replicas=replicas, ports=tuple(range(8101, 8101 + replicas))) for routes in kept]
    own = {"protocol": "uwsgi" if application == "uwsgi" else "http", "asynchronous": application == "asgi"}
    releases[follows] = replace(releases[follows], **own)
    if follows:
        return bridge(releases[0], releases[1], releases, chosen["upstream"])
    return final(releases[0], releases[1:], chosen["upstream"])


LIVE = server_paths.NGINX_LIVE

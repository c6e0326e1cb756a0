"""Names and paths: each built on the one before."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.core import server_paths
from deploy.core.paths import ReleasePaths, Site
from deploy.nginx import generation
from deploy.nginx import site as nginx_site
from tests import sample

RELEASE = sample.SITE.release(sample.OLD)


def test_every_path_of_a_site_lies_below_its_root() -> None:
    made = Site("art")
    names = (
        "record",
        "current",
        "releases",
        "media",
        "history",
        "data",
        "data_compose",
        "data_secrets",
        "live_static",
        "static_pool",
    )
    assert {getattr(made, name).startswith("/srv/portside/art/") for name in names} == {True}
    assert made.volume("cache") == "/srv/portside/art/volumes/cache"


def test_every_path_of_a_release_lies_below_its_root() -> None:
    names = ("compose", "env", "made_env", "gunicorn", "record", "pending", "name", "static", "tmp", "run")
    root = f"/srv/portside/portfolio/releases/{sample.OLD}"
    assert {getattr(RELEASE, name).startswith(f"{root}/") for name in names} == {True}


def test_nginx_names_the_live_release_only() -> None:
    assert sample.SITE.live_socket(1, "http") == "/srv/portside/portfolio/current/run/web-1.sock"
    assert sample.SITE.live_static == RELEASE.static.replace(f"releases/{sample.OLD}", "current")


def test_nothing_that_nginx_includes_lies_below_the_sites() -> None:
    assert not server_paths.NGINX_LIVE.startswith(server_paths.HOME)
    assert not server_paths.NGINX_GENERATIONS.startswith(server_paths.HOME)


def test_site_and_release_stand_in_the_sockets_path() -> None:
    assert RELEASE.run_inside == f"/run/portside/portfolio-{sample.OLD}"


def test_the_longest_name_leaves_room_for_a_sockets_path() -> None:
    longest = Site("a" * 31)
    for protocol in ("http", "uwsgi"):
        assert len(longest.release(sample.OLD).socket_inside(64, protocol)) < 108
        assert len(longest.live_socket(64, protocol)) < 108


WORDS = (
    "a",
    "b",
    "data",
    "db",
    "web",
    "1",
    "postgres",
    "process",
    sample.OLD,
    sample.NEW,
    "portside",
    "site",
    "server",
)
ALIKE = (
    "a", "a-b", "a--b", "a-data", "a-data-data", "a-postgres", f"a-{sample.OLD}", f"a-{sample.OLD}-data", "a-web-1",
    "data", "db", "server", "certbot", "portside", "portside-a", "site-a", "default", "access", "error", "portfolio",
    "portfolio-data", "rate-portside-a", "cache-portside-a", "blocked-portside-a", "a-staging", "a-access-log",
    "a" * 31,
)  # fmt: skip
RENDERED = re.compile(
    r"^upstream (\S+) |\bzone (\S+) |zone=(\w+)|^map .+ \$(\w+) \{|^proxy_cache_path (\S+) |_log (\S+\.log)|"
    r"_file (\S+);",
    re.MULTILINE,
)


def fuzzed() -> list[str]:
    """Names of sites that are as alike as they can be; always the same."""
    dice = random.Random(4)
    made = {"-".join(dice.choices(WORDS, k=dice.randint(1, 4))) for _ in range(300)}
    return sorted({*ALIKE, *(name for name in made if name[0].isalpha() and len(name) <= 31)})


def paths(site: Site) -> set[str]:
    """Every file and folder that is the site's alone."""
    own = {getattr(site, name) for name, value in vars(Site).items() if isinstance(value, property)}
    releases = [site.release(name) for name in (sample.OLD, sample.NEW)]
    own |= {getattr(release, name) for name in vars(ReleasePaths) for release in releases if not name.startswith("_")}
    own |= {f"/etc/letsencrypt/live/{name}" for name in (site.name, site.trial)}
    own |= {f"/etc/nginx/portside/{path}" for path in own if str(path).startswith("sites/")}
    own |= {f"/run/portside/site-{site.name}.{kind}" for kind in ("lock", "work", "token", "holder", "group")}
    own |= {site.final_backup("20261121-080000"), site.dump(sample.OLD), site.volume("a")}
    return {path for path in own if str(path).startswith("/")}


def containers_of(site: Site) -> set[str]:
    """What Docker calls the site's containers: project, service, number."""
    services = ("web-1", "web-2", "manage", "process-db", f"process-x-{sample.OLD}", "process-data-db-1")
    projects = [site.release(name).project for name in (sample.OLD, sample.NEW)]
    return {f"{project}-{service}-1" for project in projects for service in services} | {f"{site.data_project}-db-1"}


def rendered(site: Site, folder: Path) -> set[str]:
    """Names that the site's Nginx file makes for the whole server: upstreams, zones, variables, folders, files."""
    facts = sample.provisioned()
    given = {"DEPLOY_RATE_LIMIT": "9r/s", "DEPLOY_CACHE": "9s", "DEPLOY_BLOCK_AGENTS": "x", "DEPLOY_BASIC_AUTH": "a:b"}
    settings = sample.settings(folder, DEPLOY_SITE=site.name, **given)
    text = nginx_site.site_file(settings, site, replace(sample.EDGE, sockets=2), facts)[site.nginx_file]
    return {name.rstrip(";") for found in RENDERED.findall(text) for name in found if name}


def test_no_two_sites_share_a_name_or_a_path(tmp_path: Path) -> None:
    """However alike they are called, whatever one leaves on a server is its own."""
    owner: dict[tuple[str, str], str] = {}
    for name in fuzzed():
        site = Site(name)
        spaces = {
            "path": paths(site),
            "project": {site.data_project, *(site.release(one).project for one in (sample.OLD, sample.NEW))},
            "container": containers_of(site),
            "network": {site.network},
            "volume": {site.postgres_volume},
            "image": {site.release(sample.OLD).image},
            "certificate": {site.name, site.trial},
        }
        for space, mine in spaces.items():
            for one in mine:
                assert owner.setdefault((space, one), name) == name, f"{space} {one}"
    every = sorted((path, site) for (space, path), site in owner.items() if space == "path")
    nested = [
        (one, other) for one, other in pairwise(every) if other[0].startswith(f"{one[0]}/") and one[1] != other[1]
    ]
    assert nested == []


@pytest.mark.parametrize("name", ["b", *ALIKE])
def test_what_a_sites_nginx_file_makes_is_its_own(name: str, tmp_path: Path) -> None:
    other = "a" if name != "a" else "a-b"
    mine, theirs = rendered(Site(name), tmp_path), rendered(Site(other), tmp_path)
    assert len(mine) == 9
    assert not mine & theirs


def test_the_server_has_names_that_no_site_can_have() -> None:
    every = set().union(*(paths(Site(name)) for name in fuzzed()))
    ours = {
        "/run/portside/server.lock",
        "/run/portside/certbot.lock",
        server_paths.RENEWAL_HOOK,
        server_paths.ACME_ROOT,
        server_paths.BACKUPS,
    }
    ours |= {f"/etc/nginx/portside/{name}" for name in generation.base(sample.provisioned())}
    assert not every & ours

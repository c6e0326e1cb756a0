"""Names and paths: each built on the one before."""

from __future__ import annotations

from deploy import site
from deploy.site import Site
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
    assert sample.SITE.live_socket(1) == "/srv/portside/portfolio/current/run/web-1.sock"
    assert sample.SITE.live_static == RELEASE.static.replace(f"releases/{sample.OLD}", "current")


def test_nothing_that_nginx_includes_lies_below_the_sites() -> None:
    assert not site.NGINX_LIVE.startswith(site.HOME)
    assert not site.NGINX_GENERATIONS.startswith(site.HOME)


def test_site_and_release_stand_in_the_sockets_path() -> None:
    assert RELEASE.run_inside == f"/run/portside/portfolio-{sample.OLD}"


def test_the_longest_name_leaves_room_for_a_sockets_path() -> None:
    longest = Site("a" * 31)
    assert len(f"{longest.release(sample.OLD).run_inside}/web-64.sock") < 108
    assert len(longest.live_socket(64)) < 108


def test_two_sites_share_no_name() -> None:
    one, other = Site("art"), Site("art-data")
    names = ("root", "data_project", "network", "nginx_file", "access_log", "error_log")
    assert not {getattr(one, name) for name in names} & {getattr(other, name) for name in names}
    assert one.release(sample.OLD).project not in {other.data_project, other.name}

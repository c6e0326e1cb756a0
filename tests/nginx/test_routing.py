"""The edge: what releases want -> what the site's Nginx file says."""

from __future__ import annotations

import pytest

from deploy.nginx import routing
from deploy.nginx.routing import Edge, Routes, StaticRoute

LIVE = Routes("/static/", "/media/", 1, (8101,))


def own(*urls: str) -> tuple[StaticRoute, ...]:
    return tuple(StaticRoute(url, media="m" in url) for url in urls)


def others(*urls: str) -> tuple[StaticRoute, ...]:
    return tuple(StaticRoute(url, media="m" in url, own=False) for url in urls)


@pytest.mark.parametrize("upstream", ["socket", "port"])
def test_a_release_like_the_one_before_needs_no_other_edge_to_go_live(upstream: str) -> None:
    """By socket no generation at all, by port only the last."""
    new = Routes("/static/", "/media/", 1, (8102,))
    live = routing.final(LIVE, [LIVE], upstream)
    assert routing.bridge(LIVE, new, [LIVE], upstream) == live
    assert (routing.final(new, [LIVE], upstream) == live) is (upstream == "socket")


def test_the_application_is_asked_by_sockets_or_by_ports() -> None:
    routes = Routes(replicas=2, ports=(8101, 8102))
    assert routing.final(routes, [], "socket") == Edge(2)
    assert routing.final(routes, [], "port") == Edge(2, (8101, 8102))


@pytest.mark.parametrize(("live", "new", "sockets"), [(1, 3, 1), (3, 1, 1), (2, 2, 2)])
def test_the_bridge_asks_sockets_that_both_releases_have(live: int, new: int, sockets: int) -> None:
    assert routing.bridge(Routes(replicas=live), Routes(replicas=new), [], "socket").sockets == sockets


def test_the_bridge_asks_the_live_releases_ports() -> None:
    assert routing.bridge(LIVE, Routes(ports=(8102, 8103), replicas=2), [], "port").ports == (8101,)


def test_a_release_whose_ports_are_not_recorded_is_asked_by_its_socket() -> None:
    assert routing.bridge(Routes(), LIVE, [], "port") == routing.bridge(Routes(), LIVE, [], "socket")


def test_pages_of_other_kept_releases_still_find_their_files() -> None:
    made = routing.final(Routes("/s/", "/m/"), [LIVE, Routes("/s/", "/m2/")], "socket")
    assert made.static_routes == tuple(
        sorted(own("/s/", "/m/") + others("/static/", "/media/", "/m2/"), key=lambda p: p.url)
    )


def test_the_bridge_serves_the_files_of_both_and_asks_the_application_for_the_rest() -> None:
    assert routing.bridge(LIVE, Routes("/s/", "/media/"), [LIVE], "socket").static_routes == own("/media/") + others(
        "/s/", "/static/"
    )


@pytest.mark.parametrize(
    ("new", "older", "static_routes"),
    [
        (Routes("/a/"), Routes("/a/"), own("/a/")),
        (Routes("/a/"), Routes("", "/a/"), own("/a/")),
        (Routes("/a/"), Routes("/a/b/", "/a/m/"), own("/a/")),
        (Routes("/a/b/"), Routes("/a/"), others("/a/") + own("/a/b/")),
        (Routes(), Routes("/a/"), others("/a/")),
    ],
)
def test_of_paths_that_overlap_the_new_meaning_wins(
    new: Routes, older: Routes, static_routes: tuple[StaticRoute, ...]
) -> None:
    assert routing.final(new, [older], "socket").static_routes == static_routes


def test_of_other_releases_with_one_path_the_newest_counts() -> None:
    made = routing.final(Routes(), [Routes("/a/"), Routes("", "/a/")], "socket")
    assert made.static_routes == others("/a/")


@pytest.mark.parametrize(
    "url",
    ["", "/", "static/", "/static", "//", "/a b/", "/a;/", "/../", "/a/./", "/.well-known/acme-challenge/", "/{/"],
)
def test_what_nginx_could_not_serve_is_left_out(url: str) -> None:
    assert routing.final(Routes(url), [Routes(url)], "socket").static_routes == ()


@pytest.mark.parametrize("url", ["/static/", "/a/b.c/", "/a+b/", "/~x/@y/", "/v2..3/"])
def test_ordinary_paths_are_served(url: str) -> None:
    assert routing.final(Routes(url), [], "socket").static_routes == (StaticRoute(url),)


def test_a_release_is_asked_in_its_protocol() -> None:
    assert routing.final(Routes(protocol="uwsgi"), [LIVE], "socket").protocols == ("uwsgi",)
    assert routing.bridge(LIVE, LIVE, [], "socket").protocols == ("http",)


def test_the_bridge_asks_in_the_protocol_of_either_release_the_live_ones_first() -> None:
    new = Routes(protocol="uwsgi", ports=(8102,))
    assert routing.bridge(LIVE, new, [], "socket").protocols == ("http", "uwsgi")
    assert routing.bridge(new, LIVE, [], "socket").protocols == ("uwsgi", "http")
    assert routing.bridge(LIVE, new, [], "port").protocols == ("http",), "its ports are its own"


@pytest.mark.parametrize(("live", "new", "bridge"), [(False, False, False), (True, False, True), (False, True, True)])
def test_connections_may_be_silent_where_either_release_has_such(live: bool, new: bool, bridge: bool) -> None:
    releases = [Routes(asynchronous=kind) for kind in (live, new)]
    assert routing.bridge(*releases, [], "socket").asynchronous is bridge
    assert routing.final(releases[1], [], "socket").asynchronous is new

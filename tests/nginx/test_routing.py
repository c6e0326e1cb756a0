"""The edge: what releases want -> what the site's Nginx file says."""

from __future__ import annotations

import pytest

from deploy.nginx import routing
from deploy.nginx.routing import Edge, Served, StaticRoute

LIVE = Served("/static/", "/media/", 1, (8101,))


def own(*urls: str) -> tuple[StaticRoute, ...]:
    return tuple(StaticRoute(url, media="m" in url) for url in urls)


def others(*urls: str) -> tuple[StaticRoute, ...]:
    return tuple(StaticRoute(url, media="m" in url, own=False) for url in urls)


@pytest.mark.parametrize("upstream", ["socket", "port"])
def test_a_release_like_the_one_before_needs_no_other_edge_to_go_live(upstream: str) -> None:
    """By socket no generation at all, by port only the last."""
    new = Served("/static/", "/media/", 1, (8102,))
    live = routing.final(LIVE, [LIVE], upstream)
    assert routing.bridge(LIVE, new, [LIVE], upstream) == live
    assert (routing.final(new, [LIVE], upstream) == live) is (upstream == "socket")


def test_the_application_is_asked_by_sockets_or_by_ports() -> None:
    served = Served(replicas=2, ports=(8101, 8102))
    assert routing.final(served, [], "socket") == Edge(2)
    assert routing.final(served, [], "port") == Edge(2, (8101, 8102))


@pytest.mark.parametrize(("live", "new", "sockets"), [(1, 3, 1), (3, 1, 1), (2, 2, 2)])
def test_the_bridge_asks_sockets_that_both_releases_have(live: int, new: int, sockets: int) -> None:
    assert routing.bridge(Served(replicas=live), Served(replicas=new), [], "socket").sockets == sockets


def test_the_bridge_asks_the_live_releases_ports() -> None:
    assert routing.bridge(LIVE, Served(ports=(8102, 8103), replicas=2), [], "port").ports == (8101,)


def test_a_release_whose_ports_are_not_recorded_is_asked_by_its_socket() -> None:
    assert routing.bridge(Served(), LIVE, [], "port") == routing.bridge(Served(), LIVE, [], "socket")


def test_pages_of_other_kept_releases_still_find_their_files() -> None:
    made = routing.final(Served("/s/", "/m/"), [LIVE, Served("/s/", "/m2/")], "socket")
    assert made.static_routes == tuple(
        sorted(own("/s/", "/m/") + others("/static/", "/media/", "/m2/"), key=lambda p: p.url)
    )


def test_the_bridge_serves_the_files_of_both_and_asks_the_application_for_the_rest() -> None:
    assert routing.bridge(LIVE, Served("/s/", "/media/"), [LIVE], "socket").static_routes == own("/media/") + others(
        "/s/", "/static/"
    )


@pytest.mark.parametrize(
    ("new", "older", "static_routes"),
    [
        (Served("/a/"), Served("/a/"), own("/a/")),
        (Served("/a/"), Served("", "/a/"), own("/a/")),
        (Served("/a/"), Served("/a/b/", "/a/m/"), own("/a/")),
        (Served("/a/b/"), Served("/a/"), others("/a/") + own("/a/b/")),
        (Served(), Served("/a/"), others("/a/")),
    ],
)
def test_of_paths_that_overlap_the_new_meaning_wins(
    new: Served, older: Served, static_routes: tuple[StaticRoute, ...]
) -> None:
    assert routing.final(new, [older], "socket").static_routes == static_routes


def test_of_other_releases_with_one_path_the_newest_counts() -> None:
    made = routing.final(Served(), [Served("/a/"), Served("", "/a/")], "socket")
    assert made.static_routes == others("/a/")


@pytest.mark.parametrize(
    "url",
    ["", "/", "static/", "/static", "//", "/a b/", "/a;/", "/../", "/a/./", "/.well-known/acme-challenge/", "/{/"],
)
def test_what_nginx_could_not_serve_is_left_out(url: str) -> None:
    assert routing.final(Served(url), [Served(url)], "socket").static_routes == ()


@pytest.mark.parametrize("url", ["/static/", "/a/b.c/", "/a+b/", "/~x/@y/", "/v2..3/"])
def test_ordinary_paths_are_served(url: str) -> None:
    assert routing.final(Served(url), [], "socket").static_routes == (StaticRoute(url),)


def test_a_release_is_asked_in_its_protocol() -> None:
    assert routing.final(Served(protocol="uwsgi"), [LIVE], "socket").protocols == ("uwsgi",)
    assert routing.bridge(LIVE, LIVE, [], "socket").protocols == ("http",)


def test_the_bridge_asks_in_the_protocol_of_either_release_the_live_ones_first() -> None:
    new = Served(protocol="uwsgi", ports=(8102,))
    assert routing.bridge(LIVE, new, [], "socket").protocols == ("http", "uwsgi")
    assert routing.bridge(new, LIVE, [], "socket").protocols == ("uwsgi", "http")
    assert routing.bridge(LIVE, new, [], "port").protocols == ("http",), "its ports are its own"


@pytest.mark.parametrize(("live", "new", "bridge"), [(False, False, False), (True, False, True), (False, True, True)])
def test_connections_may_be_silent_where_either_release_has_such(live: bool, new: bool, bridge: bool) -> None:
    releases = [Served(asynchronous=kind) for kind in (live, new)]
    assert routing.bridge(*releases, [], "socket").asynchronous is bridge
    assert routing.final(releases[1], [], "socket").asynchronous is new

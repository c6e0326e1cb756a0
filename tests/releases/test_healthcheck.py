"""What a visit needs to know of Nginx, and what is said of where it ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.config.settings import Settings
from deploy.core.facts import Facts
from deploy.nginx.hostnames import Hosts
from deploy.nginx.routing import Routes
from deploy.releases import healthcheck
from tests import sample

RELEASE = sample.SITE.release(sample.NEW)


@pytest.fixture
def several(tmp_path: Path) -> Settings:
    return sample.settings(
        tmp_path, DEPLOY_DOMAINS="art.example,new.example", DEPLOY_REDIRECT_DOMAINS="www.art.example,old.example"
    )


def visited(settings: Settings, facts: Facts) -> Hosts:
    return healthcheck.of(Routes(), settings, facts)


def test_without_https(several: Settings) -> None:
    assert healthcheck.names(visited(several, sample.provisioned())) == {
        "names": {
            f"http://{name}": "http" for name in ("art.example", "new.example", "www.art.example", "old.example")
        },
        "redirects": {
            "http://www.art.example": "http://art.example", "http://old.example": "http://art.example"
        },
    }  # fmt: skip


def test_with_https_for_some_names(several: Settings) -> None:
    found = healthcheck.names(
        visited(several, sample.certified(sample.provisioned(), "art.example", "www.art.example"))
    )
    assert found["redirects"] == {
        "http://art.example": "https://$host",
        "http://www.art.example": "https://$host",
        "https://www.art.example": "https://art.example",
        "http://old.example": "https://art.example",
    }
    assert {name for name, scheme in found["names"].items() if scheme == "https"} == {
        "https://art.example",
        "https://www.art.example",
    }
    assert len(found["names"]) == 6


def test_behind_a_proxy_https_may_be_its(several: Settings, tmp_path: Path) -> None:
    settings = sample.settings(
        tmp_path, DEPLOY_DOMAINS="art.example", DEPLOY_REDIRECT_DOMAINS="www.art.example", DEPLOY_REAL_IP="10.0.0.0/8"
    )
    found = healthcheck.names(visited(settings, sample.provisioned()), proxied=True)
    assert found["names"]["https://art.example"] == "http"
    assert found["redirects"]["https://www.art.example"] == "http://art.example"
    assert "https://new.example" not in healthcheck.names(visited(several, sample.provisioned()))["names"]


def test_the_gate_brings_along_what_it_needs(settings: Settings) -> None:
    step = healthcheck.gate(settings, RELEASE, sample.ROUTES, sample.provisioned(), again=2)
    assert step.script == "gate"
    assert step.arguments == {
        "compose": RELEASE.compose, "url": "http://portfolio.localhost/healthz", "seconds": 60, "again": 2,
        "protocol": "http",
    }  # fmt: skip
    assert set(step.files) == {"gate.py", "visit.py", "cause.py", "nginx.json"}
    content = step.files["nginx.json"]
    assert isinstance(content, bytes)
    assert json.loads(content)["places"] == {"/static/": RELEASE.static, "/media/": sample.SITE.media}


def test_uwsgi_is_spoken_where_it_is_asked_for(settings: Settings) -> None:
    step = healthcheck.gate(settings, RELEASE, Routes(protocol="uwsgi"), sample.provisioned(), again=0)
    assert (step.arguments["again"], step.arguments["protocol"]) == (0, "uwsgi")
    assert "uwsgi.py" in step.files


@pytest.mark.parametrize(
    ("way", "elsewhere", "said"),
    [
        (["http://a/healthz"], "", "/healthz is healthy"),
        (["http://a/healthz", "http://a/en/"], "", "/healthz redirects to http://a/en/, which is healthy"),
        (
            ["http://a/healthz", "https://sso.b/in?state=1"],
            "https://sso.b/in?state=1",
            "/healthz redirects to another site: https://sso.b/in",
        ),
    ],
)
def test_where_the_visit_ended_is_said(way: list[str], elsewhere: str, said: str, settings: Settings) -> None:
    assert healthcheck.note(settings, {"way": way, "elsewhere": elsewhere}) == said

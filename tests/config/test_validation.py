"""Settings that don't agree are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import Refused
from tests import sample


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("location = /a { return 204; }\n", True),
        ('add_header X-A "}"; # }\nif ($arg_a ~ "^\\}{2}$") { return 204; }\n', True),
        ("return 200 '{';\n", True),
        ("rewrite ^/a\\{1\\}$ /b;\n", True),
        ("set $a ${host}x;\n", True),
        ("} server { listen 80 default_server;\n", False),
        ("location = /a {\n", False),
        ("return 200 a#b; } server { listen 81; }\n", False),
        ('set $a b"; } server { listen 81; set $a b";\n', False),
        ("location = /a { } }\n", False),
    ],
)
def test_a_file_of_ones_own_stays_within_its_server(text: str, good: bool, tmp_path: Path) -> None:
    (tmp_path / "own.conf").write_text(text)
    given = {**sample.LINES, "DEPLOY_NGINX_INCLUDE": "own.conf"}
    path = sample.write_env(tmp_path / ".env", given)
    if good:
        assert Settings.load(path).nginx_include == "own.conf"
    else:
        with pytest.raises(Refused, match=r"DEPLOY_NGINX_INCLUDE: in own\.conf the braces { } don't match"):
            Settings.load(path)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (
            "# listen 80;\nadd_header X-A '; listen 80;';\nrewrite ^/listen /b;\nlocation /listen { return 204; }\n",
            True,
        ),
        ("listen 192.0.2.1:80;\n", False),
        ("set $a b; # why\n\tlisten\n  8080;\n", False),
        ("location /a { return 204; }listen 81;\n", False),
    ],
)
def test_where_nginx_listens_is_not_for_one_site_to_say(text: str, good: bool, tmp_path: Path) -> None:
    (tmp_path / "own.conf").write_text(text)
    path = sample.write_env(tmp_path / ".env", {**sample.LINES, "DEPLOY_NGINX_INCLUDE": "own.conf"})
    if good:
        assert Settings.load(path).nginx_include == "own.conf"
    else:
        with pytest.raises(Refused, match=r"DEPLOY_NGINX_INCLUDE: listen in own\.conf could take other sites'"):
            Settings.load(path)


def test_a_file_of_ones_own_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / ".env", {**sample.LINES, "DEPLOY_NGINX_INCLUDE": "none.conf"})
    with pytest.raises(Refused, match="DEPLOY_NGINX_INCLUDE can't be read"):
        Settings.load(path)


def test_an_external_database_must_be_said(tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, DEPLOY_DATABASE="external")
    assert fault.startswith("DATABASE_URL is missing")


DNS = {"DEPLOY_ACME_DNS": "rfc2136", "DEPLOY_ACME_DNS_CREDENTIALS": "dns.ini"}


def test_a_wildcard_stands_where_it_can_be_certified(tmp_path: Path) -> None:
    for how in (DNS, {"DEPLOY_TLS_CERT": "a.pem", "DEPLOY_TLS_KEY": "a.key"}):
        settings = sample.settings(tmp_path, DEPLOY_DOMAINS="a.example,*.A.example.", **how)
        assert settings.domains == ("a.example", "*.a.example")
    (fault,) = sample.refused(tmp_path, DEPLOY_DOMAINS="a.example,*.a.example")
    assert fault == "*.a.example needs DEPLOY_ACME_DNS: authorities issue wildcard certificates only by DNS."
    (fault,) = sample.refused(tmp_path, DEPLOY_DOMAINS="*.a.example", **DNS)
    assert fault == "DEPLOY_DOMAINS: *.a.example can't be the first, which is used in links and checks."


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"DEPLOY_ACME_DNS": "rfc2136"}, "DEPLOY_ACME_DNS_CREDENTIALS is missing"),
        ({"DEPLOY_ACME_DNS_CREDENTIALS": "dns.ini"}, "DEPLOY_ACME_DNS is missing"),
        ({"DEPLOY_ACME_DNS_SECONDS": "0"}, "DEPLOY_ACME_DNS is missing"),
        ({**DNS, "DEPLOY_ACME_DNS": "route53"}, "DEPLOY_ACME_DNS_CREDENTIALS: route53 takes no file"),
        ({**DNS, "DEPLOY_ACME_DNS": "a b"}, "DEPLOY_ACME_DNS: should be a plugin"),
    ],
)
def test_what_proves_by_dns_belongs_together(given: dict[str, str], told: str, tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, **given)
    assert fault.startswith(told)


def test_a_plugin_that_is_trusted_on_the_server_needs_no_credentials(tmp_path: Path) -> None:
    assert sample.settings(tmp_path, DEPLOY_ACME_DNS="route53").acme_dns == "route53"


def test_a_domain_is_named_once(tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, DEPLOY_DOMAINS="a.example,b.example", DEPLOY_REDIRECT_DOMAINS="A.example")
    assert "a.example more than once" in fault


@pytest.mark.parametrize("ports", ["9000-8000", "8000-70000"])
def test_the_range_of_ports_must_be_one(ports: str, tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, DEPLOY_PORTS=ports)
    assert fault.startswith("DEPLOY_PORTS")


@pytest.mark.parametrize(
    "given",
    [
        {"DEPLOY_TLS_CERT": "a.pem"},
        {"DEPLOY_TLS_KEY": "a.key"},
        {"DEPLOY_ACME_EAB_KID": "kid"},
        {"DEPLOY_ACME_EAB_HMAC_KEY": "key"},
    ],
)
def test_what_belongs_together_is_set_together(given: dict[str, str], tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, **given)
    assert "belong together. Set both or none" in fault


def test_an_asgi_application_does_not_speak_uwsgi(tmp_path: Path) -> None:
    for worker_class in ("asgi", "uvicorn_worker.UvicornWorker"):
        (fault,) = sample.refused(tmp_path, DEPLOY_PROTOCOL="uwsgi", DEPLOY_WORKER_CLASS=worker_class)
        assert fault.startswith("DEPLOY_PROTOCOL=uwsgi doesn't work with an ASGI worker")
    (fault,) = sample.refused(tmp_path, DEPLOY_PROTOCOL="fastcgi")
    assert fault == "DEPLOY_PROTOCOL: should be http or uwsgi."


def test_what_steers_a_build_is_refused_for_an_image(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="so DEPLOY_PYTHON, DEPLOY_APT would have no effect"):
        sample.settings(tmp_path, **sample.PULLED, DEPLOY_APT="gettext", DEPLOY_PYTHON="3.12")


def test_credentials_of_a_registry_need_an_image(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="DEPLOY_REGISTRY_USER applies only to an image to pull"):
        sample.settings(tmp_path, **{**sample.PULLED, "DEPLOY_BUILD": "server"})


def test_credentials_of_a_registry_belong_together(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="DEPLOY_REGISTRY_USER and DEPLOY_REGISTRY_PASSWORD belong together"):
        sample.settings(tmp_path, **{**sample.PULLED, "DEPLOY_REGISTRY_PASSWORD": ""})

"""What the value of a setting may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.config.types import postgres_major, reserved
from deploy.core.secret import Secret
from tests import sample


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("DEPLOY_DOMAINS", "Example.COM., b.example ,", ("example.com", "b.example")),
        ("DEPLOY_DOMAINS", "192.0.2.7", ("192.0.2.7",)),
        ("DEPLOY_DOMAINS", "xn--bcher-kva.example", ("xn--bcher-kva.example",)),
        ("DEPLOY_SITE", "a" * 31, "a" * 31),
        ("DEPLOY_SITE", "a", "a"),
        ("DEPLOY_SITE", "a--2", "a--2"),
        ("DEPLOY_COLLECTSTATIC", "OFF", False),
        ("DEPLOY_FIREWALL", "off", False),
        ("DEPLOY_CPUS", "0.5", 0.5),
        ("DEPLOY_DATABASE", "none", "none"),
        ("DEPLOY_DATABASE", "registry.example:5000/pg/postgis:17-3.5", "registry.example:5000/pg/postgis:17-3.5"),
        ("DEPLOY_DATABASE", "pgvector/pgvector:pg17", "pgvector/pgvector:pg17"),
        ("DEPLOY_DATABASE", "postgres:17@sha256:" + "1f" * 32, "postgres:17@sha256:" + "1f" * 32),
        ("DEPLOY_HEALTH_PATH", "/up?full=1", "/up?full=1"),
        ("DEPLOY_PORTS", "1024-65535", "1024-65535"),
        ("DEPLOY_DRAIN", "0", 0),
        ("DEPLOY_DOCKERFILE", "", None),
        ("DEPLOY_ALLOW", "192.0.2.1, 2001:DB8::/32", ("192.0.2.1/32", "2001:db8::/32")),
        ("DEPLOY_RATE_LIMIT", "60r/m", "60r/m"),
        ("DEPLOY_CACHE", "5m", "5m"),
        ("DEPLOY_BLOCK_AGENTS", "GPTBot, Some Bot/1.0", ("GPTBot", "Some Bot/1.0")),
        ("DEPLOY_BASIC_AUTH", "ann:a:b, bob:ü$", (("ann", Secret("a:b")), ("bob", Secret("ü$")))),
    ],
)
def test_a_good_value_is_taken(name: str, value: str, kept: object, tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, **{name: value})
    assert getattr(settings, name.removeprefix("DEPLOY_").lower()) == kept


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEPLOY_SITE", "Portfolio"),
        ("DEPLOY_SITE", "1site"),
        ("DEPLOY_KIND", "wordpress"),
        ("DEPLOY_SITE", "site-"),
        ("DEPLOY_SITE", "a" * 32),
        ("DEPLOY_SITE", "a/../b"),
        ("DEPLOY_SITE", "a\n"),
        ("DEPLOY_DOMAINS", ""),
        ("DEPLOY_DOMAINS", " , "),
        ("DEPLOY_DOMAINS", "a.example; return 200"),
        ("DEPLOY_DOMAINS", "bücher.example"),
        ("DEPLOY_DOMAINS", "*.example.com"),
        ("DEPLOY_DOMAINS", "-a.example"),
        ("DEPLOY_DOMAINS", "a..example"),
        ("DEPLOY_DOMAINS", "999.1.1.1"),
        ("DEPLOY_DOMAINS", "a.example:8080"),
        ("DEPLOY_DOMAINS", ("a" * 60 + ".") * 5),
        ("DEPLOY_REDIRECT_DOMAINS", "http://a.example"),
        ("DEPLOY_PYTHON", "3"),
        ("DEPLOY_PYTHON", "2.7"),
        ("DEPLOY_APT", "vim; reboot"),
        ("DEPLOY_APT", "-o=evil"),
        ("DEPLOY_PIP", "-r evil.txt"),
        ("DEPLOY_PIP", "a; b"),
        ("DEPLOY_BUILD", "sever"),
        ("DEPLOY_BUILD", "shop"),
        ("DEPLOY_BUILD", "registry.example:5000/shop"),
        ("DEPLOY_BUILD", "-o:evil"),
        ("DEPLOY_BUILD", "shop:1.4; reboot"),
        ("DEPLOY_BUILD", "shop@sha256:abc"),
        ("DEPLOY_BUILD_ARGS", "NOT-A-NAME"),
        ("DEPLOY_PIP_INDEX", "ftp://packages.example"),
        ("DEPLOY_ALLOW", "192.0.2.1/24"),
        ("DEPLOY_ALLOW", "fe80::1%eth0;}"),
        ("DEPLOY_MAX_BODY", "\u0667\u0665m"),
        ("DEPLOY_CPUS", "0.001"),
        ("DEPLOY_ACME_EMAIL", "'me@example.com"),
        ("DEPLOY_ALLOW", "all"),
        ("DEPLOY_DENY", "192.0.2.0/33"),
        ("DEPLOY_REAL_IP", "cloudflare.example"),
        ("DEPLOY_RATE_LIMIT", "20"),
        ("DEPLOY_RATE_LIMIT", "0r/s"),
        ("DEPLOY_CACHE", "10"),
        ("DEPLOY_BLOCK_AGENTS", 'Bot" 0; } server {'),
        ("DEPLOY_BLOCK_AGENTS", "Bot$"),
        ("DEPLOY_BASIC_AUTH", "ann"),
        ("DEPLOY_BASIC_AUTH", "ann:"),
        ("DEPLOY_BASIC_AUTH", "an n:x"),
        ("DEPLOY_BASIC_AUTH", "ann:" + "x" * 73),
        ("DEPLOY_BASIC_AUTH", "ann:a\nbob:b"),
        ("DEPLOY_FILES", "settings.py"),
        ("DEPLOY_FILES", 'a:/b"c'),
        ("DEPLOY_APPLICATION", "config.wsgi"),
        ("DEPLOY_APPLICATION", "config.wsgi:app --reload"),
        ("DEPLOY_WORKER_CLASS", "g thread"),
        ("DEPLOY_WORKERS", "0"),
        ("DEPLOY_WORKERS", "many"),
        ("DEPLOY_THREADS", "257"),
        ("DEPLOY_MEMORY", "512"),
        ("DEPLOY_CPUS", "0"),
        ("DEPLOY_PORTS", "80-90"),
        ("DEPLOY_VOLUMES", "cache:relative"),
        ("DEPLOY_VOLUMES", "../up:/path"),
        ("DEPLOY_COLLECTSTATIC", "yes"),
        ("DEPLOY_DATABASE", "postgres"),
        ("DEPLOY_DATABASE", "mysql:latest"),
        ("DEPLOY_DATABASE", "mysql:17"),
        ("DEPLOY_DATABASE", "postgres:latest"),
        ("DEPLOY_DATABASE", "postgres:9.6"),
        ("DEPLOY_DATABASE", "postgres:1700"),
        ("DEPLOY_DATABASE", "registry.example:5000/postgres"),
        ("DEPLOY_DATABASE", "postgres@sha256:" + "17" * 32),
        ("DEPLOY_DATABASE", "postgres:17; reboot"),
        ("DEPLOY_VOLUMES", "a:/data/x,a:/data/y"),
        ("DEPLOY_VOLUMES", "a:/data/x,b:/data/x"),
        ("DEPLOY_VOLUMES", "a:/app"),
        ("DEPLOY_VOLUMES", "a:/etc/ssl"),
        ("DEPLOY_VOLUMES", "a:/data/../app"),
        ("DEPLOY_DATABASE_PORT", "80"),
        ("DEPLOY_HEALTH_PATH", "healthz"),
        ("DEPLOY_HEALTH_PATH", "/a b"),
        ("DEPLOY_HEALTH_TIMEOUT", "0"),
        ("DEPLOY_DRAIN", "-1"),
        ("DEPLOY_KEEP", "1"),
        ("DEPLOY_MAX_BODY", "75 MB"),
        ("DEPLOY_MAX_BODY", "1m; alias /"),
        ("DEPLOY_FIREWALL", "true"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(name: str, value: str, tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, **{name: value})
    assert fault.startswith(f"{name}")
    assert fault.endswith(".")


@pytest.mark.parametrize(
    "name", ["*", "*.", "*.example", "*.*.example.com", "a.*.example", "*a.example", "*.192.0.2.7"]
)
def test_no_other_star_is_a_wildcard(name: str, tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, DEPLOY_DOMAINS=f"a.example,{name}", DEPLOY_ACME_DNS="route53")
    assert fault.startswith("DEPLOY_DOMAINS: ")


@pytest.mark.parametrize(
    ("image", "major"),
    [
        ("postgres:17", 17),
        ("postgres:17.2-bookworm", 17),
        ("pgvector/pgvector:pg16", 16),
        ("pgvector/pgvector:0.8.0-pg17", 17),
        ("registry.example:5000/postgis/postgis:16-3.4", 16),
        ("postgres:18@sha256:" + "1f" * 32, 18),
        ("registry.example:5000/postgres", 0),
        ("postgres:latest", 0),
        ("postgres", 0),
    ],
)
def test_an_images_tag_names_postgresqls_major_version(image: str, major: int) -> None:
    assert postgres_major(image) == major


@pytest.mark.parametrize(
    "path",
    ["/", "/app", "/app/", "/venv", "/venv/lib", "/tmp", "/etc/ssl", "/usr/lib/x", "/run/portside-x", "/srv",
     "/data/../etc", "/data//x", "/proc/1", "/portside/x"],
)  # fmt: skip
def test_a_folder_of_the_image_can_hold_no_data(path: str) -> None:
    assert reserved(path)


@pytest.mark.parametrize(
    "path", ["/data", "/data/", "/app/media", "/srv/media", "/var/cache/x", "/var/lib/x", "/home/x"]
)
def test_a_folder_below_may_hold_data(path: str) -> None:
    assert not reserved(path)


@pytest.mark.parametrize(
    "image", ["shop:1.4", "registry.example:5000/a/shop:1.4", f"registry.example/shop@sha256:{'0a' * 32}"]
)
def test_an_image_has_a_tag_or_a_digest(image: str, tmp_path: Path) -> None:
    assert sample.settings(tmp_path, DEPLOY_BUILD=image).pulls

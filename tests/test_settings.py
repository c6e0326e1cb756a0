"""Settings: typed, checked, frozen; every fault named at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.errors import Refused
from deploy.secret import Secret
from deploy.settings import FAMILIES, PLANNED, Settings, postgres_major, reserved
from tests import sample


def refused(folder: Path, **changed: str) -> list[str]:
    with pytest.raises(Refused) as caught:
        sample.settings(folder, **changed)
    assert caught.value.exit_code == 2
    return caught.value.message.splitlines()


def test_the_least_a_site_says_is_enough(tmp_path: Path) -> None:
    lines = {"DEPLOY_DOMAINS": "example.com", "SECRET_KEY": "k", "POSTGRES_PASSWORD": "p"}
    settings = sample.settings(tmp_path, lines)
    assert (settings.canonical, settings.app, settings.database, settings.keep) == (
        "example.com",
        "app",
        "postgres:17",
        5,
    )


def test_every_setting_can_be_set(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    named = {name.removeprefix("DEPLOY_").lower() for name in sample.EVERY_SETTING if name.startswith("DEPLOY_")}
    named = {"processes" if name.startswith("process_") else name for name in named}
    of_a_pull = {"registry_user", "registry_password"}  # which nothing can be built for
    assert named == (Settings.known() | set(FAMILIES)) - of_a_pull
    assert settings.model_fields_set >= named


def test_processes_are_named_as_containers_are(tmp_path: Path) -> None:
    settings = sample.settings(
        tmp_path, DEPLOY_PROCESS_MAIL_QUEUE="a", DEPLOY_PROCESS_beat="b c", DEPLOY_PROCESS_OFF=" "
    )
    assert settings.processes == {"mail-queue": "a", "beat": "b c"}


@pytest.mark.parametrize("name", ["DEPLOY_PROCESS_", "DEPLOY_PROCESS__A", "DEPLOY_PROCESS_" + "A" * 32])
def test_a_process_with_another_name_is_refused(name: str, tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, **{name: "run"})
    assert fault.startswith(f"{name}: a process is named by")


def test_two_processes_of_one_name_are_refused(tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, DEPLOY_PROCESS_A="1", DEPLOY_PROCESS_a="2")
    assert fault == "Several of DEPLOY_PROCESS_* name the process a."


def test_how_nginx_reaches_the_application_makes_no_other_release(tmp_path: Path) -> None:
    def made(**changed: str) -> str:
        return sample.settings(tmp_path, **changed).fingerprint()

    assert made(DEPLOY_UPSTREAM="port") == made()
    assert len({made(), made(DEPLOY_REPLICAS="2"), made(DEPLOY_PROCESS_A="1"), made(DEPLOY_PROCESS_A="2")}) == 4


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


@pytest.mark.parametrize(
    ("path", "location"), [("/", ""), ("/?full=1", ""), ("/healthz", "/healthz"), ("/up?full=1", "/up")]
)
def test_a_health_path_of_its_own_has_a_location(path: str, location: str, tmp_path: Path) -> None:
    assert sample.settings(tmp_path, DEPLOY_HEALTH_PATH=path).health_location == location


def test_a_static_site_needs_no_secret_and_no_database(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, sample.STATIC)
    assert (settings.containers, settings.own_database) == (False, False)
    settings = sample.settings(tmp_path, sample.STATIC, DEPLOY_DATABASE="none", DEPLOY_REPLICAS="", SECRET_KEY="k")
    assert settings.kind == "static"


def test_what_only_an_application_has_a_use_for_is_refused_for_a_static_site(tmp_path: Path) -> None:
    """All at once, and with the other faults."""
    with pytest.raises(Refused) as caught:
        sample.settings(tmp_path, sample.EVERY_SETTING, DEPLOY_KIND="static", DEPLOY_KEEP="many")
    faults = caught.value.message.splitlines()
    named = {fault.partition(":")[0] for fault in faults if "a static site has no use for it" in fault}
    assert len(faults) == len(named) + 1
    assert named == {
        f"DEPLOY_{name}"
        for name in (
            "PROTOCOL", "DOCKERFILE", "PYTHON", "APT", "PIP", "BUILD_ARGS", "BUILD_SECRETS", "BUILD_CA", "PIP_INDEX",
            "FILES", "APPLICATION", "WORKER_CLASS", "WORKERS", "THREADS", "MEMORY", "CPUS", "REPLICAS", "UPSTREAM",
            "PORTS",
            "PROCESS_MAIL_QUEUE", "PROCESS_beat", "VOLUMES", "COLLECTSTATIC", "DATABASE", "DATABASE_PORT", "BEFORE",
            "AFTER", "HEALTH_TIMEOUT", "DRAIN", "MAX_BODY", "RATE_LIMIT", "CACHE",
        )
    }  # fmt: skip


def test_settings_never_change(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings.site = "other"


def test_settings_print_no_secret(settings: Settings) -> None:
    assert "correct-horse" not in f"{settings!r}{settings.dotenv!r}{settings.model_dump_json(exclude={'dotenv'})}"


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
    (fault,) = refused(tmp_path, **{name: value})
    assert fault.startswith(f"{name}")
    assert fault.endswith(".")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "DEPLOY_SITE=No\nDEPLOY_KEEP=1\nDEPLOY_PROT=80\nDEPLOY_CACHE=9\nA-B=1\nDEPLOY_FIREWALL=1\n"
    )
    with pytest.raises(Refused) as caught:
        Settings.load(tmp_path / ".env")
    for name in ("DEPLOY_SITE", "DEPLOY_KEEP", "DEPLOY_PROT", "DEPLOY_CACHE", "A-B", "DEPLOY_FIREWALL"):
        assert name in caught.value.message
    for name in ("DEPLOY_DOMAINS is missing", "SECRET_KEY is missing", "POSTGRES_PASSWORD is missing"):
        assert name in caught.value.message
    assert len(caught.value.message.splitlines()) == 9


def test_a_fault_never_shows_a_value_that_might_be_secret(tmp_path: Path) -> None:
    assert "hunter2-hunter2" not in "\n".join(refused(tmp_path, DEPLOY_MEMORY="hunter2-hunter2", SECRET_KEY=""))


def test_a_misspelt_name_is_refused_with_the_one_meant(tmp_path: Path) -> None:
    assert refused(tmp_path, DEPLOY_DOMAIN="a.example") == ["DEPLOY_DOMAIN is no setting; did you mean DEPLOY_DOMAINS?"]
    assert refused(tmp_path, DEPLOY_QQQQ="1") == ["DEPLOY_QQQQ is no setting."]


@pytest.mark.parametrize("name", [*PLANNED, "CRON_NIGHTLY"])
def test_a_setting_that_is_not_built_yet_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, **{f"DEPLOY_{name}": "something"})
    assert fault.startswith(f"DEPLOY_{name} isn't built yet")


@pytest.mark.parametrize(("name", "value"), PLANNED.items())
def test_a_setting_that_is_not_built_yet_may_say_what_is_so_anyway(name: str, value: str, tmp_path: Path) -> None:
    assert sample.settings(tmp_path, **{f"DEPLOY_{name}": value}).site == "portfolio"


def test_no_setting_is_both_built_and_planned() -> None:
    assert not {name.lower() for name in PLANNED} & Settings.known()


@pytest.mark.parametrize("name", ["SECRET_KEY", "POSTGRES_PASSWORD"])
def test_a_missing_secret_names_fab_init(name: str, tmp_path: Path) -> None:
    assert refused(tmp_path, **{name: ""}) == [f"{name} is missing: fab init makes a .env with one generated."]


def test_without_a_database_of_ours_no_password_is_needed(tmp_path: Path) -> None:
    assert not sample.settings(tmp_path, DEPLOY_DATABASE="none", POSTGRES_PASSWORD="").own_database


def test_an_external_database_must_be_said(tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, DEPLOY_DATABASE="external")
    assert fault.startswith("DATABASE_URL is missing")


DNS = {"DEPLOY_ACME_DNS": "rfc2136", "DEPLOY_ACME_DNS_CREDENTIALS": "dns.ini"}


def test_a_wildcard_stands_where_it_can_be_certified(tmp_path: Path) -> None:
    for how in (DNS, {"DEPLOY_TLS_CERT": "a.pem", "DEPLOY_TLS_KEY": "a.key"}):
        settings = sample.settings(tmp_path, DEPLOY_DOMAINS="a.example,*.A.example.", **how)
        assert settings.domains == ("a.example", "*.a.example")
    (fault,) = refused(tmp_path, DEPLOY_DOMAINS="a.example,*.a.example")
    assert fault == "*.a.example needs DEPLOY_ACME_DNS: certificates for wildcards are proved by DNS."
    (fault,) = refused(tmp_path, DEPLOY_DOMAINS="*.a.example", **DNS)
    assert fault == "DEPLOY_DOMAINS: *.a.example can't be the first, which links and checks name."


@pytest.mark.parametrize(
    "name", ["*", "*.", "*.example", "*.*.example.com", "a.*.example", "*a.example", "*.192.0.2.7"]
)
def test_no_other_star_is_a_wildcard(name: str, tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, DEPLOY_DOMAINS=f"a.example,{name}", **DNS)
    assert fault.startswith("DEPLOY_DOMAINS: ")


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
    (fault,) = refused(tmp_path, **given)
    assert fault.startswith(told)


def test_a_plugin_that_is_trusted_on_the_server_needs_no_credentials(tmp_path: Path) -> None:
    assert sample.settings(tmp_path, DEPLOY_ACME_DNS="route53").acme_dns == "route53"


def test_a_domain_is_named_once(tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, DEPLOY_DOMAINS="a.example,b.example", DEPLOY_REDIRECT_DOMAINS="A.example")
    assert "a.example more than once" in fault


@pytest.mark.parametrize("ports", ["9000-8000", "8000-70000"])
def test_the_range_of_ports_must_be_one(ports: str, tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, DEPLOY_PORTS=ports)
    assert fault.startswith("DEPLOY_PORTS")


@pytest.mark.parametrize("name", ["DEPLOY_BUILD_ARGS", "DEPLOY_BUILD_SECRETS"])
def test_a_name_for_the_build_must_be_in_the_file(name: str, tmp_path: Path) -> None:
    assert refused(tmp_path, **{name: "ABSENT"}) == [f"{name} names ABSENT, which isn't in the environment file."]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My Gallery", "my-gallery"), ("2nd_site", "nd-site"), ("Ä", "site"), ("x" * 40, "x" * 31), ("42", "site")],
)
def test_the_sites_name_comes_from_its_folder(folder: str, name: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    assert sample.settings(tmp_path / folder, DEPLOY_SITE="").site == name


def test_names_that_steer_are_not_the_applications(settings: Settings) -> None:
    assert set(settings.env) == {"SECRET_KEY", "POSTGRES_PASSWORD"}


def test_the_shell_wins_and_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "of the shell")
    settings = sample.settings(tmp_path)
    assert settings.env["SECRET_KEY"].reveal() == "of the shell"
    assert settings.dotenv.overridden == ("SECRET_KEY",)


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


def test_the_fingerprint_follows_what_makes_a_release(tmp_path: Path) -> None:
    plain = sample.settings(tmp_path).fingerprint()
    assert sample.settings(tmp_path).fingerprint() == plain
    assert sample.settings(tmp_path, SECRET_KEY="another").fingerprint() != plain
    assert sample.settings(tmp_path, DEPLOY_WORKERS="2").fingerprint() != plain


@pytest.mark.parametrize("changed", [{"DEPLOY_KEEP": "9"}, {"DEPLOY_DRAIN": "9"}, {"DEPLOY_FIREWALL": "off"}])
def test_the_fingerprint_passes_over_what_makes_no_release(changed: dict[str, str], tmp_path: Path) -> None:
    assert sample.settings(tmp_path).fingerprint() == sample.settings(tmp_path, **changed).fingerprint()


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
    (fault,) = refused(tmp_path, **given)
    assert "belong together: set both or none" in fault


def test_an_accounts_key_is_not_printed(tmp_path: Path) -> None:
    key = {"DEPLOY_ACME_EAB_KID": "kid", "DEPLOY_ACME_EAB_HMAC_KEY": "hunter2-hunter2"}
    settings = sample.settings(tmp_path, **key)
    assert "hunter2" not in f"{settings!r}{settings.model_dump_json(exclude={'dotenv'})}"
    (fault,) = refused(tmp_path, **key | {"DEPLOY_ACME_EAB_HMAC_KEY": "hunter2;hunter2"})
    assert "hunter2" not in fault


def test_a_certificate_makes_no_new_release(tmp_path: Path) -> None:
    before = sample.settings(tmp_path).fingerprint()
    assert sample.settings(tmp_path, DEPLOY_HSTS="0", DEPLOY_ACME_EMAIL="a@b.example").fingerprint() == before


def test_an_asgi_application_does_not_speak_uwsgi(tmp_path: Path) -> None:
    for worker_class in ("asgi", "uvicorn_worker.UvicornWorker"):
        (fault,) = refused(tmp_path, DEPLOY_PROTOCOL="uwsgi", DEPLOY_WORKER_CLASS=worker_class)
        assert fault.startswith("DEPLOY_PROTOCOL=uwsgi can't carry")
    (fault,) = refused(tmp_path, DEPLOY_PROTOCOL="fastcgi")
    assert fault == "DEPLOY_PROTOCOL: should be http or uwsgi."


@pytest.mark.parametrize(
    "image", ["shop:1.4", "registry.example:5000/a/shop:1.4", f"registry.example/shop@sha256:{'0a' * 32}"]
)
def test_an_image_has_a_tag_or_a_digest(image: str, tmp_path: Path) -> None:
    assert sample.settings(tmp_path, DEPLOY_BUILD=image).pulls


@pytest.mark.parametrize("value", ["server", "local"])
def test_what_is_built_is_not_pulled(value: str, tmp_path: Path) -> None:
    assert not sample.settings(tmp_path, DEPLOY_BUILD=value).pulls


def test_what_steers_a_build_is_refused_for_an_image(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="for which DEPLOY_PYTHON, DEPLOY_APT can do nothing"):
        sample.settings(tmp_path, **sample.PULLED, DEPLOY_APT="gettext", DEPLOY_PYTHON="3.12")


def test_credentials_of_a_registry_need_an_image(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="DEPLOY_REGISTRY_USER is for an image to pull"):
        sample.settings(tmp_path, **{**sample.PULLED, "DEPLOY_BUILD": "server"})


def test_credentials_of_a_registry_belong_together(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="DEPLOY_REGISTRY_USER and DEPLOY_REGISTRY_PASSWORD belong together"):
        sample.settings(tmp_path, **{**sample.PULLED, "DEPLOY_REGISTRY_PASSWORD": ""})


def test_the_kind_of_build_and_the_image_make_another_release_and_credentials_do_not(tmp_path: Path) -> None:
    kinds = [sample.settings(tmp_path, DEPLOY_BUILD=value).fingerprint() for value in ("server", "local", "a:1", "a:2")]
    assert len(set(kinds)) == 4
    ours = sample.settings(tmp_path, **sample.PULLED).fingerprint()
    theirs = sample.settings(tmp_path, **{**sample.PULLED, "DEPLOY_REGISTRY_USER": "other"}).fingerprint()
    assert ours == theirs

"""Settings: typed, checked, frozen; every fault named at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.config.names import FAMILIES
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from tests import sample


def test_the_least_a_site_says_is_enough(tmp_path: Path) -> None:
    lines = {"DEPLOY_DOMAINS": "example.com", "SECRET_KEY": "k" * 50, "POSTGRES_PASSWORD": "p" * 24}
    settings = sample.settings(tmp_path, lines)
    assert (settings.canonical, settings.app, settings.database, settings.keep) == (
        "example.com",
        ".",
        "postgres:17",
        5,
    )


def test_every_setting_can_be_set(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    named = {name.removeprefix("DEPLOY_").lower() for name in sample.EVERY_SETTING if name.startswith("DEPLOY_")}
    named = {"processes" if name.startswith("process_") else name for name in named}
    of_a_pull = {"registry_user", "registry_password"}  # which nothing can be built for
    of_a_folder = {"fallback"}
    assert named == (Settings.known() | set(FAMILIES)) - of_a_pull - of_a_folder
    assert settings.model_fields_set >= named


def test_how_nginx_reaches_the_application_makes_no_other_release(tmp_path: Path) -> None:
    def made(**changed: str) -> str:
        return sample.settings(tmp_path, **changed).fingerprint()

    assert made(DEPLOY_UPSTREAM="port") == made()
    assert len({made(), made(DEPLOY_REPLICAS="2"), made(DEPLOY_PROCESS_A="1"), made(DEPLOY_PROCESS_A="2")}) == 4


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


def test_settings_never_change(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings.site = "other"


def test_settings_print_no_secret(settings: Settings) -> None:
    assert "correct-horse" not in f"{settings!r}{settings.dotenv!r}{settings.model_dump_json(exclude={'dotenv'})}"


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
    assert "hunter2-hunter2" not in "\n".join(sample.refused(tmp_path, DEPLOY_MEMORY="hunter2-hunter2", SECRET_KEY=""))


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


def test_the_fingerprint_follows_what_makes_a_release(tmp_path: Path) -> None:
    plain = sample.settings(tmp_path).fingerprint()
    assert sample.settings(tmp_path).fingerprint() == plain
    assert sample.settings(tmp_path, SECRET_KEY="another-of-the-same").fingerprint() != plain
    assert sample.settings(tmp_path, DEPLOY_WORKERS="2").fingerprint() != plain


@pytest.mark.parametrize("changed", [{"DEPLOY_KEEP": "9"}, {"DEPLOY_DRAIN": "9"}, {"DEPLOY_FIREWALL": "off"}])
def test_the_fingerprint_passes_over_what_makes_no_release(changed: dict[str, str], tmp_path: Path) -> None:
    assert sample.settings(tmp_path).fingerprint() == sample.settings(tmp_path, **changed).fingerprint()


def test_an_accounts_key_is_not_printed(tmp_path: Path) -> None:
    key = {"DEPLOY_ACME_EAB_KID": "kid", "DEPLOY_ACME_EAB_HMAC_KEY": "hunter2-hunter2"}
    settings = sample.settings(tmp_path, **key)
    assert "hunter2" not in f"{settings!r}{settings.model_dump_json(exclude={'dotenv'})}"
    (fault,) = sample.refused(tmp_path, **key | {"DEPLOY_ACME_EAB_HMAC_KEY": "hunter2;hunter2"})
    assert "hunter2" not in fault


def test_a_certificate_makes_no_new_release(tmp_path: Path) -> None:
    before = sample.settings(tmp_path).fingerprint()
    assert sample.settings(tmp_path, DEPLOY_HSTS="0", DEPLOY_ACME_EMAIL="a@b.example").fingerprint() == before


@pytest.mark.parametrize("value", ["index.html", "app/index.html", "200.htm", "a-b_c/d.e+f@1~2.html"])
def test_a_fallback_is_a_page_of_the_folder(value: str, tmp_path: Path) -> None:
    assert sample.settings(tmp_path, sample.STATIC, DEPLOY_FALLBACK=value).fallback == value


@pytest.mark.parametrize(
    "value",
    ["/index.html", "../index.html", "a/../b.html", "./index.html", ".index.html", ".well-known/a.html", "a//b.html",
     "index", "app/", "index.html/", "a b.html", "ü.html", "a;b.html", "$uri.html", "{a}.html", "a.html b.html",
     ".html", "https://a.example/index.html", "app.js", "a\\b.html", "index.html\n"],
)  # fmt: skip
def test_what_can_be_no_fallback_is_refused(value: str, tmp_path: Path) -> None:
    said = r"^DEPLOY_FALLBACK: should be a page in the site's folder such as index\.html\.\n"
    with pytest.raises(Refused, match=said):
        sample.settings(tmp_path, sample.STATIC, DEPLOY_FALLBACK=value)


@pytest.mark.parametrize("value", ["server", "local"])
def test_what_is_built_is_not_pulled(value: str, tmp_path: Path) -> None:
    assert not sample.settings(tmp_path, DEPLOY_BUILD=value).pulls


def test_the_kind_of_build_and_the_image_make_another_release_and_credentials_do_not(tmp_path: Path) -> None:
    kinds = [sample.settings(tmp_path, DEPLOY_BUILD=value).fingerprint() for value in ("server", "local", "a:1", "a:2")]
    assert len(set(kinds)) == 4
    ours = sample.settings(tmp_path, **sample.PULLED).fingerprint()
    theirs = sample.settings(tmp_path, **{**sample.PULLED, "DEPLOY_REGISTRY_USER": "other"}).fingerprint()
    assert ours == theirs

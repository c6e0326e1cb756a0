"""What is noted of settings: names, never values."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.config import recorded
from deploy.config.settings import Settings
from deploy.releases import record
from tests import sample


@pytest.fixture
def every(tmp_path: Path) -> Settings:
    sample.with_own_certificate(tmp_path, *sample.GALLERY)
    return sample.settings(tmp_path, sample.EVERY_SETTING)


def test_nginx_notes_what_it_is_made_of(every: Settings) -> None:
    found = recorded.of_nginx(every)
    assert {"DEPLOY_BASIC_AUTH", "DEPLOY_ALLOW", "DEPLOY_DENY", "DEPLOY_RATE_LIMIT"} <= set(found)
    assert not [note for note in found if note.startswith(recorded.DOMAIN)], "they follow the release"
    assert found[-1] == "DEPLOY_VOLUMES=cache"
    assert not [note for note in found if note.startswith(recorded.PROCESSES)]


def test_a_release_notes_the_rest(every: Settings) -> None:
    found = recorded.of_release(every)
    assert {"DEPLOY_PROCESS_MAIL_QUEUE", "DEPLOY_PROCESS_beat", "DEPLOY_WORKERS", "DEPLOY_VOLUMES=cache"} <= set(found)
    assert not set(found) & {"DEPLOY_SITE", "DEPLOY_HOSTS", "DEPLOY_ALLOW", "DEPLOY_DOMAINS", "DEPLOY_VOLUMES"}


def test_no_value_is_noted(every: Settings) -> None:
    values = {value.reveal() for value in every.dotenv.values.values()} - {
        "PACKAGE_TOKEN",
        "THEME",
    }  # names of build arguments
    text = " ".join([*recorded.of_nginx(every), *recorded.of_release(every), *recorded.of_environment(every)])
    assert [value for value in values if len(value) > 3 and value in text] == []


def test_what_is_set_to_nothing_is_not_set(tmp_path: Path) -> None:
    assert "DEPLOY_ALLOW" not in recorded.of_nginx(sample.settings(tmp_path, DEPLOY_ALLOW=" "))


@pytest.mark.parametrize("name", ["DEPLOY_BASIC_AUTH", "basic_auth", "BASIC-AUTH", "deploy_basic_auth"])
def test_a_name_means_the_same_however_it_is_written(name: str) -> None:
    assert recorded.key(name) == "BASIC_AUTH"


def test_a_container_s_name_is_that_of_its_setting() -> None:
    assert recorded.key(recorded.process("mail-queue")) == recorded.key("DEPLOY_PROCESS_mail_queue")


def test_every_setting_of_nginx_is_one(tmp_path: Path) -> None:
    known = {f"DEPLOY_{name.upper()}" for name in Settings.known()}
    assert known >= recorded.OF_NGINX


def test_a_setting_that_makes_no_other_release_is_noted_with_nginx_or_is_no_loss(tmp_path: Path) -> None:
    """Whatever makes Nginx's file another without another release is noted where that file is."""
    plain = sample.settings(tmp_path)
    for name in ("DEPLOY_ALLOW", "DEPLOY_DENY", "DEPLOY_RATE_LIMIT", "DEPLOY_CACHE", "DEPLOY_HSTS", "DEPLOY_MAX_BODY"):
        other = sample.settings(tmp_path, **{name: sample.EVERY_SETTING[name]})
        assert record.fingerprint(other) == record.fingerprint(plain), name
        assert name in recorded.of_nginx(other)

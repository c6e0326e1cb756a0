"""Faults of the names in a .env, each with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.config.names import PLANNED
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from tests import sample


def test_processes_are_named_as_containers_are(tmp_path: Path) -> None:
    settings = sample.settings(
        tmp_path, DEPLOY_PROCESS_MAIL_QUEUE="a", DEPLOY_PROCESS_beat="b c", DEPLOY_PROCESS_OFF=" "
    )
    assert settings.processes == {"mail-queue": "a", "beat": "b c"}


@pytest.mark.parametrize("name", ["DEPLOY_PROCESS_", "DEPLOY_PROCESS__A", "DEPLOY_PROCESS_" + "A" * 32])
def test_a_process_with_another_name_is_refused(name: str, tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, **{name: "run"})
    assert fault.startswith(f"{name}: the name of a process may have")


def test_two_processes_of_one_name_are_refused(tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, DEPLOY_PROCESS_A="1", DEPLOY_PROCESS_a="2")
    assert fault == "Several of DEPLOY_PROCESS_* define the process a."


def test_what_only_an_application_has_a_use_for_is_refused_for_a_static_site(tmp_path: Path) -> None:
    """All at once, and with the other faults."""
    with pytest.raises(Refused) as caught:
        sample.settings(tmp_path, sample.EVERY_SETTING, DEPLOY_KIND="static", DEPLOY_KEEP="many")
    faults = caught.value.message.splitlines()
    named = {fault.partition(" ")[0] for fault in faults if "doesn't apply to static sites" in fault}
    assert len(faults) == len(named) + 1
    assert named == {
        f"DEPLOY_{name}"
        for name in (
            "PROTOCOL", "DOCKERFILE", "PYTHON", "APT", "PIP", "BUILD_ARGS", "BUILD_SECRETS", "BUILD_CA", "PIP_INDEX",
            "BUILD_CACHE", "FILES",
            "APPLICATION", "WORKER_CLASS", "WORKERS", "THREADS", "PRELOAD", "MEMORY", "CPUS", "REPLICAS",
            "UPSTREAM", "PORTS",
            "PROCESS_MAIL_QUEUE", "PROCESS_beat", "VOLUMES", "COLLECTSTATIC", "DATABASE", "DATABASE_PORT",
            "ALLOW_DEBUG", "BEFORE",
            "AFTER", "HEALTH_TIMEOUT", "DRAIN", "MAX_BODY", "RATE_LIMIT", "CACHE",
        )
    }  # fmt: skip


def test_a_misspelt_name_is_refused_with_the_one_meant(tmp_path: Path) -> None:
    assert sample.refused(tmp_path, DEPLOY_DOMAIN="a.example") == [
        "DEPLOY_DOMAIN isn't a setting; did you mean DEPLOY_DOMAINS?"
    ]
    assert sample.refused(tmp_path, DEPLOY_QQQQ="1") == ["DEPLOY_QQQQ isn't a setting."]


@pytest.mark.parametrize("name", [*PLANNED, "CRON_NIGHTLY"])
def test_a_setting_that_is_not_built_yet_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, **{f"DEPLOY_{name}": "something"})
    assert fault.startswith(f"DEPLOY_{name} isn't supported by this version")


@pytest.mark.parametrize(("name", "value"), PLANNED.items())
def test_a_setting_that_is_not_built_yet_may_say_what_is_so_anyway(name: str, value: str, tmp_path: Path) -> None:
    assert sample.settings(tmp_path, **{f"DEPLOY_{name}": value}).site == "portfolio"


def test_no_setting_is_both_built_and_planned() -> None:
    assert not {name.lower() for name in PLANNED} & Settings.known()


@pytest.mark.parametrize("name", ["SECRET_KEY", "POSTGRES_PASSWORD"])
def test_a_missing_secret_names_fab_init(name: str, tmp_path: Path) -> None:
    fault = f"{name} is missing: fab init creates a .env with a generated one."
    assert sample.refused(tmp_path, **{name: ""}) == [fault]


def test_without_a_database_of_ours_no_password_is_needed(tmp_path: Path) -> None:
    assert not sample.settings(tmp_path, DEPLOY_DATABASE="none", POSTGRES_PASSWORD="").own_database


@pytest.mark.parametrize("name", ["DEPLOY_BUILD_ARGS", "DEPLOY_BUILD_SECRETS"])
def test_a_name_for_the_build_must_be_in_the_file(name: str, tmp_path: Path) -> None:
    assert sample.refused(tmp_path, **{name: "ABSENT"}) == [
        f"{name} names ABSENT, which isn't in the environment file."
    ]


def test_an_application_has_no_use_for_a_fallback(tmp_path: Path) -> None:
    said = "DEPLOY_FALLBACK doesn't apply to applications. Remove it."
    assert sample.refused(tmp_path, DEPLOY_FALLBACK="index.html") == [said]
    assert sample.settings(tmp_path, DEPLOY_FALLBACK="").fallback is None

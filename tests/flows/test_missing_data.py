"""Data that is gone is noticed, and the newest copy of it named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import Refused
from deploy.flows import missing_data
from tests import sample
from tests.sample import Paper

SITE = sample.SITE


def found(settings: Settings, **changed: Any) -> list[missing_data.MissingData]:
    return missing_data.found(settings, SITE, replace(sample.live(settings), **changed))


def test_where_all_is_there_nothing_is_said(settings: Settings) -> None:
    assert found(settings) == []


@pytest.mark.parametrize(("volume", "what"), [("", "is missing"), ("empty", "is empty")])
def test_a_volume_that_is_gone_is_restored_from_the_newest_dump(volume: str, what: str, settings: Settings) -> None:
    (lost,) = found(settings, data_volume=volume, last_dump="2026-11-30 12:00 UTC before-x.dump")
    assert f"portfolio-postgres {what}" in lost.text
    assert lost.copy == f"The newest dump is {SITE.root}/backups/before-x.dump, of 2026-11-30 12:00 UTC."
    assert lost.commands[-1].endswith(f"<{SITE.root}/backups/before-x.dump")
    assert all(command in lost.fix for command in lost.commands)


def test_without_a_dump_the_last_removals_backup_is_the_newest_copy(settings: Settings) -> None:
    (lost,) = found(settings, data_volume="", last_dump="", kept=("/b/1", "/b/2"))
    assert lost.commands[-1].endswith("</b/2/database.dump")


def test_without_any_copy_it_says_so(settings: Settings) -> None:
    (lost,) = found(settings, data_volume="", last_dump="", kept=())
    assert "There is no dump" in lost.copy
    assert len(lost.commands) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"releases": {}, "current": ""},  # never live
        {"data_volume": "new"},  # restored
        {"docker_version": ""},  # Docker is down, and knows of no volume
    ],
)
def test_no_false_alarm(changed: dict[str, Any], settings: Settings) -> None:
    assert found(settings, **{"data_volume": ""} | changed) == []


def test_a_site_that_has_no_database_of_its_own_loses_none(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE="none")
    facts = replace(sample.live(sample.settings(tmp_path)), data_volume="")
    assert missing_data.found(settings, SITE, facts) == []


def test_a_database_that_was_never_ready_is_made(settings: Settings) -> None:
    files = {path: fact for path, fact in sample.live(settings).files.items() if path != SITE.data_ready}
    assert found(settings, data_volume="", files=files) == []


def test_a_folder_that_is_gone(settings: Settings) -> None:
    (lost,) = found(settings, data_lacking=(SITE.media,))
    assert lost.text == f"{SITE.media} is missing. The live release mounts it."
    (lost,) = found(settings, data_lacking=(SITE.volume("cache"),), kept=("/b/1",))
    assert lost.commands == (f"tar -C {SITE.root} -xpf - volumes/cache </b/1/files.tar",)


def test_a_deploy_is_refused_with_what_to_do(settings: Settings) -> None:
    run = sample.run(settings, Paper())
    run.facts = replace(sample.live(settings), data_volume="")
    with pytest.raises(Refused) as caught:
        missing_data.check(run)
    assert caught.value.state == "Nothing was changed."
    assert caught.value.hint.endswith("Then run fab deploy -H server.example again.")

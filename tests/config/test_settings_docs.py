"""The settings' reference is made from the settings."""

from __future__ import annotations

from deploy.config import settings_docs
from deploy.config.names import FAMILIES
from deploy.config.settings import Settings
from deploy.core.files import SETTINGS_DOCS


def test_the_page_is_what_the_settings_say() -> None:
    assert SETTINGS_DOCS.read_text(encoding="utf-8") == settings_docs.markdown(), (
        "type python -m deploy.config.settings_docs"
    )


def test_every_setting_is_a_row() -> None:
    rows = [line for line in settings_docs.markdown().splitlines() if line.startswith("| `DEPLOY_")]
    assert len(rows) == len(Settings.known()) + len(FAMILIES)
    assert [row.count(" | ") for row in rows] == [2] * len(rows)

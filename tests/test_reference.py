"""The settings' reference is made from the settings."""

from __future__ import annotations

from deploy import reference
from deploy.settings import FAMILIES, Settings


def test_the_page_is_what_the_settings_say() -> None:
    assert reference.PATH.read_text(encoding="utf-8") == reference.markdown(), "type python -m deploy.reference"


def test_every_setting_is_a_row() -> None:
    rows = [line for line in reference.markdown().splitlines() if line.startswith("| `DEPLOY_")]
    assert len(rows) == len(Settings.known()) + len(FAMILIES)
    assert [row.count(" | ") for row in rows] == [2] * len(rows)

"""The settings' reference is made from the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.config import settings_docs
from deploy.config.names import FAMILIES
from deploy.config.settings import Settings
from deploy.core.files import SETTINGS_DOCS

SECRETS = {
    "SECRET_KEY": "a-key-that-is-long-enough-and-random-9f3k2j4h5g6",
    "POSTGRES_PASSWORD": "kd83jf02kdk3n4b5v6c7x8",
}


def test_the_page_is_what_the_settings_say() -> None:
    assert SETTINGS_DOCS.read_text(encoding="utf-8") == settings_docs.markdown(), (
        "run python -m deploy.config.settings_docs"
    )


def test_every_setting_is_a_row() -> None:
    rows = [line for line in settings_docs.markdown().splitlines() if line.startswith("| `DEPLOY_")]
    assert len(rows) == len(set(rows)) == len(Settings.known()) + len(FAMILIES)
    assert [row.count(" | ") for row in rows] == [2] * len(rows)


def test_every_scope_is_a_group() -> None:
    groups = [group.scope.group for group in settings_docs.GROUPS]
    assert sorted(groups) == sorted({scope.group for scope in Settings.scopes().values()})


@pytest.mark.parametrize("group", settings_docs.GROUPS, ids=lambda group: group.scope.group)
def test_an_example_can_be_deployed_and_shows_its_group(group: settings_docs.Group, tmp_path: Path) -> None:
    shown = dict(line.split("=", 1) for line in group.example.splitlines())
    static = shown.get("DEPLOY_KIND") == "static"
    given = {"DEPLOY_DOMAINS": "example.com"} | ({} if static else SECRETS) | shown
    env = tmp_path / "site" / ".env"
    env.parent.mkdir()
    env.write_text("".join(f"{name}={value}\n" for name, value in given.items()), encoding="utf-8")
    assert Settings.load(env).domains
    fields = (name.removeprefix("DEPLOY_").lower() for name in shown)
    named = ("processes" if field.startswith("process_") else field for field in fields)
    scopes = Settings.scopes()
    assert group.scope.group in {scopes[name].group for name in named}

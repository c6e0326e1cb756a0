"""fab init: an environment file with secrets of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cli import init
from deploy.config import dotenv
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from tests import sample
from tests.house.test_house import CHECKOUT


def written(folder: Path, domains: str = "a.example") -> dict[str, str]:
    init.write(folder / ".env", domains)
    values, faults = dotenv.parse(folder / ".env")
    assert faults == []
    return values


def test_what_it_writes_can_be_deployed(tmp_path: Path) -> None:
    written(tmp_path, "a.example,www.a.example")
    assert Settings.load(tmp_path / ".env").domains == ("a.example", "www.a.example")


def test_secrets_are_long_and_new_each_time(tmp_path: Path) -> None:
    values = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        values.append(written(tmp_path / name))
    for name, length in (("SECRET_KEY", 50), ("POSTGRES_PASSWORD", 32)):
        assert values[0][name] != values[1][name]
        assert len(values[0][name]) >= length


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    written(tmp_path)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_it_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("mine")
    with pytest.raises(Refused, match="already exists"):
        init.write(tmp_path / ".env", "")
    assert (tmp_path / ".env").read_text() == "mine"


def test_it_writes_through_no_link(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="already exists"):
        init.write(tmp_path / ".env", "")
    assert not (tmp_path / "elsewhere").exists()


def test_without_domains_they_are_left_to_be_said(tmp_path: Path) -> None:
    assert written(tmp_path, "")["DEPLOY_DOMAINS"] == ""


@pytest.mark.parametrize(
    ("names", "app"),
    [
        (["manage.py"], "."),
        (["backend/manage.py"], "backend"),
        (["src/site/manage.py"], "src/site"),
        (["manage.py", "example/manage.py"], "."),
        (["site/manage.py", "venv/lib/manage.py", "node_modules/x/manage.py"], "site"),
        (["a/manage.py", "b/manage.py"], None),
        ([], None),
    ],
)
def test_it_finds_the_project(names: list[str], app: str | None, tmp_path: Path) -> None:
    sample.files(tmp_path, dict.fromkeys(names, ""))
    assert written(tmp_path).get("DEPLOY_APP") == app


def test_it_does_not_take_the_sample_site_for_a_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sample.files(tmp_path, {"app/manage.py": ""})
    monkeypatch.setattr(init, "SAMPLE", tmp_path / "app")
    assert "DEPLOY_APP" not in written(tmp_path)


def test_it_finds_none_in_a_clone_of_portside() -> None:
    assert init.find_app(CHECKOUT) == ""

"""The environment file that the server keeps: compared by hashes, brought back exactly."""

from __future__ import annotations

import json
import re
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fabric import Connection
from invoke.context import Context

from deploy.cli import env
from deploy.cli.env import Kept
from deploy.config import dotenv, recorded
from deploy.config.dotenv import for_compose
from deploy.config.settings import Settings
from deploy.core.errors import Refused, StepFailed
from deploy.core.facts import Facts
from deploy.flows import env_copy
from deploy.ssh.results import Result
from tests import sample
from tests.sample import Paper

HARD = {
    "QUOTES": """it's "quoted" `so`""",
    "LINES": "-----BEGIN KEY-----\nabc=\n\n-----END KEY-----\n",
    "DOLLAR": "$HOME ${X} $$",
    "HASH": "a #b # c",
    "SPACES": "  around  ",
    "BACKSLASH": "end\\",
    "ESCAPES": "\\n\\'\\\"\\\\",
    "CARRIAGE": "a\r\nb\\r\"c'\r",
    "LAST": "x\\\ny\\",
    "UMLAUT": "größe \U0001f409\u2028",
    "EMPTY": "",
}


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    text = "# mine, with a comment\nDEPLOY_SITE = 'shop'  # here\r\nexport A=\"x\\ny\"\nB=it's\n\nC=  "
    path = tmp_path / ".env"
    path.write_bytes(text.encode())
    assert dotenv.text_of(dotenv.read(path, {})) == text


def test_what_the_shell_said_wins_in_the_file_that_is_kept(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=of the file\nB=stays")
    text = dotenv.text_of(dotenv.read(path, {"A": "of the shell"}))
    assert text == f"A=of the file\nB=stays\n{dotenv.FROM_THE_SHELL}\nA='of the shell'\n"
    assert dotenv.parse_text(text, path) == ({"A": "of the shell", "B": "stays"}, [])


def test_without_a_file_all_of_it_is_the_shell_s_and_exact(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("".join(f"{name}=\n" for name in HARD))
    text = dotenv.text_of(dotenv.read(tmp_path / ".env", HARD))
    assert dotenv.parse_text(text, tmp_path / ".env") == (HARD, [])
    path = tmp_path / "again.env"
    env._write(path, text)
    assert {name: value.reveal() for name, value in dotenv.read(path, {}).values.items()} == HARD
    assert dotenv.text_of(dotenv.read(path, {})) == text, "what was brought back is kept as it is"


def test_it_is_kept_for_root_alone_and_only_where_it_differs(settings: Settings) -> None:
    run = sample.run(settings, Paper(sample.live(settings)))
    run.look()
    assert env_copy.steps(run) == []
    run.facts = replace(run.facts, files={})
    made, step = env_copy.steps(run)
    assert made.words == ("folder", "/var/lib/portside/settings", "700", "root:root")
    assert (step.words, step.secret) == (("write", "/var/lib/portside/settings/portfolio", "600", "root:root"), True)
    assert "correct-horse" not in step.transcript()
    run.request = replace(run.request, command="rollback")
    assert env_copy.steps(run) == []


NONCE = "5e" * 16


def told(settings: Settings, nonce: str = NONCE) -> list[str]:
    """What remote/env.sh says of these settings."""
    steer, env = env_copy.kept_values(settings), {name: value.reveal() for name, value in settings.env.items()}
    lines = [f"setting\t{name} {sha256((nonce + value).encode()).hexdigest()}" for name, value in steer.items()]
    env |= {"PGHOST": "db"}
    hashed = {name: sha256((nonce + for_compose({name: value})).encode()).hexdigest() for name, value in env.items()}
    return ["kept\tyes", *lines, *(f"env\t{name} {value}" for name, value in hashed.items())]


def on_server(settings: Settings) -> Facts:
    record = sample.recorded(sample.OLD, environment=recorded.of_environment(settings))
    return replace(sample.live(settings), releases={sample.OLD: record})


def test_names_are_compared(tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    ann = sample.settings(tmp_path / "ann", DEPLOY_ALLOW="192.0.2.7", DEPLOY_MAX_BODY="1m", TOKEN="a", MODE="x")
    here = sample.settings(tmp_path, DEPLOY_DENY="192.0.2.8", DEPLOY_MAX_BODY="2m", TOKEN="b", OTHER="y")
    found = env.compared(Kept.parse(on_server(ann), told(ann)), here, NONCE)
    assert found["settings"] == {
        "same": ["DEPLOY_APP", "DEPLOY_DOMAINS", "DEPLOY_HEALTH_PATH", "DEPLOY_SITE"],
        "here": ["DEPLOY_DENY"],
        "server": ["DEPLOY_ALLOW"],
        "differs": ["DEPLOY_MAX_BODY"],
    }
    assert found["environment"] == {
        "same": ["POSTGRES_PASSWORD", "SECRET_KEY"],
        "here": ["OTHER"],
        "server": ["MODE"],
        "differs": ["TOKEN"],
        "made": ["PGHOST"],
    }


def test_of_an_older_release_nothing_is_made_up(settings: Settings) -> None:
    facts = on_server(settings)
    del facts.releases[sample.OLD]["environment"]
    lines = [line for line in told(settings) if line.startswith("env")]
    found = env.compared(Kept.parse(facts, lines), settings, NONCE)
    assert found["settings"] is None
    assert (found["environment"]["server"], found["environment"]["made"]) == ([], ["PGHOST"])


class Keeping(Paper):
    """A server that keeps an environment file."""

    def __init__(self, text: str, *, lacks: bool = False) -> None:
        super().__init__()
        self.text, self.lacks = text, lacks

    def _result(self, step: Any, stage: str) -> Result:
        if self.lacks:
            raise StepFailed(self.target, stage, step.name, 1, ["The server has no .env. It has one for: shop"])
        self.steps.append(step)
        told = b64encode(json.dumps({"text": self.text, "values": {}}).encode()).decode()
        return Result(step, "unchanged", "", told, ())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a project called shop, which has lost its .env."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder


def pull(paper: Paper, monkeypatch: pytest.MonkeyPatch, **given: Any) -> None:
    monkeypatch.setattr(env, "_server", lambda *words: paper)
    options: dict[str, Any] = {"env": ".env", "site": "", "yes": True, "verbose": False, "quiet": False}
    env.pull(Connection("server.example"), **options | given)


def test_a_lost_file_comes_back_for_its_owner_alone(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "DEPLOY_DOMAINS=shop.example\nDEPLOY_TLS_CERT=tls.pem\nA='x'\n"
    pull(paper := Keeping(text), monkeypatch)
    assert (shop / ".env").read_text() == text
    assert stat.S_IMODE((shop / ".env").stat().st_mode) == 0o600
    assert paper.steps[0].words == ("script", "kept", "file=/var/lib/portside/settings/shop")
    assert "! The files of DEPLOY_TLS_CERT aren't here" in capsys.readouterr().out


def test_a_file_that_is_there_is_left_alone(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / ".env").write_text("mine")
    with pytest.raises(Refused, match=r"\.env already exists") as caught:
        pull(paper := Keeping("A=1\n"), monkeypatch)
    assert "--env pulled.env" in caught.value.hint
    assert ((shop / ".env").read_text(), paper.steps) == ("mine", [])


def test_the_site_s_name_is_asked_for(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="here is no terminal to ask on") as caught:
        pull(Keeping("A=1\n"), monkeypatch, yes=False)
    assert "fab env --pull --yes -H server.example" in caught.value.hint
    monkeypatch.setattr(env, "on_terminal", lambda: True)
    monkeypatch.setattr("builtins.input", lambda: "another")
    with pytest.raises(Refused, match="That isn't shop"):
        pull(Keeping("A=1\n"), monkeypatch, yes=False)
    assert not (shop / ".env").exists()
    monkeypatch.setattr("builtins.input", lambda: "shop")
    pull(Keeping("A=1\n"), monkeypatch, yes=False)
    assert (shop / ".env").read_text() == "A=1\n"


def test_in_a_folder_of_another_name_the_site_stays_the_site(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pull(Keeping("A='1'"), monkeypatch, site="store")
    assert (shop / ".env").read_text() == "A='1'\nDEPLOY_SITE=store\n"
    pull(Keeping("DEPLOY_SITE=store\n"), monkeypatch, site="store", env="other.env")
    assert (shop / "other.env").read_text() == "DEPLOY_SITE=store\n"


def test_what_no_file_had_is_told(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(Keeping(f"A=1\n{dotenv.FROM_THE_SHELL}\nB='2'\nC='3'\n"), monkeypatch)
    assert "deployed, not in its file: B, C." in capsys.readouterr().out


def test_where_none_is_kept_nothing_is_written(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="It has one for: shop"):
        pull(Keeping("", lacks=True), monkeypatch)
    assert list(shop.iterdir()) == []


def test_without_a_server_it_says_what_to_type(shop: Path) -> None:
    options = {"verbose": False, "quiet": False}
    with pytest.raises(Refused, match="Which server\\? Run fab env --pull --yes -H user@host"):
        env.pull(Context(), env=".env", site="", yes=True, **options)
    with pytest.raises(Refused, match="Which server\\? Run fab env --site store -H user@host"):
        env.show(Context(), env=".env", site="store", as_json=False, **options)


def test_what_is_kept_is_one_line_that_nobody_reads_by_chance(settings: Settings) -> None:
    text = env_copy.content(settings)
    assert re.fullmatch(r"[A-Za-z0-9+/]+=*\n", text)
    assert json.loads(b64decode(text))["values"]["DEPLOY_DOMAINS"] == "portfolio.localhost"


def test_a_registry_s_password_is_not_kept(tmp_path: Path) -> None:
    """It is on the server for the time of a pull alone."""
    path = sample.settings(tmp_path, **sample.PULLED).dotenv.path
    path.write_text("\n" + path.read_text() + "# more\nLAST=1\n")
    lines = path.read_text()
    told = json.loads(b64decode(env_copy.content(Settings.load(path))))
    assert told["text"] != lines
    assert "token-of-registry" not in json.dumps(told)
    values, faults = dotenv.parse_text(told["text"], path)
    assert (values["DEPLOY_REGISTRY_PASSWORD"], values["LAST"], faults) == ("", "1", [])
    assert {**values, "DEPLOY_REGISTRY_PASSWORD": "token-of-registry"} == dotenv.parse(path)[0]

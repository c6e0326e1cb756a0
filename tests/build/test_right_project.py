"""The project is the one its owner means, and its name on the server is its own."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.build import source
from deploy.cli import maintenance
from deploy.config.settings import Settings
from deploy.config.site_name import site_name
from deploy.core.errors import Refused
from deploy.core.report import Report, Stage
from deploy.flows import ownership, tasks
from deploy.flows.stages import preflight
from tests import sample
from tests.house.test_house import CHECKOUT
from tests.sample import Paper

LEAST = {"DEPLOY_DOMAINS": "a.example", "SECRET_KEY": "k" * 50, "POSTGRES_PASSWORD": "p" * 24}


def find(settings: Settings) -> source.Source:
    with ExitStack() as keep:
        return source.find(settings, "", keep)


# The folder


def test_without_a_word_it_is_the_folder_of_the_environment_file(tmp_path: Path) -> None:
    sample.files(tmp_path, sample.PROJECT)
    assert find(sample.settings(tmp_path, LEAST)).root == tmp_path


def test_below_it_manage_py_is_found_once(tmp_path: Path) -> None:
    sample.files(tmp_path, {f"src/{name}": text for name, text in sample.PROJECT.items()})
    found = find(sample.settings(tmp_path, LEAST))
    assert (found.root, found.manage) == (tmp_path, "src")


@pytest.mark.parametrize("app", ["app", "./app", "."])
def test_the_folder_in_which_fab_runs_does_not_count(app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample.files(tmp_path / "here", {"app/manage.py": "", "manage.py": ""})
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    settings = sample.settings(tmp_path / "there", {**LEAST, "DEPLOY_APP": app})
    with pytest.raises(Refused, match=r"DEPLOY_APP: (the folder .* doesn't exist|there is no manage)") as caught:
        find(settings)
    assert str(tmp_path / "there") in str(caught.value)


def test_a_link_to_an_environment_file_is_where_the_project_is(tmp_path: Path) -> None:
    sample.files(tmp_path / "shop", sample.PROJECT)
    (tmp_path / "secrets").mkdir()
    sample.write_env(tmp_path / "secrets/production", LEAST)
    (tmp_path / "shop/.env").symlink_to("../secrets/production")
    settings = Settings.load(tmp_path / "shop/.env")
    assert (find(settings).root, settings.site) == (tmp_path / "shop", "shop")


@pytest.mark.parametrize("app", [None, ".", "deploy/.."])
def test_the_sample_site_is_deployed_only_by_name(app: str | None, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(CHECKOUT / "app", clone / "app", ignore=shutil.ignore_patterns("media", "static-root"))
    (clone / "deploy").mkdir()
    given = {} if app is None else {"DEPLOY_APP": app}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "SAMPLE", clone / "app")
        with pytest.raises(Refused, match="belongs to Portside's own sample site") as caught:
            find(sample.settings(clone, {**LEAST, **given}))
        assert "DEPLOY_APP=app" in caught.value.hint
        settings = sample.settings(clone, {**LEAST, "DEPLOY_APP": "app"})
        assert "(Portside's own sample site)" in source.described(find(settings), settings)


def test_a_project_beside_the_sample_site_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample.files(tmp_path, {"portside/app/manage.py": "", "shop/manage.py": ""})
    monkeypatch.setattr(source, "SAMPLE", tmp_path / "portside/app")
    assert find(sample.settings(tmp_path, LEAST)).manage == "shop"


def test_the_sample_site_is_where_it_is() -> None:
    assert (source.SAMPLE / "manage.py").is_file()


# What preflight says


@pytest.mark.parametrize(
    ("changes", "lines", "told"),
    [
        ({}, {}, r"/app, commit [0-9a-f]{7}, settings config\.settings$"),
        ({"manage.py": "('DJANGO_SETTINGS_MODULE', 'other')"}, {}, r"[0-9a-f]{7}, with changes, settings other$"),
        ({"static/site.css": None}, {}, r"[0-9a-f]{7}, with changes, settings"),
        ({}, {"DJANGO_SETTINGS_MODULE": "config"}, r", settings config$"),
        ({"manage.py": ""}, {}, r", settings as the image names them$"),
    ],
)  # fmt: skip
def test_it_names_folder_commit_and_settings(
    changes: dict[str, str | None], lines: dict[str, str], told: str, project: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, text in changes.items():
        if text is None:
            (project / name).unlink()
        else:
            (project / name).write_text(text)
    settings = sample.settings(tmp_path, **lines)
    run = sample.run(settings, Paper(sample.live(settings)))
    run.report = Report()
    with run.progress.stack:
        preflight.preflight(run, Stage("preflight"))
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"  portfolio.localhost: {project}")
    assert re.search(told, line)


def test_of_a_folder_of_files_and_of_an_image_it_names_what_there_is(tmp_path: Path) -> None:
    sample.files(tmp_path / "app", {"index.html": ""})
    pages = sample.settings(tmp_path, sample.STATIC)
    assert source.described(find(pages), pages) == f"{tmp_path}/app, no commit"
    pulled = sample.settings(tmp_path, **sample.PULLED)
    assert source.described(find(pulled), pulled) == "the image registry.example:5000/shop/web:1.4"


def test_what_is_gone_is_said(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "static/site.css").unlink()
    settings = sample.settings(tmp_path)
    run = sample.run(settings, Paper(sample.live(settings)))
    with run.progress.stack:
        preflight.preflight(run, Stage("preflight"))
    assert "! Deleted on this machine, so not in the release: static/site.css." in capsys.readouterr().out


# The name


@pytest.mark.parametrize(
    ("name", "site"),
    [
        (".env", "shop"),
        (".env.staging", "shop-staging"),
        ("staging.env", "shop-staging"),
        ("other.env", "shop-other"),
        ("Another One", "shop-another-one"),
        (".envrc", "shop-envrc"),
    ],
)
def test_each_environment_file_has_a_name_of_its_own(name: str, site: str, tmp_path: Path) -> None:
    assert site_name(tmp_path / "shop" / name) == site


def test_long_names_stay_different_and_are_names() -> None:
    folder = Path("/srv/the-longest-folder-of-them-all-by-far")
    names = {site_name(folder / name) for name in (".env", *(f".env.{'very-' * 6}{number}" for number in range(20)))}
    assert len(names) == 21
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?", name) for name in names)


def test_a_folder_without_letters_has_a_name_too() -> None:
    assert [site_name(Path("/2024") / name) for name in (".env", "b.env")] == ["site", "site-b"]


def test_two_files_of_a_folder_never_share_a_name_unasked(tmp_path: Path) -> None:
    for name in (".env.staging", "staging.env"):
        sample.write_env(tmp_path / name, LEAST)
    (tmp_path / "staging").write_text("of something else")
    with pytest.raises(Refused, match=r"DEPLOY_SITE is missing: staging\.env and \.env\.staging, in the same folder"):
        Settings.load(tmp_path / "staging.env")
    sample.write_env(tmp_path / "staging.env", {**LEAST, "DEPLOY_SITE": "other"})
    assert Settings.load(tmp_path / "staging.env").site == "other"


def taken(settings: Settings) -> Paper:
    return Paper(replace(sample.live(settings), record={"domains": ["theirs.example"]}))


def test_another_projects_site_is_not_closed(settings: Settings) -> None:
    paper = taken(settings)
    with pytest.raises(Refused, match=r"is already in use on .* \(by theirs\.example"):
        maintenance.switch(sample.run(settings, paper, "maintenance"), closed=True)
    assert paper.steps == []


def test_who_waited_for_the_lock_looks_again_whose_the_name_is(settings: Settings, project: Path) -> None:
    before = sample.provisioned()
    paper = Paper(before, replace(before, record={"domains": ["theirs.example"]}), holder="bob@laptop")
    with pytest.raises(Refused, match=r"is already in use on .* \(by theirs\.example, which isn't live yet\)"):
        tasks.deploy(sample.run(settings, paper, wait=True))
    assert not any(step.path == "/srv/portside/portfolio/site.json" for step in paper.steps)


def test_it_is_noted_before_anything_is_built(settings: Settings, project: Path) -> None:
    paper = Paper(sample.provisioned(), fails="build")
    with pytest.raises(Exception, match="it broke"):
        tasks.deploy(sample.run(settings, paper))
    names = [step.name for step in paper.steps]
    assert names.index("File /srv/portside/portfolio/site.json") < names.index("Build the image")


@pytest.mark.parametrize(("applied", "current", "told"), [(7, "", True), (0, "", False), (7, sample.OLD, False)])
def test_it_is_said_where_the_database_is_not_new(
    applied: int, current: str, told: bool, settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = sample.provisioned() if not current else sample.with_releases(
        sample.live(settings), sample.OLD, {sample.OLD: sample.recorded(sample.OLD)}
    )  # fmt: skip
    tasks.deploy(sample.run(settings, Paper(facts, answer=sample.ANSWER | {"applied": applied})))
    assert (
        "No release is live, but the database isn't new: it already has 7 applied migrations."
        in capsys.readouterr().out
    ) is told


def test_a_name_that_is_free_is_still_anybodys(settings: Settings) -> None:
    run = sample.run(settings, Paper(sample.bare()))
    run.look()
    ownership.check(run)


# Its secrets


@pytest.mark.parametrize(
    "value",
    [
        "", "k", "hunter2", "changeme", "Change-Me!", "CHANGE_ME_123", "password", "Password1234", "your-secret-key",
        "secret-key", "django-insecure-0x(9$r3kf!l2@q8w7e5t4y6u1i0o9p8a7s6d5f4g3h2j1k", "12345678", "abcdefgh",
        "aaaaaaaa", "abababababab", "test-secret", "secret-password-123", "example-password", "default_password",
        "postgres", "qwertyuiop",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["SECRET_KEY", "POSTGRES_PASSWORD"])
def test_a_secret_that_can_be_guessed_is_refused(name: str, value: str, tmp_path: Path) -> None:
    (fault,) = sample.refused(tmp_path, **{name: value})
    assert fault.startswith(f"{name} ")
    assert "fab init" in fault
    assert not value or len(value) < 4 or value not in fault


@pytest.mark.parametrize(
    "value",
    [
        "correct-horse-battery",
        "notreallysecret-but-long-enough",
        "k" * 50,
        "p@ss %/#$'\"\\word",
        "x7Gq-2lPz",
        "a@b%c/d#e",
        "%$#@!*&^",
    ],
)
def test_a_secret_that_can_not_be_guessed_is_taken(value: str, tmp_path: Path) -> None:
    sample.settings(tmp_path, SECRET_KEY=value, POSTGRES_PASSWORD=value)


def test_a_password_that_is_used_nowhere_may_be_any(tmp_path: Path) -> None:
    sample.settings(tmp_path, DEPLOY_DATABASE="none", POSTGRES_PASSWORD="x")

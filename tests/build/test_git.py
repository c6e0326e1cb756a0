"""Git: nothing that a repository says is run here, and a repository in which git fails is no folder without git."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.build import git, source
from deploy.core.errors import Refused
from tests import sample
from tests.house.test_house import CHECKOUT


@pytest.fixture
def spy(tmp_path: Path) -> Path:
    """A command that tells by a file that it ran, and passes on what it is given."""
    path = tmp_path / "spy"
    path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    path.chmod(0o755)
    return path


def look(folder: Path, *refs: str) -> None:
    """Whatever a plan asks git."""
    settings = sample.settings(folder)
    for ref in ("", *refs):
        with ExitStack() as keep:
            source.find(settings, ref, keep)


HOOKS = ("post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman", "pre-commit")
COMMANDS = (
    "core.fsmonitor", "core.hooksPath", "core.pager", "core.sshCommand", "core.gitProxy", "core.askPass", "core.editor",
    "diff.external", "diff.spied.command", "diff.spied.textconv", "filter.spied.clean", "filter.spied.smudge",
    "filter.spied.process", "merge.spied.driver", "gpg.program", "uploadpack.packObjectsHook", "pager.diff",
    "credential.helper", "alias.diff", "alias.ls-files", "diff.pager", "interactive.diffFilter",
)  # fmt: skip


def test_what_a_repository_says_is_not_run(project: Path, tmp_path: Path, spy: Path) -> None:
    sample.files(project, {".gitattributes": "* filter=spied diff=spied merge=spied\n", "a=b": "", "x.py": "1\n"})
    sample.commit(project)
    for name in HOOKS:
        (project / ".git/hooks" / name).parent.mkdir(exist_ok=True)
        (project / ".git/hooks" / name).write_text(spy.read_text())
        (project / ".git/hooks" / name).chmod(0o755)
    for key in COMMANDS:
        sample.git(project, "config", key, str(project / ".git/hooks") if key == "core.hooksPath" else str(spy))
    sample.git(project, "config", "filter.spied.required", "true")
    (project / "x.py").write_text("2\n")
    (project / "manage.py").touch()
    look(tmp_path)
    with pytest.raises(Refused, match=r"These files need a filter from \.git/config, which Portside doesn't run: "):
        look(tmp_path, "HEAD")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["a=b", "a.b", "A b", "\u00e4"])
def test_a_filter_is_not_run_whatever_it_is_called(name: str, project: Path, spy: Path) -> None:
    config = project / ".git/config"
    config.write_text(config.read_text() + f'[filter "{name}"]\n\tclean = {spy}\n\tprocess = {spy}\n')
    found = git.repository(project)
    assert found
    assert found.filters == {name: False}
    for what in ("clean", "process"):
        assert found("config", f"filter.{name}.{what}") == "\n"
    assert found("config", "--type=bool", f"filter.{name}.required") == "false\n"


def test_filters_named_in_a_file_that_the_repository_includes_are_its_own(project: Path, spy: Path) -> None:
    (project / "more").write_text(f'[filter "x"]\n\tclean = {spy}\n')
    sample.git(project, "config", "include.path", "../more")
    found = git.repository(project)
    assert found
    assert found.filters == {"x": False}


def bare(folder: Path, spy: Path) -> None:
    """A folder shaped like a repository, that runs a command when git reads it."""
    sample.files(folder, {"manage.py": "", "HEAD": "ref: refs/heads/main\n", "refs/x": "", "objects/x": ""})
    (folder / "config").write_text(f"[core]\n\tbare = false\n\tworktree = .\n\tfsmonitor = {spy}\n")


@pytest.mark.parametrize("app", ["app", "app/evil", "app/evil/deep"])
def test_a_tracked_folder_shaped_like_a_repository_runs_nothing(
    app: str, project: Path, tmp_path: Path, spy: Path
) -> None:
    bare(project / "evil", spy)
    sample.files(project, {"evil/deep/manage.py": ""})
    sample.commit(project)
    settings = sample.settings(tmp_path, DEPLOY_APP=app)
    with ExitStack() as keep:
        if app == "app":
            assert "evil/HEAD" in source.find(settings, "", keep).files
        else:
            with pytest.raises(Refused, match="looks like a bare git repository") as caught:
                source.find(settings, "", keep)
            assert caught.value.exit_code == 2
    assert not (tmp_path / "ran").exists()


def test_git_itself_refuses_what_is_shaped_like_a_repository(project: Path, tmp_path: Path, spy: Path) -> None:
    bare(project / "evil", spy)
    sample.commit(project)
    assert git.run(project / "evil", "ls-files").returncode
    assert not (tmp_path / "ran").exists()


def test_a_folder_shaped_like_a_repository_outside_of_one_is_a_folder(tmp_path: Path, spy: Path) -> None:
    bare(tmp_path / "app", spy)
    assert git.repository(tmp_path / "app") is None
    look(tmp_path)
    assert not (tmp_path / "ran").exists()


BROKEN = {
    "no HEAD": lambda top: (top / ".git/HEAD").unlink(),
    "an empty .git": lambda top: (top / ".git").rename(top / "x") and (top / ".git").mkdir(),
    "a .git to nowhere": lambda top: (top / ".git").rename(top / "x") and (top / ".git").write_text("gitdir: /no"),
    "a broken index": lambda top: (top / ".git/index").write_bytes(b"DIRC"),
    "a broken configuration": lambda top: (top / ".git/config").write_text("[core"),
    "a broken commit": lambda top: [path.unlink() for path in (top / ".git/objects").glob("*/*")],
    "a detached HEAD without its commit": lambda top: (top / ".git/HEAD").write_text("ab" * 20),
    "a branch cut short": lambda top: (top / ".git/refs/heads/main").write_text(""),
    "a work tree elsewhere": lambda top: sample.git(top, "config", "core.worktree", "/"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_repository_in_which_git_fails_is_refused(what: str, project: Path, tmp_path: Path) -> None:
    (project / "private.txt").write_text("not in git")
    BROKEN[what](project)
    with pytest.raises(Refused) as caught:
        look(tmp_path)
    assert caught.value.exit_code == 2
    assert str(project) in caught.value.message


@pytest.mark.parametrize(
    "environ",
    [
        {"GIT_DIR": "/nowhere"},
        {"GIT_WORK_TREE": "/"},
        {"GIT_INDEX_FILE": "/dev/null"},
        {"GIT_CEILING_DIRECTORIES": "/"},
        {"GIT_NAMESPACE": "x", "GIT_PREFIX": "x/"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": "/bin/false"},
        {"GIT_OBJECT_DIRECTORY": "/nowhere"},
    ],
)
def test_what_a_hook_or_a_shell_tells_git_leads_nowhere_else(
    environ: dict[str, str], project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as keep:
        assert set(source.find(sample.settings(tmp_path), "", keep).files) == set(sample.PROJECT)


def test_a_repository_of_somebody_else_is_refused_with_gits_own_words(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(git.ADDED, "GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(Refused, match=r"dubious ownership(.|\n)*safe\.directory"):
        look(tmp_path)


def test_there_is_one_place_that_runs_git() -> None:
    texts = {path.name: path.read_text() for path in (CHECKOUT / "deploy").rglob("*.py")}
    names = {name for name, text in texts.items() if re.search(r"""["']git["']""", text)}
    assert names == {"git.py", "image.py"}, "the latter: a package of Debian's"

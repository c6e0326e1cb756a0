"""Tracked: what git lists is sent, or named and refused; a commit is the same from wherever. Real repositories."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.build import source
from deploy.build.source import Source
from deploy.core.errors import Refused
from tests import sample

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d' * 32}\nsize 12345\n"


@pytest.fixture
def keep() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Finder:
    """Finds the project of a folder ``app``, as it is there or of a commit."""

    def __init__(self, folder: Path, keep: ExitStack) -> None:
        self.settings = sample.settings(folder)
        self.keep = keep

    def __call__(self, ref: str = "") -> Source:
        return source.find(self.settings, ref, self.keep)

    def refused(self, ref: str = "") -> str:
        with pytest.raises(Refused) as caught:
            self(ref)
        return str(caught.value)

    def same(self) -> Source:
        """What is sent of the folder, which is what is sent of its commit."""
        plain, exact = self(), self("HEAD")
        assert (plain.changed, plain.deleted, plain.untracked) == ((), (), ())
        assert dict(plain.sums) == dict(exact.sums)
        assert (plain.digest, plain.short) == (exact.digest, exact.commit[:7])
        return plain


@pytest.fixture
def find(tmp_path: Path, keep: ExitStack) -> Finder:
    return Finder(tmp_path, keep)


def configured(monkeypatch: pytest.MonkeyPatch, path: Path, text: str) -> None:
    """The user's own configuration of git."""
    path.write_text(text)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that becomes a submodule, with one of its own in it."""
    configured(monkeypatch, tmp_path / "gitconfig", '[protocol "file"]\n\tallow = always\n')
    sample.repository(tmp_path / "deeper", {"deep.py": "DEEP = 1\n"})
    made = sample.repository(tmp_path / "library", {"lib.py": "LIB = 1\n"})
    sample.git(made, "submodule", "add", "--quiet", str(tmp_path / "deeper"), "vendor/deeper")
    return sample.commit(made)


@pytest.fixture
def with_module(project: Path, library: Path) -> Path:
    """The project with a submodule in which there is another."""
    sample.git(project, "submodule", "add", "--quiet", str(library), "libs/library")
    sample.git(project, "submodule", "update", "--quiet", "--init", "--recursive")
    return sample.commit(project)


MODULES = {"libs/library/lib.py", "libs/library/.gitmodules", "libs/library/vendor/deeper/deep.py"}

# A commit and a plain deploy of it


@pytest.mark.parametrize(
    ("attributes", "name", "content"),
    [
        ("*.md export-ignore", "README.md", b"read me\n"),
        ("docs/ export-ignore", "docs/a.md", b"read me\n"),
        ("version.py export-subst", "version.py", b"COMMIT = '$Format:%H$'\n"),
        ("version.py ident", "version.py", b"ID = '$Id$'\n"),
        ("version.py ident", "version.py", b"ID = '$Id: of another$'\n"),
        ("*.txt eol=crlf", "a.txt", b"one\ntwo\n"),
        ("*.txt eol=crlf", "a.txt", b"one\r\ntwo\r\n"),
        ("*.txt text", "a.txt", b"one\r\ntwo\r\n"),
        ("* text=auto", "a.txt", b"one\r\ntwo\r\n"),
        ("*.txt -text", "a.txt", b"one\r\ntwo\n"),
        ("*.txt crlf=input", "a.txt", b"one\r\ntwo\r\n"),
        ("*.utf text working-tree-encoding=UTF-16", "a.utf", b"\xff\xfe" + "grün\n".encode("utf-16-le")),
        ("*.utf text working-tree-encoding=UTF-16LE eol=crlf", "a.utf", "grün\n".encode("utf-16-le")),
        ("*.txt filter=nowhere", "a.txt", b"as it is\n"),
        ("*.txt binary", "a.txt", b"\x00\r\n\x00"),
        ("", "a b/\xff\n\".txt".encode("latin-1").decode(errors="surrogateescape"), b"odd\n"),
    ],
)  # fmt: skip
def test_a_commit_and_a_plain_deploy_of_it_are_the_same_files(
    attributes: str, name: str, content: bytes, project: Path, find: Finder
) -> None:
    (project / ".gitattributes").write_text(f"{attributes}\n")
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_bytes(content)
    sample.commit(project)
    assert name in find.same().files


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.autocrlf=input", "core.eol=crlf"])
def test_what_a_laptop_wants_of_line_ends_is_its_own(setting: str, project: Path, find: Finder) -> None:
    sample.files(project, {".gitattributes": "*.sh text\n", "run.sh": "echo\n", "a.txt": "one\ntwo\n"})
    sample.commit(project)
    plain = find.same()
    sample.git(project, "config", *setting.split("="))
    for name in ("run.sh", "a.txt"):
        (project / name).unlink()
    sample.git(project, "checkout", "--", ".")
    assert b"\r\n" in b"".join((project / name).read_bytes() for name in ("run.sh", "a.txt")) or "input" in setting
    assert find.same().digest == plain.digest


def test_attributes_above_the_projects_folder_count(tmp_path: Path, find: Finder) -> None:
    contents = {f"app/{name}": text for name, text in sample.PROJECT.items()} | {"app/a.txt": "one\n"}
    sample.repository(tmp_path, contents | {".gitattributes": "*.txt eol=crlf\n", ".gitignore": ".env\n"})
    assert find.same().files["a.txt"].read_bytes() == b"one\r\n"


def test_a_filter_of_the_users_own_is_run(
    project: Path, find: Finder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(monkeypatch, tmp_path / "gitconfig", '[filter "rot"]\n\tclean = tr a b\n\tsmudge = tr b c\n')
    sample.files(project, {".gitattributes": "*.txt filter=rot\n", "a.txt": "aaa\n"})
    sample.commit(project)
    assert find.same().read("a.txt") == "ccc\n"


def test_modes_and_links_are_the_commits_where_the_disk_knows_none(project: Path, find: Finder) -> None:
    (project / "run.sh").write_text("echo\n")
    (project / "run.sh").chmod(0o755)
    (project / "link").symlink_to("manage.py")
    sample.commit(project)
    expected = find.same().digest
    for setting in ("core.fileMode", "core.symlinks"):
        sample.git(project, "config", setting, "false")
    (project / "run.sh").chmod(0o644)
    (project / "link").unlink()
    (project / "link").write_text("manage.py")
    assert find.same().digest == expected


def test_it_may_be_a_work_tree_beside_the_repository(project: Path, tmp_path: Path, keep: ExitStack) -> None:
    sample.git(project, "worktree", "add", "--quiet", str(tmp_path / "beside/app"))
    assert set(Finder(tmp_path / "beside", keep).same().files) == set(sample.PROJECT)


@pytest.mark.parametrize("split", ["core.splitIndex", "core.untrackedCache", "index.sparse"])
def test_nothing_is_left_in_the_repository(split: str, project: Path, find: Finder) -> None:
    sample.git(project, "config", split, "true")
    sample.files(project, {".gitattributes": "*.txt ident\n", "a.txt": "$Id$"})
    sample.commit(project)
    before = {path: path.read_bytes() for path in (project / ".git").iterdir() if path.is_file()}
    find.same()
    assert {path: path.read_bytes() for path in (project / ".git").iterdir() if path.is_file()} == before


# Submodules


def test_submodules_are_part_of_a_commit_and_of_a_folder(with_module: Path, find: Finder) -> None:
    assert set(find.same().files) > MODULES


def test_a_commit_takes_the_submodule_that_it_names(with_module: Path, find: Finder) -> None:
    before = find().digest
    inner = with_module / "libs/library"
    sample.files(inner, {"lib.py": "LIB = 2\n"})
    sample.commit(inner)
    assert find().changed == ("libs/library/lib.py",)
    sample.commit(with_module)
    assert find.same().read("libs/library/lib.py") == "LIB = 2\n"
    assert find("HEAD~1").digest == before


@pytest.mark.parametrize("way", ["deinit", "removed"])
def test_a_commits_submodule_needs_no_checkout(way: str, with_module: Path, find: Finder) -> None:
    expected = find().digest
    if way == "deinit":
        sample.git(with_module, "submodule", "deinit", "--quiet", "--all", "--force")
    else:
        sample.git(with_module, "rm", "--quiet", "libs/library")
        sample.commit(with_module)
        assert find.same().digest != expected
        assert find("HEAD~1").digest == expected
        return
    assert find("HEAD").digest == expected
    assert "aren't checked out: " in find.refused()


@pytest.mark.parametrize("name", ["libs/library", "libs/library/vendor/deeper"])
def test_a_submodule_that_is_not_checked_out_is_named(name: str, with_module: Path, find: Finder) -> None:
    shutil.rmtree(with_module / name)
    (with_module / name).mkdir()
    told = find.refused()
    assert name.rpartition("library/")[2] in told
    assert "git submodule update --init --recursive" in told


def test_a_submodules_broken_repository_is_not_taken_for_the_one_around_it(with_module: Path, find: Finder) -> None:
    (with_module / "libs/library/.git").unlink()
    (with_module / "libs/library/.git").mkdir()
    assert "aren't checked out: " in find.refused()


def test_a_submodule_that_lacks_the_commit_is_named(with_module: Path, find: Finder) -> None:
    words = ("update-index", "--cacheinfo", f"160000,{'ab' * 20},libs/library")
    sample.git(with_module, *words)
    sample.git(with_module, "commit", "--quiet", "--message", "Another")
    told = find.refused("HEAD")
    assert "the submodule libs/library of" in told
    assert "doesn't have its commit abababa on this machine" in told
    assert find().changed == ("libs/library",), "as it is here"


def test_a_submodule_whose_name_leads_out_is_no_submodule(with_module: Path, find: Finder) -> None:
    text = (with_module / ".gitmodules").read_text().replace('"libs/library"', '"../../library"')
    (with_module / ".gitmodules").write_text(text)
    sample.commit(with_module)
    shutil.rmtree(with_module / "libs/library")
    assert "doesn't have its commit" in find.refused("HEAD")


def test_what_differs_in_a_submodule_is_told(with_module: Path, find: Finder) -> None:
    inner = with_module / "libs/library"
    sample.files(inner, {"lib.py": "LIB = 3\n", "new.py": ""})
    (inner / "vendor/deeper/deep.py").unlink()
    for ignore in ("", "all"):
        sample.git(with_module, "config", "diff.ignoreSubmodules", ignore or "none")
        found = find()
        assert found.changed == ("libs/library/lib.py",)
        assert found.deleted == ("libs/library/vendor/deeper/deep.py",)
        assert found.untracked == ("libs/library/new.py",)
        assert found.short == found.digest[:7]


def test_a_repository_inside_that_git_lists_is_sent(project: Path, find: Finder) -> None:
    sample.repository(project / "embedded", {"a.py": ""})
    sample.commit(project)
    assert "embedded/a.py" in find.same().files


def test_the_project_may_lie_in_a_submodule(tmp_path: Path, keep: ExitStack, library: Path) -> None:
    sample.repository(tmp_path / "site", sample.PROJECT)
    outer = sample.repository(tmp_path / "outer", {"README": ""})
    sample.git(outer, "submodule", "add", "--quiet", str(tmp_path / "site"), "app")
    assert set(Finder(outer, keep).same().files) == set(sample.PROJECT)


# Not all of it is here


def test_files_outside_a_sparse_checkout_are_sent(project: Path, find: Finder) -> None:
    sample.files(project, {"other/a.py": "A\n", "more/b.py": "B\n"})
    sample.commit(project)
    expected = find.same().digest
    for words in (("--cone", "config"), ("--no-cone", "/manage.py", "/requirements.txt")):
        sample.git(project, "sparse-checkout", "set", *words)
        assert not (project / "other").exists()
        assert find.same().digest == expected


def test_a_partial_clone_that_lacks_files_is_refused_and_fetches_nothing(
    project: Path, tmp_path: Path, keep: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(
        monkeypatch, tmp_path / "gitconfig", "[uploadpack]\n\tallowFilter = true\n[protocol]\n\tallow = always\n"
    )
    sample.files(project, {"config/settings.py": "DEBUG = True\n"})
    sample.commit(project)
    (tmp_path / "clone").mkdir()
    clone = tmp_path / "clone/app"
    sample.git(tmp_path, "clone", "--quiet", "--filter=blob:none", f"file://{project}", str(clone))
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    spy.chmod(0o755)
    sample.git(clone, "config", "remote.origin.uploadpack", str(spy))
    found = Finder(tmp_path / "clone", keep)
    assert found.same().files
    told = found.refused("HEAD~1")
    assert "In a partial clone, check out that commit once." in told
    assert str(clone) in told
    assert not (tmp_path / "ran").exists()


def test_a_shallow_clone_knows_what_it_has(project: Path, tmp_path: Path, keep: ExitStack, library: Path) -> None:
    sample.files(project, {"later.py": ""})
    sample.commit(project)
    sample.git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{project}", str(tmp_path / "clone/app"))
    found = Finder(tmp_path / "clone", keep)
    assert "later.py" in found.same().files
    assert "git fetch --unshallow" in found.refused("HEAD~1")


@pytest.mark.parametrize("attributes", ["*.bin filter=lfs diff=lfs merge=lfs -text\n", "\n"])
@pytest.mark.parametrize("ref", ["", "HEAD"])
def test_pointers_of_lfs_are_named(attributes: str, ref: str, project: Path, find: Finder) -> None:
    sample.files(project, {".gitattributes": attributes, "video.bin": POINTER})
    sample.commit(project)
    told = find.refused(ref)
    assert "video.bin" in told
    assert "git lfs" in told


def test_pointers_of_lfs_are_named_without_git_too(tmp_path: Path, find: Finder) -> None:
    sample.files(tmp_path / "app", {"manage.py": "", "video.bin": POINTER})
    assert "video.bin" in find.refused()


def test_what_only_talks_of_lfs_is_a_file(project: Path, find: Finder) -> None:
    sample.files(project, {"a.md": POINTER.replace("oid", "# oid"), "b.md": f"# A pointer\n{POINTER}"})
    sample.commit(project)
    assert {"a.md", "b.md"} < set(find.same().files)


FAKE_LFS = """#!/bin/sh
# Stands in for git-lfs, which is not everywhere: content is kept beside, by the pointer's sum.
case $1 in
    clean) file=$(mktemp); cat >"$file"
        if grep -q "^version https://git-lfs" "$file"; then cat "$file"; exit; fi
        sum=$(sha256sum <"$file"); sum=${sum%% *}; cp "$file" "$STORE/$sum"
        printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\nsize %s\\n' "$sum" "$(wc -c <"$file")" ;;
    smudge) pointer=$(cat); sum=$(echo "$pointer" | sed -n 's/^oid sha256://p')
        if [ -e "$STORE/$sum" ]; then cat "$STORE/$sum"; else echo "$pointer"; fi ;;
esac
"""


@pytest.mark.parametrize("place", ["--global", "--local"])
def test_where_lfs_is_installed_its_files_are_sent(
    place: str, project: Path, find: Finder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(monkeypatch, tmp_path / "gitconfig", "")
    sample.files(tmp_path, {"bin/git-lfs": FAKE_LFS, "store/.keep": ""})
    (tmp_path / "bin/git-lfs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("STORE", str(tmp_path / "store"))
    for command in ("clean", "smudge"):
        sample.git(project, "config", place, f"filter.lfs.{command}", f"git-lfs {command} -- %f")
    sample.files(project, {".gitattributes": "*.bin filter=lfs -text\n", "a.bin": "content " * 1000, "b.bin": "b"})
    sample.commit(project)
    assert find.same().read("a.bin") == "content " * 1000
    (project / "a.bin").unlink()
    monkeypatch.setenv("GIT_LFS_SKIP_SMUDGE", "1")
    pointer = sample.git(project, "show", "HEAD:a.bin") + "\n"
    (project / "a.bin").write_text(pointer)
    sample.git(project, "add", "a.bin")
    assert find.same().read("a.bin") == "content " * 1000, "a pointer in the folder whose content is here"
    shutil.rmtree(tmp_path / "store")
    for ref in ("", "HEAD"):
        assert "a.bin" in find.refused(ref)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_not_to_see_is_told(flag: str, project: Path, find: Finder) -> None:
    for name in ("config/settings.py", "static/site.css", "manage.py"):
        sample.git(project, "update-index", flag, name)
    sample.files(project, {"config/settings.py": "DEBUG = True\n"})
    found = find()
    assert found.changed == ("config/settings.py",)
    assert found.read("config/settings.py") == "DEBUG = True\n"
    assert found.short == found.digest[:7]
    assert find("HEAD").read("config/settings.py") == "DEBUG = False\n"


def test_what_is_gone_is_told_as_deleted_however_it_went(project: Path, find: Finder) -> None:
    sample.git(project, "update-index", "--assume-unchanged", "static/site.css")
    (project / "static/site.css").unlink()
    sample.git(project, "rm", "--quiet", "config/__init__.py")
    (project / "requirements.txt").unlink()
    (project / "requirements.txt").mkdir()
    found = find()
    assert found.deleted == ("config/__init__.py", "requirements.txt", "static/site.css")
    assert found.changed == ()


def test_what_lies_behind_a_link_in_place_of_a_folder_is_not_the_projects(project: Path, find: Finder) -> None:
    shutil.move(project / "static", project.parent / "elsewhere")
    (project / "static").symlink_to("../elsewhere")
    found = find()
    assert found.deleted == ("static/site.css",)
    assert "static/site.css" not in found.files


def test_a_merge_that_is_not_finished_is_refused(project: Path, find: Finder) -> None:
    for branch, text in (("one", "1\n"), ("two", "2\n")):
        sample.git(project, "checkout", "--quiet", "-b", branch, "main")
        sample.files(project, {"config/settings.py": text})
        sample.commit(project)
    with pytest.raises(Exception, match="returned non-zero"):
        sample.git(project, "merge", "one")
    told = find.refused()
    assert "config/settings.py" in told
    assert "has conflicts" in told


def test_a_file_that_is_to_be_added_is_sent(project: Path, find: Finder) -> None:
    sample.files(project, {"new.py": "NEW\n"})
    sample.git(project, "add", "--intent-to-add", "new.py")
    found = find()
    assert found.changed == ("new.py",)
    assert found.read("new.py") == "NEW\n"


def test_a_file_is_as_the_folder_has_it_once_it_differs(project: Path, find: Finder) -> None:
    sample.files(project, {".gitattributes": "*.txt eol=crlf ident\n", "a.txt": "one $Id$\n"})
    sample.commit(project)
    (project / "a.txt").write_text("two $Id$\n")
    found = find()
    assert found.files["a.txt"] == project / "a.txt"
    assert stat.S_ISREG(found.files["a.txt"].lstat().st_mode)


def test_a_commit_without_the_folder_is_refused(project: Path, find: Finder, tmp_path: Path) -> None:
    shutil.rmtree(project / ".git")
    sample.repository(tmp_path, {"README": "", ".gitignore": "app\n.env\n"})
    (tmp_path / ".gitignore").write_text(".env\n")
    sample.commit(tmp_path)
    assert "has no file in" in find.refused("HEAD~1")
    assert find.same()

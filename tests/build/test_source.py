"""Source: what of a project goes into its image. Real git repositories."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.build import source
from deploy.build.source import Source
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from tests import sample

KEEP = ExitStack()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    KEEP.close()


def find(folder: Path, ref: str = "") -> Source:
    return source.find(sample.settings(folder), ref, KEEP)


def plain(folder: Path, contents: Mapping[str, str]) -> Source:
    """A project without git."""
    sample.files(folder / "app", {"manage.py": "", **contents})
    return find(folder)


def test_a_clean_checkout_is_its_commit(source: Source, project: Path) -> None:
    assert set(source.files) == set(sample.PROJECT)
    assert source.commit == sample.git(project, "rev-parse", "HEAD")
    assert (source.changed, source.untracked, source.short) == ((), (), source.commit[:7])


def test_a_changed_file_is_deployed_as_it_is_and_told(project: Path, tmp_path: Path) -> None:
    clean = find(tmp_path)
    (project / "config/settings.py").write_text("DEBUG = True\n")
    dirty = find(tmp_path)
    assert dirty.changed == ("config/settings.py",)
    assert dirty.read("config/settings.py") == "DEBUG = True\n"
    assert dirty.digest != clean.digest
    assert dirty.short == dirty.digest[:7]


def test_a_file_that_is_added_but_not_committed_is_deployed(project: Path, tmp_path: Path) -> None:
    (project / "new.py").write_text("")
    sample.git(project, "add", "new.py")
    found = find(tmp_path)
    assert "new.py" in found.files
    assert found.changed == ("new.py",)


def test_a_file_that_is_gone_is_not_deployed(project: Path, tmp_path: Path) -> None:
    (project / "static/site.css").unlink()
    found = find(tmp_path)
    assert "static/site.css" not in found.files
    assert (found.changed, found.deleted) == ((), ("static/site.css",))
    assert (found.is_commit, found.short) == (False, found.digest[:7])


def test_an_untracked_file_stays_here_and_is_told(project: Path, tmp_path: Path) -> None:
    sample.files(project, {".gitignore": "*.log\n", "notes.txt": "", "big.log": ""})
    found = find(tmp_path)
    assert found.untracked == (".gitignore", "notes.txt")
    assert not {"notes.txt", "big.log"} & set(found.files)


def test_a_commit_of_a_name_is_exactly_that_commit(project: Path, tmp_path: Path) -> None:
    first = find(tmp_path)
    sample.files(project, {"config/settings.py": "DEBUG = True\n", "later.py": ""})
    sample.commit(project)
    (project / "untracked.py").write_text("")
    found = find(tmp_path, "HEAD~1")
    assert (found.commit, found.digest, found.changed, found.untracked) == (first.commit, first.digest, (), ())
    assert set(found.files) == set(sample.PROJECT)
    assert found.read("config/settings.py") == "DEBUG = False\n"


def test_a_commit_is_the_same_as_its_clean_checkout(project: Path, tmp_path: Path) -> None:
    sample.files(project, {"node_modules/a.js": "1", "venv/b": "2", "compiled.pyc": "3", "run.sh": "4"})
    (project / "run.sh").chmod(0o755)
    (project / "folder").symlink_to("static")
    sample.commit(project)
    clean, exact = find(tmp_path), find(tmp_path, "HEAD")
    assert set(exact.files) == set(clean.files)
    assert exact.digest == clean.digest


def test_the_files_of_a_commit_are_there_until_the_end_of_the_run(project: Path, tmp_path: Path) -> None:
    found = find(tmp_path, "HEAD")
    assert found.root == project, "the folder that messages name"
    assert all(path.exists() for path in found.files.values())
    KEEP.close()
    assert not any(path.exists() for path in found.files.values())


def test_a_commit_that_is_not_there_is_refused(project: Path, tmp_path: Path) -> None:
    for ref in ("nowhere", "--help", "HEAD:manage.py"):
        with pytest.raises(Refused, match="git knows no commit"):
            find(tmp_path, ref)


@pytest.mark.parametrize("name", [".env", ".env.production", "config/.env"])
def test_an_environment_file_never_goes_along(name: str, project: Path, tmp_path: Path) -> None:
    sample.files(project, {name: "SECRET_KEY=x\n", ".env.example": "SECRET_KEY=\n"})
    sample.commit(project)
    for ref in ("", "HEAD"):
        assert name not in find(tmp_path, ref).files
        assert ".env.example" in find(tmp_path, ref).files


def test_keys_and_credentials_that_settings_name_never_go_along(tmp_path: Path) -> None:
    sample.files(tmp_path / "app", {"manage.py": "", "tls.key": "", "tls.pem": "", "dns.ini": "", "other/dns.ini": ""})
    lines = {
        "DEPLOY_TLS_CERT": "app/tls.pem", "DEPLOY_TLS_KEY": "app/tls.key", "DEPLOY_ACME_DNS": "rfc2136",
        "DEPLOY_ACME_DNS_CREDENTIALS": "app/dns.ini",
    }  # fmt: skip
    found = source.find(sample.settings(tmp_path, **lines), "", KEEP)
    assert set(found.files) == {"manage.py", "tls.pem", "other/dns.ini"}


def test_the_project_may_be_a_folder_of_a_bigger_repository(tmp_path: Path) -> None:
    contents = {f"app/{name}": text for name, text in sample.PROJECT.items()} | {"README.md": ""}
    sample.repository(tmp_path, contents)
    (tmp_path / "README.md").write_text("changed, but not the project's")
    for ref in ("", "HEAD"):
        found = find(tmp_path, ref)
        assert set(found.files) == set(sample.PROJECT)
        assert found.changed == ()


def test_without_git_everything_but_rubbish_goes_along(tmp_path: Path) -> None:
    rubbish = (".venv/x", "node_modules/x", "__pycache__/x", "a.pyc", ".env")
    found = plain(tmp_path, dict.fromkeys(("a.py", "deep/b.py", *rubbish), ""))
    assert set(found.files) == {"manage.py", "a.py", "deep/b.py"}
    assert (found.commit, found.short) == ("", found.digest[:7])


def test_without_git_a_link_to_a_folder_goes_along(tmp_path: Path) -> None:
    sample.files(tmp_path, {"app/real/a": "1"})
    (tmp_path / "app/link").symlink_to("real")
    assert set(plain(tmp_path, {}).files) == {"manage.py", "real/a", "link"}


def test_a_repository_without_the_program_git_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Refused, match="git can't be run here"):
        find(tmp_path)


def test_a_repository_without_a_commit_deploys_what_is_added(tmp_path: Path) -> None:
    sample.files(tmp_path / "app", sample.PROJECT)
    sample.git(tmp_path / "app", "init", "--quiet")
    with pytest.raises(Refused, match="git tracks no file"):
        find(tmp_path)
    sample.git(tmp_path / "app", "add", "--all")
    found = find(tmp_path)
    assert (found.commit, set(found.changed)) == ("", set(sample.PROJECT))


@pytest.mark.parametrize("name", ["a b.py", "grün.py", 'quo"te.py', "new\nline.py", "-dash.py"])
def test_a_files_name_may_be_odd(name: str, project: Path, tmp_path: Path) -> None:
    sample.files(project, {name: "x"})
    sample.commit(project)
    assert name in find(tmp_path).files


def test_a_link_is_a_link_even_where_it_leads_nowhere(project: Path, tmp_path: Path) -> None:
    (project / "link").symlink_to("nowhere")
    sample.commit(project)
    found = find(tmp_path)
    assert found.files["link"].is_symlink()


def test_the_digest_is_of_names_modes_and_contents(project: Path, tmp_path: Path) -> None:
    digests = [find(tmp_path).digest]
    os.utime(project / "manage.py", (0, 0))
    assert find(tmp_path).digest == digests[0]
    (project / "manage.py").chmod(0o755)
    digests.append(find(tmp_path).digest)
    (project / "config/__init__.py").write_text("# changed")
    digests.append(find(tmp_path).digest)
    (project / "link").symlink_to("manage.py")
    sample.git(project, "add", "--all")
    digests.append(find(tmp_path).digest)
    (project / "link").unlink()
    (project / "link").write_text("manage.py")
    digests.append(find(tmp_path).digest)
    assert len(set(digests)) == 5


def test_manage_py_may_lie_below_the_folder_once(tmp_path: Path) -> None:
    sample.files(tmp_path / "app", {"backend/site/manage.py": "", "README": ""})
    assert find(tmp_path).manage == "backend/site"


def test_manage_py_in_the_folder_itself_wins(tmp_path: Path) -> None:
    assert plain(tmp_path, {"example/manage.py": ""}).manage == ""


@pytest.mark.parametrize(
    ("names", "told"), [(["a.py"], "no manage.py"), (["a/manage.py", "b/manage.py"], "more than one manage.py")]
)
def test_no_manage_py_and_several_are_refused(names: list[str], told: str, tmp_path: Path) -> None:
    sample.files(tmp_path / "app", dict.fromkeys(names, ""))
    with pytest.raises(Refused, match=told):
        find(tmp_path)


def test_a_folder_that_is_not_there_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(settings.folder)
    with pytest.raises(Refused, match=r"DEPLOY_APP: the folder .*/app doesn't exist\."):
        source.find(settings, "", KEEP)


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")', "config.settings.production"),
        ("os.environ.setdefault('DJANGO_SETTINGS_MODULE','site.settings')", "site.settings"),
        ("# nothing", ""),
    ],
)
def test_the_settings_module_is_what_manage_py_says(text: str, module: str, tmp_path: Path) -> None:
    assert plain(tmp_path, {"manage.py": text}).settings_module() == module


@pytest.mark.parametrize(
    ("contents", "version"),
    [
        ({".python-version": "3.12.4\n"}, "3.12"),
        ({"runtime.txt": "python-3.11.9"}, "3.11"),
        ({".python-version": "pypy"}, "3.13"),
        ({}, "3.13"),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.10"\n'}, "3.13"),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.11,<3.13"\n'}, "3.12"),
        ({"pyproject.toml": '[project]\nrequires-python = "~=3.11.0"\n'}, "3.11"),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.14"\n'}, "3.14"),
        ({"pyproject.toml": '[project]\nrequires-python = "==3.12.4"\n'}, "3.12.4"),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.10,<=3.11.9"\n'}, "3.10"),
        ({"pyproject.toml": '[project]\nrequires-python = "<3"\n'}, ""),
        ({"pyproject.toml": '[project]\nrequires-python = "new ones"\n'}, "3.13"),
        ({"pyproject.toml": "[project\n"}, "3.13"),
        ({".python-version": "3.11\n", "pyproject.toml": '[project]\nrequires-python = ">=3.12"\n'}, "3.11"),
    ],
)
def test_the_python_version_is_the_projects(contents: dict[str, str], version: str, tmp_path: Path) -> None:
    assert plain(tmp_path, contents).python() == version


@pytest.mark.parametrize(
    ("contents", "chosen", "needed"),
    [
        ({"requirements.txt": "django\n"}, "requirements.txt", {"requirements.txt"}),
        ({"uv.lock": "", "pyproject.toml": "", "requirements.txt": ""}, "uv.lock", {"uv.lock", "pyproject.toml"}),
        ({"pyproject.toml": "[project]\n"}, "pyproject.toml", {"pyproject.toml"}),
        (
            {"pyproject.toml": "[tool.ruff]\n", "requirements/base.txt": ""},
            "requirements/base.txt",
            {"requirements/base.txt"},
        ),
        (
            {
                "requirements/production.txt": "-r base.txt\n",
                "requirements/base.txt": "x\n",
                "requirements/dev.txt": "",
            },
            "requirements/production.txt",
            {"requirements/production.txt", "requirements/base.txt"},
        ),
    ],
)
def test_dependencies_are_what_the_first_known_file_names(
    contents: dict[str, str], chosen: str, needed: set[str], tmp_path: Path
) -> None:
    place, files = plain(tmp_path, contents).dependencies()
    assert (place, set(files)) == (chosen, needed)


def test_requirements_bring_along_all_that_they_name(tmp_path: Path) -> None:
    contents = {
        "requirements.txt": "-r requirements/base.txt\n  --constraint=locks/c.txt # x\n# -r not.txt\n-r absent.txt\n",
        "requirements/base.txt": "-c ../locks/c.txt\n--requirement more.txt\n",
        "requirements/more.txt": "-r base.txt\n",
        "locks/c.txt": "django<6\n",
        "not.txt": "",
    }
    _, files = plain(tmp_path, contents).dependencies()
    assert set(files) == {"requirements.txt", "requirements/base.txt", "requirements/more.txt", "locks/c.txt"}


@pytest.mark.parametrize(
    "line", ["-rbase.txt", "-r base.txt", "--requirement=base.txt", "-cbase.txt", "  -r  base.txt"]
)
def test_requirements_name_others_with_a_space_or_without(line: str, tmp_path: Path) -> None:
    _, files = plain(tmp_path, {"requirements.txt": f"{line}\n", "base.txt": "x\n", "other.txt": ""}).dependencies()
    assert set(files) == {"requirements.txt", "base.txt"}


@pytest.mark.parametrize("line", ["-e .", "--editable ./lib", "./lib", "  ./lib[extra]", "."])
def test_a_package_of_the_projects_own_takes_all_of_it(line: str, tmp_path: Path) -> None:
    contents = {"requirements.txt": f"django\n{line}\n", "lib/pyproject.toml": "", "lib/x.py": ""}
    found = plain(tmp_path, contents)
    assert set(found.dependencies()[1]) == set(found.files) == {"manage.py", *contents}


@pytest.mark.parametrize(
    ("text", "needed"), [("x @ git+https://git.example/x\n", True), ("django\n", False), ("gitpython\n", False)]
)
def test_a_dependency_from_git_is_noticed(text: str, needed: bool, tmp_path: Path) -> None:
    found = plain(tmp_path, {"requirements.txt": text, "notes.md": "git+https://"})
    assert found.needs_git(found.files) is needed


def test_a_file_that_can_not_be_read_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="gone can't be read: No such file"):
        source._sum(tmp_path / "gone")


def test_a_name_in_no_encoding_goes_along(tmp_path: Path) -> None:
    sample.files(tmp_path / "app", {"manage.py": ""})
    (tmp_path / "app" / os.fsdecode(b"caf\xe9.txt")).write_text("")
    assert len(find(tmp_path).files) == 2


def test_dependencies_lie_beside_manage_py_or_at_the_top(tmp_path: Path) -> None:
    sample.files(tmp_path / "app", {"src/manage.py": "", "src/requirements.txt": "a", "requirements.txt": "b"})
    assert find(tmp_path).dependencies()[0] == "src/requirements.txt"
    (tmp_path / "app/src/requirements.txt").unlink()
    assert find(tmp_path).dependencies()[0] == "requirements.txt"


def test_a_project_without_dependencies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No dependencies found in"):
        plain(tmp_path, {"a.py": ""}).dependencies()


def test_a_static_site_needs_no_manage_py(tmp_path: Path) -> None:
    sample.repository(tmp_path / "app", {"index.html": ""})
    with ExitStack() as keep:
        assert source.find(sample.settings(tmp_path, sample.STATIC), "", keep).manage == ""


def test_a_static_folder_that_git_passes_over_is_taken_as_it_is(tmp_path: Path) -> None:
    """A generator's output. Of a project's folder, git knows what belongs to it."""
    sample.repository(tmp_path, {".gitignore": "app\n"})
    sample.files(tmp_path / "app", {"index.html": "", "manage.py": "", "node_modules/x": ""})
    with ExitStack() as keep:
        found = source.find(sample.settings(tmp_path, sample.STATIC), "", keep)
        assert (set(found.files), found.commit) == ({"index.html", "manage.py"}, "")
        assert found.short == found.digest[:7]
        with pytest.raises(Refused, match="git tracks no file"):
            source.find(sample.settings(tmp_path), "", keep)


def test_an_image_stands_for_a_project(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, **sample.PULLED)
    assert source.find(settings, "", KEEP).files == {}
    found = source.of_image(settings, "sha256:" + "3d" * 32)
    assert (found.short, found.settings_module()) == ("3d3d3d3", "")
    assert found.pulled == "registry.example:5000/shop/web@sha256:" + "3d" * 32


def test_no_commit_can_be_asked_for_where_an_image_is_pulled(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--ref has no effect here: DEPLOY_BUILD names an image"):
        source.find(sample.settings(tmp_path, **sample.PULLED), "HEAD", KEEP)


def test_what_changes_after_it_was_summed_is_noticed(project: Path, tmp_path: Path) -> None:
    found = find(tmp_path)
    assert found.moved_on() == ()
    (project / "manage.py").chmod(0o755)
    (project / "config/settings.py").write_text("DEBUG = True\n")
    (project / "requirements.txt").unlink()
    assert set(found.moved_on()) == {"manage.py", "config/settings.py", "requirements.txt"}

"""The image's step: what travels to the server, and how it is built there."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.build import image
from deploy.build.source import Source, find
from deploy.config.settings import Settings
from deploy.core.errors import Refused
from deploy.core.steps import Argument, Step
from tests import sample

RELEASE = sample.SITE.release(sample.NEW)


def build(folder: Path, **changed: str) -> Step:
    settings = sample.settings(folder, **changed)
    with ExitStack() as keep:
        return image.build(settings, find(settings, "", keep), RELEASE)


def arguments(step: Step) -> str:
    content = step.files["arguments"]
    assert isinstance(content, bytes)
    return content.decode()


def test_a_project_is_built_with_portsides_dockerfile(settings: Settings, source: Source) -> None:
    step = image.build(settings, source, RELEASE)
    options = [
        "--label", "portside.site=portfolio", "--label", f"portside.release={sample.NEW}",
        "--build-arg", "APT", "--build-arg", "BUILD_APT", "--build-arg", "PIP", "--build-arg", "PIP_INDEX",
        "--build-arg", "PYTHON", "--build-arg", "REQUIREMENTS",
    ]  # fmt: skip
    assert (step.script, step.arguments) == ("build", given("portside/Dockerfile", options))


def given(dockerfile: str, options: list[str]) -> dict[str, Argument]:
    """What build.sh is given."""
    paths = {"image": f"portside/portfolio:{sample.NEW}", "context": "/var/cache/portside/portfolio"}
    return {**paths, "dockerfile": dockerfile, "options": options}


def test_the_context_holds_project_dependencies_and_what_builds_them(settings: Settings, source: Source) -> None:
    files = set(image.build(settings, source, RELEASE).files)
    assert files == {
        *(f"context/src/{name}" for name in sample.PROJECT),
        "context/deps/requirements.txt",
        "context/portside/Dockerfile",
        "context/portside/dependencies.sh",
        "context/portside/with-ca.sh",
        "arguments",
        "same",
        "programs",
    }


def test_only_what_the_server_lacks_of_the_context_is_sent(settings: Settings, source: Source) -> None:
    there = {"src/manage.py", "portside/with-ca.sh"}
    step = image.build(settings, source, RELEASE, there)
    assert not [name for name in there if f"context/{name}" in step.files]
    assert {f"context/src/{name}" for name in sample.PROJECT if name != "manage.py"} <= set(step.files)
    assert step.files["same"] == b"portside/with-ca.sh\nsrc/manage.py\n"
    assert step.files["programs"] == b""
    source.files["manage.py"].chmod(0o755)
    assert image.build(settings, source, RELEASE, there).files["programs"] == b"src/manage.py\n"


def test_build_arguments_are_exports_of_a_file(settings: Settings, source: Source) -> None:
    assert arguments(image.build(settings, source, RELEASE)) == (
        "export APT=\nexport BUILD_APT=\nexport PIP=\nexport PIP_INDEX=\nexport PYTHON=3.13\n"
        "export REQUIREMENTS=requirements.txt\n"
    )


@pytest.mark.parametrize("value", ["dark & light", "it's $HOME `id`", 'a"b\\c', "two\nlines", ""])
def test_a_shell_reads_a_build_argument_as_it_was(value: str, project: Path, tmp_path: Path) -> None:
    step = build(tmp_path, DEPLOY_BUILD_ARGS="THEME", THEME=value)
    done = subprocess.run(
        ("sh", "-c", f'{arguments(step)}printf "%s|" "$THEME"'), capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{value}|"


def test_no_value_of_the_environment_is_on_a_command_line_or_in_a_transcript(project: Path, tmp_path: Path) -> None:
    secrets = {
        "DEPLOY_BUILD_ARGS": "THEME",
        "THEME": "of-the-theme",
        "DEPLOY_BUILD_SECRETS": "TOKEN",
        "TOKEN": "of-token",
    }
    step = build(tmp_path, **secrets)
    assert not [word for word in step.words if "of-the" in word or "of-token" in word]
    assert not [value for value in ("of-the-theme", "of-token", "not-so-secret") if value in step.transcript()]


def test_a_build_secret_is_a_file_of_its_own(project: Path, tmp_path: Path) -> None:
    step = build(tmp_path, DEPLOY_BUILD_SECRETS="TOKEN", TOKEN="hunter2")
    assert step.files["secrets/TOKEN"] == b"hunter2"
    assert "hunter2" not in arguments(step)


def test_settings_steer_portsides_dockerfile(project: Path, tmp_path: Path) -> None:
    given = {"DEPLOY_APT": "gettext,git", "DEPLOY_PIP": "a>=1,b", "DEPLOY_PIP_INDEX": "https://packages.example/simple"}
    said = arguments(build(tmp_path, DEPLOY_PYTHON="3.12", **given)).splitlines()
    assert "export 'APT=gettext git'" in said
    assert "export 'PIP=a>=1 b'" in said
    assert "export PIP_INDEX=https://packages.example/simple" in said
    assert "export PYTHON=3.12" in said


def test_a_dependency_from_git_brings_git_along_for_the_build_alone(project: Path, tmp_path: Path) -> None:
    sample.commit(sample.files(project, {"requirements.txt": "x @ git+https://git.example/x\n"}))
    said = arguments(build(tmp_path, DEPLOY_APT="gettext")).splitlines()
    assert "export BUILD_APT=git" in said
    assert "export APT=gettext" in said


def test_the_projects_own_python_comes_before_ours(project: Path, tmp_path: Path) -> None:
    sample.commit(sample.files(project, {".python-version": "3.11\n"}))
    assert "export PYTHON=3.11" in arguments(build(tmp_path))


def test_the_projects_own_dockerfile_is_used(project: Path, tmp_path: Path) -> None:
    sample.commit(sample.files(project, {"Dockerfile": "FROM scratch\n"}))
    step = build(tmp_path)
    assert step.arguments["dockerfile"] == "Dockerfile"
    assert "context/manage.py" in step.files
    assert arguments(step) == ""
    assert not [name for name in step.files if name.startswith(("context/deps", "context/portside"))]


def test_a_dockerfile_can_be_named(project: Path, tmp_path: Path) -> None:
    sample.commit(sample.files(project, {"build/Dockerfile": "FROM scratch\n", "Dockerfile": "FROM scratch\n"}))
    assert build(tmp_path, DEPLOY_DOCKERFILE="./build/Dockerfile").arguments["dockerfile"] == "build/Dockerfile"


def test_a_dockerfile_that_git_does_not_track_is_refused(project: Path, tmp_path: Path) -> None:
    sample.files(project, {"Dockerfile.new": "FROM scratch\n"})
    with pytest.raises(Refused, match=r"DEPLOY_DOCKERFILE: git tracks no Dockerfile\.new"):
        build(tmp_path, DEPLOY_DOCKERFILE="Dockerfile.new")


def test_a_ca_bundle_is_a_build_secret(project: Path, tmp_path: Path) -> None:
    sample.files(tmp_path, {"ca.pem": "PEM"})
    assert build(tmp_path, DEPLOY_BUILD_CA="ca.pem").files["secrets/portside-ca"] == tmp_path / "ca.pem"


def test_more_files_are_laid_over_the_image(project: Path, tmp_path: Path) -> None:
    sample.files(tmp_path, {"a.ini": "", "b c.py": ""})
    step = build(tmp_path, DEPLOY_FILES="a.ini:/app/a.ini, b c.py:config/local.py")
    assert (
        step.files["overlay/Dockerfile"]
        == (
            f"FROM portside/portfolio:{sample.NEW}\nUSER root\n"
            'COPY ["0", "/app/a.ini"]\nCOPY ["1", "config/local.py"]\nUSER 10001:33\n'
        ).encode()
    )
    assert step.files["overlay/1"] == tmp_path / "b c.py"


@pytest.mark.parametrize(("name", "value"), [("DEPLOY_BUILD_CA", "no.pem"), ("DEPLOY_FILES", "no.ini:/app/no.ini")])
def test_a_file_that_is_not_there_is_refused_by_the_settings_name(
    name: str, value: str, project: Path, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=rf"{name}: the file .* doesn't exist\."):
        build(tmp_path, **{name: value})


def test_a_pulled_image_gets_its_names_in_a_build_of_its_own(tmp_path: Path) -> None:
    step = build(tmp_path, **sample.PULLED)
    assert step.files["context/Dockerfile"] == b"FROM portside/portfolio:pulled\n"
    options = ["--label", "portside.site=portfolio", "--label", f"portside.release={sample.NEW}"]
    assert step.arguments == given("Dockerfile", options)


def test_credentials_of_a_registry_are_a_file_of_the_pull_alone(tmp_path: Path) -> None:
    step = image.pull(sample.settings(tmp_path, **sample.PULLED), sample.SITE)
    names = {"registry": "registry.example:5000", "name": "portside/portfolio:pulled"}
    assert (step.script, step.arguments) == ("pull", {"image": sample.PULLED["DEPLOY_BUILD"], **names})
    assert step.files == {"credentials": b"robot:token-of-registry"}
    assert "token-of-registry" not in step.transcript()


@pytest.mark.parametrize(
    ("name", "registry"),
    [("shop:1", ""), ("ann/shop:1", ""), ("localhost/shop:1", "localhost"), ("r.example/a/shop:1", "r.example")],
)
def test_the_registry_is_the_host_of_an_images_name(name: str, registry: str, tmp_path: Path) -> None:
    step = image.pull(sample.settings(tmp_path, DEPLOY_BUILD=name), sample.SITE)
    assert (step.arguments["registry"], step.files) == (registry, {})

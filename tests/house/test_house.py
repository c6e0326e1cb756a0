"""Rules of the house, read off the code."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.core import server_paths
from deploy.core.files import TOP
from deploy.core.paths import Site
from deploy.core.steps import Script
from tests.e2e.kit.names import server_name

CHECKOUT = TOP
MODULES = sorted(
    path
    for path in (CHECKOUT / "deploy").glob("*/**/*.py")
    if path.name != "__init__.py" and not {"remote", "practice"} & set(path.relative_to(CHECKOUT).parts)
)
EVERYTHING = [*sorted((CHECKOUT / "deploy").rglob("*.py")), CHECKOUT / "fabfile.py"]
ON_THE_SERVER = ("/srv/", "/srv\0", "/etc/nginx", "/var/lib/portside")
SPELLING = {"paths.py", "server_paths.py"}
OF_AN_IMAGE = {("types.py", "/srv")}  # a folder of a container
NO_STEPS = {
    "apply",
    "arguments",
    "cause",
    "compress",
    "context",
    "databases",
    "detached",
    "generation",
    "lib",
    "lock",
    "password",
    "processes",
    "pruning",
    "receive",
    "session",
    "session-end",
}  # what runs or serves the steps' scripts, and what looks

TESTED_WITH = {
    "flows/stages": "flows/stages/test_stages.py",
    "deploy/certs/certbot_errors.py": "certs/test_acme.py",
    "deploy/certs/probe.py": "certs/test_acme.py",
    "deploy/cli/doctor/findings.py": "cli/doctor/test_checks.py",
    "deploy/cli/fleet_output.py": "cli/test_fleet.py",
    "deploy/config/site_name.py": "config/test_settings.py",
    "deploy/core/files.py": "cli/test_init.py",
    "deploy/core/server_paths.py": "core/test_paths.py",
    "deploy/core/spellings.py": "core/test_mask.py",
    "deploy/flows/env_copy.py": "cli/test_env.py",
    "deploy/flows/outcome.py": "flows/test_runner.py",
    "deploy/flows/flow.py": "flows/test_runner.py",
    "deploy/flows/record.py": "releases/test_record.py",
    "deploy/flows/tasks.py": "flows/test_runner.py",
    "deploy/host/docker.py": "host/test_provision.py",
    "deploy/host/files.py": "host/test_provision.py",
    "deploy/host/firewall.py": "host/test_provision.py",
    "deploy/host/packages.py": "host/test_provision.py",
    "deploy/nginx/site.py": "nginx/test_generation.py",
    "deploy/nginx/templates.py": "nginx/test_rendering.py",
    "deploy/releases/answer.py": "releases/test_compose.py",
    "deploy/releases/django_errors.py": "releases/test_django.py",
    "deploy/releases/environment.py": "releases/test_compose.py",
    "deploy/releases/history.py": "releases/test_record.py",
    "deploy/releases/routes.py": "releases/test_compose.py",
    "deploy/releases/settings_module.py": "releases/test_django.py",
    "deploy/releases/templates.py": "releases/test_compose.py",
    "deploy/ssh/config_files.py": "ssh/test_config.py",
}
"""Modules, or packages, whose tests are in a file of another name."""

CORE = re.compile(r"pytest\.mark\.core\b|partly_core\(")

# Spelled in two parts, or this file would name them.
REGISTRIES = [".".join(parts) for parts in (
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("crates", "io"), ("rubygems", "org"),
    ("proxy.golang", "org"), ("ghcr", "io"), ("quay", "io"), ("registry-1.docker", "io"), ("index.docker", "io"),
)]  # fmt: skip


def name(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, with the last word of what is called."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            yield getattr(called, "attr", getattr(called, "id", "")), node


def test_one_module_makes_connections() -> None:
    classes = {"Connection", "_Link", "FleetConnection"}
    assert [name(path) for path in EVERYTHING if classes & set(dict(calls(path)))] == ["deploy/ssh/connection.py"]


def test_no_text_with_values_in_it_is_run() -> None:
    found = [
        f"{name(path)}:{call.lineno}"
        for path in EVERYTHING
        for called, call in calls(path)
        if called in {"run", "sudo", "Popen", "check_output", "check_call", "system", "exec_command"}
        and any(isinstance(part, ast.JoinedStr) for part in call.args)
    ]
    assert found == []


def test_no_shell_is_asked_for_on_this_machine() -> None:
    found = [
        f"{name(path)}:{call.lineno}"
        for path in EVERYTHING
        for _, call in calls(path)
        for word in call.keywords
        if word.arg == "shell"
    ]
    assert found == []


@pytest.mark.parametrize("path", [path for path in MODULES if path.name not in SPELLING], ids=name)
def test_a_path_on_the_server_is_spelled_in_core_only(path: Path) -> None:
    texts = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)]
    spelled = [f"line {node.lineno}: {node.value}" for node in texts if _on_the_server(path, node.value)]
    assert spelled == []


def _on_the_server(path: Path, value: object) -> bool:
    if not isinstance(value, str) or (path.name, value) in OF_AN_IMAGE:
        return False
    return any(start in f"{value}\0" for start in ON_THE_SERVER)


OURS = re.compile(r"/(?:srv/portside|etc/(?:nginx|portside|letsencrypt)|(?:var|usr/local)/lib/portside)\b[\w./$*-]*")
SHELLS_OWN = {
    "/var/lib/portside/written",
    "/var/lib/portside/firewall",
    "/etc/nginx/sites-available/default",
    "/etc/nginx/sites-enabled/*",
    "/etc/letsencrypt/renewal",
    "/etc/letsencrypt/archive",
    "/etc/letsencrypt/accounts",
    "/etc/portside/*",
}
"""Paths, and folders of paths, that no module names. None does the locks in /run/portside either."""


def _spelled_in_core(path: str) -> bool:
    """Whether core names this path, or the folder in which a variable part names it."""
    site, constants = Site("$site"), {value for value in vars(server_paths).values() if isinstance(value, str)}
    own = {f"{server_paths.NGINX_LIVE}/{site.nginx_file}", site.certificates, f"{server_paths.HOME}/*/current/.env"}
    fixed = re.split(r"/(?=[$*])", path)[0].rstrip("/")
    return path in own | SHELLS_OWN or fixed in constants | SHELLS_OWN


@pytest.mark.parametrize("path", sorted((CHECKOUT / "deploy/remote").rglob("*.sh")), ids=name)
def test_a_path_of_ours_in_a_script_is_one_that_core_names(path: Path) -> None:
    code = "\n".join(line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#"))
    assert [found for found in OURS.findall(code) if not _spelled_in_core(found)] == []


def typed_steps() -> Iterator[Any]:
    """Kinds of steps that are classes of their own, each for one script."""
    found = list(Script.__subclasses__())
    while found:
        kind = found.pop()
        found += kind.__subclasses__()
        if kind.__module__.startswith("deploy.") and kind.script:
            yield kind


def test_every_script_is_named_by_a_step() -> None:
    named = {
        call.args[1].value
        for path in MODULES
        for called, call in calls(path)
        if called == "script" and len(call.args) > 1 and isinstance(call.args[1], ast.Constant)
    } | {kind.script for kind in typed_steps()}
    files = {path.stem for path in (CHECKOUT / "deploy/remote").glob("*.sh")}
    assert files - named == NO_STEPS
    assert named <= files


def test_every_module_has_its_tests() -> None:
    """In a file of its name in the folder of its package, or in the file that tests what it is a part of."""
    assert [name(path) for path in MODULES if not _test_of(path).exists()] == []


def _test_of(path: Path) -> Path:
    package = path.parent.relative_to(CHECKOUT / "deploy")
    own = CHECKOUT / "tests" / package / f"test_{path.stem}.py"
    other = TESTED_WITH.get(name(path)) or TESTED_WITH.get(str(package))
    return CHECKOUT / "tests" / other if other and not own.exists() else own


def test_files_of_end_to_end_tests_have_names_of_their_own() -> None:
    """Servers are named after them, in as many letters as a host's name has room for."""
    files = sorted((CHECKOUT / "tests/e2e").rglob("test_*.py"))
    names = [server_name(path.stem.removeprefix("test_")) for path in files]
    assert len(set(names)) == len(names) > 20


def test_every_subject_has_core_cases() -> None:
    folders = [path for path in (CHECKOUT / "tests/e2e").iterdir() if any(path.glob("test_*.py"))]
    lacking = [
        folder.name
        for folder in folders
        if not any(CORE.search(path.read_text(encoding="utf-8")) for path in folder.glob("test_*.py"))
    ]
    assert folders
    assert lacking == []


def test_tests_that_are_named_are_there() -> None:
    files = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md"), *(CHECKOUT / "tests").rglob("*.py"), *MODULES]
    named = {found for path in files for found in re.findall(r"tests/[\w/]+\.(?:py|sh|json)", path.read_text("utf-8"))}
    assert {path for path in named if not (CHECKOUT / path).exists()} == set()


@pytest.mark.parametrize("host", REGISTRIES)
def test_no_package_registry_is_named(host: str) -> None:
    listed = subprocess.run(
        ("git", "-C", CHECKOUT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this isn't a git checkout")
    paths = [CHECKOUT / path for path in listed.stdout.decode().split("\0") if path]
    assert [name(path) for path in paths if path.is_file() and host.encode() in path.read_bytes()] == []

"""The documentation says what the code does."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from deploy.config.names import FAMILIES, PLANNED, PLANNED_FAMILIES
from deploy.config.scope import DJANGO_KIND
from deploy.config.settings import Settings
from deploy.core.files import TOP
from deploy.flows import flow

DOCS = TOP / "docs"


def test_the_headings_of_a_deploy_are_its_stages() -> None:
    headings = re.findall(r"^## (\S+)$", (DOCS / "deploy.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert tuple(heading for heading in headings if heading.islower()) == flow.DEPLOY.stages


@pytest.mark.parametrize("name", sorted({name.upper() for name in Settings.known()} | set(PLANNED)))
def test_every_setting_is_documented(name: str) -> None:
    assert f"`DEPLOY_{name}`" in (DOCS / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", [*FAMILIES.values(), *(f"{family}…" for family in PLANNED_FAMILIES)])
def test_every_family_of_settings_is_documented(family: str) -> None:
    assert f"`DEPLOY_{family}`" in (DOCS / "settings.md").read_text(encoding="utf-8")


def test_no_setting_is_documented_that_does_not_exist() -> None:
    known = {name.upper() for name in Settings.known()} | set(PLANNED) | {f"{name}…" for name in PLANNED_FAMILIES}
    named = re.findall(r"`DEPLOY_([A-Z_]+…?)`", (DOCS / "settings.md").read_text(encoding="utf-8"))
    assert set(named) <= known | {"RELEASE"}


def test_the_settings_of_a_static_site_are_documented() -> None:
    text = (DOCS / "static.md").read_text(encoding="utf-8").partition("\n## Settings\n")[2].partition("\n\nWith ")[0]
    named = re.findall(r"`DEPLOY_([A-Z0-9_]+\*?)`", text)
    scopes = Settings.scopes()
    told = {field for name in named for field in scopes if fnmatch(field.upper(), name)}
    assert told == {field for field, scope in scopes.items() if scope.only != DJANGO_KIND}


def test_what_a_ci_job_sets_are_settings() -> None:
    named = re.findall(r"\bDEPLOY_([A-Z_]+)", (DOCS / "ci.md").read_text(encoding="utf-8"))
    assert {name.lower() for name in named} <= Settings.known()


def test_what_a_doctor_looks_at_is_documented() -> None:
    rows = re.findall(r"^\| ([a-z, ]+) \|", (DOCS / "doctor.md").read_text(encoding="utf-8"), re.MULTILINE)
    told = {check for row in rows for check in row.split(", ")} - {"check"}
    source = "".join(path.read_text() for path in (TOP / "deploy/cli/doctor").glob("*.py"))
    named = set(re.findall(r"""\b(?:fault|warning|fine|many)\(\s*"([a-z]+)",""", source))
    assert told == named


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_example_names_only_settings_that_exist() -> None:
    example = (DOCS.parent / ".env.example").read_text(encoding="utf-8")
    assert {name.lower() for name in re.findall(r"^#?DEPLOY_([A-Z_]+)=", example, re.MULTILINE)} <= Settings.known()


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_design_lists_the_packages_in_the_order_of_their_imports() -> None:
    design = (DOCS / "design.md").read_text(encoding="utf-8")
    rooms = re.findall(r"^\| `deploy/(\w+)/` \|", design, re.MULTILINE)
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    folders = {path.parent.name for path in (TOP / "deploy").glob("*/__init__.py")}
    assert rooms == [*reversed(contract["layers"]), "remote"]
    assert set(rooms) == folders | {"remote"}
    assert [path.name for path in (TOP / "deploy").glob("*.py")] == ["__init__.py"]

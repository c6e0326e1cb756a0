"""The documentation says what the code does."""

from __future__ import annotations

import ast
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from invoke import Collection

import fabfile
from deploy.config.names import FAMILIES, PLANNED, PLANNED_FAMILIES
from deploy.config.scope import DJANGO_KIND
from deploy.config.settings import Settings
from deploy.core import vocabulary
from deploy.core.files import TOP
from deploy.flows import flow

from .. import screens

DOCS = TOP / "docs"
PAGES = sorted(path.relative_to(TOP) for path in (*DOCS.rglob("*.md"), *TOP.glob("*.md")))
LINK = re.compile(r"\]\(([^)\s:#]*)(?:#([^)\s]*))?\)")
CODE = re.compile(r"^(?:```.*?^```$|(?: {4}|\t).*?$)", re.MULTILINE | re.DOTALL)
STRANGE = re.compile(r"\b(nobody|somebody|whoever|whomever|whom|mend(s|ed|ing)?|taken away|told)\b", re.IGNORECASE)


def text_of(page: Path) -> str:
    return (TOP / page).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """What a page's headings are linked as, by the rules of the usual hosts of repositories."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", CODE.sub("", text_of(page)), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.append(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return set(found)


def links(page: Path) -> list[tuple[Path, str]]:
    """The page's links to files of the repository, with their anchors."""
    found = LINK.findall(CODE.sub("", text_of(page)))
    return [((TOP / page).parent / path if path else TOP / page, anchor) for path, anchor in found]


def test_the_headings_of_a_deploy_are_its_stages() -> None:
    headings = re.findall(r"^## (\S+)$", text_of(Path("docs/deploying.md")), re.MULTILINE)
    assert tuple(heading for heading in headings if heading.islower()) == flow.DEPLOY.stages


def test_the_stages_in_the_table_of_a_deploy_are_its_own() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(#\1\) \|", text_of(Path("docs/deploying.md")), re.MULTILINE)
    assert tuple(rows) == flow.DEPLOY.stages


def test_the_stages_of_a_rollback_are_listed() -> None:
    *first, last = flow.ROLLBACK.stages
    assert f"{', '.join(first)} and {last}" in " ".join(text_of(Path("docs/rollback.md")).split())


def test_the_stages_of_certs_are_listed() -> None:
    section = text_of(Path("docs/certificates.md")).partition("## Its stages")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"\*\*(\w+)\*\*", section)) == flow.CERTS.stages


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
    page = text_of(Path("docs/static-sites.md"))
    text = page.partition("\n## Settings\n")[2].partition("\n\nWith ")[0]
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


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_between_documents_leads_somewhere(page: Path) -> None:
    assert [str(path) for path, _ in links(page) if not path.exists()] == []
    lost = [
        f"{path.name}#{anchor}"
        for path, anchor in links(page)
        if anchor and path.suffix == ".md" and anchor not in anchors(path.resolve().relative_to(TOP))
    ]
    assert lost == []


def test_the_index_links_every_page() -> None:
    linked = {path.resolve() for path, _ in links(Path("docs/index.md"))}
    assert [str(page) for page in PAGES if page.parts[0] == "docs" and (TOP / page).resolve() not in linked] == [
        "docs/index.md"
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if page != Path("docs/settings.md")], ids=str)
def test_a_page_uses_the_words_of_the_field(page: Path) -> None:
    """docs/settings.md has the words of the settings' own descriptions."""
    lines = re.sub(r"`[^`\n]+`", "", CODE.sub("", text_of(page))).splitlines()
    assert [line for line in lines if STRANGE.search(line)] == []


@pytest.mark.parametrize("path", sorted((DOCS / "screens").glob("*.svg")), ids=lambda path: path.name)
def test_a_screen_fetches_nothing_and_names_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [found for found in re.findall(r"url\((.)|(?:href|src)=.(.)", text) if set(found) - {"", "#"}] == []
    assert not re.search(r"@font-face|@import|/home/|/root/|/tmp/", text)
    assert path.stat().st_size < 60_000


def test_the_design_lists_the_packages_in_the_order_of_their_imports() -> None:
    design = (DOCS / "dev" / "design.md").read_text(encoding="utf-8")
    rooms = re.findall(r"^\| `deploy/(\w+)/` \|", design, re.MULTILINE)
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    folders = {path.parent.name for path in (TOP / "deploy").glob("*/__init__.py")}
    assert rooms == [*reversed(contract["layers"]), "remote"]
    assert set(rooms) == folders | {"remote"}
    assert [path.name for path in (TOP / "deploy").glob("*.py")] == ["__init__.py"]


# Commands


SPAN = re.compile(r"`([^`]+)`")
COMMAND = re.compile(r"(?:^|\$ )(?:\.venv/bin/)?fab ([a-z]+)\b([^\n|]*)")


def commands(page: Path) -> set[tuple[str, str]]:
    """What a page says to run: tasks, each with what follows."""
    text = text_of(page)
    blocks = [line.strip() for block in CODE.findall(text) for line in block.splitlines()]
    spans = [" ".join(span.split()) for span in SPAN.findall(CODE.sub("", text))]
    return {(found[1], found[2]) for line in (*blocks, *spans) if (found := COMMAND.match(line))}


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=str)
def test_a_command_on_a_page_can_be_run(page: Path) -> None:
    there = {
        name: {f"--{arg.name}".replace("_", "-") for arg in task.get_arguments()}
        for name, task in Collection.from_module(fabfile).tasks.items()
    }
    wrong = []
    for task, rest in commands(page):
        words = re.sub(r'"[^"]*"', "", rest.split("   ")[0])  # what stands further to the right explains it
        if set(re.findall(r"(?<!\S)--[a-z-]+", words)) - there.get(task, set()) or task not in there:
            wrong.append(f"fab {task}{rest}")
    assert wrong == []


# Promises


NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
WITHOUT_PROMISES = {"index.md", "promises.md", "comparison.md", "dev/testing.md"}


def promises() -> dict[str, list[tuple[str, list[tuple[str, str]]]]]:
    """Of each page that docs/promises.md links, its promises and the tests of each: path and name."""
    text, _, _ = text_of(Path("docs/promises.md")).partition("\n## Without a test")
    found: dict[str, list[tuple[str, list[tuple[str, str]]]]] = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        page = re.match(r"\[[^]]+\]\(([^)]+)\)\n", section)
        assert page, section[:60]
        found[page[1]] = [
            (each.split("\n")[0], NAMED.findall(each)) for each in re.split(r"^- ", section, flags=re.M)[1:]
        ]
    return found


def names_of_tests(path: Path) -> set[str]:
    """The names of a file's tests."""
    return {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_a_promise_names_exists() -> None:
    named = {test for listed in promises().values() for _, tests in listed for test in tests}
    files = {file for file, _ in named}
    there = {(file, name) for file in files if (TOP / file).exists() for name in names_of_tests(TOP / file)}
    assert sorted(named - there) == []


def test_every_promise_has_a_test() -> None:
    assert [text for listed in promises().values() for text, tests in listed if not tests] == []


def test_every_page_has_promises() -> None:
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - WITHOUT_PROMISES
    assert sorted(pages | {"../README.md"}) == sorted(promises())
    assert [page for page, listed in promises().items() if not listed] == []


# Messages


MESSAGE = re.compile(r"^### `(.+)`$", re.MULTILINE)


@pytest.mark.parametrize("message", MESSAGE.findall(text_of(Path("docs/troubleshooting.md"))))
def test_a_message_in_troubleshooting_is_one_that_is_printed(message: str) -> None:
    assert [part for part in message.split("…") if part.strip(" .,:;!?()“”") and not vocabulary.has(part)] == []


# Screens


def test_a_terminal_shows_in_the_end_what_was_written_last() -> None:
    written = "\x1b[?25l⠋ \x1b[1mbuild\x1b[0m\r\x1b[2K⠙ build\r\x1b[2K\x1b[32m✓\x1b[0m build\r\nlive\r\n\x1b[?25h"
    assert screens.lines_of(written) == ["\x1b[32m✓\x1b[0m build", "live", ""]


def test_a_transcript_has_what_the_command_printed() -> None:
    page = "x\n```console\n$ fab a\nold\nolder\n```\ny\n```console\n$ fab b\nkept\n```\n"
    assert screens.transcribed(page, {"fab a": "new"}) == page.replace("old\nolder", "new")

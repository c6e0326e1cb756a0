from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from deploy.nginx import generation
from tests import sample
from tests.bench import converge, rivals
from tests.bench.converge import ANSIBLE, PORTSIDE, PYINFRA, SSH, Sample
from tests.bench.distance import Traffic


class Provisioned:
    """What the export asks of a server."""

    def exec(self, argv: tuple[str, ...]) -> str:
        assert argv == ("cat", "/etc/nginx/portside/generation.conf")
        return "map\n"


def text(table: Table) -> list[list[str]]:
    """A table's rows as words."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in capture.get().splitlines() if "│" in line]


def test_promises_stand_beside_what_was_measured() -> None:
    seconds = {SSH: (0.2, 0.5, 2.0), PORTSIDE: (0.5, 1.0, 3.0), PYINFRA: (4, 8, 20), ANSIBLE: (8, 16, 40)}
    runs = {
        (distance, tool): [Sample(each, Traffic()) for each in (0, measured[number], 99)]
        for tool, measured in seconds.items()
        for number, distance in enumerate(converge.MILLISECONDS)
    }
    assert text(converge.promises(runs)) == [
        ["0 ms, part of pyinfra's time", "at most 1/5", "1/8.0"],
        ["0 ms, part of Ansible's time", "at most 1/12", "1/16.0"],
        ["50 ms, times ssh server true", "at most 3", "2.0"],
        ["200 ms, times ssh server true", "at most 3", "1.5"],
    ]


@pytest.fixture
def state(tmp_path: Path) -> dict[str, list[dict[str, str]]]:
    """What the rivals are told of a server that Portside has provisioned."""
    settings = sample.settings(tmp_path)
    facts = sample.provisioned()
    run = sample.run(settings, sample.Paper())
    run.facts = facts
    path = rivals.export(Provisioned(), run, ["nginx"], tmp_path / "state")  # type: ignore[arg-type]
    told: dict[str, list[dict[str, str]]] = json.loads(path.read_text())
    return told


def test_rivals_are_told_every_file_of_the_plan(state: dict[str, list[dict[str, str]]]) -> None:
    contents = {each["path"]: Path(each["source"]).read_text() for each in state["files"]}
    assert contents["/etc/nginx/nginx.conf"] == generation.MAIN
    assert {each["path"]: each["mode"] for each in state["files"]}[
        "/usr/local/lib/portside/guard-containers.sh"
    ] == "755"
    assert all(contents.values())


def test_rivals_are_told_the_whole_generation(state: dict[str, dict[str, str]]) -> None:
    folder = Path(state["generation"]["source"])
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {*generation.base(rivals.bare(sample.provisioned())), "generation.conf"}


def test_rivals_are_told_the_ports(state: dict[str, list[str]]) -> None:
    assert state["ports"] == ["22/tcp", "80/tcp", "443/tcp"]


def test_a_rival_says_how_much_it_changed() -> None:
    nowhere = Path("/nowhere")
    recap = "PLAY RECAP ***\nserver : ok=12 changed=3 unreachable=0 failed=0\n"
    assert rivals.Ansible("Ansible", nowhere, nowhere).changes(recap) == 3

"""Several servers in one command: what is said of each, and how it ends."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fabric import Config, Connection
from invoke.exceptions import Exit

from deploy.cli import fleet
from deploy.cli.fleet import FleetHost, HostMode, again, fleet_hosts, follow, outcome
from deploy.cli.fleet_output import Lines, split_hosts
from deploy.cli.rollout import Turns
from deploy.config.settings import Settings
from deploy.core.errors import Locked, PortsideError, Refused, Stopped
from deploy.core.report import Report
from deploy.flows import tasks
from deploy.flows.candidate import Candidate
from deploy.flows.context import Run
from deploy.flows.request import Request
from deploy.ssh import sudo
from tests import sample
from tests.sample import Paper

HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


def given(host: str = HOSTS[0]) -> Connection:
    return Connection(host, config=Config(lazy=True))


def three() -> list[FleetHost]:
    return fleet_hosts(given(), HOSTS)


def run(mode: HostMode, body: Callable[..., Any], folder: Path, **options: Any) -> int:
    """Run a task on three servers; its exit code."""
    try:
        follow(mode, "deploy", three(), sample.settings(folder), body, options)
    except Exit as ended:
        return int(ended.code)
    return 0


def speaking(host: FleetHost) -> Report:
    """The report of a server, as a task makes it."""
    return host.speak(Report())


def test_a_server_is_named_once() -> None:
    assert split_hosts(["127.0.0.1", " 127.0.0.1", "127.0.0.2", ""]) == HOSTS[:2]


def test_two_names_of_one_server_are_refused() -> None:
    with pytest.raises(Refused, match=r"127\.0\.0\.1 and ann@127\.0\.0\.1 are the same server\."):
        fleet_hosts(given(), ["127.0.0.1", "ann@127.0.0.1"])


def test_lines_come_whole_behind_their_servers_name() -> None:
    told: list[str] = []
    lines = Lines("web | ", told.append)
    for text in ("one, ", "still one\ntwo\nthr", "ee\n"):
        lines.write(text)
    assert told == ["web | one, still one\n", "web | two\n", "web | three\n"]


def test_at_once_they_run_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    together = threading.Barrier(3)

    def body(c: Any, **options: Any) -> None:
        host = c.fleet_host
        report = speaking(host)
        together.wait(180)
        report.say("[bold]here\nand there")

    assert run(HostMode.AT_ONCE, body, tmp_path) == 0
    told = capsys.readouterr().out.splitlines()
    assert sorted(told[:6]) == sorted(f"{host} | {line}" for host in HOSTS for line in ("[bold]here", "and there"))
    assert told[7:] == [f"  {host}  done" for host in HOSTS]


def test_one_that_fails_does_not_keep_the_others_from_their_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(c: Any, **options: Any) -> None:
        host = c.fleet_host
        report = speaking(host)
        if host.name == HOSTS[1]:
            raise PortsideError("No.", state="All is as before.", hint="Mend it.")
        report.say("well")

    assert run(HostMode.AT_ONCE, body, tmp_path) == 1
    told = capsys.readouterr()
    assert sorted(told.out.splitlines()) == ["127.0.0.1 | well", "127.0.0.3 | well"]
    assert told.err.splitlines() == [
        "127.0.0.2 | No.",
        "127.0.0.2 | All is as before.",
        "127.0.0.2 | Mend it.",
        "",
        "  127.0.0.1  done",
        "  127.0.0.2  failed: No. All is as before.",
        "  127.0.0.3  done",
        "Fix what failed, then run fab deploy -H 127.0.0.2",
    ]


def test_in_turn_a_failure_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun: list[str] = []

    def body(c: Any, **options: Any) -> None:
        host = c.fleet_host
        begun.append(host.name)
        if host.name == HOSTS[1]:
            raise Locked("Busy.")

    assert run(HostMode.IN_TURN, body, tmp_path) == 3
    assert begun == HOSTS[:2]
    told = capsys.readouterr()
    assert told.out.splitlines() == ["127.0.0.1:", "127.0.0.2:"]
    assert told.err.splitlines()[-2:] == [
        "  127.0.0.3  not started",
        "Fix what failed, then run fab deploy -H 127.0.0.2,127.0.0.3",
    ]


def test_as_one_nobody_goes_live_where_one_is_not_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live: list[str] = []

    def body(c: Any, **options: Any) -> None:
        host = c.fleet_host
        speaking(host)
        assert host.turns
        host.turns.begin(host.name, "healthcheck", print)
        if host.name == HOSTS[2]:
            raise PortsideError("Not well.")
        host.turns.begin(host.name, "switch", lambda other: None)
        live.append(host.name)

    assert run(HostMode.AS_ONE, body, tmp_path) == 1
    assert live == []
    assert capsys.readouterr().err.count("because 127.0.0.3 failed") == 4, "once as it stops, once at the end"


def deployed(settings: Settings, fails: dict[str, str]) -> tuple[int, dict[str, Paper]]:
    """Deploy to servers that have another release live; ``fails``: the script that fails on one of them."""
    papers = {host: Paper(replace(sample.live(settings), containers=()), fails=fails.get(host, "")) for host in HOSTS}

    def body(c: Any, **options: Any) -> None:
        host = c.fleet_host
        tasks.deploy(host.adopt(sample.run(settings, papers[host.name])))

    try:
        follow(HostMode.AS_ONE, "deploy", three(), settings, body, {})
    except Exit as ended:
        return int(ended.code), papers
    return 0, papers


def test_a_deploy_goes_live_on_all(settings: Settings, project: Path) -> None:
    code, papers = deployed(settings, {})
    assert code == 0
    assert ["finish" in paper.scripts for paper in papers.values()] == [True] * 3


def test_a_server_whose_link_is_dead_when_all_are_ready_keeps_all_as_they_were(
    settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, papers = deployed(settings, {HOSTS[2]: "link"})
    assert code == 1
    assert not [paper for paper in papers.values() if "switch" in paper.scripts]
    assert [paper.scripts[-1] for paper in papers.values()] == ["visit", "visit", "gate"]
    assert "because 127.0.0.3 failed" in capsys.readouterr().err


def test_locks_are_taken_in_an_order_that_is_not_that_of_the_names(settings: Settings, tmp_path: Path) -> None:
    orders = []
    for hosts in (HOSTS, [HOSTS[2], f"ann@{HOSTS[0]}", HOSTS[1]]):
        found = fleet_hosts(given(), hosts)
        follow(HostMode.AS_ONE, "deploy", found, settings, lambda c, **options: None, {"quiet": True})
        assert found[0].turns
        orders.append([name.rpartition("@")[2] for name in found[0].turns._locking])
    assert orders == [HOSTS, HOSTS]


@pytest.mark.parametrize("script", ["build", "prepare", "gate"])
def test_a_release_that_is_ready_is_taken_away_where_another_is_not(
    script: str, settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, papers = deployed(settings, {HOSTS[1]: script})
    assert code == 1
    assert not [paper for paper in papers.values() if "switch" in paper.scripts]
    begun = [paper.scripts[-2:] for paper in papers.values() if "build" in paper.scripts]
    assert begun == [["discard", "visit"]] * len(begun)
    assert capsys.readouterr().err.count(f"Release {sample.OLD} is live, as before.") == 6, "as it ends, and in the sum"


def test_where_the_second_fails_going_live_the_third_is_untouched(
    settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, papers = deployed(settings, {HOSTS[1]: "switch"})
    assert code == 1
    assert ["switch" in paper.scripts for paper in papers.values()] == [True, True, False]
    assert ["discard" in paper.scripts for paper in papers.values()] == [False, True, True]
    again = capsys.readouterr().err.splitlines()[-1]
    assert again == f"Fix what failed, then run fab deploy -H {HOSTS[1]},{HOSTS[2]}"


def test_what_failed_going_back_is_typed_again_with_the_release_that_was_chosen(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    papers = {host: Paper(sample.going_back(settings), fails="switch" * (host == HOSTS[0])) for host in HOSTS}

    def body(c: Any, **options: Any) -> None:
        tasks.rollback(
            c.fleet_host.adopt(sample.run(settings, papers[c.fleet_host.name], "rollback", env=options["env"]))
        )

    options = {"env": "staging.env", "to": "", "wait": True, "json": False}
    with pytest.raises(Exit):
        follow(HostMode.AS_ONE, "rollback", three(), settings, body, options)
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"Fix what failed, then run fab rollback --to {sample.OLDER} --wait -H {','.join(HOSTS)} --env staging.env"
    )


def test_servers_that_go_back_to_different_releases_need_a_command_each(settings: Settings) -> None:
    found = three()
    for host, chosen in zip(found, ("X", "Y", ""), strict=True):
        host.run = sample.run(settings, Paper(), "rollback", to=chosen)
    assert again("rollback", {"env": ".env", "to": ""}, found).splitlines() == [
        f"fab rollback --to X -H {HOSTS[0]}",
        f"and fab rollback --to Y -H {HOSTS[1]}",
        f"and fab rollback -H {HOSTS[2]}",
    ]


def press_ctrl_c(monkeypatch: pytest.MonkeyPatch, once: Callable[[], object]) -> None:
    """While the command waits for its servers, once this has returned."""
    wait, here = fleet._await, threading.get_ident()

    def press() -> None:
        once()
        signal.pthread_kill(here, signal.SIGINT)

    def waiting(fleet_hosts: list[FleetHost]) -> None:
        monkeypatch.setattr(fleet, "_await", wait)
        threading.Thread(target=press).start()
        wait(fleet_hosts)

    monkeypatch.setattr(fleet, "_await", waiting)


def test_an_interruption_waits_until_all_have_cleared_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[str] = []
    begun = threading.Barrier(len(HOSTS) + 1)

    def body(c: Any, **options: Any) -> None:
        begun.wait(180)
        while not c.fleet_host.interrupted:
            time.sleep(0.01)
        time.sleep(0.5)
        cleared.append(c.fleet_host.name)
        raise KeyboardInterrupt

    press_ctrl_c(monkeypatch, lambda: begun.wait(180))
    assert run(HostMode.AT_ONCE, body, tmp_path) == 1
    assert sorted(cleared) == HOSTS
    assert capsys.readouterr().err.count("failed: Interrupted.") == 3


def test_an_interruption_is_heard_once(tmp_path: Path) -> None:
    heard: list[str] = []
    server = SimpleNamespace(
        interrupt=lambda: heard.append("interrupt"),
        take_interrupt=lambda: heard.append("taken"),
        check_link=lambda: None,
    )
    host = FleetHost("web", given())
    host.turns = Turns(["web", "other"], sample.settings(tmp_path))
    settings = sample.settings(tmp_path)
    host.adopt(Run(Request("deploy"), settings, server, Report(quiet=True)))  # type: ignore[arg-type]
    host.interrupt()
    host.turns.interrupt()
    with pytest.raises(KeyboardInterrupt):
        host.run.progress.wait_turn("switch")  # type: ignore[union-attr]
    assert heard == ["interrupt", "taken"], "what is cleared away then isn't interrupted"


def test_what_is_listed_is_told_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {host: threading.Event() for host in HOSTS}

    def body(c: Any, **options: Any) -> None:
        host = c.fleet_host
        after = HOSTS[HOSTS.index(host.name) + 1 :]
        assert not after or said[after[0]].wait(180), "the last one is the first to speak"
        speaking(host).say("here")
        said[host.name].set()

    assert run(HostMode.LISTED, body, tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == [f"{host} | here" for host in HOSTS]


def test_what_a_listing_finds_is_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def body(c: Any, **options: Any) -> None:
        host = c.fleet_host
        raise Exit(code=10 if host.name == HOSTS[1] else 0)

    assert run(HostMode.LISTED, body, tmp_path) == 10
    assert run(HostMode.IN_TURN, body, tmp_path) == 10
    told = capsys.readouterr().err
    assert told.splitlines()[-2:] == [
        "  127.0.0.3  not started",
        "Fix what failed, then run fab deploy -H 127.0.0.2,127.0.0.3",
    ], "only a listing goes on"


def test_json_of_several_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def body(c: Any, **options: Any) -> None:
        host = c.fleet_host
        report = speaking(host)
        report.aside()
        report.say("beside it")
        if host.name != HOSTS[1]:
            report.result({"name": host.name})

    assert run(HostMode.LISTED, body, tmp_path, json=True) == 0
    assert json.loads(capsys.readouterr().out) == {
        HOSTS[0]: {"name": HOSTS[0]}, HOSTS[1]: None, HOSTS[2]: {"name": HOSTS[2]},
    }  # fmt: skip


def test_beside_json_the_sum_goes_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def body(c: Any, **options: Any) -> None:
        speaking(c.fleet_host).result(["live"])

    assert run(HostMode.AS_ONE, body, tmp_path, json=True) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {host: ["live"] for host in HOSTS}
    assert told.err.splitlines()[1:] == [f"  {host}  done" for host in HOSTS]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_fault_of_ours_is_not_hidden_in_a_thread_and_hides_no_other(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(c: Any, **options: Any) -> None:
        if c.fleet_host.name == HOSTS[0]:
            speaking(c.fleet_host).results.print('{"half":')
            raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError):
        run(HostMode.AT_ONCE, body, tmp_path, json=as_json)
    assert capsys.readouterr().err.splitlines()[-4:-1] == [
        f"  {HOSTS[0]}  failed: ZeroDivisionError('by zero')", f"  {HOSTS[1]}  done", f"  {HOSTS[2]}  done",
    ]  # fmt: skip


class Terminal:
    """Stands in for the terminal; what was set of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[object] = []
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr("termios.tcgetattr", lambda stream: ["as it was"])
        monkeypatch.setattr("termios.tcsetattr", lambda stream, when, what: self.told.append(what))


def test_a_terminal_on_which_nobody_was_asked_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    assert run(HostMode.AT_ONCE, lambda c, **options: None, tmp_path) == 0
    assert terminal.told == []


def test_who_presses_ctrl_c_when_asked_sees_again_what_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, asked, end = Terminal(monkeypatch), threading.Event(), threading.Event()

    def body(c: Any, **options: Any) -> None:
        with sudo._terminal:
            asked.set()
            end.wait(180)

    press_ctrl_c(monkeypatch, lambda: asked.wait(180))
    with pytest.raises(KeyboardInterrupt):
        run(HostMode.AT_ONCE, body, tmp_path)
    end.set()
    assert terminal.told == [["as it was"]]


def test_standard_input_may_be_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert run(HostMode.AT_ONCE, lambda c, **options: None, tmp_path) == 0


def ended(command: str, *, unchanged: bool = False) -> SimpleNamespace:
    """What is left of a run with the release X."""
    return SimpleNamespace(
        request=Request(command),
        facts=SimpleNamespace(current="X"),
        candidate=Candidate(unchanged=unchanged, release=sample.SITE.release("X")),
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"begun": False}, "not started"),
        ({"error": Stopped("Stopped.", state="X is live.")}, "Stopped. X is live."),
        ({"error": PortsideError("It failed:\n    a line", state="X is live.")}, "failed: It failed: X is live."),
        ({"code": 4}, "exit code 4"),
        ({"run": ended("provision")}, "done"),
        (
            {"run": ended("deploy", unchanged=True)},
            "nothing to do; release X is live",
        ),
        (
            {"run": ended("rollback")},
            "release X is live",
        ),
    ],
)
def test_each_servers_outcome_is_a_line(changed: dict[str, Any], said: str) -> None:
    host = FleetHost("web", given())
    for name, value in ({"begun": True} | changed).items():
        setattr(host, name, value)
    assert outcome(host) == said

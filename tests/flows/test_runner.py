"""Flows: tuples of stage names, and what is so after a failure."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import ConnectionLost, PortsideError, Refused, StepFailed
from deploy.core.facts import Facts
from deploy.core.secret import Secret
from deploy.core.steps import Step
from deploy.flows import runner, tasks
from deploy.flows.context import Run
from deploy.flows.flow import CERTS, DEPLOY, FLOWS, ROLLBACK, TRIAL
from deploy.flows.progress import Phase
from deploy.flows.restarts import ExitingContainer
from deploy.flows.stages.preflight import CHECKS
from deploy.flows.stages.registry import STAGES, Definition
from deploy.ssh.results import Result
from tests import sample
from tests.sample import Paper

STATIC = ("preflight", "lock", "provision", "build", "healthcheck", "switch", "prune")


def failed(settings: Settings, paper: Paper, **given: object) -> PortsideError:
    with pytest.raises(PortsideError) as caught:
        runner.follow(sample.run(settings, paper, **given))
    return caught.value


@pytest.mark.parametrize("name", sorted({name for flow in (*FLOWS.values(), TRIAL) for name in flow.stages}))
def test_a_stage_is_a_function_of_its_name(name: str) -> None:
    definition = STAGES[name]
    for function in filter(None, (definition.function, definition.static)):
        assert function.__name__ == name
        assert list(inspect.signature(function).parameters) == ["run", "stage"]
        assert inspect.getdoc(function)


def test_every_stage_and_check_belongs_to_a_flow() -> None:
    flows = (*FLOWS.values(), TRIAL)
    assert {name for flow in flows for name in flow.stages} == set(STAGES)
    assert {name for flow in flows for name in (*flow.early_checks, *flow.checks)} == set(CHECKS)


def test_a_deploy_looks_and_locks_before_it_changes_anything() -> None:
    assert DEPLOY.stages[:2] == ("preflight", "lock")
    assert DEPLOY.stages.index("healthcheck") < DEPLOY.stages.index("switch")


def test_a_static_site_has_no_stages_of_containers(settings: Settings, tmp_path: Path) -> None:
    assert runner.stages_of(DEPLOY, settings) == DEPLOY.stages
    static = sample.settings(tmp_path, sample.STATIC)
    assert runner.stages_of(DEPLOY, static) == STATIC
    assert runner.stages_of(ROLLBACK, static) == ("preflight", "lock", "choose", "healthcheck", "switch")
    assert runner.stages_of(CERTS, static) == CERTS.stages


def test_stages_run_in_their_order(settings: Settings, project: Path) -> None:
    paper = Paper(sample.provisioned())
    runner.follow(sample.run(settings, paper))
    told = [line.split()[1] for line in paper.transcript().splitlines() if line.startswith("## ")]
    assert [name for name in DEPLOY.stages if name in told] == list(dict.fromkeys(told))


@pytest.mark.parametrize("script", ["build", "data", "ask", "prepare", "start", "gate", "nginx", "switch"])
def test_a_failure_before_the_switch_takes_the_new_release_away(script: str, settings: Settings, project: Path) -> None:
    paper = Paper(replace(sample.live(settings), containers=(), nginx_active=False), fails=script)
    facts = paper.seen[0]
    if script != "nginx":
        paper.seen = [replace(facts, nginx_active=True)]
    run = sample.run(settings, paper)
    with pytest.raises(StepFailed):
        runner.follow(run)
    assert (paper.scripts[-2:] == ["discard", "visit"]) is (run.phase is Phase.CANDIDATE)
    assert run.phase is not Phase.LIVE


@pytest.mark.parametrize("script", ["finish", "prune"])
def test_a_failure_after_the_switch_leaves_the_new_release_live(script: str, settings: Settings, project: Path) -> None:
    paper = Paper(sample.live(settings), fails=script)
    error = failed(settings, paper)
    assert "discard" not in paper.scripts
    assert error.state.endswith("is live.")
    assert sample.OLD not in error.state


def test_a_release_that_can_not_be_taken_away_hides_no_reason(settings: Settings, project: Path) -> None:
    class Broken(Paper):
        def _result(self, step, stage):  # type: ignore[no-untyped-def]
            if step.script in {"gate", "discard"}:
                raise StepFailed(self.target, stage, step.name, 1, [])
            return super()._result(step, stage)

    assert "in the stage “healthcheck”" in failed(settings, Broken(sample.live(settings))).message


@pytest.mark.parametrize(
    ("facts", "fails", "state"),
    [
        ("live", "build", f"Release {sample.OLD} is live, as before."),
        ("live", "gate", f"Release {sample.OLD} is live, as before. 1 migration of the failed release stays applied."),
        ("provisioned", "build", "Nothing was changed."),
        ("provisioned", "ask", "The site isn't live yet."),
        ("provisioned", "gate", "The site isn't live yet. 1 migration of the failed release stays applied."),
        ("bare", "packages", "Nothing was changed."),
    ],
)
def test_a_failure_says_what_is_so_now(facts: str, fails: str, state: str, settings: Settings, project: Path) -> None:
    seen = {"live": sample.live(settings), "provisioned": sample.provisioned(), "bare": sample.bare()}
    error = failed(settings, Paper(seen[facts], fails=fails))
    assert error.state == state
    assert error.hint == "Fix this and run fab deploy -H server.example again."


def test_a_failure_before_the_server_was_reached_changed_nothing(settings: Settings, tmp_path: Path) -> None:
    sample.files(tmp_path, {"app/README": ""})
    assert failed(settings, Paper(sample.bare())).state == "Nothing was changed."


def test_an_interruption_says_where_and_what_to_type(
    settings: Settings, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(run: Run, stage: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(STAGES, "healthcheck", Definition(interrupted))
    error = failed(settings, Paper(sample.live(settings)))
    assert error.message == "Interrupted in the stage “healthcheck”."
    assert error.state == f"Release {sample.OLD} is live, as before. 1 migration of the failed release stays applied."
    assert "fab deploy -H server.example again" in error.hint


def test_an_interrupted_migration_is_said_to_end(settings: Settings, project: Path) -> None:
    class Interrupted(Paper):
        def _result(self, step, stage):  # type: ignore[no-untyped-def]
            if step.script == "migrate":
                raise KeyboardInterrupt
            return super()._result(step, stage)

    error = failed(settings, Interrupted(sample.live(settings)))
    ended = "A running migration is stopped, and PostgreSQL rolls back what it had begun."
    assert error.state == f"Release {sample.OLD} is live, as before. {ended}"


@pytest.mark.parametrize("how", [KeyboardInterrupt(), ConnectionLost("The connection was lost.")])
def test_an_interrupted_migration_that_breaks_the_live_release_may_be_applied(
    how: BaseException, settings: Settings, project: Path
) -> None:
    class Interrupted(Paper):
        def _result(self, step, stage):  # type: ignore[no-untyped-def]
            if step.script == "migrate":
                raise how
            return super()._result(step, stage)

    breaking = {"breaking": {"works.0002_more": ["drops a column"]}}
    paper = Interrupted(sample.live(settings), answer=sample.ANSWER | breaking)
    state = failed(settings, paper, allow_breaking=True).state
    assert (
        f"Release {sample.OLD} is still live, but works.0002_more may have been applied and may cause errors in it"
        in state
    )


def test_what_fails_is_told_with_its_secrets_hidden(
    settings: Settings, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(run: Run, stage: object) -> None:
        raise PortsideError("The image can't be built. Docker printed:\n    https://ann:hunter2-secret@index.example")

    monkeypatch.setitem(STAGES, "build", Definition(leaking))
    run = sample.run(settings, Paper(sample.live(settings)))
    run.report.hide([Secret("hunter2-secret")])
    with pytest.raises(PortsideError) as caught:
        runner.follow(run)
    assert "https://ann:[hidden]@index.example" in str(caught.value)
    assert "hunter2" not in str(caught.value)


MANY = sample.ANSWER | {"pending": ["a.0002", "a.0003", "a.0004"], "applied": 20}


@pytest.mark.parametrize(
    ("left", "loose", "state"),
    [
        (
            ["a.0003", "a.0004"],
            [],
            "a.0003 was rolled back completely. 1 migration of the failed release stays applied (a.0002)",
        ),
        (["a.0002", "a.0003", "a.0004"], [], "a.0002 was rolled back completely."),
        (
            ["a.0004"],
            ["a.0004"],
            "a.0004 isn't atomic, so a part of it may have been applied. Check that first. 2 migrations of",
        ),
    ],
)  # fmt: skip
def test_of_a_failed_migration_the_database_tells_how_far_it_came(
    left: list[str], loose: list[str], state: str, settings: Settings, project: Path
) -> None:
    class Failing(Paper):
        def _result(self, step, stage):  # type: ignore[no-untyped-def]
            if "migrate" in self.scripts:
                self.answer = MANY | {"pending": left}
            return super()._result(step, stage)

    paper = Failing(sample.live(settings), answer=MANY | {"loose": loose}, fails="migrate")
    error = failed(settings, paper)
    assert error.state.startswith(f"Release {sample.OLD} is live, as before. {state}")
    assert paper.scripts[-4:] == ["migrate", "ask", "discard", "visit"]


def test_the_lock_is_given_back_however_it_ends(settings: Settings, project: Path) -> None:
    for fails in ("", "gate"):
        run = sample.run(settings, Paper(sample.provisioned(), fails=fails))
        ended: list[bool] = []
        run.progress.stack.callback(ended.append, True)
        try:
            runner.follow(run)
        except StepFailed:
            assert fails
        assert ended == [True]
        assert run.server.released  # type: ignore[attr-defined]


def test_those_who_wait_for_the_lock_are_told_each_stage(settings: Settings, project: Path) -> None:
    paper = Paper(sample.provisioned())
    runner.follow(sample.run(settings, paper))
    assert paper.stages == list(DEPLOY.stages[2:])


def test_a_deploy_ends_with_where_to_look(
    settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sample.run(settings, Paper(sample.provisioned()))
    run.report.quiet = False
    tasks.deploy(run)
    told = capsys.readouterr().out
    assert f"portfolio.localhost is live on server.example: release {run.candidate.paths.id}" in told
    assert "http://portfolio.localhost/" in told
    assert [line.split()[1] for line in told.splitlines() if line.startswith("✓")] == list(DEPLOY.stages)


@pytest.mark.parametrize(
    ("hosts", "already", "said"),
    [
        (("server.example",), False, "DEPLOY_HOSTS=server.example"),
        (("one", "server.example"), False, "DEPLOY_HOSTS=one,server.example"),
        ((), False, ""),
        (("server.example",), True, ""),
    ],
)
def test_the_first_deploy_says_what_makes_its_servers_the_sites(
    hosts: tuple[str, ...], already: bool, said: str, settings: Settings, project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = sample.run(settings, Paper(sample.live(settings) if already else sample.provisioned()), hosts=hosts)
    run.report.quiet = False
    tasks.deploy(run)
    told = capsys.readouterr().out
    assert ("add this line to .env: DEPLOY_HOSTS" in told, said in told) == (bool(said), True)


def test_where_the_site_knows_its_server_it_is_not_typed(tmp_path: Path, project: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_HOSTS="server.example")
    run = sample.run(settings, Paper(sample.live(settings)))
    assert (run.fab("rollback"), run.again()) == ("fab rollback", "fab deploy")
    settings = sample.settings(tmp_path, DEPLOY_HOSTS="server.example,other")
    assert sample.run(settings, Paper(sample.live(settings))).fab("certs") == "fab certs -H server.example"


def test_what_keeps_ending_is_the_last_that_a_deploy_says(
    settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sample.run(settings, Paper(sample.live(settings)))
    run.health.failing = [ExitingContainer("queue", "The process queue keeps exiting.", ("ImportError",))]
    tasks.deploy(run)
    told = capsys.readouterr().out.splitlines()
    assert told[-3:] == [
        "! The process queue keeps exiting.", "    ImportError",
        "  Its log: fab logs --service queue -H server.example",
    ]  # fmt: skip


def test_provisioning_a_provisioned_server_says_so(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    run = sample.run(settings, Paper(sample.provisioned()), "provision")
    run.report.quiet = False
    tasks.provision(run)
    assert "server.example: nothing to do, the server is up to date." in capsys.readouterr().out


def test_a_failure_names_the_dump_where_there_is_one(settings: Settings, project: Path, tmp_path: Path) -> None:
    answer = sample.ANSWER | {"pending": ["a.0002", "b.0003"], "applied": 20}
    state = failed(settings, Paper(sample.live(settings), fails="gate", answer=answer)).state
    dump = r"/srv/portside/portfolio/backups/before-[0-9a-f-]+\.dump"
    assert re.search(rf"2 migrations of the failed release stay applied; the dump made before is {dump}\.$", state)
    elsewhere = sample.settings(tmp_path, DEPLOY_DATABASE="external", DATABASE_URL="postgres://elsewhere/x")
    state = failed(elsewhere, Paper(sample.live(settings), fails="gate", answer=answer)).state
    assert state.endswith("2 migrations of the failed release stay applied.")


@pytest.mark.parametrize(("facts", "first"), [("live", "no"), ("provisioned", "yes")])
def test_a_first_release_that_fails_leaves_nothing_live(
    facts: str, first: str, settings: Settings, project: Path
) -> None:
    paper = Paper({"live": sample.live(settings), "provisioned": sample.provisioned()}[facts], fails="gate")
    run = sample.run(settings, paper)
    with pytest.raises(StepFailed):
        runner.follow(run)
    given = f"root=/srv/portside/portfolio site=portfolio first={first} ids={run.candidate.paths.id}"
    assert f"script discard {given}" in paper.transcript()


def before(settings: Settings) -> Facts:
    """A server with one release before the live one."""
    releases = {sample.OLDER: sample.recorded(sample.OLDER), sample.OLD: sample.recorded(sample.OLD, sample.OLDER)}
    return sample.with_releases(sample.live(settings), sample.OLD, releases)


@pytest.mark.parametrize("script", ["start", "gate", "switch"])
def test_a_rollback_that_fails_only_stops_its_release(script: str, settings: Settings) -> None:
    paper = Paper(before(settings), fails=script)
    with pytest.raises(StepFailed) as caught:
        runner.follow(sample.run(settings, paper, "rollback"))
    assert paper.scripts[-2:] == ["stop", "visit"]
    assert f"script stop root=/srv/portside/portfolio site=portfolio ids={sample.OLDER}" in paper.transcript()
    stage = "healthcheck" if script == "gate" else script
    assert f'"result": "failed at {stage}"' in paper.transcript(), "for the history"
    assert "discard" not in paper.scripts
    assert caught.value.state == f"Release {sample.OLD} is live, as before."
    assert caught.value.hint == f"Fix this and run fab rollback --to {sample.OLDER} -H server.example again."


def test_a_rollback_that_fails_after_its_switch_stops_nothing(settings: Settings) -> None:
    paper = Paper(before(settings), fails="finish")
    with pytest.raises(StepFailed) as caught:
        runner.follow(sample.run(settings, paper, "rollback"))
    assert "stop" not in paper.scripts
    assert caught.value.state == f"Release {sample.OLDER} is live."


def test_a_rollback_says_how_to_go_forward_again(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    run = sample.run(settings, Paper(before(settings)), "rollback")
    run.report.quiet = False
    tasks.rollback(run)
    told = capsys.readouterr().out
    assert f"portfolio.localhost is back at {sample.OLDER} on server.example (" in told
    assert f"fab rollback --to {sample.OLD} -H server.example" in told


class Cut(Paper):
    """Stands in for a server whose connection is lost at a script."""

    def _result(self, step: Step, stage: str) -> Result:
        if step.script == self.fails:
            raise ConnectionLost("The connection to server.example was lost.")
        return super()._result(step, stage)


@pytest.mark.parametrize(
    ("fails", "state"),
    [
        ("gate", f"Release {sample.OLD} is live, as before."),
        ("switch", "The server is finishing the switch on its own. Run fab releases "),
    ],
)
def test_a_lost_connection_says_what_may_be_so_now(fails: str, state: str, settings: Settings, project: Path) -> None:
    paper = Cut(sample.live(settings), fails=fails)
    error = failed(settings, paper)
    assert error.state.startswith(state)
    assert error.hint == "Run fab deploy -H server.example again. It continues from the state that it finds."
    assert "discard" not in paper.scripts, "nothing can be sent any more"


def test_going_on_with_a_rollback_names_its_release(settings: Settings) -> None:
    """By then the one before the live one may be another."""
    with pytest.raises(ConnectionLost) as caught:
        runner.follow(sample.run(settings, Cut(before(settings), fails="switch"), "rollback"))
    assert f"Run fab rollback --to {sample.OLDER} -H server.example again" in caught.value.hint


def test_an_interruption_while_going_live_claims_nothing(settings: Settings, project: Path) -> None:
    class Impatient(Paper):
        def _result(self, step: Step, stage: str) -> Result:
            if step.script == "switch":
                raise KeyboardInterrupt
            return super()._result(step, stage)

    error = failed(settings, Impatient(sample.live(settings)))
    assert error.message == "Interrupted in the stage “switch”."
    assert error.state.startswith("The server is finishing the switch on its own. Run fab releases ")


def test_abort_clears_away_what_was_left(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    left = sample.live(settings)
    left = replace(left, releases={**left.releases, sample.NEW: {}})
    for facts, said in (
        (left, "what an interrupted run left was removed"),
        (sample.live(settings), "nothing was left to remove"),
    ):
        paper = Paper(facts)
        run = sample.run(settings, paper, "abort")
        run.report.quiet = False
        tasks.abort(run)
        assert f"server.example: {said}; {sample.OLD} is live." in capsys.readouterr().out
        assert set(paper.scripts) <= {"discard"}


def test_abort_needs_no_project(settings: Settings) -> None:
    tasks.abort(sample.run(settings, Paper(sample.provisioned()), "abort"))


def last_lines(settings: Settings, facts: Facts, capsys: pytest.CaptureFixture[str]) -> str:
    run = sample.run(settings, Paper(facts))
    run.report.quiet = False
    tasks.deploy(run)
    return capsys.readouterr().out.split("is live on server.example: release")[1]


def test_the_last_lines_of_a_deploy_say_what_is_not_encrypted_yet(
    settings: Settings, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = settings.canonical
    told = last_lines(settings, sample.provisioned(), capsys)
    assert f"http://{site}/" in told
    assert "fab certs -H server.example" in told
    told = last_lines(settings, sample.certified(sample.provisioned(), site), capsys)
    assert f"https://{site}/" in told
    assert "fab certs" not in told
    more = sample.settings(tmp_path, DEPLOY_DOMAINS=f"{site},new.example,192.0.2.7")
    told = last_lines(more, sample.certified(sample.provisioned(), site), capsys)
    assert "! Not in the certificate yet, so served without HTTPS: new.example.\n" in told


def test_the_last_lines_of_a_deploy_say_which_name_waits_for_its_certificate(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = sample.certified(sample.live(sample.settings(tmp_path)), "portfolio.localhost")
    renamed = sample.settings(tmp_path, DEPLOY_DOMAINS="new.example", DEPLOY_REDIRECT_DOMAINS="portfolio.localhost")
    told = last_lines(renamed, facts, capsys)
    assert "Look at it:   https://portfolio.localhost/" in told
    again = "Until fab certs -H server.example, it redirects temporarily to https://portfolio.localhost."
    assert f"! new.example isn't in the certificate yet. {again}\n" in told
    assert "so served without HTTPS" not in told


def test_the_last_lines_of_a_deploy_name_what_is_no_longer_the_sites_in_the_certificate(
    settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = sample.certified(sample.live(settings), settings.canonical, "gone.example")
    assert "! The certificate also covers gone.example" in last_lines(settings, facts, capsys)


def test_warnings_that_matter_are_the_last_lines(
    settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = Paper(sample.live(settings), answer=sample.ANSWER | {"unmigrated": ["notes"]})
    tasks.deploy(sample.run(settings, paper))
    assert capsys.readouterr().out.splitlines()[-1].startswith("! The models of notes have no migrations")


def test_warnings_that_matter_are_told_with_a_later_failure(settings: Settings, project: Path) -> None:
    paper = Paper(sample.live(settings), fails="gate", answer=sample.ANSWER | {"allowed_hosts": ["other.example"]})
    with pytest.raises(PortsideError) as caught:
        tasks.deploy(sample.run(settings, paper))
    assert "\n! ALLOWED_HOSTS () lacks portfolio.localhost" in str(caught.value)


def test_a_project_that_is_refused_is_taken_away_before_its_migrations(settings: Settings, project: Path) -> None:
    paper = Paper(sample.live(settings), answer=sample.ANSWER | {"debug": True})
    with pytest.raises(Refused) as caught:
        tasks.deploy(sample.run(settings, paper))
    assert caught.value.state == f"Release {sample.OLD} is live, as before."
    assert caught.value.hint.splitlines()[-1] == "Then run fab deploy -H server.example again."
    assert paper.scripts[-3:] == ["ask", "discard", "visit"]


@pytest.mark.parametrize(("kind", "traced"), [("driver", False), ("other", True)])
def test_a_project_that_does_not_start_is_refused_with_its_own_words_where_nothing_else_says_it(
    kind: str, traced: bool, settings: Settings, project: Path
) -> None:
    failed = {"kind": kind, "about": "psycopg", "text": "Error: in its own words", "where": ""}
    paper = Paper(sample.live(settings), answer=sample.ANSWER | {"failed": failed})
    with pytest.raises(PortsideError) as caught:
        tasks.deploy(sample.run(settings, paper))
    assert ("failed on server.example" in caught.value.message) == traced
    assert "in its own words" in caught.value.message
    assert paper.scripts[-3:] == ["ask", "discard", "visit"]


def test_as_json_a_deploy_says_what_it_changed(
    settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sample.run(settings, Paper(sample.live(settings)))
    tasks.deploy(run, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["site"], told["release"], told["new"]) == ("portfolio", run.candidate.paths.id, True)
    assert {"stage": "build", "step": "Build the image"} in told["changed"]
    assert len(told["changed"]) == run.progress.changes
    assert told["warnings"] == []


def test_what_a_failed_deploy_leaves_of_the_database_is_said(tmp_path: Path, project: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DATABASE_PORT="54320")
    error = failed(settings, Paper(sample.live(settings), fails="gate"))
    assert "is live, as before. The database was restarted (DEPLOY_DATABASE_PORT). That isn't undone." in error.state


def test_a_failed_deploy_leaves_the_databases_password(tmp_path: Path, project: Path) -> None:
    facts = sample.live(sample.settings(tmp_path))
    paper = Paper(facts, fails="gate")
    failed(sample.settings(tmp_path, POSTGRES_PASSWORD="another-password"), paper)
    assert paper.scripts[-3:] == ["discard", "passwords", "visit"]
    assert [step.arguments["state"] for step in paper.steps if step.script == "passwords"] == ["open", "close"]
    assert not [step for step in paper.steps if step.path in {sample.SITE.data_password, sample.SITE.record}]

"""The stages of a deploy, told step by step to a server of paper."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import PortsideError, Refused, StepFailed
from deploy.core.facts import Facts
from deploy.core.steps import Argument, Step
from deploy.flows import runner
from deploy.flows.context import Run
from deploy.flows.progress import Phase
from deploy.nginx import generation
from deploy.ssh.results import Result
from tests import sample
from tests.goldens import Texts, difference, transcript
from tests.sample import Paper

pytestmark = pytest.mark.usefixtures("steady")


def deploy(settings: Settings, paper: Paper, **given: str) -> Run:
    run = sample.run(settings, paper, **given)
    runner.follow(run)
    return run


def live_with_this(settings: Settings, project: Path) -> Facts:
    """A server on which the project is live as it is here."""
    facts = sample.live(settings)
    first = Paper(facts)
    run = deploy(settings, first)
    kept = {"source": run.candidate.source.digest, "settings": "(of the settings)"}
    return replace(facts, releases={sample.OLD: facts.releases[sample.OLD] | kept})


def test_a_first_deploy(settings: Settings, project: Path, texts: Texts, golden: Callable[[str, str], None]) -> None:
    paper = Paper(sample.provisioned())
    run = deploy(settings, paper)
    golden("deploy-first.txt", transcript(paper, texts, run.candidate.paths.id))
    assert run.phase is Phase.LIVE


def test_a_deploy_over_a_live_release(
    settings: Settings, project: Path, texts: Texts, golden: Callable[[str, str], None]
) -> None:
    paper = Paper(sample.live(settings), answer=sample.ANSWER | {"applied": 20})
    run = deploy(settings, paper)
    golden("deploy-next.txt", transcript(paper, texts, run.candidate.paths.id))


def test_a_deploy_with_every_setting(tmp_path: Path, texts: Texts, golden: Callable[[str, str], None]) -> None:
    sample.repository(tmp_path / "app", sample.PROJECT | {"build/Dockerfile": "FROM scratch\n"})
    sample.files(tmp_path, {"ca.pem": "", "overlay.ini": ""})
    sample.with_own_certificate(tmp_path, *sample.GALLERY)
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    paper = Paper(sample.provisioned())
    run = deploy(settings, paper)
    golden("deploy-every-setting.txt", transcript(paper, texts, run.candidate.paths.id))


def test_a_transcript_shows_no_secret(tmp_path: Path) -> None:
    sample.repository(tmp_path / "app", sample.PROJECT | {"build/Dockerfile": "FROM scratch\n"})
    sample.files(tmp_path, {"ca.pem": "", "overlay.ini": ""})
    sample.with_own_certificate(tmp_path, *sample.GALLERY)
    settings = sample.settings(tmp_path, sample.EVERY_SETTING)
    paper = Paper(sample.bare(), sample.provisioned())
    deploy(settings, paper)
    secrets = [value.reveal() for name, value in settings.env.items() if name not in {"POSTGRES_USER", "POSTGRES_DB"}]
    assert not [secret for secret in secrets if secret in paper.transcript()]


def test_the_same_deploy_again_changes_nothing(settings: Settings, project: Path) -> None:
    paper = Paper(live_with_this(settings, project))
    run = deploy(settings, paper)
    assert (run.candidate.unchanged, run.progress.changes, paper.scripts) == (True, 0, [])


def test_new_nginx_settings_of_the_same_release_are_served(settings: Settings, project: Path) -> None:
    facts = live_with_this(settings, project)
    facts = replace(facts, nginx_files=facts.nginx_files | {"sites/portfolio.conf": "0" * 64})
    paper = Paper(facts)
    deploy(settings, paper)
    assert paper.scripts == ["nginx", "note"]


def test_a_redirect_more_is_noted_in_the_record_of_the_same_release(
    settings: Settings, project: Path, tmp_path: Path
) -> None:
    facts = live_with_this(settings, project)
    more = sample.settings(tmp_path, DEPLOY_REDIRECT_DOMAINS="old.example")
    paper = Paper(facts)
    deploy(more, paper)
    assert set(paper.scripts) == {"nginx", "note"}
    (noted,) = (step for step in paper.steps if step.path.endswith("/release.json"))
    record = json.loads(noted.files["content"])  # type: ignore[arg-type]
    assert record == facts.releases[sample.OLD] | {"redirect_domains": ["old.example"]}


def test_the_names_are_noted_where_an_older_version_did_not(settings: Settings, project: Path) -> None:
    facts = live_with_this(settings, project)
    lacking = {"domains", "redirect_domains", "admitted"}
    older = {name: value for name, value in facts.releases[sample.OLD].items() if name not in lacking}
    paper = Paper(replace(facts, releases={sample.OLD: older}))
    deploy(settings, paper)
    (noted,) = paper.steps
    assert json.loads(noted.files["content"]) == facts.releases[sample.OLD]  # type: ignore[arg-type]


def test_a_live_release_that_is_started_anew_keeps_its_names(tmp_path: Path) -> None:
    facts = sample.going_back(sample.settings(tmp_path))
    renamed = sample.settings(tmp_path, DEPLOY_DOMAINS="new.example", DEPLOY_REDIRECT_DOMAINS="portfolio.localhost")
    paper = Paper(facts)
    roll_back(renamed, paper, to=sample.OLD)
    assert not any(step.path.endswith("/env.portside") for step in paper.steps)
    noted = [step.files["content"] for step in paper.steps if step.path.endswith("/release.json")]
    assert {json.loads(record)["domain"] for record in noted} == {"portfolio.localhost"}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hosts", "admitted"),
    [
        (["portfolio.localhost", "old.example"], ["old.example"]),
        (["portfolio.localhost"], []),
        (["*"], ["old.example"]),
    ],
)
def test_which_redirects_the_application_would_answer_is_recorded(
    hosts: list[str], admitted: list[str], tmp_path: Path, project: Path
) -> None:
    settings = sample.settings(tmp_path, DEPLOY_REDIRECT_DOMAINS="old.example")
    paper = Paper(sample.live(settings), answer=sample.ANSWER | {"allowed_hosts": hosts})
    deploy(settings, paper)
    (finish,) = (step for step in paper.steps if step.script == "finish")
    assert json.loads(finish.files["release.json"])["admitted"] == admitted  # type: ignore[arg-type]


def test_a_deploy_to_a_bare_server_looks_again_once_packages_are_there(settings: Settings, project: Path) -> None:
    paper = Paper(sample.bare(), sample.provisioned())
    deploy(settings, paper)
    assert paper.scripts[:2] == ["packages", "build"]


def test_nothing_is_sent_before_the_project_was_found(settings: Settings, tmp_path: Path) -> None:
    sample.files(tmp_path, {"app/README": ""})
    paper = Paper(sample.bare())
    with pytest.raises(Refused, match=r"no manage\.py"):
        deploy(settings, paper)
    assert (paper.connected, paper.told) == (False, [])


def test_nothing_is_told_to_a_server_that_can_not_be_served(settings: Settings, project: Path) -> None:
    paper = Paper(replace(sample.bare(), systemd=False))
    with pytest.raises(PortsideError, match="systemd"):
        deploy(settings, paper)
    assert paper.told == []


def test_a_disk_that_is_nearly_full_keeps_nobody_from_clearing_away(settings: Settings) -> None:
    run = sample.lock(settings, Paper(replace(sample.live(settings), disk_mb=1)))
    assert run.request.command == "abort"


def test_what_is_anothers_is_refused_before_anything_is_told(settings: Settings, project: Path) -> None:
    paper = Paper(replace(sample.live(settings), record={"domains": ["other.example"]}))
    with pytest.raises(Refused, match=r"is already in use on server\.example \(by other\.example") as caught:
        deploy(settings, paper)
    assert (caught.value.state, paper.told) == ("Nothing was changed.", [])


def test_a_site_that_keeps_one_of_its_domains_is_still_its_own(project: Path, tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_DOMAINS="new.example", DEPLOY_REDIRECT_DOMAINS="portfolio.localhost")
    paper = Paper(replace(sample.provisioned(), record={"domains": ["portfolio.localhost"]}))
    assert deploy(settings, paper).phase is Phase.LIVE


def test_a_database_is_dumped_before_it_is_migrated(settings: Settings, project: Path) -> None:
    for applied, dumped in ((0, False), (20, True)):
        paper = Paper(sample.live(settings), answer=sample.ANSWER | {"applied": applied})
        deploy(settings, paper)
        assert ("data/compose.yaml dump=/srv/portside/portfolio/backups/before-" in paper.transcript()) is dumped


def test_without_pending_migrations_nothing_is_migrated(settings: Settings, project: Path) -> None:
    paper = Paper(sample.live(settings), answer=sample.ANSWER | {"pending": [], "pending_in": [], "applied": 20})
    deploy(settings, paper)
    assert "Migrate" not in paper.transcript()


class Stale(Paper):
    """Others change Nginx's files in between, so many times."""

    times = 2

    def _result(self, step: Step, stage: str) -> Result:
        if step.script == "switch" and self.times:
            self.times -= 1
            self.scripts.append("switch")
            raise StepFailed(self.target, stage, step.name, generation.STALE, ["Another deploy changed Nginx's files."])
        return super()._result(step, stage)


def test_another_deploys_generation_is_planned_upon_anew(settings: Settings, project: Path) -> None:
    paper = Stale(sample.provisioned())
    assert deploy(settings, paper).phase is Phase.LIVE
    assert paper.scripts.count("switch") == 3


def test_a_generation_that_others_change_all_the_time_is_given_up(settings: Settings, project: Path) -> None:
    paper = Stale(sample.provisioned())
    paper.times = 9
    with pytest.raises(PortsideError, match="keep changing Nginx's files"):
        deploy(settings, paper)
    assert (paper.scripts.count("switch"), paper.scripts[-1]) == (5, "discard")


def test_who_waits_for_the_lock_looks_again(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper(sample.live(settings), holder="ada@laptop, since 12:00:01 UTC, now at build")
    run = sample.run(settings, paper, "abort")
    run.request, run.report.quiet = replace(run.request, wait=True), False
    runner.follow(run)
    assert (
        "waiting for another deploy to finish: ada@laptop, since 12:00:01 UTC, now at build" in capsys.readouterr().out
    )
    assert paper.looks == 2


def test_what_somebody_else_has_broken_is_refused_but_for_a_rollback(settings: Settings, project: Path) -> None:
    broken = sample.going_back(settings, nginx_broken="unknown directive in /etc/nginx/sites-enabled/theirs:1")
    paper = Paper(broken)
    with pytest.raises(PortsideError, match="theirs:1") as caught:
        runner.follow(sample.run(settings, paper))
    assert (caught.value.state, paper.scripts) == ("Nothing was changed.", [])
    roll_back(settings, Paper(broken))


def roll_back(settings: Settings, paper: Paper, to: str = "") -> Run:
    run = sample.run(settings, paper, "rollback", to=to)
    runner.follow(run)
    return run


def test_a_rollback(settings: Settings, texts: Texts, golden: Callable[[str, str], None]) -> None:
    paper = Paper(sample.going_back(settings))
    run = roll_back(settings, paper)
    golden("rollback.txt", transcript(paper, texts))
    assert (run.phase, run.candidate.paths.id) == (Phase.LIVE, sample.OLDER)


def test_a_rollback_builds_and_migrates_nothing(settings: Settings) -> None:
    paper = Paper(sample.going_back(settings))
    roll_back(settings, paper)
    assert not {"build", "ask", "prepare", "prune", "packages"} & set(paper.scripts)


def test_a_rollback_follows_the_present_settings(settings: Settings, tmp_path: Path) -> None:
    def made(present: Settings) -> bytes:
        paper = Paper(sample.going_back(settings))
        roll_back(present, paper)
        (step,) = (step for step in paper.steps if step.path.endswith("/env.portside"))
        content = step.files["content"]
        assert isinstance(content, bytes)
        return content

    present = sample.settings(tmp_path, DEPLOY_DOMAINS="portfolio.localhost,more.example")
    assert b"more.example" in made(present)
    assert b"more.example" not in made(settings)
    assert f"DEPLOY_RELEASE='{sample.OLDER}'".encode() in made(settings).replace(b'"', b"'")


def test_a_release_that_is_live_again_has_the_present_names(tmp_path: Path) -> None:
    present = sample.settings(
        tmp_path, DEPLOY_DOMAINS="new.example", DEPLOY_REDIRECT_DOMAINS="portfolio.localhost,www.example"
    )
    facts = sample.going_back(sample.settings(tmp_path))
    facts.releases[sample.OLDER]["admitted"] = ["portfolio.localhost"]
    paper = Paper(facts)
    roll_back(present, paper)
    (finish,) = (step for step in paper.steps if step.script == "finish")
    record = json.loads(finish.files["release.json"])  # type: ignore[arg-type]
    assert (record["domain"], record["domains"]) == ("new.example", ["new.example"])
    assert record["redirect_domains"] == ["portfolio.localhost", "www.example"]
    assert record["admitted"] == ["portfolio.localhost"], "what was found out when it was deployed"


def test_a_rollback_keeps_the_releases_record(settings: Settings) -> None:
    facts = sample.going_back(settings)
    paper = Paper(facts)
    roll_back(settings, paper)
    (step,) = (step for step in paper.steps if step.script == "finish")
    assert json.loads(step.files["release.json"]) == facts.releases[sample.OLDER] | {"ports": [8101]}  # type: ignore[arg-type]


def test_a_rollback_goes_where_it_is_told(settings: Settings) -> None:
    facts = sample.going_back(settings)
    releases = {**facts.releases, sample.NEW: sample.recorded(sample.NEW, sample.OLD)}
    facts = sample.with_releases(facts, sample.NEW, releases)
    assert roll_back(settings, Paper(facts), to=sample.OLDER).candidate.paths.id == sample.OLDER
    assert roll_back(settings, Paper(facts)).candidate.paths.id == sample.OLD


def test_a_rollback_runs_no_after_command(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_AFTER="python manage.py clear_cache")
    paper = Paper(sample.going_back(settings))
    roll_back(settings, paper)
    assert "after" not in paper.scripts


def test_a_rollback_to_nothing_is_refused(settings: Settings) -> None:
    facts = sample.with_releases(sample.live(settings), sample.OLD, {sample.OLD: sample.recorded(sample.OLD)})
    paper = Paper(facts)
    with pytest.raises(Refused, match="no release to roll back to") as caught:
        roll_back(settings, paper)
    assert (caught.value.state, paper.scripts) == (f"{sample.OLD} is live.", [])


def test_a_rollback_to_a_release_without_image_is_refused_and_touches_nothing(settings: Settings) -> None:
    paper = Paper(sample.going_back(settings, images=(sample.SITE.release(sample.OLD).image,)))
    with pytest.raises(Refused, match="is missing on the server") as caught:
        roll_back(settings, paper, to=sample.OLDER)
    assert caught.value.hint == f"fab deploy --ref {'5c0ffee' * 5} -H server.example rebuilds that commit."
    assert not {"start", "data", "switch"} & set(paper.scripts)


def test_a_release_without_image_is_not_chosen(settings: Settings) -> None:
    oldest = "20261101-000000-0000000"
    releases = {
        oldest: sample.recorded(oldest),
        sample.OLDER: sample.recorded(sample.OLDER, oldest),
        sample.OLD: sample.recorded(sample.OLD, sample.OLDER),
    }
    images = tuple(sample.SITE.release(name).image for name in (oldest, sample.OLD))
    paper = Paper(sample.with_releases(sample.live(settings), sample.OLD, releases, images=images))
    assert roll_back(settings, paper).candidate.paths.id == oldest


BREAKING = {"portfolio.0002_drop": ["RemoveField drops the column portfolio_work.medium"]}
PENDING = {"pending": ["portfolio.0002_drop"], "applied": 20}


def test_pending_migrations_are_listed(settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sample.run(settings, Paper(sample.live(settings), answer=sample.ANSWER | PENDING))
    run.report.quiet = False
    runner.follow(run)
    assert "  1 migration to apply: portfolio.0002_drop\n" in capsys.readouterr().out


def test_a_migration_that_breaks_the_live_release_is_refused_before_anything_is_changed(
    settings: Settings, project: Path
) -> None:
    paper = Paper(sample.live(settings), answer=sample.ANSWER | PENDING | {"breaking": BREAKING})
    with pytest.raises(PortsideError) as caught:
        deploy(settings, paper)
    assert caught.value.message.splitlines() == [
        f"This would break {sample.OLD}, which serves visitors until the switch:",
        "  portfolio.0002_drop: RemoveField drops the column portfolio_work.medium",
    ]
    assert "“Expand and contract”" in caught.value.hint
    assert "fab deploy --allow-breaking -H server.example" in caught.value.hint
    assert (caught.value.state, caught.value.exit_code) == (f"Release {sample.OLD} is live, as before.", 1)
    assert paper.scripts[-3:] == ["ask", "discard", "visit"]


def test_a_migration_that_breaks_is_applied_where_it_is_allowed(
    settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = Paper(sample.live(settings), answer=sample.ANSWER | PENDING | {"breaking": BREAKING})
    run = sample.run(settings, paper)
    run.request = replace(run.request, allow_breaking=True)
    runner.follow(run)
    assert f"! {sample.OLD} may fail until the switch:" in capsys.readouterr().out
    assert '"portfolio.0002_drop": "RemoveField drops the column portfolio_work.medium"' in paper.transcript()


def test_a_deploy_that_fails_takes_back_what_breaks_the_live_release(settings: Settings, project: Path) -> None:
    facts = sample.live(settings)
    facts.releases[sample.OLD]["leaves"] = {"portfolio": "0001_initial"}
    for fails, scripts, state in (
        ("gate", ["gate", "back", "discard", "visit"], "as before."),
        ("start", ["start", "back", "discard", "visit"], "as before."),
    ):
        paper = Paper(facts, fails=fails, answer=sample.ANSWER | PENDING | {"breaking": BREAKING})
        run = sample.run(settings, paper)
        run.request = replace(run.request, allow_breaking=True)
        with pytest.raises(StepFailed) as caught:
            runner.follow(run)
        assert paper.scripts[-4:] == scripts
        given = paper.steps[-3].arguments
        assert given["other"] == sample.SITE.release(sample.OLD).knowledge
        assert given["only"] == '["portfolio.0002_drop"]'
        assert paper.steps[-3].files["other.json"] == b'{"leaves": {"portfolio": "0001_initial"}}'
        assert caught.value.state == f"Release {sample.OLD} is live, {state}"


def test_what_can_not_be_taken_back_after_a_failure_is_said(settings: Settings, project: Path) -> None:
    paper = Paper(sample.live(settings), fails="gate back", answer=sample.ANSWER | PENDING | {"breaking": BREAKING})
    run = sample.run(settings, paper)
    run.request = replace(run.request, allow_breaking=True)
    with pytest.raises(StepFailed) as caught:
        runner.follow(run)
    why = "migration portfolio.0002_drop has been applied and may cause errors in it"
    state = f"Release {sample.OLD} is still live, but {why}. 1 migration of the failed release"
    assert caught.value.state.startswith(state)
    assert caught.value.state.endswith(" The cleanup failed: Revert migrations (1): it broke.")
    assert paper.scripts[-2:] == ["stop", "visit"], "its image alone can take them back"


def test_a_first_deploy_breaks_nobody(settings: Settings, project: Path) -> None:
    paper = Paper(sample.provisioned(), answer=sample.ANSWER | PENDING | {"breaking": BREAKING})
    assert deploy(settings, paper).phase is Phase.LIVE


def test_what_nobody_can_tell_is_said(settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unjudged = {"portfolio.0002_drop": ["RunPython forget"]}
    deploy(settings, Paper(sample.live(settings), answer=sample.ANSWER | PENDING | {"unjudged": unjudged}))
    told = (
        f"! Cannot check whether portfolio.0002_drop (RunPython forget) is safe for the running release {sample.OLD}."
    )
    assert told in capsys.readouterr().out


# A rollback, and the database

OLD_LEAVES, NEW_LEAVES = {"portfolio": "0001_initial"}, {"portfolio": "0002_drop"}
AHEAD = {"ahead": ["portfolio.0002_drop"], "applied": 20, "pending": [], "pending_in": []}


def migrated(settings: Settings, current: str = sample.OLD) -> Facts:
    """A server with two good releases; the later one knows one migration more."""
    releases = {
        sample.OLDER: sample.recorded(sample.OLDER, leaves=OLD_LEAVES),
        sample.OLD: sample.recorded(sample.OLD, sample.OLDER, leaves=NEW_LEAVES),
    }
    facts = sample.live(settings)
    return sample.with_releases(facts, current, releases, containers=(*facts.role("db"), sample.web(current)))


def back(
    settings: Settings, answered: dict[str, Any], *options: str, to: str = "", fails: str = ""
) -> tuple[Run, Paper]:
    """Roll back with these options set."""
    paper = Paper(migrated(settings), answer=sample.ANSWER | AHEAD | answered, fails=fails)
    run = sample.run(settings, paper, "rollback", to=to)
    for option in options:
        run.request = replace(run.request, **{option: True})
    runner.follow(run)
    return run, paper


def test_a_rollback_asks_the_newer_release_what_stays(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    _, paper = back(settings, {})
    assert (
        "! The database isn't rolled back: 1 migration stays applied (portfolio.0002_drop)." in capsys.readouterr().out
    )
    assert "migrate" not in paper.scripts
    old, older = sample.SITE.release(sample.OLD), sample.SITE.release(sample.OLDER)
    one, other = (step for step in paper.steps if step.script == "ask")
    given = {"manage": "/app", "application": "", "check": ""}
    assert one.arguments == {"compose": old.compose, "other": older.knowledge, **given}
    assert other.arguments == {"compose": older.compose, "other": old.knowledge, **given}
    assert one.files["other.json"] == json.dumps({"leaves": OLD_LEAVES}).encode()


def test_a_rollback_between_the_same_migrations_asks_nobody(settings: Settings) -> None:
    paper = Paper(sample.going_back(settings))
    roll_back(settings, paper)
    assert "ask" not in paper.scripts


def test_a_rollback_to_what_can_not_work_is_refused(settings: Settings) -> None:
    with pytest.raises(PortsideError) as caught:
        back(settings, {"ahead_breaking": BREAKING}, to=sample.OLDER)
    assert caught.value.message.splitlines() == [
        f"{sample.OLDER} can't work with the database as {sample.OLD} left it:",
        "  portfolio.0002_drop: RemoveField drops the column portfolio_work.medium",
    ]
    for option in ("--migrations", "--allow-breaking"):
        assert f"fab rollback --to {sample.OLDER} {option} -H server.example" in caught.value.hint
    assert (caught.value.state, caught.value.exit_code) == (f"Release {sample.OLD} is live, as before.", 1)


def test_a_rollback_to_what_can_not_work_goes_there_where_it_is_allowed(settings: Settings) -> None:
    run, paper = back(settings, {"ahead_breaking": BREAKING}, "allow_breaking")
    assert run.phase is Phase.LIVE
    assert "migrate" not in paper.scripts


def test_migrations_that_break_nobody_are_taken_back_after_the_switch(
    settings: Settings, texts: Texts, golden: Callable[[str, str], None]
) -> None:
    run, paper = back(settings, {}, "migrations")
    golden("rollback-migrations.txt", transcript(paper, texts))
    assert run.phase is Phase.LIVE
    assert paper.scripts[-3:] == ["finish", "dump", "back"]


def test_migrations_the_release_can_not_work_with_are_taken_back_before_it_starts(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    _, paper = back(settings, {"ahead_breaking": BREAKING}, "migrations")
    assert f"! {sample.OLD} may fail until the switch" in capsys.readouterr().out
    assert paper.scripts[:6] == ["ask", "ask", "dump", "back", "ask", "start"]
    step = next(step for step in paper.steps if step.script == "back")
    old, older = sample.SITE.release(sample.OLD), sample.SITE.release(sample.OLDER)
    given = {"folder": "/app", "options": OPTIONS, "other": older.knowledge, "only": ""}
    assert step.arguments == {"compose": old.compose, **given}


def test_where_nothing_can_be_taken_back_what_the_release_lacks_is_refused(settings: Settings) -> None:
    nothing = {"ahead": [], "lacking": ["there is no column portfolio_work.x"]}
    with pytest.raises(PortsideError, match="there is no column"):
        back(settings, nothing, "migrations")


def test_what_the_release_still_can_not_work_with_then_is_refused_and_applied_again(settings: Settings) -> None:
    lacking = {"lacking": ["there is no column portfolio_work.x"], "ahead_breaking": BREAKING}
    with pytest.raises(
        PortsideError, match=r"can't work with the database as it is now:\n  there is no column"
    ) as caught:
        back(settings, lacking, "migrations")
    assert caught.value.state == f"Release {sample.OLD} is live, as before."


def test_migrations_that_can_not_be_taken_back_are_refused_by_name(settings: Settings) -> None:
    stuck = {"irreversible": {"portfolio.0002_drop": "RunPython forget"}, "ahead_breaking": BREAKING}
    with pytest.raises(PortsideError, match=r"(?m)^  portfolio\.0002_drop: RunPython forget$"):
        back(settings, stuck, "migrations")


@pytest.mark.parametrize("fails", ["start", "gate", "switch"])
def test_a_rollback_that_fails_applies_again_what_it_took_back(
    fails: str, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = Paper(migrated(settings), answer=sample.ANSWER | AHEAD | {"ahead_breaking": BREAKING}, fails=fails)
    run = sample.run(settings, paper, "rollback")
    run.request = replace(run.request, migrations=True)
    with pytest.raises(StepFailed) as caught:
        runner.follow(run)
    assert paper.scripts[-3:] == ["stop", "migrate", "visit"]
    assert paper.steps[-3].arguments == forward()
    assert paper.steps[-2].name == "File /srv/portside/portfolio/site.json"
    assert caught.value.state == f"Release {sample.OLD} is live, as before."
    assert f"! Applying the migrations of {sample.OLD} again." in capsys.readouterr().out


def test_migrations_are_applied_again_while_the_database_takes_both_passwords(tmp_path: Path) -> None:
    paper = Paper(
        migrated(sample.settings(tmp_path)), answer=sample.ANSWER | AHEAD | {"ahead_breaking": BREAKING}, fails="gate"
    )
    other = sample.settings(tmp_path, POSTGRES_PASSWORD="another-password")
    run = sample.run(other, paper, "rollback", migrations=True)
    with pytest.raises(StepFailed):
        runner.follow(run)
    assert paper.scripts[-4:] == ["stop", "migrate", "passwords", "visit"]


def test_what_can_not_be_applied_again_is_left_to_the_next_command(settings: Settings) -> None:
    with pytest.raises(StepFailed) as caught:
        back(settings, {"ahead_breaking": BREAKING}, "migrations", fails="gate migrate")
    state = f"Release {sample.OLD} is still live, but its migrations are reverted. The next command applies them again."
    assert caught.value.state.startswith(state)


OPTIONS = "-c lock_timeout=10s -c client_connection_check_interval=5s"


def forward() -> dict[str, Argument]:
    """What migrate.sh is given to apply the live release's migrations again."""
    site, compose = sample.SITE, sample.SITE.release(sample.OLD).compose
    given = {"manage": "/app/manage.py", "options": OPTIONS, "mark": site.migrating}
    return {"compose": compose, **given, "aliases": ["default"]}


def test_a_rollback_that_died_between_database_and_switch_is_put_right(settings: Settings) -> None:
    facts = migrated(settings)
    behind = replace(facts, record=facts.record | {"behind": sample.OLD})
    paper = Paper(behind, behind, facts)
    sample.lock(settings, paper)
    assert paper.scripts == ["migrate"]
    assert "behind" not in str(paper.steps[-1].files["content"])
    fine = Paper(replace(facts, record=facts.record | {"behind": sample.OLDER}))
    sample.lock(settings, fine)
    assert fine.scripts == []


def test_migrations_that_can_not_be_taken_back_after_the_switch_hurt_nobody(settings: Settings) -> None:
    with pytest.raises(StepFailed) as caught:
        back(settings, {}, "migrations", fails="back")
    assert (
        caught.value.state == f"Release {sample.OLDER} is live. It needs none of the migrations that are still applied."
    )
    assert f"fab rollback --to {sample.OLD} -H server.example" in caught.value.hint


def test_forward_again_the_newer_release_applies_what_is_missing(settings: Settings) -> None:
    answers = {sample.OLDER: sample.ANSWER | AHEAD | {"ahead": []}, sample.OLD: sample.ANSWER | PENDING}
    paper = Paper(migrated(settings, sample.OLDER), answer=answers)
    roll_back(settings, paper, to=sample.OLD)
    assert paper.scripts[:5] == ["ask", "ask", "dump", "migrate", "start"]
    migrate = next(step for step in paper.steps if step.script == "migrate")
    assert migrate.arguments == forward()


def test_forward_again_what_would_break_the_live_release_is_refused(settings: Settings) -> None:
    forward = sample.ANSWER | PENDING | {"breaking": BREAKING}
    answers = {sample.OLDER: sample.ANSWER | AHEAD | {"ahead": []}, sample.OLD: forward}
    with pytest.raises(PortsideError, match=f"This would break {sample.OLDER}") as caught:
        roll_back(settings, Paper(migrated(settings, sample.OLDER), answer=answers), to=sample.OLD)
    assert f"fab rollback --to {sample.OLD} --allow-breaking -H server.example" in caught.value.hint


def test_a_release_whose_migrations_are_not_recorded_takes_none_back(settings: Settings) -> None:
    facts = migrated(settings)
    del facts.releases[sample.OLDER]["leaves"]
    run = sample.run(settings, Paper(facts, answer=sample.ANSWER | AHEAD), "rollback")
    run.request = replace(run.request, migrations=True)
    with pytest.raises(PortsideError, match="aren't recorded"):
        runner.follow(run)


@pytest.mark.parametrize(
    ("file", "answered", "told"),
    [
        ("media/logo.png", {}, "MEDIA_ROOT (/app/media) has files tracked by git"),
        ("static-root/x.css", {}, "STATIC_ROOT (/app/static-root) has files tracked by git"),
        ("media-of-mine/logo.png", {}, ""),
        ("media/logo.png", {"media_root": "/data/media"}, ""),
        ("media/logo.png", {"media_root": "", "media_url": ""}, ""),
    ],
)
def test_files_that_a_folder_of_the_server_hides_are_said(
    file: str, answered: dict[str, str], told: str, settings: Settings, project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    sample.commit(sample.files(project, {file: ""}))
    deploy(settings, Paper(sample.provisioned(), answer=sample.ANSWER | answered))
    out = capsys.readouterr().out
    assert (told in out) if told else ("git tracks" not in out)


def test_static_files_that_come_collected_are_not_hidden(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample.commit(sample.files(project, {"static-root/x.css": ""}))
    deploy(sample.settings(tmp_path, DEPLOY_COLLECTSTATIC="off"), Paper(sample.provisioned()))
    assert "git tracks" not in capsys.readouterr().out


def test_the_live_stage_is_one_run_that_needs_no_laptop(settings: Settings, project: Path) -> None:
    paper = Paper(sample.provisioned())
    deploy(settings, paper)
    assert [told.splitlines()[0] for told in paper.told if told.startswith("## switch")] == ["## switch (detached)"]


def test_what_is_not_committed_is_said(settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample.files(project, {"manage.py": "# changed", **{f"new-{number}": "" for number in range(6)}})
    deploy(settings, Paper(sample.provisioned()))
    told = capsys.readouterr().out
    assert "! Uncommitted changes are deployed: manage.py." in told
    assert "! Not in git, so not in the release: new-0, new-1, new-2, new-3 and 2 more." in told


def test_a_project_in_debug_mode_is_said(settings: Settings, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    allowed = settings.model_copy(update={"allow_debug": True})
    deploy(allowed, Paper(sample.provisioned(), answer=sample.ANSWER | {"debug": True}))
    assert "! DEBUG is on" in capsys.readouterr().out


def test_processes_that_do_not_run_are_started_by_the_same_deploy_again(tmp_path: Path, project: Path) -> None:
    settings = sample.settings(tmp_path, DEPLOY_PROCESS_QUEUE="python manage.py work")
    facts = live_with_this(settings, project)
    facts.releases[sample.OLD]["processes"] = ["queue"]
    paper = Paper(facts)
    run = deploy(settings, paper)
    assert (run.candidate.unchanged, paper.scripts) == (True, ["revive", "watch"])


def test_more_connections_than_the_database_has_are_told_before_anything_is_done(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = sample.settings(tmp_path, DEPLOY_WORKERS="8", DEPLOY_REPLICAS="4")
    deploy(settings, Paper(sample.provisioned()))
    assert "! DEPLOY_WORKERS x DEPLOY_THREADS x DEPLOY_REPLICAS is 8 x 4 x 4" in capsys.readouterr().out


def test_a_deploy_asks_by_https_once_there_is_a_certificate(settings: Settings, project: Path) -> None:
    paper = Paper(sample.encrypted(settings))
    deploy(settings, paper)
    told = paper.transcript()
    assert "compose.yaml url=https://portfolio.localhost/healthz seconds=60 again=2 protocol=http\n" in told
    assert (
        " scheme=https host=portfolio.localhost health_path=/healthz static_url=/static/ seconds=0 reading=0\n" in told
    )


def test_an_image_is_pulled_and_needs_no_project(tmp_path: Path) -> None:
    paper = Paper(sample.provisioned())
    run = deploy(sample.settings(tmp_path, **sample.PULLED), paper)
    assert paper.scripts[:3] == ["pull", "build", "network"]
    assert run.candidate.paths.id.endswith("-3d3d3d3")
    assert f'"pulled": "registry.example:5000/shop/web@sha256:{"3d" * 32}"' in paper.transcript()
    assert "token-of-registry" not in paper.transcript()


def test_a_deploy_of_a_pulled_image_is_as_any_other(
    settings: Settings, project: Path, tmp_path: Path, texts: Texts, golden: Callable[[str, str], None]
) -> None:
    built, pulled = Paper(sample.provisioned()), Paper(sample.provisioned())
    run = deploy(settings, built)
    shown = transcript(built, texts, run.candidate.paths.id)
    again = deploy(sample.settings(tmp_path, **sample.PULLED), pulled)
    theirs = again.candidate.paths.id
    other = transcript(pulled, texts, theirs).replace(theirs, run.candidate.paths.id)
    golden("deploy-pulled.txt", difference("deploy-first.txt", shown, other))


def test_a_pulled_project_gets_the_settings_that_the_image_names(tmp_path: Path) -> None:
    paper = Paper(sample.provisioned())
    deploy(sample.settings(tmp_path, **sample.PULLED), paper)
    made = [step.files["content"] for step in paper.steps if step.path.endswith("/env.portside")]
    assert [b'DJANGO_SETTINGS_MODULE="config.settings"' in content for content in made] == [False, True]  # type: ignore[operator]


@pytest.mark.parametrize(("digest", "scripts"), [("3d" * 32, ["pull"]), ("4e" * 32, ["pull", "build"])])
def test_a_tag_that_did_not_move_is_nothing_to_do(digest: str, scripts: list[str], tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, **sample.PULLED)
    facts = sample.live(settings)
    same = {"source": digest, "settings": "(of the settings)"}
    paper = Paper(replace(facts, releases={sample.OLD: facts.releases[sample.OLD] | same}))
    run = deploy(settings, paper)
    assert paper.scripts[: len(scripts)] == scripts
    assert run.candidate.unchanged == (scripts == ["pull"])


def test_a_project_that_changes_while_it_is_deployed_makes_no_release(settings: Settings, project: Path) -> None:
    class Meanwhile(Paper):
        def _result(self, step: Step, stage: str) -> Result:
            if stage == "provision":
                (project / "manage.py").write_text("# another branch\n")
            return super()._result(step, stage)

    paper = Meanwhile(sample.bare())
    with pytest.raises(PortsideError, match=r"These files changed on this machine during the deploy: manage\.py\."):
        deploy(settings, paper)
    assert "build" not in paper.scripts

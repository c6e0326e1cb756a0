"""The plan: what a deploy would do, by the stages of the deploy."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit
from rich.console import Console

from deploy.build import image, source
from deploy.build.source import Source
from deploy.cli import fabric
from deploy.cli.plan import plan as planning
from deploy.config.settings import Settings
from deploy.core.errors import Locked, PortsideError
from deploy.core.facts import Facts
from deploy.core.report import Report, Stage
from deploy.core.steps import script
from deploy.flows import runner, ship_image
from deploy.flows.context import Run
from deploy.flows.stages.registry import STAGES
from deploy.nginx import site as nginx_site
from deploy.releases import compose
from deploy.releases import record as release_record
from tests import sample
from tests.sample import Paper

pytestmark = pytest.mark.usefixtures("steady")

BREAKING = {"portfolio.0002_drop": ["drops the column work.title"]}
NEXT = sample.ANSWER | {"applied": 20, "pending": ["portfolio.0002_drop"], "breaking": BREAKING}
AT_REST = sample.ANSWER | {"applied": 20, "pending": []}


def live_with(settings: Settings, source: Source, /, **changed: Any) -> Facts:
    """A server on which this source is live; ``changed``: of its record."""
    record = sample.recorded(sample.OLD, source=source.digest, settings=release_record.fingerprint(settings))
    record |= {"dependencies": image.dependencies(settings, source), **changed}
    facts = sample.with_releases(sample.live(settings), sample.OLD, {sample.OLD: record})
    owner = {"domains": [settings.canonical], "database": settings.database}
    postgres = {"POSTGRES_USER": "portfolio", "POSTGRES_DB": "portfolio"}
    return replace(facts, record=owner | {"postgres": postgres}, containers=(*facts.role("db"), sample.web(sample.OLD)))


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def file(path: str, text: str, mode: str = "644") -> str:
    return f"file\t{mode} 0:0 {sample.digest(text)} {coded(text)} {path}"


def planned(settings: Settings, paper: Paper, ref: str = "") -> tuple[dict[str, Any], int]:
    """The plan as JSON, and the exit code."""
    run = sample.run(settings, paper, "plan", ref)
    run.report = Report(quiet=True)
    run.report.hide(fabric._secrets(settings))
    told = io.StringIO()
    run.report.results = Console(file=told, soft_wrap=True)
    code = 0
    try:
        planning.show(run, as_json=True)
    except Exit as ended:
        assert (ended.message, ended.code) == (None, 10)
        code = ended.code
    return json.loads(told.getvalue()), code


def test_where_all_is_as_it_should_be_there_is_nothing_to_do(settings: Settings, source: Source) -> None:
    paper = Paper(live_with(settings, source))
    plan, code = planned(settings, paper)
    assert (plan["changes"], plan["steps"], plan["later"], plan["drift"], code) == (0, [], {}, [], 0)
    assert (paper.looks, paper.told) == (1, []), "one round trip"


def test_a_plan_asks_and_takes_no_lock(settings: Settings, source: Source) -> None:
    paper = Paper(live_with(settings, source, source="another"), answer=AT_REST)
    _, code = planned(settings, paper)
    assert (paper.scripts, paper.released, code) == (["rehearse", "present"], False, 10)


@pytest.mark.parametrize("answer", [AT_REST, NEXT])
def test_a_plan_is_what_the_deploy_does(answer: dict[str, Any], settings: Settings, source: Source) -> None:
    facts = live_with(settings, source, source="another")
    plan, _ = planned(settings, Paper(facts, answer=answer, present=["surplus\t" + sample.OLD]))
    deployed = Paper(facts, answer=answer)
    run = sample.run(settings, deployed, allow_breaking=True)
    runner.follow(run)
    done = [step.name.replace(run.candidate.paths.id, "(new)") for step in deployed.steps]
    assert [step["name"] for step in plan["steps"]] == done


@pytest.mark.parametrize("asks", [False, True])
def test_a_step_that_no_plan_knows_is_named_and_the_plan_goes_on(
    asks: bool, settings: Settings, source: Source, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    provision = STAGES["provision"]

    def more(run: Run, stage: Stage) -> None:
        (result,) = run.apply(stage, [script("Weigh the disk", "weigh", what="disk")])
        assert not asks or result.answer["kilos"]
        provision.function(run, stage)

    monkeypatch.setitem(STAGES, "provision", replace(provision, function=more))
    paper = Paper(live_with(settings, source, source="another"), answer=AT_REST)
    plan, code = planned(settings, paper)
    unknown, *others = plan["steps"]
    assert unknown == {
        "stage": "provision", "name": "Weigh the disk", "sign": "?", "why": "what it changes isn't known", "diffs": {},
    }  # fmt: skip
    assert ("Build the image" in [step["name"] for step in others], code) == (True, 10)
    why = "The next steps depend on the answer of this one: Weigh the disk."
    assert plan["later"] == ({"provision": why} if asks else {})
    run = sample.run(settings, paper, "plan")
    run.report = Report()
    with pytest.raises(Exit):
        planning.show(run, as_json=False)
    assert "  ? Weigh the disk: what it changes isn't known\n" in capsys.readouterr().out


def test_an_image_that_is_built_here_is_planned_by_the_name_it_is_done_with(
    tmp_path: Path, settings: Settings, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship_image, "check", lambda run: None)
    facts = live_with(settings, source, source="another")
    plan, _ = planned(sample.settings(tmp_path, DEPLOY_BUILD="local"), Paper(facts, answer=AT_REST))
    loaded = ship_image.load(sample.SITE.release(sample.OLD), ship_image.Image(b"", {}, ()))
    assert [step["name"] for step in plan["steps"] if step["stage"] == "build"] == [loaded.name]


def test_of_a_bare_server_it_says_what_is_known_only_later(settings: Settings, project: Path) -> None:
    plan, _ = planned(settings, Paper(sample.bare()))
    assert list(plan["later"]) == ["prepare", "start", "healthcheck", "switch"]
    assert "no release is live" in plan["later"]["prepare"]
    assert plan["steps"][-1]["stage"] == "prepare"
    names = [step["name"] for step in plan["steps"]]
    assert "Nginx generation (new): base settings and catch-all" in names


def test_by_port_nginx_waits_for_the_port(tmp_path: Path, source: Source) -> None:
    settings = sample.settings(tmp_path, DEPLOY_UPSTREAM="port")
    plan, _ = planned(settings, Paper(live_with(settings, source, source="another"), answer=AT_REST))
    assert list(plan["later"]) == ["start", "healthcheck", "switch"]


def test_what_breaks_the_live_release_is_marked(settings: Settings, source: Source) -> None:
    plan, _ = planned(settings, Paper(live_with(settings, source, source="another"), answer=NEXT))
    assert plan["migrations"] == [
        {"name": "portfolio.0002_drop", "breaking": ["drops the column work.title"], "unjudged": []}
    ]
    assert plan["warnings"] == []


def test_what_a_deploy_refuses_a_plan_refuses(settings: Settings, project: Path) -> None:
    with pytest.raises(PortsideError, match="systemd"):
        planning.make(sample.run(settings, Paper(replace(sample.bare(), systemd=False)), "plan"))


def test_settings_of_nginx_alone_are_one_step(tmp_path: Path, settings: Settings, source: Source) -> None:
    facts = live_with(settings, source)
    text = nginx_site.site_file(settings, sample.SITE, sample.EDGE, facts)["sites/portfolio.conf"]
    changed = sample.settings(tmp_path, DEPLOY_MAX_BODY="3m")
    plan, _ = planned(changed, Paper(facts, present=[file("/etc/nginx/portside/sites/portfolio.conf", text)]))
    step, _, _, kept = plan["steps"]
    assert (kept["name"], kept["diffs"]) == (
        "File /var/lib/portside/settings/portfolio",
        {"/var/lib/portside/settings/portfolio": "[hidden]\n"},
    )
    assert (step["stage"], plan["source"]["differs"]) == ("switch", None)
    assert "client_max_body_size 3m;" in step["diffs"]["/etc/nginx/portside/sites/portfolio.conf"]


def test_how_the_compose_file_changes_is_shown(tmp_path: Path, settings: Settings, source: Source) -> None:
    facts = live_with(settings, source, source="another")
    live = sample.SITE.release(sample.OLD)
    text = compose.release_compose(settings, live, facts, sample.answer())
    changed = sample.settings(tmp_path, DEPLOY_MEMORY="256m")
    plan, _ = planned(changed, Paper(facts, answer=AT_REST, present=[file(live.compose, text)]))
    lines = [line for line in plan["compose"].splitlines()[2:] if line[0] in "+-"]
    assert lines == ['+    mem_limit: "256m"']


@pytest.mark.parametrize("secret", ["hunter2-hunter2", "hunter$2hunter", 'hun"ter\\ter', "hunter2\n hunter2;\n  ,"])
@pytest.mark.parametrize("process", ["work --token {}", "work --verbose --as '{}'", ""])
def test_no_secret_shows_wherever_it_stands(
    secret: str, process: str, tmp_path: Path, settings: Settings, source: Source
) -> None:
    facts = live_with(settings, source, source="another")
    live, include = sample.SITE.release(sample.OLD), "/etc/nginx/portside/sites/portfolio.include"
    before = sample.settings(tmp_path, DEPLOY_PROCESS_X="work --token former-token")
    text = compose.release_compose(before, live, facts, sample.answer())
    own = f"set $url https://ann:{secret}@example.com;\nset $token {secret};\nset $b {coded('ann:' + secret)};\n"
    (tmp_path / "extra.conf").write_text(own)
    changed = {"TOKEN": secret, "DEPLOY_PROCESS_X": process.format(secret), "DEPLOY_NGINX_INCLUDE": "extra.conf"}
    lines = sample.LINES | {name: value for name, value in changed.items() if value}
    told = Settings.load(sample.write_env(tmp_path / ".env", lines))
    there = [file(live.compose, text), file(include, "set $token former-token;\n")]
    plan, _ = planned(told, Paper(facts, answer=AT_REST, present=there))
    shown = json.dumps(plan)
    assert ("work" in plan["compose"]) == bool(process)
    assert "[hidden]" in plan["compose"]
    assert "set $token [hidden]" in shown
    parts = (secret, "hunter", "former-token", "correct-horse-battery", coded("ann:" + secret))
    assert not [word for word in parts if word in shown]


def test_names_that_everything_has_are_compared(settings: Settings, source: Source) -> None:
    facts = live_with(settings, source, source="another")
    present = [f"env\t{name} 0" for name in ("SECRET_KEY", "OLD_NAME", "DEPLOY_RELEASE")]
    plan, _ = planned(settings, Paper(facts, answer=AT_REST, present=present))
    assert plan["environment"]["gone"] == ["OLD_NAME"]
    assert plan["environment"]["changed"] == ["SECRET_KEY"]
    assert "DATABASE_URL" in plan["environment"]["added"]
    assert "not-so-secret-key" not in json.dumps(plan)


@pytest.mark.parametrize("known", [True, False])
def test_the_settings_module_stays_where_manage_py_does_not_name_it(
    known: bool, settings: Settings, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Source, "settings_module", lambda self: "")
    facts = live_with(settings, source, source="another", **{} if known else {"dependencies": "others"})
    plan, _ = planned(settings, Paper(facts, answer=AT_REST, present=["env\tDJANGO_SETTINGS_MODULE 0"]))
    assert ("prepare" in plan["later"]) != known
    assert (plan["environment"]["gone"], plan["environment"]["changed"]) == ([], ["DJANGO_SETTINGS_MODULE"])


def test_the_disk_that_is_needed_is_that_of_an_image_more(settings: Settings, source: Source) -> None:
    facts = live_with(settings, source, source="another")
    plan, _ = planned(settings, Paper(facts, answer=AT_REST, present=[f"image.size\t{2000 * planning.MB}"]))
    assert plan["disk"] == {"free_mb": facts.disk_mb, "needed_mb": 2001}


def test_what_certs_would_do_is_said_beside(settings: Settings, source: Source) -> None:
    plan, code = planned(settings, Paper(live_with(settings, source)))
    assert (plan["certificate"], plan["certs"], code) == (None, ["Request a certificate for portfolio.localhost"], 0)
    certified = sample.certified(sample.encrypted(settings), settings.canonical, clock=sample.CLOCK)
    assert planning.certificate(certified) == {
        "names": [settings.canonical], "until": planning.certificate(certified)["until"], "kind": "issued",  # type: ignore[index]
    }  # fmt: skip


def test_what_certs_would_refuse_is_a_warning(tmp_path: Path, source: Source) -> None:
    settings = sample.settings(tmp_path, DEPLOY_ACME_CA="none.pem")
    plan, code = planned(settings, Paper(live_with(settings, source)))
    assert (plan["certs"], code) == ([], 0)
    (warning,) = plan["warnings"]
    assert warning.startswith("fab certs would refuse: DEPLOY_ACME_CA: none.pem can't be read")


def test_a_static_site_is_planned_too(tmp_path: Path) -> None:
    settings = sample.settings(tmp_path, sample.STATIC)
    sample.repository(tmp_path / "app", {"index.html": "<h1>Hello</h1>", "a.css": "a {}"})
    facts = sample.live_static(settings, {sample.OLD: sample.recorded(sample.OLD, kind="static", replicas=0)})
    plan, _ = planned(settings, Paper(facts))
    assert plan["later"] == {}
    names = [step["name"] for step in plan["steps"]]
    assert names[:1] + names[-6:-5] == ["Check which files are new", "Put 1 of 2 files in place"] or (
        "Put 1 of 2 files in place" in names
    )


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("name", ["bare", "next"])
def test_a_reader_sees(
    name: str, verbose: bool, settings: Settings, source: Source,
    capsys: pytest.CaptureFixture[str], golden: Callable[[str, str], None],
) -> None:  # fmt: skip
    paper = Paper(sample.bare())
    if name == "next":
        present = ["surplus\t" + sample.OLDER, "env\tSECRET_KEY 0", "env\tOLD_NAME 0", "network\tyes", "listed\tyes"]
        present += ['source.new\tf 1 "config/settings.py"', 'source.old\tf 0 "config/settings.py"']
        facts = live_with(settings, source, source="another")
        older = sample.recorded(sample.OLDER)
        facts = replace(facts, releases=facts.releases | {sample.OLDER: older}, nginx_active=False)
        paper = Paper(facts, answer=NEXT, present=present)
    run = sample.run(settings, paper, "plan")
    run.report = Report(verbose=verbose)
    with pytest.raises(Exit):
        planning.show(run, as_json=False)
    text = capsys.readouterr().out.replace(f"{settings.folder}/", "")
    assert "correct-horse-battery" not in text
    if name == "bare" and not verbose:
        golden("plan-bare.txt", text)
    if name == "next" and not verbose:
        golden("plan-next.txt", text.replace(facts.nginx_generation, "(the live one)"))


def test_another_commit_can_be_planned(settings: Settings, project: Path, source: Source) -> None:
    facts = live_with(settings, source, source="another")
    (project / "config/settings.py").write_text("DEBUG = True\n")
    plan, _ = planned(settings, Paper(facts, answer=AT_REST), "HEAD")
    assert (plan["warnings"], plan["disk"]["needed_mb"]) == ([], 1024)


def pulled(folder: Path, digest: str = "") -> tuple[Settings, Facts]:
    """A site whose image is pulled, by tag or by digest, and a server on which it is live."""
    reference = f"shop/web@sha256:{digest}" if digest else "shop/web:1.4"
    settings = sample.settings(folder, DEPLOY_BUILD=reference, DEPLOY_KEEP="2")
    made = source.of_image(settings, "3d" * 32)
    return settings, live_with(settings, made, dependencies="")


def test_an_image_that_is_live_by_its_digest_is_not_pulled(tmp_path: Path) -> None:
    settings, facts = pulled(tmp_path, "3d" * 32)
    plan, code = planned(settings, Paper(facts))
    assert (plan["steps"], plan["later"], code) == ([], {}, 0)


def test_what_a_new_digest_needs_is_known_once_it_is_there(tmp_path: Path) -> None:
    settings, facts = pulled(tmp_path, "4e" * 32)
    plan, _ = planned(settings, Paper(facts))
    assert "the image is pulled" in plan["later"]["prepare"]


def test_whether_a_tag_has_moved_decides_what_is_pruned(tmp_path: Path) -> None:
    settings, facts = pulled(tmp_path)
    kept = [f"env\t{name} 0" for name in ("SECRET_KEY", "DJANGO_SETTINGS_MODULE", "OLD_NAME")]
    plan, _ = planned(settings, Paper(facts, present=[*kept, "surplus\t" + sample.OLD]))
    assert list(plan["later"]) == ["build", "prepare", "start", "healthcheck", "switch", "prune"]
    assert [step["name"] for step in plan["steps"]] == ["Pull shop/web:1.4"]
    assert (plan["pruned"], plan["environment"]["gone"]) == ([], ["OLD_NAME"])


def test_what_breaks_the_live_release_and_was_left_is_not_pruned_but_taken_away(
    settings: Settings, source: Source
) -> None:
    facts = live_with(settings, source, source="another")
    left = {sample.OLDER: {}}
    images = (*facts.images, sample.SITE.release(sample.OLDER).image)
    pending = {sample.OLDER: {"breaking": {"app.0002": "drops it"}}}
    facts = replace(facts, releases=facts.releases | left, images=images, pending=pending)
    plan, _ = planned(settings, Paper(facts, answer=AT_REST, present=[f"surplus\t{sample.OLDER}"]))
    assert "lock" in plan["later"]
    assert plan["pruned"] == []


def test_what_an_interrupted_deploy_left_is_taken_away_first(settings: Settings, source: Source) -> None:
    facts = live_with(settings, source)
    left = replace(facts, releases=facts.releases | {sample.OLDER: {}})
    plan, code = planned(settings, Paper(left))
    assert [(step["stage"], step["name"], step["sign"]) for step in plan["steps"]] == [
        ("lock", "Remove what an interrupted run left", "-")
    ]
    assert (plan["later"], code) == ({}, 10)
    assert plan["warnings"] == [f"An interrupted run left {sample.OLDER}. A deploy will remove it."]


def test_a_deploy_that_is_under_way_is_no_leftover(settings: Settings, source: Source) -> None:
    facts = live_with(settings, source)
    paper = Paper(replace(facts, releases=facts.releases | {sample.OLDER: {}}, held="ann@laptop, since 10:00:00 UTC"))
    with pytest.raises(Locked, match="ann@laptop, since 10:00:00 UTC"):
        planned(settings, paper)
    assert paper.told == []


def test_a_switch_that_was_interrupted_is_finished_first(settings: Settings, source: Source) -> None:
    facts = live_with(settings, source)
    record = facts.releases[sample.OLD]
    begun = replace(facts, releases={sample.OLD: {}}, pending={sample.OLD: record | {"instead_of": ""}})
    plan, _ = planned(settings, Paper(begun))
    assert [step["name"] for step in plan["steps"]] == [f"Switch to {sample.OLD}", "Record the release"]

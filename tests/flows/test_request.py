"""A request, and the command that does it again."""

from __future__ import annotations

import pytest

from deploy.config.settings import Settings
from deploy.flows import runner
from deploy.flows.flow import DEPLOY, FLOWS, NONE, TRIAL
from deploy.flows.request import Request
from tests import sample
from tests.sample import Paper


def test_the_same_again_has_the_same_options_and_one_more(settings: Settings) -> None:
    run = sample.run(settings, Paper(), "deploy", ref="v1", env="staging.env", wait=True)
    assert run.again() == "fab deploy --ref v1 --wait -H server.example --env staging.env"
    assert run.again(allow_breaking=True) == (
        "fab deploy --ref v1 --wait --allow-breaking -H server.example --env staging.env"
    )
    assert run.fab("releases") == "fab releases -H server.example --env staging.env"


def test_a_rollback_again_names_the_release_that_was_chosen(settings: Settings) -> None:
    run = sample.run(settings, Paper(sample.going_back(settings)), "rollback")
    assert run.again() == "fab rollback -H server.example"
    runner.follow(run)
    assert run.again(migrations=True) == f"fab rollback --to {sample.OLDER} --migrations -H server.example"


def test_a_server_that_the_settings_name_is_not_named() -> None:
    assert Request("deploy").again() == "fab deploy"
    assert Request("deploy", target="web-1").fab("certs") == "fab certs -H web-1"


def test_a_plan_looks_further_than_a_deploy_goes() -> None:
    planned = Request("deploy", allow_breaking=True, dry_run=True)
    assert planned.again() == "fab deploy"
    assert Request("deploy", allow_breaking=True).again() == "fab deploy --allow-breaking"


@pytest.mark.parametrize("command", FLOWS)
def test_a_command_has_its_flow(command: str) -> None:
    assert Request(command).flow is FLOWS[command]


def test_a_trial_of_a_certificate_has_its_own_flow_and_logs_have_none() -> None:
    assert Request("certs", staging=True).flow is TRIAL
    assert Request("deploy", staging=True).flow is DEPLOY
    assert Request("logs").flow is NONE

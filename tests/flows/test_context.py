"""One run of a flow against one server."""

from __future__ import annotations

import pytest

from deploy.config.settings import Settings
from deploy.core.errors import PortsideError
from deploy.core.paths import Site
from deploy.core.report import Stage
from deploy.core.steps import Step, folder
from deploy.host import provision
from deploy.ssh.results import Result
from tests import sample
from tests.sample import Paper


def test_a_run_without_a_release_says_so(settings: Settings) -> None:
    run = sample.run(settings, Paper(sample.bare()))
    with pytest.raises(PortsideError, match="no new release"):
        assert run.candidate.paths
    run.candidate.release = sample.SITE.release(sample.NEW)
    assert run.candidate.paths.id == sample.NEW


def test_looking_asks_for_every_file_that_is_compared(settings: Settings) -> None:
    asked: list[str] = []

    class Noting(Paper):
        def facts(self, site: Site, paths):  # type: ignore[no-untyped-def]
            asked.extend(paths)
            return super().facts(site, paths)

    run = sample.run(settings, Noting(sample.bare(), sample.provisioned()))
    run.look()
    assert run.facts == sample.bare()
    assert set(asked) == {
        *provision.watched(), run.site.data_compose, f"{run.site.data_secrets}/password", run.site.data_ready,
            run.site.data_open,
        run.site.record, run.site.settings, run.site.acme_dns(), run.site.live_compose,
    }  # fmt: skip
    run.look()
    assert run.facts == sample.provisioned()


def test_changes_are_counted(settings: Settings) -> None:
    class Half(Paper):
        def _result(self, step: Step, stage: str) -> Result:
            return Result(step, "changed" if step.path == "/a" else "unchanged", "", None, ())

    run = sample.run(settings, Half(sample.bare()))
    run.apply(Stage("test"), [folder("/a"), folder("/b"), folder("/a")])
    assert run.progress.changes == 2


def test_how_steps_are_run_is_handed_on(settings: Settings) -> None:
    paper = Paper(sample.bare())
    sample.run(settings, paper).apply(Stage("test"), [folder("/a")], lock="x.lock", big=True, detached=True)
    assert paper.told[0].startswith("## test (under x.lock, by way of the disk, detached)\n")


def test_nobody_need_hold_a_lock_to_be_told_of_a_stage(settings: Settings) -> None:
    sample.run(settings, Paper(sample.bare())).progress.report_stage("healthcheck")

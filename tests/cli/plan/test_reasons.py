"""Why a plan's step is there: another version of Portside, where it is that and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

import deploy
from deploy.build.source import Source
from deploy.cli.plan import reasons
from deploy.cli.plan.diff import Item
from deploy.cli.plan.dry_run import Taken
from deploy.config.settings import Settings
from deploy.core.facts import Facts
from deploy.core.server_paths import RENEWAL_HOOK, VERSION
from deploy.core.steps import write
from deploy.flows.context import Run
from deploy.releases import history
from tests import sample
from tests.sample import Paper

NEWER = f"because this Portside is newer: {deploy.VERSION}, after 0.0.1"
BASE, OWN = "/etc/nginx/portside/nginx.conf", "/etc/nginx/portside/sites/portfolio.conf"


@pytest.fixture
def facts(settings: Settings) -> Facts:
    """A server as version 0.0.1 left it."""
    read = sample.live(settings)
    record = read.releases[sample.OLD] | {"version": "0.0.1"}
    written = {RENEWAL_HOOK: read.files[RENEWAL_HOOK].sha256}
    return replace(
        read, portside="0.0.1", written=written, nginx_written=read.nginx_files, releases={sample.OLD: record}
    )


def why(item: Item, facts: Facts, settings: Settings, *, changed: bool = False, source: Source | None = None) -> str:
    run: Run = sample.run(settings, Paper(facts))
    run.candidate.project = source
    taken = [Taken("switch", write(run.site.settings, "other"))] * changed
    (found,) = reasons.explained([item], taken, run, facts)
    return found.why


HOOK = Item("provision", "File", "~", path=RENEWAL_HOOK)


def test_a_file_of_the_host_that_nobody_touched(facts: Facts, settings: Settings) -> None:
    assert why(HOOK, facts, settings) == NEWER
    assert why(Item("provision", "File", "~", path=VERSION), facts, settings) == NEWER


def test_a_file_of_the_host_that_somebody_changed(facts: Facts, settings: Settings) -> None:
    assert why(HOOK, replace(facts, written={RENEWAL_HOOK: "0" * 64}), settings) == ""


def test_by_the_same_version_it_is_no_reason(facts: Facts, settings: Settings) -> None:
    assert why(HOOK, replace(facts, portside=deploy.VERSION), settings) == ""


def test_a_newer_one_on_the_server_is_said_to_be(facts: Facts, settings: Settings) -> None:
    assert "because a newer Portside has managed the server: 99.1" in why(
        HOOK, replace(facts, portside="99.1"), settings
    )


def test_nginx_s_base(facts: Facts, settings: Settings) -> None:
    item = Item("provision", "Nginx generation", "~", diffs={BASE: "diff"})
    assert why(item, facts, settings, changed=True) == NEWER
    assert why(item, replace(facts, nginx_written=facts.nginx_written | {"nginx.conf": "0"}), settings) == ""


def test_the_site_s_own_files_where_no_setting_changed(facts: Facts, settings: Settings) -> None:
    item = Item("switch", "Nginx generation", "~", diffs={BASE: "diff", OWN: "diff"})
    assert why(item, facts, settings) == NEWER
    assert why(item, facts, settings, changed=True) == ""
    edited = replace(facts, nginx_written=facts.nginx_written | {"sites/portfolio.conf": "0"})
    assert why(item, edited, settings) == ""


def test_a_release_of_the_same_source(facts: Facts, settings: Settings, source: Source) -> None:
    item = Item("build", "Build the image", "+")
    same = replace(facts, releases={sample.OLD: facts.releases[sample.OLD] | {"source": source.digest}})
    assert why(item, same, settings, source=source) == NEWER
    assert why(item, facts, settings, source=source) == "", "another source"
    assert why(item, same, settings, source=source, changed=True) == ""
    assert history.live(same)["version"] == "0.0.1"


def test_what_only_looks_needs_none(facts: Facts, settings: Settings) -> None:
    assert why(Item("provision", "Look", "", path=RENEWAL_HOOK), facts, settings) == ""

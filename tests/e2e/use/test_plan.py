"""`fab plan`: what it says is what the deploy after it does, and nothing else; and it does nothing itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import fingerprint, live, shell
from ..kit.laptop import Fab
from ..kit.notes import (
    ADDED,
    EXTRA,
    INITIAL,
    SETTINGS,
    SUBJECT,
    TITLE,
    VIEW,
    holder,
    migration,
    model,
)  # fmt: skip
from ..kit.project import Project, new_repository
from ..kit.waiting import until

SECRET = "s3cr3t-value-of-the-shop"
GENERATION = re.compile(r"(?<=generation )\w{12}")
Plan = dict[str, Any]


@pytest.fixture(scope="module")
def shop(fab: Fab, bring_up: Callable[..., Practice], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny project with a database, and a server for it."""
    project = new_repository(tmp_path_factory.mktemp("projects") / "shop", fab, bring_up(begins="provisioned"))
    project.write(small.files(settings=SETTINGS))
    project.write({"hello/urls.py": VIEW, "notes/__init__.py": "", "notes/migrations/__init__.py": ""})
    project.write({**model(TITLE), "notes/migrations/0001_initial.py": INITIAL})
    project.commit("Begin")
    project.set(DEPLOY_APP=".", DEPLOY_DOMAINS="shop.test", DEPLOY_COLLECTSTATIC="off", DEPLOY_DRAIN="2",
                SECRET_KEY=SECRET, POSTGRES_PASSWORD="p" * 24)  # fmt: skip
    return project


def foretold(shop: Project) -> Plan:
    """What the plan says, which itself changes nothing on the server."""
    before = fingerprint(shop.server)
    done = shop.fab("plan", "--json", on=shop.server, project=shop)
    assert fingerprint(shop.server) == before
    told: Plan = json.loads(done.out)
    assert done.code == (10 if told["changes"] else 0), done.err
    assert SECRET not in done.text
    return told


def done(shop: Project, *words: str) -> tuple[str, list[tuple[str, str]]]:
    """What a deploy changed: the release that is live now, and the steps with their stages."""
    told = json.loads(shop.deploy("--json", *words).out)
    assert told["release"] == live(shop.server, shop.name)
    release = told["release"] if told["new"] else "(none)"
    return told["release"], [(each["stage"], each["step"].replace(release, "(new)")) for each in told["changed"]]


def compare(shop: Project, plan: Plan, *words: str) -> str:
    """Deploy: exactly what was planned is done, and, in stages that said so, more. Returns the live release."""
    planned = [(step["stage"], step["name"]) for step in plan["steps"] if step["sign"]]
    release, changed = done(shop, *words)
    if any("generation (new)" in name for _, name in planned):
        changed = [(stage, GENERATION.sub("(new)", name)) for stage, name in changed]
    more = [each for each in changed if each not in planned]
    assert [each for each in planned if each not in changed] == [], "planned, and not done"
    assert [each for each in more if each[0] not in plan["later"]] == [], "done, and not planned"
    if not plan["later"]:
        assert sorted(changed) == sorted(planned)
    return release


def names(plan: Plan) -> str:
    return "\n".join(step["name"] for step in plan["steps"])


def diffs(plan: Plan) -> str:
    return "\n".join(diff for step in plan["steps"] for diff in step["diffs"].values())


def test_a_bare_server(shop: Project, bring_up: Callable[..., Practice]) -> None:
    there = replace(shop, server=bring_up("bare"))
    plan = foretold(there)
    assert "Install nginx, certbot" in names(plan)
    compare(there, plan)


@pytest.mark.core
def test_a_first_deploy(shop: Project) -> None:
    plan = foretold(shop)
    assert {"prepare", "start", "healthcheck", "switch"} == set(plan["later"])
    assert "SECRET_KEY" in plan["environment"]["added"]
    compare(shop, plan)


@pytest.mark.core
def test_nothing_to_do(shop: Project) -> None:
    """Neither would a deploy change anything, and that is seen in one round trip."""
    plan = foretold(shop)
    assert (plan["changes"], plan["steps"], plan["later"], plan["drift"]) == (0, [], {}, [])
    told = shop.fab("plan", "--verbose", on=shop.server, project=shop, check=True)
    assert "nothing to do" in told.out
    assert told.round_trips == 1
    compare(shop, plan)


@pytest.mark.core
def test_new_code_and_an_environment_name(shop: Project) -> None:
    shop.edit("hello/urls.py", "def note(", "# Changed.\ndef note(")
    shop.write({"hello/more.py": "", ".gitignore": ".env\n__pycache__/\n*.log\n"})
    shop.commit("Change it")
    shop.set(GREETING=SECRET[::-1])
    plan = foretold(shop)
    assert plan["source"]["differs"] == {"added": ["hello/more.py"], "changed": [".gitignore", "hello/urls.py"],
                                         "gone": []}  # fmt: skip
    assert plan["environment"] == {"added": ["GREETING"], "changed": [], "gone": [], "from_shell": []}
    assert (plan["later"], plan["migrations"]) == ({}, [])
    told = shop.fab("plan", "--verbose", on=shop.server, project=shop)
    assert (told.code, told.round_trips) == (10, 3)
    assert SECRET[::-1] not in told.text
    compare(shop, plan)


def test_settings_of_nginx_alone(shop: Project) -> None:
    shop.set(DEPLOY_MAX_BODY="3m", DEPLOY_BASIC_AUTH="ann:correct-horse", GREETING=None)
    shop.set(GREETING=SECRET[::-1])
    plan = foretold(shop)
    assert "+    client_max_body_size 3m;" in diffs(plan)
    assert "$2b$" not in json.dumps(plan), "a password's hash"
    assert {step["stage"] for step in plan["steps"]} == {"switch"}
    compare(shop, plan)
    shop.set(DEPLOY_MAX_BODY=None, DEPLOY_BASIC_AUTH=None)
    plan = foretold(shop)
    assert [loss["name"] for loss in plan["losses"] if loss["needed"]] == ["DEPLOY_BASIC_AUTH"]
    compare(shop, plan, "--drop", "BASIC_AUTH")


def test_a_migration(shop: Project) -> None:
    shop.write(ADDED)
    shop.commit("Add a column")
    plan = foretold(shop)
    assert plan["migrations"] == [{"name": "notes.0002_extra", "breaking": [], "unjudged": []}]
    assert {"Dump the database", "Migrate (1)"} <= set(names(plan).splitlines())
    compare(shop, plan)


def test_a_migration_that_breaks_the_live_release_and_what_is_pruned(shop: Project) -> None:
    rename = 'migrations.RenameField("note", "title", "subject")'
    shop.write({**model(SUBJECT, EXTRA), **migration("0003_rename", rename, after="0002_extra")})
    shop.commit("Rename a column")
    shop.set(DEPLOY_KEEP="2")
    plan = foretold(shop)
    (pending,) = plan["migrations"]
    assert "renames the column notes_note.title to subject" in pending["breaking"][0]
    told = shop.fab("plan", on=shop.server, project=shop)
    assert "breaks the live release" in told.out
    assert "--allow-breaking" in told.out
    there = set(shell(shop.server, "ls /srv/portside/shop/releases").split())
    release = compare(shop, plan, "--allow-breaking")
    after = set(shell(shop.server, "ls /srv/portside/shop/releases").split())
    assert set(plan["pruned"]) == there - after != set()
    assert release in after


@pytest.mark.core
def test_what_was_changed_by_hand(shop: Project) -> None:
    shell(
        shop.server,
        """
        echo '# by hand' >>/etc/nginx/portside/sites/shop.conf
        rm /usr/local/lib/portside/guard-containers.sh
        ufw delete allow 80/tcp >/dev/null
        sed -i 's/"live-restore": true/"live-restore": false/' /etc/docker/daemon.json
        systemctl reload docker
        systemctl stop nginx
        """,
    )
    until(lambda: "false" in shell(shop.server, "docker info --format '{{.LiveRestoreEnabled}}'"), "Docker")
    plan = foretold(shop)
    drift = "\n".join(plan["drift"])
    named = ("sites/shop.conf", "Nginx is stopped", "guard-containers.sh is missing", "80 no longer open",
             "live-restore is off")  # fmt: skip
    assert [told for told in named if told not in drift] == []
    assert "-# by hand" in diffs(plan)
    assert '+    "live-restore": true' in diffs(plan)
    compare(shop, plan)


def test_a_container_that_was_stopped(shop: Project) -> None:
    """All else that was changed is as it was."""
    shell(shop.server, "docker stop $(docker ps -q --filter label=portside.site=shop --filter label=portside.role=web)")
    plan = foretold(shop)
    (told,) = plan["drift"]
    assert re.search(r"container \S+web-1\S* is exited", told)
    compare(shop, plan)


def test_what_no_deploy_would_find(shop: Project) -> None:
    """Nothing of it makes a release; the database's container and the timer a deploy brings back."""
    shell(
        shop.server,
        """
        echo '# by hand' >>/srv/portside/shop/current/compose.yaml
        echo '# by hand' >>/etc/tmpfiles.d/portside.conf
        docker rm -f $(docker ps -q --filter label=portside.site=shop --filter label=portside.role=db)
        systemctl stop certbot.timer
        """,
    )
    plan = foretold(shop)
    edited = "/srv/portside/shop/current/compose.yaml was changed by hand. The next release gets a new one."
    assert plan["drift"] == [
        "/etc/tmpfiles.d/portside.conf was changed by hand.",
        edited,
        "certbot.timer is stopped, so certificates aren't renewed.",
        "The database's container is missing.",
    ]
    compare(shop, plan)
    assert foretold(shop)["drift"] == [edited]


def test_while_a_deploy_is_under_way_only_that_is_said(shop: Project) -> None:
    shop.edit("hello/urls.py", "# Changed.", "# Changed again.")
    shop.commit("Change it again")
    with shop.with_settings(DEPLOY_BEFORE="'sleep 5'"):
        first = shop.fab.start("deploy", on=shop.server, project=shop)
        until(lambda: "prepare" in holder(shop), "the deploy to be at work")
        told = shop.fab("plan", on=shop.server, project=shop)
        first.end(check=True)
    assert told.code == 3
    assert "now at prepare" in told.err
    assert "interrupted" not in told.text


def test_a_static_site(shop: Project, tmp_path: Path) -> None:
    pages = new_repository(tmp_path / "pages", shop.fab, shop.server)
    pages.write({"site/index.html": "<h1>Hello</h1>", "site/a.css": "a {}"})
    pages.commit("Begin")
    pages.set(DEPLOY_KIND="static", DEPLOY_APP="site", DEPLOY_DOMAINS="pages.test")
    plan = foretold(pages)
    assert plan["later"] == {}
    compare(pages, plan)
    pages.edit("site/a.css", "a {}", "b {}")
    plan = foretold(pages)
    assert "Put 1 of 2 files in place" in names(plan)
    compare(pages, plan)

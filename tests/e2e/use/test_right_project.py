"""What goes live is what the repository holds, of the project that is meant, under a name of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import live, shell
from ..kit.laptop import Done
from ..kit.project import Project
from ..kit.visitors import ask

DOMAIN, STAGING = "right.test", "staging.right.test"
KEY = "x7Gq2lPz-9rT4uVwX_k3Jm8NbQ5sYd6Fh1Ac0Ee-of-the-right"


@pytest.fixture(scope="module")
def right(projects: Callable[[str], Project]) -> Project:
    """A project of which a part is a submodule, and of which git archive would leave out a file."""
    library = projects("library")
    library.write({"greeting.py": 'GREETING = "from the submodule"\n'})
    library.commit("Begin")
    made = projects("right")
    made.write(small.files())
    made.edit(
        "hello/urls.py", "def hello", "from lib.greeting import GREETING\nfrom hello.more import MORE\n\ndef hello"
    )
    made.edit("hello/urls.py", "return JsonResponse(said", "return JsonResponse(said | {'says': GREETING + MORE}")
    made.write({"hello/more.py": 'MORE = "!"\n', ".gitattributes": "hello/more.py export-ignore\n*.txt eol=crlf\n"})
    made.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.root), "lib")
    made.commit("Begin")
    made.set(DEPLOY_DOMAINS=DOMAIN, DEPLOY_DATABASE="none", DEPLOY_COLLECTSTATIC="off", SECRET_KEY=KEY,
             SITE_ROOT=f"http://{DOMAIN}", FRAMEWORK="django", DB="postgres")  # fmt: skip
    return made


@pytest.fixture(scope="module")
def first(right: Project) -> Done:
    return right.deploy("--verbose")


def said(server: Practice, host: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(ask(server, host).text)
    return found


@pytest.mark.core
def test_preflight_names_the_project(right: Project, first: Done) -> None:
    commit = right.git("rev-parse", "HEAD")[:7]
    assert f"  {DOMAIN}: {right.root}, commit {commit}, settings hello.settings\n" in first.out
    assert first.release.endswith(commit)


@pytest.mark.core
def test_a_submodule_is_part_of_it(right: Project, first: Done) -> None:
    assert said(right.server, DOMAIN)["says"] == "from the submodule!"


@pytest.mark.core
def test_the_address_is_shown_and_the_key_is_not(first: Done) -> None:
    assert f"Look at it:   http://{DOMAIN}/\n" in first.out
    assert KEY[:12] not in first.text
    assert "django" in first.out


@pytest.mark.core
def test_its_commit_is_the_same_release(right: Project, first: Done) -> None:
    again = right.deploy("--ref", "HEAD")
    assert f"nothing to do; {first.release} is live" in again.out
    assert live(right.server, "right") == first.release


def test_a_submodule_that_is_not_checked_out_is_refused(right: Project, first: Done) -> None:
    right.git("submodule", "--quiet", "deinit", "--all", "--force")
    try:
        done = right.deploy(check=False)
        assert (done.code, "aren't checked out: " in done.err, "lib." in done.err) == (2, True, True)
        assert f"nothing to do; {first.release} is live" in right.deploy("--ref", "HEAD").out, (
            "git keeps it all the same"
        )
    finally:
        right.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init")


def test_another_environment_file_is_another_site(right: Project, first: Done) -> None:
    text = right.env.read_text().replace(DOMAIN, STAGING)
    (right.root / ".env.staging").write_text(text)
    done = right.fab("deploy", "--env", str(right.root / ".env.staging"), on=right.server, check=True)
    assert live(right.server, "right-staging") == done.release
    assert live(right.server, "right") == first.release
    for host in (DOMAIN, STAGING):
        assert said(right.server, host)["says"] == "from the submodule!"


def test_no_command_runs_in_a_release_of_another_project(projects: Callable[[str], Project], first: Done) -> None:
    thief = projects("thief")
    thief.write(small.files())
    thief.commit("Begin")
    thief.set(DEPLOY_SITE="right", DEPLOY_DOMAINS="thief.test", DEPLOY_DATABASE="none", SECRET_KEY=KEY)
    for words in (("manage", "check"), ("maintenance",), ("deploy",)):
        done = thief.fab(*words, on=thief.server, project=thief)
        assert (done.code, f"(by {DOMAIN})" in done.err) == (2, True)


def test_a_name_is_its_owners_though_the_first_build_failed(projects: Callable[[str], Project], first: Done) -> None:
    early, late = projects("early"), projects("late")
    early.write(small.files(requirements="django @ file:///nowhere\n"))
    late.write(small.files())
    for project, domain in ((early, "early.test"), (late, "late.test")):
        project.commit("Begin")
        project.set(DEPLOY_DOMAINS=domain, DEPLOY_SITE="early", DEPLOY_DATABASE="none", SECRET_KEY=KEY)
    assert early.deploy(check=False).code == 1
    record = shell(early.server, "cat /srv/portside/early/site.json")
    done = late.deploy(check=False)
    assert (done.code, "(by early.test, which isn't live yet)" in done.err) == (2, True)
    assert "DEPLOY_REDIRECT_DOMAINS=early.test" in done.err
    assert shell(early.server, "cat /srv/portside/early/site.json") == record
    assert os.fspath(early.root) not in done.text

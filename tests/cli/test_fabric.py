"""The tasks, through the real fab: what it refuses and how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from getpass import getuser
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

import fabfile
from deploy.cli import fabric
from deploy.core import secret
from deploy.core.errors import Refused
from deploy.core.files import TOP
from deploy.core.steps import quote
from tests import sample

CHECKOUT = TOP
NAMES = [
    "doctor", "init", "plan", "provision", "deploy", "rollback", "abort", "releases", "manage", "remove", "practice",
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o500)
    return folder


def fab(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        (Path(sys.executable).with_name("fab"), *words),
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


def test_every_task_is_listed_with_a_sentence(home: Path) -> None:
    listed = dict(re.findall(r"^  (\w+) +(\S.*)$", fab(home, "--list").stdout, re.MULTILINE))
    defined = {value.name for value in vars(fabfile).values() if isinstance(value, type(fabfile.deploy))}
    assert set(listed) == defined >= set(NAMES)
    assert [sentence[0].isupper() for sentence in listed.values()] == [True] * len(listed)


def test_a_module_is_imported_when_a_function_of_it_is_called() -> None:
    code = (
        "import sys, fabfile\nassert 'deploy.build.errors' not in sys.modules\n"
        "assert fabfile.LazyModule('build.errors').hint([]) == ''\n"
    )
    subprocess.run((sys.executable, "-c", code), cwd=CHECKOUT, check=True, timeout=180)


@pytest.mark.parametrize(
    "words",
    [
        ("plan",),
        ("deploy",),
        ("provision",),
        ("rollback",),
        ("abort",),
        ("releases",),
        ("remove",),
        ("manage", "check"),
        ("run", "uptime"),
        ("logs",),
        ("shell",),
        ("psql",),
        ("ssh",),
    ],
)
def test_without_a_host_a_task_refuses_and_says_what_to_type(words: tuple[str, ...], home: Path) -> None:
    done = fab(home, *words)
    assert (done.returncode, done.stdout) == (2, "")
    named = ", or set DEPLOY_HOSTS=user@host in .env"
    assert done.stderr == f"Which server? Run fab {quote(words)} -H user@host{named}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-H", "127.0.0.1:1", "status", "--", "true"), "Run ssh user@host COMMAND instead."),
        (("status", "-H", "127.0.0.1:abc"), "“127.0.0.1:abc” after -H, or in ssh_config, isn't a host."),
    ],
)
def test_what_fabric_would_do_past_the_tasks_is_refused(words: tuple[str, ...], said: str, home: Path) -> None:
    done = fab(home, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()


def test_ssh_config_is_read_with_what_it_includes(tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / ".env", sample.LINES)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Include hosts\n")
    (tmp_path / ".ssh/hosts").write_text("Host web\n    HostName 127.0.0.1\n    Port 1\n    User ann\n")
    done = fab(tmp_path, "status", "-H", "web", "--env", str(path))
    assert "No SSH server answers at 127.0.0.1, port 1." in done.stderr
    assert "Try ssh -p 1 ann@127.0.0.1" in done.stderr
    done = fab(tmp_path, "status", "-H", "web,ann@127.0.0.1:1", "--env", str(path))
    assert "web and ann@127.0.0.1:1 are the same server." in done.stderr


def test_without_a_host_what_was_typed_is_kept(home: Path) -> None:
    done = fab(home, "rollback", "--to", "X", "--env", "staging.env")
    assert done.stderr.startswith("Which server? Run fab rollback --to X -H user@host --env staging.env, or set ")


def nowhere(*ports: int) -> str:
    """Servers at which nothing answers."""
    return ",".join(f"127.0.0.1:{port}" for port in ports)


@pytest.mark.parametrize("task", ["provision", "deploy", "status"])
def test_several_servers_are_tried_once_each_and_summed_up(task: str, home: Path, tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / ".env", {**sample.LINES, "DEPLOY_APP": str(CHECKOUT / "app")})
    done = fab(home, task, "-H", nowhere(1, 2), "--env", str(path))
    assert done.returncode == 1
    tried = [done.stderr.count(f"127.0.0.1:{n} | No SSH server answers at 127.0.0.1, port {n}.\n") for n in (1, 2)]
    # What fails on one server may stop a deploy on the other before that one is tried.
    assert tried == [1, 1] or (task == "deploy" and sorted(tried) == [0, 1])
    assert done.stderr.splitlines()[-1] == f"Fix what failed, then run fab {task} -H {nowhere(1, 2)} --env {path}"


def test_the_first_of_several_may_be_named_with_the_user_it_has_anyway(home: Path, tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / ".env", sample.LINES)
    done = fab(home, "provision", "-H", f"{getuser()}@{nowhere(1, 2)}", "--env", str(path))
    assert (done.returncode, done.stderr.count("No SSH server answers")) == (1, 4)


def test_a_server_is_gone_to_once_however_often_it_is_named() -> None:
    calls = fabric._Executor(None, None).normalize_hosts(["web-1", "web-2", " web-1", "", "web-2"])
    assert calls == [{"host": "web-1"}, {"host": "web-2"}]


@pytest.mark.parametrize("hosts", ["web-1,web-1", "web-1,web-2,web-1", "web-1,", ",web-1"])
def test_what_is_done_on_this_machine_is_done_once(hosts: str, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.env"
    done = fab(home, "init", "--env", str(path), "-H", hosts)
    assert (done.returncode, done.stderr, path.exists()) == (0, "", True)


def test_nothing_but_a_comma_is_no_server(home: Path) -> None:
    done = fab(home, "deploy", "-H", ",")
    assert (done.returncode, done.stderr.partition(",")[0]) == (2, "Which server? Run fab deploy -H user@host")


def test_settings_at_fault_are_findings_for_several_servers_too(home: Path, tmp_path: Path) -> None:
    done = fab(home, "doctor", "-H", nowhere(1, 2), "--env", str(tmp_path / "none.env"))
    assert (done.returncode, done.stderr) == (1, "")
    assert "fab init" in done.stdout


def test_in_turn_the_rest_is_not_begun_once_one_fails(home: Path, tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / ".env", sample.LINES)
    done = fab(home, "certs", "-H", nowhere(1, 2), "--env", str(path))
    assert done.stderr.splitlines()[-2:] == [
        "  127.0.0.1:2  not started",
        f"Fix what failed, then run fab certs -H {nowhere(1, 2)} --env {path}",
    ]


def test_settings_at_fault_are_told_once_for_several_servers(home: Path, tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / "bad.env", {"DEPLOY_SITE": "No"})
    done = fab(home, "deploy", "-H", nowhere(1, 2), "--env", str(path))
    assert (done.returncode, done.stderr.count("DEPLOY_SITE")) == (2, 1)


def test_the_same_server_twice_is_done_once_and_under_two_names_refused(home: Path, tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / ".env", sample.LINES)
    done = fab(home, "provision", "-H", nowhere(1, 1), "--env", str(path))
    assert (done.returncode, done.stderr.count("No SSH server answers")) == (1, 1), "as with one server"
    done = fab(home, "provision", "-H", "127.0.0.1:1,ann@127.0.0.1:1", "--env", str(path))
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "127.0.0.1:1 and ann@127.0.0.1:1 are the same server.",
    )


def test_a_sudo_password_is_not_told_with_debug(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FABRIC_SUDO_PASSWORD", "hunter2-hunter2")
    path = sample.write_env(tmp_path / ".env", sample.LINES)
    done = fab(home, "--debug", "provision", "-H", nowhere(1), "--env", str(path))
    assert "invoke" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_settings_at_fault_are_refused_all_at_once(home: Path, tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / "bad.env", {"DEPLOY_SITE": "No", "DEPLOY_PROT": "80", "SECRET_KEY": "hunter2"})
    done = fab(home, "deploy", "-H", "server.invalid", "--env", str(path))
    assert done.returncode == 2
    for name in ("DEPLOY_SITE", "DEPLOY_PROT", "DEPLOY_DOMAINS", "POSTGRES_PASSWORD"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_an_environment_file_that_is_not_there_is_refused(home: Path, tmp_path: Path) -> None:
    done = fab(home, "deploy", "-H", "server.invalid", "--env", str(tmp_path / "none.env"))
    assert done.returncode == 2
    assert "fab init" in done.stderr


def test_a_name_is_short_for_the_environment_file_that_ends_so(home: Path) -> None:
    assert ".env.nowhere" in fab(home, "deploy", "-H", "server.invalid", "--env", "nowhere").stderr


def test_init_writes_a_file_that_deploy_can_read(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.env"
    assert fab(home, "init", "--domains", "a.example", "--env", str(path)).returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    again = fab(home, "init", "--env", str(path))
    assert (again.returncode, again.stderr.splitlines()[0]) == (2, f"{path} already exists and was not changed.")


def test_every_option_of_a_task_is_explained() -> None:
    for task in (value for value in vars(fabfile).values() if isinstance(value, type(fabfile.deploy))):
        options = set(task.body.__wrapped__.__annotations__) - {"c", "return"}
        assert options <= set(task.help), task.name


COMPLETE = """
eval "$(fab --print-completion-script bash)"
COMP_WORDS=($1) COMP_CWORD=$2
_complete_fab fab "${COMP_WORDS[$2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("typed", "word", "offered"),
    [
        ("fab ro", 1, {"rollback"}),
        ("fab pro", 1, {"provision"}),
        ("fab deploy --al", 2, {"--allow-breaking"}),
        ("fab rollback --m", 2, {"--migrations"}),
        ("fab ps", 1, {"psql"}),
        ("fab ru", 1, {"run"}),
        ("fab logs --fo", 2, {"--follow"}),
    ],
)
def test_the_tab_key_completes_tasks_and_options(typed: str, word: int, offered: set[str]) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ("bash", "-c", COMPLETE, "bash", typed, str(word)),
        cwd=CHECKOUT, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True, timeout=180,
    )  # fmt: skip
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(shell: str, home: Path) -> None:
    script = fab(home, "--print-completion-script", shell).stdout
    assert re.search(r"fab .*--complete -- ", script)


def test_names_that_are_no_secret_stay_readable() -> None:
    assert {"ALLOWED_HOSTS", "POSTGRES_USER"} <= secret.PUBLIC
    assert not {"SECRET_KEY", "POSTGRES_PASSWORD", "DATABASE_URL"} & secret.PUBLIC


def secrets(folder: Path, **changed: str) -> set[str]:
    return {secret.reveal() for secret in fabric._secrets(sample.settings(folder, **changed))}


def test_the_applications_values_are_masked(tmp_path: Path) -> None:
    assert secrets(tmp_path) == {"not-so-secret-key", "correct-horse-battery"}


def test_what_everybody_knows_is_not_masked(tmp_path: Path) -> None:
    given = {"SITE_NAME": "Portfolio", "MAIN_HOST": "portfolio.localhost", "TOKEN": "hunter2-hunter2"}
    assert secrets(tmp_path, **given) == {"not-so-secret-key", "correct-horse-battery", "hunter2-hunter2"}


def test_an_account_of_the_authoritys_is_masked(tmp_path: Path) -> None:
    assert "hunter2-hunter2" in secrets(tmp_path, DEPLOY_ACME_EAB_KID="kid", DEPLOY_ACME_EAB_HMAC_KEY="hunter2-hunter2")


def test_a_password_in_an_index_is_masked(tmp_path: Path) -> None:
    assert "hunter2" in secrets(tmp_path, DEPLOY_PIP_INDEX="https://ann:hunter2@packages.example/simple")
    assert secrets(tmp_path, DEPLOY_PIP_INDEX="https://packages.example/simple") == secrets(tmp_path)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device"), 1, "This machine failed: [Errno 28] No space left on device."),
        (Refused("No."), 2, "No."),
        (KeyboardInterrupt(), 1, ""),
    ],
)
def test_a_failure_is_told_and_not_traced_back(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(c: object) -> None:
        """Breaks."""
        raise error

    with pytest.raises(Exit) as caught:
        fabric.task(broken).body(Context())
    assert (caught.value.code, capsys.readouterr().err.strip()) == (code, said)


def hosts(home: Path, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`fab` for a site whose settings name these."""
    path = sample.write_env(folder / ".env", {**sample.LINES, **more})
    return fab(home, *words, "--env", str(path))


@pytest.mark.parametrize("words", [("status",), ("logs",), ("run", "uptime"), ("psql",), ("rollback",), ("doctor",)])
def test_without_h_a_task_goes_where_the_site_says(words: tuple[str, ...], home: Path, tmp_path: Path) -> None:
    done = hosts(home, tmp_path, *words, DEPLOY_HOSTS=nowhere(1))
    assert done.returncode == 1
    assert f"No SSH server answers at {nowhere(1).replace(':', ', port ')}." in done.stdout + done.stderr


def test_h_wins_over_what_the_site_says(home: Path, tmp_path: Path) -> None:
    done = hosts(home, tmp_path, "status", "-H", nowhere(2), DEPLOY_HOSTS=nowhere(1))
    assert "port 2." in done.stderr
    assert "port 1." not in done.stderr


def test_several_of_the_sites_servers_are_gone_to(home: Path, tmp_path: Path) -> None:
    done = hosts(home, tmp_path, "provision", DEPLOY_HOSTS=f"{nowhere(1, 2)}, {nowhere(1)}")
    assert done.stderr.count("No SSH server answers") == 4, "once as each ends, once in the sum"


def test_a_server_that_can_not_be_is_refused_by_its_name(home: Path, tmp_path: Path) -> None:
    done = hosts(home, tmp_path, "status", DEPLOY_HOSTS="web:99999")
    assert done.returncode == 2
    assert done.stderr.startswith("DEPLOY_HOSTS: “web:99999” should be user@host")
    done = hosts(home, tmp_path, "doctor", DEPLOY_HOSTS="web:99999")
    assert (done.returncode, "DEPLOY_HOSTS" in done.stdout) == (1, True)


def test_without_a_host_it_says_where_the_site_was_last_deployed_to(home: Path, tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / "staging.env", {**sample.LINES, "DEPLOY_SITE": "shop"})
    state = sample.files(
        tmp_path, {"portside/shop/20261120-192000-deploy-ann_web-1-7.log":
                   "fab deploy -H ann@web-1, the site shop, 2026-11-20\n    1.0  ✓ live  x\n"},
    )  # fmt: skip
    environment = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(state)}
    done = subprocess.run(
        (Path(sys.executable).with_name("fab"), "run", "ls -l", "--env", str(path)),
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        f"Which server? Run fab run 'ls -l' -H ann@web-1 --env {path} (the server of the last deploy of "
        f"shop from this machine), or set DEPLOY_HOSTS=ann@web-1 in {path}\n",
    )


def test_init_writes_the_server_that_it_is_given(home: Path, tmp_path: Path) -> None:
    for name, words, line in (("a", (), "#DEPLOY_HOSTS="), ("b", ("-H", "web-1,ann@web-2"), "DEPLOY_HOSTS=web-1,ann@")):
        done = fab(home, "init", "--domains", "a.example", "--env", str(tmp_path / name), *words)
        assert done.returncode == 0
        assert f"\n{line}" in (tmp_path / name).read_text()
        assert done.stdout.rstrip().endswith("fab deploy" if words else "fab deploy -H user@server")


def test_drop_may_be_given_more_than_once(home: Path) -> None:
    for words in (("--drop", "A", "--drop", "B,C"), ("--drop=A,B", "--drop", "C")):
        done = fab(home, "rollback", *words, "-H", ",")
        assert (done.returncode, done.stderr.partition(", or")[0]) == (
            2,
            "Which server? Run fab rollback --drop A,B,C -H user@host",
        )


def test_an_environment_file_that_is_there_is_not_pulled_over(home: Path, tmp_path: Path) -> None:
    path = sample.write_env(tmp_path / ".env", sample.LINES)
    done = fab(home, "env", "--pull", "--yes", "-H", nowhere(1), "--env", str(path))
    assert (done.returncode, "was not changed" in done.stderr) == (2, True)


def test_what_no_task_needs_yet_is_not_imported() -> None:
    """Each fab starts with that: the server is being reached before the rest is imported."""
    late = "('deploy.flows.stages', 'deploy.releases', 'deploy.host', 'deploy.nginx.templates', 'jinja2', 'docker')"
    code = f"import sys, fabfile\nprint([name for name in {late} if name in sys.modules])"
    done = subprocess.run((sys.executable, "-c", code), cwd=CHECKOUT, check=True, timeout=180, capture_output=True)
    assert done.stdout == b"[]\n"

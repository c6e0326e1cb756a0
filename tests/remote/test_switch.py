"""remote/switch.sh run for real, on folders of this machine; programs of the test's stand in for Nginx and Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from deploy.core.steps import Argument, named
from deploy.ssh.payload import REMOTE
from deploy.ssh.results import OWN
from tests import sample

OLD, NEW = sample.OLD, sample.NEW

# What Nginx serves is what its link named at its last reload. $FAULT: what goes wrong, once $AT is live.
PROGRAMS = {
    "docker": 'echo "docker $*" >>"$LOG"\n',
    "journalctl": "",
    "sync": '[ "$1" = -f ] || exec /bin/sync "$@"\n',
    "unshare": 'case $FAULT in refused) ! grep -qx "$AT" "$7/new-name" ;; esac\n',
    "systemctl": """\
case $1 in
reload) echo "reload $(basename "$(readlink "$TOP/nginx/portside")")" >>"$LOG"
    [ "$FAULT" = unproved ] && [ -e "$TOP/nginx/portside/is-$AT" ] || readlink "$TOP/nginx/portside" >"$TOP/served" ;;
esac
""",
    "curl": """\
for url in "$@"; do :; done
live=$(basename "$(readlink "$TOP/site/current")")
case $url in
*/generation) basename "$(cat "$TOP/served")" ;;
*/release/*) echo "$live" ;;
*/s/x.css) printf 200 ;;
*/well) case $FAULT in ill*) printf 302 ;; *) printf 200 ;; esac ;;
*) printf 404 ;;
esac
""",
    # visit.py
    "python3": """\
[ "$3 $4 $5" = "$PORTSIDE_FILES/visit.py $PORTSIDE_FILES/nginx.json https://art.example/well" ] || exit 2
echo '{"url": "…"}' >"$6"
live=$(basename "$(readlink "$TOP/site/current")")
case $FAULT in
ill) [ "$live" != "$AT" ] ;;
ill-by-nginx) ! grep -q "/$AT$" "$TOP/served" ;;
esac || { echo "Redirects:"; echo "Through Nginx it answers 500."; exit 1; }
""",
}


@dataclass
class Machine:
    """A site's folder with a live release and a new one, beside Nginx's with a live generation."""

    top: Path

    @property
    def live(self) -> str:
        return (self.top / "site/current").readlink().name if (self.top / "site/current").is_symlink() else ""

    @property
    def generation(self) -> str:
        return (self.top / "nginx/portside").readlink().name

    @property
    def served(self) -> str:
        return Path((self.top / "served").read_text().strip()).name

    @property
    def log(self) -> list[str]:
        path = self.top / "log"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, script: str, *, fault: str = "", at: str = "", **given: Argument) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ, "PATH": f"{self.top}/bin:{os.environ['PATH']}", "PORTSIDE": str(self.top),
            "PORTSIDE_FILES": f"{self.top}/files", "TOP": str(self.top), "LOG": f"{self.top}/log", "FAULT": fault,
            "AT": at,
        }  # fmt: skip
        done = subprocess.run(
            ("sh", self.top / f"remote/{script}.sh", *named(given)), env=environment, capture_output=True, text=True,
            timeout=180, check=False,
        )  # fmt: skip
        done.stdout = done.stdout.replace(OWN, "")
        return done

    def switch(
        self, bridge: str = "", final: str = "", *, old: str = OLD, before: str = "g0", fault: str = "", at: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return self.run(
            "switch",
            root=f"{self.top}/site",
            site="art",
            id=NEW,
            old=old,
            status_port=8099,
            page="",
            before=before,
            bridge=bridge,
            final=final,
            scheme="https",
            host="art.example",
            health_path="/well",
            static_url="/s/",
            seconds=0,
            reading=0,
            fault=fault,
            at=at,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for script in REMOTE.glob("*.sh"):
        text = script.read_text(encoding="utf-8").replace("/etc/nginx", f"{tmp_path}/nginx")
        text = text.replace("/run/portside", f"{tmp_path}/locks").replace("/run/nginx.pid", f"{tmp_path}/nginx.pid")
        text = text.replace("$(($(now) + 15))", "$(now)")
        sample.files(tmp_path / "remote", {script.name: text})
    for name, text in PROGRAMS.items():
        sample.files(tmp_path / "bin", {name: f"#!/bin/sh\n{text}"})
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("bridge", "final"):
        sample.files(
            tmp_path / "files", {f"{name}/kept": "", f"{name}/new/new-name": name, f"{name}/new/is-{name}": ""}
        )
    sample.files(tmp_path, {"files/main": "", "nginx/nginx.conf": "", "nginx/portside.d/g0/x": "", "locks/x": ""})
    (tmp_path / "nginx/portside").symlink_to(tmp_path / "nginx/portside.d/g0")
    sample.files(tmp_path, {"served": f"{tmp_path}/nginx/portside.d/g0\n", "nginx.pid": "1\n"})
    for identity in (OLD, NEW):
        sample.files(tmp_path / "site/releases" / identity, {"id": identity, "static/x.css": ""})
    (tmp_path / "site/current").symlink_to(f"releases/{OLD}")
    return Machine(tmp_path)


def test_the_usual_switch_is_one_rename_and_leaves_nginx_alone(machine: Machine) -> None:
    done = machine.switch()
    assert (done.returncode, machine.live, machine.generation) == (0, NEW, "g0")
    assert not [line for line in machine.log if line.startswith("reload")]


def test_a_generation_holds_the_sums_that_its_files_had(machine: Machine) -> None:
    machine.switch(final="final")
    noted = (machine.top / "nginx/portside.d/final/generation.sums").read_text().splitlines()
    assert sorted(noted) == sorted([f"{sample.digest('final')}  ./new-name", f"{sample.digest('')}  ./is-final"])


@pytest.mark.parametrize(
    ("bridge", "final", "reloads"),
    [("bridge", "", ["bridge"]), ("", "final", ["final"]), ("bridge", "final", ["bridge", "final"])],
)
def test_generations_go_live_before_and_after(machine: Machine, bridge: str, final: str, reloads: list[str]) -> None:
    done = machine.switch(bridge, final)
    assert (done.returncode, machine.live, machine.served) == (0, NEW, reloads[-1])
    assert [line for line in machine.log if line.startswith("reload")] == [f"reload {name}" for name in reloads]
    kept = {path.name for path in (machine.top / "nginx/portside.d").iterdir()}
    assert kept == {"g0", reloads[-1]}, "the one of before stays, what was between doesn't"


def test_a_switch_can_be_repeated(machine: Machine) -> None:
    machine.switch("bridge", "final")
    assert machine.switch(before="final").returncode == 0
    assert (machine.live, machine.served) == (NEW, "final")


@pytest.mark.parametrize(
    ("bridge", "final", "fault", "at"),
    [
        ("bridge", "final", "refused", "bridge"),
        ("bridge", "final", "unproved", "bridge"),
        ("bridge", "final", "ill", NEW),
        ("bridge", "final", "refused", "final"),
        ("bridge", "final", "unproved", "final"),
        ("bridge", "final", "ill-by-nginx", "final"),
        ("", "final", "ill-by-nginx", "final"),
        ("bridge", "", "ill", NEW),
        ("", "", "ill", NEW),
    ],
)
def test_whatever_fails_everything_is_as_before(machine: Machine, bridge: str, final: str, fault: str, at: str) -> None:
    done = machine.switch(bridge, final, fault=fault, at=at)
    assert (done.returncode, machine.live, machine.generation, machine.served) == (1, OLD, "g0", "g0")
    assert done.stdout.splitlines()[-1] == f"The previous release, {OLD}, is live again."
    assert ("Redirects:\nThrough Nginx it answers 500.\n" in done.stdout) is fault.startswith("ill")


DOCKER = """\
#!/bin/sh
case $* in
*" logs "*) echo "$SAID" ;;
*cause.py*) cat "$PORTSIDE_FILES/request"
    for line in "KeyError: 'x'" "$(basename "$(readlink "$TOP/site/current")")"; do echo "portside-cause:$line"; done ;;
esac
"""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("its last words", ["The log ends:", "its last words", "KeyError: 'x'", OLD]),
        (OLD, ["KeyError: 'x'", OLD]),
        ("", ["KeyError: 'x'", OLD]),
    ],
)
def test_an_error_at_the_switch_is_told_with_its_cause_once_the_one_before_is_live_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, said: str, told: list[str]
) -> None:
    sample.files(machine.top, {"bin/docker": DOCKER, f"site/releases/{NEW}/compose.yaml": ""})
    monkeypatch.setenv("SAID", said)
    lines = machine.switch(fault="ill", at=NEW).stdout.splitlines()
    again = f"The previous release, {OLD}, is live again."
    assert lines == ["Redirects:", "Through Nginx it answers 500.", *told, again]


@pytest.mark.parametrize(("fault", "at"), [("refused", "final"), ("unproved", "final"), ("ill-by-nginx", "final")])
def test_a_first_release_that_fails_leaves_nothing_live(machine: Machine, fault: str, at: str) -> None:
    (machine.top / "site/current").unlink()
    done = machine.switch(final="final", old="", fault=fault, at=at)
    assert (done.returncode, machine.live, machine.generation, machine.served) == (1, "", "g0", "g0")


def test_a_switch_that_was_planned_upon_another_generation_changes_nothing(machine: Machine) -> None:
    done = machine.switch("bridge", "final", before="another")
    assert (done.returncode, machine.live, machine.generation) == (76, OLD, "g0")


def test_nginx_refusing_the_files_that_are_live_already_is_told(machine: Machine) -> None:
    done = machine.switch("bridge", fault="refused", at="bridge")
    assert "Nginx refuses the new files.\nNginx's live files are untouched." in done.stdout


def test_what_goes_live_comes_back_after_a_reboot(machine: Machine) -> None:
    sample.files(machine.top, {"bin/docker": '#!/bin/sh\necho "docker $*" >>"$LOG"\n[ "$1" != ps ] || echo c1\n'})
    machine.switch()
    assert machine.log[1:] == ["docker update --restart unless-stopped c1", "docker start c1"]


def unplugged(machine: Machine, fault: str = "", before: str = "g0") -> subprocess.CompletedProcess[str]:
    """A generation without a site, whose application was stopped for its backup."""
    sample.files(machine.top, {"site/removing": "/backups/art\nc1\nc2\n"})
    shutil.rmtree(machine.top / "files/final/new")
    sample.files(machine.top, {"files/final/kept": "x\nsnippets/y\n", "nginx/portside.d/g0/snippets/y": "why"})
    return machine.run(
        "unplug",
        generation="final",
        before=before,
        status_port=8099,
        page="",
        marker=f"{machine.top}/site/removing",
        fault=fault,
        at="x",
    )


def test_nginx_without_a_site_is_what_it_was_but_for_the_site(machine: Machine) -> None:
    done = unplugged(machine)
    assert (done.returncode, machine.generation, machine.served) == (0, "final", "final")
    assert (machine.top / "nginx/portside/snippets/y").read_text() == "why"
    assert (machine.top / "site/removing").exists()
    assert not [line for line in machine.log if line.startswith("docker")]


def test_where_nginx_can_not_be_without_it_the_site_goes_on(machine: Machine) -> None:
    sample.files(machine.top, {"bin/unshare": "#!/bin/sh\nfalse\n"})
    done = unplugged(machine)
    assert (done.returncode, machine.generation) == (1, "g0")
    assert "docker start c1 c2" in machine.log
    assert not (machine.top / "site/removing").exists()
    assert done.stdout.splitlines()[-1] == "Nothing was removed. The backup stays, in /backups/art."


def test_a_removal_that_was_planned_upon_another_generation_waits_for_another_plan(machine: Machine) -> None:
    assert (unplugged(machine, before="another").returncode, machine.generation) == (76, "g0")
    assert (machine.top / "site/removing").exists()


CLASH = 'conflicting server name "art.example" on 0.0.0.0:80, ignored'


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ("", "", False),
        ("", CLASH, True),
        (CLASH, CLASH, False),
        (CLASH, f"{CLASH}\n{CLASH.replace('art', 'blog')}", True),
        (CLASH, "", False),
    ],
)
def test_a_name_that_is_claimed_twice_from_now_on_is_refused(
    before: str, after: str, refused: bool, machine: Machine
) -> None:
    """What was so before isn't this deploy's fault."""
    for name, said in (("nginx", before), ("unshare", after)):
        lines = "".join(f"echo 'nginx: [warn] {line}' >&2\n" for line in said.splitlines())
        sample.files(machine.top, {f"bin/{name}": f"#!/bin/sh\n{lines}"})
        (machine.top / "bin" / name).chmod(0o755)
    done = machine.switch(final="final")
    assert (done.returncode, machine.live) == ((1, OLD) if refused else (0, NEW))
    assert ("Another site on this server already uses that name." in done.stdout) is refused


RETIRED = '. "$PORTSIDE/remote/lib.sh"; . "$PORTSIDE/remote/generation.sh"; workers_before=$1; retired "$2"'


@pytest.mark.parametrize("seconds", ["60", "0"])
def test_workers_of_before_are_waited_for_as_long_as_is_given(machine: Machine, seconds: str) -> None:
    with subprocess.Popen(("sleep", "60")) as worker:
        reaper = Thread(target=worker.wait)
        reaper.start()
        words = ("sh", "-c", RETIRED, "sh", str(worker.pid), seconds)
        with subprocess.Popen(words, env={**os.environ, "PORTSIDE": str(machine.top)}) as script:
            if seconds == "0":
                assert script.wait(180) == 0
            else:
                with pytest.raises(subprocess.TimeoutExpired):
                    script.wait(0.5)
            worker.terminate()
            assert script.wait(180) == 0
        reaper.join()


def test_a_generation_is_nobodys_to_read_until_its_secrets_are_hidden(machine: Machine) -> None:
    look = '#!/bin/sh\nstat -c %a "$(dirname "$(dirname "$2")")" >>"$LOG"\n'
    secrets = {"art.htpasswd": "ann:hash", "art.proof": "proof"}
    new = {f"files/final/new/sites/{name}": text for name, text in secrets.items()}
    sample.files(machine.top, {"bin/chgrp": look, **new})
    (machine.top / "bin/chgrp").chmod(0o755)
    machine.switch(final="final")
    made = machine.top / "nginx/portside.d/final"
    assert "700" in machine.log
    modes = [path.stat().st_mode & 0o777 for path in (made, made / "sites/art.htpasswd", made / "sites/art.proof")]
    assert modes == [0o755, 0o640, 0o600]


def test_a_release_is_on_the_disk_before_it_is_live(machine: Machine) -> None:
    note = '#!/bin/sh\necho "sync $* while $(readlink "$TOP/site/current") is live" >>"$LOG"\n'
    (sample.files(machine.top, {"bin/sync": note}) / "bin/sync").chmod(0o755)
    assert machine.switch().returncode == 0
    assert machine.log[-1] == f"sync -f {machine.top}/site /var/lib/docker while releases/{OLD} is live"
    assert machine.live == NEW


def test_a_generation_is_on_the_disk_before_it_is_live(machine: Machine) -> None:
    note = '#!/bin/sh\necho "sync $*" >>"$LOG"\nexec /bin/sync "$@"\n'
    (sample.files(machine.top, {"bin/sync": note}) / "bin/sync").chmod(0o755)
    machine.switch(final="final")
    files, folder = (number for number, line in enumerate(machine.log) if re.match("sync [^-]", line))
    assert f"{machine.top}/nginx/portside.d/final.new/is-final" in machine.log[files]
    assert machine.log[folder] == f"sync {machine.top}/nginx/portside.d"
    assert folder < machine.log.index("reload final")

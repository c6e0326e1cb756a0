"""Scripts of remote/ run for real on folders of this machine; a program of the test's stands in for Docker."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.core.facts import Facts
from deploy.core.steps import Argument, named
from deploy.ssh.payload import REMOTE
from deploy.ssh.results import OWN
from tests import sample

A, B, C = sample.OLDER, sample.OLD, sample.NEW


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A site's folder with three releases, the second live, and a docker that notes what it is told."""
    root = tmp_path / "site"
    for identity in (A, B, C):
        sample.files(root / "releases" / identity, {"compose.yaml": "", "static/x.css": identity})
    (root / "current").symlink_to(f"releases/{B}")
    says = f'echo "$*" >>"$DOCKER_LOG"\n[ "$1" != images ] || ls {root}/releases'
    docker = sample.files(tmp_path, {"bin/docker": f"#!/bin/sh\n{says}\n"}) / "bin/docker"
    docker.chmod(0o755)
    for script in REMOTE.glob("*.sh"):
        text = script.read_text(encoding="utf-8").replace("find /var/tmp /run ", f"find {tmp_path}/room ")
        text = text.replace("/usr/sbin/policy-rc.d", f"{tmp_path}/policy-rc.d")
        sample.files(tmp_path / "remote", {script.name: text})
    (tmp_path / "room").mkdir()
    return root


def run(at: Path, name: str, /, *, env: Mapping[str, str] | None = None, **given: Argument | Path) -> str:
    """Runs a script as apply.sh would, with these arguments, beside the site's folder. Returns what it left as its
    result."""
    top = at.parent
    (top / "result").unlink(missing_ok=True)
    words = named({key: str(value) if isinstance(value, Path) else value for key, value in given.items()})
    environment = {
        **os.environ, "PATH": f"{top}/bin:{os.environ['PATH']}", "DOCKER_LOG": f"{top}/docker.log",
        "PORTSIDE": str(top), "PORTSIDE_FILES": f"{top}/files", "PORTSIDE_RESULT": f"{top}/result",
        "PORTSIDE_ANSWER": f"{top}/answer", "RUNNING": f"{top}/running", **(env or {}),
    }  # fmt: skip
    subprocess.run(
        ("sh", top / f"remote/{name}.sh", *words), env=environment, check=True, capture_output=True, timeout=180
    )
    return (top / "result").read_text().strip() if (top / "result").exists() else ""


def docker(root: Path) -> list[str]:
    log = root.parent / "docker.log"
    return log.read_text().splitlines() if log.exists() else []


def there(root: Path) -> set[str]:
    return {path.name for path in (root / "releases").iterdir()}


def test_releases_are_taken_away_with_containers_and_image(root: Path) -> None:
    run(root, "discard", root=root, site="art", first="no", ids=[A, C])
    assert there(root) == {B}
    for identity in (A, C):
        assert f"compose -p art-{identity} down --remove-orphans --timeout 10" in docker(root)
        assert f"image rm portside/art:{identity}" in docker(root)


@pytest.mark.parametrize(("name", "more"), [("discard", {"first": "no"}), ("stop", {})])
def test_what_failed_is_noted_in_the_history(root: Path, name: str, more: dict[str, str]) -> None:
    for result in ("failed at gate", "failed at start"):
        sample.files(root.parent / "files", {"event": f'{{"result": "{result}"}}\n'})
        run(root, name, root=root, site="art", ids=[C], **more)
    assert (root / "history.jsonl").read_text() == '{"result": "failed at gate"}\n{"result": "failed at start"}\n'


def test_the_live_release_is_never_taken_away(root: Path) -> None:
    run(root, "discard", root=root, site="art", first="no", ids=[A, B, C])
    assert there(root) == {B}
    assert not [line for line in docker(root) if B in line]


def test_a_first_release_that_failed_is_not_live_any_more(root: Path) -> None:
    run(root, "discard", root=root, site="art", first="yes", ids=[B])
    assert there(root) == {A, C}
    assert not (root / "current").is_symlink()


def test_a_network_is_made_once(root: Path) -> None:
    assert run(root, "network", name="portside-art", site="art") == "unchanged it exists"
    absent = root.parent / "bin/docker"
    absent.write_text('#!/bin/sh\necho "$*" >>"$DOCKER_LOG"\n[ "$2" != inspect ]\n')
    assert run(root, "network", name="portside-art", site="art") == ""
    assert docker(root)[-1] == "network create --label portside.site=art portside-art"


def recorded(root: Path, identity: str, previous: str, age: int) -> None:
    path = root / "releases" / identity / "release.json"
    path.write_text(f'{{\n  "id": "{identity}",\n  "previous": "{previous}",\n  "static_url": "/static/"\n}}\n')
    os.utime(path, (1e9 - age, 1e9 - age))


def test_pruning_keeps_the_live_release_the_one_before_and_the_newest(root: Path, tmp_path: Path) -> None:
    oldest = "20261101-000000-0000000"
    sample.files(root / "releases" / oldest, {"compose.yaml": ""})
    for age, (identity, previous) in enumerate([(C, B), (B, oldest), (A, ""), (oldest, "")]):
        recorded(root, identity, previous, age)
    run(root, "prune", root=root, site="art", keep=1, cache="")
    assert there(root) == {B, C, oldest}
    assert run(root, "prune", root=root, site="art", keep=1, cache="") == "unchanged nothing to remove"


def test_pruning_takes_what_was_never_good(root: Path) -> None:
    recorded(root, A, "", 1)
    recorded(root, B, A, 0)
    run(root, "prune", root=root, site="art", keep=5, cache="")
    assert there(root) == {A, B}


def test_pruning_leaves_a_folder_of_another_name_alone(root: Path) -> None:
    sample.files(root / "releases/mine", {"note": ""})
    recorded(root, B, "", 0)
    run(root, "prune", root=root, site="art", keep=5, cache="")
    assert there(root) == {B, "mine"}


def test_pruning_keeps_the_static_files_of_the_kept_releases(root: Path) -> None:
    """Also one that a release which goes has too, and whose link in the pool was that one's."""
    for age, identity in enumerate((C, B, A)):
        sample.files(
            root / "releases" / identity, {f"static/{identity}.css": "", "static/shared-1a2b3c4d.css": identity}
        )
        recorded(root, identity, "", age)
    pool = root / "static-pool/static"
    pool.mkdir(parents=True)
    for name in ("shared-1a2b3c4d.css", f"{A}.css"):
        os.link(root / f"releases/{A}/static/{name}", pool / name)
    run(root, "prune", root=root, site="art", keep=2, cache="")
    assert {path.name for path in pool.iterdir()} == {"shared-1a2b3c4d.css", f"{B}.css", f"{C}.css"}


def test_pruning_keeps_as_many_dumps_as_releases(root: Path) -> None:
    for age, name in enumerate(["before-3.dump", "before-2.dump", "before-1.dump", "mine.dump"]):
        sample.files(root / "backups", {name: ""})
        os.utime(root / "backups" / name, (1e9 - age, 1e9 - age))
    run(root, "prune", root=root, site="art", keep=2, cache="")
    assert {path.name for path in (root / "backups").iterdir()} == {"before-3.dump", "before-2.dump", "mine.dump"}


def test_pruning_takes_what_a_transfer_left_a_day_ago(root: Path) -> None:
    room = root.parent / "room"
    sample.files(room, {"portside.old/x": "", "portside.new/x": "", "other.old/x": ""})
    for name in ("portside.old", "other.old"):
        os.utime(room / name, (1e9, 1e9))
    run(root, "prune", root=root, site="art", keep=5, cache="")
    assert {path.name for path in room.iterdir()} == {"portside.new", "other.old"}


def test_no_script_waits_by_the_clock() -> None:
    """Somebody may set it meanwhile."""
    assert not [path.name for path in REMOTE.glob("*.sh") if "date +%s" in path.read_text(encoding="utf-8")]


DOCKER = """\
#!/bin/sh
echo "$*" >>"$DOCKER_LOG"
# What runs: lines "ID RELEASE ROLE NAME POLICY PID"
case "$1" in
ps)
    wanted() { grep -E "$1" "$RUNNING" || :; }
    case $* in *role=web*) role=web ;; *process*) role=process ;; *) role=. ;; esac
    release=$(printf '%s\\n' "$*" | sed -n 's/.*portside.release=\\([^ ]*\\).*/\\1/p')
    id=$(printf '%s\\n' "$*" | sed -n 's/.*--filter id=\\([^ ]*\\).*/\\1/p')
    name=$(printf '%s\\n' "$*" | sed -n 's/.*portside.process=\\([^ ]*\\).*/\\1/p')
    lines=$(grep -E "^${id:-[^ ]*} ${release:-[^ ]*} $role ${name:-[^ ]*} " "$RUNNING")
    case $* in
    *Label*) printf '%s\\n' "$lines" | cut -d' ' -f4 ;;
    *) printf '%s\\n' "$lines" | cut -d' ' -f1 ;;
    esac ;;
inspect)
    for id in "$@"; do :; done
    case $* in
    *RestartCount*) [ "$id" != dying ] || echo x ;;
    *) grep "^$id " "$RUNNING" | cut -d' ' -f2,5,6 ;;
    esac ;;
compose)
    case $* in *" up "*) printf '%s\\n' "${STARTS:-}" >>"$RUNNING" ;; *logs*) echo "its last words" ;; esac ;;
esac | grep .
exit 0
"""


def finished(root: Path, running: str, *processes: str, old: str = "", starts: str = "") -> list[str]:
    """What Docker is told when the live release is finished; ``running``: what it runs before."""
    (root.parent / "bin/docker").write_text(DOCKER)
    (root.parent / "running").write_text(running)
    sample.files(root / "releases" / B, {"pending.json": "{}"})
    record = '{"id": "x", "static_url": "/s/"}\n'
    sample.files(root.parent / "files", {"release.json": record, "event": '{"event": "deploy"}\n'})
    given = {"site": "art", "id": B, "old": old, "seconds": "0"}
    run(root, "finish", root=root, **given, processes=processes, env={"STARTS": starts})
    return [line for line in docker(root) if line.split()[0] not in {"ps", "inspect"}]


def finish_answer(root: Path) -> dict[str, object]:
    answer: dict[str, object] = json.loads((root.parent / "answer").read_text())
    return answer


def test_a_finished_release_is_recorded(root: Path) -> None:
    assert finished(root, f"c1 {B} web - no 1\n") == []
    assert json.loads((root / f"releases/{B}/release.json").read_text())["id"] == "x"
    assert (root / "history.jsonl").read_text() == '{"event": "deploy"}\n'
    assert not (root / f"releases/{B}/pending.json").exists()
    assert finish_answer(root) | {"seconds": 0} == {"seconds": 0, "left": 0, "working": []}


def test_the_static_files_of_a_finished_release_can_be_found_once_it_is_not_live_any_more(root: Path) -> None:
    sample.files(root / "releases" / B, {"static/css/x.1a2b3c4d.css": B})
    finished(root, "")
    assert (root / "static-pool/s/css/x.1a2b3c4d.css").read_text() == B
    assert not (root / "static-pool/s/x.css").exists(), "Nginx looks for no name without a hash there"


def test_the_release_before_is_stopped_and_kept(root: Path) -> None:
    told = finished(root, f"c0 {A} web - unless-stopped 1\nc1 {B} web - unless-stopped 1\n", old=A)
    assert told == ["stop -t 40 c0"]


def test_processes_start_with_their_release_and_the_old_ones_end_after_their_job(root: Path) -> None:
    with subprocess.Popen(("sh", "-c", "trap 'touch told' TERM; while :; do sleep 0.05; done"), cwd=root) as job:
        running = f"p0 {A} process queue unless-stopped {job.pid}\n"
        starts = f"p1 {B} process queue unless-stopped 1"
        told = finished(root, running, "queue", old=A, starts=starts)
        until = time.monotonic() + 180
        while not (root / "told").exists() and time.monotonic() < until:
            time.sleep(0.02)
        job.kill()
    compose = f"compose --progress quiet -f {root}/releases/{B}/compose.yaml --profile process"
    assert told == [f"{compose} up -d --no-deps --force-recreate process-queue", "update --restart no p0"]
    assert (root / "told").exists(), "by SIGTERM"
    assert finish_answer(root)["working"] == ["queue"]


def test_a_process_that_was_told_before_is_not_told_again(root: Path) -> None:
    assert finished(root, f"p0 {A} process queue no 1\n", old=A) == []
    assert finish_answer(root)["working"] == []


def test_a_process_that_keeps_dying_is_stopped_and_not_waited_for(root: Path) -> None:
    assert finished(root, f"p0 {A} process queue unless-stopped 0\n", old=A)[:2] == [
        "update --restart no p0",
        "stop p0",
    ]


def test_a_process_that_still_works_when_its_release_is_live_again_comes_back(root: Path) -> None:
    told = finished(root, f"p1 {B} process queue no 1\n", "queue", old=A)
    assert told == ["update --restart unless-stopped p1"]


@pytest.mark.parametrize(
    ("connected", "grace"), [("", "40"), (f"u_str ESTAB 0 0 /run/portside/art-{A}/web-1.sock 7", "5")]
)
def test_who_is_still_connected_after_the_time_that_is_given_is_cut(root: Path, connected: str, grace: str) -> None:
    sample.files(root.parent, {"bin/ss": f"#!/bin/sh\n[ -z '{connected}' ] || echo '{connected}'\n"})
    (root.parent / "bin/ss").chmod(0o755)
    assert finished(root, f"w1 {A} web - no 1\n", old=A) == [f"stop -t {grace} w1"]
    assert finish_answer(root)["left"] == bool(connected)


WATCHED = """\
#!/bin/sh
# $SEEN: a line of containers for each time that docker inspect is asked, the last one for ever
case "$1" in
ps) echo c1 ;;
inspect)
    line=$(head -n 1 "$SEEN") && sed -i '1{$!d}' "$SEEN"
    printf '%s\\n' "$line" | tr '|' '\\n' ;;
logs) echo "the last words of $4" ;;
esac
"""


def watched(root: Path, *seen: str) -> tuple[list[str], str]:
    """Watches queue and beat; the names of those that keep ending, and what it printed. OLD, NEW: programs that have
    run for more than 15 seconds, and for less."""
    old = next(path.name for path in Path("/proc").iterdir() if path.name == "1")
    with subprocess.Popen(("sleep", "60")) as new:
        (root.parent / "bin/docker").write_text(WATCHED)
        lines = [line.replace("OLD", old).replace("NEW", str(new.pid)) for line in seen]
        (root.parent / "seen").write_text("\n".join(lines) + "\n")
        environment = {
            **os.environ, "PATH": f"{root.parent}/bin:{os.environ['PATH']}", "PORTSIDE": str(root.parent),
            "PORTSIDE_RESULT": f"{root.parent}/result", "PORTSIDE_ANSWER": f"{root.parent}/answer",
            "SEEN": f"{root.parent}/seen",
        }  # fmt: skip
        done = subprocess.run(
            ("sh", root.parent / "remote/watch.sh", "site=art", f"id={B}", "processes=queue", "processes=beat"),
            env=environment, check=True, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        new.kill()
    return finish_answer(root)["dying"], done.stdout  # type: ignore[return-value]


def test_a_process_that_ends_after_some_seconds_is_told_with_its_log(root: Path) -> None:
    dying, said = watched(
        root, "queue 0 running NEW q|beat 0 running OLD b", "queue 1 restarting 0 q|beat 0 running OLD b"
    )
    assert (dying, said) == (["queue"], "The log of queue ends:\nthe last words of q\n")


def test_a_process_that_is_not_there_is_told(root: Path) -> None:
    assert watched(root, "beat 0 running OLD b")[0] == ["queue"]


def test_what_has_run_for_long_enough_stays(root: Path) -> None:
    assert watched(root, "queue 0 running OLD q|beat 0 running OLD b")[0] == []


def test_nobody_waits_for_what_has_run_for_long_enough(root: Path) -> None:
    began = time.monotonic()
    watched(root, "queue 0 running OLD q|beat 0 running OLD b")
    assert time.monotonic() - began < 14


def test_who_has_just_begun_is_watched_until_it_is_15_seconds_old(root: Path) -> None:
    began = time.monotonic()
    assert watched(root, "queue 0 running NEW q|beat 0 running OLD b")[0] == []
    assert time.monotonic() - began > 13


def test_processes_that_do_not_run_are_started_again(root: Path) -> None:
    (root.parent / "bin/docker").write_text(DOCKER)
    (root.parent / "running").write_text(f"p1 {B} process queue unless-stopped 1\n")
    starts = f"p2 {B} process beat unless-stopped 1"
    run(root, "revive", root=root, site="art", id=B, processes=["queue", "beat"], env={"STARTS": starts})
    assert [line.split()[-1] for line in docker(root) if " up " in line] == ["process-beat"]


MAKES_SOCKET = "import os, stat; os.mknod('FOLDER/run/web-1.sock', stat.S_IFSOCK)"


def start(root: Path, folder: Path, *parts: str, replicas: int = 1, seconds: int = 1) -> None:
    """Starts a release, or parts of it, with ports from 8100 to 8102."""
    paths = {"compose": f"{folder}/compose.yaml", "run": f"{folder}/run"}
    run(root, "start", **paths, replicas=replicas, first=8100, last=8102, seconds=seconds, parts=parts)


def test_every_web_container_gets_a_port_of_its_own(root: Path) -> None:
    folder = root / "releases" / C
    (root.parent / "bin/docker").write_text('#!/bin/sh\necho "$*" >>"$DOCKER_LOG"\n')
    (root.parent / "bin/ss").write_text("#!/bin/sh\necho 'LISTEN 0 0 127.0.0.1:8101 0.0.0.0:*'\n")
    (root.parent / "bin/ss").chmod(0o755)
    (folder / "run").mkdir()
    for number in (1, 2):
        os.mknod(folder / f"run/web-{number}.sock", stat.S_IFSOCK)
    start(root, folder, replicas=2)
    assert finish_answer(root) == {"ports": [8100, 8102]}
    assert (folder / ".env").read_text() == "PORTSIDE_PORT_1=8100\nPORTSIDE_PORT_2=8102\n"


def test_what_is_started_anew_keeps_its_port_and_its_old_socket_does_not_count(root: Path) -> None:
    folder = root / "releases" / C
    there = f"[ -e {folder}/run/web-1.sock ]"
    makes = f'case $* in *" up "*) rm -f {folder}/seen; {there} || python3 -c "{MAKES_SOCKET}" ;; esac'
    (root.parent / "bin/docker").write_text(
        f'#!/bin/sh\necho "$*" >>"$DOCKER_LOG"\n{makes}\n'.replace("FOLDER", str(folder))
    )
    (folder / "run").mkdir()
    os.mknod(folder / "run/web-1.sock", stat.S_IFSOCK)
    sample.files(folder, {".env": "PORTSIDE_PORT_1=8155\n", "seen": ""})
    start(root, folder, "web-1", seconds=5)
    assert finish_answer(root) == {"ports": [8155]}
    (up,) = [line for line in docker(root) if " up " in line]
    assert up.endswith("up -d --force-recreate --no-deps --timeout 5 web-1")
    assert not (folder / "seen").exists()


def test_the_port_of_another_site_that_is_down_for_a_moment_is_its_own(root: Path) -> None:
    folder = root / "releases" / C
    for name in ("docker", "ss"):
        sample.files(root.parent, {f"bin/{name}": "#!/bin/sh\n"})
        (root.parent / "bin" / name).chmod(0o755)
    (folder / "run").mkdir()
    os.mknod(folder / "run/web-1.sock", stat.S_IFSOCK)
    sample.files(root.parent, {"sites/blog/releases/x/.env": "PORTSIDE_PORT_1=8100\nPORTSIDE_PORT_2=8101\n"})
    (root.parent / "sites/blog/current").symlink_to("releases/x")
    script = root.parent / "remote/start.sh"
    script.write_text(script.read_text().replace("/srv/portside", f"{root.parent}/sites"))
    start(root, folder)
    assert finish_answer(root) == {"ports": [8102]}


def test_a_command_that_is_ended_leaves_no_container(root: Path) -> None:
    log, top = root.parent / "docker.log", root.parent
    (top / "bin/docker").write_text('#!/bin/sh\necho "$*" >>"$DOCKER_LOG"\n[ "$1" != compose ] || exec sleep 60\n')
    environment = {
        **os.environ, "PATH": f"{top}/bin:{os.environ['PATH']}", "DOCKER_LOG": str(log), "PORTSIDE": str(top),
    }  # fmt: skip
    script = '. "$PORTSIDE/remote/lib.sh"; manage c.yaml manage python manage.py migrate'
    run = subprocess.Popen(("sh", "-c", script), env=environment, start_new_session=True)
    while not log.exists():
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGTERM)
    assert run.wait(timeout=180) == 143
    (name,) = re.findall(r"--name (portside-manage-\w+) manage python manage\.py migrate", log.read_text())
    assert docker(root)[-1] == f"rm -f {name}"


def test_what_is_written_of_the_hosts_own_files_is_noted(tmp_path: Path) -> None:
    text = (REMOTE / "apply.sh").read_text(encoding="utf-8")
    for place in ("/var/lib/portside", "/etc/", "/usr/"):
        text = text.replace(place, f"{tmp_path}{place}")
    written = [f"{tmp_path}/{path}" for path in ("etc/x.conf", "usr/y", "etc/portside/secret", "etc/docker/z", "srv/a")]
    owner = f"{os.getuid()}:{os.getgid()}"
    steps = [f"step {number} write {path} 644 {owner}\n" for number, path in enumerate([*written, written[0]])]
    arguments = (REMOTE / "arguments.sh").read_text(encoding="utf-8")
    sample.files(tmp_path, {"apply.sh": text, "arguments.sh": arguments, "steps": "".join(steps)})
    sample.files(tmp_path, {f"files/{number}/content": str(number) for number in range(len(steps))})
    given = named({"folder": str(tmp_path), "nonce": "n", "site": "", "token": "", "how": ""})
    words = ("sh", tmp_path / "apply.sh", *given)
    subprocess.run(words, check=True, capture_output=True, timeout=180)
    noted = (tmp_path / "var/lib/portside/written").read_text().splitlines()
    assert noted == [
        f"{sample.digest('0')} {written[0]}", f"{sample.digest('1')} {written[1]}", f"{sample.digest('5')} {written[0]}"
    ]  # fmt: skip
    lines = "".join(f"file.written\t{line}\n" for line in noted)
    assert Facts.parse(lines).written[written[0]] == sample.digest("5")


def test_that_the_firewall_was_switched_on_is_noted(root: Path) -> None:
    script, state = root.parent / "remote/firewall.sh", root.parent / "state"
    script.write_text(script.read_text().replace("/var/lib/portside", str(state)))
    (root.parent / "bin/docker").rename(root.parent / "bin/ufw")
    run(root, "firewall", what="close", ports=["443/udp"])
    assert not state.exists()
    run(root, "firewall", what="open", ports=["80/tcp"])
    assert (docker(root)[-1], (state / "firewall").exists()) == ("--force enable", True)


REHEARSED = """#!/bin/sh
echo "$*" >>"$DOCKER_LOG"
case $1 in
image) echo /app ;;
compose) %s ;;
esac
"""


@pytest.mark.parametrize(
    ("django", "said"),
    [
        ("echo a warning; echo 'portside-answer:{}'", ""),
        ("echo 'ModuleNotFoundError: No module named x' >&2; exit 1", "ModuleNotFoundError: No module named x"),
        ("exec sleep 60", "Django didn't answer within 1 s."),
    ],
)
def test_a_rehearsal_ends_with_an_answer_or_the_reason(django: str, said: str, root: Path) -> None:
    (root.parent / "bin/docker").write_text(REHEARSED % django)
    given = {"image": "portside/art:x", "seconds": "1", "manage": "", "other": "{}", "application": ""}
    if not said:
        run(root, "rehearse", **given)
        assert (root.parent / "answer").read_text() == "{}\n"
        return
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(root, "rehearse", **given)
    assert caught.value.stdout.decode().replace(OWN, "").splitlines()[-1] == said
    assert ("rm -f portside-manage-" in docker(root)[-1]) == ("sleep" in django), "the container goes, too"


# A static site


@pytest.fixture
def static(root: Path) -> Path:
    """The same site, with pages: one that two releases share, one that changes, and a link."""
    live = root / f"releases/{B}/static"
    sample.files(live, {"a.html": "a" * 2000, "docs/b.html": "old", "gone.html": "gone"})
    os.utime(live / "a.html", (1e9, 1e9))
    return root


def answered(root: Path) -> object:
    return json.loads((root.parent / "answer").read_text())


def sums(root: Path, **files: str) -> None:
    lines = [f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in files.items()]
    sample.files(root.parent / "files", {"sums": "".join(lines)})


def test_what_the_live_release_lacks_is_told_by_content(static: Path) -> None:
    sample.files(static / "current/static", {"--tag": "d"})
    sums(static, **{"a.html": "a" * 2000, "docs/b.html": "new", "--tag": "d", "gone.html": "gone", "sp ace.html": "c"})
    run(static, "compare", folder=f"{static}/current/static")
    assert answered(static) == [2, 5]
    sums(static, **{"a.html": "a" * 2000})
    assert run(static, "compare", folder=f"{static}/current/static").startswith("unchanged")
    assert answered(static) == []


def test_a_live_release_without_files_lacks_all(root: Path) -> None:
    sums(root, one="1", two="2")
    run(root, "compare", folder=f"{root}/none/static")
    assert answered(root) == [1, 2]


def test_a_release_is_put_in_place_of_new_files_and_of_those_that_are_there(static: Path) -> None:
    sample.files(static.parent / "files", {"new/docs/b.html": "new", "same": "a.html\n"})
    (static.parent / "files/new/latest").symlink_to("docs/b.html")
    os.utime(static.parent / "files/new/docs/b.html", (0, 0))
    before, folder = time.time() - 5, static / f"releases/{C}/static"
    shutil.rmtree(folder)
    run(static, "place", folder=folder, live=f"{static}/current/static")
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    assert made - {"a.html.br"} == {"a.html", "a.html.gz", "docs/b.html", "latest"}
    assert (folder / "latest").read_text() == "new"
    assert (folder / "a.html").samefile(static / f"releases/{B}/static/a.html"), "stored once"
    assert (folder / "a.html").stat().st_mtime == 1e9, "what visitors have of it is still good"
    assert (folder / "docs/b.html").stat().st_mtime > before, "what they have of this isn't"
    assert (static / f"releases/{B}/static/docs/b.html").read_text() == "old"


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def test_decomposed_names_are_there_composed_too(static: Path) -> None:
    """As links are written, and as macOS wrote the names."""
    names = [nfd("über.html"), nfd("Bücher/é.css"), "both ü.txt", nfd("both ü.txt"), "plain.txt"]
    sample.files(static.parent / "files/new", {name: name for name in names})
    (static.parent / "files/new" / nfd("lïnk")).symlink_to("plain.txt")
    folder = static / f"releases/{C}/static"
    shutil.rmtree(folder)
    run(static, "place", folder=folder, live=f"{static}/current/static")
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    composed = {"über.html", "Bücher/é.css", "lïnk"}
    assert made == {*names, nfd("lïnk"), *composed}
    for name in composed:
        assert os.path.samestat(os.lstat(folder / name), os.lstat(folder / nfd(name))), "stored once"
    assert (folder / "both ü.txt").read_text() == "both ü.txt", "another file's name"
    assert (folder / nfd("both ü.txt")).read_text() == nfd("both ü.txt")


def test_a_composed_name_leads_nowhere_else(static: Path) -> None:
    """A link that an image made where a folder would be written through it."""
    folder, other = static / f"releases/{C}/static", static.parent / "elsewhere"
    other.mkdir()
    sample.files(folder, {nfd("ü/a.txt"): "a", nfd("ä/b.txt"): "b", "ä": "a file"})
    (folder / "ü").symlink_to(other)
    script = f'. "{static.parent}/remote/lib.sh"; compose_names "$1"'
    subprocess.run(("sh", "-c", script, "sh", folder), check=True, timeout=180)
    assert (list(other.iterdir()), (folder / "ä").read_text()) == ([], "a file")


def test_a_build_takes_what_came_along_and_what_is_the_same_still(root: Path) -> None:
    folder = root / "context"
    old = {
        "src/same.py": "same",
        "src/run.sh": "run",
        "src/changed.py": "old",
        "src/gone.py": "gone",
        "gone/a": "",
        "-x": "x",
        "-r": "",
    }
    sample.files(folder, old | {"two\nlines": "old", "now-a-folder": "a file"})
    (folder / "src/link").symlink_to("gone.py")
    new = {"context/src/changed.py": "new", "context/two\nlines": "new", "context/now-a-folder/x": "x"}
    sample.files(root.parent / "files", new | {"same": "-x\nsrc/run.sh\nsrc/same.py\n", "programs": "src/run.sh\n"})
    (root.parent / "files/context/now-a-link").symlink_to("src/same.py")
    run(root, "context", folder=folder)
    made = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if not path.is_dir()}
    assert made == {
        "src/same.py": "same", "src/run.sh": "run", "src/changed.py": "new", "two\nlines": "new", "now-a-folder/x": "x",
        "now-a-link": "same", "-x": "x",
    }  # fmt: skip
    assert {path.name for path in folder.rglob("*") if path.is_dir()} == {"src", "now-a-folder"}
    assert [os.access(folder / f"src/{name}", os.X_OK) for name in ("run.sh", "same.py")] == [True, False]


def test_a_context_that_is_not_there_yet_is_roots_alone(root: Path) -> None:
    sample.files(root.parent / "files", {"context/a": "a", "same": "", "programs": ""})
    run(root, "context", folder=root / "context")
    assert (root / "context/a").read_text() == "a"
    assert stat.S_IMODE((root / "context").stat().st_mode) == 0o700


def test_what_is_compressed_is_compressed_once(static: Path) -> None:
    live, new = static / f"releases/{B}/static", static / f"releases/{C}/static"
    for folder in (live, new):
        other = {"other.css": f"/* {folder} */" * 200, "other.css.gz": "not ours"}
        sample.files(folder, other | {"a.html": "a" * 2000, "small.css": "p {}", "x.png": "x" * 2000})
        run(static, "compress", folder=folder, pool=f"{static}/current/static")
        assert gzip.decompress((folder / "other.css.gz").read_bytes()).decode() == (folder / "other.css").read_text()
    assert (new / "a.html.gz").samefile(live / "a.html.gz")
    assert not (new / "other.css.gz").samefile(live / "other.css.gz")
    assert not [path for path in new.iterdir() if path.name.startswith(("small.css.", "x.png."))]


def test_files_of_any_name_are_compressed(static: Path) -> None:
    live, new = static / f"releases/{B}/static", static / f"releases/{C}/static"
    names = ["-n.css", "a/two\nlines.js", "a b/%s.css", "über/x.gz.css"]
    for folder in (live, new):
        sample.files(folder, {name: name * 1000 for name in names} | {f"new {folder.parent.name}.css": "n" * 2000})
        run(static, "compress", folder=folder, pool=live)
    for name in names:
        assert gzip.decompress((new / f"{name}.gz").read_bytes()).decode() == name * 1000
        assert (new / f"{name}.gz").samefile(live / f"{name}.gz")
    assert (new / f"new {C}.css.gz").exists()


def test_without_room_for_the_lists_nothing_counts_as_compressed(static: Path) -> None:
    new = static / f"releases/{C}/static"
    sample.files(new, {"a.html": "b" * 2000})
    (static.parent / "compress/all").mkdir(parents=True)
    with pytest.raises(subprocess.CalledProcessError):
        run(static, "compress", folder=new, pool=f"{static}/current/static")


def test_files_are_compressed_where_no_release_is_live_yet(static: Path) -> None:
    new = static / f"releases/{C}/static"
    sample.files(new, {"a.html": "b" * 2000})
    run(static, "compress", folder=new, pool=f"{static}/none/static")
    assert (new / "a.html.gz").exists()


def test_a_compressed_file_that_another_release_shares_is_not_written_through(static: Path) -> None:
    live, new = static / f"releases/{B}/static", static / f"releases/{C}/static"
    sample.files(live, {"a.html.gz": "theirs", "a.html.br": "theirs"})
    sample.files(new, {"a.html": "b" * 2000})
    for kind in ("gz", "br"):
        os.link(live / f"a.html.{kind}", new / f"a.html.{kind}")
    run(static, "compress", folder=new, pool=f"{static}/current/static")
    assert (live / "a.html.gz").read_text() == (live / "a.html.br").read_text() == "theirs"


def look(static: Path, path: str, fallback: str = "") -> str:
    return run(static, "look", folder=f"{static}/current/static", path=path, group=33, fallback=fallback)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a", True),
        ("/a.html?x=1", True),
        ("/docs/b", True),
        ("/", False),
        ("/docs", False),
        ("/docs/", False),
        ("/none", False),
    ],
)
def test_the_gate_finds_what_nginx_would(path: str, found: bool, static: Path) -> None:
    sample.files(static.parent, {"bin/setpriv": '#!/bin/sh\n[ "$2 $4" = "33 33" ] && shift 5 && exec "$@"\n'})
    (static.parent / "bin/setpriv").chmod(0o755)
    if found:
        assert look(static, path).startswith("unchanged")
    else:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            look(static, path)
        said = caught.value.stdout.decode()
        assert f"The new release shows nothing at {path}: there is no {path[1:]}" in said
        assert "The release has: a.html docs gone.html x.css" in said


def test_the_gate_finds_the_fallback(static: Path) -> None:
    sample.files(static.parent, {"bin/setpriv": '#!/bin/sh\nshift 5 && exec "$@"\n'})
    (static.parent / "bin/setpriv").chmod(0o755)
    for path in ("/", "/none/1", "/docs/"):
        assert look(static, path, "a.html").startswith("unchanged")
    with pytest.raises(subprocess.CalledProcessError):
        look(static, "/none/1", "none.html")


def test_to_ask_changes_nothing(root: Path) -> None:
    sample.files(root.parent, {"bin/docker": "#!/bin/sh\necho 'portside-answer:{}'\n"})
    empty = dict.fromkeys(("manage", "other", "application", "check"), "")
    assert run(root, "ask", compose=root / f"releases/{C}/compose.yaml", **empty).startswith("unchanged")


def test_what_nginx_may_not_read_is_no_page(static: Path) -> None:
    sample.files(static.parent, {"bin/setpriv": "#!/bin/sh\nexit 1\n"})
    (static.parent / "bin/setpriv").chmod(0o755)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        look(static, "/a")
    assert "Nginx can't read /a.html." in caught.value.stdout.decode()


def test_without_docker_there_are_no_containers(static: Path) -> None:
    (static.parent / "bin/docker").unlink()
    env = {"PATH": f"{static.parent}/bin:/usr/bin-without"}
    for name in (
        "sh",
        "sed",
        "cat",
        "rm",
        "cp",
        "mv",
        "chmod",
        "mkdir",
        "find",
        "xargs",
        "cut",
        "ss",
        "grep",
        "wc",
        "readlink",
        "sort",
        "head",
        "dirname",
        "paste",
        "sleep",
    ):
        (static.parent / "bin" / name).symlink_to(shutil.which(name) or name)
    (static.parent / "bin/python3").symlink_to(sys.executable)
    sample.files(static.parent / "files", {"release.json": '{"id": "x", "static_url": "/"}\n', "event": "{}\n"})
    run(static, "finish", root=static, site="art", id=B, old=A, seconds=0, env=env)
    assert finish_answer(static) | {"seconds": 0} == {"seconds": 0, "left": 0, "working": []}
    recorded(static, B, "", 0)
    run(static, "prune", root=static, site="art", keep=2, cache="", env=env)
    assert there(static) == {B}


def receive(tmp_path: Path, stream: bytes, token: str = "ours") -> subprocess.CompletedProcess[bytes]:
    """What receives layers, as the laptop that has the site's lock starts it."""
    sample.files(tmp_path, {"locks/site-art.token": "ours\n"})
    (tmp_path / "layers").mkdir(exist_ok=True)
    given = {"nonce": "n", "site": "art", "token": token, "folder": f"{tmp_path}/layers"}
    words = ("setsid", "-w", *sample.alone("receive-layers", tmp_path / "locks", **given))
    return subprocess.run(words, input=stream, capture_output=True, check=False, timeout=180)


def framed(name: str, content: bytes, offset: int = 0) -> bytes:
    rest = content[offset:]
    return f"{name} {offset} {len(rest)} {hashlib.sha256(content).hexdigest()}\n".encode() + rest


def layers(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tmp_path / "layers").iterdir()}


def test_layers_that_arrive_stay(tmp_path: Path) -> None:
    one, other = bytes(range(256)) * 400, b"\n1 2 3\n"
    done = receive(tmp_path, framed("one", one) + framed("other", other))
    assert layers(tmp_path) == {"one": one, "other": other}
    assert (done.returncode, done.stdout.split()) == (0, [b"@@n", b"begin", b"1", b"@@n", b"ended", b"1", b"changed"])
    assert not (tmp_path / "locks/site-art.group").exists()


def test_of_a_transfer_that_breaks_off_what_arrived_stays(tmp_path: Path) -> None:
    one, other = b"1" * 1000, b"2" * 1000
    stream = framed("one", one) + framed("other", other)
    done = receive(tmp_path, stream[:-400])
    assert b"The transfer was interrupted" in done.stdout
    assert b"@@n failed 1 1" in done.stdout
    assert layers(tmp_path) == {"one": one, "other.part": other[:600]}
    receive(tmp_path, framed("other", other, 600))
    assert layers(tmp_path) == {"one": one, "other": other}


def test_a_layer_that_arrives_damaged_is_not_kept(tmp_path: Path) -> None:
    done = receive(tmp_path, framed("one", b"1" * 1000).replace(b"1111", b"1211"))
    assert b"A layer arrived damaged" in done.stdout
    assert layers(tmp_path) == {}


def test_who_has_lost_the_lock_sends_no_layer(tmp_path: Path) -> None:
    assert receive(tmp_path, framed("one", b"1"), token="theirs").returncode == 77
    assert layers(tmp_path) == {}


def test_a_receiver_notes_its_process_group_for_whoever_takes_the_lock(tmp_path: Path) -> None:
    sample.files(tmp_path, {"locks/site-art.token": "ours\n", "layers/x": ""})
    given = {"nonce": "n", "site": "art", "token": "ours", "folder": f"{tmp_path}/layers"}
    words = sample.alone("receive-layers", tmp_path / "locks", **given)
    run = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    group = tmp_path / "locks/site-art.group"
    limit = time.monotonic() + 180
    while not (group.exists() and group.read_text().strip()):
        assert time.monotonic() < limit
        time.sleep(0.02)
    assert int(group.read_text()) == run.pid
    os.killpg(run.pid, signal.SIGTERM)
    run.wait(timeout=180)
    assert run.stdin
    run.stdin.close()


def test_lacking_layers_are_told_with_what_has_arrived(root: Path, tmp_path: Path) -> None:
    sample.files(tmp_path, {"layers/whole": "x", "layers/half.part": "12345"})
    run(root, "layers", folder=tmp_path / "layers", names=["whole", "half", "none"])
    assert json.loads((tmp_path / "answer").read_text()) == {"half": 5, "none": 0}


def test_docker_gets_an_archive_of_the_layers_there(root: Path, tmp_path: Path) -> None:
    sample.files(
        tmp_path, {"layers/a": "of a", "layers/b": "of b", "files/manifest.json": "m", "files/config.json": "c"}
    )
    taking = '#!/bin/sh\ncase $1 in load) cat >"$PORTSIDE/taken.tar" ;; image) echo sha256:1 ;; esac\n'
    (tmp_path / "bin/docker").write_text(taking)
    paths = {"folder": tmp_path / "layers", "listing": root / "releases/x/layers"}
    run(root, "load", image="portside/art:x", **paths, names=["b", "a"])
    with tarfile.open(tmp_path / "taken.tar") as archive:
        assert archive.getnames() == ["manifest.json", "config.json", "b", "a"]
    assert (root / "releases/x/layers").read_text() == "b\na\n"
    assert json.loads((tmp_path / "answer").read_text()) == {"digest": "sha256:1"}


def test_pruning_keeps_the_layers_of_the_kept_releases(root: Path) -> None:
    for age, (identity, previous) in enumerate([(C, B), (B, A), (A, "")]):
        recorded(root, identity, previous, age)
        (root / "releases" / identity / "layers").write_text(f"base\nof-{identity}\n")
    names = ["base", *(f"of-{identity}" for identity in (A, B, C)), "of-none", "of-none.part"]
    sample.files(root, {f"layers/{name}": "" for name in names})
    run(root, "prune", root=root, site="art", keep=2, cache="")
    assert {path.name for path in (root / "layers").iterdir()} == {"base", f"of-{B}", f"of-{C}", f"of-{A}"}
    run(root, "prune", root=root, site="art", keep=1, cache="")


PULLING = """#!/bin/sh
echo "$*" >>"$DOCKER_LOG"
case $1 in
info) echo https://hub.example/v1/ ;;
pull)
    cp "$DOCKER_CONFIG/config.json" "$PORTSIDE/seen" 2>/dev/null
    [ "$2" != no:1 ] || { echo denied; exit 1; }
    printf '1: Already exists\\nDigest: sha256:3d\\nStatus: Image is up to date\\n' ;;
image) [ "$2 $5" != "inspect art:pulled" ] || echo sha256:old ;;
esac
"""


def pull(root: Path, image: str, registry: str, name: str = "art:pulled", **files: str) -> str:
    (root.parent / "bin/docker").write_text(PULLING)
    sample.files(root.parent / "files", files)
    return run(root, "pull", image=image, registry=registry, name=name)


def test_credentials_are_there_for_a_pull_alone(root: Path, tmp_path: Path) -> None:
    pull(root, "r.example/shop:1", "r.example", credentials="robot:pass word")
    auth = json.loads((tmp_path / "seen").read_text())["auths"]["r.example"]["auth"]
    assert base64.b64decode(auth) == b"robot:pass word"
    assert not (tmp_path / "docker").exists()
    assert not (tmp_path / "files/credentials").exists()
    assert "pass word" not in "".join(docker(root))
    assert json.loads((tmp_path / "answer").read_text()) == {"digest": "sha256:3d"}


def test_dockers_own_registry_is_known_by_the_engine(root: Path, tmp_path: Path) -> None:
    pull(root, "shop:1", "", credentials="robot:x")
    assert list(json.loads((tmp_path / "seen").read_text())["auths"]) == ["https://hub.example/v1/"]


def test_a_pulled_image_keeps_the_sites_name_alone(root: Path, tmp_path: Path) -> None:
    pull(root, "shop:1", "")
    told = docker(root)
    assert told.index("tag shop:1 art:pulled") < told.index("image rm shop:1")
    assert not (tmp_path / "seen").exists()


def test_a_pull_that_brings_nothing_new_changes_nothing(root: Path) -> None:
    assert pull(root, "shop:1", "") == "unchanged the image hasn't changed"
    assert pull(root, "shop:1", "", "art:new") == ""


def test_a_pull_that_fails_is_a_failure(root: Path, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        pull(root, "no:1", "", credentials="robot:x")
    assert f"denied\n{OWN}The image can't be pulled." in caught.value.stdout.decode()
    assert not (tmp_path / "docker").exists()


def found(folder: Path, below: str = "") -> str:
    """The folder that ask.py takes for the project's."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import ask; print(ask.find_folder(sys.argv[2]))"
    words = (sys.executable, "-B", "-c", program, str(REMOTE), below)
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=180)
    return (done.stdout or done.stderr).strip()


def test_a_project_is_found_in_an_image_that_nobody_here_knows(tmp_path: Path) -> None:
    sample.files(tmp_path, {"usr/src/app/manage.py": "", "proc/1/cwd/manage.py": "", "a/b/c/d/e/manage.py": ""})
    assert found(tmp_path) == f"{tmp_path}/usr/src/app"
    sample.files(tmp_path, {"manage.py": ""})
    assert found(tmp_path) == str(tmp_path)
    assert found(tmp_path, "usr/src/app") == f"{tmp_path}/usr/src/app"


def test_of_several_projects_in_an_image_none_is_taken(tmp_path: Path) -> None:
    sample.files(tmp_path, {"one/manage.py": "", "two/manage.py": ""})
    assert f"has more than one manage.py ({tmp_path}/one, {tmp_path}/two)" in found(tmp_path)


def a_run(step: str, locks: Path) -> bytes:
    """The stream of a run with this one step."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        scripts = {f"remote/{name}.sh": sample.script_for(name, locks) for name in ("apply", "arguments")}
        for name, text in {**scripts, "steps": f"step 1 {step}\n"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


@pytest.mark.parametrize("doing", ["receiving", "running", "receiving layers"])
def test_who_takes_the_lock_ends_what_a_silent_laptop_had_running(tmp_path: Path, doing: str) -> None:
    """And the laptop, should it wake up, is told that it has lost the lock: what it had running didn't fail."""
    locks, room = tmp_path / "locks", tmp_path / "room"
    sample.files(locks, {"site-shop.token": "of-the-silent\n"})
    room.mkdir()

    def start(name: str, **given: str) -> subprocess.Popen[bytes]:
        line = sample.alone(name, locks, site="shop", **given)
        return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)

    name, given = "receive", {"room": str(room), "locks": "site-shop.work", "how": ""}
    if doing == "receiving layers":
        name, given = "receive-layers", {"folder": str(room)}
    with start(name, nonce="nonce", token="of-the-silent", **given) as silent:
        assert silent.stdin and silent.stdout
        if doing == "running":
            silent.stdin.write(a_run("sleep 60", locks))
            silent.stdin.close()
        group = locks / ("site-shop.receiving" if doing == "receiving" else "site-shop.group")
        limit = time.monotonic() + 180
        while not (group.exists() and group.read_text()):
            assert time.monotonic() < limit
            time.sleep(0.02)
        threading.Thread(target=silent.wait, daemon=True).start()  # as sshd does
        taking = {"who": "Ann", "token": "of-ann", "seconds": "30", "current": f"{tmp_path}/current", "wait": "no"}
        with start("lock", **taking) as ann:
            assert ann.stdout
            assert ann.stdout.readline().startswith(b"held")
            assert silent.wait(180) == 77
            assert b"failed" not in silent.stdout.read()
            assert list(room.iterdir()) == []


DUMPING = """#!/bin/sh
case "$*" in
*pg_dump*) printf half; ls "$TOP/backups" >"$TOP/meanwhile"; [ ! -e "$TOP/fails" ] || exit 1; printf " and whole" ;;
esac
"""


# A database's container whose state is in $STATE; how it is while it is made anew is noted in "meanwhile".
DATABASE = """#!/bin/sh
echo "$*" >>"$DOCKER_LOG"
case $* in
*"ps -aq db") [ -z "$STATE" ] || echo db1 ;;
"inspect"*Health*) echo healthy ;;
"inspect"*) echo "$STATE" ;;
"unpause"*) touch "$VOLUME.awake" ;;
*pg_isready*) [ "$STATE" != paused ] || [ -e "$VOLUME.awake" ] ;;
*"config --images"*) echo postgres:17.2 ;;
"volume inspect"*) [ -e "$VOLUME" ] ;;
"volume rm"*) rm "$VOLUME" ;;
*" up "*) cat "$CLOSED" >"$VOLUME.meanwhile" 2>&1; [ -e "$VOLUME" ] || echo whole >"$VOLUME" ;;
*exec*) cat >/dev/null; [ "$(cat "$VOLUME")" = whole ] ;;
*) true ;;
esac
"""


def start_database(
    root: Path, volume: str = "", *marks: str, current: bool = False, state: str = "", why: str = ""
) -> tuple[list[str], str]:
    """Run data.sh upon this volume and these marks. Which marks there are then, and what was done to the volume."""
    sample.files(root.parent, {"bin/docker": DATABASE, **({"volume": volume} if volume else {})})
    sample.files(root / "data", {"compose.yaml": "", **dict.fromkeys(marks, "then")})
    if not current:
        (root / "current").unlink()
    marks_of = {"begun": f"{root}/data/begun", "ready": f"{root}/data/ready"}
    closing = {"maintenance": f"{root}/maintenance", "word": "database", "sockets": "/run/portside/x"}
    given = {"compose": f"{root}/data/compose.yaml", "volume": "x-postgres", "why": why, **marks_of}
    given |= closing if why else dict.fromkeys(closing, "")
    env = {"VOLUME": f"{root.parent}/volume", "STATE": state, "CLOSED": f"{root}/maintenance/closed"}
    try:
        run(root, "data", root=root, **given, env=env)
        ended = "well"
    except subprocess.CalledProcessError:
        ended = "failed"
    done = "made anew" if any(line.startswith("volume rm") for line in docker(root)) else ended
    return sorted(path.name for path in (root / "data").iterdir() if path.suffix != ".yaml"), done


def test_a_database_is_noted_when_it_is_ready_first(root: Path) -> None:
    assert start_database(root) == (["ready"], "well")


def test_a_mark_of_a_volume_that_is_gone_means_nothing(root: Path) -> None:
    assert start_database(root, "", "ready") == (["ready"], "well")
    assert (root / "data/ready").read_text() != "then"


def test_a_database_whose_first_start_was_cut_off_is_made_anew(root: Path) -> None:
    assert start_database(root, "half", "begun") == (["ready"], "made anew")


def test_a_database_whose_first_start_only_was_not_noted_stays(root: Path) -> None:
    assert start_database(root, "whole", "begun") == (["ready"], "well")


@pytest.mark.parametrize(
    ("marks", "live"), [(("begun",), True), (("ready",), False), (("begun", "ready"), False), ((), False)]
)
def test_a_database_that_may_hold_something_is_never_made_anew(marks: tuple[str, ...], live: bool, root: Path) -> None:
    """One that was ready, one of a site that is live, one of which nobody knows."""
    assert start_database(root, "half", *marks, current=live) == (sorted(marks), "failed")


def test_a_volume_that_is_gone_is_not_made_again_where_the_site_was_live(root: Path) -> None:
    assert start_database(root, "", "ready", current=True) == (["ready"], "failed")
    assert not any(" up " in line for line in docker(root))


def test_a_database_that_runs_is_not_made_anew(root: Path) -> None:
    assert start_database(root, "whole", "ready", current=True, state="running") == (["ready"], "well")
    assert not any(" up " in line for line in docker(root))
    assert (root.parent / "result").read_text() == "unchanged it listens\n"


def test_a_database_that_is_paused_goes_on(root: Path) -> None:
    assert start_database(root, "whole", "ready", current=True, state="paused") == (["ready"], "well")
    assert "unpause db1" in docker(root)


@pytest.mark.parametrize(("closed", "after"), [("", False), ("yes", True)])
def test_a_database_is_made_anew_behind_a_closed_door(closed: str, after: bool, root: Path) -> None:
    """A door that somebody else has closed stays so."""
    if closed:
        sample.files(root, {"maintenance/closed": ""})
    start_database(root, "whole", "ready", current=True, state="running", why="postgres:17.2")
    assert (root.parent / "volume.meanwhile").read_text() == ("" if closed else "database\n")
    assert (root / "maintenance/closed").exists() is after


def test_a_door_is_opened_also_where_the_database_does_not_start(root: Path) -> None:
    assert start_database(root, "half", "ready", current=True, state="running", why="x")[1] == "failed"
    assert not (root / "maintenance").exists()


def test_a_release_that_was_good_keeps_the_database(root: Path) -> None:
    sample.files(root / "releases" / A, {"release.json": "{}"})
    assert start_database(root, "half", "begun")[1] == "failed"


# A database that takes another password unless "fails" is there; "open": it takes every one.
TWO_PASSWORDS = """#!/bin/sh
case $* in *exec*) said=$(cat) ;; esac
case $*$said in
*"ALTER ROLE"*) [ ! -e "$TOP/fails" ] && cp "$TOP/secrets/password" "$TOP/role" ;;
*"sh -s open "*) touch "$TOP/open" ;;
*"sh -s close "*) rm -f "$TOP/open" ;;
*PGPASSWORD=wrong*) [ -e "$TOP/open" ] ;;
*"select 1"*) [ -e "$TOP/open" ] || cmp -s "$TOP/secrets/password" "$TOP/role" ;;
*) echo 192.0.2.1 ;;
esac
"""


@pytest.mark.parametrize("switched", [False, True])
def test_the_database_has_the_live_releases_password_also_at_the_second_try(switched: bool, root: Path) -> None:
    top = root.parent
    files = {"bin/docker": TWO_PASSWORDS, "role": "old", "secrets/password": "old", "secrets/password.next": "new"}
    sample.files(top, files)
    given = {"compose": "data.yaml", "root": str(root), "secrets": f"{top}/secrets", "mark": f"{top}/mark"}
    env = {"TOP": str(top)}
    run(root, "passwords", **given, state="open", env=env)
    assert (top / "open").exists()
    if switched:
        (root / "current").unlink()
        (root / "current").symlink_to(f"releases/{C}")
        (top / "fails").touch()
        with pytest.raises(subprocess.CalledProcessError):
            run(root, "passwords", **given, state="close", env=env)
        (top / "fails").unlink()
    run(root, "passwords", **given, state="close", env=env)
    assert (top / "role").read_text() == (top / "secrets/password").read_text() == ("new" if switched else "old")
    assert not any((top / name).exists() for name in ("open", "mark", "secrets/password.next"))


def test_half_a_dump_never_looks_like_one(root: Path) -> None:
    top = root.parent
    sample.files(top, {"bin/docker": DUMPING, "backups/before-1.dump.part": "of a run that was ended"})
    dump = top / "backups/before-2.dump"
    run(root, "dump", data="data.yaml", dump=dump, env={"TOP": str(top)})
    assert (dump.read_text(), dump.stat().st_mode & 0o777) == ("half and whole", 0o600)
    assert (top / "meanwhile").read_text().split() == ["before-2.dump.part"]
    (top / "fails").touch()
    with pytest.raises(subprocess.CalledProcessError):
        run(root, "dump", data="data.yaml", dump=f"{top}/backups/before-3.dump", env={"TOP": str(top)})
    assert [path.name for path in (top / "backups").iterdir()] == ["before-2.dump"]


LOCKED = """\
E: Could not get lock /var/lib/apt/lists/lock. It is held by process 77 (apt-get)
E: Unable to lock directory /var/lib/apt/lists/
"""


def with_apt(root: Path, get: str) -> None:
    """Programs that stand in for apt's: apt-get is this script, and every package can be had."""
    for name, text in {"apt-get": get, "apt-cache": "echo '  Candidate: 1'"}.items():
        sample.files(root.parent / "bin", {name: f"#!/bin/sh\ncd {root.parent}\n{text}\n"})
        (root.parent / "bin" / name).chmod(0o755)


def packages(root: Path) -> subprocess.CompletedProcess[str]:
    top = root.parent
    environment = {**os.environ, "PATH": f"{top}/bin:{os.environ['PATH']}", "PORTSIDE": str(top)}
    words = ("sh", top / "remote/packages.sh", "packages=nginx")
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=180)


@pytest.mark.parametrize("which", ["update", "install"])
def test_who_keeps_apt_busy_is_waited_for_and_told_of_once(root: Path, which: str) -> None:
    (root.parent / "locked").write_text(LOCKED)
    (root.parent / "twice").write_text("echo >>tries; [ $(wc -l <tries) -gt 2 ] || { cat locked; exit 100; }")
    said = 'case $* in *install*) echo "Setting up nginx" ;; esac'
    with_apt(root, f'case $* in *" {which}"*) . ./twice ;; esac\n{said}')
    done = packages(root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("waiting for apt, which is busy: process 77 (apt-get)") == 1
    assert "lock" not in done.stdout + done.stderr
    assert done.stdout.endswith("Setting up nginx\n")


def test_what_else_is_wrong_with_apt_is_not_waited_for(root: Path) -> None:
    with_apt(root, "echo >>tries; echo 'E: Unable to fetch some archives'; exit 100")
    done = packages(root)
    assert done.returncode == 1
    assert "E: Unable to fetch some archives" in done.stdout
    assert "The list of packages can't be updated" in done.stdout
    assert (root.parent / "tries").read_text() == "\n"


def test_who_keeps_apt_busy_for_long_is_named(root: Path) -> None:
    (root.parent / "locked").write_text(LOCKED)
    with_apt(root, "cat locked; exit 100")
    script = root.parent / "remote/packages.sh"
    script.write_text(script.read_text().replace("minutes=5", "minutes=0"))
    done = packages(root)
    assert done.returncode == 1
    assert "has kept apt busy for 0 minutes: 77 (apt-get)" in done.stdout


@pytest.mark.parametrize("there", ["ours", "another's", ""])
def test_what_keeps_nginx_from_starting_goes_also_if_a_power_cut_left_it(root: Path, there: str) -> None:
    policy = root.parent / "policy-rc.d"
    with_apt(root, "case $* in *install*) cat policy-rc.d ;; esac")
    if there == "ours":
        policy.write_text("#!/bin/sh\ncase $1 in nginx*) exit 101 ;; esac\n")
    elif there:
        policy.write_text("#!/bin/sh\nexit 101\n")
    done = packages(root)
    assert done.returncode == 0
    assert ("nginx*" in done.stdout) is (there != "another's")
    assert policy.exists() is (there == "another's")


def test_packages_that_are_interrupted_leave_no_policy(root: Path) -> None:
    with_apt(root, "case $* in *install*) kill -TERM $(cat shell); sleep 0.2; esac")
    script = root.parent / "remote/packages.sh"
    script.write_text(f"echo $$ >{root.parent}/shell\n" + script.read_text())
    assert packages(root).returncode == 143
    assert not (root.parent / "policy-rc.d").exists()


def test_files_are_linked_at_their_paths_and_instead_of_what_is_there(root: Path, tmp_path: Path) -> None:
    here = sample.files(tmp_path / "here", {"a/b c.css": "new", "same": "same", "d": "d", "l" * 255: "long"})
    there = sample.files(tmp_path / "there", {"a/b c.css": "old", "a/.portside-new": "half done"})
    os.link(here / "same", there / "same")
    (here / "points").symlink_to("nowhere")
    names = ("a/b c.css", "same", "missing", "points", "d", "l" * 255)
    script = f'. "{root.parent}/remote/lib.sh"; cd "$1" && link "$2"'
    done = subprocess.run(
        ("sh", "-c", script, "sh", here, there), input="\0".join(names), text=True, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert "'missing'" in done.stderr
    for name in ("a/b c.css", "same", "d", "l" * 255):
        assert (here / name).samefile(there / name)
    assert (there / "points").readlink() == Path("nowhere")
    assert {path.name for path in there.rglob("*")} == {"a", "b c.css", "same", "points", "d", "l" * 255}

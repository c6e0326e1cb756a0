"""The stream to the server and what comes back. A local shell stands in for the far end."""

from __future__ import annotations

import fcntl
import io
import os
import re
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from getpass import getuser
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import paramiko
import pytest
from fabric import Config, Connection

from deploy.core.errors import ConnectionLost, Locked, PortsideError, StepFailed
from deploy.core.paths import Site
from deploy.core.report import Report
from deploy.core.secret import Secret
from deploy.core.steps import Argument, Step, folder, remove, script, write
from deploy.ssh import heartbeat, payload, server
from deploy.ssh.results import LOST, CommandFailed
from deploy.ssh.server import Server
from deploy.ssh.session import Input
from tests import sample

ME = f"{os.getuid()}:{os.getgid()}"


class Pipe:
    """A channel to a shell on this machine."""

    process: subprocess.Popen[bytes]

    def exec_command(self, line: str) -> None:
        self.process = subprocess.Popen(("sh", "-c", line), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    timeout: float | None = None

    def settimeout(self, timeout: float | None) -> None:
        self.timeout = timeout

    def recv(self, size: int) -> bytes:
        assert self.process.stdout
        if not select.select([self.process.stdout], [], [], self.timeout)[0]:
            raise TimeoutError
        return os.read(self.process.stdout.fileno(), size)

    def sendall(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    @property
    def eof_received(self) -> bool:
        return self.process.poll() is not None

    def recv_ready(self) -> bool:
        return bool(select.select([self.process.stdout], [], [], 0)[0]) and not self.eof_received

    def recv_exit_status(self) -> int:
        return self.process.wait(timeout=180)

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(timeout=180)
        self.process.stdout.close()


class Here(Server):
    """A server whose far end is a shell on this machine; ``cut`` ends the transfer after so many bytes."""

    cut: int | None = None

    def connect(self) -> None:
        """It is here already."""

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        pipe = Pipe()
        try:
            yield pipe
        finally:
            pipe.close()

    def stream(self, words: Sequence[str], send: Callable[[IO[bytes]], None] | None = None) -> Iterator[str]:
        sink = io.BytesIO()
        if send:
            send(sink)
        done = subprocess.run(
            words, input=sink.getvalue()[: self.cut], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        self.round_trips += 1
        yield from done.stdout.decode().splitlines()
        if done.returncode:
            raise CommandFailed(done.returncode)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A server that unpacks into a folder of the test, with scripts of the test's own in place of remote/."""
    memory, remote = tmp_path / "memory", tmp_path / "remote"
    for path in (memory, remote):
        path.mkdir()
    for name in ("apply", "arguments", "detached", "lib", "lock", "receive"):
        (remote / f"{name}.sh").write_text(sample.script_for(name, tmp_path / "locks"))
    monkeypatch.setattr(server, "MEMORY", str(memory))
    monkeypatch.setattr(payload, "REMOTE", remote)
    return another()


def another() -> Here:
    """One more laptop's connection to the same server."""
    return Here(Connection("root@server.example", config=Config(lazy=True)), Report(quiet=True))


def remote(here: Here, name: str, text: str) -> None:
    """A script that the next stream brings along."""
    assert here
    (payload.REMOTE / f"{name}.sh").write_text(f'. "$PORTSIDE/remote/lib.sh"\n{text}\n')


def states(here: Here, *steps: Step) -> list[tuple[str, str]]:
    return [(result.state, result.why) for result in here.apply(steps, stage="test")]


def failure(here: Here, *steps: Step) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        here.apply(steps, stage="test")
    return caught.value


def test_no_steps_are_no_round_trip(here: Here) -> None:
    assert here.apply([], stage="test") == []
    assert here.round_trips == 0


def test_many_steps_are_one_round_trip(here: Here, tmp_path: Path) -> None:
    here.apply([folder(f"{tmp_path}/{number}", owner=ME) for number in range(20)], stage="test")
    assert here.round_trips == 1


def test_nothing_is_left_of_a_stream(here: Here, tmp_path: Path) -> None:
    remote(here, "fail", "exit 3")
    here.apply([folder(f"{tmp_path}/x", owner=ME)], stage="test")
    failure(here, script("Fail", "fail"))
    assert list((tmp_path / "memory").iterdir()) == []


def test_a_folder_is_made_once(here: Here, tmp_path: Path) -> None:
    step = folder(f"{tmp_path}/a/b c", 0o2750, ME)
    assert states(here, step) == [("changed", "")]
    assert (tmp_path / "a/b c").stat().st_mode & 0o7777 == 0o2750
    assert states(here, step) == [("unchanged", "")]


def test_a_file_is_taken_away_once(here: Here, tmp_path: Path) -> None:
    (tmp_path / "a b").write_text("")
    assert states(here, remove(f"{tmp_path}/a b")) == [("changed", "")]
    assert not (tmp_path / "a b").exists()
    assert states(here, remove(f"{tmp_path}/a b")) == [("unchanged", "")]


def test_a_folders_mode_is_mended(here: Here, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    assert states(here, folder(f"{tmp_path}/a", 0o755, ME)) == [("changed", "")]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755


def test_a_file_is_written_once(here: Here, tmp_path: Path) -> None:
    path, text = tmp_path / "new folder/file", "line $HOME `id` 'x'\n\\n\r\n\tgrün\n\n"
    step = write(str(path), text, 0o640, ME)
    assert states(here, step) == [("changed", "")]
    assert path.read_bytes().decode() == text
    assert path.stat().st_mode & 0o777 == 0o640
    assert states(here, step) == [("unchanged", "")]


@pytest.mark.parametrize(("text", "mode"), [("other", 0o644), ("text", 0o600)])
def test_a_file_that_differs_is_replaced(text: str, mode: int, here: Here, tmp_path: Path) -> None:
    path = tmp_path / "file"
    states(here, write(str(path), text, mode, ME))
    assert states(here, write(str(path), "text", 0o644, ME)) == [("changed", "")]
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("text", 0o644)


@pytest.mark.parametrize("theirs", ["theirs", "ours"])
def test_a_file_is_never_written_through_a_link(theirs: str, here: Here, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text(theirs)
    (tmp_path / "link").symlink_to("theirs")
    assert states(here, write(f"{tmp_path}/link", "ours", 0o644, ME)) == [("changed", "")]
    assert (tmp_path / "theirs").read_text() == theirs
    assert not (tmp_path / "link").is_symlink()


def test_a_file_that_can_not_be_written_leaves_nothing_behind(here: Here, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    failure(here, write(f"{tmp_path}/folder/file", "x", 0o644, "nobody-of-this-name"))
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_script_gets_its_arguments_as_they_are(here: Here) -> None:
    take = 'list=many . "$PORTSIDE/remote/arguments.sh"; : "${one?}" "${empty?}"'
    remote(here, "tell", f'{take}; printf "%s|" "$one" "$empty" "$@"; echo')
    words = ("", "a b", "it's", "$HOME", "`id`", "*", "\\", "a=b", "one=x", "$(id)", "${one}", '"', ";id")
    told = [script("Tell", "tell", one=word, empty="", many=words) for word in words]
    for word, result in zip(words, here.apply(told, stage="test"), strict=True):
        assert result.output == ("".join(f"{each}|" for each in (word, "", *words)),)


@pytest.mark.parametrize("given", [{}, {"ones": "x"}])
def test_a_script_that_lacks_an_argument_ends(given: dict[str, Argument], here: Here) -> None:
    remote(here, "tell", '. "$PORTSIDE/remote/arguments.sh"; : "${one?}"; echo went on')
    error = failure(here, script("Tell", "tell", **given))
    assert "one: parameter not set" in "".join(error.lines)
    assert "went on" not in error.lines


def test_a_script_finds_its_own_files(here: Here, tmp_path: Path) -> None:
    remote(here, "read", 'cat "$PORTSIDE_FILES/a" "$PORTSIDE_FILES/deep/b c"')
    (tmp_path / "local").write_text("from disk\n")
    files = {"a": b"from memory\n", "deep/b c": tmp_path / "local"}
    results = here.apply(
        [script("Other", "read", files={**files, "a": b"1\n"}), script("Read", "read", files=files)], stage="test"
    )
    assert [result.output for result in results] == [("1", "from disk"), ("from memory", "from disk")]


def test_a_script_says_that_nothing_changed_and_why(here: Here) -> None:
    remote(here, "same", 'unchanged "it was so"')
    assert states(here, script("Same", "same")) == [("unchanged", "it was so")]


def test_a_script_answers(here: Here) -> None:
    take = '. "$PORTSIDE/remote/arguments.sh"; : "${port?}"'
    remote(here, "answer", f'{take}; echo words; answer "{{\\"port\\": $port, \\"text\\": \\"a b\\"}}"')
    (result,) = here.apply([script("Ask", "answer", port=8100)], stage="test")
    assert result.answer == {"port": 8100, "text": "a b"}
    assert result.output[0] == "words"


def test_an_answer_is_its_own_steps_alone(here: Here) -> None:
    remote(here, "answer", 'answer "{}"; unchanged so')
    remote(here, "silent", "true")
    results = here.apply([script("Ask", "answer"), script("Do", "silent")], stage="test")
    assert [(result.answer, result.state) for result in results] == [({}, "unchanged"), (None, "changed")]


def test_a_failed_step_says_what_it_printed(here: Here) -> None:
    remote(here, "fail", "echo working; echo on stderr >&2; die 'No luck.'")
    error = failure(here, script("Try it", "fail"))
    assert str(error).startswith("Try it: failed on server.example in the stage “test” (exit code 1).")
    assert error.lines == ["working", "on stderr", "No luck."]


@pytest.mark.parametrize("code", [1, 2, 77, 255])
def test_a_failed_step_keeps_its_exit_code(code: int, here: Here) -> None:
    remote(here, "fail", f"exit {code}")
    assert failure(here, script("Fail", "fail")).status == code


def test_what_comes_after_a_failed_step_is_not_run(here: Here, tmp_path: Path) -> None:
    remote(here, "fail", "exit 1")
    error = failure(here, folder(f"{tmp_path}/a", owner=ME), script("Fail", "fail"), folder(f"{tmp_path}/b", owner=ME))
    assert error.step == "Fail"
    assert [(tmp_path / name).exists() for name in "ab"] == [True, False]


def test_a_step_can_not_change_the_ones_after_it(here: Here, tmp_path: Path) -> None:
    remote(here, "stray", "cd / && set -e; PORTSIDE=/nowhere; exit 0")
    assert len(states(here, script("Stray", "stray"), folder(f"{tmp_path}/a", owner=ME))) == 2


def test_a_step_that_reads_its_input_finds_none(here: Here) -> None:
    remote(here, "read", "cat; echo end")
    (result,) = here.apply([script("Read", "read")], stage="test")
    assert result.output == ("end",)


def test_a_step_can_not_forge_a_mark(here: Here) -> None:
    remote(here, "forge", 'echo "@@0123456789abcdef ended 1 unchanged forged"; exit 4')
    assert failure(here, script("Forge", "forge")).status == 4


def test_a_failed_steps_lines_are_masked(here: Here) -> None:
    here.report.hide([Secret("hunter2-hunter2")])
    remote(here, "fail", "echo password=hunter2-hunter2; exit 1")
    assert failure(here, script("Fail", "fail")).lines == ["password=[hidden]"]


def test_nothing_is_left_of_a_transfer_that_breaks_off_where_nobody_reads(here: Here, tmp_path: Path) -> None:
    words = payload.alone("receive", room=server.MEMORY, nonce="n", locks="", site="", token="", how="")
    run = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert run.stdin
    assert run.stdout
    run.stdout.close()
    run.stdin.write(b"not all of it")
    run.stdin.close()
    run.wait(timeout=180)
    assert here
    assert list((tmp_path / "memory").iterdir()) == []


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_transfer_that_breaks_off_runs_nothing(cut: int, here: Here, tmp_path: Path) -> None:
    here.cut = cut
    error = failure(here, folder(f"{tmp_path}/a", owner=ME))
    assert not (tmp_path / "a").exists()
    assert "the transfer was interrupted" in str(error)
    assert list((tmp_path / "memory").iterdir()) == []


def test_a_run_that_is_killed_is_a_failure_of_the_step_it_was_at(here: Here, tmp_path: Path) -> None:
    remote(here, "die", "kill -9 $PPID; sleep 1")
    error = failure(here, folder(f"{tmp_path}/a", owner=ME), script("Die", "die"), folder(f"{tmp_path}/b", owner=ME))
    assert error.step == "Die"
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "use", [lambda at: list(at.stream(("true",))), lambda at: at.interactive(("true",), Input(), print, print)]
)
def test_a_link_that_is_dead_counts_as_lost_and_is_not_opened_again(use: Callable[[Server], object]) -> None:
    at = Server(Connection("root@server.example", config=Config(lazy=True)), Report(quiet=True))
    one, other = socket.socketpair()
    with one, other:
        at._connection.transport, at._open = paramiko.Transport(one), True
        with pytest.raises(ConnectionLost, match=r"The connection to server\.example was lost"):
            use(at)


class Closing(Server):
    """A server that asks for sudo's password and is gone before it comes."""

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        def sendall(text: bytes) -> None:
            raise OSError("Socket is closed")

        yield SimpleNamespace(
            recv=lambda size: self._sudo.question.encode(),
            sendall=sendall,
            set_combine_stderr=lambda wanted: None,
            exec_command=lambda line: None,
        )


def test_a_link_lost_at_sudos_question_counts_as_lost() -> None:
    config = Config(lazy=True, overrides={"sudo": {"password": "correct horse"}})
    at = Closing(Connection("ann@server.example", config=config), Report(quiet=True))
    at._sudo.ask()
    with pytest.raises(ConnectionLost, match="Socket is closed"), at._running(("true",)):
        pass


def received(at: Here, monkeypatch: pytest.MonkeyPatch, **how: Any) -> tuple[str, ...]:
    """What receive.sh is told besides the nonce."""
    told: list[Sequence[str]] = []

    def noted(words: Sequence[str], send: object) -> Iterator[str]:
        told.append(words)
        return iter(())

    with monkeypatch.context() as patch:
        patch.setattr(at, "stream", noted)
        with pytest.raises(StepFailed):
            at.apply([folder("/a")], stage="test", **how)
    shell, option, _, name, *words = told[0]
    given = dict(word.split("=", 1) for word in words)
    assert (shell, option, name, len(given.pop("nonce"))) == ("sh", "-c", "receive", 16)
    return tuple(given[name] for name in ("room", "locks", "site", "token", "how"))


def test_a_run_outside_a_lock_names_none(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    assert received(here, monkeypatch) == (server.MEMORY, "", "", "", "")
    assert received(here, monkeypatch, lock="server", big=True) == ("/var/tmp", "server", "", "", "")


def test_a_run_within_a_lock_waits_for_those_before_and_carries_its_token(
    here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with here.lock(site(tmp_path)):
        token = (tmp_path / "locks/site-art.token").read_text().strip()
        assert received(here, monkeypatch, lock="server", detached=True) == (
            server.MEMORY, "server site-art.work", "art", token, "detached",
        )  # fmt: skip
    assert received(here, monkeypatch) == (server.MEMORY, "", "", "", "")


def site(folder: Path, name: str = "art") -> Site:
    """A site whose live release is told by a link in the test's folder."""
    return SimpleNamespace(name=name, current=str(folder / "current"))  # type: ignore[return-value]


def until(so: Callable[[], bool]) -> bool:
    limit = time.monotonic() + 180
    while not so() and time.monotonic() < limit:
        time.sleep(0.02)
    return so()


def test_a_lock_is_held_by_one_and_the_second_is_told_by_whom(here: Here, tmp_path: Path) -> None:
    with here.lock(site(tmp_path)):
        with pytest.raises(Locked) as caught, another().lock(site(tmp_path)):
            pass
        who = f"{getuser()}@{socket.gethostname()}"
        assert re.fullmatch(
            rf"Another deploy of art is under way on {here.target}: {who}, since \d\d:\d\d:\d\d UTC\.",
            caught.value.message,
        )
        assert (caught.value.state, caught.value.exit_code) == ("Nothing was changed.", 3)
        with another().lock(site(tmp_path, "blog")):
            pass
    with another().lock(site(tmp_path)):
        pass


def test_with_a_site_that_is_gone_its_locks_are_gone(here: Here, tmp_path: Path) -> None:
    gone, locks = site(tmp_path / "gone"), tmp_path / "locks"
    with here.lock(site(tmp_path, "art-2")), here.lock(gone):
        here.apply([folder(f"{tmp_path}/a", owner=ME)], stage="test")
        assert (locks / "site-art.work").exists()
    assert until(lambda: not list(locks.glob("site-art.*")))
    assert (locks / "site-art-2.lock").exists()
    with here.lock(gone):
        pass


def test_who_waited_for_a_site_that_was_taken_away_has_the_lock_alone(here: Here, tmp_path: Path) -> None:
    gone, holders = tmp_path / "gone", list[str]()
    with here.lock(site(gone)):
        waiting = threading.Thread(target=wait_for, args=(gone, holders))
        waiting.start()
        assert until(lambda: len(holders) == 1)
    waiting.join(timeout=180)
    assert holders[-1] == "it is mine"
    inode = None
    with another().lock(site(gone)):
        inode = (tmp_path / "locks/site-art.lock").stat().st_ino
        with pytest.raises(Locked), here.lock(site(gone)):
            pass
        assert (tmp_path / "locks/site-art.lock").stat().st_ino == inode


def test_a_lock_tells_others_the_stage_it_is_at(here: Here, tmp_path: Path) -> None:
    holder = tmp_path / "locks/site-art.holder"
    with here.lock(site(tmp_path)) as (tell, _, _):
        tell("gate")
        assert until(lambda: holder.read_text().endswith(" UTC, now at gate\n"))
    assert not holder.exists()


@pytest.mark.parametrize(("link", "live"), [(f"releases/{sample.OLD}", sample.OLD), ("", "")])
def test_a_lock_tells_the_release_that_is_live_now(link: str, live: str, here: Here, tmp_path: Path) -> None:
    if link:
        (tmp_path / "current").symlink_to(link)
    with here.lock(site(tmp_path)) as (_, current, _):
        assert current == live


def test_who_waits_is_told_who_holds_it_and_gets_it_when_they_end(here: Here, tmp_path: Path) -> None:
    holders: list[str] = []
    with here.lock(site(tmp_path)) as (tell, _, _):
        waiting = threading.Thread(target=wait_for, args=(tmp_path, holders))
        waiting.start()
        assert until(lambda: len(holders) == 1)
        tell("gate")
        assert until(lambda: holders[-1].endswith(" UTC, now at gate"))
    waiting.join(timeout=180)
    assert holders[2:] == ["it is mine"]


def wait_for(folder: Path, holders: list[str]) -> None:
    with another().lock(site(folder), holders.append):
        holders.append("it is mine")


def test_who_waits_no_more_gets_no_lock(here: Here, tmp_path: Path) -> None:
    def weary(holder: str) -> None:
        raise KeyboardInterrupt

    with here.lock(site(tmp_path)):
        token = (tmp_path / "locks/site-art.token").read_text()
        with pytest.raises(KeyboardInterrupt), another().lock(site(tmp_path), weary):
            pass
    assert (tmp_path / "locks/site-art.token").read_text() == token


def test_who_has_just_begun_is_told_as_such(here: Here, tmp_path: Path) -> None:
    lock_file = sample.files(tmp_path, {"locks/site-art.lock": ""}) / "locks/site-art.lock"
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Locked, match=r"is under way on .*: it has just begun"), here.lock(site(tmp_path)):
            pass


@pytest.mark.parametrize("patient", [True, False])
def test_a_link_that_is_lost_before_we_have_the_lock_is_told_as_lost(
    patient: bool, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with here.lock(site(tmp_path)):
        monkeypatch.setattr(Pipe, "recv", lambda pipe, size: b"")  # as of a connection that ended
        monkeypatch.setattr(Pipe, "recv_exit_status", lambda pipe: LOST)
        waiting = (lambda holder: None) if patient else None
        with pytest.raises(ConnectionLost, match="was lost"), another().lock(site(tmp_path), waiting):
            pass


def test_a_lock_lasts_for_as_long_as_its_heart_beats(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SILENCE_SECONDS", 8)
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.2)
    with here.lock(site(tmp_path)):
        time.sleep(10)
        with pytest.raises(Locked), another().lock(site(tmp_path)):
            pass


def test_a_link_is_checked_by_asking_who_holds_our_lock(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.check_link()  # which asks nobody: nothing is begun without a lock
    with here.lock(site(tmp_path)):
        here.check_link()
        monkeypatch.setattr(heartbeat, "CONNECT_SECONDS", 0.5)
        monkeypatch.setattr(Pipe, "sendall", lambda pipe, data: None)  # as a cut cable has it
        with pytest.raises(ConnectionLost, match="the server no longer answers"):
            here.check_link()


def test_a_laptop_that_wakes_up_after_somebody_else_took_over_changes_nothing(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SILENCE_SECONDS", 1)
    holder, waking = tmp_path / "locks/site-art.holder", folder(f"{tmp_path}/a", owner=ME)
    with here.lock(site(tmp_path)):
        assert states(here, folder(f"{tmp_path}/before", owner=ME)) == [("changed", "")]
        assert until(lambda: not holder.exists())
        # Nobody has taken it: what we do is still alone.
        assert states(here, folder(f"{tmp_path}/silent", owner=ME)) == [("changed", "")]
        with another().lock(site(tmp_path)):
            pass
        with pytest.raises(Locked, match="Another machine has taken the lock"):
            here.apply([waking], stage="test")
    assert not (tmp_path / "a").exists()


def test_a_lock_that_is_taken_over_ends_a_run_between_two_steps(here: Here, tmp_path: Path) -> None:
    remote(here, "lose", f"echo other >{tmp_path}/locks/site-art.token")
    with here.lock(site(tmp_path)), pytest.raises(Locked, match="has taken the lock"):
        here.apply([script("Lose it", "lose"), folder(f"{tmp_path}/a", owner=ME)], stage="test")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("within", [True, False])
def test_a_run_waits_for_one_that_a_dead_deploy_left(within: bool, here: Here, tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    name = "site-art.work" if within else "server"
    receive = payload.REMOTE / "receive.sh"
    receive.write_text(receive.read_text().replace("-w 900", "-w 1"))
    step = folder(f"{tmp_path}/a", owner=ME)
    with here.lock(site(tmp_path)):
        with (tmp_path / "locks" / name).open("w") as busy:
            fcntl.flock(busy, fcntl.LOCK_EX)
            with pytest.raises(Locked, match="busy for 15 minutes"):
                here.apply([step], stage="test", lock="" if within else "server")
        assert not (tmp_path / "a").exists()
        assert len(here.apply([step], stage="test", lock="" if within else "server")) == 1
    assert list((tmp_path / "memory").iterdir()) == []


def test_a_run_that_nobody_reads_reaches_its_end(here: Here, tmp_path: Path) -> None:
    remote(
        here,
        "talk",
        'i=0; while [ $i -lt 200 ]; do echo "still here, line $i of many"; i=$((i + 1)); done; exit 0',
    )
    steps = [script("Talk", "talk"), folder(f"{tmp_path}/a", owner=ME)]
    unpacked = tmp_path / "unpacked"
    sink = io.BytesIO()
    payload.pack(steps, sink)
    unpacked.mkdir()
    subprocess.run(("tar", "-xzf", "-", "-C", unpacked), input=sink.getvalue(), check=True)
    run = subprocess.Popen(
        ("sh", unpacked / "remote/apply.sh", f"folder={unpacked}", "nonce=n", "site=", "token=", "how="),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert run.stdout
    run.stdout.close()
    run.wait(timeout=180)
    assert (tmp_path / "a").exists()


def hanging(here: Here, tmp_path: Path) -> threading.Thread:
    """A run of ours that hangs, in a thread."""
    remote(here, "hang", f'echo $$ >"{tmp_path}/hung"; sleep 100')
    run = threading.Thread(target=lambda: suppressed(here), daemon=True)
    run.start()
    assert until((tmp_path / "hung").exists)
    return run


def suppressed(here: Here) -> None:
    with suppress(PortsideError):
        here.apply([script("Hang", "hang")], stage="test")


def test_what_a_laptop_that_hung_up_left_running_ends(here: Here, tmp_path: Path) -> None:
    with here.lock(site(tmp_path)):
        run = hanging(here, tmp_path)
    run.join(timeout=180)
    assert not run.is_alive()
    assert list((tmp_path / "memory").iterdir()) == []
    with another().lock(site(tmp_path)) as (_, _, busy):
        assert not busy


def test_what_a_silent_laptop_runs_ends_once_somebody_takes_over(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SILENCE_SECONDS", 1)
    with here.lock(site(tmp_path)):
        run = hanging(here, tmp_path)
        assert until(lambda: not (tmp_path / "locks/site-art.holder").exists())
        assert run.is_alive(), "it may wake up"
        with another().lock(site(tmp_path)) as (_, _, busy):
            assert busy
            run.join(timeout=180)
            assert not run.is_alive()


class Ending(Server):
    """A server whose connection ends, or whose command does, while something is sent to it."""

    status = LOST

    def connect(self) -> None:
        """It is here already."""

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        def sendall(data: bytes) -> None:
            raise EOFError

        yield SimpleNamespace(
            recv=lambda size: b"",
            sendall=sendall,
            closed=False,
            close=lambda: None,
            exit_status_ready=lambda: False,
            shutdown_write=lambda: None,
            recv_exit_status=lambda: self.status,
            set_combine_stderr=lambda wanted: None,
            exec_command=lambda line: None,
        )


def test_a_link_lost_while_something_is_sent_counts_as_lost() -> None:
    at = Ending(Connection("root@server.example", config=Config(lazy=True)), Report(quiet=True))
    with pytest.raises(ConnectionLost, match=r"The connection to server\.example was lost in the stage “build”"):
        at.apply([script("Build", "build")], stage="build")


def test_what_fails_here_while_something_is_sent_is_told() -> None:
    at = Ending(Connection("root@server.example", config=Config(lazy=True)), Report(quiet=True))
    at.status = 1
    with pytest.raises(EOFError):
        at.apply([script("Build", "build")], stage="build")


class Resetting(Server):
    """A server whose connection is reset just as a command is to begin: paramiko doesn't know it yet."""

    def connect(self) -> None:
        self._connection.create_session = lambda: SimpleNamespace(
            settimeout=lambda seconds: None,
            set_combine_stderr=lambda wanted: None,
            exec_command=self.reset,
            close=self.reset,
        )

    def reset(self, *_: object) -> None:
        raise EOFError


def test_a_link_that_is_lost_is_told_as_lost_though_its_channel_can_not_be_closed() -> None:
    at = Resetting(Connection("root@server.example", config=Config(lazy=True)), Report(quiet=True))
    with pytest.raises(ConnectionLost, match=r"The connection to server\.example was lost"):
        list(at.stream(("true",)))


class Narrow(Server):
    """A server whose sshd opens no second session."""

    def connect(self) -> None:
        self._connection.create_session = self.refuse

    def refuse(self) -> None:
        raise paramiko.ChannelException(2, "Connect failed")


def test_an_sshd_that_opens_no_second_session_is_told_as_such() -> None:
    at = Narrow(Connection("root@server.example", config=Config(lazy=True)), Report(quiet=True))
    with pytest.raises(PortsideError, match=r"sshd on server\.example allows no further session") as caught:
        list(at.stream(("true",)))
    assert "MaxSessions" in caught.value.hint


def test_it_is_reached_while_other_things_go_on_and_connecting_tells_how_that_ended() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        at = Server(Connection(f"ann@127.0.0.1:{port}", config=Config(lazy=True)), Report())
        at.start_connecting()
        caller, _ = listener.accept()
        with caller:
            assert caller.recv(4) == b"SSH-"
    with pytest.raises(PortsideError, match=r"127\.0\.0\.1"):
        at.connect()


@pytest.mark.parametrize("destination", ["server.example", "ann@server.example", "ann@server.example:2222"])
def test_the_destination_is_what_the_user_typed(destination: str) -> None:
    given = Connection(destination, config=Config(lazy=True))
    at = Server(given, Report())
    assert (at._connection.host, at._connection.user, at._connection.port) == (given.host, given.user, given.port)
    assert at.target == destination


def test_notice_of_an_interruption_is_taken_once_its_channel_is_closed(here: Here) -> None:
    told: list[object] = []

    def close() -> None:
        threads.append(threading.Thread(target=lambda: told.append(here.take_interrupt())))
        threads[0].start()
        time.sleep(0.2)
        told.append("closed")

    threads: list[threading.Thread] = []
    here._awaited = SimpleNamespace(close=close)  # type: ignore[assignment]
    here.interrupt()
    threads[0].join(timeout=180)
    assert told == ["closed", True], "what is cleared away after it has a channel of its own"
    assert not here.take_interrupt()


def test_what_is_interrupted_from_another_thread_ends_as_by_ctrl_c(here: Here, tmp_path: Path) -> None:
    with here.lock(site(tmp_path)):
        here.interrupt()
        with pytest.raises(KeyboardInterrupt), another_channel(here) as channel:
            here._received(channel)
        with another_channel(here) as channel:
            assert here._received(channel) == b"once\n"


@contextmanager
def another_channel(here: Here) -> Iterator[Any]:
    with here._channel() as channel:
        channel.exec_command("echo once")
        yield channel

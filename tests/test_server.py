"""The stream to the server and what comes back. A local shell stands in for the far end."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import paramiko
import pytest
from fabric import Config, Connection

from deploy import server
from deploy.errors import Locked, PortsideError, StepFailed
from deploy.report import Report
from deploy.secret import Secret
from deploy.server import CommandFailed, Server
from deploy.steps import Step, folder, script, write

ME = f"{os.getuid()}:{os.getgid()}"


class Here(Server):
    """A server whose far end is a shell on this machine; ``cut`` ends the transfer after so many bytes."""

    cut: int | None = None

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
    for name in ("apply.sh", "lib.sh"):
        (remote / name).symlink_to(server.REMOTE / name)
    monkeypatch.setattr(server, "MEMORY", str(memory))
    monkeypatch.setattr(server, "REMOTE", remote)
    return Here(Connection("server.example", config=Config(lazy=True)), Report(quiet=True))


def remote(here: Here, name: str, text: str) -> None:
    """A script that the next stream brings along."""
    assert here
    (server.REMOTE / f"{name}.sh").write_text(f'. "$PORTSIDE/remote/lib.sh"\n{text}\n')


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
    remote(here, "tell", 'printf "%s|" "$@"; echo')
    words = ("", "a b", "it's", "$HOME", "`id`", "*", "\\")
    (result,) = here.apply([script("Tell", "tell", *words)], stage="test")
    assert result.output == ("|a b|it's|$HOME|`id`|*|\\|",)


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
    remote(here, "answer", 'echo words; answer "{\\"port\\": $1, \\"text\\": \\"a b\\"}"')
    (result,) = here.apply([script("Ask", "answer", "8100")], stage="test")
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


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_transfer_that_breaks_off_runs_nothing(cut: int, here: Here, tmp_path: Path) -> None:
    here.cut = cut
    error = failure(here, folder(f"{tmp_path}/a", owner=ME))
    assert not (tmp_path / "a").exists()
    assert "the transfer broke off" in str(error)
    assert list((tmp_path / "memory").iterdir()) == []


def test_a_run_that_is_killed_is_a_failure_of_the_step_it_was_at(here: Here, tmp_path: Path) -> None:
    remote(here, "die", "kill -9 $PPID; sleep 1")
    error = failure(here, folder(f"{tmp_path}/a", owner=ME), script("Die", "die"), folder(f"{tmp_path}/b", owner=ME))
    assert error.step == "Die"
    assert not (tmp_path / "b").exists()


def follow(lines: list[str], status: int = 0) -> None:
    """Reads these lines as those of two steps."""

    def come() -> Iterator[str]:
        yield from lines
        if status:
            raise CommandFailed(status)

    report = Report(quiet=True)
    at = Server(Connection("server.example", config=Config(lazy=True)), report)
    server._Run(at, [folder("/a"), folder("/b")], "test", "@@n ").follow(come())


def test_a_lost_connection_says_so() -> None:
    with pytest.raises(PortsideError, match=r"The connection to server\.example was lost in the stage “test”"):
        follow(["@@n begin 1", "@@n ended 1 changed"], status=-1)


def test_a_server_that_others_keep_busy_is_told_as_locked() -> None:
    with pytest.raises(Locked, match="busy for 15 minutes"):
        follow([], status=server.BUSY)


def test_a_run_that_ends_early_is_a_failure_without_an_error_too() -> None:
    with pytest.raises(StepFailed, match="Folder /b"):
        follow(["@@n begin 1", "@@n ended 1 changed", "@@n begin 2"])


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("sudo: a password is required", "NOPASSWD"),
        ("sudo: sorry, you must have a tty to run sudo", "!requiretty"),
        ("sudo: ann is not in the sudoers file", "NOPASSWD"),
    ],
)
def test_sudo_that_refuses_is_told_with_the_line_to_add(said: str, hint: str) -> None:
    with pytest.raises(PortsideError, match=r"No root on server\.example") as caught:
        follow([said], status=1)
    assert hint in caught.value.hint


def packed(steps: Sequence[Step]) -> dict[str, tarfile.TarInfo]:
    sink = io.BytesIO()
    server._pack(steps, sink)
    sink.seek(0)
    with tarfile.open(fileobj=sink, mode="r:gz") as archive:
        return {entry.name: entry for entry in archive}


def test_a_stream_brings_the_scripts_its_steps_name() -> None:
    assert set(packed([script("x", "after"), folder("/a"), script("y", "gate")])) == {
        "remote/after.sh", "remote/apply.sh", "remote/gate.sh", "remote/lib.sh", "steps",
    }  # fmt: skip


def test_the_steps_come_last_so_that_half_a_stream_has_none() -> None:
    assert list(packed([write("/a", "x")]))[-2:] == ["files/1/content", "steps"]


def test_a_streams_files_tell_nothing_of_the_laptop(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0o666)
    entry = packed([script("x", "after", files={"a": tmp_path / "a"})])["files/1/a"]
    assert (entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime, entry.mode) == (0, 0, "", "", 0, 0o644)


def test_a_stream_keeps_links_and_what_can_be_run(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    (tmp_path / "run").chmod(0o700)
    (tmp_path / "link").symlink_to("run")
    entries = packed([script("x", "after", files={"run": tmp_path / "run", "link": tmp_path / "link"})])
    assert entries["files/1/run"].mode == 0o755
    assert (entries["files/1/link"].issym(), entries["files/1/link"].linkname) == (True, "run")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(-2, "unknown"), "There is no host called server.example"),
        (ConnectionRefusedError(), "Nothing answers SSH at server.example, port 2222"),
        (
            paramiko.ssh_exception.NoValidConnectionsError({("192.0.2.1", 2222): OSError("refused")}),
            "Nothing answers SSH at server.example, port 2222",
        ),
        (TimeoutError(), "didn't answer within 15 s"),
        (paramiko.AuthenticationException("no"), "let nobody in as ann"),
        (paramiko.PasswordRequiredException("locked"), "ssh-add"),
        (paramiko.SSHException("Server 'x' not found in known_hosts"), "ssh -p 2222 ann@server.example once"),
        (
            paramiko.BadHostKeyException("x", paramiko.RSAKey.generate(1024), paramiko.RSAKey.generate(1024)),
            r"ssh-keygen -R '\[server.example\]:2222'",
        ),
        (paramiko.SSHException("odd banner"), "No connection to server.example: odd banner"),
        (EOFError(), "No connection to server.example: EOFError"),
    ],
)
def test_a_connection_that_fails_says_why_and_what_to_do(error: Exception, said: str) -> None:
    connection = Connection("ann@server.example:2222", config=Config(lazy=True))
    with pytest.raises(PortsideError, match=said):
        raise server._connect_error(error, connection, "server")


def test_an_unknown_host_key_is_refused() -> None:
    at = Server(Connection("server.example", config=Config(lazy=True)), Report())
    assert isinstance(at._connection.client._policy, paramiko.RejectPolicy)


@pytest.mark.parametrize("destination", ["server.example", "ann@server.example", "ann@server.example:2222"])
def test_the_destination_is_what_the_user_typed(destination: str) -> None:
    given = Connection(destination, config=Config(lazy=True))
    at = Server(given, Report())
    assert (at._connection.host, at._connection.user, at._connection.port) == (given.host, given.user, given.port)
    assert at.target == destination


def test_words_run_as_root_and_are_quoted() -> None:
    root = Server(Connection("root@server.example", config=Config(lazy=True)), Report())
    other = Server(Connection("ann@server.example", config=Config(lazy=True)), Report())
    assert root._as_root(("echo", "a b")) == "echo 'a b'"
    assert other._as_root(("echo", "a b")) == "sudo -n echo 'a b'"

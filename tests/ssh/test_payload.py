"""What travels to the server, and the thread that sends it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import pytest

from deploy.core.errors import PortsideError
from deploy.core.steps import Step, folder, script, write
from deploy.ssh import payload
from deploy.ssh.payload import Sender


def packed(steps: Sequence[Step]) -> dict[str, tarfile.TarInfo]:
    sink = io.BytesIO()
    payload.pack(steps, sink)
    sink.seek(0)
    with tarfile.open(fileobj=sink, mode="r:gz") as archive:
        return {entry.name: entry for entry in archive}


def test_a_stream_brings_the_scripts_its_steps_name() -> None:
    assert set(packed([script("x", "after"), folder("/a"), script("y", "gate")])) == {
        "remote/after.sh", "remote/apply.sh", "remote/arguments.sh", "remote/cause.sh", "remote/detached.sh",
        "remote/gate.sh", "remote/lib.sh", "steps",
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


def test_a_stream_brings_the_scripts_that_its_scripts_call() -> None:
    assert "remote/discard.sh" in packed([script("x", "prune")])
    assert "remote/discard.sh" not in packed([script("x", "stop")])


def test_the_same_steps_are_the_same_stream() -> None:
    steps = [script("x", "after", files={"a": b"1"}), folder("/a b")]
    one, other = packed(steps), packed(steps)
    assert [entry.get_info() for entry in one.values()] == [entry.get_info() for entry in other.values()]


def test_a_folder_of_a_project_stays_one(tmp_path: Path) -> None:
    entry = packed([script("x", "after", files={"a": tmp_path})])["files/1/a"]
    assert (entry.isdir(), entry.mode) == (True, 0o755)


class Far:
    """A channel whose far end takes ``room`` bytes and then breaks."""

    def __init__(self, room: int = 1000) -> None:
        self.room, self.taken = room, io.BytesIO()
        self.closed = self.ended = self.shut = False

    def sendall(self, block: bytes) -> None:
        if self.taken.tell() + len(block) > self.room:
            raise OSError("Socket is closed")
        self.taken.write(block)

    def exit_status_ready(self) -> bool:
        return self.ended

    def shutdown_write(self) -> None:
        self.shut = True


def sent(far: Far, send: Callable[[IO[bytes]], None] | None) -> Sender:
    sender = Sender(far, send)  # type: ignore[arg-type]
    sender.start()
    sender.join(timeout=180)
    assert not sender.is_alive()
    return sender


def ten_bytes(sink: IO[bytes]) -> None:
    sink.write(b"x" * 10)


def test_a_sender_sends_all_and_ends_the_input() -> None:
    far = Far()
    assert sent(far, ten_bytes).error is None
    assert (far.taken.getvalue(), far.shut) == (b"x" * 10, True)


def test_a_sender_with_nothing_to_send_ends_the_input() -> None:
    far = Far()
    assert sent(far, None).error is None
    assert far.shut


def test_what_goes_wrong_while_sending_is_kept_for_the_one_who_reads() -> None:
    far = Far(room=1)
    assert isinstance(sent(far, ten_bytes).error, OSError)
    assert far.shut


@pytest.mark.parametrize("how", ["closed", "ended"])
def test_a_command_that_ended_early_tells_why_in_its_own_words(how: str) -> None:
    far = Far(room=1)
    setattr(far, how, True)
    assert sent(far, ten_bytes).error is None


def test_a_sender_keeps_no_program_from_ending() -> None:
    assert Sender(Far(), None).daemon  # type: ignore[arg-type]


def test_a_file_that_is_gone_by_now_is_not_left_out_silently(tmp_path: Path) -> None:
    step = script("Build", "build", files={"a.py": tmp_path / "a.py"})
    with pytest.raises(PortsideError, match=r"a\.py no longer exists"):
        payload.pack([step], io.BytesIO())

"""Sudo and its password: sent to sudo alone, and only if it asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.core.errors import PortsideError
from deploy.core.report import Report
from deploy.core.steps import quote
from deploy.ssh.sudo import Sudo

PASSWORD = "correct horse"


def sudo(user: str = "ann", given: str = PASSWORD) -> Sudo:
    return Sudo(user, "web-1", Report(quiet=True), given)


def asking() -> Sudo:
    made = sudo()
    made.ask()
    return made


def enter(made: Sudo, *blocks: str) -> tuple[bytes, list[bytes]]:
    """What came after we were let in, and what was sent. Q: sudo's question; R: we are root."""
    root = made.guarded(("true",))[-2]
    texts = [block.replace("<Q>", made.question).replace("<R>", f"{root}\n") for block in blocks]
    received, sent = iter([*texts, ""]), list[bytes]()
    return made.enter(lambda: next(received).encode(), sent.append), sent


def test_root_needs_no_sudo() -> None:
    assert (sudo("root").words(("echo", "a b")), sudo("root").settled) == (("echo", "a b"), True)


def test_without_a_password_none_is_asked_for() -> None:
    assert quote(sudo().words(("echo", "a b"))) == "env LC_ALL=C.UTF-8 LANGUAGE= sudo -n echo 'a b'"
    assert sudo().guarded(("echo", "a")) == sudo().words(("echo", "a"))


def test_a_password_is_never_among_the_words() -> None:
    made = asking()
    assert made.words(("id",))[-5:] == ("sudo", "-S", "-p", made.question, "id")
    assert not [word for word in made.guarded(("id",)) if PASSWORD in word]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("sudo: a password is required", True),
        ("sudo: interactive authentication is required", True),
        ("sudo: sorry, you must have a tty to run sudo", False),
        ("a password is required", False),
    ],
)
def test_sudo_says_that_it_wants_a_password(line: str, wanted: bool) -> None:
    assert sudo().wants(line) is wanted
    settled = sudo()
    settled.settled = True
    assert not settled.wants(line)


def test_sudo_says_so_in_english_on_a_server_that_speaks_another_language(tmp_path: Path) -> None:
    wants = '[ "${LC_ALL#C}" != "$LC_ALL" ] && echo "a password is required" || echo "Ein Passwort ist notwendig"'
    (tmp_path / "sudo").write_text(f"#!/bin/sh\nprintf 'sudo: '; {wants}\n")
    (tmp_path / "sudo").chmod(0o755)
    german = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8"}
    done = subprocess.run(sudo().words(("id",)), env=german, capture_output=True, text=True, check=True)
    assert sudo().wants(done.stdout)


def test_a_password_in_the_environment_is_out_of_it_before_fabric_reads_it() -> None:
    code = "import os, deploy.ssh.sudo as sudo; print(sudo.GIVEN, 'FABRIC_SUDO_PASSWORD' in os.environ)"
    done = subprocess.run(
        (sys.executable, "-c", code),
        env={**os.environ, "FABRIC_SUDO_PASSWORD": PASSWORD}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{PASSWORD} False\n"


@pytest.mark.parametrize("blocks", [("<Q>", "<R>@@n begin"), ("We trust you have\n<Q>", "\n<R>", "@@n begin")])
def test_the_password_is_sent_once_it_is_asked_for(blocks: tuple[str, ...]) -> None:
    after, sent = enter(asking(), *blocks)
    assert (b"@@n begin".startswith(after), sent) == (True, [PASSWORD.encode() + b"\n"])


def test_the_question_may_come_in_pieces() -> None:
    made = asking()
    half = len(made.question) // 2
    assert enter(made, made.question[:half], made.question[half:], "<R>")[1] == [made.reply]


def test_where_sudo_does_not_ask_nothing_is_sent() -> None:
    assert enter(asking(), "<R>@@n begin") == (b"@@n begin", [])


def test_a_wrong_password_is_told_and_not_tried_again() -> None:
    with pytest.raises(PortsideError, match=r"sudo on web-1 rejected this password for ann\.") as caught:
        enter(asking(), "<Q>", "Sorry, try again.\n<Q>")
    assert "FABRIC_SUDO_PASSWORD" in caught.value.hint


def test_who_may_not_use_sudo_is_told_what_it_says() -> None:
    with pytest.raises(PortsideError, match=r"No root on web-1: sudo: ann is not in the sudoers file\."):
        enter(asking(), "<Q>", "\nsudo: ann is not in the sudoers file.\n")


def test_a_password_is_masked() -> None:
    report = Report(quiet=True)
    Sudo("ann", "web-1", report, PASSWORD).ask()
    assert report.mask(f"it is {PASSWORD}") == "it is [hidden]"


@pytest.mark.parametrize("closed", [False, True])
def test_without_a_terminal_it_is_said_where_to_put_the_password(closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/null") as nothing:  # noqa: PTH123 - as a CI job has it
        monkeypatch.setattr(sys, "stdin", None if closed else nothing)
        with pytest.raises(PortsideError) as caught:
            sudo(given="").ask()
    assert "there is no terminal" in caught.value.message
    assert "FABRIC_SUDO_PASSWORD" in caught.value.hint
    assert "ann ALL=(ALL) NOPASSWD:ALL" in caught.value.hint


def test_on_a_terminal_lines_end_otherwise() -> None:
    made = asking()
    root = made.guarded(("true",))[-2]
    received = iter([f"{made.question}".encode(), f"\r\n{root}\r\nhello".encode(), b""])
    sent: list[bytes] = []
    assert made.enter(lambda: next(received), sent.append) == b"hello"
    assert sent == [f"{PASSWORD}\n".encode()]

"""Sudo: runs commands as root for other users, and sends the password if sudo requires one.

The password goes through the same input as everything else. So it is sent only once sudo has asked for it, and the
rest only once sudo has accepted it. That way only sudo reads the password, and a wrong one is reported.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import threading
from collections.abc import Callable, Sequence

from ..core.errors import PortsideError
from ..core.report import Report
from ..core.secret import Secret
from .errors import no_root

WANTED = re.compile(r"sudo: .*(password|authentication) is required")
IN_ENGLISH = ("env", "LC_ALL=C.UTF-8", "LANGUAGE=")  # so that sudo's messages aren't translated
LET_IN = 'echo "$0"; exec "$@"'
# Removed from the environment before Fabric reads it, because with --debug it prints its environment.
GIVEN = os.environ.pop("FABRIC_SUDO_PASSWORD", "")
_terminal = threading.Lock()  # one question at a time, when several servers ask


def on_terminal() -> bool:
    """Whether standard input is a terminal. If it is closed, Python has none."""
    return bool(sys.stdin and sys.stdin.isatty())


def asking() -> bool:
    """Whether a question is waiting for an answer on the terminal."""
    return _terminal.locked()


class Sudo:
    """Runs commands as root on a server. ``given``: the password, if Fabric has one."""

    def __init__(self, user: str, target: str, report: Report, given: str) -> None:
        self.user, self.target, self.report = user, target, report
        self.settled = user == "root"
        self.password: Secret | None = None
        self._given = given
        self._mark = secrets.token_hex(8)

    @property
    def asks(self) -> bool:
        return self.password is not None

    def words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return words that run ``words`` as root."""
        if self.user == "root":
            return tuple(words)
        return (*IN_ENGLISH, "sudo", *(("-S", "-p", self.question) if self.asks else ("-n",)), *words)

    def guarded(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return words that run ``words`` as root. If a password is sent first, they print a line once they are
        root."""
        return self.words(("sh", "-c", LET_IN, self._root, *words) if self.asks else words)

    @property
    def question(self) -> str:
        return f"[sudo {self._mark}] password: "

    @property
    def _root(self) -> str:
        return f"[root {self._mark}]"

    def wants(self, line: str) -> bool:
        """Whether a line says that sudo requires a password."""
        return not self.settled and bool(WANTED.search(line))

    def ask(self) -> None:
        """Ask for the password on the terminal, unless it is given. Raises PortsideError if there is no terminal."""
        text = self._given or self._typed()
        self.password = Secret(text)
        self.report.hide([self.password])

    def _typed(self) -> str:
        if not on_terminal():
            raise PortsideError(
                f"No root on {self.target}: sudo requires {self.user}'s password, and there is no terminal to ask on.",
                state="Nothing was changed.",
                hint="Set it in the environment as FABRIC_SUDO_PASSWORD, "
                f"or allow sudo without a password (with visudo): {self.user} ALL=(ALL) NOPASSWD:ALL",
            )
        with _terminal:
            return self.report.ask_secret(f"sudo's password for {self.user} on {self.target}: ")

    def enter(self, received: Callable[[], bytes], send: Callable[[bytes], None]) -> bytes:
        """Answer sudo's question, if it asks, and return the output that follows. Raises PortsideError."""
        seen, answered = b"", False
        question, root = self.question.encode(), re.compile(re.escape(self._root.encode()) + rb"\r?\n")
        while not root.search(seen):
            block = received()
            if not block:
                raise no_root(seen.replace(question, b"").decode(errors="replace"), self.target)
            seen += block
            if seen.count(question) > answered:
                if answered:
                    raise self._wrong()
                send(self.reply)
                answered = True
        return root.split(seen, maxsplit=1)[1]

    @property
    def reply(self) -> bytes:
        return f"{self.password.reveal() if self.password else ''}\n".encode()

    def _wrong(self) -> PortsideError:
        return PortsideError(
            f"sudo on {self.target} rejected this password for {self.user}.",
            state="Nothing was changed.",
            hint="Run the command again"
            + (" with the right password in FABRIC_SUDO_PASSWORD." if self._given else "."),
        )

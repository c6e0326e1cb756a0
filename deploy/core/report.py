"""The output that the user sees: stages with their times, then a summary; plain lines without a terminal."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from getpass import getpass
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from .logfile import RunLog
from .mask import Mask
from .secret import Secret

# Control characters, characters that change the direction of text, and bytes of a file name that aren't UTF-8.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Report:
    """Prints everything, so that secrets are masked in one place."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        self.verbose, self.quiet = verbose, quiet
        self.console = Console(highlight=False, soft_wrap=True)
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self.results = self.console
        self._status: Status | None = None
        self._stage = ""
        self.mask = Mask()
        self.reminders: list[str] = []  # warnings that are repeated at the end
        self.log: RunLog | None = None  # gets every line, even with --quiet

    def hide(self, secrets: Iterable[Secret], public: Iterable[str] = ()) -> None:
        """Mask these values from now on, in any spelling, except inside a ``public`` name."""
        self.mask.add((secret.reveal() for secret in secrets), public)

    def shown(self, text: str) -> str:
        """Return Portside's own text, masked and without control characters. Text from elsewhere that it quotes must
        have gone through ``mask``, which also hides a secret that is one of Portside's own words."""
        return _plain(self.mask.own(text))

    def quoted(self, text: str) -> str:
        """Return text from elsewhere, masked and without control characters."""
        return _plain(self.mask(text))

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Print a stage with its time; on a terminal also a spinner and the current step."""
        stage, started = Stage(name), time.monotonic()
        self._stage = name
        if self.console.is_terminal and not self.quiet and not self.verbose:
            self._status = self.console.status(f"[bold]{name}[/]", spinner="dots")
            self._status.start()
        try:
            yield stage
        except BaseException:
            self._end()
            self.note(f"✗ {name}")
            self._line("✗", "red", name, time.monotonic() - started, "")
            raise
        self._end()
        if stage.skipped:
            return
        self.note(f"✓ {name}  {', '.join(stage.notes)}")
        self._line("✓", "green", name, time.monotonic() - started, ", ".join(stage.notes))

    def begin(self, step: str, *, small: bool = False) -> None:
        """Report that a step begins. A ``small`` one is quick, and printed only with --verbose."""
        self.note(f"  {self._stage}: {step}")
        if self._status:
            self._status.update(Text.assemble((self._stage, "bold"), f"  {self.shown(step)}"))
        elif not self.quiet and (self.verbose or not small):
            self._print(f"  {self._stage}: {step}", style="dim")

    def command(self, words: str) -> None:
        """Print what a step runs on the server, if --verbose."""
        self.note(f"    $ {words}")
        if self.verbose and not self.quiet:
            self._print(f"    $ {words}", style="dim")

    def output(self, line: str, *, own: bool = False) -> None:
        """Show a line that a step printed: in full with --verbose, otherwise beside the spinner. ``own``: the text is
        Portside's own."""
        line = self.mask.own(line) if own else self.mask(line)
        self.note(f"    {line}")
        if self.verbose and not self.quiet:
            self._print(f"    {line}")
        elif self._status and line.strip():
            text = Text.assemble((self._stage, "bold"), ("  " + self.shown(line.strip())[:100], "dim"))
            self._status.update(text)

    def detail(self, line: str) -> None:
        """Print a line, if --verbose."""
        self.note(f"  {line}")
        if self.verbose:
            self._print(f"  {line}", style="dim")

    def say(self, line: str = "", style: str = "") -> None:
        """Print a line, unless --quiet."""
        self.note(line)
        if not self.quiet:
            self._print(line, style=style)

    def warn(self, line: str) -> None:
        self.note(f"! {line}")
        self._print(f"! {line}", style="yellow")

    def remind(self, line: str) -> None:
        """Print a warning that the user should act on, now and again at the end."""
        self.reminders.append(line)
        self.warn(line)

    def ask(self, question: str) -> str:
        """Ask a question on the terminal and return the answer; empty if the terminal is closed."""
        self._end()
        self.console.print(Text(self.shown(question)), end="")
        try:
            return input().strip()
        except EOFError:
            return ""

    def ask_secret(self, question: str) -> str:
        """Ask a question on the terminal without showing the answer, and return it."""
        self._end()
        return getpass(self.shown(question))

    def fail(self, message: str) -> None:
        """Print the message of a failure on standard error."""
        self._end()
        self.errors.print(Text(self.shown(message)))

    def note(self, text: str) -> None:
        """Write a line to the log, if there is one."""
        if self.log:
            self.log.write(self.shown(text))

    def aside(self) -> None:
        """Send only results to standard output from now on, and everything else to standard error."""
        self.console = self.errors

    def result(self, found: Mapping[str, Any] | list[Any]) -> None:
        """Print a result as JSON for scripts, even with --quiet. Only its values are masked, so that it stays valid
        JSON with the same keys."""
        self.results.print(Text(json.dumps(self._masked(found), indent=2)))

    def _masked(self, found: Any) -> Any:
        if isinstance(found, str):
            return self.mask.own(found)
        if isinstance(found, Mapping):
            return {key: self._masked(value) for key, value in found.items()}
        return [self._masked(each) for each in found] if isinstance(found, list | tuple) else found

    def _print(self, line: str, style: str = "") -> None:
        self.console.print(Text(self.shown(line), style=style))
        sys.stdout.flush()

    def _line(self, sign: str, colour: str, name: str, seconds: float, note: str) -> None:
        if not self.quiet:
            text = Text.assemble((f"{sign} ", colour), (f"{name:<11}", "bold"), f"{seconds:6.1f} s  ", self.shown(note))
            self.console.print(text)

    def _end(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None


def _plain(text: str) -> str:
    return UNSEEN.sub(lambda found: ascii(found.group())[1:-1], text)


def count(number: int, noun: str) -> str:
    """Return ``1 change``, ``2 changes``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Stage:
    """A stage, with the notes that are printed after its name when it ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notes: list[str] = []
        self.skipped = False  # it had nothing to do, as expected, and isn't printed

    def note(self, text: str) -> None:
        self.notes.append(text)

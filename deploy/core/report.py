"""What the user sees: stages with their times as they happen, then a summary; plain lines without a terminal."""

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

# What a terminal would obey, what turns a line's order round, and bytes of a name that are no text.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Report:
    """Where everything printed passes through, so that secrets can be masked in one place."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        self.verbose, self.quiet = verbose, quiet
        self.console = Console(highlight=False, soft_wrap=True)
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self.results = self.console
        self._status: Status | None = None
        self._stage = ""
        self.mask = Mask()
        self.reminders: list[str] = []  # warnings that are told once more in the last lines
        self.log: RunLog | None = None  # has every line, also with --quiet

    def hide(self, secrets: Iterable[Secret], public: Iterable[str] = ()) -> None:
        """Mask these values from now on, however they are spelled; not inside of a ``public`` name."""
        self.mask.add((secret.reveal() for secret in secrets), public)

    def shown(self, text: str) -> str:
        """Portside's own text as it may be printed: masked, and nothing in it that a terminal would obey. What it
        quotes of others has gone through ``mask``, which hides a secret that is a word of ours too."""
        return _plain(self.mask.own(text))

    def quoted(self, text: str) -> str:
        """The same of others' text."""
        return _plain(self.mask(text))

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """A heading with its time; on a terminal with a spinner and what is being done."""
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
        """A step begins. A ``small`` one is over at once and only worth a line with --verbose."""
        self.note(f"  {self._stage}: {step}")
        if self._status:
            self._status.update(Text.assemble((self._stage, "bold"), f"  {self.shown(step)}"))
        elif not self.quiet and (self.verbose or not small):
            self._print(f"  {self._stage}: {step}", style="dim")

    def command(self, words: str) -> None:
        """What a step runs on the server, with --verbose."""
        self.note(f"    $ {words}")
        if self.verbose and not self.quiet:
            self._print(f"    $ {words}", style="dim")

    def output(self, line: str, *, own: bool = False) -> None:
        """A line that a step printed: shown as it comes with --verbose, else beside the spinner. ``own``: it is
        Portside's own."""
        line = self.mask.own(line) if own else self.mask(line)
        self.note(f"    {line}")
        if self.verbose and not self.quiet:
            self._print(f"    {line}")
        elif self._status and line.strip():
            text = Text.assemble((self._stage, "bold"), ("  " + self.shown(line.strip())[:100], "dim"))
            self._status.update(text)

    def detail(self, line: str) -> None:
        """Only with --verbose."""
        self.note(f"  {line}")
        if self.verbose:
            self._print(f"  {line}", style="dim")

    def say(self, line: str = "", style: str = "") -> None:
        """A line, unless --quiet."""
        self.note(line)
        if not self.quiet:
            self._print(line, style=style)

    def warn(self, line: str) -> None:
        self.note(f"! {line}")
        self._print(f"! {line}", style="yellow")

    def remind(self, line: str) -> None:
        """A warning that somebody should act on: told now, and once more at the end."""
        self.reminders.append(line)
        self.warn(line)

    def ask(self, question: str) -> str:
        """What somebody types on the terminal; nothing where it is closed."""
        self._end()
        self.console.print(Text(self.shown(question)), end="")
        try:
            return input().strip()
        except EOFError:
            return ""

    def ask_secret(self, question: str) -> str:
        """The same, without showing what is typed."""
        self._end()
        return getpass(self.shown(question))

    def fail(self, message: str) -> None:
        """The last lines of a failure, on standard error."""
        self._end()
        self.errors.print(Text(self.shown(message)))

    def note(self, text: str) -> None:
        """A line of the log, if one is kept."""
        if self.log:
            self.log.write(self.shown(text))

    def aside(self) -> None:
        """From now on only results go to standard output, and all else to standard error."""
        self.console = self.errors

    def result(self, found: Mapping[str, Any] | list[Any]) -> None:
        """What a script would read, as JSON: printed even with --quiet. Only its texts are masked: it stays JSON,
        and its keys are found."""
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
    """``1 change``, ``2 changes``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Stage:
    """What a stage wants said behind its name when it ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notes: list[str] = []
        self.skipped = False  # it had nothing to do, and nobody would expect it to

    def note(self, text: str) -> None:
        self.notes.append(text)

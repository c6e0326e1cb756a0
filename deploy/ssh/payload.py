"""The payload for the server: scripts, steps and their files, as one compressed stream."""

from __future__ import annotations

import io
import re
import tarfile
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import IO, Any

import paramiko

from ..core.compression import Gzip
from ..core.errors import PortsideError
from ..core.files import REMOTE
from ..core.steps import Argument, Content, Step, mode, named


def pack(steps: Sequence[Step], sink: IO[bytes]) -> None:
    """Write the scripts, the steps and their files to ``sink``."""
    with closing(Gzip(sink)) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:  # type: ignore[call-overload]
        for name in sorted(_scripts(steps)):
            add(archive, f"remote/{name}.sh", REMOTE / f"{name}.sh")
        lines = "".join(step.line(number) + "\n" for number, step in enumerate(steps, 1))
        for number, step in enumerate(steps, 1):
            for name, content in step.files.items():
                add(archive, f"files/{number}/{name}", content)
        add(archive, "steps", lines.encode())


def alone(name: str, /, **arguments: Argument) -> tuple[str, ...]:
    """Return a script of ``remote/`` as the words of a command, for a script whose input is something else."""
    text = "".join((REMOTE / f"{part}.sh").read_text(encoding="utf-8") for part in ("arguments", name))
    return ("sh", "-c", text, name, *named(arguments))


def _scripts(steps: Sequence[Step]) -> set[str]:
    """Return the scripts of ``remote/`` that the steps need, with the scripts that these call."""
    needed = {"apply", "arguments", "detached"} | {step.script for step in steps if step.script}
    texts = [(REMOTE / f"{name}.sh").read_text(encoding="utf-8") for name in needed]
    return needed | {name for text in texts for name in re.findall(r"\$PORTSIDE/remote/([a-z-]+)\.sh", text)}


def add(archive: tarfile.TarFile, name: str, content: Content) -> None:
    """Add one file. Owner, mode and time don't depend on the laptop. Raises PortsideError if the file is gone."""
    entry = tarfile.TarInfo(name)
    entry.mode = 0o644
    if isinstance(content, bytes):
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    elif content.is_symlink():
        entry.type, entry.linkname = tarfile.SYMTYPE, str(content.readlink())
        archive.addfile(entry)
    elif content.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
    elif content.is_file():
        entry.size, entry.mode = content.stat().st_size, mode(content)
        with content.open("rb") as stream:
            archive.addfile(entry, stream)
    else:
        raise PortsideError(f"{content} no longer exists.")


class _Input(io.RawIOBase):
    """The standard input of a command on a channel. paramiko's own file object prints errors if it can't send."""

    def __init__(self, channel: paramiko.Channel) -> None:
        super().__init__()
        self.channel = channel

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.channel.sendall(bytes(data))
        return len(data)


class Sender(threading.Thread):
    """Writes to a command's input while its output is read. If the command exits early, the rest isn't sent; its own
    output says why."""

    def __init__(self, channel: paramiko.Channel, send: Callable[[IO[bytes]], None] | None) -> None:
        super().__init__(daemon=True)
        self.channel, self.send = channel, send
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            if self.send:
                with io.BufferedWriter(_Input(self.channel), 65536) as sink:
                    self.send(sink)
        except Exception as error:
            if not self.channel.closed and not self.channel.exit_status_ready():
                self.error = error
        finally:
            with suppress(OSError, EOFError, paramiko.SSHException):
                self.channel.shutdown_write()

"""Pictures for the docs, made of a real run: what ``fab`` prints on a practice server, and the sample site.

``make screens`` clones what is committed, deploys it as the quick start says, and writes ``docs/screens/`` and the
transcripts in docs/quickstart.md.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from deploy import practice
from deploy.core.files import PRACTICE, TOP
from deploy.practice import Practice

SCREENS = TOP / "docs" / "screens"
QUICKSTART = TOP / "docs" / "quickstart.md"
TRANSCRIPT = re.compile(r"(?<=^```console\n)\$ (fab [^\n]*)\n.*?(?=^```$)", re.MULTILINE | re.DOTALL)
SERVER, DOMAIN = "server", "portfolio.example"
COLUMNS = 110
FAB = (str(TOP / ".venv" / "bin" / "python"), "-m", "fabric")
PICTURE = ViewportSize(width=1180, height=760)
CONTROLS = re.compile(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)")
FONTS = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
MONOSPACE = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace'


@dataclass(frozen=True)
class Laptop:
    """A home folder with nothing in it but a clone and an SSH key, as the user of the quick start has.

    ``printed``: what each command printed, without colours.
    """

    home: Path
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def clone(self) -> Path:
        """The clone of Portside that the commands run in."""
        return self.home / "portside"

    def prepare(self) -> None:
        """Clones what is committed here, and lets the clone reach the practice servers of this checkout."""
        self.git("clone", "--quiet", str(TOP), str(self.clone), folder=self.home)
        (self.clone / ".practice").symlink_to(PRACTICE)
        (self.home / ".ssh").mkdir(mode=0o700)
        key = self.home / ".ssh" / "id_ed25519"
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)), check=True)

    def git(self, *words: str, folder: Path | None = None) -> None:
        """Runs git in the clone. Raises CalledProcessError."""
        who = ("-c", "user.name=Ann", "-c", "user.email=ann@portfolio.example")
        subprocess.run(("git", *who, *words), cwd=folder or self.clone, check=True)

    def set(self, **lines: str) -> None:
        """Adds settings to the clone's .env."""
        with (self.clone / ".env").open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in lines.items())

    def fab(self, *words: str, ends_with: tuple[int, ...] = (0,), comment: str = "") -> str:
        """Runs a command on a terminal; what stands there in the end, with its colours. Raises SystemExit."""
        command, began = f"fab {' '.join(words)}{comment}", time.monotonic()
        output, code = self._on_a_terminal((*FAB, *words))
        screen = self._without_this_machine("\n".join(lines_of(output)).strip("\n"))
        text = "\n".join(line.rstrip() for line in Text.from_ansi(screen).plain.split("\n"))
        print(f"$ {command}\n{text}\n# exit code {code}, {time.monotonic() - began:.1f} s\n", flush=True)
        if code not in ends_with:
            sys.exit(f"{command} ended with exit code {code}")
        self.printed[command] = text
        return screen

    def _on_a_terminal(self, words: tuple[str, ...]) -> tuple[str, int]:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        passed = {name: os.environ[name] for name in os.environ if name.lower().endswith("_proxy")}
        process = subprocess.Popen(
            words, cwd=self.clone, stdin=slave, stdout=slave, stderr=slave, env=environment | passed, close_fds=True
        )
        os.close(slave)
        output = b"".join(_read(master))
        os.close(master)
        return output.decode(errors="replace"), process.wait()

    def _without_this_machine(self, text: str) -> str:
        """The user's name and machine, and the clone's folder, as the quick start's user has them. Raises SystemExit
        if more of this machine is seen."""
        text = text.replace(str(self.home), "~").replace(f"{getpass.getuser()}@{socket.gethostname()}", "ann@laptop")
        seen = [word for word in (str(TOP), str(Path.home()) + "/", socket.gethostname()) if word in text]
        if seen:
            sys.exit(f"What is printed names this machine: {seen}")
        return text


def _read(master: int) -> Iterator[bytes]:
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:  # the other end is closed: how Linux says that the program has ended
            return
        if not block:
            return
        yield block


def lines_of(output: str) -> list[str]:
    """What a terminal shows in the end: spinners write over themselves and are gone."""
    lines, row, fresh = [""], 0, False
    for part in CONTROLS.split(output):
        if part == "\n":
            row, fresh = row + 1, False
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            fresh = True
        elif re.fullmatch(r"\x1b\[\d*A", part):
            row = max(0, row - int(part[2:-1] or 1))
        elif part == "\x1b[2K":
            lines[row], fresh = "", False
        elif re.fullmatch(r"\x1b\[[0-9;]*m", part):
            lines[row], fresh = part if fresh else lines[row] + part, False
        elif part and not part.startswith("\x1b"):
            lines[row] = part if fresh else lines[row] + part
            fresh = False
    return lines


def svg(screen: str, command: str, name: str) -> str:
    """A terminal's picture, by rich's own export, with the fonts of whoever looks at it: none is fetched."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text(f"$ {command}", style="bold"))
    for line in screen.split("\n"):
        console.print(Text.from_ansi(line))
    code = (
        FONTS.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code, monospace", MONOSPACE).replace("Fira Code", "monospace")
    )
    return console.export_svg(title=command, code_format=code, unique_id=f"portside-{name}")


def picture(name: str, screen: str, command: str) -> None:
    """Writes docs/screens/NAME.svg."""
    text = svg(screen, command, name)
    if "url(http" in text or "@import" in text:
        sys.exit(f"{name}.svg would fetch something from the network.")
    (SCREENS / f"{name}.svg").write_text(text, encoding="utf-8")


def transcribe(printed: dict[str, str]) -> None:
    """Writes what the commands printed into docs/quickstart.md."""
    text = QUICKSTART.read_text(encoding="utf-8")
    QUICKSTART.write_text(transcribed(text, printed), encoding="utf-8")


def transcribed(text: str, printed: dict[str, str]) -> str:
    """A page in which each block of a command that was run has what it printed."""
    return TRANSCRIPT.sub(
        lambda block: f"$ {block[1]}\n{printed[block[1]]}\n" if block[1] in printed else block[0], text
    )


def photograph(server: Practice) -> None:
    """Writes docs/screens/site.png: the sample site's front page, in a real browser."""
    found = subprocess.run(("sh", str(TOP / "tests/e2e/kit/browser.sh")), check=True, capture_output=True, text=True)
    rules = f"--host-resolver-rules=MAP {DOMAIN}:443 127.0.0.1:{server.https_port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.stdout.strip(), args=["--no-sandbox", "--disable-gpu", rules], timeout=120_000
        )
        page = browser.new_context(viewport=PICTURE, ignore_https_errors=True).new_page()
        page.goto(f"https://{DOMAIN}/", wait_until="networkidle")
        page.screenshot(path=SCREENS / "site.png")
        browser.close()
    colours = Image.open(SCREENS / "site.png").convert("RGB").quantize(128)
    colours.save(SCREENS / "site.png", optimize=True)


@contextmanager
def practice_server() -> Iterator[Practice]:
    """A bare practice server of its own, which is removed in the end."""
    server = practice.up(SERVER, say=lambda line: print(f"  {line}", flush=True))
    try:
        server.acme.point(DOMAIN, server.ip)
        yield server
    finally:
        practice.down_only(SERVER)


def change(laptop: Laptop) -> None:
    """A commit and a setting, for a plan to show."""
    page = laptop.clone / "app" / "templates" / "portfolio" / "about.html"
    page.write_text(page.read_text(encoding="utf-8") + "<!-- Open on Sundays. -->\n", encoding="utf-8")
    laptop.git("commit", "--quiet", "--all", "--message", "Say when we are open")
    laptop.set(DEPLOY_RATE_LIMIT="20r/s")


def main() -> None:
    """Runs the commands of the quick start and writes the pictures."""
    SCREENS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="portside-screens-") as folder, practice_server() as server:
        laptop = Laptop(Path(folder))
        laptop.prepare()
        laptop.fab("init", "--domains", DOMAIN)
        laptop.set(DEPLOY_SITE="portfolio", DEPLOY_APP="app", DEPLOY_HEALTH_PATH="/healthz")
        picture("deploy", laptop.fab("deploy", "-H", SERVER), f"fab deploy -H {SERVER}")
        laptop.fab("certs", "-H", SERVER)
        laptop.fab("manage", "sample_works", "-H", SERVER)
        photograph(server)
        change(laptop)
        picture("plan", laptop.fab("plan", "-H", SERVER, ends_with=(10,)), f"fab plan -H {SERVER}")
        laptop.fab("deploy", "-H", SERVER, comment="   # after a change")
        for task in ("status", "releases", "rollback"):
            laptop.fab(task, "-H", SERVER)
        picture("doctor", laptop.fab("doctor", "-H", SERVER, ends_with=(0, 1)), f"fab doctor -H {SERVER}")
        transcribe(laptop.printed)


if __name__ == "__main__":
    main()

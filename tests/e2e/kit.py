"""What the end-to-end tests work with: a project, the real `fab`, a practice server seen from outside and inside."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.practice import Practice

CHECKOUT = Path(__file__).resolve().parents[2]
FAB = CHECKOUT / ".venv" / "bin" / "fab"
PRACTICE = CHECKOUT / ".practice"
SECONDS = 400
"""No single command takes longer; what hangs is ended then."""

FEW_WORKERS = "1"
"""A Django site's, where a test makes one: each worker imports all of Django, which isn't what is tested."""

# What would otherwise win over a project's .env, or answer for the user.
STRIPPED = re.compile(r"(DEPLOY_|DJANGO_|POSTGRES_|PG)\w*|SECRET_KEY|DATABASE_URL|ALLOWED_HOSTS|SSH_AUTH_SOCK")


def until(true: Callable[[], object], what: str, seconds: float = 180) -> None:
    """Returns as soon as ``true()`` is; fails, naming ``what`` was waited for, once ``seconds`` have passed."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)


def left(look: Callable[[], str]) -> str:
    """What ``look()`` still finds after half a minute, nothing as soon as it finds nothing.

    What ends with our connection ends a moment after it; a dead laptop's, when somebody else comes, within seconds.
    """
    limit = time.monotonic() + 30
    while (found := look()) and time.monotonic() < limit:
        time.sleep(0.3)
    return found


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


# The laptop


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def stages(self) -> list[str]:
        """The stages that were told as done, in order."""
        return re.findall(r"^✓ (\w+) +[0-9.]+ s", self.out, re.MULTILINE)

    @property
    def release(self) -> str:
        """The release that was told to be live now."""
        found = re.findall(r"\b\d{8}-\d{6}-[0-9a-f]{7}\b", self.out)
        return found[-1] if found else ""

    @property
    def round_trips(self) -> int:
        """As --verbose counts them."""
        found = re.search(r"^ *(\d+) round trips?$", self.out, re.MULTILINE)
        assert found, "the report doesn't count its round trips"
        return int(found.group(1))


@dataclass
class Running:
    """A `fab` that runs."""

    words: tuple[str, ...]
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def end(self, *, check: bool = False) -> Done:
        """Wait for it. Its output is shown by pytest where the test fails."""
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        done = Done(code, self.out.read_text(errors="replace"), self.err.read_text(errors="replace"))
        print(f"$ fab {' '.join(self.words)}\n{done.out}{done.err}exit code {code}\n")
        assert not check or code == 0, f"fab {self.words[0]} ended with {code}"
        assert not re.search(r"^(Traceback|Exception ignored)", done.err, re.MULTILINE), "a traceback of our own"
        return done


@dataclass
class Fab:
    """The laptop: runs the checkout's `.venv/bin/fab`, a folder keeping what it prints."""

    logs: Path
    tell: Callable[[str], None]
    count: int = 0

    def __call__(self, *words: str, check: bool = False, **more: object) -> Done:
        return self.start(*words, **more).end(check=check)  # type: ignore[arg-type]

    def start(
        self,
        *words: str,
        on: Practice | str | None = None,
        project: Project | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Running:
        """Begin ``fab WORDS``; ``on``: the server after -H; ``project``: whose --env; ``env``: more of the shell's."""
        if on:
            words += ("-H", on if isinstance(on, str) else on.name)
        if project:
            words += ("--env", str(project.env))
        self.count += 1
        self.tell(f"fab {' '.join(words)}")
        out, err = (self.logs / f"{self.count:03}-{words[0].strip('-')}.{kind}" for kind in ("out", "err"))
        shell = {name: value for name, value in os.environ.items() if not STRIPPED.fullmatch(name)}
        shell["XDG_STATE_HOME"] = str(self.logs.with_name(f"{self.logs.name}-state"))
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                (str(FAB), *words),
                cwd=CHECKOUT,
                env=shell | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        return Running(words, process, out, err)


@dataclass
class Project:
    """A user's project: a folder in git with a .env that isn't."""

    root: Path
    fab: Fab = field(repr=False)
    server: Practice = field(repr=False)
    given: str | None = field(default=None, repr=False)
    ours: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def env(self) -> Path:
        return self.root / ".env"

    @property
    def name(self) -> str:
        """The site's name where DEPLOY_SITE doesn't say another."""
        return self.settings().get("DEPLOY_SITE") or self.root.name

    @property
    def domain(self) -> str:
        return self.settings()["DEPLOY_DOMAINS"].split(",")[0]

    def settings(self) -> dict[str, str]:
        """What .env says, of its values without quotes."""
        lines = self.env.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def set(self, **values: str | None) -> None:
        """Make these values stand in .env, written as they are here; None takes one of ours out again."""
        if self.given is None:
            self.given = self.env.read_text() if self.env.exists() else ""
        if {"DEPLOY_DOMAINS", "SECRET_KEY"} <= values.keys():
            values = {"DEPLOY_WORKERS": FEW_WORKERS, **values}
            if (self.root / "app/manage.py").exists():
                values = {"DEPLOY_APP": "app", **values}
        self.ours = {name: value for name, value in {**self.ours, **values}.items() if value is not None}
        lines = (line for line in self.given.splitlines(keepends=True) if line.partition("=")[0] not in self.ours)
        self.env.write_text("".join(lines) + "".join(f"{name}={value}\n" for name, value in self.ours.items()))

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text, f"{path} has no {old!r} to replace"
        (self.root / path).write_text(text.replace(old, new, 1))

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(("git", "-C", str(self.root), *who, *words), capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit everything; the commit's first seven digits."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")[:7]

    @contextmanager
    def with_settings(self, **values: str | None) -> Iterator[None]:
        """The project with these settings; taken back afterwards."""
        ours = self.ours
        self.set(**values)
        try:
            yield
        finally:
            self.set(**{name: ours.get(name) for name in values})

    @contextmanager
    def changed(self, files: Mapping[str, str], **values: str | None) -> Iterator[None]:
        """The project with one more commit, of these files, and with these settings; taken back afterwards."""
        before = self.git("rev-parse", "HEAD")
        self.write(files)
        self.commit(f"Change {', '.join(files)}")
        try:
            with self.with_settings(**values):
                yield
        finally:
            self.git("reset", "--quiet", "--hard", before)

    def deploy(self, *words: str, check: bool = True) -> Done:
        return self.fab("deploy", *words, on=self.server, project=self, check=check)

    def manage(self, command: str, *, check: bool = True) -> Done:
        return self.fab("manage", command, on=self.server, project=self, check=check)


def new_repository(root: Path, fab: Fab, server: Practice) -> Project:
    """An empty project in git, whose .env git passes over."""
    root.mkdir(parents=True)
    project = Project(root, fab, server)
    project.write({".gitignore": ".env\n__pycache__/\n"})
    project.git("init", "--quiet", "--initial-branch", "main")
    return project


def with_sample_app(project: Project) -> Project:
    """The sample site copied into the project and committed."""
    rubbish = shutil.ignore_patterns("__pycache__", "media", "static-root", "*.sqlite3")
    shutil.copytree(CHECKOUT / "app", project.root / "app", ignore=rubbish)
    project.commit("Begin")
    return project


# The server, seen from outside


@dataclass
class Answer:
    """An answer to a visitor."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def release(self) -> str:
        """The release that the sample site's pages name."""
        found = re.search(r'<meta name="release" content="([^"]+)">', self.text)
        return found.group(1) if found else ""


def ask(
    server: Practice,
    host: str,
    path: str = "/",
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask the server's port 80 for a path of a host, over a new connection. Header names come back in lower case."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    try:
        connection.request(method, path, body, {"Host": host, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@dataclass
class Visitors:
    """Visitors who come all the while, each over a new connection."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)


@contextmanager
def visitors(server: Practice, host: str, path: str = "/", *, a_second: float = 20) -> Iterator[Visitors]:
    """As long as the block runs (at most three minutes), visitors come; whoever isn't well answered is lost."""
    seen, over, pool = Visitors(), threading.Event(), []

    def visit(since: float) -> None:
        try:
            status = ask(server, host, path).status
        except OSError as error:
            seen.lost.append(f"{time.monotonic() - since:.1f} s in: {error!r}")
        except http.client.HTTPException as error:
            seen.lost.append(f"{time.monotonic() - since:.1f} s in: {error!r}")
        else:
            if status == 200:
                seen.answered += 1
            else:
                seen.lost.append(f"{time.monotonic() - since:.1f} s in: {status}")

    def come() -> None:
        began = time.monotonic()
        while not over.wait(1 / a_second) and time.monotonic() < began + 180:
            visitor = threading.Thread(target=visit, args=(began,))
            visitor.start()
            pool.append(visitor)

    coming = threading.Thread(target=come)
    coming.start()
    try:
        yield seen
    finally:
        over.set()
        coming.join()
        for visitor in pool:
            visitor.join()


@contextmanager
def patient_visitor(server: Practice, host: str) -> Iterator[Visitors]:
    """As long as the block runs, somebody asks twice a second over one connection, and is lost when it is closed."""
    seen, over = Visitors(), threading.Event()
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    connection.connect()
    connection.auto_open = 0

    def visit() -> None:
        while not over.wait(0.5):
            try:
                connection.request("GET", "/", headers={"Host": host})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                seen.lost.append(repr(error))
                return
            seen.answered += answer.status == 200

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        yield seen
    finally:
        over.set()
        visitor.join()
        connection.close()


# The server, seen from inside


def shell(server: Practice, script: str, *words: str, check: bool = True) -> str:
    """Run a shell script on the server as root, its words as $1 and on; what it prints."""
    return server.exec(("sh", "-c", script, "sh", *words), check=check)


RENEWAL = """
systemctl start certbot.service && exit
journalctl -u certbot.service --no-pager -n 40
tail -n 60 /var/log/letsencrypt/letsencrypt.log
exit 1
"""


def renew(server: Practice) -> None:
    """Have the timer's service run, as the timer would. Where it fails, the error says what certbot said."""
    shell(server, RENEWAL)


def container(server: Practice, site: str, role: str = "web") -> str:
    """The id of the site's running container with this role."""
    labels = ("--filter", f"label=portside.site={site}", "--filter", f"label=portside.role={role}")
    found = server.exec(("docker", "ps", "-q", *labels)).split()
    assert len(found) == 1, f"{site} has {len(found)} containers that are its {role}"
    return found[0]


def inside(server: Practice, site: str, *words: str, role: str = "web") -> str:
    """Run a command in the site's container."""
    return server.exec(("docker", "exec", container(server, site, role), *words))


@contextmanager
def without_the_application(server: Practice, site: str) -> Iterator[None]:
    """The site with its application's container stopped, and well again afterwards."""
    web = container(server, site)
    server.exec(("docker", "stop", web))
    try:
        yield
    finally:
        server.exec(("docker", "start", web))
        healthy = ("docker", "inspect", "--format", "{{.State.Health.Status}}", web)
        until(lambda: server.exec(healthy).strip() == "healthy", "the application")


def sql(server: Practice, site: str, query: str) -> str:
    """Ask the site's database, from within its own container."""
    asked = 'exec psql -tA -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"'
    return inside(server, site, "sh", "-c", asked, "sh", query, role="db").strip()


def live(server: Practice, site: str) -> str:
    """The release that `current` names."""
    return shell(server, f"readlink /srv/portside/{site}/current").strip().rpartition("/")[2]


@contextmanager
def listening(server: Practice, port: int) -> Iterator[None]:
    """A program on the server that has a port. Bare servers have Perl, and not much else."""
    program = "use IO::Socket::INET; $taken = IO::Socket::INET->new(LocalPort => shift, Listen => 5) or die; sleep"
    server.exec(("systemd-run", "--quiet", "--unit", "e2e-squatter", "perl", "-e", program, str(port)))
    try:
        until(lambda: f":{port} " in shell(server, "ss -Hltn"), "the squatter")
        yield
    finally:
        server.exec(("systemctl", "stop", "e2e-squatter"))


def fingerprint(server: Practice, *, without: Sequence[str] = ()) -> set[str]:
    """What is on the server, as lines: packages, files of the host and of the sites, containers, images, Nginx.

    ``without``: lines that hold one of these are left out.
    """
    lines = shell(
        server,
        """
        find /etc /srv /usr/local -type f -printf 'file %p %s %m %T@\\n' -o -type l -printf 'link %p %l\\n' | sort
        [ -d /var/lib/portside ] && find /var/lib/portside -printf 'file %p\\n' | sort
        dpkg-query -W -f 'package ${Package}\\n'
        command -v ufw >/dev/null && ufw status | sed 's/^/ufw /'
        command -v docker >/dev/null || exit 0
        docker ps -a --format 'container {{.Names}} {{.Image}} {{.State}}' | sort
        docker images --format 'image {{.Repository}}:{{.Tag}} {{.ID}}' | sort
        docker network ls --format 'network {{.Name}}' | sort
        docker volume ls --format 'volume {{.Name}}' | sort
        """,
    ).splitlines()
    return {line for line in lines if not any(word in line for word in without)}

"""The sample site that unit tests plan for: its settings, its project, servers to plan against."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import pytest

from deploy import VERSION
from deploy.certs import acme
from deploy.config.settings import Settings
from deploy.core.errors import ConnectionLost, Locked, Refused, StepFailed
from deploy.core.facts import Container, Facts, FileFact
from deploy.core.paths import Site
from deploy.core.report import Report
from deploy.core.server_paths import NGINX_CONF
from deploy.core.steps import Argument, Folder, Step, Write, named
from deploy.flows import env_copy, runner
from deploy.flows.context import Run
from deploy.flows.progress import Progress
from deploy.flows.request import Request
from deploy.host import packages, provision
from deploy.nginx import generation, routing
from deploy.nginx import site as nginx_site
from deploy.nginx.routing import Names, Routes
from deploy.releases import database, static_site
from deploy.releases.answer import Answer
from deploy.ssh.payload import REMOTE
from deploy.ssh.results import Result
from tests import arguments, pki

FACTS = Path(__file__).parent / "facts"
GALLERY = ("gallery.example", "www.gallery.example", "old.example", "xn--bcher-kva.example")
SITE = Site("portfolio")
OLDER, OLD, NEW = "20261119-101500-5c0ffee", "20261120-192010-d899b4d", "20261121-080000-ab12cd3"
ROUTES = Routes("/static/", "/media/", 1, (8101,))
EDGE = routing.final(ROUTES, [], "socket")
EVERY_EDGE = replace(EDGE, asynchronous=True)

LINES = {
    "DEPLOY_SITE": "portfolio",
    "DEPLOY_APP": "app",
    "DEPLOY_DOMAINS": "portfolio.localhost",
    "DEPLOY_HEALTH_PATH": "/healthz",
    "SECRET_KEY": "not-so-secret-key",
    "POSTGRES_PASSWORD": "correct-horse-battery",
}

STATIC = {
    "DEPLOY_SITE": "portfolio",
    "DEPLOY_DOMAINS": "portfolio.localhost",
    "DEPLOY_KIND": "static",
    "DEPLOY_APP": "app",
}

EVERY_SETTING = {
    "DEPLOY_SITE": "gallery-2",
    "DEPLOY_HOSTS": "server.example,ann@[2001:db8::1]:2222",
    "DEPLOY_DOMAINS": "gallery.example,www.gallery.example",
    "DEPLOY_REDIRECT_DOMAINS": "old.example,xn--bcher-kva.example",
    "DEPLOY_KIND": "django",
    "DEPLOY_APP": "app",
    "DEPLOY_BUILD": "server",
    "DEPLOY_DOCKERFILE": "build/Dockerfile",
    "DEPLOY_PYTHON": "3.12",
    "DEPLOY_APT": "libmagic1,gettext",
    "DEPLOY_PIP": "uvicorn[standard]>=0.30,whitenoise",
    "DEPLOY_BUILD_ARGS": "THEME",
    "DEPLOY_BUILD_SECRETS": "PACKAGE_TOKEN",
    "DEPLOY_BUILD_CA": "ca.pem",
    "DEPLOY_PIP_INDEX": "https://packages.example/simple",
    "DEPLOY_BUILD_CACHE": "5g",
    "DEPLOY_FILES": "overlay.ini:/app/overlay.ini",
    "DEPLOY_APPLICATION": "config.asgi:application",
    "DEPLOY_WORKER_CLASS": "uvicorn.workers.UvicornWorker",
    "DEPLOY_WORKERS": "3",
    "DEPLOY_THREADS": "2",
    "DEPLOY_PRELOAD": "on",
    "DEPLOY_MEMORY": "512m",
    "DEPLOY_CPUS": "1.5",
    "DEPLOY_REPLICAS": "2",
    "DEPLOY_UPSTREAM": "port",
    "DEPLOY_PORTS": "9000-9010",
    "DEPLOY_PROTOCOL": "http",
    "DEPLOY_PROCESS_MAIL_QUEUE": 'python manage.py send --all "it\'s $HOME"',
    "DEPLOY_PROCESS_beat": "exec python manage.py beat",
    "DEPLOY_VOLUMES": "cache:/var/cache/gallery",
    "DEPLOY_COLLECTSTATIC": "on",
    "DEPLOY_DATABASE": "postgres:18-alpine",
    "DEPLOY_DATABASE_PORT": "54320",
    "DEPLOY_ALLOW_DEBUG": "on",
    "DEPLOY_BEFORE": 'python manage.py compress && echo "it\'s $HOME"',
    "DEPLOY_AFTER": "python manage.py clear_cache",
    "DEPLOY_HEALTH_PATH": "/health?full=1",
    "DEPLOY_HEALTH_TIMEOUT": "90",
    "DEPLOY_DRAIN": "10",
    "DEPLOY_KEEP": "3",
    "DEPLOY_MAX_BODY": "1g",
    "DEPLOY_ACME_EMAIL": "curator@gallery.example",
    "DEPLOY_ACME_SERVER": "https://acme.example/directory",
    "DEPLOY_ACME_CA": "acme.pem",
    "DEPLOY_ACME_EAB_KID": "key-1",
    "DEPLOY_ACME_EAB_HMAC_KEY": "hmac-key_of-the-account",
    "DEPLOY_ACME_DNS": "rfc2136",
    "DEPLOY_ACME_DNS_CREDENTIALS": "dns.ini",
    "DEPLOY_ACME_DNS_SECONDS": "5",
    "DEPLOY_TLS_CERT": "tls.pem",
    "DEPLOY_TLS_KEY": "tls.key",
    "DEPLOY_HSTS": "86400",
    "DEPLOY_HTTP3": "on",
    "DEPLOY_BASIC_AUTH": "ann:correct horse,bob:p@ss:word",
    "DEPLOY_ALLOW": "192.0.2.0/24,2001:db8::/32",
    "DEPLOY_DENY": "192.0.2.7",
    "DEPLOY_RATE_LIMIT": "20r/s",
    "DEPLOY_CACHE": "10s",
    "DEPLOY_NGINX_INCLUDE": "extra.conf",
    "DEPLOY_REAL_IP": "198.51.100.0/24",
    "DEPLOY_BLOCK_AGENTS": "GPTBot,Some Bot/1.0",
    "DEPLOY_FIREWALL": "off",
    "SECRET_KEY": "not-so-secret-key",
    "POSTGRES_USER": "curator",
    "POSTGRES_DB": "art",
    "POSTGRES_PASSWORD": "p@ss %/#$'\"\\word",
    "THEME": "dark & light",
    "PACKAGE_TOKEN": "token-of-packages",
}

PULLED = {"DEPLOY_BUILD": "registry.example:5000/shop/web:1.4", "DEPLOY_REGISTRY_USER": "robot"}
PULLED |= {"DEPLOY_REGISTRY_PASSWORD": "token-of-registry"}

INCLUDE = "location = /teapot {\n    return 418;\n}\n"
PROJECT = {
    "manage.py": '#!/usr/bin/env python\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")\n',
    "config/__init__.py": "",
    "config/settings.py": "DEBUG = False\n",
    "requirements.txt": "django\ngunicorn\n",
    "static/site.css": "body { color: black }\n",
}

GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_DEFAULT_HASH": "sha1",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.com",
    "GIT_AUTHOR_DATE": "2026-11-20T17:00:00Z",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.com",
    "GIT_COMMITTER_DATE": "2026-11-20T17:00:00Z",
}

ANSWER = {
    "folder": "/app",
    "manage": "/app/manage.py",
    "settings_module": "config.settings",
    "static_url": "/static/",
    "static_root": "/app/static-root",
    "media_url": "/media/",
    "media_root": "/app/media",
    "wsgi": "config.wsgi.application",
    "asgi": "config.asgi.application",
    "gunicorn": "26.1.0",
    "debug": False,
    "databases": {},
    "key": "environment",
    "allowed_hosts": ["*"],
    "csrf_origins": [],
    "csrf_checked": True,
    "knows_https": True,
    "aliases": ["default"],
    "migrate": "",
    "knowledge": "",
    "pending": ["portfolio.0001_initial"],
    "pending_in": ["default"],
    "applied": 0,
    "leaves": {"portfolio": "0001_initial"},
    "breaking": {},
    "unjudged": {},
    "loose": [],
    "ahead": [],
    "ahead_breaking": {},
    "irreversible": {},
}


def answer(**changed: Any) -> Answer:
    return Answer.parse(ANSWER | changed)


def write_env(path: Path, lines: Mapping[str, str]) -> Path:
    """An environment file; in double quotes, python-dotenv takes all but a backslash and a quote as they are."""
    values = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in lines.items()}
    path.write_text("".join(f'{name}="{value}"\n' for name, value in values.items()), encoding="utf-8")
    return path


def settings(folder: Path, lines: Mapping[str, str] = LINES, **changed: str) -> Settings:
    given = {**lines, **changed}
    if include := given.get("DEPLOY_NGINX_INCLUDE"):
        (folder / include).write_text(INCLUDE, encoding="utf-8")
    return Settings.load(write_env(folder / ".env", given))


def refused(folder: Path, **changed: str) -> list[str]:
    """The faults for which settings are refused, a sentence each."""
    with pytest.raises(Refused) as caught:
        settings(folder, **changed)
    assert caught.value.exit_code == 2
    return caught.value.message.splitlines()


def files(folder: Path, contents: Mapping[str, str]) -> Path:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def git(folder: Path, *words: str) -> str:
    return subprocess.run(("git", "-C", folder, *words), check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, contents: Mapping[str, str]) -> Path:
    """A git repository with one commit of these files."""
    files(folder, contents)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    return commit(folder)


def commit(folder: Path) -> Path:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All of it")
    return folder


def facts(name: str, **changed: Any) -> Facts:
    return replace(Facts.parse((FACTS / f"{name}.txt").read_text(encoding="utf-8")), **changed)


def bare() -> Facts:
    return facts("debian-13-bare")


def provisioned() -> Facts:
    """A server without a site, as this very version leaves it."""
    read = facts("debian-13-live", containers=(), images=(), releases={}, current="", record={})
    return _settled(read, generation.base(read), {})


def live(settings: Settings, site: Site = SITE) -> Facts:
    """A server with the site live, as this very version leaves it."""
    read = facts("debian-13-live")
    own = nginx_site.site_file(settings, site, EDGE, read)
    files = {**generation.base(read, own), **own}
    data = database.files(settings, site, read) | {site.data_ready: "(when)", site.settings: env_copy.content(settings)}
    return _settled(read, files, data)


def live_static(settings: Settings, releases: Mapping[str, Mapping[str, Any]]) -> Facts:
    """A server without Docker on which the static site is live, as this very version leaves it."""
    read = with_releases(facts("debian-13-live"), OLD, releases)
    files = {
        **generation.base(read),
        **nginx_site.site_file(settings, SITE, routing.final(static_site.ROUTES, [], "socket"), read),
    }
    without = {"containers": (), "images": (), "docker_version": "", "compose_version": "", "buildx_version": ""}
    data = {SITE.settings: env_copy.content(settings)}
    return replace(_settled(read, files, data), **without, record={"domains": [settings.canonical]})


def _settled(read: Facts, edge: Mapping[str, str], data: Mapping[str, str]) -> Facts:
    """Facts as they are after what this version writes, whatever version they were captured from."""
    bare_nginx = replace(read, nginx_files={})
    texts = {path: FileFact(0o644, "0:0", digest(text)) for path, text in {NGINX_CONF: generation.MAIN, **data}.items()}
    return replace(
        read,
        packages=read.packages | set(packages.BASE_PACKAGES),
        portside=VERSION,
        renewal_timer=True,
        nginx_files={path: digest(text) for path, text in edge.items()},
        nginx_generation=generation.generation(edge, bare_nginx).name,
        files=read.files | texts | _host_files(),
        releases={name: record | VISITED for name, record in read.releases.items()},
    )


def _host_files() -> dict[str, FileFact]:
    """What the host's steps leave, read off the steps."""
    found = {}
    for step in provision.rest(Settings.model_construct(firewall=False), bare()):
        if isinstance(step, Write | Folder):
            hashed = sha256(step.content).hexdigest() if isinstance(step, Write) else "-"
            found[step.path] = FileFact(step.mode, "0:0", hashed)
    return found


def alone(name: str, folder: Path, /, **given: Argument) -> tuple[str, ...]:
    """A script that travels as the words of a command, as :func:`script_for` has it."""
    text = "".join(script_for(part, folder) for part in ("arguments", name))
    return ("sh", "-c", text, name, *named(given))


def script_for(name: str, locks: Path) -> str:
    """A script of remote/, with a folder of the test's own in place of the server's for locks."""
    return (REMOTE / f"{name}.sh").read_text(encoding="utf-8").replace("/run/portside", str(locks))


VISITED = {
    "domain": "portfolio.localhost", "domains": ["portfolio.localhost"], "redirect_domains": [], "admitted": [],
    "health_path": "/healthz",
}  # fmt: skip
"""Of a release's record: by which names it was found healthy, and where."""
KNOWN = Names(("portfolio.localhost",))


def recorded(identity: str, previous: str = "", **changed: Any) -> dict[str, Any]:
    """The record of a good release."""
    made = {"id": identity, "commit": identity[-7:] * 5, "previous": previous, "migrations": [f"app.{identity[-3:]}"]}
    made |= {"breaking": {}, "leaves": {"app": "0001_initial"}, "manage": "/app/manage.py", "folder": "/app"} | VISITED
    return made | {"static_url": "/static/", "media_url": "/media/", "settings_module": "config.settings"} | changed


def certified(read: Facts, *hosts: str, kind: str = "issued", **changed: Any) -> Facts:
    """Facts with a certificate for these hosts in place, whoever made it."""
    pem = pki.issued(*hosts).chain
    issued = {"issued": pem, "issued_by": acme.LETS_ENCRYPT} if kind == "issued" else {}
    return replace(read, **{"certificate": pem, "certificate_kind": kind, **issued, **changed})


def with_own_certificate(folder: Path, *hosts: str) -> None:
    """The files that EVERY_SETTING names, for certificates."""
    own = pki.issued(*hosts)
    files(
        folder,
        {"tls.pem": own.chain + own.root, "tls.key": own.key, "acme.pem": own.root, "dns.ini": "secret = key-of-dns\n"},
    )


def with_releases(read: Facts, current: str, releases: Mapping[str, Mapping[str, Any]], **changed: Any) -> Facts:
    """Facts with these releases and their images instead."""
    kept = {identity: dict(record) for identity, record in releases.items()}
    images = tuple(SITE.release(identity).image for identity in kept)
    return replace(read, **{"current": current, "releases": kept, "images": images, "images_known": True, **changed})


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def web(release: str, state: str = "running", role: str = "web") -> Container:
    made = Container(f"portfolio-{release}-{role}-1-1", state, state == "running", role, release, "", "")
    return replace(made, part=f"{role}-1")


class Paper:
    """Stands in for a Server: writes down the steps it is given, and answers as one on which all goes well.

    ``fails``: the scripts at which a step fails instead, or "link", which is dead once all are ready. ``current``: the
    live release that the lock finds, if it isn't the one of the facts. ``busy``: what the lock tells of a run that is
    under way. ``answer``: what Django says, or what each release's says. ``holder``: who holds the lock: for good, or,
    with --wait, for a while. ``names``: what is said of the names, if not that all lead here. ``present``: what a plan
    is told of what is there.
    """

    target = "server.example"
    round_trips = 0
    practice = False

    def __init__(
        self,
        *facts: Facts,
        fails: str = "",
        answer: Mapping[str, Any] = ANSWER,
        names: Mapping[str, Any] | None = None,
        current: str | None = None,
        busy: bool = False,
        holder: str = "",
        present: Sequence[str] = (),
    ) -> None:
        self.present = tuple(present)
        self.seen = list(facts)
        self.fails = fails
        self.answer = answer
        self.names = names
        self.current = current
        self.busy = busy
        self.holder = holder
        self.parts: list[tuple[str, Sequence[Step]]] = []
        self.steps: list[Step] = []
        self.scripts: list[str] = []
        self.stages: list[str] = []
        self.looks = 0
        self.released = False
        self.connected = False
        self.sent = BytesIO()

    def connect(self) -> None:
        self.connected = True

    def check_link(self) -> None:
        if self.fails == "link":
            raise ConnectionLost(f"The connection to {self.target} was lost.")

    def facts(self, site: Site, paths: Sequence[str]) -> Facts:
        self.looks += 1
        self.last = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        return self.last

    @contextmanager
    def quietly(self) -> Iterator[None]:
        yield

    @contextmanager
    def lock(self, site: Site, waiting: Callable[[str], None] | None = None) -> Iterator[Any]:
        if self.holder and not waiting:
            raise Locked(f"Another deploy of {site.name} is under way: {self.holder}.")
        if self.holder and waiting:
            waiting(self.holder)
        self.parts.append((f"## lock\n(the lock of {site.name})", ()))
        try:
            yield self.stages.append, self.last.current if self.current is None else self.current, self.busy
        finally:
            self.released = True

    def apply(
        self, steps: Sequence[Step], *, stage: str, lock: str = "", big: bool = False, detached: bool = False
    ) -> list[Result]:
        if steps:
            how = [f"under {lock}"] * bool(lock) + ["by way of the disk"] * big + ["detached"] * detached
            heading = f"## {stage}" + (f" ({', '.join(how)})" if how else "")
            self.parts.append((heading, steps))
        for step in steps:
            arguments.check(step)
        return [self._result(step, stage) for step in steps]

    def send(self, step: Step, content: Callable[[IO[bytes]], None], *, stage: str) -> Result:
        self.parts.append((f"## {stage}", [step]))
        content(self.sent)
        return self._result(step, stage)

    @property
    def told(self) -> list[str]:
        """Each part of what the server was told, as text."""
        return ["\n".join([heading, *(step.transcript() for step in steps)]) for heading, steps in self.parts]

    def transcript(self) -> str:
        return "\n\n".join(self.told) + "\n"

    def _result(self, step: Step, stage: str) -> Result:
        self.steps.append(step)
        script = step.script
        self.scripts += [script] * bool(script)
        if script in self.fails.split():
            raise StepFailed(self.target, stage, step.name, 1, ["it broke"])
        output = self.present if script == "present" else ()
        return Result(step, "changed", "", self._answer(script, step), output)

    def _answer(self, script: str, step: Step) -> Any:
        compose = str(step.arguments.get("compose"))
        of_releases = (said for name, said in self.answer.items() if f"/releases/{name}/" in compose)
        asked = next(of_releases, self.answer)
        answers = {"build": {"digest": f"sha256:{'1f' * 32}"}, "ask": asked, "start": {"ports": [8101]}}
        answers |= {"gate": {"way": ["http://portfolio.localhost/healthz"], "elsewhere": ""}}
        answers |= {"compare": [2], "rehearse": self.answer, "load": {"digest": f"sha256:{'2e' * 32}"}}
        answers |= {"room": {"releases": [], "cache": "1.2GB"}, "prune": {"releases": [], "dumps": 0, "cache": ""}}
        answers |= {"pull": {"digest": f"sha256:{'3d' * 32}"}, "visit": {"why": ""}, "back": {"taken": [], "left": []}}
        ended = {"seconds": 2, "left": 0, "working": [], "dying": []}
        if script == "names":
            return self.names or pki.looked(step.arguments["names"])  # type: ignore[arg-type]
        return answers.get(script) or (ended if script in {"finish", "watch"} else None)


def run(settings: Settings, paper: Paper, command: str = "deploy", ref: str = "", to: str = "", **given: Any) -> Run:
    """A run of this command. ``given``: options of Request."""
    target = "" if settings.hosts == (paper.target,) else paper.target
    request = Request(command, ref, to, target=target, **given)
    return Run(request, settings, paper, Report(quiet=True), progress=Progress(started=0.0))  # type: ignore[arg-type]


def going_back(settings: Settings, **changed: Any) -> Facts:
    """A server with two good releases, the later one live."""
    releases = {
        OLDER: recorded(OLDER, static_url="/s/"),
        OLD: recorded(OLD, OLDER),
    }
    return with_releases(live(settings), OLD, releases, **changed)


def lock(settings: Settings, paper: Paper) -> Run:
    """A run that only takes the lock, and puts right what it finds."""
    begun = run(settings, paper, "abort")
    runner.follow(begun)
    return begun


def encrypted(settings: Settings) -> Facts:
    """A server with the site live by HTTPS, as this very version leaves it."""
    read = certified(live(settings), settings.canonical, clock=CLOCK)
    own = nginx_site.site_file(settings, SITE, EDGE, read)
    files = generation.base(read, own) | own
    digests = {path: digest(text) for path, text in files.items()}
    return replace(read, nginx_files=digests, nginx_generation=generation.generation(files, read).name)


CLOCK = f"{pki.NOW:%Y%m%d-%H%M%S}"

"""What the tests of deaths share: a tiny site whose pages name their version, and what must hold after each death."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from deploy.flows import flow

from . import small
from .inside import live, shell, sql
from .laptop import Done, Running
from .project import Project
from .visitors import Visitors, ask, patient_visitor, visitors
from .waiting import left, until

WHOLE = Path(__file__).with_name("whole.sh").read_text()
VERSION = "app/hello/__init__.py"
PATIENCE = "40"  # seconds: long enough for a busy machine to start the application, which is well or never
DOCKERFILE = """\
FROM python:3.13-slim
WORKDIR /code
COPY requirements.txt .
RUN pip install --quiet --no-cache-dir -r requirements.txt
COPY . .
ARG PAUSE
RUN sleep "$PAUSE"
"""
URLS = """\
import os, time
from django.http import JsonResponse
from django.urls import path
from . import VERSION

def hello(request):
    time.sleep(float(request.GET.get("seconds", 0)))
    return JsonResponse({"version": VERSION, "release": os.environ["DEPLOY_RELEASE"]})

urlpatterns = [path("", hello), path("healthz", hello)]
"""
SLOWLY = {"build": {"PAUSE": "3"}, "prepare": {"DEPLOY_BEFORE": "'sleep 3'"}}
"""What makes a short stage last."""
# How far a run is, told by who holds the lock: this stage or one after it, or the end of the run.
REACHED = """\
until grep -qE "now at ($2)\\$" "$1" 2>/dev/null; do
    [ ! -e "$1" ] || begun=1
    [ -z "$begun" ] || [ -e "$1" ] || exit 0
    sleep 0.01
done
"""


@dataclass
class Tiny:
    """The tiny site. ``version``: what its source says."""

    project: Project
    version: int = 0
    runs: list[Running] = field(default_factory=list)

    def change(self) -> None:
        """Another version, committed and not deployed."""
        self.version += 1
        self.project.write({VERSION: f"VERSION = {self.version}\n"})
        self.project.commit(f"Version {self.version}")

    def start(self, *words: str, on: str = "") -> Running:
        """Begin `fab`, in another way than directly if ``on`` says so."""
        self.runs.append(self.project.fab.start(*words, on=on or self.project.server, project=self.project))
        return self.runs[-1]

    def end(self) -> None:
        """End what a test that failed may have left asleep."""
        for run in self.runs:
            run.process.kill()
            run.process.wait()

    def answers(self) -> int:
        """The version that a visitor gets; 0 for none."""
        try:
            return int(json.loads(ask(self.project.server, self.project.domain).text)["version"])
        except (OSError, ValueError, http.client.HTTPException):
            return 0

    @property
    def live(self) -> str:
        return live(self.project.server, self.project.name)

    def another(self) -> str:
        """A release that is kept and not live."""
        kept = self.inside('ls "/srv/portside/$1/releases"').split()
        return next(identity for identity in kept if identity != self.live)

    def inside(self, script: str, *words: str) -> str:
        """Run a shell script on the server, the site's name its first word."""
        return shell(self.project.server, script, self.project.name, *words)

    def sql(self, query: str) -> str:
        return sql(self.project.server, self.project.name, query)

    def left(self) -> str:
        """What isn't as it should be once nothing is under way."""
        return left(self._left)

    def _left(self) -> str:
        found, looked, _ = self.inside(WHOLE).partition("looked everywhere")
        assert looked, "whole.sh didn't reach its end"
        return found

    def check_whole(self) -> None:
        """Fails where something half-done stays, or a lock, or the site isn't at its source's version."""
        found = self.left()
        assert not found, f"left:\n{found}"
        assert (answers := self.answers()) == self.version, f"version {answers} is live, not {self.version}"

    def reached(self, run: Running, stage: str, flow_of_it: tuple[str, ...] = flow.DEPLOY.stages) -> None:
        """Returns when a run is at this stage, or where that is a short one just after it."""
        if stage == "preflight":
            until(lambda: self.inside("ss -Htn state established 'sport = :22'"), "the laptop to be connected")
            return
        if stage == "lock":
            until(self.holder, "the lock to be held")
            return
        later = "|".join(flow_of_it[flow_of_it.index(stage) :])
        shell(self.project.server, f'timeout 180 sh -c \'{REACHED}\' sh "$1" "$2"', self.lock, later)

    @property
    def lock(self) -> str:
        """The file that says who holds the site's lock."""
        return f"/run/portside/site-{self.project.name}.holder"

    def free(self) -> bool:
        """Whether the lock is given back."""
        return "free" in shell(self.project.server, '[ -e "$1" ] || echo free', self.lock, check=False)

    def holder(self) -> str:
        return shell(self.project.server, 'cat "$1"', self.lock, check=False)

    def deploy(self, **values: str) -> Done:
        """The deploy after a death: it works, the site is at its source's version, and nothing half-done is left."""
        with self.project.with_settings(**values):
            done = self.project.deploy()
        self.check_whole()
        return done

    def fails(self, files: dict[str, str], stage: str, **values: str) -> Done:
        """Deploy these files: refused at this stage, and nobody notices; the next one is fine."""
        before, old = self.live, self.answers()
        self.change()
        with nobody_lost(self):
            with self.project.changed(files, DEPLOY_HEALTH_TIMEOUT=PATIENCE, **values):
                done = self.project.deploy(check=False)
            assert done.code == 1
            assert f"✗ {stage}" in done.out
            assert f"Release {before} is live, as before." in done.err
            assert (self.live, self.answers()) == (before, old)
            assert self.left() == ""
            self.deploy()
        return done

    def roll_back(self, to: str) -> Done:
        """The same by a rollback to a release."""
        done = self.project.fab("rollback", "--to", to, on=self.project.server, project=self.project)
        assert done.code == 0, done.err
        assert self.live == to, f"{self.live} is live, not {to}"
        found = self.left()
        assert not found, f"left:\n{found}"
        return done


@contextmanager
def deploying(site: Tiny, stage: str, on: str = "") -> Iterator[Running]:
    """A deploy that has come to a stage."""
    site.change()
    with site.project.with_settings(**SLOWLY.get(stage, {})):
        run = site.start("deploy", on=on)
        site.reached(run, stage)
        yield run


@contextmanager
def nobody_lost(tiny: Tiny, *, reloaded: bool = False) -> Iterator[None]:
    """While the block runs visitors come, and one stays, unless Nginx is reloaded; all of them are answered."""
    server, host = tiny.project.server, tiny.project.domain
    idle = nullcontext(Visitors()) if reloaded else patient_visitor(server, host)
    with visitors(server, host) as coming, idle as staying:
        yield
    lost = coming.lost + staying.lost
    assert not lost, f"{len(lost)} of {coming.answered + staying.answered} lost: {lost[:5]}"
    assert coming.answered, "nobody came"


def make(project: Project, **values: str) -> Tiny:
    """The project made the tiny site; live, with a release before it."""
    needs = "django>=5.2,<5.3\ngunicorn\npsycopg[binary]\n"
    files = {f"app/{name}": text for name, text in small.files("", small.DATABASE, needs).items()}
    project.write(files | {"app/Dockerfile": DOCKERFILE, "app/hello/urls.py": URLS})
    settings: Mapping[str, str] = {
        "DEPLOY_DOMAINS": f"{project.root.name}.test",
        "DEPLOY_COLLECTSTATIC": "off",
        "DEPLOY_BUILD_ARGS": "PAUSE",
        "DEPLOY_KEEP": "3",
        "PAUSE": "0",
        "SECRET_KEY": "k" * 50,
        "POSTGRES_PASSWORD": "p" * 24,
    }
    project.set(**settings, **values)
    made = Tiny(project)
    for _ in range(2):
        made.change()
        made.deploy()
    return made

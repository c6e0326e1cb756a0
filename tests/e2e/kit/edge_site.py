"""A site in the Nginx container: laid out, asked, started and served by what a deploy does it with on a server.

What differs: the container itself is the application's image, so what Docker would mount there is linked instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from deploy.certs import acme
from deploy.config.settings import Settings
from deploy.core.facts import Facts
from deploy.core.paths import ReleasePaths, Site
from deploy.core.steps import script
from deploy.flows import migrations
from deploy.host import provision
from deploy.nginx import generation, routing
from deploy.nginx import site as nginx_site
from deploy.releases import compose, environment, routes
from deploy.releases.answer import Answer
from tests import pki, sample

from .inside import shell
from .laptop import CHECKOUT
from .nginx_container import Edge
from .waiting import until

LINK = """
set -e
while [ "$#" -gt 0 ]; do
    mkdir -p "$(dirname "$2")"
    ln -sfn "$1" "$2"
    shift 2
done
"""
LOG = "/var/log/application.log"


def sample_app() -> dict[str, bytes]:
    """The sample site's files, without what it leaves on a laptop where it ran."""
    folder = CHECKOUT / "app"
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    rubbish = {"__pycache__", "media", "static-root", "db.sqlite3"}
    return {str(name): path.read_bytes() for name, path in files.items() if not rubbish & set(name.parts)}


def bring_live(server: Edge, folder: Path, project: Mapping[str, bytes], **settings: str) -> EdgeSite:
    """A Django project with these settings, live. ``folder``: the laptop's, which has its ``.env``."""
    site = EdgeSite(server, folder)
    site.set(**settings)
    site.lay_out(project)
    site.prepare()
    site.start()
    site.serve()
    return site


@dataclass
class EdgeSite:
    """A Django project in the container ``server``, with the settings in the laptop's ``folder``."""

    server: Edge
    folder: Path
    given: dict[str, str] = field(default_factory=dict, repr=False)
    answer: Answer | None = field(default=None, repr=False)

    def set(self, **settings: str) -> None:
        """More settings, which ``serve`` heeds."""
        self.given |= settings
        self.settings = Settings.load(sample.write_env(self.folder / ".env", self.given))

    @property
    def domain(self) -> str:
        return self.settings.canonical

    @property
    def site(self) -> Site:
        return Site(self.settings.site)

    @property
    def release(self) -> ReleasePaths:
        return self.site.release(sample.NEW)

    def facts(self) -> Facts:
        """The container's, read as a server's are."""
        step = script("Read the facts", "facts", site=self.site.name, paths=provision.watched())
        return Facts.parse(self.server.apply([step]))

    def lay_out(self, project: Mapping[str, bytes]) -> None:
        """The project, and all that a deploy writes on the host and for a release."""
        self.server.put({f"app/{name}": content for name, content in project.items()})
        facts = self.facts()
        steps = provision.rest(self.settings, facts) + compose.release_steps(self.settings, self.release, facts, "")
        self.server.apply([step for step in steps if step.path])
        shell(self.server, LINK, f"releases/{self.release.id}", self.site.current)

    def prepare(self) -> None:
        """Django asked what it needs; its folders in place, its static files collected, its database migrated."""
        self._mount(self._container(None))
        asks = migrations.ask(self.release, "", None)
        self.server.put({f"portside/ask/{name}": Path(path).read_bytes() for name, path in asks.files.items()})
        said = self.inside("python", "/portside/ask/ask.py", "", "")
        self.answer = Answer.parse(json.loads(re.findall(r"^portside-answer:(.*)$", said, re.MULTILINE)[0]))
        self._mount(self._container(self.answer))
        self.inside("python", self.answer.manage, "collectstatic", "--noinput", "--verbosity", "0")
        paths = {"folder": self.release.static, "pool": self.site.live_static}
        self.server.apply([script("Compress static files", "compress", **paths)])
        if self.answer.pending:
            self.inside("python", self.answer.manage, "migrate", "--noinput", "--verbosity", "0")

    def start(self) -> None:
        """Gunicorn, as the compose file says, until that file's own health check finds it well."""
        container = self._container(self.answer)
        running = self.server.start(self._words(container["command"]), LOG)

        def is_well() -> bool:
            assert running.running, running.said
            return self.server.succeeds(self._words(container["healthcheck"]["test"][1:]))

        until(is_well, "Gunicorn")

    def serve(self) -> None:
        """Nginx has the generation that the settings want."""
        facts, served = self.facts(), routes.of(self.settings, self.answer)
        own = nginx_site.site_file(self.settings, self.site, routing.final(served, [], self.settings.upstream), facts)
        self.server.apply(generation.steps(generation.base(facts, own) | own, facts, "as the settings want it"))

    def encrypt(self) -> str:
        """HTTPS, by a certificate of an authority that is the tests' own; its root (PEM)."""
        made = pki.issued(*self.settings.names)
        sample.files(self.folder, {"tls.pem": made.chain, "tls.key": made.key})
        self.set(DEPLOY_TLS_CERT="tls.pem", DEPLOY_TLS_KEY="tls.key")
        self.server.apply(acme.install(self.settings, self.site, self.facts()))
        self.serve()
        return made.root

    def inside(self, *words: str) -> str:
        """Runs a command as in the application's container; its standard output."""
        return self.server.exec(self._words(words))

    def _container(self, answer: Answer | None) -> dict[str, Any]:
        """What the release's compose file says of the application's container."""
        text = compose.release_compose(self.settings, self.release, sample.provisioned(), answer)
        return dict(yaml.safe_load(text)["services"]["web-1"])

    def _words(self, words: Sequence[str]) -> list[str]:
        """A command with the user, the environment and the folder that it has in the application's container."""
        container = self._container(self.answer)
        user, group = container["user"].split(":")
        module = self.answer.settings_module if self.answer else ""
        given = environment.own_environment(self.settings)
        given |= environment.made_environment(self.settings, self.site, self.release.id, module)
        given |= container["environment"]
        identity = ("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups")
        return [*identity, "env", "--chdir=/app", *(f"{name}={value}" for name, value in given.items()), *words]

    def _mount(self, container: Mapping[str, Any]) -> None:
        places = [(volume["source"], volume["target"]) for volume in container["volumes"] if volume["target"] != "/tmp"]
        shell(self.server, LINK, *chain.from_iterable(places))

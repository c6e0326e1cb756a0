"""Generations of Nginx's files: templates -> files -> one generation.

A generation is a folder with all of Portside's Nginx files for every site, named by the hash of its content. A new one
is a copy of the live one with some files replaced. ``remote/generation.sh`` tests it as a whole, activates it by a
rename and checks that Nginx serves it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from ..core import server_paths
from ..core.facts import Facts, FileFact
from ..core.files import NGINX_TEMPLATES
from ..core.paths import Site
from ..core.steps import Script, Sign, Step
from . import http3, templates

STALE = 76  # generation.sh's exit code if another generation has gone live meanwhile
SHARED = ("snippets", "pages")  # folders of templates that all sites share
# Its text never changes: another one counts as changed by hand.
MAIN = f"# Portside's: all of it stands in the live generation.\ninclude {server_paths.NGINX_LIVE}/nginx.conf;\n"


@dataclass(frozen=True, kw_only=True)
class OfNginx(Script):
    """Make generations live. Their files are sent along."""

    sign: Sign | None = "~"

    @property
    def generations(self) -> tuple[str, ...]:
        """Return the names of the generations that become live, in order."""
        raise NotImplementedError

    def new_files(self, generation: str) -> dict[str, bytes]:
        """Return a generation's own files: path in it -> content."""
        start = f"{generation}/new/"
        return {
            name.removeprefix(start): content
            for name, content in self.files.items()
            if name.startswith(start) and isinstance(content, bytes)
        }

    def kept_files(self, generation: str) -> list[str]:
        """Return the paths that a generation copies from the live one."""
        content = self.files[f"{generation}/kept"]
        return content.decode().splitlines() if isinstance(content, bytes) else []

    def effect(self, facts: Facts) -> Facts:
        for name in self.generations:
            facts = self._live(facts, name)
        return facts

    def _live(self, facts: Facts, generation: str) -> Facts:
        digests = {path: sha256(content).hexdigest() for path, content in self.new_files(generation).items()}
        kept = {path: facts.nginx_files[path] for path in self.kept_files(generation) if path in facts.nginx_files}
        main = FileFact(0o644, "0:0", sha256(MAIN.encode()).hexdigest())
        return replace(
            facts,
            nginx_files=kept | digests,
            nginx_generation=generation,
            nginx_active=True,
            answer=facts.answer if facts.nginx_active else "",  # a stopped Nginx says nothing about the site
            nginx_default="" if facts.nginx_default == "distribution" else facts.nginx_default,
            files=facts.files | {server_paths.NGINX_CONF: main},
        )


@dataclass(frozen=True, kw_only=True)
class PutLive(OfNginx):
    """Make one generation live. ``before``: the live one at the time of planning. ``page``: see Generation."""

    script: str = "nginx"
    generation: str
    before: str
    status_port: int = server_paths.STATUS_PORT
    page: str

    @property
    def generations(self) -> tuple[str, ...]:
        return (self.generation,)


@dataclass(frozen=True)
class Generation:
    """The files of a generation.

    - ``kept``: paths of files copied from the live one; ``files``: path -> text of new files
    - ``before``: the generation that was live when this one was planned. If another one is live by then, this one isn't
      made, because another site's files may have changed.
    - ``page``: the distribution's default page, if it still exists; otherwise empty
    """

    name: str
    kept: tuple[str, ...]
    files: Mapping[str, str]
    before: str
    page: str

    def step(self, why: str) -> Step:
        """Return the step that makes it live; if that fails, the previous one stays live."""
        return PutLive(
            name=f"Nginx generation {self.name}: {why}",
            generation=self.name,
            before=self.before,
            page=self.page,
            files=self.payload(),
        )

    def payload(self) -> dict[str, bytes]:
        """Return the files from which ``remote/generation.sh`` builds it."""
        files = {f"{self.name}/new/{path}": text.encode() for path, text in self.files.items()}
        kept = "".join(f"{path}\n" for path in self.kept)
        return {"main": MAIN.encode(), f"{self.name}/kept": kept.encode()} | files


def base(facts: Facts, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the files of the whole server: path in the generation -> text. They don't depend on which site is
    deployed. ``own``: the new files of a site, if any."""
    values = templates.values(facts) | {"http3": _http3(facts, own or {})}
    shared = [path.relative_to(NGINX_TEMPLATES) for kind in SHARED for path in NGINX_TEMPLATES.glob(f"{kind}/*.j2")]
    rendered = {path.with_suffix("").as_posix(): templates.render(path.as_posix(), values) for path in sorted(shared)}
    return {
        "nginx.conf": templates.render("nginx.conf.j2", values),
        "sites/00-default.conf": templates.render("default.conf.j2", values),
        **rendered,
    }


def _http3(facts: Facts, own: Mapping[str, str]) -> bool:
    """Whether any site of a generation has HTTP/3, by its ``own`` new files or by its present ones."""
    replaced = {owner(path) for path in own}
    paths = [*own, *(path for path in facts.nginx_files if owner(path) not in replaced)]
    return http3.supported(facts) and any(path.endswith(server_paths.NGINX_HTTP3) for path in paths)


def generation(files: Mapping[str, str], facts: Facts) -> Generation:
    """Return the live generation with these files. Other sites' files are kept; all others are dropped."""
    return _generation(files, facts, replaced={"", *map(owner, files)})


def without(site: Site, facts: Facts) -> Generation | None:
    """Return the live generation without the site's files; None if it has none of them. All other files stay, except if
    the site was the last one with HTTP/3: then the server's own files are rendered again, as by a deploy."""
    others = {path: digest for path, digest in facts.nginx_files.items() if owner(path) != site.name}
    if len(others) == len(facts.nginx_files):
        return None
    if site.nginx_http3 not in facts.nginx_files or http3.others(site, facts):
        return _generation({}, facts, replaced={site.name})
    return _generation(base(replace(facts, nginx_files=others)), facts, replaced={site.name, ""})


def _generation(files: Mapping[str, str], facts: Facts, *, replaced: set[str]) -> Generation:
    """Return a generation of these files and the live ones, except those that belong to the ``replaced`` owners."""
    kept = {path: digest for path, digest in facts.nginx_files.items() if owner(path) not in replaced}
    digests = kept | {path: sha256(text.encode()).hexdigest() for path, text in files.items()}
    page = server_paths.NGINX_DEFAULT_PAGE if facts.nginx_default == "distribution" else ""
    return Generation(_name(digests, facts), tuple(sorted(kept)), files, facts.nginx_generation, page)


def _name(digests: Mapping[str, str], facts: Facts) -> str:
    """Return the live generation's name if it has exactly these files; otherwise a different one, so that a generation
    that was changed by hand isn't overwritten, since Nginx may be reading it."""
    names = _names(digests)
    if facts.nginx_generation and facts.nginx_files == digests:
        return facts.nginx_generation
    return names[1] if names[0] == facts.nginx_generation else names[0]


def _names(digests: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of a generation of these files, and an alternative if that name is taken."""
    lines = "".join(f"{digests[path]} {path}\n" for path in sorted(digests))
    first, second = (sha256(text.encode()).hexdigest()[:12] for text in (lines, f"{lines}again\n"))
    return first, second


def edited(facts: Facts) -> bool:
    """Whether files of the live generation were changed by hand. They are compared with the recorded checksums; without
    a record, with the generation's name."""
    if facts.nginx_written:
        return facts.nginx_written != facts.nginx_files
    return bool(facts.nginx_generation) and facts.nginx_generation not in _names(facts.nginx_files)


def wanted(files: Mapping[str, str], facts: Facts) -> Generation | None:
    """Return the generation that makes Nginx serve these files; None if it does already."""
    made = generation(files, facts)
    main = facts.files.get(server_paths.NGINX_CONF)
    ours = main is not None and main.sha256 == sha256(MAIN.encode()).hexdigest()
    done = facts.nginx_generation == made.name and ours and facts.nginx_active and facts.nginx_default != "distribution"
    return None if done else made


def steps(files: Mapping[str, str], facts: Facts, why: str) -> list[Step]:
    """Return the step that makes Nginx serve these files; none if it does already."""
    made = wanted(files, facts)
    return [made.step(why)] if made else []


def conflicts(facts: Facts) -> list[str]:
    """Return which other configuration on the server conflicts with Portside's, one sentence for each."""
    main = facts.files.get(server_paths.NGINX_CONF)
    ours = main is not None and main.sha256 == sha256(MAIN.encode()).hexdigest()
    found = []
    if main and not ours and facts.nginx_conf != "distribution":
        found.append(
            f"{server_paths.NGINX_CONF} was changed by hand. "
            f"Move your changes to a file in {server_paths.NGINX_OTHERS} and restore the "
            "distribution's: apt-get install --reinstall -o Dpkg::Options::=--force-confask nginx-common"
        )
    for path in facts.nginx_default_servers:
        if path != server_paths.NGINX_DEFAULT_PAGE or facts.nginx_default != "distribution":
            found.append(
                f"{path} has a default_server, but Portside has its own. Remove the word default_server there."
            )
    return found


def broken(facts: Facts) -> str:
    """Return what is wrong with other Nginx files on the server, as a sentence; empty if nothing is. Nginx couldn't be
    restarted with them."""
    if not facts.nginx_broken or server_paths.NGINX_LIVE in facts.nginx_broken:
        return ""
    return f"Nginx rejects its configuration on the server: {facts.nginx_broken}. Fix or move that file."


def owner(path: str) -> str:
    """Return the site that a file of a generation belongs to; empty for the server's own files."""
    found = re.fullmatch(r"sites/([a-z][a-z0-9-]*)\..*", path)
    return found.group(1) if found else ""

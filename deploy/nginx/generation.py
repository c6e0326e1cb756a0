"""Nginx: templates -> files -> one generation.

A generation is a folder with every file of ours for every site, named by its content's hash. A new one is the live
one with some files replaced; ``remote/generation.sh`` tests it whole, renames it into place and proves that it serves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from ..core import server_paths
from ..core.facts import Facts
from ..core.files import NGINX_TEMPLATES
from ..core.paths import Site
from ..core.steps import Step, script
from . import http3, templates

STALE = 76  # generation.sh's exit code where another generation came in between
SHARED = ("snippets", "pages")  # folders of templates that belong to no site
MAIN = f"# Portside's: all of it stands in the live generation.\ninclude {server_paths.NGINX_LIVE}/nginx.conf;\n"


@dataclass(frozen=True)
class Generation:
    """The files of a generation.

    ``kept``: paths taken over from the live one; ``files``: path -> text, ours; ``before``: the generation it was
    planned upon, without which it mustn't be made, since another site's files may have come in between; ``page``: the
    distribution's default page where it is still there, else empty.
    """

    name: str
    kept: tuple[str, ...]
    files: Mapping[str, str]
    before: str
    page: str

    def step(self, why: str) -> Step:
        """The step that puts it live, or leaves the previous one."""
        return script(
            f"Nginx generation {self.name}: {why}",
            "nginx",
            self.name,
            self.before,
            str(server_paths.STATUS_PORT),
            self.page,
            files=self.payload(),
        )

    def payload(self) -> dict[str, bytes]:
        """What ``remote/generation.sh`` makes it of."""
        files = {f"{self.name}/new/{path}": text.encode() for path, text in self.files.items()}
        kept = "".join(f"{path}\n" for path in self.kept)
        return {"main": MAIN.encode(), f"{self.name}/kept": kept.encode()} | files


def base(facts: Facts, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The files that belong to the whole server: path in the generation -> text. They are the same whichever site is
    deployed. ``own``: the new files of a site, if the generation has some; otherwise every site's stay as they are."""
    values = templates.values(facts) | {"http3": _http3(facts, own or {})}
    shared = [path.relative_to(NGINX_TEMPLATES) for kind in SHARED for path in NGINX_TEMPLATES.glob(f"{kind}/*.j2")]
    rendered = {path.with_suffix("").as_posix(): templates.render(path.as_posix(), values) for path in sorted(shared)}
    return {
        "nginx.conf": templates.render("nginx.conf.j2", values),
        "sites/00-default.conf": templates.render("default.conf.j2", values),
        **rendered,
    }


def _http3(facts: Facts, own: Mapping[str, str]) -> bool:
    """Whether some site of a generation has HTTP/3: one with ``own`` files, or another by those it has."""
    replaced = {owner(path) for path in own}
    paths = [*own, *(path for path in facts.nginx_files if owner(path) not in replaced)]
    return http3.able(facts) and any(path.endswith(server_paths.NGINX_HTTP3) for path in paths)


def generation(files: Mapping[str, str], facts: Facts) -> Generation:
    """The live generation with these files in it. Files of other sites are kept; other files of ours go."""
    return _generation(files, facts, replaced={"", *map(owner, files)})


def without(site: Site, facts: Facts) -> Generation | None:
    """The live generation without the site's files: none where it has none of them. All others are as they are, unless
    the site was the last that had HTTP/3: then the server's own are made anew, as by a deploy."""
    others = {path: digest for path, digest in facts.nginx_files.items() if owner(path) != site.name}
    if len(others) == len(facts.nginx_files):
        return None
    if site.nginx_http3 not in facts.nginx_files or http3.others(site, facts):
        return _generation({}, facts, replaced={site.name})
    return _generation(base(replace(facts, nginx_files=others)), facts, replaced={site.name, ""})


def _generation(files: Mapping[str, str], facts: Facts, *, replaced: set[str]) -> Generation:
    """These files, and those of the live generation whose owners aren't among the ``replaced``."""
    kept = {path: digest for path, digest in facts.nginx_files.items() if owner(path) not in replaced}
    digests = kept | {path: sha256(text.encode()).hexdigest() for path, text in files.items()}
    page = server_paths.NGINX_DEFAULT_PAGE if facts.nginx_default == "distribution" else ""
    return Generation(_name(digests, facts), tuple(sorted(kept)), files, facts.nginx_generation, page)


def _name(digests: Mapping[str, str], facts: Facts) -> str:
    """The live one's own name where it has exactly these files, and only there: one that was changed by hand isn't
    written over, since Nginx may be reading it."""
    names = _names(digests)
    if facts.nginx_generation and facts.nginx_files == digests:
        return facts.nginx_generation
    return names[1] if names[0] == facts.nginx_generation else names[0]


def _names(digests: Mapping[str, str]) -> tuple[str, str]:
    """What a generation of these files is called, and what else where that name is taken."""
    lines = "".join(f"{digests[path]} {path}\n" for path in sorted(digests))
    first, second = (sha256(text.encode()).hexdigest()[:12] for text in (lines, f"{lines}again\n"))
    return first, second


def edited(facts: Facts) -> bool:
    """Whether somebody changed files of the live generation by hand: they aren't those that were written, or, where
    nobody noted these, those it is named after."""
    if facts.nginx_written:
        return facts.nginx_written != facts.nginx_files
    return bool(facts.nginx_generation) and facts.nginx_generation not in _names(facts.nginx_files)


def wanted(files: Mapping[str, str], facts: Facts) -> Generation | None:
    """The generation that makes Nginx serve these files: none if it does already."""
    made = generation(files, facts)
    main = facts.files.get(server_paths.NGINX_CONF)
    ours = main is not None and main.sha256 == sha256(MAIN.encode()).hexdigest()
    done = facts.nginx_generation == made.name and ours and facts.nginx_active and facts.nginx_default != "distribution"
    return None if done else made


def steps(files: Mapping[str, str], facts: Facts, why: str) -> list[Step]:
    """What makes Nginx serve these files: nothing if it does already."""
    made = wanted(files, facts)
    return [made.step(why)] if made else []


def conflicts(facts: Facts) -> list[str]:
    """What on the server is another's and in the way, one sentence each."""
    main = facts.files.get(server_paths.NGINX_CONF)
    ours = main is not None and main.sha256 == sha256(MAIN.encode()).hexdigest()
    found = []
    if main and not ours and facts.nginx_conf != "distribution":
        found.append(
            f"{server_paths.NGINX_CONF} was changed by hand. "
            f"Move what it adds to a file in {server_paths.NGINX_OTHERS} and put the "
            "distribution's back: apt-get install --reinstall -o Dpkg::Options::=--force-confask nginx-common"
        )
    for path in facts.nginx_default_servers:
        if path != server_paths.NGINX_DEFAULT_PAGE or facts.nginx_default != "distribution":
            found.append(f"{path} has a default_server, which Portside's catch-all is: take the word out of it.")
    return found


def broken(facts: Facts) -> str:
    """What is wrong with Nginx's files on disk where it isn't ours, as a sentence: it couldn't be started again."""
    if not facts.nginx_broken or server_paths.NGINX_LIVE in facts.nginx_broken:
        return ""
    return f"Nginx refuses its files as they are on the server: {facts.nginx_broken}. Mend or move that file."


def owner(path: str) -> str:
    """The site that a file of a generation belongs to; empty for the server's own."""
    found = re.fullmatch(r"sites/([a-z][a-z0-9-]*)\..*", path)
    return found.group(1) if found else ""

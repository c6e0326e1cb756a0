"""The application's image: built of the source with Portside's Dockerfile or the project's own; or one to pull."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ..config.settings import Settings
from ..core.errors import Refused
from ..core.files import COMPOSE
from ..core.paths import ReleasePaths, Site
from ..core.server_paths import LABEL_RELEASE, LABEL_SITE
from ..core.steps import Content, Step, mode, quote, script
from .source import Source

DEFAULT_PYTHON = "3.13"
PORTSIDE_DOCKERFILE = "portside/Dockerfile"  # in the context


@dataclass(frozen=True)
class Recipe:
    """What an image is built of. ``files``: the context; ``dockerfile``: its path in there."""

    files: Mapping[str, Content]
    dockerfile: str = "Dockerfile"
    labels: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, Content] = field(default_factory=dict, repr=False)


def recipe(settings: Settings, source: Source, release: ReleasePaths) -> Recipe:
    """How the release's image is built. Raises Refused where the project can't be built as it is."""
    labels = {LABEL_SITE: release.site.name, LABEL_RELEASE: release.id}
    if settings.pulls:
        return Recipe({"Dockerfile": f"FROM {release.site.pulled}\n".encode()}, labels=labels)
    own, secrets = own_dockerfile(settings, source), _secrets(settings)
    if own:
        arguments = {name: settings.env[name].reveal() for name in settings.build_args}
        return Recipe(source.files, own, labels, arguments, secrets)
    requirements, needed = source.dependencies()
    files: dict[str, Content] = {f"src/{name}": path for name, path in source.files.items()}
    files |= {f"deps/{name}": path for name, path in needed.items()}
    arguments = _portside_arguments(settings, source, requirements)
    arguments["BUILD_APT"] = "git" if source.needs_git(needed) else ""
    return Recipe(files | _portside_files(), PORTSIDE_DOCKERFILE, labels, arguments, secrets)


def build(settings: Settings, source: Source, release: ReleasePaths, there: Collection[str] = ()) -> Step:
    """The step that builds the release's image on the server. Raises Refused as :func:`recipe` does.

    ``there``: what of the context the server has from the last build.
    """
    made, over = recipe(settings, source, release), overlay(settings, release.image)
    files: dict[str, Content] = {f"context/{name}": made.files[name] for name in made.files if name not in there}
    files |= _kept(made.files, there)
    files |= {f"secrets/{name}": content for name, content in made.secrets.items()}
    files["arguments"] = _exports(made.arguments)
    files |= {f"overlay/{name}": content for name, content in (over.files if over else {}).items()}
    options = [word for name, value in made.labels.items() for word in ("--label", f"{name}={value}")]
    options += [word for name in sorted(made.arguments) for word in ("--build-arg", name)]
    words = (release.image, release.site.context, made.dockerfile, *options)
    return script("Build the image", "build", *words, files=files, secret=True)


def _kept(files: Mapping[str, Content], there: Collection[str]) -> dict[str, Content]:
    """Lists of what is taken from the last build's context: all of it, and what of it can be run."""
    paths = {name: path for name in sorted(there) if isinstance(path := files[name], Path)}
    programs = [name for name, path in paths.items() if mode(path) == 0o755]
    return {"same": _lines(paths), "programs": _lines(programs)}


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def pull(settings: Settings, site: Site) -> Step:
    """The step that pulls DEPLOY_BUILD, with credentials that are there for it alone. Answers with the digest."""
    files: dict[str, Content] = {}
    if settings.registry_user and settings.registry_password:
        files["credentials"] = f"{settings.registry_user}:{settings.registry_password.reveal()}".encode()
    words = (settings.build, _registry(settings.build), site.pulled)
    return script(f"Pull {settings.build}", "pull", *words, files=files, secret=True)


def _registry(reference: str) -> str:
    """The host in an image's name, or empty for Docker's own: a first part with a dot or a port, or localhost."""
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


def dependencies(settings: Settings, source: Source) -> str:
    """A hash of what the image is made of besides the project's code: where it is the live release's too, so is all
    that the code imports. Empty for an image that is pulled."""
    if settings.pulls:
        return ""
    own = own_dockerfile(settings, source)
    needed = {own} | source.all_dependencies() if own else set(source.dependencies()[1])
    chosen = {name: settings.env[name].reveal() for name in settings.build_args}
    said = [settings.python or source.python(), settings.apt, settings.pip, settings.pip_index, chosen]
    return sha256(json.dumps([said, {name: source.sums[name] for name in sorted(needed)}]).encode()).hexdigest()


def own_dockerfile(settings: Settings, source: Source) -> str:
    """The project's Dockerfile, as a path below its folder, or empty for Portside's."""
    if settings.dockerfile is None:
        return "Dockerfile" if "Dockerfile" in source.files else ""
    name = settings.dockerfile.removeprefix("./")
    if name not in source.files:
        raise Refused(
            f"DEPLOY_DOCKERFILE: git tracks no {name} in {source.root}.", hint="Is it spelled right, is it added?"
        )
    return name


def _portside_files() -> dict[str, Content]:
    scripts = {f"portside/{path.name}": path for path in sorted((COMPOSE / "build").iterdir())}
    return {PORTSIDE_DOCKERFILE: COMPOSE / "Dockerfile", **scripts}


def _portside_arguments(settings: Settings, source: Source, requirements: str) -> dict[str, str]:
    chosen = {name: settings.env[name].reveal() for name in settings.build_args}
    return chosen | {
        "PYTHON": settings.python or source.python() or DEFAULT_PYTHON,
        "APT": " ".join(settings.apt),
        "PIP": " ".join(settings.pip),
        "PIP_INDEX": settings.pip_index or "",
        "REQUIREMENTS": requirements,
    }


def _exports(arguments: Mapping[str, str]) -> bytes:
    """Build arguments as a shell file: a value on a command line could be read by anybody on the server."""
    return "".join(f"export {quote([f'{name}={value}'])}\n" for name, value in sorted(arguments.items())).encode()


def _secrets(settings: Settings) -> dict[str, Content]:
    files: dict[str, Content] = {name: settings.env[name].reveal().encode() for name in settings.build_secrets}
    if settings.build_ca:
        files["portside-ca"] = _local(settings, settings.build_ca, "DEPLOY_BUILD_CA")
    return files


def overlay(settings: Settings, image: str) -> Recipe | None:
    """DEPLOY_FILES, copied into the image when the rest of it is built."""
    if not settings.files:
        return None
    lines, files = [f"FROM {image}", "USER root"], {}
    for number, pair in enumerate(settings.files):
        local, _, inside = pair.partition(":")
        files[str(number)] = _local(settings, local, "DEPLOY_FILES")
        lines.append(f'COPY ["{number}", "{inside}"]')
    lines.append("USER 10001:33")
    return Recipe({**files, "Dockerfile": ("\n".join(lines) + "\n").encode()})


def local_files(settings: Settings) -> list[Path]:
    """Files of the laptop besides the project's that go into the image. Raises Refused where one isn't there."""
    bundle = [_local(settings, settings.build_ca, "DEPLOY_BUILD_CA")] if settings.build_ca else []
    return bundle + [_local(settings, pair.partition(":")[0], "DEPLOY_FILES") for pair in settings.files]


def _local(settings: Settings, name: str, setting: str) -> Path:
    path = settings.folder / name
    if not path.is_file():
        raise Refused(f"{setting}: there is no file {path}.")
    return path.resolve()  # what a link leads to: on the server it would lead elsewhere

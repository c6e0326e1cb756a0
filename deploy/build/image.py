"""The application's image: built from the source with Portside's or the project's Dockerfile, or pulled."""

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
    """The input of an image build. ``files``: the context; ``dockerfile``: its path in the context."""

    files: Mapping[str, Content]
    dockerfile: str = "Dockerfile"
    labels: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, Content] = field(default_factory=dict, repr=False)


def recipe(settings: Settings, source: Source, release: ReleasePaths) -> Recipe:
    """Return the recipe of the release's image. Raises Refused if the project can't be built."""
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
    """Return the step that builds the release's image on the server. Raises Refused like :func:`recipe`.

    ``there``: files of the context that the server has from the last build.
    """
    made, over = recipe(settings, source, release), overlay(settings, release.image)
    files: dict[str, Content] = {f"context/{name}": made.files[name] for name in made.files if name not in there}
    files |= _kept(made.files, there)
    files |= {f"secrets/{name}": content for name, content in made.secrets.items()}
    files["arguments"] = _exports(made.arguments)
    files |= {f"overlay/{name}": content for name, content in (over.files if over else {}).items()}
    options = [word for name, value in made.labels.items() for word in ("--label", f"{name}={value}")]
    options += [word for name in sorted(made.arguments) for word in ("--build-arg", name)]
    return script(
        "Build the image",
        "build",
        sign="+",
        image=release.image,
        context=release.site.context,
        dockerfile=made.dockerfile,
        options=options,
        files=files,
        secret=True,
    )


def _kept(files: Mapping[str, Content], there: Collection[str]) -> dict[str, Content]:
    """Return lists of the files to reuse from the last build's context: all of them, and those that are executable."""
    paths = {name: path for name in sorted(there) if isinstance(path := files[name], Path)}
    programs = [name for name, path in paths.items() if mode(path) == 0o755]
    return {"same": _lines(paths), "programs": _lines(programs)}


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def pull(settings: Settings, site: Site) -> Step:
    """Return the step that pulls DEPLOY_BUILD, with credentials that aren't kept. It answers with the digest."""
    files: dict[str, Content] = {}
    if settings.registry_user and settings.registry_password:
        files["credentials"] = f"{settings.registry_user}:{settings.registry_password.reveal()}".encode()
    return script(
        f"Pull {settings.build}",
        "pull",
        sign="+",
        image=settings.build,
        registry=_registry(settings.build),
        name=site.pulled,
        files=files,
        secret=True,
    )


def _registry(reference: str) -> str:
    """Return the registry's host in an image's name; empty for Docker Hub. It has a dot or a port, or is localhost."""
    first, slash, _ = reference.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


def dependencies(settings: Settings, source: Source) -> str:
    """Return a hash of everything in the image but the project's code. If it is the same as the live release's, the
    dependencies are the same too. Empty for an image that is pulled."""
    if settings.pulls:
        return ""
    own = own_dockerfile(settings, source)
    needed = {own} | source.all_dependencies() if own else set(source.dependencies()[1])
    chosen = {name: settings.env[name].reveal() for name in settings.build_args}
    said = [settings.python or source.python(), settings.apt, settings.pip, settings.pip_index, chosen]
    return sha256(json.dumps([said, {name: source.sums[name] for name in sorted(needed)}]).encode()).hexdigest()


def own_dockerfile(settings: Settings, source: Source) -> str:
    """Return the project's Dockerfile, as a path below its folder; empty for Portside's. Raises Refused if it is
    missing."""
    if settings.dockerfile is None:
        return "Dockerfile" if "Dockerfile" in source.files else ""
    name = settings.dockerfile.removeprefix("./")
    if name not in source.files:
        raise Refused(
            f"DEPLOY_DOCKERFILE: git tracks no {name} in {source.root}.",
            hint="Check its spelling, and that it is added to git.",
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
    """Return build arguments as a shell file. Every user on the server could read values on a command line."""
    return "".join(f"export {quote([f'{name}={value}'])}\n" for name, value in sorted(arguments.items())).encode()


def _secrets(settings: Settings) -> dict[str, Content]:
    files: dict[str, Content] = {name: settings.env[name].reveal().encode() for name in settings.build_secrets}
    if settings.build_ca:
        files["portside-ca"] = _local(settings, settings.build_ca, "DEPLOY_BUILD_CA")
    return files


def overlay(settings: Settings, image: str) -> Recipe | None:
    """Return the recipe that copies DEPLOY_FILES into the finished image; None if there are none."""
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
    """Return files outside the project that go into the image. Raises Refused if one is missing."""
    bundle = [_local(settings, settings.build_ca, "DEPLOY_BUILD_CA")] if settings.build_ca else []
    return bundle + [_local(settings, pair.partition(":")[0], "DEPLOY_FILES") for pair in settings.files]


def _local(settings: Settings, name: str, setting: str) -> Path:
    path = settings.folder / name
    if not path.is_file():
        raise Refused(f"{setting}: the file {path} doesn't exist.")
    return path.resolve()  # the target of a link, which wouldn't exist on the server

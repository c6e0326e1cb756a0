"""The application's image: built on the server from the source, with Portside's Dockerfile or the project's own."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from .errors import Refused
from .settings import Settings
from .site import LABEL_RELEASE, LABEL_SITE, ReleasePaths
from .source import DEPENDENCY_FILES, Source
from .steps import Content, Step, quote, script

COMPOSE = Path(__file__).parent.parent / "compose"
DEFAULT_PYTHON = "3.13"


def build(settings: Settings, source: Source, release: ReleasePaths) -> Step:
    """The step that builds the release's image. Raises Refused where the project can't be built as it is."""
    own = own_dockerfile(settings, source)
    files: dict[str, Content] = {f"context/src/{name}": path for name, path in source.files.items()}
    if own:
        context, dockerfile = "context/src", own
        arguments = {name: settings.env[name].reveal() for name in settings.build_args}
    else:
        context, dockerfile = "context", "portside/Dockerfile"
        requirements, needed = source.dependencies()
        files |= {f"context/deps/{name}": path for name, path in needed.items()}
        files |= _portside_files()
        arguments = _portside_arguments(settings, source, requirements)
        arguments["BUILD_APT"] = "git" if source.needs_git(needed) else ""
    files |= _secrets(settings)
    files["arguments"] = _exports(arguments)
    files |= _overlay(settings, release.image)
    labels = {LABEL_SITE: release.site.name, LABEL_RELEASE: release.id}
    options = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    options += [word for name in sorted(arguments) for word in ("--build-arg", name)]
    return script("Build the image", "build", release.image, context, dockerfile, *options, files=files, secret=True)


def dependencies(settings: Settings, source: Source) -> str:
    """A hash of what the image is made of besides the project's code: where it is the live release's too, so is all
    that the code imports."""
    places = [place for name in DEPENDENCY_FILES for place in (name, source.below_manage(name))]
    needed = {own_dockerfile(settings, source), *places} & set(source.files)
    if not own_dockerfile(settings, source):
        needed |= set(source.dependencies()[1])
    chosen = {name: settings.env[name].reveal() for name in settings.build_args}
    said = [settings.python or source.python(), settings.apt, settings.pip, chosen]
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
    scripts = {f"context/portside/{path.name}": path for path in sorted((COMPOSE / "build").iterdir())}
    return {"context/portside/Dockerfile": COMPOSE / "Dockerfile", **scripts}


def _portside_arguments(settings: Settings, source: Source, requirements: str) -> dict[str, str]:
    chosen = {name: settings.env[name].reveal() for name in settings.build_args}
    return chosen | {
        "PYTHON": settings.python or source.python() or DEFAULT_PYTHON,
        "APT": " ".join(settings.apt),
        "PIP": " ".join(settings.pip),
        "PIP_INDEX": settings.pip_index or "",
        "REQUIREMENTS": requirements,
    }


def _exports(arguments: dict[str, str]) -> bytes:
    """Build arguments as a shell file: a value on a command line could be read by anybody on the server."""
    return "".join(f"export {quote([f'{name}={value}'])}\n" for name, value in sorted(arguments.items())).encode()


def _secrets(settings: Settings) -> dict[str, Content]:
    files: dict[str, Content] = {
        f"secrets/{name}": settings.env[name].reveal().encode() for name in settings.build_secrets
    }
    if settings.build_ca:
        files["secrets/portside-ca"] = _local(settings, settings.build_ca, "DEPLOY_BUILD_CA")
    return files


def _overlay(settings: Settings, image: str) -> dict[str, Content]:
    """DEPLOY_FILES, copied into the image when the rest of it is built."""
    if not settings.files:
        return {}
    lines, files = [f"FROM {image}", "USER root"], {}
    for number, pair in enumerate(settings.files):
        local, _, inside = pair.partition(":")
        files[f"overlay/{number}"] = _local(settings, local, "DEPLOY_FILES")
        lines.append(f'COPY ["{number}", "{inside}"]')
    lines.append("USER 10001:33")
    return {**files, "overlay/Dockerfile": ("\n".join(lines) + "\n").encode()}


def local_files(settings: Settings) -> list[Path]:
    """Files of the laptop besides the project's that go into the image. Raises Refused where one isn't there."""
    bundle = [_local(settings, settings.build_ca, "DEPLOY_BUILD_CA")] if settings.build_ca else []
    return bundle + [_local(settings, pair.partition(":")[0], "DEPLOY_FILES") for pair in settings.files]


def _local(settings: Settings, name: str, setting: str) -> Path:
    path = settings.folder / name
    if not path.is_file():
        raise Refused(f"{setting}: there is no file {path}.")
    return path.resolve()  # what a link leads to: on the server it would lead elsewhere

"""What the output of a failed step comes from: of a build the lines that say it, and for what is known, what helps."""

from __future__ import annotations

import re
from collections.abc import Sequence

SHOWN = 20

# What helps, by the first pattern that is found. {apt}: how Debian packages get into the image.
ANYWHERE = {
    r"[Nn]o space left on device": "The disk is full: docker system df says what fills it.",
    r"chdir to cwd.*permission denied|exec: .*: permission denied": (
        "User 10001, which the image runs as, can't read the folder of the project or of its programs: choose a "
        "WORKDIR that isn't below /root or in another's home, or chmod a+rx that folder in the Dockerfile."
    ),
    r'exec: "?python"?: executable file not found': (
        "The image has no python in its PATH that user 10001 can read: one below /root or in a home is closed."
    ),
    r"non-overlapping IPv4 address pool|address pools have been fully subnetted": (
        "Docker has no free network left: on the server, docker network prune removes unused ones, and "
        "default-address-pools in /etc/docker/daemon.json adds more."
    ),
    r"Read-only file system|\[Errno 30\]": (
        "The image's file system is read-only: let the application write to a folder of DEPLOY_VOLUMES=NAME:/PATH, "
        "which stays, or to /tmp, which doesn't."
    ),
    r"\[Errno 13\] Permission denied": (
        "User 10001, which the image runs as, may not use that file: chmod -R a+rX what it is to read, in the "
        "Dockerfile; what it is to write belongs in DEPLOY_VOLUMES."
    ),
}
IN_A_BUILD = {
    r"pg_config executable not found|pg_config is required|pg_config: (command )?not found": (
        "psycopg2 is being compiled, and PostgreSQL's headers are missing: name psycopg2-binary or psycopg[binary] in "
        "the requirements instead, which come compiled; or add build-essential and libpq-dev ({apt})."
    ),
    r"(mysql|mariadb)_config|MYSQLCLIENT_CFLAGS": (
        "mysqlclient is being compiled: add build-essential, pkg-config and default-libmysqlclient-dev ({apt})."
    ),
    r"fatal error: \S+\.h: No such file": (
        "A package is being compiled, and the headers of a library are missing: add its -dev package ({apt})."
    ),
    r"(?i)(gcc|cc|clang|c\+\+|g\+\+|cc1plus)['’`]?:? (\(?exit\S*|failed|(command )?not found)"
    r"|no such file or directory: ['`]?\S*(gcc|cc|[cg]\+\+)['`]?$|unknown compiler|no (working )?c compiler"
    r"|compiler cannot create executables|unable to execute ['`]?\S*cc": (
        "A package has no wheel for this Python, so it is being compiled, and there is no compiler. Another version "
        "of it, or of Python (DEPLOY_PYTHON), may have a wheel; or add build-essential ({apt})."
    ),
    r"(?i)no wheels? with a matching|no (usable )?wheels|only found wheels|requires a different python"
    r"|requires[- ]python|python>=?\d|python<=?\d|not a supported wheel on this platform|no source distribution": (
        "A package has nothing for this version of Python: DEPLOY_PYTHON in .env sets another (or requires-python in "
        "pyproject.toml); or take another version of the package."
    ),
    r"(?i)self-signed certificate|CERTIFICATE_VERIFY_FAILED|UnknownIssuer|unable to get local issuer": (
        "The certificate that answers is of an authority that the build doesn't know: DEPLOY_BUILD_CA names a bundle "
        "with it."
    ),
    r"(?i)could not resolve|temporary failure in name resolution|dns error|name or service not known|no such host"
    r"|network is unreachable|connection timed out|operation timed out|i/o timeout|connect(ion)? (failed|refused)": (
        "What the build needs can't be reached from where it runs: is there a way out of that machine? "
        "DEPLOY_PIP_INDEX names another package index."
    ),
    r"Unable to locate package|has no installation candidate": (
        "Debian has no package of that name: is it spelled right in {apt}?"
    ),
    r"(?i)no matching distribution|not found in the package registry|there (is|are) no versions? of": (
        "The package index has no such package or version: is it spelled right? DEPLOY_PIP_INDEX names an index of "
        "your own."
    ),
    r"failed to calculate checksum of ref|failed to compute cache key": (
        "The Dockerfile copies a file that isn't sent, and only what git tracks is: is it in .gitignore or "
        ".dockerignore?"
    ),
}


INVALID = re.compile(r"is half made, and of no use\. It goes by: (DROP INDEX CONCURRENTLY .*;)$", re.MULTILINE)
"""What portside_patience.py says of an index whose building broke off."""


def hint(lines: Sequence[str]) -> str:
    """What helps, where the cause is known; else empty."""
    return _first(ANYWHERE, lines)


def invalid_index(lines: Sequence[str]) -> str:
    """The statement that drops an index which is half made, where one is reported; else empty."""
    found = INVALID.search("\n".join(lines))
    return found[1] if found else ""


def hint_for_build(lines: Sequence[str], *, own_dockerfile: bool) -> str:
    """The same for a build."""
    apt = "apt-get install in the Dockerfile" if own_dockerfile else "DEPLOY_APT in .env"
    return _first(IN_A_BUILD | ANYWHERE, lines).replace("{apt}", apt)


def _first(known: dict[str, str], lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    return next((way for pattern, way in known.items() if re.search(pattern, text, re.MULTILINE)), "")


def of_build(lines: Sequence[str]) -> list[str]:
    """Of what BuildKit printed, the step that failed, what that printed, and how it ended: the rest is repetition."""
    failed = [found for line in lines if (found := re.match(r"#(\d+) ERROR: (.*)", line))]
    if not failed:
        return list(lines[-SHOWN:])
    number, end = failed[-1].groups()
    title = [line for line in lines if re.match(rf"#{number} \[", line)][:1]
    said = [found[1] for line in lines if (found := re.match(rf"#{number} \d+\.\d+ ?(.*)", line))]
    return [*(re.sub(r"^#\d+ ", "", line) for line in title), *said[-SHOWN:], _without_command(end)]


def _without_command(text: str) -> str:
    """How a step ended; its title has the command already."""
    return re.sub(r'^process ".*" did not complete successfully: ', "", text)

"""Finds the relevant lines in the output of a failed build, and hints for known errors."""

from __future__ import annotations

import re
from collections.abc import Sequence

SHOWN = 20

# Hints by pattern; the first that matches is used. {apt}: how Debian packages get into the image.
ANYWHERE = {
    r"[Nn]o space left on device": "The disk is full. docker system df shows what uses the space.",
    r"chdir to cwd.*permission denied|exec: .*: permission denied": (
        "User 10001, which the image runs as, can't read the folder of the project or of its programs. Choose a "
        "WORKDIR outside /root and home folders, or run chmod a+rx on that folder in the Dockerfile."
    ),
    r'exec: "?python"?: executable file not found': (
        "The image has no python in its PATH that user 10001 can read. That user can't read /root and home folders."
    ),
    r"non-overlapping IPv4 address pool|address pools have been fully subnetted": (
        "Docker has no free network left. On the server, remove unused ones with docker network prune, or add more "
        "with default-address-pools in /etc/docker/daemon.json."
    ),
    r"Read-only file system|\[Errno 30\]": (
        "The image's file system is read-only. Let the application write to a folder of DEPLOY_VOLUMES=NAME:/PATH, "
        "which is kept, or to /tmp, which isn't."
    ),
    r"\[Errno 13\] Permission denied": (
        "User 10001, which the image runs as, has no permission for that file. Run chmod -R a+rX in the Dockerfile on "
        "files that it must read. Files that it writes belong in DEPLOY_VOLUMES."
    ),
}
IN_A_BUILD = {
    r"pg_config executable not found|pg_config is required|pg_config: (command )?not found": (
        "psycopg2 is being compiled, but PostgreSQL's headers are missing. Require psycopg2-binary or psycopg[binary] "
        "instead, which are precompiled; or add build-essential and libpq-dev ({apt})."
    ),
    r"(mysql|mariadb)_config|MYSQLCLIENT_CFLAGS": (
        "mysqlclient is being compiled. Add build-essential, pkg-config and default-libmysqlclient-dev ({apt})."
    ),
    r"fatal error: \S+\.h: No such file": (
        "A package is being compiled, but the headers of a library are missing. Add its -dev package ({apt})."
    ),
    r"(?i)(gcc|cc|clang|c\+\+|g\+\+|cc1plus)['’`]?:? (\(?exit\S*|failed|(command )?not found)"
    r"|no such file or directory: ['`]?\S*(gcc|cc|[cg]\+\+)['`]?$|unknown compiler|no (working )?c compiler"
    r"|compiler cannot create executables|unable to execute ['`]?\S*cc": (
        "A package has no wheel for this Python, so it is being compiled, but there is no compiler. Another version of "
        "it, or of Python (DEPLOY_PYTHON), may have a wheel; or add build-essential ({apt})."
    ),
    r"(?i)no wheels? with a matching|no (usable )?wheels|only found wheels|requires a different python"
    r"|requires[- ]python|python>=?\d|python<=?\d|not a supported wheel on this platform|no source distribution": (
        "A package doesn't support this version of Python. Choose another Python with DEPLOY_PYTHON in .env (or "
        "requires-python in pyproject.toml), or another version of the package."
    ),
    r"(?i)self-signed certificate|CERTIFICATE_VERIFY_FAILED|UnknownIssuer|unable to get local issuer": (
        "The build doesn't trust the authority of the server's certificate. Set DEPLOY_BUILD_CA to a bundle that "
        "contains it."
    ),
    r"(?i)could not resolve|temporary failure in name resolution|dns error|name or service not known|no such host"
    r"|network is unreachable|connection timed out|operation timed out|i/o timeout|connect(ion)? (failed|refused)": (
        "The build can't reach a server that it needs. Check that machine's access to the internet. DEPLOY_PIP_INDEX "
        "sets another package index."
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


INVALID = re.compile(r"left by an interrupted statement\. Remove it with: (DROP INDEX CONCURRENTLY .*;)$", re.MULTILINE)
"""The text that portside_lock_timeout.py prints for an index that is only partly built."""


def hint(lines: Sequence[str]) -> str:
    """Return a hint if the cause is known; otherwise empty."""
    return _first(ANYWHERE, lines)


def invalid_index(lines: Sequence[str]) -> str:
    """Return the statement that drops a partly built index, if one is reported; otherwise empty."""
    found = INVALID.search("\n".join(lines))
    return found[1] if found else ""


def hint_for_build(lines: Sequence[str], *, own_dockerfile: bool) -> str:
    """Return a hint for a failed build if the cause is known; otherwise empty."""
    apt = "apt-get install in the Dockerfile" if own_dockerfile else "DEPLOY_APT in .env"
    return _first(IN_A_BUILD | ANYWHERE, lines).replace("{apt}", apt)


def _first(known: dict[str, str], lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    return next((way for pattern, way in known.items() if re.search(pattern, text, re.MULTILINE)), "")


def of_build(lines: Sequence[str]) -> list[str]:
    """Return the relevant lines of BuildKit's output: the step that failed, its last lines and its exit status."""
    failed = [found for line in lines if (found := re.match(r"#(\d+) ERROR: (.*)", line))]
    if not failed:
        return list(lines[-SHOWN:])
    number, end = failed[-1].groups()
    title = [line for line in lines if re.match(rf"#{number} \[", line)][:1]
    said = [found[1] for line in lines if (found := re.match(rf"#{number} \d+\.\d+ ?(.*)", line))]
    return [*(re.sub(r"^#\d+ ", "", line) for line in title), *said[-SHOWN:], _without_command(end)]


def _without_command(text: str) -> str:
    """Return how a step ended, without the command, which its title already shows."""
    return re.sub(r'^process ".*" did not complete successfully: ', "", text)

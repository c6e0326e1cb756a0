"""Commands that a user runs in the live release: in a separate container, beside those that serve."""

from __future__ import annotations

import secrets
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from invoke.exceptions import Exit

from ..config.types import postgres_major
from ..core.errors import PortsideError, Refused
from ..core.facts import Facts
from ..core.steps import script
from ..flows import ownership
from ..flows.context import Run
from ..releases import environment
from ..ssh import session
from ..ssh.session import Emit
from .fleet_output import behind

# Django's own shell reads code from standard input only if it has arrived already.
PIPED = "import sys; exec(compile(sys.stdin.read(), '<stdin>', 'exec'))"
CHECKED_SINCE = 14  # the PostgreSQL version that can check whether a client is still there
CHECKED = "-c client_connection_check_interval=5s"
AS_THE_SITE = 'PGPASSWORD=$(cat /portside/secrets/password) && export PGPASSWORD && exec "$@"'
LOGIN = 'cd "$1" 2>/dev/null; exec "${SHELL:-/bin/sh}" -l'


def manage(run: Run, words: str) -> None:
    """Run ``manage.py`` with these words. Exits with its exit code."""
    _of_application(run)
    try:
        given = shlex.split(words)
    except ValueError as error:
        raise Refused(f"The command can't be read: {error}.") from error
    _manage(run, given)


def command(run: Run, line: str) -> None:
    """Run a shell line. Exits with its exit code."""
    _of_application(run)
    _in_release(run, ("sh", "-c", line))


def shell(run: Run) -> None:
    """Start Django's shell. Without a terminal it runs the code on standard input."""
    _of_application(run)
    _manage(run, ("shell",) if session.terminal() else ("shell", "-v", "0", "-c", PIPED))


def psql(run: Run, query: str, *, dump: bool = False) -> None:
    """Start psql on the site's database. The first error in code on standard input ends it."""
    settings, site = run.settings, run.site
    if not settings.containers:
        raise Refused(f"{site.name} is a static site: it has no database.")
    if settings.database == "none":
        raise Refused(f"{site.name} has no database (DEPLOY_DATABASE=none).")
    if settings.database == "external":
        _external(run, query, dump=dump)
        return
    _look(run)
    program = ("pg_dump",) if dump else ("psql", *_options(query))
    user, name = environment.database_user(settings, site), environment.database_name(settings, site)
    _attend(run, lambda container, terminal: (
        "docker", "run", "--rm", "--init", "--interactive", *("--tty",) * terminal, "--name", container,
        "--network", site.network,
        "--label", f"portside.site={site.name}", "--label", "portside.role=manage", "--cap-drop", "ALL",
        *("--env", f"PGOPTIONS={CHECKED}") * (postgres_major(settings.database) >= CHECKED_SINCE),
        "--volume", f"{site.data_secrets}:/portside/secrets:ro", "--entrypoint", "sh", settings.database,
        "-c", AS_THE_SITE, "sh", *program, "-h", "db", "-U", user, "-d", name,
    ))  # fmt: skip


def _options(query: str) -> tuple[str, ...]:
    stops = () if session.terminal() else ("-v", "ON_ERROR_STOP=1")
    return (*stops, *(("-c", query) if query else ()))


def _external(run: Run, query: str, *, dump: bool) -> None:
    """Start the external database's client, with the application's settings, in its image."""
    if dump:
        raise Refused("The database is external. Run pg_dump with its DATABASE_URL on a machine that can reach it.")
    given = _options(query)
    _manage(run, ("dbshell", *(("--", *given) if given else ())))


def ssh(run: Run) -> None:
    """Start the user's own shell on the server, in the site's folder."""
    run.server.connect()
    _end(run, ("sh", "-c", LOGIN, "sh", run.site.root), root=False)


def _of_application(run: Run) -> None:
    if not run.settings.containers:
        raise Refused(f"{run.site.name} is a static site: it has no application to run this in.")


def _manage(run: Run, words: Sequence[str]) -> None:
    _look(run)
    path = str(run.facts.releases.get(run.facts.current, {}).get("manage", "manage.py"))
    _in_release(run, ("python", path, *words))


def _in_release(run: Run, words: Sequence[str]) -> None:
    """Run a command in a container of the live release."""
    _look(run)
    compose = run.site.release(run.facts.current).compose
    _attend(run, lambda container, terminal: (
        "docker", "compose", "--progress", "quiet", "-f", compose, "run", "--rm", "--no-deps", "--name", container,
        *("--no-TTY",) * (not terminal), "manage", *words,
    ))  # fmt: skip


def _look(run: Run) -> None:
    """Read which release is live, unless it is known. Raises PortsideError if none is."""
    if run.facts.current:
        return
    step = script(f"Which release of {run.site.name} is live", "live", root=run.site.root)
    with run.server.quietly():
        (live,) = run.server.apply([step], stage=run.request.command)
    run.facts = Facts.parse("\n".join(live.output))
    ownership.check_name(run)
    if not run.facts.current:
        raise PortsideError(
            f"{run.site.name} isn't live on {run.server.target}.", hint=f"Run {run.fab('deploy')} first."
        )


def _attend(run: Run, words: Callable[[str, bool], tuple[str, ...]]) -> None:
    """Run the command that ``words`` returns for a container's name and whether there is a terminal."""
    container = f"{run.site.name}-{run.request.command}-{secrets.token_hex(4)}"
    _end(run, session.guarded(words(container, session.terminal()), container))


def _end(run: Run, words: Sequence[str], *, root: bool = True) -> None:
    """Run a command with the user's own input and output. Exits with its exit code."""
    terminal = session.terminal()
    given = session.shared_input() if run.request.name and not terminal else session.Input()
    with session.exit_on_closed_output(), _output(run, terminal=terminal) as (out, errors):
        code = run.server.interactive(words, given, out, errors, terminal=terminal, root=root)
    if code:
        raise Exit(code=code)


@contextmanager
def _output(run: Run, *, terminal: bool) -> Iterator[tuple[Emit, Emit]]:
    """Return where output and errors go: unchanged, or with the server's name for several servers without a
    terminal."""
    streams = sys.stdout, sys.stderr
    if terminal or not run.request.name:
        out, errors = (session.to_stream(stream) for stream in streams)
        yield out, errors
        return
    with behind(run.request.name, sys.stdout) as out, behind(run.request.name, sys.stderr) as errors:
        yield out, errors

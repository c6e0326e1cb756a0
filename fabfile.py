"""Portside's tasks. Each has a name, a sentence and one call; deploy/ does the work."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fabric import Connection

from deploy.cli.fabric import LazyModule, guard, hosts_given, run, task
from deploy.cli.fleet import HostMode
from deploy.core.report import Report

if TYPE_CHECKING:
    from deploy.cli import env as cli_env
    from deploy.cli import in_release
    from deploy.cli import init as cli_init
    from deploy.cli import logs as cli_logs
    from deploy.cli import maintenance as cli_maintenance
    from deploy.cli import releases as cli_releases
    from deploy.cli import status as cli_status
    from deploy.cli.doctor import doctor as checkup
    from deploy.cli.plan import plan as planning
    from deploy.flows import tasks
else:
    cli_env, cli_init, cli_logs = LazyModule("cli.env"), LazyModule("cli.init"), LazyModule("cli.logs")
    cli_maintenance, in_release = LazyModule("cli.maintenance"), LazyModule("cli.in_release")
    cli_releases, cli_status = LazyModule("cli.releases"), LazyModule("cli.status")
    checkup, planning, tasks = LazyModule("cli.doctor.doctor"), LazyModule("cli.plan.plan"), LazyModule("flows.tasks")

guard()


@task(mode=HostMode.HERE)
def init(c: Connection, domains: str = "", env: str = ".env") -> None:
    """Write a commented .env with generated secrets. Never overwrites a file."""
    hosts = hosts_given()
    cli_init.write(Path(env), domains, hosts)
    first = "Check it" if domains else "Set DEPLOY_DOMAINS in it"
    Report().say(f"Wrote {env}. {first}, then run fab deploy" + ("" if hosts else " -H user@server"))


@task(mode=HostMode.LISTED)
def plan(
    c: Connection, env: str = ".env", ref: str = "", json: bool = False, verbose: bool = False, quiet: bool = False
) -> None:
    """Show what deploy would change, without changing anything. Exit code 10 if there are changes."""
    planning.show(run(c, "plan", env=env, json=json, verbose=verbose, quiet=quiet, ref=ref), as_json=json)


@task(mode=HostMode.AT_ONCE)
def provision(c: Connection, env: str = ".env", verbose: bool = False, quiet: bool = False) -> None:
    """Set up the server only: packages, Docker, Nginx, firewall."""
    tasks.provision(run(c, "provision", env=env, verbose=verbose, quiet=quiet))


@task(mode=HostMode.AS_ONE)
def deploy(
    c: Connection,
    env: str = ".env",
    ref: str = "",
    wait: bool = False,
    allow_breaking: bool = False,
    drop: str | None = None,
    json: bool = False,
    verbose: bool = False,
    quiet: bool = False,
) -> None:
    """Deploy the site. Sets up a bare server first; safe to run again."""
    options: dict[str, Any] = {"ref": ref, "wait": wait, "allow_breaking": allow_breaking}
    options |= {"drop": drop, "json": json}
    tasks.deploy(run(c, "deploy", env=env, verbose=verbose, quiet=quiet, **options), as_json=json)


@task(mode=HostMode.AS_ONE)
def rollback(
    c: Connection,
    env: str = ".env",
    to: str = "",
    wait: bool = False,
    migrations: bool = False,
    allow_breaking: bool = False,
    drop: str | None = None,
    verbose: bool = False,
    quiet: bool = False,
) -> None:
    """Roll back to the previous release, or to --to ID. Nothing is rebuilt."""
    options: dict[str, Any] = {"to": to, "wait": wait, "migrations": migrations}
    options |= {"allow_breaking": allow_breaking, "drop": drop}
    tasks.rollback(run(c, "rollback", env=env, verbose=verbose, quiet=quiet, **options))


@task
def certs(
    c: Connection,
    env: str = ".env",
    staging: bool = False,
    drop: str | None = None,
    verbose: bool = False,
    quiet: bool = False,
) -> None:
    """Get certificates for all domains, renew them automatically, and enable HTTPS."""
    tasks.certs(run(c, "certs", env=env, verbose=verbose, quiet=quiet, staging=staging, drop=drop))


@task(mode=HostMode.AT_ONCE)
def abort(c: Connection, env: str = ".env", verbose: bool = False, quiet: bool = False) -> None:
    """Clean up after an interrupted deploy."""
    tasks.abort(run(c, "abort", env=env, verbose=verbose, quiet=quiet))


@task(mode=HostMode.LISTED)
def releases(c: Connection, env: str = ".env", json: bool = False, verbose: bool = False, quiet: bool = False) -> None:
    """List the releases with age and state, the live one, and the one that rollback would choose."""
    cli_releases.show(run(c, "releases", env=env, json=json, verbose=verbose, quiet=quiet), as_json=json)


@task(mode=HostMode.LISTED)
def status(c: Connection, env: str = ".env", json: bool = False, verbose: bool = False, quiet: bool = False) -> None:
    """Show what is running, for how long, and whether it is healthy; certificate, disk, last dump."""
    cli_status.show(run(c, "status", env=env, json=json, verbose=verbose, quiet=quiet), as_json=json)


@task(mode=lambda options: HostMode.HERE if options["pull"] else HostMode.LISTED, name="env")
def env_of(
    c: Connection,
    pull: bool = False,
    site: str = "",
    yes: bool = False,
    env: str = ".env",
    json: bool = False,
    verbose: bool = False,
    quiet: bool = False,
) -> None:
    """Compare the names in .env with those of the live release; --pull restores a lost .env."""
    if pull:
        cli_env.pull(c, env=env, site=site, yes=yes, verbose=verbose, quiet=quiet)
    else:
        cli_env.show(c, env=env, site=site, as_json=json, verbose=verbose, quiet=quiet)


@task(mode=HostMode.LISTED)
def doctor(c: Connection, env: str = ".env", json: bool = False, verbose: bool = False, quiet: bool = False) -> None:
    """Check this machine and the server for problems, and suggest a fix for each."""
    checkup.check(c, env=env, as_json=json, verbose=verbose, quiet=quiet)


@task
def remove(
    c: Connection,
    yes: bool = False,
    env: str = ".env",
    wait: bool = False,
    verbose: bool = False,
    quiet: bool = False,
) -> None:
    """Remove the site from the server after confirmation; keeps a final backup."""
    tasks.remove(run(c, "remove", env=env, verbose=verbose, quiet=quiet, yes=yes, wait=wait))


@task(mode=HostMode.AT_ONCE)
def maintenance(
    c: Connection, off: bool = False, allow: str = "", env: str = ".env", verbose: bool = False, quiet: bool = False
) -> None:
    """Close the site with a maintenance page, except for --allow; --off reopens it."""
    cli_maintenance.switch(run(c, "maintenance", env=env, verbose=verbose, quiet=quiet), closed=not off, allow=allow)


@task(mode=lambda options: HostMode.AT_ONCE if options["follow"] else HostMode.LISTED)
def logs(
    c: Connection,
    follow: bool = False,
    service: str = "",
    since: str = "",
    tail: str = "",
    grep: str = "",
    env: str = ".env",
    json: bool = False,
    verbose: bool = False,
    quiet: bool = False,
) -> None:
    """Show the logs of the live release, its database and Nginx, sorted by time."""
    options = {"follow": follow, "service": service, "since": since, "tail": tail, "grep": grep}
    given = run(c, "logs", env=env, json=json, verbose=verbose, quiet=quiet, typed=options)
    cli_logs.show(given, options, as_json=json)


@task(mode=HostMode.ATTENDED)
def manage(c: Connection, command: str, env: str = ".env", verbose: bool = False, quiet: bool = False) -> None:
    """Run a manage.py command in the live release, such as createsuperuser."""
    typed = {"command": command}
    in_release.manage(run(c, "manage", env=env, verbose=verbose, quiet=quiet, typed=typed), command)


@task(mode=HostMode.ATTENDED, name="run")
def run_command(c: Connection, command: str, env: str = ".env", verbose: bool = False, quiet: bool = False) -> None:
    """Run a shell command in the live release."""
    typed = {"command": command}
    in_release.command(run(c, "run", env=env, verbose=verbose, quiet=quiet, typed=typed), command)


@task(mode=HostMode.ATTENDED)
def shell(c: Connection, env: str = ".env", verbose: bool = False, quiet: bool = False) -> None:
    """Open Django's shell in the live release, or run Python code from standard input."""
    in_release.shell(run(c, "shell", env=env, verbose=verbose, quiet=quiet))


@task(mode=HostMode.ATTENDED)
def psql(
    c: Connection, query: str = "", dump: bool = False, env: str = ".env", verbose: bool = False, quiet: bool = False
) -> None:
    """Open psql on the site's database, or run SQL from standard input; --dump writes a dump."""
    typed = {"query": query, "dump": dump}
    in_release.psql(run(c, "psql", env=env, verbose=verbose, quiet=quiet, typed=typed), query, dump=dump)


@task(mode=HostMode.ATTENDED)
def ssh(c: Connection, env: str = ".env", verbose: bool = False, quiet: bool = False) -> None:
    """Open a shell on the server, in the site's folder."""
    in_release.ssh(run(c, "ssh", env=env, verbose=verbose, quiet=quiet))


@task(mode=HostMode.HERE)
def practice(c: Connection, down: bool = False, name: str = "") -> None:
    """Start a practice server on this machine; use it with -H practice."""
    from deploy import practice as server  # noqa: PLC0415 - importing the Docker SDK would slow down all other tasks

    report = Report()
    if down and name:
        server.down_only(name, say=report.say)
        report.say(f"The practice server {name} is removed.")
    elif down:
        server.down(say=report.say)
        report.say("All practice servers are removed.")
    else:
        made = server.up(name or "practice", say=report.say)
        report.say(f"The practice server is running. Deploy to it: fab deploy -H {made.name}")

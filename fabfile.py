"""Portside's tasks. Each is a name, a sentence and one call; the work is done in deploy/."""

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
    """Write a commented .env with generated secrets; never overwrites."""
    hosts = hosts_given()
    cli_init.write(Path(env), domains, hosts)
    first = "Look it over" if domains else "Say your DEPLOY_DOMAINS in it"
    Report().say(f"Wrote {env}. {first}, then type fab deploy" + ("" if hosts else " -H user@server"))


@task(mode=HostMode.LISTED)
def plan(
    c: Connection, env: str = ".env", ref: str = "", json: bool = False, verbose: bool = False, quiet: bool = False
) -> None:
    """Show what deploy would change, and change nothing; exit code 10 if there is something."""
    planning.show(run(c, "plan", env=env, json=json, verbose=verbose, quiet=quiet, ref=ref), as_json=json)


@task(mode=HostMode.AT_ONCE)
def provision(c: Connection, env: str = ".env", verbose: bool = False, quiet: bool = False) -> None:
    """Prepare the server alone: packages, Docker, Nginx, firewall."""
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
    """Put the site live, from a bare server or a running one; safe to repeat."""
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
    """Make the previous good release live again, or --to ID, without building."""
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
    """Get certificates for every domain, renewed from then on; switch HTTPS on."""
    tasks.certs(run(c, "certs", env=env, verbose=verbose, quiet=quiet, staging=staging, drop=drop))


@task(mode=HostMode.AT_ONCE)
def abort(c: Connection, env: str = ".env", verbose: bool = False, quiet: bool = False) -> None:
    """Clear away what an interrupted deploy left."""
    tasks.abort(run(c, "abort", env=env, verbose=verbose, quiet=quiet))


@task(mode=HostMode.LISTED)
def releases(c: Connection, env: str = ".env", json: bool = False, verbose: bool = False, quiet: bool = False) -> None:
    """List the releases: age, state, which is live, which rollback would choose."""
    cli_releases.show(run(c, "releases", env=env, json=json, verbose=verbose, quiet=quiet), as_json=json)


@task(mode=HostMode.LISTED)
def status(c: Connection, env: str = ".env", json: bool = False, verbose: bool = False, quiet: bool = False) -> None:
    """Show what runs, since when and how it does; certificate, disk, last dump."""
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
    """Compare the names in .env with those of the live release; --pull brings a lost .env back."""
    if pull:
        cli_env.pull(c, env=env, site=site, yes=yes, verbose=verbose, quiet=quiet)
    else:
        cli_env.show(c, env=env, site=site, as_json=json, verbose=verbose, quiet=quiet)


@task(mode=HostMode.LISTED)
def doctor(c: Connection, env: str = ".env", json: bool = False, verbose: bool = False, quiet: bool = False) -> None:
    """Look at this machine and the server from both sides; each finding with its fix."""
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
    """Take the site off the server after asking, keeping a final backup."""
    tasks.remove(run(c, "remove", env=env, verbose=verbose, quiet=quiet, yes=yes, wait=wait))


@task(mode=HostMode.AT_ONCE)
def maintenance(
    c: Connection, off: bool = False, allow: str = "", env: str = ".env", verbose: bool = False, quiet: bool = False
) -> None:
    """Close the site with a page that says so, but for --allow; --off opens it."""
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
    """Show the logs of the live release, its database and Nginx, in order of time."""
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
    """Open Django's shell in the live release, or run the Python code that is piped in."""
    in_release.shell(run(c, "shell", env=env, verbose=verbose, quiet=quiet))


@task(mode=HostMode.ATTENDED)
def psql(
    c: Connection, query: str = "", dump: bool = False, env: str = ".env", verbose: bool = False, quiet: bool = False
) -> None:
    """Open psql on the site's database, or run the SQL that is piped in; --dump writes a dump."""
    typed = {"query": query, "dump": dump}
    in_release.psql(run(c, "psql", env=env, verbose=verbose, quiet=quiet, typed=typed), query, dump=dump)


@task(mode=HostMode.ATTENDED)
def ssh(c: Connection, env: str = ".env", verbose: bool = False, quiet: bool = False) -> None:
    """Open a shell on the server, in the site's folder."""
    in_release.ssh(run(c, "ssh", env=env, verbose=verbose, quiet=quiet))


@task(mode=HostMode.HERE)
def practice(c: Connection, down: bool = False, name: str = "") -> None:
    """Bring up a practice server on this machine, then reached as -H practice."""
    from deploy import practice as server  # noqa: PLC0415 - every other task is faster without the Docker SDK

    report = Report()
    if down and name:
        server.down_only(name, say=report.say)
        report.say(f"Nothing of the practice server {name} is left.")
    elif down:
        server.down(say=report.say)
        report.say("Nothing of the practice server is left.")
    else:
        made = server.up(name or "practice", say=report.say)
        report.say(f"The practice server is up: type fab deploy -H {made.name}")

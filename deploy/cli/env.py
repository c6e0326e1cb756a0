"""``fab env``: compare the environment file of the last deploy, as the server keeps it, with the local one, or pull it.

The file holds every secret of the site. On the server only root can read it, and values are compared by hashes with a
nonce that is used once.
"""

from __future__ import annotations

import json
import os
import secrets
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fabric import Connection
from invoke.context import Context

from ..config import dotenv
from ..config.dotenv import FROM_THE_SHELL, for_compose
from ..config.names import PREFIX
from ..config.settings import Settings
from ..config.site_name import site_name
from ..core import logfile
from ..core.commandline import words
from ..core.errors import Refused, StepFailed
from ..core.facts import Facts
from ..core.paths import Site
from ..core.report import Report
from ..core.steps import script
from ..flows import env_copy
from ..releases import history
from ..ssh.server import Server
from ..ssh.sudo import on_terminal
from . import fabric
from .fleet import FleetHost

SIGNS = {"same": " ", "here": "+", "server": "-", "differs": "~"}
MEANINGS = {"same": "", "here": "only here", "server": "only on the server", "differs": "different on the server"}
FILES = ("tls_cert", "tls_key", "acme_ca", "acme_dns_credentials", "nginx_include", "build_ca")
"""Settings that name a file. The server doesn't keep these files."""


@dataclass(frozen=True)
class Kept:
    """Names on the server, each with a hash of its value. ``settings``: None if the server keeps no environment
    file."""

    facts: Facts
    settings: Mapping[str, str] | None
    environment: Mapping[str, str]

    @classmethod
    def parse(cls, facts: Facts, lines: Iterable[str]) -> Kept:
        pairs = [line.split("\t", 1) for line in lines if "\t" in line]
        found = {kind: dict(value.split(" ", 1) for key, value in pairs if key == kind) for kind in ("env", "setting")}
        kept = any(key == "kept" for key, _ in pairs)
        return cls(facts, found["setting"] if kept else None, found["env"])


def show(context: Context, *, env: str, site: str, as_json: bool, verbose: bool, quiet: bool) -> None:
    """Print the names on the server, and how they differ from the local ones. Without a local environment file, print
    only the names."""
    if _has_no_settings(Path(env)):
        report = Report(verbose=verbose, quiet=quiet)
        name = site or site_name(Path(env))
        report.warn(
            f"There is no {env} here, so these are the names of {name} on the server. Run fab env --pull to write it."
        )
        _show(report, _server(context, report, env, site, {}), Site(name), None, as_json)
        return
    run = fabric.run(context, "env", env=env, json=as_json, verbose=verbose, quiet=quiet, typed={"site": site})
    if site not in {"", run.site.name}:
        raise Refused(f"--site {site}: {env} belongs to {run.site.name}.", hint="Name another file with --env.")
    _show(run.report, run.server, run.site, run.settings, as_json)


def _has_no_settings(path: Path) -> bool:
    """Return whether there are no local settings: no file, and not all settings in the shell, as in a CI job."""
    if path.exists():
        return False
    try:
        Settings.load(path)
    except Refused:
        return True
    return False


def _server(context: Context, report: Report, env: str, site: str, options: Mapping[str, Any]) -> Server:
    """Return the server that -H names. Without settings, -H is required."""
    if not isinstance(context, Connection):
        name = site or site_name(Path(env))
        last = ",".join(logfile.deployed_to(name))
        why = f" (the server of the last deploy of {name} from this machine)" if last else ""
        typed = words("env", {"env": env, "site": site, **options}, last or "user@host")
        raise Refused(f"Which server? Run {typed}{why}")
    host = getattr(context, "fleet_host", None) or FleetHost("", context)
    host.speak(report)
    server = Server(host.connection, report)
    server.start_connecting()
    return server


def _show(report: Report, server: Server, site: Site, settings: Settings | None, as_json: bool) -> None:
    nonce = secrets.token_hex(16)
    look = script(f"Which release of {site.name} is live", "live", root=site.root)
    ask = script("Read the names", "env", root=site.root, kept=site.settings, nonce=nonce)
    if as_json:
        report.aside()
    with server.quietly():
        live, asked = server.apply([look, ask], stage="env")
    last = [line for line in asked.output if line.startswith("site.last\t")]
    kept = Kept.parse(Facts.parse("\n".join([*live.output, *last])), asked.output)
    if not kept.facts.current:
        raise Refused(f"{site.name} isn't live on {server.target}.")
    found = compared(kept, settings, nonce)
    found = {
        "site": site.name,
        "server": server.target,
        "release": kept.facts.current,
        "deployed": _last_change(kept),
        **found,
    }
    if as_json:
        report.result(found)
        return
    _print(report, found)


def _last_change(kept: Kept) -> dict[str, str]:
    """Return who changed the site last, and when."""
    return {name: str(kept.facts.last.get(name, "")) for name in ("who", "when")}


def compared(kept: Kept, settings: Settings | None, nonce: str) -> dict[str, Any]:
    """Group the names by how they compare: same, here, server, differs. ``made``: those that Portside sets."""
    record = history.live(kept.facts)
    values = {name: value.reveal() for name, value in settings.env.items()} if settings and settings.containers else {}
    here = {name: _hash(f"{nonce}{for_compose({name: value})}") for name, value in values.items()}
    own = record.get("environment", [name for name in kept.environment if name in here])
    theirs = {str(name): kept.environment.get(name, "") for name in own}
    made = sorted(kept.environment.keys() - theirs.keys() - here.keys())
    return {
        "compared": settings is not None,
        "settings": None if kept.settings is None else _sorted(kept.settings, _hashed(settings, nonce), settings),
        "environment": _sorted(theirs, here, settings) | {"made": made},
    }


def _hashed(settings: Settings | None, nonce: str) -> dict[str, str]:
    values = env_copy.kept_values(settings) if settings else {}
    return {name: _hash(f"{nonce}{value}") for name, value in values.items()}


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _sorted(theirs: Mapping[str, str], here: Mapping[str, str], settings: Settings | None) -> dict[str, list[str]]:
    if settings is None:
        return {"same": [], "here": [], "server": sorted(theirs), "differs": []}
    both = sorted(theirs.keys() & here.keys())
    return {
        "same": [name for name in both if theirs[name] == here[name]],
        "here": sorted(here.keys() - theirs.keys()),
        "server": sorted(theirs.keys() - here.keys()),
        "differs": [name for name in both if theirs[name] != here[name]],
    }


def _print(report: Report, found: Mapping[str, Any]) -> None:
    by = found["deployed"]
    who = f", last changed by {by['who']} at {by['when']} UTC" if by["who"] else ""
    report.say(f"{found['site']} on {found['server']}, release {found['release']}{who}:", style="bold")
    if found["settings"] is None:
        report.warn("An older Portside made the last deploy, so the server doesn't have its settings.")
    for heading in ("settings", "environment"):
        kinds = found[heading] or {}
        lines = sorted((name, kind) for kind in SIGNS for name in kinds.get(kind, ()))
        if lines:
            report.say(heading, style="bold")
        for name, kind in lines:
            shown = kind if found["compared"] else "same"
            report.say(f"  {SIGNS[shown]} {name}   {MEANINGS[shown]}".rstrip())
    if made := found["environment"]["made"]:
        report.say(f"  set by Portside: {', '.join(made)}")


def pull(context: Context, *, env: str, site: str, yes: bool, verbose: bool, quiet: bool) -> None:
    """Write the environment file of the last deploy, if there is none, after the user has typed the site's name."""
    path, report = Path(env), Report(verbose=verbose, quiet=quiet)
    name = site or site_name(path)
    options = {"pull": True, "yes": yes}
    if path.exists():
        another = words("env", {"env": "pulled.env", "site": name, **options}, *fabric.hosts_given())
        raise Refused(f"{path} already exists and was not changed.", hint=f"Name another file: {another}")
    server = _server(context, report, env, site, options)
    if not yes and not on_terminal():
        again = words("env", {"env": env, "site": site, "pull": True, "yes": True}, server.target)
        raise Refused(
            f"fab env --pull writes every secret of {name} into {path}, and asks for the site's name first. There "
            "is no terminal to ask on.",
            hint=f"To skip the question: {again}",
        )
    text = _with_site_name(_text(server, Site(name)), path, name)
    if not yes and report.ask(f"This writes every secret of {name} to this machine. Type {name} to go on: ") != name:
        raise Refused(f"That isn't {name}.", state="Nothing was written.")
    _write(path, text)
    report.say(f"Wrote {path}, as of the last deploy of {name} to {server.target}.", style="bold green")
    _warn_about_gaps(report, path, text)


def _text(server: Server, site: Site) -> str:
    """Return the environment file that the server keeps."""
    ask = script(f"Read the .env of {site.name}", "kept", file=site.settings)
    try:
        with server.quietly():
            (result,) = server.apply([ask], stage="env")
    except StepFailed as error:
        lines = [line.strip() for line in error.lines if line.strip()]
        raise Refused(
            lines[-1] if lines else error.message,
            state="Nothing was written.",
            hint="Without --site, the folder's name is the site's name.",
        ) from None
    return str(json.loads(b64decode(result.answer))["text"])


def _with_site_name(text: str, path: Path, name: str) -> str:
    """Return the text, with DEPLOY_SITE added if the folder's name would give another site name."""
    values, _ = dotenv.parse_text(text, path)
    if values.get(f"{PREFIX}SITE") or site_name(path) == name:
        return text
    return f"{text.rstrip()}\n{PREFIX}SITE={name}\n"


def _write(path: Path, text: str) -> None:
    """Create the file, readable by its owner only. Raises Refused if it exists by now."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"{path} already exists and was not changed.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)


def _warn_about_gaps(report: Report, path: Path, text: str) -> None:
    """Warn about what the file lacks: values that were in no file, and files that it only names."""
    values, _ = dotenv.parse_text(text, path)
    _, found, rest = text.rpartition(FROM_THE_SHELL)
    if found:
        from_shell, _ = dotenv.parse_text(rest, path)
        report.warn(f"Set in the shell that deployed, not in its file: {', '.join(from_shell)}.")
    if empty := [name for name in env_copy.EXCLUDED if name in values]:
        report.warn(f"The server doesn't keep {', '.join(empty)}. Add it to {path}.")
    root = path.parent.resolve()
    lacking = [f"{PREFIX}{field.upper()}" for field in FILES if _is_lacking(root, values, field)]
    if lacking:
        report.warn(f"The files of {', '.join(lacking)} aren't here, and the server doesn't keep them.")


def _is_lacking(root: Path, values: Mapping[str, str], field: str) -> bool:
    named = values.get(f"{PREFIX}{field.upper()}", "")
    return bool(named) and not (root / named).exists()

"""Close a site for a while, and open it again. Two files on the server control this, and Nginx checks for them."""

from __future__ import annotations

import ipaddress

from ..core.errors import Refused
from ..core.steps import script
from ..flows import ownership
from ..flows.context import Run


def switch(run: Run, *, closed: bool, allow: str = "") -> None:
    """Close the site for all but the addresses in ``allow`` (comma-separated), or open it."""
    allowed = _addresses(allow)
    run.server.connect()
    run.look()
    ownership.check_name(run)
    if not run.facts.current:
        raise Refused(f"{run.settings.canonical} isn't live on {run.server.target}, so there is nothing to close.")
    state = "closed" if closed else "open"
    site, name = run.site, f"The site is {state}"
    step = script(name, "maintenance", root=site.root, file=site.nginx_file, state=state, addresses=allowed)
    with run.report.stage("maintenance") as stage:
        run.apply(stage, [step])
        stage.note("" if run.progress.changes else "nothing to do")
    if not closed:
        run.report.say(f"{run.settings.canonical} is open on {run.server.target}.", style="bold green")
        return
    who = f" except {', '.join(allowed)}" if allowed else ""
    where = f"{run.settings.canonical} is closed on {run.server.target}"
    run.report.say(f"{where}: visitors{who} get the maintenance page (503).", style="bold green")
    run.report.say(f"  Open it again: {run.fab('maintenance', off=True)}")


def _addresses(allow: str) -> list[str]:
    """Return single addresses as Nginx writes them. Raises Refused."""
    try:
        return sorted({_address(part.strip()) for part in allow.split(",") if part.strip()})
    except ValueError as error:
        raise Refused(f"--allow: {error}. Give single addresses, comma-separated.") from None


def _address(text: str) -> str:
    """Return an address. An interface's name is refused: it could be any text, and would be part of a path on the
    server."""
    if "%" in text:
        raise ValueError(f"“{text}” names an interface")
    return str(ipaddress.ip_address(text))

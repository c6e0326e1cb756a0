"""The stages of ``fab certs``: issue, edge, prove."""

from __future__ import annotations

import secrets

from ...certs import acme, certbot_errors, dns01, probe
from ...core.errors import PortsideError, Refused, StepFailed
from ...core.report import Stage, count
from ...core.x509 import Certificate
from ...host import packages, provision
from ...nginx import generation, hostnames
from ...releases import history, record
from .. import ownership, recovery, switch
from ..context import Run


def authority(run: Run) -> acme.Authority:
    """Return the certificate authority to use. Raises Refused if its settings can't be used."""
    return acme.authority(run.settings, practice=run.server.practice, staging=run.request.staging)


def issue(run: Run, stage: Stage) -> None:
    """Order a certificate, once nothing prevents it, and install it for Nginx."""
    if not run.request.staging and acme.up_to_date(run.settings, run.facts, authority(run)):
        stage.note("your own certificate" if run.settings.tls_cert else "nothing to do")
        return
    if run.settings.tls_cert:
        raise Refused("DEPLOY_TLS_CERT is set, so no certificate authority is asked.", state="Nothing was changed.")
    kept = _check_names(run, stage)
    _print_left_out(run, kept)
    steps = acme.issue(run.settings, run.site, run.facts, authority(run), trial=run.request.staging, kept=kept)
    try:
        run.apply(stage, steps, lock="certbot.lock", detached=True)
    except StepFailed as error:
        raise certbot_errors.explained(error, run.settings) from error
    if not run.request.staging:
        run.look()
    stage.note(count(len(acme.wanted(run.settings, kept)), "name"))


def _check_names(run: Run, stage: Stage) -> list[str]:
    """Return the names to keep in addition to those of the settings. Raises PortsideError if something prevents a
    certificate."""
    token = "" if run.settings.acme_dns else secrets.token_hex(16)
    kept = () if run.request.staging else acme.keeping(run.settings, run.facts)
    (result,) = run.apply(stage, [acme.look(authority(run), token, acme.wanted(run.settings, kept))])
    lost = probe.lost(result.answer, kept)
    answer = result.answer | {
        "names": {name: seen for name, seen in result.answer["names"].items() if name not in lost}
    }
    faults = probe.obstacles(answer, run.settings, authority(run), lambda name: probe.reached_from_here(name, token))
    if faults:
        raise PortsideError(
            "\n".join(faults), hint="The authority wasn't asked yet. Fix this and run the command again."
        )
    for doubt in probe.address_warnings(answer):
        run.report.warn(doubt)
    return [name for name in kept if name not in lost]


def _print_left_out(run: Run, kept: list[str]) -> None:
    """Print which names the next certificate no longer has."""
    before = Certificate.parse(run.facts.issued)
    if before and not run.request.staging and (out := before.names - set(acme.wanted(run.settings, kept))):
        run.report.say(f"  left out of the certificate: {', '.join(sorted(out))}")


def edge(run: Run, stage: Stage) -> None:
    """Turn on HTTPS in the site's Nginx file, if the site is live."""
    if not run.facts.current:
        stage.note("the site isn't live yet")
        return
    before, known = run.progress.changes, hostnames.live(run.settings, run.facts)
    run.apply(stage, ownership.claim(run, hostnames.recorded(history.live(run.facts))))
    _open_https(run, stage)
    recovery.update_nginx(run, stage)
    if new := [name for name in run.settings.names if name not in known.own]:
        redirect = "it redirects" if len(new) == 1 else "they redirect"
        until = f"Until {run.fab('deploy')}, {redirect} temporarily to {known.address}"
        run.report.warn(f"The live release doesn't know {', '.join(new)} yet. {until}.")
    stage.note("Nginx has new settings" if run.progress.changes > before else "nothing to do")


def _open_https(run: Run, stage: Stage) -> None:
    """Open HTTPS for names that are new in the certificate, before other names redirect to them."""
    if run.progress.certificate == run.facts.certificate:
        return
    routes = record.routes(history.live(run.facts))
    if switch.apply_plan(run, stage, lambda: switch.open_https(run, routes, run.progress.certificate)):
        run.look()


def prove(run: Run, stage: Stage) -> None:
    """Check that Nginx serves the certificate for each of its names."""
    covered = hostnames.live(run.settings, run.facts).names(secure=True)
    if not run.facts.current or not covered:
        stage.skipped = True
        return
    run.apply(stage, [acme.prove(run.site, covered)])
    asked = acme.instance(covered[0])
    if not run.server.practice and not probe.answers_from_here(asked):
        run.report.warn(
            f"Port 443 of {asked} can't be reached from this machine. Is there a firewall in front of the server?"
        )
    stage.note(count(len(covered), "name"))


def is_done(run: Run) -> bool:
    """Return whether ``fab certs`` has nothing to do."""
    settings, facts = run.settings, run.facts
    if not acme.up_to_date(settings, facts, authority(run)) or acme.install(settings, run.site, facts):
        return False
    if dns01.refresh(settings, run.site, facts):
        return False
    if packages.packages(settings, facts) or provision.rest(settings, facts):
        return False
    if not facts.current:
        return not generation.steps(generation.base(facts), facts, "")
    return not switch.update_nginx(run, record.routes(facts.releases.get(facts.current, {})))

"""Findings: what ``fab doctor`` says of a server. Pure: what is so there in, sentences with their fixes out."""

from __future__ import annotations

from datetime import UTC, timedelta

from ... import VERSION
from ...certs import acme, renewal
from ...core.facts import Facts, Listener
from ...core.report import count
from ...core.x509 import Certificate, clock
from ...flows import disk_space, migrations, restarts, site_health, versions
from ...flows.flow import DISK_NEEDED_MB
from ...host import packages, provision
from ...nginx import generation, http3
from ...releases import history
from ..plan import drift
from . import findings
from .findings import Examined, Finding

UNITS = ("nginx.service", "docker.service", "portside-guard.service", renewal.TIMER, "ufw.service")
PROVISIONED = {"nginx.service", renewal.TIMER}  # what a deploy starts, too
COMES_BACK = {"always", "unless-stopped"}
CLOCKS_APART = timedelta(minutes=2)
DISK_LOW_MB, FULL_PERCENT = 2 * DISK_NEEDED_MB, 90


def of_server(it: Examined) -> list[Finding]:
    """What is so of the server and of the site on it."""
    return [
        *_host(it),
        *_drift(it),
        *_units(it),
        *_firewall(it),
        *_nginx(it),
        *_engine(it),
        *_site(it),
        *_images(it),
        *_certificate(it),
        *_memory(it),
        *_disk(it),
        *_dumps(it),
        *_clock(it),
    ]


def exposed(it: Examined) -> list[Listener]:
    """What listens beyond the machine, and isn't SSH, HTTP or HTTPS: one of each port."""
    found = {
        (x.protocol, x.port): x
        for x in it.facts.listeners
        if x.public and not x.address.startswith("127.") and not provision.expected(x, it.facts)
    }
    return [found[key] for key in sorted(found)]


def of_listener(it: Examined, listener: Listener, reached: bool | None) -> Finding:
    """Something that listens beyond the machine. ``reached``: whether it answered here; None where nobody asked."""
    container = it.state.publisher(listener.port)
    what = f"container {container}" if container else listener.process or "a program"
    where = f"{what} on {listener.protocol} port {listener.port}"
    if container:
        stop = it.on_server(f"docker stop {container}")
        fix = f"publish it on the server's loopback alone (127.0.0.1:{listener.port}:…), or stop it: {stop}"
    else:
        fix = "let it listen on 127.0.0.1, or stop it; " + it.on_server(f"ss -lntup 'sport = :{listener.port}'")
    if reached:
        past = ", past the firewall" if container and it.facts.ufw == "active" else ""
        return findings.fault("ports", f"Everybody can reach {where}{past}: it answered here.", fix)
    if reached is None:
        return findings.warning("ports", f"Listens beyond the server: {where}.", fix)
    return findings.fine("ports", f"{where} listens, and can't be reached from here")


def _host(it: Examined) -> list[Finding]:
    """Whether a deploy would be refused, or find work on the host."""
    facts, found = it.facts, []
    for reason in provision.reasons(it.settings, facts):
        found.append(findings.fault("host", reason, it.fab("provision") + ", once that is mended"))
    if it.state.reboot:
        fix = it.on_server("reboot") + "; the site comes back by itself"
        found.append(findings.warning("host", "An upgrade waits for a reboot.", fix))
    if it.state.passwords:
        fix = "PasswordAuthentication no in /etc/ssh/sshd_config.d/, then " + it.on_server("systemctl reload ssh")
        found.append(findings.warning("host", "SSH lets people in by password, which strangers guess at all day.", fix))
    for unit in it.state.failed:
        found.append(findings.warning("host", f"{unit} has failed.", it.on_server(f"journalctl -u {unit}")))
    if versions.is_newer(facts):
        text = f"Portside {versions.there(facts)} has worked here, and this is {VERSION}: it changes nothing here."
        found.append(findings.warning("host", text, "upgrade Portside on this machine"))
    work = (
        []
        if versions.is_newer(facts)
        else [*packages.packages(it.settings, facts), *provision.rest(it.settings, facts)]
    )
    if work:
        what = f"{work[0].name}" + (f" and {len(work) - 1} more" if len(work) > 1 else "")
        told = f"The host isn't as this version would have it{_because(it)}: {what}."
        found.append(findings.warning("host", told, it.fab("provision")))
    return found or [findings.fine("host", f"{facts.os_name}, as it should be")]


def _drift(it: Examined) -> list[Finding]:
    fix = f"{it.fab('plan')} shows what a deploy puts back"
    return [findings.warning("drift", text, fix) for text in drift.by_hand(it.site, it.facts)]


def _because(it: Examined) -> str:
    """The reason for that, where it is another version of Portside and nothing else."""
    missing = packages.packages(it.settings, it.facts)
    why = versions.reason(it.facts.portside) if it.facts.written and not missing else ""
    return f", {why}" if why and not any(drift.of_the_host(it.facts)) else ""


def _units(it: Examined) -> list[Finding]:
    needed = {"nginx.service", renewal.TIMER}
    if it.settings.containers:
        needed |= {"docker.service", "portside-guard.service"}
    found = []
    for unit, (active, enabled) in it.state.units.items():
        if unit not in needed:
            continue
        if active != "active":
            mended = it.fab("provision") if unit in PROVISIONED else it.on_server(f"systemctl start {unit}")
            fix = mended + "; " + it.on_server(f"systemctl status {unit}") + " says why it isn't"
            found.append(findings.fault("units", f"{unit} is {active}{_costs(unit)}.", fix))
        if enabled not in {"enabled", "static", "enabled-runtime"}:
            fix = it.fab("deploy") if enabled == "disabled" else it.on_server(f"systemctl unmask {unit}")
            found.append(findings.fault("units", f"{unit} doesn't come back after a reboot: it is {enabled}.", fix))
    for unit in sorted(needed - set(it.state.units)):
        found.append(findings.fault("units", f"{unit} isn't there{_costs(unit)}.", it.fab("provision")))
    return found or [findings.fine("units", f"{', '.join(sorted(needed))} run, and come back after a reboot")]


def _costs(unit: str) -> str:
    costs = {renewal.TIMER: ", so nothing renews certificates", "nginx.service": ", so no visitor is answered"}
    return costs.get(unit, "")


def _firewall(it: Examined) -> list[Finding]:
    facts = it.facts
    if not it.settings.firewall:
        return [findings.fine("firewall", "left alone (DEPLOY_FIREWALL=off)")]
    if facts.ufw != "active":
        return [findings.fault("firewall", "ufw isn't active: whatever listens can be reached.", it.fab("provision"))]
    missing = [port for port in (80, 443) if not _lets_in(facts, port)]
    if missing:
        ports = " and ".join(map(str, missing))
        return [findings.fault("firewall", f"ufw doesn't let visitors in to port {ports}.", it.fab("provision"))]
    return [findings.fine("firewall", "ufw lets in to SSH, 80 and 443")]


def _lets_in(facts: Facts, port: int) -> bool:
    return any(rule.split(" comment ")[0] in {f"allow {port}/tcp", f"allow {port}"} for rule in facts.ufw_rules)


def _nginx(it: Examined) -> list[Finding]:
    facts, found = it.facts, []
    if generation.broken(facts):
        fix = it.on_server("nginx -t") + " says when it is mended; until then nginx can't be started again"
        found.append(findings.fault("nginx", generation.broken(facts), fix))
    elif facts.nginx_broken:
        found.append(findings.fault("nginx", f"Nginx refuses its files: {facts.nginx_broken}.", it.fab("deploy")))
    if lacking := http3.unable(it.settings, facts):
        found.append(findings.warning("nginx", lacking, "take DEPLOY_HTTP3 out, or upgrade the server"))
    return found or [findings.fine("nginx", f"generation {facts.nginx_generation or 'none'}")]


def _engine(it: Examined) -> list[Finding]:
    if not it.settings.containers or not it.facts.docker_version:
        return []
    if not it.facts.live_restore:
        text = "Without live-restore, a restart of Docker (an upgrade of it) stops every container."
        return [findings.fault("docker", text, it.fab("provision"))]
    return [findings.fine("docker", f"Docker {it.facts.docker_version}; containers outlive its restart")]


def _site(it: Examined) -> list[Finding]:
    facts, found = it.facts, []
    if not facts.current:
        return [findings.fault("site", f"{it.site.name} isn't live on {it.target}.", it.fab("deploy"))]
    live = [c for role in ("web", "process") for c in facts.role(role, facts.current)] + facts.role("db")
    for ending in restarts.ending(facts):
        text = "\n".join([ending.text, *(f"              {line}" for line in ending.log)])
        found.append(findings.fault("site", text, it.fab("logs", service=ending.service) + " shows more"))
    found += [findings.fault("site", each.text, each.fix) for each in site_health.problems(it, it.fault)]
    policies = {str(c["name"]).lstrip("/"): c["restart"] for c in it.state.containers}
    for each in live:
        if policies.get(each.name, "always") not in COMES_BACK:
            fix = it.on_server(f"docker update --restart unless-stopped {each.name}")
            found.append(findings.fault("site", f"{each.name} doesn't come back after a reboot.", fix))
    if facts.closed:
        found.append(findings.warning("site", "The site is closed for visitors.", it.fab("maintenance", off=True)))
    if history.interrupted(facts) or migrations.is_behind(facts):
        found.append(findings.warning("site", "An interrupted run left something.", it.fab("abort")))
    return found or [findings.fine("site", f"release {facts.current} is live, with {count(len(live), 'container')}")]


def _images(it: Examined) -> list[Finding]:
    """Releases whose image somebody has pruned."""
    gone = it.facts.current and not history.can_start(it.facts, it.facts.current)
    return [
        findings.fault("images", each.text, each.fix) if gone else findings.warning("images", each.text, each.fix)
        for each in site_health.without_image(it)
    ]


def _certificate(it: Examined) -> list[Finding]:
    facts = it.facts
    certificate = Certificate.parse(facts.certificate)
    if not certificate:
        return [
            findings.warning("tls", "The site has no certificate: visitors come without encryption.", it.fab("certs"))
        ]
    again = it.fab("deploy" if facts.certificate_kind == "own" else "certs")
    found = [findings.fault("tls", text, again) for text in renewal.faults(facts) if not text.startswith(renewal.TIMER)]
    uncovered = [name for name in acme.wanted(it.settings) if not certificate.covers(name)]
    if uncovered:
        found.append(findings.fault("tls", f"The certificate isn't for {', '.join(uncovered)}.", again))
    obsolete_names = acme.obsolete_warnings(acme.obsolete_names(it.settings, facts))
    found += [findings.warning("tls", text, it.fab("certs")) for text in obsolete_names]
    days = (certificate.ends - clock(facts.clock)).days
    return found or [
        findings.fine("tls", f"the certificate is good until {certificate.until} ({count(days, 'day')} left)")
    ]


def _memory(it: Examined) -> list[Finding]:
    small = provision.little_memory(it.settings, it.facts)
    return [findings.warning("memory", small, it.on_server("free -m"))] if small else []


def _disk(it: Examined) -> list[Finding]:
    needed = disk_space.needed_mb(it.settings, it.facts)
    fix = it.on_server("docker system df") + " shows what Docker holds; a deploy removes what no release needs"
    found = []
    for used, free, folder in it.state.disks:
        if free < needed:
            text = f"The disk is nearly full: {free} MB free at {folder}, a deploy needs {needed} MB."
            found.append(findings.fault("disk", text, fix))
        elif used >= FULL_PERCENT and free < DISK_LOW_MB * 4:
            found.append(
                findings.warning("disk", f"{used} % of the disk at {folder} are used, {free} MB are free.", fix)
            )
    for used, folder in it.state.inodes:
        if used >= FULL_PERCENT:
            text = f"{used} % of the disk's inodes at {folder} are used: many small files."
            found.append(findings.warning("disk", text, it.on_server(f"du --inodes -xd2 {folder}")))
    return found or [findings.fine("disk", f"{it.facts.disk_mb / 1024:.0f} GB free")]


def _dumps(it: Examined) -> list[Finding]:
    if not it.settings.own_database or not it.facts.current:
        return []
    if it.facts.last_dump:
        return [findings.fine("dumps", f"the newest dump of the database: {it.facts.last_dump}")]
    fix = it.fab("psql", dump=True) + " > database.sql takes one to this machine"
    return [findings.warning("dumps", "There is no dump of the database on the server yet.", fix)]


def _clock(it: Examined) -> list[Finding]:
    apart = abs(clock(it.facts.clock) - it.here.astimezone(UTC))
    if apart > CLOCKS_APART:
        text = f"The server's clock and this machine's are {int(apart.total_seconds())} s apart."
        return [findings.warning("clock", text, it.on_server("timedatectl set-ntp true"))]
    return [findings.fine("clock", "the server's clock agrees with this machine's")]

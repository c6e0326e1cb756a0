"""The checks of a server by ``fab doctor``. Pure: facts in, findings out."""

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
PROVISIONED = {"nginx.service", renewal.TIMER}  # provision starts these
COMES_BACK = {"always", "unless-stopped"}
CLOCKS_APART = timedelta(minutes=2)
DISK_LOW_MB, FULL_PERCENT = 2 * DISK_NEEDED_MB, 90


def of_server(it: Examined) -> list[Finding]:
    """Return the findings about the server and the site on it."""
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
    """Return what listens on public addresses, except SSH, HTTP and HTTPS: one for each port."""
    found = {
        (x.protocol, x.port): x
        for x in it.facts.listeners
        if x.public and not x.address.startswith("127.") and not provision.expected(x, it.facts)
    }
    return [found[key] for key in sorted(found)]


def of_listener(it: Examined, listener: Listener, reached: bool | None) -> Finding:
    """Return the finding for a public listener. ``reached``: whether it answered this machine; None if not tried."""
    container = it.state.publisher(listener.port)
    what = f"container {container}" if container else listener.process or "a program"
    where = f"{what} on {listener.protocol} port {listener.port}"
    if container:
        stop = it.on_server(f"docker stop {container}")
        fix = f"publish it on the server's loopback only (127.0.0.1:{listener.port}:…), or stop it: {stop}"
    else:
        fix = "make it listen on 127.0.0.1, or stop it; " + it.on_server(f"ss -lntup 'sport = :{listener.port}'")
    if reached:
        past = ", past the firewall" if container and it.facts.ufw == "active" else ""
        return findings.fault("ports", f"Anyone can reach {where}{past}: it answered this machine.", fix)
    if reached is None:
        return findings.warning("ports", f"Listens on public addresses: {where}.", fix)
    return findings.fine("ports", f"{where} listens publicly, but this machine can't reach it")


def _host(it: Examined) -> list[Finding]:
    """Check whether a deploy would be refused, or would change the host."""
    facts, found = it.facts, []
    for reason in provision.reasons(it.settings, facts):
        found.append(findings.fault("host", reason, it.fab("provision") + ", after fixing this"))
    if it.state.reboot:
        fix = it.on_server("reboot") + "; the site starts again by itself"
        found.append(findings.warning("host", "An upgrade needs a reboot to take effect.", fix))
    if it.state.passwords:
        fix = "PasswordAuthentication no in /etc/ssh/sshd_config.d/, then " + it.on_server("systemctl reload ssh")
        found.append(findings.warning("host", "SSH accepts passwords, which bots guess at all day.", fix))
    for unit in it.state.failed:
        found.append(findings.warning("host", f"{unit} has failed.", it.on_server(f"journalctl -u {unit}")))
    if versions.is_newer(facts):
        text = (
            f"Portside {versions.newest(facts)} has deployed to this server. This is {VERSION}, which is older and so "
            "changes nothing there."
        )
        found.append(findings.warning("host", text, "upgrade Portside on this machine"))
    work = (
        []
        if versions.is_newer(facts)
        else [*packages.packages(it.settings, facts), *provision.rest(it.settings, facts)]
    )
    if work:
        what = work[0].name.removeprefix("File ") + (f" and {len(work) - 1} more" if len(work) > 1 else "")
        text = f"The server setup is out of date for this version of Portside: {what}{_because(it)}."
        found.append(findings.warning("host", text, it.fab("provision")))
    return found or [findings.fine("host", f"{facts.os_name}, set up correctly")]


def _drift(it: Examined) -> list[Finding]:
    fix = f"{it.fab('plan')} shows what a deploy restores"
    return [findings.warning("drift", text, fix) for text in drift.by_hand(it.site, it.facts)]


def _because(it: Examined) -> str:
    """Return the reason for that, if it is another version of Portside and nothing else."""
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
            start = it.fab("provision") if unit in PROVISIONED else it.on_server(f"systemctl start {unit}")
            fix = start + "; " + it.on_server(f"systemctl status {unit}") + " shows why it isn't active"
            found.append(findings.fault("units", f"{unit} is {active}{_costs(unit)}.", fix))
        if enabled not in {"enabled", "static", "enabled-runtime"}:
            fix = it.fab("deploy") if enabled == "disabled" else it.on_server(f"systemctl unmask {unit}")
            found.append(findings.fault("units", f"{unit} doesn't start at boot: it is {enabled}.", fix))
    for unit in sorted(needed - set(it.state.units)):
        found.append(findings.fault("units", f"{unit} doesn't exist{_costs(unit)}.", it.fab("provision")))
    return found or [findings.fine("units", f"{', '.join(sorted(needed))} run, and start at boot")]


def _costs(unit: str) -> str:
    costs = {renewal.TIMER: ", so certificates aren't renewed", "nginx.service": ", so the site is down"}
    return costs.get(unit, "")


def _firewall(it: Examined) -> list[Finding]:
    facts = it.facts
    if not it.settings.firewall:
        return [findings.fine("firewall", "not managed (DEPLOY_FIREWALL=off)")]
    if facts.ufw != "active":
        return [findings.fault("firewall", "ufw isn't active, so every open port can be reached.", it.fab("provision"))]
    missing = [port for port in (80, 443) if not _lets_in(facts, port)]
    if missing:
        ports = " and ".join(map(str, missing))
        return [findings.fault("firewall", f"ufw blocks visitors on port {ports}.", it.fab("provision"))]
    return [findings.fine("firewall", "ufw allows SSH, 80 and 443")]


def _lets_in(facts: Facts, port: int) -> bool:
    return any(rule.split(" comment ")[0] in {f"allow {port}/tcp", f"allow {port}"} for rule in facts.ufw_rules)


def _nginx(it: Examined) -> list[Finding]:
    facts, found = it.facts, []
    if generation.broken(facts):
        fix = it.on_server("nginx -t") + " shows whether it is fixed; until then Nginx can't restart"
        found.append(findings.fault("nginx", generation.broken(facts), fix))
    elif facts.nginx_broken:
        found.append(findings.fault("nginx", f"Nginx refuses its files: {facts.nginx_broken}.", it.fab("deploy")))
    if lacking := http3.unable(it.settings, facts):
        found.append(findings.warning("nginx", lacking, "remove DEPLOY_HTTP3, or upgrade the server"))
    return found or [findings.fine("nginx", f"generation {facts.nginx_generation or 'none'}")]


def _engine(it: Examined) -> list[Finding]:
    if not it.settings.containers or not it.facts.docker_version:
        return []
    if not it.facts.live_restore:
        text = "Docker's live-restore is off: a restart or an upgrade of Docker stops every container."
        return [findings.fault("docker", text, it.fab("provision"))]
    return [findings.fine("docker", f"Docker {it.facts.docker_version}; containers keep running while it restarts")]


def _site(it: Examined) -> list[Finding]:
    facts, found = it.facts, []
    if not facts.current:
        return [findings.fault("site", f"{it.site.name} isn't live on {it.target}.", it.fab("deploy"))]
    live = [c for role in ("web", "process") for c in facts.role(role, facts.current)] + facts.role("db")
    for ending in restarts.exiting(facts):
        text = "\n".join([ending.text, *(f"              {line}" for line in ending.log)])
        found.append(findings.fault("site", text, it.fab("logs", service=ending.service) + " shows more"))
    found += [findings.fault("site", each.text, each.fix) for each in site_health.problems(it, it.fault)]
    policies = {str(c["name"]).lstrip("/"): c["restart"] for c in it.state.containers}
    for each in live:
        if policies.get(each.name, "always") not in COMES_BACK:
            fix = it.on_server(f"docker update --restart unless-stopped {each.name}")
            found.append(findings.fault("site", f"{each.name} doesn't start again after a reboot.", fix))
    if facts.closed:
        found.append(findings.warning("site", "The site is closed for visitors.", it.fab("maintenance", off=True)))
    if history.interrupted(facts) or migrations.is_behind(facts):
        found.append(findings.warning("site", "An interrupted run left something behind.", it.fab("abort")))
    return found or [findings.fine("site", f"release {facts.current} is live, with {count(len(live), 'container')}")]


def _images(it: Examined) -> list[Finding]:
    """Check for releases whose image was pruned."""
    gone = it.facts.current and not history.can_start(it.facts, it.facts.current)
    return [
        findings.fault("images", each.text, each.fix) if gone else findings.warning("images", each.text, each.fix)
        for each in site_health.without_image(it)
    ]


def _certificate(it: Examined) -> list[Finding]:
    facts = it.facts
    certificate = Certificate.parse(facts.certificate)
    if not certificate:
        return [findings.warning("tls", "The site has no certificate, so it isn't encrypted.", it.fab("certs"))]
    again = it.fab("deploy" if facts.certificate_kind == "own" else "certs")
    found = [findings.fault("tls", text, again) for text in renewal.faults(facts) if not text.startswith(renewal.TIMER)]
    uncovered = [name for name in acme.wanted(it.settings) if not certificate.covers(name)]
    if uncovered:
        found.append(findings.fault("tls", f"The certificate isn't for {', '.join(uncovered)}.", again))
    obsolete_names = acme.obsolete_warnings(acme.obsolete_names(it.settings, facts))
    found += [findings.warning("tls", text, it.fab("certs")) for text in obsolete_names]
    days = (certificate.ends - clock(facts.clock)).days
    return found or [
        findings.fine("tls", f"the certificate is valid until {certificate.until} ({count(days, 'day')} left)")
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
    fix = it.fab("psql", dump=True) + " > database.sql saves one on this machine"
    return [findings.warning("dumps", "There is no dump of the database on the server yet.", fix)]


def _clock(it: Examined) -> list[Finding]:
    apart = abs(clock(it.facts.clock) - it.here.astimezone(UTC))
    if apart > CLOCKS_APART:
        text = f"The server's clock and this machine's are {int(apart.total_seconds())} s apart."
        return [findings.warning("clock", text, it.on_server("timedatectl set-ntp true"))]
    return [findings.fine("clock", "the server's clock matches this machine's")]

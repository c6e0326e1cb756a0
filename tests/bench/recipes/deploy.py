"""What `fab provision` puts on a server, as a pyinfra deploy."""

import json
import os
from pathlib import Path

from pyinfra import config, host
from pyinfra.facts.server import Command
from pyinfra.operations import apt, files, server, systemd

config.SUDO = True
STATE = Path(os.environ["PORTSIDE_STATE"])
state = json.loads(STATE.read_text())
changes = []

packages = apt.packages(
    name="Packages", packages=state["packages"], no_recommends=True, update=True, cache_time=state["cache_seconds"]
)
changes.append(packages)

for each in state["folders"]:
    files.directory(name=each["path"], path=each["path"], mode=each["mode"], user="root", group="root")

put = {
    each["path"]: files.put(
        name=each["path"], src=each["source"], dest=each["path"], mode=each["mode"], user="root", group="root"
    )
    for each in state["files"]
}
changes.append(put[state["nginx_conf"]])

changes.append(
    files.sync(
        name="Nginx's files", src=state["generation"]["source"], dest=state["generation"]["path"],
        user="root", group="root", mode="644", dir_mode="755",
    )
)  # fmt: skip
changes.append(
    files.link(name="Nginx's live files", path=state["link"]["path"], target=state["link"]["target"], symbolic=True)
)
# Facts are read before anything runs, and only the package brings the page.
server.shell(name="No default page of a new Nginx", commands=[f"rm -f {state['page']}"], _if=packages.did_change)
changes.append(files.file(name="No default page", path=state["page"], present=False))

rules = host.get_fact(Command, "ufw status 2>/dev/null; ufw show added 2>/dev/null; true") or ""
missing = [f"ufw allow {port}" for port in state["ports"] if f"ufw allow {port}" not in rules]
if missing or "Status: active" not in rules:
    server.shell(name="Firewall", commands=[*missing, "ufw --force enable"])

systemd.service(name="Docker", service="docker", running=True, enabled=True)
server.shell(
    name="Docker takes its settings", commands=["systemctl reload docker"], _if=put[state["daemon_json"]].did_change
)
systemd.daemon_reload(name="The guard is new", _if=put[state["guard_unit"]].did_change)
systemd.service(name="Guard", service=state["guard"], running=True, enabled=True)
systemd.service(name="Renewal", service="certbot.timer", running=True, enabled=True)
systemd.service(name="Nginx", service="nginx", running=True, enabled=True)
server.shell(
    name="Nginx takes its settings",
    commands=["nginx -t && systemctl reload-or-restart nginx"],
    _if=lambda: any(change.did_change() for change in changes),
)

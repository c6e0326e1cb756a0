"""Nginx as Portside configures it, beside a bare one and one in a container: requests a second, as ratios.

All are asked on the practice server itself by wrk, in turn, round after round, so that a noisy neighbour meets all
of them.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.practice import Practice

from . import site
from .laptop import project

ROUNDS, SECONDS, CONNECTIONS = 30, 1, 16
PROMISED = 0.95
STYLE = "".join(f".work-{number} {{ margin: {number % 7}px; color: #{number:06x} }}\n" for number in range(2000))
FILES = {
    **site.FILES,
    "counter/settings.py": site.SETTINGS_PY
    + 'STATIC_URL, STATIC_ROOT = "/static/", "/static"\nSTATICFILES_DIRS = ["/app/files"]\n'
    + 'INSTALLED_APPS += ["django.contrib.staticfiles"]\n',
    "files/style.css": STYLE,
}
SETTINGS = site.SETTINGS | {"DEPLOY_SITE": "edge", "DEPLOY_DOMAINS": "edge.test", "DEPLOY_COLLECTSTATIC": "on"}
LIVE = "/srv/portside/edge/current"
# As Debian's own nginx.conf has it, with nothing but what is needed: a Django site is told of its visitor, or it can't
# know that he came by HTTPS.
BARE = """\
user www-data;
worker_processes auto;
pid /run/bare.pid;
error_log /var/log/nginx/bare.error.log;
events { worker_connections 768; }
http {
    sendfile on;
    tcp_nopush on;
    include /etc/nginx/mime.types;
    proxy_http_version 1.1;
    proxy_set_header Host edge.test;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    access_log /var/log/nginx/bare.access.log;
    server {
        listen 127.0.0.1:8090;
        location /static/ { alias LIVE/static/; gzip_static on; }
        location / { proxy_pass http://unix:LIVE/run/web-1.sock; }
    }
    server {
        listen 127.0.0.1:8092;
        location / { proxy_pass http://127.0.0.1:PORT; }
    }
}
"""
DOCKERFILE = """\
FROM debian:trixie-slim
RUN apt-get -qq update && apt-get -qq install --no-install-recommends -y nginx >/dev/null
CMD ["nginx", "-g", "daemon off;"]
"""
CONTAINED = """\
server {
    listen 80 default_server;
    location /static/ { alias /static/; gzip_static on; }
    location / { proxy_pass http://WEB:8000; proxy_http_version 1.1; proxy_set_header Host edge.test; }
}
"""
START = """\
set -e
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends wrk >/dev/null
cd /opt/edge
port=$(sed -n 's/^PORTSIDE_PORT_1=//p' "$1/.env")
web=$(docker ps --filter label=portside.site=edge --filter label=portside.role=web --format '{{.Names}}')
sed -i "s|LIVE|$1|g; s|PORT|$port|" bare.conf
sed -i "s|WEB|$web|" contained.conf
nginx -c /opt/edge/bare.conf
docker build --quiet --tag edge-nginx . >/dev/null
docker run --detach --name edge-nginx --network portside-edge --publish 127.0.0.1:8091:80 \\
    --volume /opt/edge/contained.conf:/etc/nginx/sites-enabled/default:ro \\
    --volume "$(readlink -f "$1")/static:/static:ro" edge-nginx >/dev/null
for port in 80 8090 8091 8092; do
    until curl -sf -o /dev/null -H 'Host: edge.test' "http://127.0.0.1:$port/"; do sleep 0.1; done
done
"""
# A line for each round: how many requests a second of each of the two. Who is first changes with every round.
COMPARE = """\
rounds=$1 seconds=$2 connections=$3 path=$4 first=$5 second=$6
for round in $(seq "$rounds"); do
    [ $((round % 2)) -eq 1 ] && turns="$first $second" || turns="$second $first"
    for port in $turns; do
        wrk -t 1 -c "$connections" -d "${seconds}s" -H 'Host: edge.test' -H 'Accept-Encoding: gzip' \\
            "http://127.0.0.1:$port$path" >/run/wrk.log
        ! grep -E 'Non-2xx|Socket errors' /run/wrk.log >&2 || exit 1
        sed -n 's/^Requests.sec: *//p' /run/wrk.log >"/run/wrk.$port"
    done
    echo "$(cat "/run/wrk.$first") $(cat "/run/wrk.$second")"
done
"""


@dataclass
class Compared:
    """Requests a second in each round: of the first, and of the second."""

    first: list[float]
    second: list[float]

    @property
    def ratios(self) -> list[float]:
        return sorted(one / other for one, other in zip(self.first, self.second, strict=True))

    def row(self) -> Sequence[str]:
        low, *_, high = self.ratios
        rates = (f"{statistics.median(rates):,.0f}" for rates in (self.first, self.second))
        return (*rates, f"{statistics.median(self.ratios):.2f}", f"{low:.2f} to {high:.2f}")


def measure(server: Practice, folder: Path, console: Console) -> Table:
    """The table of ratios."""
    console.print("  edge: a site, a bare Nginx and one in a container")
    laptop = project(folder / "edge", server.name, FILES, **SETTINGS)
    laptop.fab("deploy")
    files = {"bare.conf": BARE, "Dockerfile": DOCKERFILE, "contained.conf": CONTAINED}
    for name, text in files.items():
        site.write(server, f"/opt/edge/{name}", text)
    server.exec(("timeout", "300", "sh", "-c", START, "sh", LIVE))
    table = Table(
        "what", "requests a second", "of the other", "ratio", "least to most", "promised",
        title=f"Portside's Nginx beside others ({ROUNDS} rounds of {SECONDS} s in turn, {CONNECTIONS} connections)",
    )  # fmt: skip
    for what, path, ports, promised in (
        ("a static file, against a bare Nginx", "/static/style.css", (80, 8090), PROMISED),
        ("the application, against a bare Nginx", "/", (80, 8090), PROMISED),
        ("a static file, against Nginx in a container", "/static/style.css", (80, 8091), None),
        ("the application, against Nginx in a container", "/", (80, 8091), None),
        ("the application by its socket, against its port", "/", (8090, 8092), None),
    ):
        compared = _compare(server, path, *ports)
        table.add_row(what, *compared.row(), f"{promised}" if promised else "")
        console.print(f"  edge: {what}: {statistics.median(compared.ratios):.2f}")
    return table


def _compare(server: Practice, path: str, first: int, second: int) -> Compared:
    words = (str(ROUNDS), str(SECONDS), str(CONNECTIONS), path, str(first), str(second))
    printed = server.exec(("timeout", "300", "sh", "-c", COMPARE, "sh", *words))
    rounds = [tuple(map(float, line.split())) for line in printed.splitlines() if re.fullmatch(r"[\d. ]+", line)]
    ones, others = zip(*rounds, strict=True)
    return Compared(list(ones), list(others))

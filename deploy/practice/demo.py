"""``make demo``: the whole thing on this machine, from nothing to a site one can look at.

It types what a user would type, on an environment file of its own, so that nobody's ``.env`` is touched.
"""

from __future__ import annotations

import http.client
import secrets
import socket
import ssl
import subprocess
import sys
import time

from dotenv import dotenv_values

from deploy import practice
from deploy.practice import Practice

from ..core.errors import PortsideError
from ..core.files import PRACTICE, TOP
from ..core.report import Report

DOMAIN = "portfolio.localhost"
ENV = PRACTICE / "demo.env"
ROOT = PRACTICE / "root.pem"
FAB = (sys.executable, "-m", "fabric")


def main() -> int:
    """Returns the exit code; what fails has said why."""
    report, started = Report(), time.monotonic()
    try:
        report.say("1 of 4  A practice server: a bare Debian in a container", style="bold")
        server = practice.up(say=lambda line: report.say(f"  {line}"))
        _write_env(server)
        report.say("2 of 4  fab deploy -H practice", style="bold")
        _fab("deploy", "-H", "practice", "--env", str(ENV))
        report.say("3 of 4  fab certs -H practice", style="bold")
        server.acme.point(DOMAIN, server.ip)
        _fab("certs", "-H", "practice", "--env", str(ENV))
        report.say("4 of 4  Some works to look at, and somebody who may add more", style="bold")
        _fab("manage", "sample_works", "-H", "practice", "--env", str(ENV))
        _make_admin()
        _say_end(report, server, time.monotonic() - started)
    except PortsideError as error:
        report.fail(str(error))
        return error.exit_code
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    return 0


def _write_env(server: Practice) -> None:
    """The demo's settings, written once: what ``fab init`` would generate, for the sample site."""
    if ENV.exists():
        return
    lines = {
        "DEPLOY_SITE": "portfolio",
        "DEPLOY_DOMAINS": DOMAIN,
        "DEPLOY_APP": "../app",
        "DEPLOY_HEALTH_PATH": "/healthz",
        "DEPLOY_HSTS": "0",  # a browser that remembered it couldn't be shown another practice server
        "CSRF_TRUSTED_ORIGINS": f"{_address(server)},http://{DOMAIN}",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        "DJANGO_SUPERUSER_PASSWORD": secrets.token_urlsafe(9),
    }
    ENV.touch(mode=0o600)
    ENV.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")


def _fab(*words: str) -> None:
    subprocess.run((*FAB, *words), cwd=TOP, check=True)


def _make_admin() -> None:
    """The user called admin, with the password of the environment file; one that exists is left alone."""
    words = "createsuperuser --noinput --username admin --email admin@portfolio.localhost"
    subprocess.run(
        (*FAB, "manage", words, "-H", "practice", "--env", str(ENV)), cwd=TOP, check=False, capture_output=True
    )


def _say_end(report: Report, server: Practice, seconds: float) -> None:
    """Addresses, each asked before it is printed."""
    address, root = _address(server), server.acme.root()
    ROOT.write_text(root, encoding="utf-8")
    password = dotenv_values(ENV, interpolate=False)["DJANGO_SUPERUSER_PASSWORD"]
    report.say()
    report.say(f"There it is, after {seconds:.0f} s:", style="bold green")
    for path, what in (("/", "the site"), ("/admin/", f"its admin: admin, {password}"), ("/api/works/", "its API")):
        _answers(server, path, root)
        report.say(f"  {address}{path:<14} {what}")
    report.say()
    report.say("Its certificate is the practice authority's, whom no browser knows: go on past its warning, or let it")
    report.say(f"trust {ROOT.relative_to(TOP)}, as in    curl --cacert {ROOT.relative_to(TOP)} {address}/")
    report.say()
    report.say("Change something in app/ and type     .venv/bin/fab deploy -H practice --env .practice/demo.env")
    report.say("Look around on the server with        ssh -F .practice/ssh_config practice")
    report.say("Take all of it away with              .venv/bin/fab practice --down")
    report.say("Your own site on a server of yours:   README.md")


def _address(server: Practice) -> str:
    """The site's, as a browser on this machine types it."""
    return f"https://{DOMAIN}" + ("" if server.https_port == 443 else f":{server.https_port}")


def _answers(server: Practice, path: str, root: str) -> None:
    connection = http.client.HTTPConnection(DOMAIN)
    context = ssl.create_default_context(cadata=root)
    plain = socket.create_connection(("127.0.0.1", server.https_port), timeout=15)
    with context.wrap_socket(plain, server_hostname=DOMAIN) as connection.sock:
        connection.request("GET", path)
        status = connection.getresponse().status
    if status >= 400:
        raise PortsideError(f"{path} answers {status}.", hint="Type fab deploy -H practice --verbose to see more.")


if __name__ == "__main__":
    sys.exit(main())

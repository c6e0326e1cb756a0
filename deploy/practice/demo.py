"""``make demo``: a complete deploy on this machine, from nothing to a site that you can open.

It runs the same commands as a user, with its own environment file, so that no ``.env`` is changed.
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
    """Run the demo. Returns the exit code; errors are printed."""
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
        report.say("4 of 4  Sample works, and an admin user who can add more", style="bold")
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
    """Write the demo's settings, once. They are like those that ``fab init`` generates for the sample site."""
    if ENV.exists():
        return
    lines = {
        "DEPLOY_SITE": "portfolio",
        "DEPLOY_DOMAINS": DOMAIN,
        "DEPLOY_APP": "../app",
        "DEPLOY_HEALTH_PATH": "/healthz",
        "DEPLOY_HSTS": "0",  # with HSTS, browsers would refuse the next practice server's certificate
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
    """Create the user "admin" with the password of the environment file, unless it exists."""
    words = "createsuperuser --noinput --username admin --email admin@portfolio.localhost"
    subprocess.run(
        (*FAB, "manage", words, "-H", "practice", "--env", str(ENV)), cwd=TOP, check=False, capture_output=True
    )


def _say_end(report: Report, server: Practice, seconds: float) -> None:
    """Print the site's addresses, each after a check that it answers."""
    address, root = _address(server), server.acme.root()
    ROOT.write_text(root, encoding="utf-8")
    password = dotenv_values(ENV, interpolate=False)["DJANGO_SUPERUSER_PASSWORD"]
    report.say()
    report.say(f"The site is live after {seconds:.0f} s:", style="bold green")
    for path, what in (("/", "the site"), ("/admin/", f"its admin: admin, {password}"), ("/api/works/", "its API")):
        _answers(server, path, root)
        report.say(f"  {address}{path:<14} {what}")
    report.say()
    report.say("Browsers don't know the practice authority that issued its certificate. Accept the warning, or trust")
    report.say(f"{ROOT.relative_to(TOP)}, as in    curl --cacert {ROOT.relative_to(TOP)} {address}/")
    report.say()
    report.say("Change something in app/ and run      .venv/bin/fab deploy -H practice --env .practice/demo.env")
    report.say("Look around on the server with        ssh -F .practice/ssh_config practice")
    report.say("Remove all of it with                 .venv/bin/fab practice --down")
    report.say("Your own site on your own server:     README.md")


def _address(server: Practice) -> str:
    """Return the site's address for a browser on this machine."""
    return f"https://{DOMAIN}" + ("" if server.https_port == 443 else f":{server.https_port}")


def _answers(server: Practice, path: str, root: str) -> None:
    connection = http.client.HTTPConnection(DOMAIN)
    context = ssl.create_default_context(cadata=root)
    plain = socket.create_connection(("127.0.0.1", server.https_port), timeout=15)
    with context.wrap_socket(plain, server_hostname=DOMAIN) as connection.sock:
        connection.request("GET", path)
        status = connection.getresponse().status
    if status >= 400:
        raise PortsideError(f"{path} answers {status}.", hint="Run fab deploy -H practice --verbose to see more.")


if __name__ == "__main__":
    sys.exit(main())

"""REMOTE_ADDR is the visitor's address in each way of serving, by the socket and by the port; only Nginx says it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from ..kit import small
from ..kit.inside import container, live, shell
from ..kit.project import Project
from ..kit.visitors import ask

DOMAIN = "address.test"
NAMES = ("X-Forwarded-For", "X-Real-IP", "X-Client-IP", "Forwarded", "X-Portside-Proof")
FORGED = dict.fromkeys(NAMES, "192.0.2.6")

# django-allauth as its documentation has it: it counts signups by REMOTE_ADDR, and lets in nobody who has none.
SETTINGS = """\
ASGI_APPLICATION = "hello.asgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"]}}
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
    "allauth", "allauth.account",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
CONTEXT = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth"]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": CONTEXT},
}]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_LOGIN_METHODS, ACCOUNT_SIGNUP_FIELDS = {"username"}, ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION, LOGIN_REDIRECT_URL, DEFAULT_AUTO_FIELD = "none", "/who", "django.db.models.BigAutoField"
"""
URLS = """\
from django.http import HttpResponse, JsonResponse
from django.urls import include, path

def seen(request):
    meta = {name: value for name, value in request.META.items() if name.startswith(("HTTP_X_", "HTTP_FORW", "REMOTE_"))}
    return JsonResponse({**meta, "kind": type(request).__name__})

def who(request):
    return HttpResponse(f"signed in as {request.user}")

urlpatterns = [path("", seen), path("who", who), path("accounts/", include("allauth.urls"))]
"""
ASGI = """\
from django.core.asgi import get_asgi_application
application = get_asgi_application()
"""
# Asks a port as uwsgi, with these names and values: no tool of the server speaks it.
UWSGI = """
import socket, struct, sys
port, *words = sys.argv[1:]
block = b"".join(struct.pack("<H", len(word)) + word.encode() for word in words)
opened = socket.create_connection(("127.0.0.1", int(port)))
opened.sendall(struct.pack("<BHB", 0, len(block), 0) + block)
print(opened.makefile("rb").read().decode().partition("\\r\\n\\r\\n")[2])
"""


@pytest.fixture(scope="module")
def site(projects: Callable[[str], Project]) -> Project:
    """A site with django-allauth, live by WSGI and gthread."""
    project = projects("address")
    files = small.files("app", SETTINGS)
    project.write(files | {"app/hello/urls.py": URLS, "app/hello/asgi.py": ASGI})
    project.commit("Begin")
    project.set(
        DEPLOY_DOMAINS=DOMAIN, DEPLOY_COLLECTSTATIC="off", DEPLOY_DRAIN="5", SECRET_KEY="x" * 60,
        POSTGRES_PASSWORD="y" * 24,
    )  # fmt: skip
    project.deploy()
    return project


def told_by_nginx(site: Project) -> str:
    """What Nginx took for the address of the last visitor."""
    line = shell(site.server, "tail -n 1 /var/log/nginx/address.access.log")
    return str(json.loads(line)["address"])


def visited(site: Project) -> dict[str, str]:
    """What the application sees of a visitor who claims to be another one."""
    seen: dict[str, str] = json.loads(ask(site.server, DOMAIN, headers=FORGED).text)
    return seen


def the_visitors_address_is_known(site: Project, kind: str = "WSGIRequest") -> None:
    seen = visited(site)
    assert seen["kind"] == kind
    assert seen["REMOTE_ADDR"] == told_by_nginx(site)
    assert seen["HTTP_X_FORWARDED_FOR"] == seen["HTTP_X_REAL_IP"] == seen["REMOTE_ADDR"]
    assert not {"HTTP_X_PORTSIDE_PROOF", "HTTP_FORWARDED", "HTTP_X_CLIENT_IP"} & set(seen)


def nobody_else_says_it(site: Project) -> None:
    """Whoever asks the port itself has the address of Docker's gateway, whatever is claimed."""
    port = shell(site.server, "sed -n 's/^PORTSIDE_PORT_1=//p' /srv/portside/address/current/.env").strip()
    if site.settings().get("DEPLOY_PROTOCOL") == "uwsgi":
        given = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in FORGED.items()}
        given |= {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": DOMAIN, "HTTP_CONNECTION": "close"}
        given |= {"REMOTE_ADDR": "192.0.2.6"}
        words = [word for pair in given.items() for word in pair]
        text = site.server.exec(("python3", "-c", UWSGI, port, *words))
    else:
        headers = [word for name, value in {**FORGED, "Host": DOMAIN}.items() for word in ("-H", f"{name}: {value}")]
        text = site.server.exec(("curl", "-sS", "--noproxy", "*", *headers, f"http://127.0.0.1:{port}/"))
    seen = json.loads(text)
    gateway = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"
    assert seen["REMOTE_ADDR"] == site.server.exec(
        ("docker", "inspect", "--format", gateway, container(site.server, "address"))
    ).strip()  # fmt: skip
    assert "192.0.2.6" not in seen.values()
    assert not [name for name in seen if name.startswith(("HTTP_X_REAL", "HTTP_X_CLIENT", "HTTP_X_PORTSIDE"))]


def deploy(site: Project, **changed: str | None) -> str:
    site.set(**changed)
    site.deploy()
    return live(site.server, "address")


@pytest.mark.core
def test_allauth_signs_a_visitor_up(site: Project) -> None:
    form = ask(site.server, DOMAIN, "/accounts/signup/")
    assert form.status == 200
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)
    cookie = re.search(r"csrftoken=\w+", form.headers["set-cookie"])
    assert token
    assert cookie
    words = f"csrfmiddlewaretoken={token.group(1)}&username=ada&password1=correct-horse-9&password2=correct-horse-9"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie.group()}
    answer = ask(site.server, DOMAIN, "/accounts/signup/", method="POST", body=words.encode(), headers=headers)
    assert (answer.status, answer.headers.get("location")) == (302, "/who")
    session = re.search(r"sessionid=\w+", answer.headers["set-cookie"])
    assert session
    assert ask(site.server, DOMAIN, "/who", headers={"Cookie": session.group()}).text == "signed in as ada"


@pytest.mark.core
def test_by_the_socket(site: Project) -> None:
    the_visitors_address_is_known(site)
    nobody_else_says_it(site)


def test_by_the_port(site: Project) -> None:
    release = live(site.server, "address")
    site.set(DEPLOY_UPSTREAM="port")
    plan = site.fab("plan", on=site.server, project=site).text
    site.deploy()
    assert live(site.server, "address") == release, "the release needs no change for it"
    the_visitors_address_is_known(site)
    nobody_else_says_it(site)
    what_proves_it_is_kept_secret(site, plan)


def what_proves_it_is_kept_secret(site: Project, plan: str) -> None:
    """Of the proof nobody but root and the application learns: not in a plan, nor in a file."""
    proof = shell(site.server, "cat /etc/nginx/portside/sites/address.proof").split()[-1].rstrip(";")
    assert re.fullmatch("[0-9a-f]{64}", proof)
    assert "[hidden]" in plan
    assert proof not in plan
    find = 'runuser -u nobody -- grep -rlF "$1" /etc/nginx /srv/portside 2>/dev/null'
    assert not shell(site.server, find, proof, check=False).strip()


def test_by_gunicorns_own_asgi_worker_and_the_port(site: Project) -> None:
    deploy(site, DEPLOY_WORKER_CLASS="asgi")
    the_visitors_address_is_known(site, "ASGIRequest")
    nobody_else_says_it(site)


def test_by_gunicorns_own_asgi_worker_and_the_socket(site: Project) -> None:
    deploy(site, DEPLOY_UPSTREAM=None)
    the_visitors_address_is_known(site, "ASGIRequest")
    nobody_else_says_it(site)


def test_by_uvicorn(site: Project) -> None:
    deploy(site, DEPLOY_WORKER_CLASS="uvicorn_worker.UvicornWorker", DEPLOY_PIP="uvicorn-worker")
    the_visitors_address_is_known(site, "ASGIRequest")
    nobody_else_says_it(site)


def test_by_the_sync_worker(site: Project) -> None:
    deploy(site, DEPLOY_WORKER_CLASS="sync", DEPLOY_PIP=None)
    the_visitors_address_is_known(site)
    nobody_else_says_it(site)


def test_by_uwsgi_and_the_socket(site: Project) -> None:
    deploy(site, DEPLOY_WORKER_CLASS=None, DEPLOY_PROTOCOL="uwsgi")
    the_visitors_address_is_known(site)
    nobody_else_says_it(site)


def test_by_uwsgi_and_the_port(site: Project) -> None:
    deploy(site, DEPLOY_UPSTREAM="port")
    the_visitors_address_is_known(site)
    nobody_else_says_it(site)

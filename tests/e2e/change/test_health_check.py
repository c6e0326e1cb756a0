"""The health check follows redirects as a visitor would: what they end at decides, and a failure shows its cause.

One small project answers in many ways, and DEPLOY_HEALTH_PATH says where the visit begins. So each case is a release of
the same image.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from deploy.practice import Practice

from ..kit import small
from ..kit.inside import live
from ..kit.laptop import Done
from ..kit.names import PREFIX
from ..kit.project import Project
from ..kit.visitors import ask

DOMAIN = f"health-{PREFIX}.test"
TOKEN = "correct-horse-battery"
SETTINGS = """\
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
INSTALLED_APPS = ["django.contrib.staticfiles", "compressor"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "django.middleware.locale.LocaleMiddleware"]
STATIC_URL, STATIC_ROOT, STATICFILES_DIRS = "/static/", BASE_DIR / "collected", [BASE_DIR / "static"]
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [BASE_DIR / "t"], "APP_DIRS": True}]
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
COMPRESS_ENABLED = COMPRESS_OFFLINE = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
"""
URLS = """\
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import path

class Anywhere(HttpResponseRedirect):
    allowed_schemes = ["http", "https", "myapp"]

def login(request):
    return HttpResponse("login")

def error(request):
    raise LookupError("only this page")

def cookie(request):
    if request.COOKIES.get("seen"):
        return HttpResponse("seen")
    answer = redirect(request.path)
    answer.set_cookie("seen", "1")
    return answer

urlpatterns = [
    path("go", lambda request: Anywhere(request.GET["to"])),
    path("loop/", lambda request: redirect(f"http://www.{request.get_host()}/loop/")),
    path("endless/", lambda request: redirect(f"/endless/{'a/' * 2}")),
    path("endless/<path:more>", lambda request, more: redirect(f"/endless/{more}a/")),
    path("manifest/", lambda request: render(request, "manifest.html")),
    path("compressed/", lambda request: render(request, "compressed.html")),
    path("cookie/", cookie),
    path("error/", error),
    *i18n_patterns(path("", login)),
]
"""
RAISES = """
def login(request):
    import os
    raise RuntimeError(f"the token is {os.environ['TOKEN']}")
urlpatterns += i18n_patterns(path("", login))
"""


def go(location: str) -> str:
    """The path of a page that redirects there."""
    return f"/go?to={quote(location, safe='')}"


@pytest.fixture(scope="module")
def site(projects: Callable[[str], Project]) -> Project:
    """The project, live, with a password before it, closed for visitors."""
    made = projects("health")
    made.write(small.files(settings=SETTINGS))
    made.write({
        "hello/urls.py": URLS,
        "static/own.css": "body {}\n",
        "t/manifest.html": '{% load static %}<link href="{% static "gone.css" %}">',
        "t/compressed.html": "{% load compress %}{% compress css %}<style>body {}</style>{% endcompress %}",
    })  # fmt: skip
    made.commit("Begin")
    made.set(
        DEPLOY_DOMAINS=DOMAIN, DEPLOY_REDIRECT_DOMAINS=f"www.{DOMAIN}", DEPLOY_APP=".", DEPLOY_DATABASE="none",
        SECRET_KEY="k" * 50, TOKEN=TOKEN, DEPLOY_BASIC_AUTH="ann:horse-battery",
    )  # fmt: skip
    for name in (DOMAIN, f"www.{DOMAIN}"):
        made.server.acme.point(name, made.server.ip)
    done = made.deploy()
    assert f"/ redirects to http://{DOMAIN}/en/, which is healthy" in done.out
    made.fab("maintenance", on=made.server, project=made, check=True)
    return made


def refused(site: Project, **values: str) -> Done:
    """Deploy with these settings: the release before stays, and the reason is known long before the time-out."""
    before = live(site.server, site.name)
    with site.with_settings(DEPLOY_HEALTH_TIMEOUT="300", **values):
        done = site.deploy(check=False)
    assert done.code == 1
    seconds = re.search(r"^✗ healthcheck +([0-9.]+) s", done.out, re.MULTILINE)
    assert seconds, "it is the health check that refuses"
    assert float(seconds.group(1)) < 200
    assert live(site.server, site.name) == before
    assert TOKEN not in done.text
    return done


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/loop/", [f"http://{DOMAIN}/loop/  again", "it redirects in a loop", "DEPLOY_REDIRECT_DOMAINS"]),
        ("/endless/", ["/endless/a/a/a/a/", "it redirects more than 10 times"]),
        (go(f"//M.{DOMAIN}/"), [f"m.{DOMAIN} isn't served: is it missing in DEPLOY_DOMAINS"]),
        (go(f"https://{DOMAIN}/en/"), ["there is no HTTPS", "SECURE_SSL_REDIRECT", "fab certs"]),
        (
            go("/manifest/"),
            ["answers 500 at /manifest/", "ValueError: Missing staticfiles manifest entry for 'gone.css'"],
        ),
        ("/compressed", ["answers 500 at /compressed/", "OfflineGenerationError"]),
        (go("/de/none/"), ["answers 404 at /de/none/", "DEPLOY_HEALTH_PATH"]),
    ],
)
def test_what_a_visitor_would_not_arrive_at_is_refused(site: Project, path: str, said: list[str]) -> None:
    done = refused(site, DEPLOY_HEALTH_PATH=path)
    for text in said:
        assert text in done.err


def test_a_name_that_the_application_does_not_know(site: Project) -> None:
    done = refused(site, ALLOWED_HOSTS="elsewhere.test")
    assert "answers 400 at / (DEPLOY_HEALTH_PATH)" in done.err
    assert f"Is {DOMAIN} in ALLOWED_HOSTS?" in done.err


@pytest.mark.core
def test_a_second_release_whose_login_page_raises_is_refused_and_the_first_stays(site: Project) -> None:
    site.fab("maintenance", "--off", on=site.server, project=site, check=True)
    raises = URLS.replace("urlpatterns = [", RAISES.replace("urlpatterns += ", "broken = ") + "urlpatterns = [*broken,")
    with site.changed({"hello/urls.py": raises}):
        done = refused(site)
    assert f"  http://{DOMAIN}/  302" in done.err
    assert f"  http://{DOMAIN}/en/  500" in done.err
    assert "answers 500 at /en/, to which DEPLOY_HEALTH_PATH=/ redirects" in done.err
    assert "hello/urls.py" in done.err
    assert "RuntimeError: the token is [hidden]" in done.err
    ann = {"Authorization": "Basic YW5uOmhvcnNlLWJhdHRlcnk="}
    assert ask(site.server, DOMAIN, "/en/", headers=ann).text == "login"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ("location = /de/ { return 302 /en/; }", "location = /en/ { return 302 /de/; }"),
            [f"  http://{DOMAIN}/de/  again", "Through Nginx it redirects in a loop."],
        ),
        (
            ("location = /de/ { return 302 /error/; }",),
            ["Through Nginx it answers 500 at /error/", "hello/urls.py", "LookupError: only this page"],
        ),
    ],
)
def test_the_switch_asks_through_nginx_and_follows_it_too(site: Project, lines: list[str], said: list[str]) -> None:
    """What only Nginx does, here by lines of the site's owner, can be wrong as well."""
    before = live(site.server, site.name)
    (site.root / "more.conf").write_text("\n".join(lines))
    with site.with_settings(DEPLOY_NGINX_INCLUDE="more.conf", DEPLOY_HEALTH_PATH=go("/de/")):
        done = site.deploy(check=False)
    assert (done.code, live(site.server, site.name)) == (1, before)
    for text in (*said, f"The previous release, {before}, is live again."):
        assert text in done.err


@pytest.mark.parametrize(
    ("path", "values", "said"),
    [
        (go("https://sso.example.com/in?state=1"), {}, "redirects to another site: https://sso.example.com/in\n"),
        ("/cookie", {"DEPLOY_PROTOCOL": "uwsgi"}, f"redirects to http://{DOMAIN}/cookie/, which is healthy"),
        (go("/static/own.css"), {"DEPLOY_UPSTREAM": "port"}, "/static/own.css, which is healthy"),
    ],
)
def test_what_a_visitor_arrives_at_goes_live(site: Project, path: str, values: dict[str, str], said: str) -> None:
    with site.with_settings(DEPLOY_HEALTH_PATH=path, **values):
        done = site.deploy()
        assert said in done.out
        assert live(site.server, site.name) == done.release


def test_with_https_nginx_leads_to_it(site: Project, server: Practice) -> None:
    site.fab("certs", on=server, project=site, check=True)
    with site.with_settings(DEPLOY_HEALTH_PATH=go(f"http://www.{DOMAIN}/de")):
        done = site.deploy()
    assert f"redirects to https://{DOMAIN}/de/, which is healthy" in done.out

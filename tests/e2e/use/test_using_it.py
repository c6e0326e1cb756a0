"""People use the site: works are hung in the admin, in a real browser, and through the API; Postgres holds them."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from deploy.practice import Practice

from ..kit.inside import shell, sql, without_the_application
from ..kit.project import Project
from ..kit.visitors import Answer, ask

pytestmark = pytest.mark.begins("portfolio")

PASSWORD = "nine-lives-of-a-cat"


def picture(colour: str) -> bytes:
    """A small PNG."""
    buffer = BytesIO()
    Image.new("RGB", (320, 200), colour).save(buffer, "PNG")
    return buffer.getvalue()


# In the browser


@pytest.fixture(scope="module")
def page(browser: Browser, site: Project) -> Page:
    """A tab of the browser, with the site's address as its base."""
    return browser.new_context(base_url=f"http://{site.domain}").new_page()


def test_manage_makes_an_admin(site: Project) -> None:
    site.set(DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    site.deploy()
    site.manage("createsuperuser --noinput --username ada --email ada@portfolio.test")
    assert sql(site.server, site.name, "select username from auth_user where is_superuser") == "ada"


def test_manage_ends_as_its_command_does(site: Project) -> None:
    again = site.manage("createsuperuser --noinput --username ada --email ada@portfolio.test", check=False)
    assert again.code == 1
    assert "already taken" in again.text


def test_manage_hands_over_words_as_they_are(site: Project) -> None:
    said = site.manage("""shell -c "print('a  b', '$HOME', '\\'')" """).out
    assert "a  b $HOME '" in said


def test_a_stranger_is_asked_to_log_in(page: Page) -> None:
    page.goto("/admin/portfolio/work/add/")
    assert "/admin/login/" in page.url


def test_logging_in(page: Page) -> None:
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    page.wait_for_selector("#id_title")


def test_uploading_a_work(page: Page) -> None:
    page.fill("#id_title", "Low tide")
    page.fill("#id_text", "Grün & grey, “quoted”.")
    page.set_input_files("#id_image", {"name": "tide.png", "mimeType": "image/png", "buffer": picture("teal")})
    page.click("input[name=_save]")
    assert "Low tide" in page.inner_text(".messagelist .success")


def test_the_work_hangs_in_the_gallery(page: Page) -> None:
    broken: list[str] = []
    page.on("response", lambda response: broken.append(response.url) if response.status >= 400 else None)
    page.on("console", lambda message: broken.append(message.text) if "Security Policy" in message.text else None)
    page.goto("/")
    page.click(".gallery .card a")
    assert page.inner_text(".work h1") == "Low tide"
    assert "Grün & grey, “quoted”." in page.inner_text(".work")
    shown = "() => [...document.images].every(image => image.complete && image.naturalWidth > 0)"
    page.wait_for_function(shown)
    assert broken == []


def test_the_picture_comes_from_nginx_alone(site: Project, page: Page) -> None:
    address = page.get_attribute(".work img", "src") or ""
    with without_the_application(site.server, site.name):
        answer = ask(site.server, site.domain, address)
    assert answer.status == 200
    assert answer.headers["server"] == "nginx"
    assert answer.headers["content-type"] == "image/png"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert Image.open(BytesIO(answer.body)).getpixel((0, 0)) == (0, 128, 128)


def test_the_upload_lies_on_the_host(site: Project) -> None:
    found = shell(site.server, f"find /srv/portside/{site.name}/media -type f -printf '%U:%G %m %f\\n'").splitlines()
    assert len(found) == 2, "the picture and its thumbnail"
    assert all(line.startswith("10001:33 644 low-tide-") for line in found)


def test_the_app_is_told_of_the_visitor(site: Project) -> None:
    """A client's own claims don't get through: a redirect would follow a forged host or scheme."""
    forged = {"X-Forwarded-Host": "elsewhere.test", "X-Forwarded-Proto": "https", "X-Forwarded-For": "10.9.9.9"}
    answer = ask(site.server, site.domain, "/api/works/?page=1", headers=forged)
    assert f'"http://{site.domain}/' in answer.text


# Through the API


def send(server: Practice, host: str, token: str, fields: dict[str, str], image: bytes) -> Answer:
    """POST a work as a form with a file."""
    boundary = "a-line-between-the-parts"
    parts = [f'Content-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    head = b'Content-Disposition: form-data; name="image"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n'
    body = b"".join(b"--%s\r\n%s" % (boundary.encode(), part) for part in [*parts, head + image + b"\r\n"])
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    if token:
        headers["Authorization"] = f"Token {token}"
    return ask(server, host, "/api/works/", method="POST", body=body + f"--{boundary}--\r\n".encode(), headers=headers)


@pytest.fixture(scope="module")
def token(site: Project) -> str:
    found = re.search(r"token ([0-9a-f]{40})", site.manage("drf_create_token ada").out)
    assert found, "no token was made"
    return found.group(1)


def test_the_api_lists(site: Project) -> None:
    listed = json.loads(ask(site.server, site.domain, "/api/works/").text)
    assert [work["title"] for work in listed["results"]] == ["Low tide"]
    assert listed["results"][0]["url"] == f"http://{site.domain}/api/works/1/"


def test_the_api_refuses_strangers(site: Project) -> None:
    fields = {"title": "Uninvited"}
    assert send(site.server, site.domain, "", fields, picture("red")).status == 401
    assert send(site.server, site.domain, "0" * 40, fields, picture("red")).status == 401
    basic = b64encode(b"ada:wrong").decode()
    wrong = ask(site.server, site.domain, "/api/works/1/", method="DELETE", headers={"Authorization": f"Basic {basic}"})
    assert wrong.status == 401
    assert sql(site.server, site.name, "select count(*) from portfolio_work") == "1"


def test_the_api_creates_and_deletes(site: Project, token: str) -> None:
    made = send(site.server, site.domain, token, {"title": "Brief", "text": "x"}, picture("gold"))
    assert made.status == 201
    work = json.loads(made.text)
    assert sql(site.server, site.name, "select title from portfolio_work order by id") == "Low tide\nBrief"
    address = work["image"].removeprefix(f"http://{site.domain}")
    assert ask(site.server, site.domain, address).status == 200
    path = f"/api/works/{work['id']}/"
    gone = ask(site.server, site.domain, path, method="DELETE", headers={"Authorization": f"Token {token}"})
    assert gone.status == 204
    assert ask(site.server, site.domain, address).status == 404
    assert sql(site.server, site.name, "select title from portfolio_work") == "Low tide"


def test_postgres_is_nobody_elses(site: Project) -> None:
    """Not even on loopback, unless DEPLOY_DATABASE_PORT says so."""
    assert ":5432" not in shell(site.server, "ss -Hltn")

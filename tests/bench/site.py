"""The site that is put under load, by Portside and, beside it, as the tutorials do."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from deploy.practice import Practice

from .laptop import Timed

SETTINGS_PY = """\
import os
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "counter.urls"
WSGI_APPLICATION = "counter.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"]}}
INSTALLED_APPS = ["counter"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
URLS = """\
import os
from django.db import connection
from django.http import JsonResponse
from django.urls import path
from .version import VERSION

RELEASE = {"release": os.environ.get("DEPLOY_RELEASE", "none"), "version": VERSION}

def home(request):
    return JsonResponse(RELEASE)

def count(request, token):
    with connection.cursor() as cursor:
        cursor.execute("insert into hits (token) values (%s)", [token])
    return JsonResponse(RELEASE)

urlpatterns = [path("", home), path("count/<slug:token>", count)]
"""
MIGRATION = """\
from django.db import migrations

class Migration(migrations.Migration):
    operations = [migrations.RunSQL("create table hits (token text not null)")]
"""
MANAGE = """\
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "counter.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
WSGI = """\
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "counter.settings")
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
FILES = {
    "manage.py": MANAGE,
    "requirements.txt": "django>=5.2,<5.3\ngunicorn\npsycopg[binary]\n",
    "counter/__init__.py": "",
    "counter/version.py": "VERSION = 0\n",
    "counter/settings.py": SETTINGS_PY,
    "counter/urls.py": URLS,
    "counter/wsgi.py": WSGI,
    "counter/migrations/__init__.py": "",
    "counter/migrations/0001_initial.py": MIGRATION,
}
SETTINGS = {"DEPLOY_SITE": "counter", "DEPLOY_DOMAINS": "counter.test", "DEPLOY_COLLECTSTATIC": "off"}

# As the tutorials have it: one container with a published port behind Nginx on the host.
DOCKERFILE = """\
FROM python:3.13-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "--workers", "5", "--threads", "4", "counter.wsgi"]
"""
COMPOSE = """\
services:
  db:
    image: postgres:17
    environment: {POSTGRES_USER: tutorial, POSTGRES_DB: tutorial, POSTGRES_PASSWORD: tutorial}
  web:
    build: .
    restart: unless-stopped
    ports: ["127.0.0.1:9000:8000"]
    depends_on: [db]
    environment:
      SECRET_KEY: not-a-secret-but-long-enough-for-a-benchmark-of-its-own
      PGHOST: db
      PGUSER: tutorial
      PGPASSWORD: tutorial
      PGDATABASE: tutorial
"""
# Foreign files: a site of the tutorials' kind, and, since Portside's has no HTTPS here, a TLS server of our own for
# either, on loopback only, that passes to the application as the plain one does. Nginx ends an HTTP/2 connection after
# 1,000 requests, and h2load counts as failed what was just on its way instead of asking again, with no deploy in sight:
# so here it mayn't.
NGINX = """\
server {
    listen 80;
    server_name tutorial.test;
    location / { proxy_pass http://127.0.0.1:9000; proxy_set_header Host $host; }
}
server {
    listen 127.0.0.1:8443 ssl;
    http2 on;
    keepalive_requests 1000000;
    server_name counter.test;
    ssl_certificate /etc/nginx/bench.crt;
    ssl_certificate_key /etc/nginx/bench.key;
    location / { proxy_pass http://unix:/srv/portside/counter/current/run/web-1.sock; proxy_set_header Host $host; }
}
server {
    listen 127.0.0.1:8443 ssl;
    http2 on;
    keepalive_requests 1000000;
    server_name tutorial.test;
    ssl_certificate /etc/nginx/bench.crt;
    ssl_certificate_key /etc/nginx/bench.key;
    location / { proxy_pass http://127.0.0.1:9000; proxy_set_header Host $host; }
}
"""
INSTALL = """\
set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench \\
    -keyout /etc/nginx/bench.key -out /etc/nginx/bench.crt 2>/dev/null
cd /opt/tutorial
docker compose up -d --build --quiet-pull >/dev/null 2>&1
until docker compose exec -T web python manage.py migrate >/dev/null 2>&1; do sleep 0.5; done
nginx -t 2>/dev/null
systemctl reload nginx
until curl -sf -o /dev/null -H 'Host: tutorial.test' http://127.0.0.1/; do sleep 0.2; done
"""


@dataclass(frozen=True)
class Reached:
    """A site by its name for visitors, and the filters that find its database's container; user and database."""

    host: str
    database: tuple[str, ...]
    user: str


OURS = Reached("counter.test", ("label=portside.site=counter", "label=portside.role=db"), "counter")
THEIRS = Reached(
    "tutorial.test", ("label=com.docker.compose.project=tutorial", "label=com.docker.compose.service=db"), "tutorial"
)


def install(server: Practice, folder: Path) -> None:
    """The tutorials' site beside Portside's, and HTTP/2 for both."""
    files = {f"/opt/tutorial/{name}": text for name, text in FILES.items()}
    files |= {"/opt/tutorial/Dockerfile": DOCKERFILE, "/opt/tutorial/compose.yaml": COMPOSE}
    files |= {"/etc/nginx/conf.d/bench.conf": NGINX}
    for path, text in files.items():
        write(server, path, text)
    server.exec(("timeout", "300", "sh", "-c", INSTALL))


def redeploy(server: Practice, version: int) -> Timed:
    """A change of the code, deployed as the tutorials do."""
    write(server, "/opt/tutorial/counter/version.py", f"VERSION = {version}\n")
    timed = Timed(time.monotonic())
    server.exec(("sh", "-c", "cd /opt/tutorial && docker compose up -d --build >/dev/null 2>&1"))
    timed.ended = time.monotonic()
    # Until it answers again, visitors are still lost by this redeploy.
    server.exec(
        ("timeout", "60", "sh", "-c", "until curl -sf -o /dev/null http://127.0.0.1:9000/; do sleep 0.05; done")
    )
    return timed


def counted(server: Practice, which: Reached) -> Counter[str]:
    """How often each token is in the database."""
    filters = [word for each in which.database for word in ("--filter", each)]
    container = server.exec(("docker", "ps", "-q", *filters)).strip()
    query = ("psql", "-tA", "-U", which.user, "-d", which.user, "-c", "select token from hits")
    return Counter(server.exec(("docker", "exec", container, *query)).split())


def write(server: Practice, path: str, text: str) -> None:
    server.exec(("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"', "sh", path, text))

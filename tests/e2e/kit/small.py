"""The smallest Django project there is, for sites beside the first: it says what it was given."""

MANAGE = """\
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hello.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

SETTINGS = """\
import os
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
ROOT_URLCONF = "hello.urls"
WSGI_APPLICATION = "hello.wsgi.application"
USE_TZ = True
"""

DATABASE = """\
# The names that libpq reads by itself.
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"]}}
INSTALLED_APPS = ["django.contrib.contenttypes"]
"""

STATIC = """\
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles"]
STATIC_URL, STATIC_ROOT, STATICFILES_DIRS = "/files/", "/static-files", [BASE_DIR / "files"]
MEDIA_URL, MEDIA_ROOT = "/uploads/", "/uploads"
"""

URLS = """\
import os
from django.http import JsonResponse
from django.urls import path

def hello(request):
    said = {"host": request.get_host(), "release": os.environ["DEPLOY_RELEASE"], "user": os.getuid()}
    return JsonResponse(said | {"length": len(request.body)})

urlpatterns = [path("", hello), path("healthz", hello)]
"""

NEEDS = "django>=5.2,<5.3\npsycopg[binary,pool]>=3.2\ndjango-allauth>=65\ndjango-compressor\n"
"""What all of the tests' small projects need: a server that isn't bare has that in its cache of builds."""

WSGI = """\
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""


def files(folder: str = "", settings: str = "", requirements: str = NEEDS) -> dict[str, str]:
    """The project's files; ``folder``: where its manage.py is; ``settings``: what is added to Django's settings."""
    below = f"{folder}/" if folder else ""
    return {
        f"{below}manage.py": MANAGE,
        f"{below}requirements.txt": requirements,
        f"{below}hello/__init__.py": "",
        f"{below}hello/settings.py": SETTINGS + settings,
        f"{below}hello/urls.py": URLS,
        f"{below}hello/wsgi.py": WSGI,
    }

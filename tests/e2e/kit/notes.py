"""A small project with a table of notes, and migrations of it as text."""

from __future__ import annotations

from . import small
from .inside import shell
from .project import Project

SETTINGS = small.DATABASE + 'INSTALLED_APPS += ["notes"]\n'
VIEW = """\
import os
from django.http import JsonResponse
from django.urls import path
from notes.models import Note

def note(request):
    names = [field.name for field in Note._meta.fields if field.name != "id"]
    Note.objects.create(**{name: "written" for name in names})
    return JsonResponse({"release": os.environ["DEPLOY_RELEASE"], "newest": Note.objects.values().latest("id")})

urlpatterns = [path("", note)]
"""


def model(*fields: str) -> dict[str, str]:
    lines = "".join(f"    {field}\n" for field in fields)
    return {"notes/models.py": f"from django.db import models\n\nclass Note(models.Model):\n{lines}"}


def migration(name: str, *operations: str, after: str | None = "0001_initial", more: str = "") -> dict[str, str]:
    """A migration; ``after``: the one before it, None for none; ``more``: what is in its file besides, as code of the
    module and of the class."""
    lines = "".join(f"        {operation},\n" for operation in operations)
    head = "from django.db import migrations, models\n"
    above, _, within = more.partition("|")
    parents = [("notes", after)] * (after is not None)
    body = f"    dependencies = {parents}\n    operations = [\n{lines}    ]\n"
    return {f"notes/migrations/{name}.py": f"{head}{above}\nclass Migration(migrations.Migration):\n{within}{body}"}


def column(name: str, options: str) -> str:
    return f'migrations.AddField("note", "{name}", models.CharField(max_length=40, {options}))'


TITLE = "title = models.CharField(max_length=40)"
SUBJECT = "subject = models.CharField(max_length=40)"
EXTRA = "extra = models.CharField(max_length=40, null=True)"
MORE = "more = models.CharField(max_length=40, null=True)"
TOPIC = 'topic = models.CharField(max_length=40, db_default="")'
INITIAL = """\
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel("Note", [
        ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
        ("title", models.CharField(max_length=40)),
    ])]
"""
RENAMED = {**model(SUBJECT), **migration("0002_rename", 'migrations.RenameField("note", "title", "subject")')}
ADDED = {**model(TITLE, EXTRA), **migration("0002_extra", column("extra", "null=True"))}


def holder(notes: Project) -> str:
    return shell(notes.server, f"cat /run/portside/site-{notes.name}.holder", check=False)

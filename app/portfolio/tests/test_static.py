"""Static files as they are served: with a hash in their names."""

import tempfile
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.test import TestCase, override_settings

HASHED = {
    **settings.STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}


class ManifestTest(TestCase):
    def setUp(self):
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(override_settings(STORAGES=HASHED, STATIC_ROOT=self.root, DEBUG=False))
        call_command("collectstatic", interactive=False, verbosity=0)

    def test_every_page_finds_its_files(self):
        for address, status in {"/": 200, "/about/": 200, "/nowhere/": 404, "/admin/login/": 200}.items():
            answer = self.client.get(address)
            self.assertEqual(answer.status_code, status)
            self.assertRegex(answer.content.decode(), r'href="/static/favicon\.[0-9a-f]{12}\.svg"')

    def test_the_style_sheet_is_there(self):
        name = next(self.root.glob("site.*.css")).name
        self.assertContains(self.client.get("/"), f'href="/static/{name}"')

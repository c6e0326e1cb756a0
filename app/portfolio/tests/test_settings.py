"""Settings from the environment."""

import logging
import os
import runpy
import string
from pathlib import Path
from unittest.mock import Mock, patch
from urllib.parse import quote

from config import environment
from config.logs import RequestId
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import RequestFactory, SimpleTestCase, override_settings

HARD_PASSWORDS = [
    "@ % / # $ ' \" \\",
    "p@ss:w/rd?x=1&y=2#z",
    "%41%2F%%",
    " leading and trailing ",
    "${HOME} $(id) `id`",
    "ключ 漢字 é",
    "[::1]",
    string.printable,
]

SETTINGS = Path(environment.__file__).with_name("settings.py")


def settings_with(**env):
    """Return the settings that an environment gives."""
    with patch.dict(os.environ, env, clear=True):
        return runpy.run_path(str(SETTINGS))


class SettingsTest(SimpleTestCase):
    def test_a_secret_key_is_required(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "SECRET_KEY is not set"):
            settings_with(DEBUG="on")

    def test_debug_is_off_unless_asked_for(self):
        settings = settings_with(SECRET_KEY="s", DATABASE_URL="sqlite://:memory:")
        self.assertIs(settings["DEBUG"], False)
        self.assertEqual(settings["ALLOWED_HOSTS"], [])

    def test_reads_lists(self):
        settings = settings_with(
            SECRET_KEY="s",
            DEBUG="on",
            ALLOWED_HOSTS="example.com, www.example.com,",
            CSRF_TRUSTED_ORIGINS="https://example.com,http://example.com",
        )
        self.assertEqual(settings["ALLOWED_HOSTS"], ["example.com", "www.example.com"])
        self.assertEqual(settings["CSRF_TRUSTED_ORIGINS"], ["https://example.com", "http://example.com"])

    def test_roots_have_defaults(self):
        settings = settings_with(SECRET_KEY="s", DEBUG="on")
        self.assertEqual(settings["STATIC_ROOT"], settings["BASE_DIR"] / "static-root")
        self.assertEqual(settings["MEDIA_ROOT"], settings["BASE_DIR"] / "media")

    def test_roots_can_be_elsewhere(self):
        settings = settings_with(SECRET_KEY="s", DEBUG="on", STATIC_ROOT="/srv/static", MEDIA_ROOT="/srv/media")
        self.assertEqual((settings["STATIC_ROOT"], settings["MEDIA_ROOT"]), (Path("/srv/static"), Path("/srv/media")))

    def test_knows_its_release(self):
        self.assertEqual(settings_with(SECRET_KEY="s", DEBUG="on", DEPLOY_RELEASE="r1")["RELEASE"], "r1")

    @override_settings(DEBUG=False, SECRET_KEY="0123456789" * 6, ALLOWED_HOSTS=["example.com"])
    def test_is_fit_for_deployment(self):
        call_command("check", deploy=True, fail_level="WARNING", stdout=Mock(), stderr=Mock())


class FlagTest(SimpleTestCase):
    def test_on(self):
        for value in ("on", "1", "true", "Yes", " ON "):
            self.assertIs(environment.flag({"DEBUG": value}, "DEBUG"), True)

    def test_off(self):
        for value in ("", "off", "0", "False", "no"):
            self.assertIs(environment.flag({"DEBUG": value}, "DEBUG"), False)
        self.assertIs(environment.flag({}, "DEBUG"), False)

    def test_anything_else_is_refused(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "DEBUG must be on or off, not 'maybe'"):
            environment.flag({"DEBUG": "maybe"}, "DEBUG")


class DatabaseTest(SimpleTestCase):
    def database(self, url, *, debug=False):
        return environment.database({"DATABASE_URL": url} if url else {}, debug=debug, base=Path("/base"))

    def test_reads_hard_passwords(self):
        for password in HARD_PASSWORDS:
            with self.subTest(password=password):
                database = self.database(f"postgres://site:{quote(password, safe='')}@db:5432/site")
                self.assertEqual(database["PASSWORD"], password)
                self.assertEqual((database["USER"], database["HOST"], database["NAME"]), ("site", "db", "site"))

    def test_keeps_connections_and_checks_them(self):
        database = self.database("postgresql://site:secret@db/site")
        self.assertEqual(database["ENGINE"], "django.db.backends.postgresql")
        self.assertEqual((database["CONN_MAX_AGE"], database["CONN_HEALTH_CHECKS"]), (60, True))
        self.assertEqual(database["OPTIONS"], {"connect_timeout": 5})

    def test_options_of_the_address_win(self):
        database = self.database("postgres://site:secret@db/site?connect_timeout=9&sslmode=require")
        self.assertEqual(database["OPTIONS"], {"connect_timeout": 9, "sslmode": "require"})

    def test_a_laptop_may_go_without(self):
        self.assertEqual(self.database("", debug=True)["NAME"], Path("/base/db.sqlite3"))

    def test_a_server_may_not(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "DATABASE_URL is not set"):
            self.database("")

    def test_an_unreadable_address_is_refused_without_being_shown(self):
        for url in ("postgres://site:se/cret@db/site", "nonsense://site:secret@db/site", "secret"):
            with self.subTest(url=url), self.assertRaises(ImproperlyConfigured) as caught:
                self.database(url)
            self.assertIn("DATABASE_URL", str(caught.exception))
            self.assertNotIn("cret", str(caught.exception))


class LogTest(SimpleTestCase):
    def record(self, **extra):
        return logging.makeLogRecord(extra)

    def test_lines_carry_the_request(self):
        record = self.record(request=RequestFactory().get("/", headers={"X-Request-ID": "4711"}))
        self.assertTrue(RequestId().filter(record))
        self.assertEqual(record.request_id, "4711")

    def test_other_lines_carry_none(self):
        record = self.record()
        RequestId().filter(record)
        self.assertEqual(record.request_id, "-")

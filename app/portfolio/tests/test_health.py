"""The health check."""

from unittest.mock import patch

from django.db import InterfaceError, OperationalError, connection
from django.test import TestCase


class HealthTest(TestCase):
    def test_ok(self):
        answer = self.client.get("/healthz")
        self.assertEqual((answer.status_code, answer.content), (200, b"ok"))
        self.assertTrue(answer["Content-Type"].startswith("text/plain"))
        self.assertIn("no-store", answer["Cache-Control"])
        self.assertFalse(answer.cookies)

    def test_asks_the_database_once(self):
        with self.assertNumQueries(1):
            self.client.get("/healthz")

    def test_says_when_the_database_does_not_answer(self):
        for error in (OperationalError("connection refused"), InterfaceError("connection already closed")):
            with (
                patch.object(connection, "cursor", side_effect=error),
                self.assertLogs("portfolio.health", "ERROR") as logs,
                self.assertLogs("django.request", "ERROR"),
            ):
                answer = self.client.get("/healthz")
            self.assertEqual(answer.status_code, 503)
            self.assertNotIn(str(error), answer.content.decode())
            self.assertIn(str(error), logs.output[0])

    def test_only_reads(self):
        with self.assertLogs("django.request", "WARNING"):
            self.assertEqual(self.client.post("/healthz").status_code, 405)

"""Headers and cookies."""

from django.test import TestCase

HTTPS = {"X-Forwarded-Proto": "https"}


class PolicyTest(TestCase):
    def test_pages_load_only_what_is_ours(self):
        for address in ("/", "/nowhere/", "/admin/login/", "/api/works/"):
            policy = self.client.get(address)["Content-Security-Policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertNotIn("unsafe", policy)

    def test_django_sends_its_own(self):
        answer = self.client.get("/")
        self.assertEqual(answer["X-Frame-Options"], "DENY")
        self.assertEqual(answer["X-Content-Type-Options"], "nosniff")
        self.assertEqual(answer["Referrer-Policy"], "same-origin")


class CookieTest(TestCase):
    def test_is_secure_by_https(self):
        cookie = self.client.get("/admin/login/", headers=HTTPS).cookies["csrftoken"]
        self.assertTrue(cookie["secure"])
        self.assertTrue(cookie["httponly"])
        self.assertEqual(cookie["samesite"], "Lax")

    def test_works_by_http_too(self):
        self.assertFalse(self.client.get("/admin/login/").cookies["csrftoken"]["secure"])

"""The JSON API."""

from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
from rest_framework.test import APITestCase

from portfolio.models import Work

from .pictures import hang, upload


class ReadTest(APITestCase):
    def test_lists_works_newest_first(self):
        hang("Earlier")
        hang("Later")
        answer = self.client.get("/api/works/").json()
        self.assertEqual([work["title"] for work in answer["results"]], ["Later", "Earlier"])
        self.assertEqual((answer["count"], answer["next"], answer["previous"]), (2, None, None))

    def test_lists_by_pages(self):
        for number in range(13):
            hang(f"Work {number}")
        first = self.client.get("/api/works/").json()
        self.assertEqual(len(first["results"]), 12)
        second = self.client.get(first["next"]).json()
        self.assertEqual([work["title"] for work in second["results"]], ["Work 0"])

    def test_shows_a_work(self):
        work = hang(text="Words", technique="Ink", year=2026, alt="Blue")
        answer = self.client.get(f"/api/works/{work.pk}/").json()
        shown = {name: answer[name] for name in ("title", "text", "technique", "year", "alt", "width", "height")}
        self.assertEqual(
            shown,
            {
                "title": "Tideline",
                "text": "Words",
                "technique": "Ink",
                "year": 2026,
                "alt": "Blue",
                "width": 60,
                "height": 40,
            },
        )

    def test_addresses_are_complete(self):
        work = hang()
        answer = self.client.get(f"/api/works/{work.pk}/", secure=True).json()
        self.assertEqual(answer["url"], f"https://testserver/api/works/{work.pk}/")
        self.assertEqual(answer["page"], f"https://testserver{work.get_absolute_url()}")
        self.assertEqual(answer["image"], f"https://testserver{work.image.url}")
        self.assertEqual(answer["thumbnail"], f"https://testserver{work.thumbnail.url}")

    def test_an_unknown_work_is_not_found(self):
        self.assertEqual(self.client.get("/api/works/1/").status_code, 404)


class WriteTest(APITestCase):
    @classmethod
    def setUpTestData(cls):
        cls.staff = User.objects.create_user("ines", password="paint", is_staff=True)
        cls.token = Token.objects.create(user=cls.staff)

    def setUp(self):
        self.client.credentials(HTTP_AUTHORIZATION=f"Token {self.token.key}")

    def test_creates_a_work(self):
        answer = self.client.post("/api/works/", {"title": "Tideline", "year": "2026", "image": upload()})
        self.assertEqual(answer.status_code, 201)
        work = Work.objects.get()
        self.assertEqual((work.title, work.year, work.width), ("Tideline", 2026, 60))
        self.assertEqual(answer["Location"], f"http://testserver/api/works/{work.pk}/")
        self.assertEqual(answer.json()["id"], work.pk)

    def test_creates_by_basic_auth(self):
        self.client.credentials(HTTP_AUTHORIZATION="Basic aW5lczpwYWludA==")
        answer = self.client.post("/api/works/", {"title": "Tideline", "image": upload()})
        self.assertEqual(answer.status_code, 201)

    def test_creates_by_session(self):
        self.client.credentials()
        self.client.login(username="ines", password="paint")
        answer = self.client.post("/api/works/", {"title": "Tideline", "image": upload()})
        self.assertEqual(answer.status_code, 201)

    def test_title_and_image_are_required(self):
        answer = self.client.post("/api/works/", {"text": "Words"})
        self.assertEqual(answer.status_code, 400)
        self.assertEqual(set(answer.json()), {"title", "image"})

    def test_an_image_has_to_be_one(self):
        answer = self.client.post("/api/works/", {"title": "Tideline", "image": upload(b"<svg/>")})
        self.assertEqual(answer.status_code, 400)
        self.assertEqual(set(answer.json()), {"image"})
        self.assertFalse(Work.objects.exists())

    def test_json_has_no_room_for_a_picture(self):
        answer = self.client.post("/api/works/", b"{}", content_type="application/json")
        self.assertEqual(answer.status_code, 415)

    def test_deletes_a_work(self):
        work = hang()
        self.assertEqual(self.client.delete(f"/api/works/{work.pk}/").status_code, 204)
        self.assertFalse(Work.objects.exists())

    def test_changes_nothing(self):
        work = hang()
        self.assertEqual(self.client.patch(f"/api/works/{work.pk}/", {"title": "New"}).status_code, 405)


class RefusalTest(APITestCase):
    @classmethod
    def setUpTestData(cls):
        cls.visitor = User.objects.create_user("visitor", password="look")

    def refused(self, status):
        work = hang()
        answers = [
            self.client.post("/api/works/", {"title": "Mine", "image": upload()}),
            self.client.delete(f"/api/works/{work.pk}/"),
        ]
        self.assertEqual([answer.status_code for answer in answers], [status, status])
        self.assertEqual(list(Work.objects.all()), [work])

    def test_nobody_writes_unnamed(self):
        self.refused(401)

    def test_a_wrong_token_is_refused(self):
        self.client.credentials(HTTP_AUTHORIZATION="Token 0123456789abcdef")
        self.refused(401)

    def test_who_is_not_staff_is_refused(self):
        self.client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=self.visitor).key}")
        self.refused(403)

    def test_a_session_needs_the_csrf_token(self):
        User.objects.create_user("ines", password="paint", is_staff=True)
        self.client = self.client_class(enforce_csrf_checks=True)
        self.client.login(username="ines", password="paint")
        self.refused(403)

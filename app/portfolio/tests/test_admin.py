"""The admin."""

from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.test import TestCase

from portfolio.models import Work

from .pictures import encoded, hang, upload

LIST = "/admin/portfolio/work/"


class AdminTest(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.owner = User.objects.create_superuser("ines", password="paint")

    def setUp(self):
        self.client.force_login(self.owner)

    def test_uploads_a_work(self):
        answer = self.client.post(f"{LIST}add/", {"title": "Tideline", "text": "Words", "image": upload()})
        self.assertRedirects(answer, LIST)
        work = Work.objects.get()
        self.assertEqual(work.title, "Tideline")
        self.assertTrue(default_storage.exists(work.image.name))

    def test_takes_the_long_file_names_of_phones(self):
        image = upload(name="a" * 200 + ".jpg")
        self.assertRedirects(self.client.post(f"{LIST}add/", {"title": "Tideline", "image": image}), LIST)

    def test_refuses_what_is_no_picture(self):
        answer = self.client.post(f"{LIST}add/", {"title": "Tideline", "image": upload(b"hello")})
        self.assertEqual(answer.status_code, 200)
        self.assertIn("image", answer.context["adminform"].errors)

    def test_refuses_half_a_picture(self):
        half = encoded(size=(900, 900))
        answer = self.client.post(f"{LIST}add/", {"title": "Tideline", "image": upload(half[: len(half) // 2])})
        self.assertContains(answer, "This isn&#x27;t a whole JPEG, PNG or WebP picture.")

    def test_lists_thumbnails(self):
        work = hang(alt="Blue")
        self.assertContains(self.client.get(LIST), f'src="{work.thumbnail.url}"')

    def test_shows_the_picture_above_its_form(self):
        work = hang()
        self.assertContains(self.client.get(f"{LIST}{work.pk}/change/"), f'src="{work.thumbnail.url}"')
        self.assertNotContains(self.client.get(f"{LIST}add/"), "field-picture")

    def test_a_changed_text_keeps_the_picture(self):
        work = hang()
        self.client.post(f"{LIST}{work.pk}/change/", {"title": "Tideline", "text": "New"})
        changed = Work.objects.get()
        self.assertEqual((changed.text, changed.image.name), ("New", work.image.name))

    def test_a_text_can_be_changed_without_the_file(self):
        work = hang()
        default_storage.delete(work.image.name)
        answer = self.client.post(f"{LIST}{work.pk}/change/", {"title": "Tideline", "text": "New"})
        self.assertRedirects(answer, LIST)

    def test_deletes_several_with_their_files(self):
        works = [hang("One"), hang("Two")]
        files = [name for work in works for name in work.files()]
        data = {"action": "delete_selected", "_selected_action": [work.pk for work in works], "post": "yes"}
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(LIST, data)
        self.assertFalse(Work.objects.exists())
        self.assertEqual([name for name in files if default_storage.exists(name)], [])

    def test_is_for_staff(self):
        self.client.logout()
        self.assertRedirects(self.client.get(LIST), f"/admin/login/?next={LIST}")

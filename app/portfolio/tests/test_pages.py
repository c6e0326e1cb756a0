"""The public pages."""

from unittest.mock import patch

from django.test import Client, TestCase, override_settings

from portfolio.views import About

from .pictures import hang


class GalleryTest(TestCase):
    def test_no_works_invites_to_add_one(self):
        answer = self.client.get("/")
        self.assertContains(answer, "The walls are still bare")
        self.assertContains(answer, 'href="/admin/portfolio/work/add/"')

    def test_shows_works_newest_first(self):
        hang("Earlier")
        hang("Later")
        page = self.client.get("/").content.decode()
        self.assertLess(page.index("Later"), page.index("Earlier"))

    def test_reserves_the_pictures_room(self):
        work = hang()
        answer = self.client.get("/")
        self.assertContains(answer, f'src="{work.thumbnail.url}" width="60" height="40"')

    def test_loads_pictures_below_the_fold_later(self):
        for number in range(4):
            hang(f"Work {number}")
        self.assertContains(self.client.get("/"), 'loading="lazy"', count=1)

    def test_has_pages(self):
        for number in range(25):
            hang(f"Work {number}")
        self.assertContains(self.client.get("/"), 'href="?page=2"')
        self.assertContains(self.client.get("/?page=2"), "Work 0")
        self.assertEqual(self.client.get("/?page=3").status_code, 404)

    def test_costs_two_queries(self):
        hang()
        with self.assertNumQueries(2):
            self.client.get("/")

    def test_starts_no_session(self):
        answer = self.client.get("/")
        self.assertFalse(answer.cookies)
        self.assertNotIn("Vary", answer)


class WorkPageTest(TestCase):
    def test_shows_the_work(self):
        work = hang(text="First.\n\nSecond.", technique="Ink", year=2026, alt="Bands of blue")
        answer = self.client.get(work.get_absolute_url())
        self.assertContains(answer, "<h1>Tideline</h1>")
        self.assertContains(answer, "<p>First.</p>\n\n<p>Second.</p>")
        self.assertContains(answer, "Ink, 2026")
        self.assertContains(answer, f'src="{work.image.url}" width="60" height="40" alt="Bands of blue"')

    def test_escapes_what_was_typed(self):
        work = hang("<b>Bold</b>", text="<script>alert(1)</script>")
        answer = self.client.get(work.get_absolute_url())
        self.assertNotContains(answer, "<b>Bold")
        self.assertNotContains(answer, "<script>")

    def test_leads_to_its_neighbours(self):
        older, middle, newer = hang("One"), hang("Two"), hang("Three")
        answer = self.client.get(middle.get_absolute_url())
        self.assertContains(answer, f'href="{older.get_absolute_url()}"')
        self.assertContains(answer, f'href="{newer.get_absolute_url()}"')

    def test_follows_a_changed_title(self):
        work = hang("Before")
        address = work.get_absolute_url()
        work.title = "After"
        work.save()
        self.assertRedirects(self.client.get(address), f"/works/{work.pk}-after/")

    def test_a_title_without_latin_letters_has_an_address(self):
        self.assertEqual(self.client.get(hang("海").get_absolute_url()).status_code, 200)

    def test_unknown_works_are_not_found(self):
        for address in ("/works/1-nothing/", f"/works/{10**30}-nothing/"):
            self.assertEqual(self.client.get(address).status_code, 404)


class OtherPagesTest(TestCase):
    def test_about(self):
        self.assertContains(self.client.get("/about/"), "<h1>About</h1>")

    def test_the_favicon_is_found_by_its_old_name(self):
        self.assertRedirects(self.client.get("/favicon.ico"), "/static/favicon.svg", fetch_redirect_response=False)

    def test_not_found(self):
        answer = self.client.get("/nowhere/")
        self.assertContains(answer, "Nothing hangs here", status_code=404)

    def test_a_fault_is_answered_kindly(self):
        client = Client(raise_request_exception=False)
        with patch.object(About, "get", side_effect=RuntimeError), self.assertLogs("django.request", "ERROR"):
            answer = client.get("/about/")
        self.assertContains(answer, "Something fell off the wall", status_code=500)


class ReleaseTest(TestCase):
    @override_settings(RELEASE="20261120-170501-ab12cd3")
    def test_is_named(self):
        answer = self.client.get("/")
        self.assertContains(answer, '<meta name="release" content="20261120-170501-ab12cd3">')
        self.assertContains(answer, "20261120-170501-ab12cd3</span>")

    def test_is_left_out_when_unknown(self):
        self.assertNotContains(self.client.get("/"), "release")

"""The sample works."""

from hashlib import sha256
from io import StringIO

from django.core.files.storage import default_storage
from django.core.management import call_command
from django.test import TestCase

from portfolio.models import Work
from portfolio.samples import SAMPLES


def sample_works():
    """Run the command and return what it says."""
    output = StringIO()
    call_command("sample_works", stdout=output)
    return output.getvalue()


class SampleWorksTest(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.output = sample_works()

    def test_adds_six_works(self):
        self.assertEqual(Work.objects.count(), 6)
        self.assertEqual(self.output.count("added"), 6)

    def test_again_there_is_nothing_to_do(self):
        self.assertEqual(sample_works(), "nothing to do: the sample works are there\n")
        self.assertEqual(Work.objects.count(), 6)

    def test_adds_only_what_is_missing(self):
        Work.objects.get(title="Tideline").delete()
        self.assertEqual(sample_works(), "added Tideline\n")

    def test_every_work_says_what_it_shows(self):
        for work in Work.objects.all():
            self.assertTrue(work.alt and work.text and work.technique and work.year)
            self.assertEqual(self.client.get(work.get_absolute_url()).status_code, 200)

    def test_is_light(self):
        sizes = [default_storage.size(name) for work in Work.objects.all() for name in work.files()]
        self.assertLess(sum(sizes), 1_200_000)

    def test_draws_the_same_each_time(self):
        draw = SAMPLES[0].draw
        self.assertEqual(*(sha256(draw().tobytes()).digest() for _ in range(2)))

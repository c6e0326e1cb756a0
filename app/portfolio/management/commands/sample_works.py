"""The command sample_works."""

from io import BytesIO
from typing import Any

from django.core.files.base import ContentFile
from django.core.management.base import BaseCommand

from portfolio.models import Work
from portfolio.samples import SAMPLES, Sample


class Command(BaseCommand):
    """Add six sample works, unless they exist already."""

    help = "Adds six sample works with generated pictures; again: nothing to do."

    def handle(self, **options: Any) -> None:
        """Add missing works."""
        there = set(Work.objects.values_list("title", flat=True))
        missing = [sample for sample in SAMPLES if sample.title not in there]
        for sample in missing:
            add(sample)
            self.stdout.write(f"added {sample.title}")
        if not missing:
            self.stdout.write("nothing to do: the sample works are there")


def add(sample: Sample) -> Work:
    """Draw a sample and save it as a work."""
    buffer = BytesIO()
    sample.draw().save(buffer, "JPEG", quality=95)
    return Work.objects.create(
        title=sample.title,
        technique=sample.technique,
        year=sample.year,
        alt=sample.alt,
        text=sample.text,
        image=ContentFile(buffer.getvalue(), name="sample.jpg"),
    )

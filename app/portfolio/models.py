"""The works."""

from functools import partial
from pathlib import PurePath
from typing import Any

from django.core.files.storage import default_storage
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.text import slugify

from .images import derive, validate_picture


def picture_path(work: "Work", filename: str) -> str:
    """Return the path to store a picture at. Only the extension of the uploaded name is used."""
    ending = PurePath(filename).suffix
    return f"works/{timezone.now():%Y}/{work.slug}-{get_random_string(8).lower()}{ending}"


class Work(models.Model):
    """A picture with a title and a few words about it."""

    title = models.CharField(max_length=120)
    text = models.TextField(blank=True, help_text="A few sentences; an empty line begins a paragraph.")
    year = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1000), MaxValueValidator(2999)]
    )
    technique = models.CharField(max_length=120, blank=True, help_text="For example: oil on linen, 40 × 60 cm.")
    image = models.ImageField(
        upload_to=picture_path,
        max_length=255,
        validators=[validate_picture],
        help_text="JPEG, PNG or WebP, at most 20 MB.",
    )
    alt = models.CharField(
        "description",
        max_length=250,
        blank=True,
        help_text="What the picture shows, for people who can't see it.",
    )
    thumbnail = models.ImageField(upload_to=picture_path, max_length=255, editable=False)
    # Not a width_field: Django would open the file at every submitted form, even if it is missing.
    width = models.PositiveIntegerField(editable=False)
    height = models.PositiveIntegerField(editable=False)
    created = models.DateTimeField(auto_now_add=True, editable=False)

    class Meta:
        ordering = ["-created", "-pk"]

    def __str__(self) -> str:
        return self.title

    @property
    def slug(self) -> str:
        """The title for use in addresses."""
        return slugify(self.title)[:50].strip("-") or "work"

    @property
    def description(self) -> str:
        """The alternative text of the picture."""
        return self.alt or self.title

    def get_absolute_url(self) -> str:
        """Return the address of the work's page."""
        return reverse("work", args=[self.pk, self.slug])

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Convert and store a new picture, and delete the files that it replaces."""
        replaced: list[str] = []
        if self.image and not self.image._committed:
            replaced = [name for work in Work.objects.filter(pk=self.pk) for name in work.files()]
            self.image, self.thumbnail = derive(self.image.file)
            self.width, self.height = self.image.width, self.image.height
        super().save(*args, **kwargs)
        transaction.on_commit(partial(discard, replaced))

    def files(self) -> list[str]:
        """Return the names of the work's files."""
        return [file.name for file in (self.image, self.thumbnail) if file]


def discard(names: list[str]) -> None:
    """Delete files that no work uses any more."""
    for name in names:
        default_storage.delete(name)


# A signal rather than Work.delete(), which the admin's "delete selected" never calls.
@receiver(post_delete, sender=Work)
def discard_files(instance: Work, **kwargs: Any) -> None:
    """Delete a work's files after the transaction that deleted the work."""
    transaction.on_commit(partial(discard, instance.files()))

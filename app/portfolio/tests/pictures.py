"""Pictures for the tests."""

from io import BytesIO
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from portfolio.models import Work


def encoded(file_format: str = "JPEG", size: tuple[int, int] = (60, 40), mode: str = "RGB", **options: Any) -> bytes:
    """Return the bytes of a small picture."""
    buffer = BytesIO()
    Image.new(mode, size).save(buffer, file_format, **options)
    return buffer.getvalue()


def upload(content: bytes | None = None, name: str = "picture.jpg") -> SimpleUploadedFile:
    """Return a file as a browser sends it."""
    return SimpleUploadedFile(name, encoded() if content is None else content)


def hang(title: str = "Tideline", **fields: Any) -> Work:
    """Add a work."""
    return Work.objects.create(title=title, image=fields.pop("image", None) or upload(), **fields)

"""Uploaded pictures: validates them and prepares them for storage."""

from io import BytesIO
from typing import IO

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile, File
from PIL import Image, ImageOps

# Pillow's name of a format -> the extension of stored files. MPO is a JPEG variant of some phones.
FORMATS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_SIDE = 2400
THUMBNAIL_SIDE = 800


def validate_picture(file: File) -> None:
    """Reject files that aren't a complete picture of acceptable size."""
    # A form passes the stored picture if no new one was chosen.
    if getattr(file, "_committed", False):
        return
    if file.size > MAX_BYTES:
        raise ValidationError(f"The file is larger than {MAX_BYTES // 1024**2} MB.", code="too_heavy")
    file.seek(0)
    try:
        image = Image.open(file, formats=("JPEG", "PNG", "WEBP"))
        pixels = image.width * image.height
        if pixels <= MAX_PIXELS:
            image.load()
    # Pillow raises many kinds of exceptions for broken files.
    except Exception as error:
        raise ValidationError("This isn't a whole JPEG, PNG or WebP picture.", code="broken") from error
    finally:
        file.seek(0)
    if pixels > MAX_PIXELS:
        raise ValidationError(f"The picture has more than {MAX_PIXELS // 10**6} million pixels.", code="too_large")


def derive(file: IO[bytes]) -> tuple[ContentFile, ContentFile]:
    """Return the picture to store, upright and at most MAX_SIDE pixels long, and its thumbnail.

    Re-encoding removes metadata (such as the location) and hidden data after the picture.
    """
    file.seek(0)
    image = Image.open(file, formats=("JPEG", "PNG", "WEBP"))
    file_format = "JPEG" if image.format == "MPO" else image.format or "PNG"
    picture = _plain(ImageOps.exif_transpose(image))
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    thumbnail = picture.copy()
    thumbnail.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return _encoded(picture, file_format), _encoded(thumbnail, "WEBP")


def _plain(image: Image.Image) -> Image.Image:
    """Return a copy in a mode that every browser shows, with its colour profile but without other metadata."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit greys at 255 instead of scaling them.
        image, profile = image.convert("I").point(lambda value: value / 256).convert("L"), None
    if image.has_transparency_data:
        plain = image.convert("RGBA")
    elif image.mode in ("L", "RGB"):
        plain = image.copy()
    else:
        plain, profile = image.convert("RGB"), None if image.mode == "CMYK" else profile
    plain.info = {"icc_profile": profile} if profile else {}
    return plain


def _encoded(image: Image.Image, file_format: str) -> ContentFile:
    """Return a picture as a file. Only the extension of its name matters."""
    options = {"JPEG": {"quality": 88, "progressive": True}, "WEBP": {"quality": 82}}.get(file_format, {})
    buffer = BytesIO()
    image.save(buffer, file_format, optimize=True, icc_profile=image.info.get("icc_profile"), **options)
    return ContentFile(buffer.getvalue(), name=f"picture.{FORMATS[file_format]}")

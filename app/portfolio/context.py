"""Context of every template."""

from django.conf import settings
from django.http import HttpRequest


def release(request: HttpRequest) -> dict[str, str]:
    """Return the running release."""
    return {"release": settings.RELEASE}

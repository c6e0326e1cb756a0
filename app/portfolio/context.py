"""What every template knows."""

from django.conf import settings
from django.http import HttpRequest


def release(request: HttpRequest) -> dict[str, str]:
    """Name the running release."""
    return {"release": settings.RELEASE}
